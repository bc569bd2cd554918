// Formulas in TeX: finds them in Markdown, and shows the common ones as MathML, the others as their source.

import { element, plain } from "./elements.js";
import { math } from "./tex.js";

const INLINE = [
  /^\$\$([^$]+?)\$\$/,
  /^\$(?![\s$])((?:\\.|[^$\\\n])*?(?:\\.|[^\s$\\]))\$(?!\d)/,
  /^\\\(([\s\S]+?)\\\)/,
  /^\\\[([\s\S]+?)\\\]/,
];
const BLOCK = [/^ {0,3}\$\$([\s\S]+?)\$\$[ \t]*(?:\n|$)/, /^ {0,3}\\\[([\s\S]+?)\\\][ \t]*(?:\n|$)/];
const INLINE_START = /\$|\\[([]/;
const BLOCK_START = /\n {0,3}(?:\$\$|\\\[)/;

export const FORMULAS = [
  reader("formula", "inline", INLINE_START, INLINE),
  reader("formulaBlock", "block", BLOCK_START, BLOCK),
];

function reader(name, level, start, patterns) {
  return {
    name,
    level,
    start: (source) => source.match(start)?.index,
    tokenizer: (source) => token(name, source, patterns),
  };
}

function token(name, source, patterns) {
  for (const pattern of patterns) {
    const found = source.match(pattern);
    if (found) return { type: name, raw: found[0], text: found[1].trim(), display: /^\s*(?:\$\$|\\\[)/.test(found[0]) };
  }
  return undefined;
}

export function formula({ text, display, raw }) {
  return math(plain(text), display) ?? element("code", "math", plain(raw.trim()));
}
