// Citation marks: small links that open a page at the quote, and what is known of each.

import { element, PLACE_SIGN } from "./elements.js";
import { atQuote, lead, siteOf, webAddress } from "./links.js";
import { sayLabel } from "./say.js";

const BARE_MARK = /^\[\d+\]$/;
const LINKED_MARK = /^\[(\[\d+\])\]\((\S+)\)$/;
const PLACE = /^\ufdd0(\d+)\ufdd0$/;
const known = new WeakMap();

export const citationOf = (link) => known.get(link);

export function mark(number, url, title) {
  const link = element(webAddress(url) ? "a" : "button", "mark", number);
  if (link.tagName === "BUTTON") link.type = "button";
  const [, place] = (title ?? "").match(PLACE) ?? [];
  if (place) link.dataset.place = place;
  learn(link, { url, title: siteOf(url) });
  return element("sup", "", link);
}

function learn(link, citation) {
  known.set(link, citation);
  const address = webAddress(citation.url);
  if (address) lead(link, atQuote(address.href, citation.quote));
  sayLabel(link, "sourceLabel", { number: link.textContent, title: citation.title });
}

// Tells what is known of each mark that has its place among the annotations; of another nothing is certain.
export function tellMarks(root, annotations) {
  for (const link of marksIn(root)) {
    const citation = annotations[link.dataset.place];
    if (citation) learn(link, citation);
  }
}

export const marksIn = (node) => node.querySelectorAll?.(".mark") ?? [];

// Gives marks that are shown the places of the same marks, read anew; false where they are not the same.
export function takePlaces(shown, anew) {
  const alike = shown.length === anew.length && shown.every((link, index) => link.textContent === anew[index].textContent);
  if (!alike) return false;
  for (const [index, link] of shown.entries()) {
    if (anew[index].dataset.place) link.dataset.place = anew[index].dataset.place;
  }
  return true;
}

// Returns the answer with a link in each mark, as some servers are set to write marks without, and in each link's title
// the place of its annotation: whatever becomes of the others, a mark is known by it.
export function linked(text, annotations) {
  const points = Array.from(text); // offsets count code points
  let shown = "";
  let end = 0;
  for (const [place, citation] of annotations.entries()) {
    if (citation.start_index < end) continue;
    const written = points.slice(citation.start_index, citation.end_index).join("");
    shown += points.slice(end, citation.start_index).join("").replaceAll(PLACE_SIGN, "") + placed(written, citation, place);
    end = citation.end_index;
  }
  return shown + points.slice(end).join("").replaceAll(PLACE_SIGN, "");
}

function placed(written, citation, place) {
  const title = `"${PLACE_SIGN}${place}${PLACE_SIGN}"`;
  const [, label, url] = written.replaceAll(PLACE_SIGN, "").match(LINKED_MARK) ?? [];
  if (BARE_MARK.test(written)) return `[${written}](${citation.url} ${title})`;
  return label ? `[${label}](${url} ${title})` : written.replaceAll(PLACE_SIGN, "");
}
