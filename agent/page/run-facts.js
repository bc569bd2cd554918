// Tells what is known of a run besides its pages and passages: as it was asked, and how it went.

import { link, make, named, plain, said } from "./run-dom.js";
import { table } from "./run-table.js";

export function facts(record, words) {
  return make(
    "section",
    { "aria-labelledby": "facts" },
    make("h2", { id: "facts" }, words.facts),
    list(record, words),
    make(
      "div",
      { class: "tables" },
      queries(record.plan, words),
      engines(record.coverage, words),
      timings(record.timings_ms, words),
      usage(record.usage, words),
    ),
  );
}

function list(record, words) {
  const { plan, coverage } = record;
  const told = {
    id: said(record.id),
    status: named(words.status, record.status),
    error: record.error && said(`${record.error.message} (${record.error.code ?? record.error.type})`),
    began: words.moment(record.began),
    took: `${words.rounded(record.took_ms / 1000)} ${words.s}`,
    question: plan && said(plan.question),
    language: plan && said(plan.language),
    note: notes(record).length ? said(notes(record).join("; ")) : null,
    addresses: plan?.addresses.length ? linked(plan.addresses) : null,
    coverage: coverage && counted(coverage, words),
    deadline: coverage?.deadline_hit ? words.deadlineHit : null,
    finish: record.finish_reason && named(words.finish, record.finish_reason),
    unrelated: record.unrelated ? words.unrelated : null,
  };
  const shown = Object.entries(told).filter(([, value]) => value);
  return make("dl", {}, ...shown.flatMap(([name, value]) => [make("dt", {}, words.fact[name]), make("dd", {}, value)]));
}

function notes({ plan, coverage }) {
  return [...new Set([plan?.note, ...(coverage?.notes ?? [])])].filter(Boolean);
}

function linked(addresses) {
  return make("ul", { class: "plain" }, ...addresses.map((address) => make("li", {}, link(address, address))));
}

function counted(coverage, words) {
  return Object.entries(words.coverage).map(([name, word]) => `${word}: ${words.number(coverage[name])}`).join(", ");
}

function queries(plan, words) {
  if (!plan) return null;
  const row = (round, kind) => (query) => [words.number(round), kind, ...queryCells(query, words)];
  const rows = [
    ...plan.queries.map(row(1, words.planned)),
    ...plan.further.map(row(1, words.further)),
    ...plan.later_rounds.flatMap((later, number) => later.map(row(number + 2, words.later))),
  ];
  const heads = [words.query, words.fact.language, words.recency].map((head) => ({ head }));
  return table(words.queries, [{ head: words.round, number: true }, { head: words.kind }, ...heads], rows);
}

function queryCells(query, words) {
  return [said(query.text), query.language ?? "", query.recency ? words.ages[query.recency] : ""];
}

function engines(coverage, words) {
  if (!coverage?.engines.length) return null;
  const number = true;
  const columns = [
    { head: words.engine }, { head: words.stateHead }, { head: words.results, number }, { head: words.ms, number },
    { head: words.reason },
  ];
  const rows = coverage.engines.map((engine) => [
    plain(engine.name),
    named(words.engineState, engine.status),
    words.number(engine.results),
    words.number(engine.ms),
    said(engine.reason),
  ]);
  return table(words.engines, columns, rows, { named: true });
}

function timings(times, words) {
  if (!times) return null;
  const rows = Object.entries(times).map(([name, ms]) => [named(words.timing, name), words.number(ms)]);
  return table(words.timings, [{ head: words.step }, { head: words.ms, number: true }], rows, { named: true });
}

function usage(used, words) {
  if (!used) return null;
  const counts = {
    prompt: used.prompt_tokens,
    cached: used.prompt_tokens_details.cached_tokens,
    completion: used.completion_tokens,
    reasoning: used.completion_tokens_details.reasoning_tokens,
    total: used.total_tokens,
  };
  const rows = Object.entries(counts).map(([name, count]) => [words.token[name], words.number(count)]);
  return table(words.usage, [{ head: words.step }, { head: words.count, number: true }], rows, { named: true });
}
