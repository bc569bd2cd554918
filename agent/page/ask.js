// The page where one asks: the form, the thread, and one question at a time.

import { plain } from "./elements.js";
import { storedKey, storeKey } from "./key.js";
import { say, sayAll, speak, spoken } from "./say.js";
import { ask, chunks, Foreign, Refused, Unsendable } from "./stream.js";
import { explainMarks } from "./tooltip.js";
import { ServerError, Turn } from "./turn.js";

// The key of a letter still being composed, in browsers that end the composing before they tell of the key.
const COMPOSED = 229;
const find = (id) => document.getElementById(id);
const [form, question, effort, key, keyField] = ["ask", "question", "effort", "key", "key-field"].map(find);
const [send, stop, state, thread, welcome, fresh] = ["send", "stop", "state", "thread", "welcome", "fresh"].map(find);
let turns = [];
let running = null;

function submit(event) {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || running) return;
  question.value = "";
  run(new Turn(text, (now) => say(state, now)));
}

async function run(turn) {
  const begun = performance.now();
  const asked = begin(turn);
  try {
    await follow(turn, asked);
    say(state, "done", { seconds: Math.round((performance.now() - begun) / 100) / 10 });
  } catch (error) {
    turn.settle();
    explain(turn, error);
  } finally {
    end();
  }
}

// Puts a turn in the thread, and returns what the server is asked.
function begin(turn) {
  const messages = [...turns.flatMap((earlier) => earlier.messages), { role: "user", content: turn.question }];
  running = new AbortController();
  turns.push(turn);
  thread.append(turn.element);
  welcome.hidden = true;
  fresh.hidden = true;
  say(state, "searching");
  showRunning(true);
  if (turns.length > 1) turn.element.scrollIntoView({ block: "start" });
  return { model: effort.value, messages, stream: true, stream_options: { include_usage: true } };
}

async function follow(turn, asked) {
  const { signal } = running;
  const response = await ask(asked, key.value.trim(), signal);
  const id = response.headers.get("x-run-id");
  for await (const chunk of chunks(response)) {
    if (signal.aborted) break;
    turn.take(chunk);
  }
  signal.throwIfAborted();
  if (!turn.finished) throw new TypeError("no end");
  if (id) turn.leadToRun(id);
  await Promise.race([turn.answer.complete, aborted(signal)]);
}

function aborted(signal) {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

function explain(turn, error) {
  const stopped = error.name === "AbortError";
  say(state, stopped ? "stopped" : "failed");
  if (!question.value && !(stopped && turn.answer.text)) question.value = turn.question;
  if (stopped) return undefined;
  if (error instanceof Refused) return refuse(turn, error);
  if (error instanceof Unsendable) return refuseKey(turn);
  if (error instanceof Foreign) return turn.fail("foreign");
  if (error instanceof ServerError) return turn.fail("error", { message: plain(error.message) });
  return turn.fail(turn.state ? "brokenOff" : "unreachable");
}

function refuse(turn, { message, status }) {
  if (message) turn.fail("error", { message: plain(message) });
  else turn.fail("unreadable", { status });
  if (status === 401) askForKey();
}

function refuseKey(turn) {
  turn.fail("unsendable");
  askForKey();
}

function askForKey() {
  keyField.open = true;
  key.focus();
}

function end() {
  running = null;
  fresh.hidden = false;
  showRunning(false);
}

// The button that goes hands its focus to the one that comes.
function showRunning(isRunning) {
  const [going, coming] = isRunning ? [send, stop] : [stop, send];
  const focused = document.activeElement === going;
  going.hidden = true;
  coming.hidden = false;
  if (focused) coming.focus();
}

function sendByEnter(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === COMPOSED) return;
  event.preventDefault();
  form.requestSubmit();
}

function startAfresh() {
  turns = [];
  thread.replaceChildren();
  state.textContent = "";
  delete state.dataset.say;
  welcome.hidden = false;
  fresh.hidden = true;
  question.focus();
}

function showLanguage() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === spoken()));
  }
}

function choose(language) {
  speak(language);
  showLanguage();
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => choose(button.dataset.language));
}
form.addEventListener("submit", submit);
question.addEventListener("keydown", sendByEnter);
stop.addEventListener("click", () => running?.abort());
fresh.addEventListener("click", startAfresh);
key.value = storedKey();
key.addEventListener("input", () => storeKey(key.value));
sayAll();
showLanguage();
explainMarks(thread);
question.focus();
