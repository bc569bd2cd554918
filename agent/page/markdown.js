// Builds the nodes of an answer from the tokens of its Markdown. No text ever becomes markup, and nothing is loaded.

import { element, plain } from "./elements.js";
import { linkTo } from "./links.js";
import { mark } from "./marks.js";
import { marked } from "./marked.js";
import { formula, FORMULAS } from "./formula.js";
import { LONG_WORDS, lookForLongWords } from "./long-words.js";

const DEEPEST = 40;
const MARK_LABEL = /^\[(\d{1,4})\]$/;
const ENTITY = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gi;
const NAMED = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const PLAIN_ELEMENTS = { strong: "strong", em: "em", del: "del", blockquote: "blockquote", paragraph: "p" };

marked.use({ extensions: [...FORMULAS, LONG_WORDS] });

// The blocks of a text, each with the very text it was read from.
export function blocks(text) {
  try {
    lookForLongWords(text);
    return marked.lexer(text);
  } catch {
    return [{ type: "paragraph", raw: text, tokens: [{ type: "text", text }] }];
  }
}

export function built(token, depth = 0) {
  if (depth > DEEPEST) return [plain(token.raw)];
  const own = BUILDERS[token.type];
  if (own) return own(token, depth);
  const name = PLAIN_ELEMENTS[token.type];
  if (name) return [directed(element(name, "", within(token, depth)))];
  return token.tokens ? within(token, depth) : [plain(token.raw)];
}

function within(token, depth) {
  return (token.tokens ?? []).flatMap((inner) => built(inner, depth + 1));
}

function directed(node) {
  if (["P", "BLOCKQUOTE"].includes(node.tagName)) node.dir = "auto";
  return node;
}

const BUILDERS = {
  space: () => [],
  def: () => [],
  br: () => [element("br")],
  hr: () => [element("hr")],
  escape: (token) => [plain(token.text)],
  text: (token, depth) => (token.tokens ? within(token, depth) : [plain(decoded(token.text))]),
  html: (token) => [token.block ? element("p", "", plain(token.raw)) : plain(token.raw)],
  image: (token) => [plain(decoded(token.text))],
  codespan: (token) => [element("code", "", plain(token.text))],
  code: (token) => [codeBlock(token.text)],
  checkbox: (token) => [token.checked ? "☑ " : "☐ "],
  formula: (token) => [formula(token)],
  formulaBlock: (token) => [reachable(element("div", "formula", formula(token)))],
  heading: (token, depth) => [element(`h${Math.min(token.depth + 2, 6)}`, "", within(token, depth))],
  link: (token, depth) => [link(token, depth)],
  list: (token, depth) => [list(token, depth)],
  table: (token, depth) => [table(token, depth)],
};

function decoded(text) {
  return text.replace(ENTITY, (whole, decimal, hexadecimal, name) => {
    if (name) return NAMED[name.toLowerCase()];
    const point = decimal ? Number(decimal) : parseInt(hexadecimal, 16);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}

function codeBlock(text) {
  return reachable(element("pre", "", element("code", "", plain(text))));
}

// What is wider than the page is scrolled by keys too.
function reachable(block) {
  block.tabIndex = 0;
  return block;
}

function link(token, depth) {
  const [, number] = token.text.match(MARK_LABEL) ?? [];
  return number ? mark(number, token.href, token.title) : linkTo(token.href, "", within(token, depth));
}

function list(token, depth) {
  const made = element(token.ordered ? "ol" : "ul");
  if (token.ordered && token.start > 1) made.start = token.start;
  for (const item of token.items) made.append(directedItem(item, depth));
  return made;
}

function directedItem(item, depth) {
  const made = element("li", "", within(item, depth + 1));
  made.dir = "auto";
  return made;
}

function table(token, depth) {
  const rows = [token.header, ...token.rows].map((cells) => row(cells, depth));
  const made = element("table", "", element("thead", "", rows[0]), element("tbody", "", rows.slice(1)));
  return reachable(element("div", "table", made));
}

function row(cells, depth) {
  return element("tr", "", cells.map((cell) => tableCell(cell, depth)));
}

function tableCell(cell, depth) {
  const made = element(cell.header ? "th" : "td", "", within(cell, depth + 1));
  if (cell.align) made.style.textAlign = cell.align;
  return made;
}
