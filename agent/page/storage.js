// What the browser remembers; where the person forbids it to, what was said since the page was opened.

const held = new Map();

export function recall(store, name) {
  try {
    return window[store].getItem(name);
  } catch {
    return held.get(name) ?? null;
  }
}

export function remember(store, name, value) {
  try {
    window[store].setItem(name, value);
  } catch {
    held.set(name, value);
  }
}
