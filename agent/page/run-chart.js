// Draws the waterfall of a run: its stages, then a row for each page, over an axis in seconds.

import { bars } from "./run-bars.js";
import { draw, make, named, plain, site } from "./run-dom.js";
import { scale } from "./run-scale.js";

const LEAST_WIDTH = 680;
const LEFT = 260;
const LABELS = 170;
const ROW = 17;
const BAR = 11;
const AXIS = 24;
const GAP = 10;
const LEAST_BAR = 2;
const NAMES = LEFT - 16;
const NAME_LETTERS = 34;

export function chart(record, words) {
  const told = bars(record);
  if (!told.stages.length && !told.pages.length) return make("p", {}, words.noSteps);
  const line = make("p", { class: "told", id: "told", role: "status" }, words.chartHint);
  const box = make("div", { class: "scroll chart", tabindex: 0, role: "group", "aria-label": words.chartRegion,
    "aria-describedby": "told" });
  const view = new View(told, words, box, line);
  new ResizeObserver(() => view.show()).observe(box);
  return make("div", {}, choices(told, words, view), legend(words), box, line, barless(record, told, words));
}

function choices(told, words, view) {
  if (told.sourcesAt === null || told.sourcesAt >= told.end) return null;
  const choice = (end, text, checked) => {
    const radio = make("input", { type: "radio", name: "shown", checked: checked && "" });
    radio.addEventListener("change", () => view.upTo(end));
    return make("label", {}, radio, text);
  };
  const both = [choice(told.end, words.whole, true), choice(told.sourcesAt, words.until, false)];
  return make("fieldset", { class: "choices" }, make("legend", {}, words.shown), ...both);
}

function legend(words) {
  const sample = (kind) =>
    draw("svg", { width: 24, height: BAR, "aria-hidden": "true" }, ...barShapes(kind, 0, 0, 24));
  const entry = (kind) => make("li", {}, sample(kind), words.legend[kind]);
  return make("ul", { class: "legend" }, entry("read"), entry("skipped"), entry("cited"));
}

function barless(record, told, words) {
  const without = (record.coverage?.pages.length ?? 0) - told.pages.length;
  return without > 0 ? make("p", {}, words.noBars + words.number(without)) : null;
}

class View {
  constructor(told, words, box, line) {
    Object.assign(this, { told, words, box, line, end: told.end, current: -1, width: 0 });
    box.addEventListener("keydown", (event) => this.key(event));
  }

  upTo(end) {
    this.end = Math.max(end, 1);
    this.width = 0;
    this.show();
  }

  show() {
    const width = Math.max(LEAST_WIDTH, this.box.clientWidth);
    if (width === this.width) return;
    this.width = width;
    const rows = [...this.stageRows(), ...this.pageRows()];
    this.box.replaceChildren(this.picture(rows, scale(this.end, LEFT, width - LABELS)));
    this.point(this.current);
  }

  stageRows() {
    return this.told.stages.map((stage) => ({
      kind: stage.name,
      name: [this.words.stage[stage.name], ""],
      spans: stage.spans,
      label: this.duration(total(stage.spans)),
      told: [this.words.stage[stage.name], this.duration(total(stage.spans))],
    }));
  }

  pageRows() {
    return this.told.pages.map((page) => ({
      kind: page.status,
      cited: page.cited,
      name: [site(page.url), plain(page.title)],
      spans: [page],
      label: this.pageLabel(page),
      told: [plain(page.title), site(page.url), ...this.pageState(page), this.duration(page.ms)],
    }));
  }

  pageLabel(page) {
    return page.reason ? this.reason(page) : [this.duration(page.ms), ...this.citedWord(page)].join(" · ");
  }

  pageState(page) {
    const state = this.words.state[page.status];
    return page.reason ? [`${state}: ${this.reason(page)}`] : [state, ...this.citedWord(page)];
  }

  citedWord(page) {
    return page.cited ? [this.words.legend.cited] : [];
  }

  reason(page) {
    return named(this.words.reasons, page.reason);
  }

  duration(ms) {
    return `${this.words.number(ms)} ${this.words.ms}`;
  }

  picture(rows, axis) {
    const stages = this.told.stages.length;
    const place = (index) => AXIS + index * ROW + (index >= stages ? GAP : 0);
    const height = place(rows.length) + AXIS;
    const drawn = rows.map((row, index) => this.row(row, index, place(index), axis));
    const attributes = { width: this.width, height, role: "img", "aria-labelledby": "chart-name chart-told" };
    return draw(
      "svg",
      attributes,
      draw("title", { id: "chart-name" }, this.words.chartName),
      draw("desc", { id: "chart-told" }, this.description()),
      ...this.grid(axis, height),
      ...drawn,
    );
  }

