// What is known of a citation mark, beside it: while it is pointed at, has the focus, or was tapped once.

import { element, foreign, plain } from "./elements.js";
import { siteOf, webAddress } from "./links.js";
import { citationOf } from "./marks.js";
import { day, percentage, say, word } from "./say.js";

const GAP = 6;
const LEAVE_MS = 150;
const WELL = 0.75;
const LONGEST_QUOTE = 400;

const tip = element("div", "tip");
tip.id = "tip";
tip.setAttribute("role", "tooltip");
tip.hidden = true;
let shownFor = null;
let leaving = 0;
let touching = false;

export function explainMarks(root) {
  root.after(tip);
  root.addEventListener("pointerover", (event) => event.pointerType !== "touch" && showFor(event.target));
  root.addEventListener("pointerout", hideSoon);
  root.addEventListener("pointerdown", (event) => (touching = event.pointerType === "touch"));
  root.addEventListener("focusin", (event) => !touching && showFor(event.target));
  root.addEventListener("focusout", hide);
  root.addEventListener("click", explainFirst);
  tip.addEventListener("pointerenter", () => clearTimeout(leaving));
  tip.addEventListener("pointerleave", hideSoon);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  document.addEventListener("pointerdown", (event) => isElsewhere(event.target) && hide());
  addEventListener("scroll", () => shownFor && place(), { passive: true, capture: true });
  addEventListener("resize", hide);
}

const isElsewhere = (target) => !tip.contains(target) && !target.closest(".mark");

// A finger cannot point without tapping: its first tap explains, the second opens.
function explainFirst(event) {
  const mark = event.target.closest(".mark");
  if (!mark || (shownFor === mark && touching) || (!touching && mark.tagName === "A")) return;
  event.preventDefault();
  showFor(mark);
}

function showFor(target) {
  const mark = target.closest(".mark");
  if (!mark) return;
  clearTimeout(leaving);
  if (shownFor === mark) return;
  hide();
  shownFor = mark;
  tip.replaceChildren(...contents(citationOf(mark), mark.tagName === "A"));
  tip.hidden = false;
  mark.setAttribute("aria-describedby", tip.id);
  place();
}

function hideSoon() {
  clearTimeout(leaving);
  leaving = setTimeout(hide, LEAVE_MS);
}

function hide() {
  clearTimeout(leaving);
  shownFor?.removeAttribute("aria-describedby");
  shownFor = null;
  tip.hidden = true;
}

// Above the mark where there is room, else below it, and never beyond the edges.
function place() {
  const mark = shownFor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.min(Math.max(GAP, mark.left + mark.width / 2 - width / 2), document.documentElement.clientWidth - width - GAP);
  const above = mark.top - height - GAP;
  tip.style.left = `${left}px`;
  const lowest = document.documentElement.clientHeight - height - GAP;
  tip.style.top = `${Math.max(GAP, Math.min(above >= GAP ? above : mark.bottom + GAP, lowest))}px`;
}

function contents(citation, opens) {
  const parts = [foreign("strong", "", citation.title || siteOf(citation.url)), element("span", "site", origin(citation))];
  if (citation.quote) parts.push(foreign("q", "", shortened(citation.quote)));
  parts.push(supportOf(citation));
  if (opens) parts.push(say(element("span", "hint"), hint(citation)));
  return parts;
}

// The whole of it stands on the page that the mark opens.
function shortened(quote) {
  const points = Array.from(String(quote));
  return points.length > LONGEST_QUOTE ? `${points.slice(0, LONGEST_QUOTE).join("").trimEnd()}…` : quote;
}

function origin(citation) {
  const site = plain(siteOf(citation.url));
  return citation.date ? `${site} · ${plain(day(citation.date))}` : site;
}

function supportOf({ support, quote }) {
  const made = element("span", "support");
  if (typeof support !== "number") return say(made, "unjudged");
  const words = quote ? (support >= WELL ? "supported" : "partly") : "weak";
  return say(made, "support", { words: () => word(words), percent: () => percentage(support) });
}

function hint(citation) {
  const what = citation.quote && webAddress(citation.url) ? "Quote" : "Page";
  return `${touching ? "tapOpens" : "opens"}${what}`;
}
