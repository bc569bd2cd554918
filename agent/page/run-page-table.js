// Shows what became of every page, and why those that were skipped were.

import { link, make, named, said, site } from "./run-dom.js";
import { pages, skipped } from "./run-pages.js";
import { table } from "./run-table.js";

export function pageTable(record, words) {
  const rows = pages(record).map((page) => cells(page, words));
  return make(
    "section",
    { "aria-labelledby": "pages" },
    make("h2", { id: "pages" }, words.pages),
    rows.length ? table(words.pagesCaption + beyond(record, words), columns(words), rows, { named: true }) : words.none,
  );
}

function beyond(record, words) {
  const told = record.passages.length;
  return record.ranked > told ? words.ofBest(words.number(told), words.number(record.ranked)) : "";
}

function columns(words) {
  const text = (head) => ({ head });
  const number = (head) => ({ head, number: true });
  return [
    text(words.title), text(words.site), text(words.stateHead), text(words.reason), number(words.ms),
    number(words.bytes), number(words.ranked), number(words.used), text(words.cited),
  ];
}

function cells(page, words) {
  return [
    link(page.url, page.title || page.url),
    said(site(page.url)),
    make("span", { class: `state ${page.status}` }, words.state[page.status]),
    why(page, words),
    words.number(page.ms),
    words.number(page.bytes),
    words.number(page.ranked),
    words.number(page.used),
    page.marks ? words.yes(page.marks) : words.no,
  ];
}

function why(page, words) {
  if (page.reason) return named(words.reasons, page.reason);
  return page.cached ? words.fromCache : "";
}

export function skipCounts(record, words) {
  const rows = skipped(record).map(([reason, count]) => [named(words.reasons, reason), words.number(count)]);
  const columns = [{ head: words.reason }, { head: words.count, number: true }];
  return make(
    "section",
    { "aria-labelledby": "skipped" },
    make("h2", { id: "skipped" }, words.skipped),
    rows.length ? table(words.skippedCaption, columns, rows, { named: true }) : words.none,
  );
}
