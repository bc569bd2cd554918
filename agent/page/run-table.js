// Makes a table with a caption, which scrolls in a box of its own where it is wider than the page.

import { make } from "./run-dom.js";

let made = 0;

// `columns`: {head, number}; `rows`: arrays of texts or elements. With `named` the first cell of a row is its head.
export function table(caption, columns, rows, { named = false } = {}) {
  const id = `caption-${(made += 1)}`;
  const heads = columns.map(({ head, number }) => make("th", { scope: "col", class: number && "number" }, head));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, index) => cellOf(cell, index, columns, named))));
  const whole = make(
    "table",
    {},
    make("caption", { id }, caption),
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...body),
  );
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-labelledby": id }, whole);
}

function cellOf(cell, index, columns, named) {
  const kind = named && index === 0 ? "th" : "td";
  return make(kind, { class: columns[index].number && "number", scope: kind === "th" && "row" }, cell);
}
