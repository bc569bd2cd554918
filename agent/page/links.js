// Links that lead out: to the web alone, and telling it nothing of where they stood.

import { element } from "./elements.js";

const TEXT_DIRECTIVE = ":~:text=";

export function webAddress(url) {
  try {
    const parsed = new URL(url);
    return ["http:", "https:"].includes(parsed.protocol) ? parsed : null;
  } catch {
    return null;
  }
}

export function siteOf(url) {
  return webAddress(url)?.hostname.replace(/^www\./, "") ?? String(url);
}

// The address that opens a page at a quote; a long quote is named by its first and last words.
export function atQuote(url, quote, edgeWords = 5) {
  if (!quote || url.includes(TEXT_DIRECTIVE)) return url;
  const words = quote.trim().split(/\s+/);
  const ends = words.length <= 2 * edgeWords ? [words] : [words.slice(0, edgeWords), words.slice(-edgeWords)];
  const fragment = ends.map((end) => directiveText(end.join(" "))).join(",");
  return `${url}${url.includes("#") ? "" : "#"}${TEXT_DIRECTIVE}${fragment}`;
}

// encodeURIComponent leaves what the directive's own syntax takes: a dash joins a prefix or a suffix to the text.
function directiveText(text) {
  return encodeURIComponent(text.toWellFormed?.() ?? text).replace(/[-!'()*~._]/g, percent);
}

function percent(character) {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

// Where the address is none of the web's there is the text without a link.
export function linkTo(url, className, ...children) {
  const address = webAddress(url);
  const made = element(address ? "a" : "span", className, ...children);
  if (address) lead(made, address.href);
  return made;
}

export function lead(link, href) {
  link.href = href;
  link.rel = "noopener noreferrer nofollow";
  link.target = "_blank";
}
