// Shows the citation marks that were taken out of the answer, and why.

import { link, make, said } from "./run-dom.js";
import { table } from "./run-table.js";

export function dropped(record, words) {
  const rows = record.marks.filter((mark) => mark.url === null).map((mark) => cells(mark, words));
  const columns = [
    { head: words.claim }, { head: words.named }, { head: words.support, number: true }, { head: words.why },
  ];
  return make(
    "section",
    { "aria-labelledby": "dropped" },
    make("h2", { id: "dropped" }, words.dropped),
    rows.length ? table(words.droppedCaption, columns, rows) : words.none,
  );
}

function cells(mark, words) {
  return [
    said(mark.claim),
    mark.written === null ? words.none : link(mark.written, mark.written),
    mark.support === null ? words.notJudged : words.rounded(mark.support),
    words.droppedWhy[why(mark)],
  ];
}

function why(mark) {
  if (mark.written === null) return "nowhere";
  return mark.support === null ? "other" : "unsupported";
}
