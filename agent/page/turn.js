// One question and what comes of it, from the first search to the sources.

import { AnswerView } from "./answer.js";
import { Board } from "./board.js";
import { element, foreign } from "./elements.js";
import { coverageLine, sourceList, unsupportedList } from "./sources.js";
import { say } from "./say.js";
import { Thoughts } from "./thoughts.js";

const ENDINGS = { length: "cut", content_filter: "filtered" };

export class ServerError extends Error {}

export class Turn {
  // `onState` is told what the server does now, whenever that changes.
  constructor(question, onState) {
    this.question = question;
    this.onState = onState;
    this.state = "";
    this.finished = false;
    this.failed = false;
    this.annotations = [];
    this.board = new Board();
    this.thoughts = new Thoughts();
    this.answer = new AnswerView();
    this.board.element.hidden = true;
    this.answer.element.hidden = true;
    this.under = element("footer");
    this.element = element("article", "turn", foreign("h2", "asked", question));
    this.element.append(this.board.element, this.thoughts.element, this.answer.element, this.under);
  }

  // What a follow-up tells the server of this turn.
  get messages() {
    if (this.failed || !this.answer.text) return [];
    return [{ role: "user", content: this.question }, { role: "assistant", content: this.answer.text }];
  }

  take(chunk) {
    if (chunk.error) throw new ServerError(chunk.error.message);
    if (chunk.wellread) this.watch(chunk.wellread);
    const [choice] = chunk.choices ?? [];
    if (choice) this.takeDelta(choice.delta ?? {});
    if (choice?.finish_reason) this.end(chunk, choice.finish_reason);
  }

  watch(step) {
    this.board.element.hidden = false;
    this.board.take(step);
    if (!this.answer.text) this.is(step.sources ? "thinking" : step.found || step.page ? "readingPages" : "searching");
  }

  takeDelta(delta) {
    if (delta.reasoning_content) this.think(delta.reasoning_content);
    const said = (delta.content ?? "") + (delta.refusal ?? "");
    if (said) this.write(said);
    if (delta.annotations) this.annotations = delta.annotations.map((each) => each?.url_citation ?? {});
  }

  think(piece) {
    this.is("thinking");
    this.thoughts.add(piece);
  }

  write(piece) {
    if (!this.answer.text) {
      this.board.fold();
      this.thoughts.finish();
      this.answer.element.hidden = false;
    }
    this.is("writing");
    this.answer.add(piece);
  }

  is(state) {
    if (state !== this.state) this.onState((this.state = state));
  }

  end(chunk, reason) {
    this.finished = true;
    this.settle();
    if (reason in ENDINGS) this.under.append(say(element("p", "note"), ENDINGS[reason]));
    if (chunk.search_results?.length) this.under.append(sourceList(chunk.search_results));
    if (chunk.unsupported?.length) this.under.append(unsupportedList(chunk.unsupported));
    if (chunk.coverage) this.under.append(coverageLine(chunk.coverage));
  }

  // Nothing more comes, whether it ended well or not.
  settle() {
    this.board.take({ sources: [] });
    this.thoughts.finish();
    this.answer.finish(this.annotations);
  }

  fail(key, values) {
    this.failed = true;
    const text = element("p", "error");
    text.setAttribute("role", "alert");
    this.element.append(text);
    say(text, key, values);
  }

  leadToRun(id) {
    const link = say(element("a"), "run");
    link.href = `runs/${encodeURIComponent(id)}`;
    link.target = "_blank";
    link.rel = "opener"; // the key of this tab goes with it
    this.element.append(element("p", "run", link));
  }
}
