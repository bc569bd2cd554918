// What the browser remembers, or forgets where the person forbids it to remember.

export function recall(store, name) {
  try {
    return window[store].getItem(name);
  } catch {
    return null;
  }
}

export function remember(store, name, value) {
  try {
    window[store].setItem(name, value);
  } catch {
    return;
  }
}
