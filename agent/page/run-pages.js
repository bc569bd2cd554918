// Tells of each page of a run what the record says of it in its several places.

export function pages(record) {
  const told = toldPages(record);
  const titles = titlesOf(record, told);
  const rows = record.coverage?.pages ?? told;
  return rows.map((row) => ({
    url: row.url,
    title: titles.get(row.url) ?? "",
    status: row.status,
    reason: row.reason,
    ms: row.ms,
    bytes: row.bytes,
    cached: row.cached ?? false,
    ranked: record.passages.filter((passage) => passage.url === row.url).length,
    used: usedOf(record, row.url),
    marks: record.marks.filter((mark) => mark.url === row.url).length,
  }));
}

function toldPages(record) {
  return record.steps.flatMap((step) => step.page ?? []);
}

function titlesOf(record, told) {
  const named = [...told, ...record.passages, ...(record.context?.sources ?? [])];
  return new Map(named.map((each) => [each.url, each.title]));
}

function usedOf(record, url) {
  const sources = record.context?.sources ?? [];
  return sources.filter((source) => source.url === url).reduce((sum, source) => sum + source.passages.length, 0);
}

export function skipped(record) {
  const counts = new Map(Object.entries(record.coverage?.skipped ?? {}));
  if (!record.coverage) {
    for (const page of toldPages(record)) {
      if (page.reason) counts.set(page.reason, (counts.get(page.reason) ?? 0) + 1);
    }
  }
  return [...counts].sort((one, other) => other[1] - one[1]);
}
