// The page of one run: fetches its record and shows it, or says what is in the way.

import { storedKey, storeKey } from "./key.js";
import { chart } from "./run-chart.js";
import { context } from "./run-context.js";
import { make, plain, said } from "./run-dom.js";
import { download } from "./run-download.js";
import { dropped } from "./run-dropped.js";
import { facts } from "./run-facts.js";
import { fetched, messageOf } from "./run-fetch.js";
import { keyForm } from "./run-key.js";
import { pageTable, skipCounts } from "./run-page-table.js";
import { choose, words as chosenWords } from "./run-words.js";

const head = document.getElementById("head");
const main = document.getElementById("main");
let reply = null;

async function load() {
  reply = null;
  show();
  reply = await fetched();
  show();
}

function show() {
  const words = chosenWords();
  document.documentElement.lang = words.code;
  document.title = `${words.run} · Wellread`;
  head.replaceChildren(make("a", { class: "home", href: "../" }, "Wellread"), languageSwitch(words));
  main.replaceChildren(...shown(words));
}

function languageSwitch(words) {
  const button = make("button", { type: "button", lang: words.other }, words.switch);
  button.addEventListener("click", () => {
    choose(words.other);
    show();
    head.querySelector("button").focus();
  });
  return button;
}

function shown(words) {
  if (reply === null) return [title(words, words.run), make("p", { role: "status" }, words.loading)];
  if (reply.status === 200) return readable(words);
  if (reply.status === 401) return [title(words, words.run), keyForm(words, storedKey() !== "", withKey)];
  return [title(words, words.run), failure(words), again(words)];
}

// A record that cannot be shown is told as a failure: what stands before the server may answer in its place.
function readable(words) {
  try {
    return whole(JSON.parse(reply.text), reply.text, words);
  } catch (error) {
    console.error(error);
    document.title = `${words.run} · Wellread`;
    return [title(words, words.run), failed(words.unreadable), again(words)];
  }
}

function title(words, text) {
  return make("h1", {}, said(text));
}

function withKey(key) {
  storeKey(key);
  load();
}

function failure(words) {
  const why = reply.status === 0 ? words.unreachable : messageOf(reply);
  const more = reply.status === 404 ? make("p", {}, words.missing) : null;
  return failed(why, more);
}

function failed(why, more = null) {
  return make("div", { class: "failure", role: "alert" }, ...[make("p", {}, said(why)), more].filter(Boolean));
}

function again(words) {
  const button = make("button", { type: "button" }, words.again);
  button.addEventListener("click", load);
  return button;
}

function whole(record, text, words) {
  const asked = record.plan?.question ?? record.id;
  document.title = `${plain(asked)} · Wellread`;
  return [
    title(words, asked),
    make("p", { class: "lead" }, lead(record, words), download(record, text, words)),
    make("section", { "aria-labelledby": "time" }, make("h2", { id: "time" }, words.time), chart(record, words)),
    facts(record, words),
    pageTable(record, words),
    skipCounts(record, words),
    context(record, words),
    dropped(record, words),
  ];
}

function lead(record, words) {
  return `${words.run}: ${words.status[record.status]}, ${words.rounded(record.took_ms / 1000)} ${words.s}. `;
}

load();
