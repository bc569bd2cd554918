// Says what the page has to say in the language that is chosen, and says it again when another one is.

import { recall, remember } from "./storage.js";
import { STRINGS } from "./strings.js";

const STORED = "wellread.language";
const WRITERS = {
  say: (node, text) => (node.textContent = text),
  sayLabel: (node, text) => node.setAttribute("aria-label", text),
  sayPlaceholder: (node, text) => (node.placeholder = text),
};
const given = new WeakMap();
let language = recall("localStorage", STORED);
if (!Object.hasOwn(STRINGS, language)) language = navigator.language.toLowerCase().startsWith("ru") ? "ru" : "en";

export const spoken = () => language;

export function speak(chosen) {
  language = chosen;
  remember("localStorage", STORED, chosen);
  sayAll();
}

export function sayAll() {
  document.documentElement.lang = language;
  document.title = word("title");
  for (const node of document.querySelectorAll("[data-say], [data-say-label], [data-say-placeholder]")) sayAgain(node);
}

export const say = (node, key, values) => sayAs("say", node, key, values);
export const sayLabel = (node, key, values) => sayAs("sayLabel", node, key, values);

function sayAs(kind, node, key, values = {}) {
  node.dataset[kind] = key;
  given.set(node, { ...given.get(node), [kind]: values });
  WRITERS[kind](node, word(key, values));
  return node;
}

function sayAgain(node) {
  for (const [kind, write] of Object.entries(WRITERS)) {
    if (node.dataset[kind]) write(node, word(node.dataset[kind], given.get(node)?.[kind]));
  }
}

// A value that is a function is asked for its words each time they are said.
export function word(key, values = {}) {
  const text = [STRINGS[language], STRINGS.en].find((strings) => Object.hasOwn(strings, key))?.[key] ?? String(key);
  return text.replace(/\{(\w+)\}/g, (_, name) => written(Object.hasOwn(values, name) ? values[name] : ""));
}

function written(value) {
  if (typeof value === "function") return value();
  return typeof value === "number" ? new Intl.NumberFormat(language).format(value) : String(value ?? "");
}

export function percentage(share) {
  return new Intl.NumberFormat(language, { style: "percent" }).format(share);
}

export function day(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" }).format(date);
}
