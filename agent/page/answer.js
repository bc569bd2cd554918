// The answer as it is written: blocks that have not changed stay, the others are built again, a few in each frame.

import { element, plain } from "./elements.js";
import { nextFrame } from "./frames.js";
import { blocks, built } from "./markdown.js";
import { linked, tellMarks } from "./marks.js";
import { sayLabel } from "./say.js";

// How long a text that is slow to read is left alone, in times of what it took.
const REST = 3;
// What building blocks may take of one frame.
const FRAME_MS = 10;

export class AnswerView {
  constructor() {
    this.text = "";
    this.shown = "";
    this.drawn = [];
    this.restUntil = 0;
    this.annotations = null;
    this.complete = new Promise((resolve) => (this.completed = resolve));
    this.element = sayLabel(element("section", "answer"), "answer");
    this.draw = this.draw.bind(this);
  }

  add(piece) {
    this.text += piece;
    this.shown = this.text;
    nextFrame(this.draw);
  }

  // Nothing more is written; `complete` is when the whole of it is shown, with what is known of its marks.
  finish(annotations) {
    this.annotations = [...annotations].sort((one, other) => one.start_index - other.start_index);
    this.shown = linked(this.text, this.annotations);
    nextFrame(this.draw);
  }

  draw() {
    const begun = performance.now();
    if (begun < this.restUntil) return nextFrame(this.draw);
    const tokens = blocks(this.shown);
    this.restUntil = performance.now() + REST * (performance.now() - begun);
    return this.replaceBlocks(tokens);
  }

  replaceBlocks(tokens) {
    const changed = tokens.findIndex((token, index) => token.raw !== this.drawn[index]?.raw);
    const same = changed < 0 ? tokens.length : changed;
    for (const old of this.drawn.splice(same)) for (const node of old.nodes) node.remove();
    return this.append(tokens.slice(same));
  }

  append(tokens) {
    const end = performance.now() + FRAME_MS;
    for (const token of tokens) {
      if (performance.now() > end) return nextFrame(this.draw);
      this.drawn.push({ raw: token.raw, nodes: this.appended(token) });
    }
    return this.annotations && this.tell();
  }

  tell() {
    tellMarks(this.element, this.text, this.annotations);
    this.completed();
  }

  appended(token) {
    const nodes = built(token).map((node) => (typeof node === "string" ? element("p", "", plain(node)) : node));
    this.element.append(...nodes);
    return nodes;
  }
}
