// The button that gives the record as a file: the very text that the server gave.

import { make } from "./run-dom.js";

export function download(record, text, words) {
  const button = make("button", { type: "button" }, words.download);
  button.addEventListener("click", () => save(`run-${record.id}.json`, text));
  return button;
}

function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 0);
}
