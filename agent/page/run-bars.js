// Turns the steps of a run into spans of time: its stages, and its pages.

export function bars(record) {
  const pages = pageBars(record);
  return { stages: stageBars(record), pages, end: Math.max(record.took_ms, 1), sourcesAt: lastAt(record, "sources") };
}

function pageBars(record) {
  const final = finalStates(record);
  const cited = new Set(record.marks.map((mark) => mark.url));
  return record.steps
    .filter((step) => step.page)
    .map(({ at_ms: end, page }) => ({
      ...page,
      ...final.get(page.url),
      from: Math.max(0, end - page.ms),
      to: end,
      cited: cited.has(page.url),
    }))
    .sort((one, other) => one.from - other.from || one.to - other.to);
}

// A page that was told as read may turn out to be a copy of a better one later.
function finalStates(record) {
  const rows = record.coverage?.pages ?? [];
  const times = new Map();
  for (const { url } of rows) times.set(url, (times.get(url) ?? 0) + 1);
  const single = rows.filter(({ url }) => times.get(url) === 1);
  return new Map(single.map(({ url, status, reason }) => [url, { status, reason }]));
}

function stageBars(record) {
  const stages = {
    search: spans(record, (step) => step.searching, (step) => step.found),
    reading: spans(record, (step) => step.found, (step) => step.sources || step.searching),
    ranking: ranking(record),
    reasoning: spans(record, (step) => step.begins === "reasoning", (step) => step.begins === "answer"),
    answer: spans(record, (step) => step.begins === "answer", () => false),
  };
  return Object.entries(stages).filter(([, found]) => found.length).map(([name, found]) => ({ name, spans: found }));
}

function spans(record, begins, ends) {
  const found = [];
  let from = null;
  for (const step of record.steps) {
    if (from !== null && ends(step)) {
      found.push({ from, to: step.at_ms });
      from = null;
    }
    if (from === null && begins(step)) from = step.at_ms;
  }
  return from === null ? found : [...found, { from, to: record.took_ms }];
}

function ranking(record) {
  const from = lastAt(record, "page");
  const to = lastAt(record, "sources");
  return from !== null && to !== null && to >= from ? [{ from, to }] : [];
}

function lastAt(record, kind) {
  return record.steps.findLast((step) => step[kind])?.at_ms ?? null;
}
