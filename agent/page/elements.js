// Makes elements. What pages wrote comes in as text alone, without what turns the direction of the text around it.

const DIRECTION_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

// A character that stands for none. It marks the places of citations, and is never shown.
export const PLACE_SIGN = "\ufdd0";
const PLACES = / "\ufdd0\d+\ufdd0"|\ufdd0/g;

export const unplaced = (text) => text.replace(PLACES, "");

export function plain(text) {
  return unplaced(String(text ?? "")).replace(DIRECTION_CONTROLS, "").replace(CONTROLS, "");
}

export function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  appendAll(made, children.flat());
  return made;
}

// One by one: a call takes no more than some ten thousand arguments.
export function appendAll(parent, children) {
  for (const child of children) parent.append(child);
}

// A text that somebody else wrote, in its own direction.
export function foreign(name, className, text) {
  const made = element(name, className, plain(text));
  made.dir = "auto";
  return made;
}
