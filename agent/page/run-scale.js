// Where a moment stands on an axis, and which round moments the axis names.

const STEPS = [1, 2, 5];
const LEAST_PIXELS = 70;

export function scale(end, left, right) {
  const width = right - left;
  return {
    left,
    right,
    at: (ms) => left + (Math.min(Math.max(ms, 0), end) / end) * width,
    ticks: ticks(end, step(end, width)),
  };
}

function step(end, width) {
  const least = (end * LEAST_PIXELS) / width;
  const power = 10 ** Math.floor(Math.log10(least));
  return (STEPS.find((each) => each * power >= least) ?? 10) * power;
}

function ticks(end, every) {
  return Array.from({ length: Math.floor(end / every) + 1 }, (_, number) => number * every);
}
