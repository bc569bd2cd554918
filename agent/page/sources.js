// What stands under an answer: its sources, and what was read and proven for it.

import { element, foreign, plain } from "./elements.js";
import { linkTo, siteOf } from "./links.js";
import { day, say, word } from "./say.js";

export function sourceList(results) {
  const heading = say(element("h3"), "sources");
  return element("section", "sources", heading, element("ol", "", ...results.map(source)));
}

function source({ title, url, date }) {
  const link = linkTo(url, "title", plain(title) || plain(siteOf(url)));
  link.dir = "auto";
  const dated = date ? ` · ${plain(day(date))}` : "";
  return element("li", "", link, element("span", "site", plain(siteOf(url)) + dated));
}

export function coverageLine(coverage) {
  return say(element("p", "coverage"), "coverage", {
    ...coverage,
    cached: () => (coverage.cached ? word("fromCache", { count: coverage.cached }) : ""),
    skipped: () => skippedWords(coverage.skipped ?? {}),
    late: () => (coverage.deadline_hit ? word("timeRanOut") : ""),
  });
}

function skippedWords(skipped) {
  const list = Object.entries(skipped).map(([reason, count]) => `${word(reason)} (${count})`);
  return list.length ? word("skippedList", { list: list.join(", ") }) : "";
}

export function unsupportedList(marks) {
  const summary = say(element("summary"), "unsupported", { count: marks.length });
  return element("details", "unsupported", summary, element("ul", "", ...marks.map(({ claim }) => foreign("li", "", claim))));
}