  description() {
    const stages = this.told.stages.map(({ name, spans }) => `${this.words.stage[name]}: ${this.duration(total(spans))}`);
    const count = (status) => this.told.pages.filter((page) => page.status === status).length;
    const states = ["read", "skipped"].map((status) => `${this.words.state[status]}: ${count(status)}`);
    return `${[...stages, ...states].join("; ")}. ${this.words.chartTable}`;
  }

  grid(axis, height) {
    const foot = height - AXIS;
    const tick = (ms, y) =>
      draw("text", { class: "tick", x: axis.at(ms), y, "text-anchor": "middle" }, this.words.rounded(ms / 1000));
    const lines = axis.ticks.map((ms) => draw("path", { class: "grid", d: `M${axis.at(ms)} ${AXIS - 6}V${foot}` }));
    const unit = (y) => draw("text", { class: "tick", x: axis.right + 24, y }, this.words.seconds);
    const named = [AXIS - 10, height - 8].flatMap((y) => [...axis.ticks.map((ms) => tick(ms, y)), unit(y)]);
    return [...lines, ...named];
  }

  row(row, index, y, axis) {
    const shown = row.spans.filter((span) => span.from <= this.end);
    const shapes = shown.flatMap((span) => {
      const x = axis.at(span.from);
      return barShapes(row.kind, x, y, Math.max(LEAST_BAR, axis.at(span.to) - x));
    });
    const labelled = shown.length ? axis.at(shown.at(-1).to) + 6 : axis.left;
    const group = draw(
      "g",
      { class: row.cited ? "row cited" : "row", "data-kind": row.kind },
      draw("title", {}, row.told.filter(Boolean).join(" · ")),
      draw("rect", { class: "hit", x: 0, y: y - 3, width: this.width, height: ROW }),
      nameOf(row, y),
      ...shapes,
      row.cited ? citedDot(LEFT - 5, y) : null,
      shown.length ? draw("text", { class: "label", x: labelled, y: y + BAR - 2 }, row.label) : null,
    );
    group.addEventListener("pointerenter", () => this.point(index));
    return group;
  }

  key(event) {
    const rows = this.rows().length;
    const places = { ArrowDown: this.current + 1, ArrowUp: this.current - 1, Home: 0, End: rows - 1 };
    if (!(event.key in places)) return;
    event.preventDefault();
    this.point(Math.min(Math.max(places[event.key], 0), rows - 1));
    this.rows()[this.current].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  rows() {
    return this.box.querySelectorAll(".row");
  }

  point(index) {
    this.current = index;
    this.rows().forEach((row, number) => row.classList.toggle("current", number === index));
    const row = this.rows()[index];
    if (row) this.line.textContent = row.querySelector("title").textContent;
  }
}

function barShapes(kind, x, y, width) {
  if (kind === "cited") return [citedDot(x + width / 2, y)];
  const rect = draw("rect", { class: `bar ${kind}`, x, y, width, height: BAR, rx: 1.5 });
  return kind === "skipped" ? [rect, hatching(x, y, width)] : [rect];
}

// Lines of its own, not a pattern by reference: the same in the legend's picture and in the chart's.
function hatching(x, y, width) {
  const lines = [];
  for (let at = 0; at + 3 < width; at += 6) {
    const reach = Math.min(BAR, width - at);
    lines.push(`M${x + at} ${y + BAR}l${reach} ${-reach}`);
  }
  return draw("path", { class: "hatch", d: lines.join("") });
}

function citedDot(x, y) {
  return draw("circle", { class: "dot", cx: x, cy: y + BAR / 2, r: 3.5 });
}

function shortened(text, letters) {
  return text.length > letters ? `${text.slice(0, Math.max(letters - 1, 0)).trimEnd()}…` : text;
}

function total(spans) {
  return spans.reduce((sum, span) => sum + span.to - span.from, 0);
}

// A picture in the picture: it cuts off letters that are wider than most.
function nameOf({ name: [first, then] }, y) {
  const site = shortened(first, NAME_LETTERS);
  const title = shortened(then, NAME_LETTERS - site.length);
  const text = draw("text", { y: BAR }, draw("tspan", { class: "name" }, site), draw("tspan", { dx: 6 }, title));
  return draw("svg", { x: 0, y: y - 2, width: NAMES, height: ROW }, text);
}
