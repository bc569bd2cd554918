// Citation marks: small links that open a page at the quote, and what is known of each.

import { element } from "./elements.js";
import { atQuote, lead, siteOf, webAddress } from "./links.js";
import { sayLabel } from "./say.js";

const BARE_MARK = /^\[\d+\]$/;
const known = new WeakMap();

export const citationOf = (link) => known.get(link);

export function mark(number, url, raw) {
  const link = element(webAddress(url) ? "a" : "button", "mark", number);
  if (link.tagName === "BUTTON") link.type = "button";
  link.dataset.raw = raw;
  learn(link, { url, title: siteOf(url) });
  return element("sup", "", link);
}

function learn(link, citation) {
  known.set(link, citation);
  const address = webAddress(citation.url);
  if (address) lead(link, atQuote(address.href, citation.quote));
  sayLabel(link, "sourceLabel", { number: link.textContent, title: citation.title });
}

// The marks of an answer are told in their order; those written alike are told apart by it.
export function tellMarks(root, text, annotations) {
  const points = Array.from(text);
  const told = Map.groupBy(annotations, (citation) => withLink(written(points, citation), citation));
  for (const link of root.querySelectorAll(".mark")) {
    const citation = told.get(link.dataset.raw)?.shift();
    if (citation) learn(link, citation);
  }
}

// Returns the answer with a link in each mark: some servers are set to write marks without.
export function linked(text, annotations) {
  const points = Array.from(text);
  let shown = "";
  let end = 0;
  for (const citation of annotations) {
    shown += points.slice(end, citation.start_index).join("") + withLink(written(points, citation), citation);
    end = citation.end_index;
  }
  return shown + points.slice(end).join("");
}

// Offsets count code points.
function written(points, citation) {
  return points.slice(citation.start_index, citation.end_index).join("");
}

function withLink(written, citation) {
  return BARE_MARK.test(written) ? `[${written}](${citation.url})` : written;
}
