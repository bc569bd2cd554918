// Shows what the model was given, page by page: passages with their scores, and the claims that name the page.

import { link, make, plain, said, site } from "./run-dom.js";

export function context(record, words) {
  const sources = record.context?.sources ?? [];
  const shown = sources.length ? [summary(record, words), ...sources.map((each) => source(each, record, words))] : [];
  return make(
    "section",
    { "aria-labelledby": "context" },
    make("h2", { id: "context" }, words.context),
    ...(shown.length ? shown : [make("p", {}, words.noContext)]),
  );
}

function summary({ context: { sources, dropped } }, words) {
  const passages = sources.reduce((sum, each) => sum + each.passages.length, 0);
  return make("p", {}, words.contextCount(...[passages, sources.length, dropped].map(words.number)));
}

function source(source, record, words) {
  const marks = record.marks.filter((mark) => mark.url === source.url);
  const quotes = marks.map((mark) => mark.quote).filter(Boolean);
  return make(
    "article",
    { class: "source" },
    make("h3", {}, `${source.number}. `, link(source.url, source.title || source.url)),
    make("p", { class: "site" }, [site(source.url), source.date].filter(Boolean).map(plain).join(" · ")),
    claims(marks, words),
    ...source.passages.map((span) => passage(span, found(record, source, span), quotes, words)),
  );
}

function claims(marks, words) {
  if (!marks.length) return make("p", {}, words.notCited);
  const rows = marks.map((mark) => make("li", {}, ...claim(mark, words)));
  return make("div", { class: "claims" }, make("p", {}, `${words.citedBy}:`), make("ul", {}, ...rows));
}

function claim(mark, words) {
  const support = mark.support === null ? words.notJudged : `${words.support} ${words.rounded(mark.support)}`;
  const moved = mark.written !== null && mark.written !== mark.url;
  return [
    make("p", {}, said(mark.claim), " ", make("span", { class: "score" }, `(${support})`)),
    mark.quote ? make("blockquote", {}, said(mark.quote)) : null,
    moved ? make("p", {}, words.moved, link(mark.written, mark.written)) : null,
  ].filter(Boolean);
}

function found(record, source, span) {
  return record.passages.find(
    (row) => row.url === source.url && row.start === span.start && row.end === span.end,
  );
}

function passage(span, row, quotes, words) {
  const place = words.passage(words.number(span.start), words.number(span.end));
  if (!row) return make("p", {}, `${place}. ${words.untold}`);
  const quote = quotes.find((each) => row.text.includes(each));
  const told = [place, ...scores(row, words), ...(quote ? [words.quoted] : [])].join(" · ");
  return make("details", {}, make("summary", {}, told), text(row.text, quote));
}

function scores(row, words) {
  const vectors = row.vectors === null ? [] : [`${words.vectors} ${words.rounded(row.vectors)}`];
  return [`${words.score} ${words.rounded(row.score)}`, `${words.words} ${words.rounded(row.words)}`, ...vectors];
}

function text(whole, quote) {
  if (!quote) return make("p", { class: "text" }, said(whole));
  const start = whole.indexOf(quote);
  const parts = [whole.slice(0, start), make("mark", {}, plain(quote)), whole.slice(start + quote.length)];
  const shown = parts.map((part) => (typeof part === "string" ? plain(part) : part));
  return make("p", { class: "text" }, make("bdi", {}, ...shown));
}
