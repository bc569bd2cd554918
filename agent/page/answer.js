// The answer as it is written: blocks that have not changed stay, the others are built again, a few in each frame.

import { element, plain, unplaced } from "./elements.js";
import { nextFrame } from "./frames.js";
import { blocks, built } from "./markdown.js";
import { linked, marksIn, takePlaces, tellMarks } from "./marks.js";
import { sayLabel } from "./say.js";

// How long a text that is slow to read is left alone, in times of what it took.
const REST = 3;
// What building blocks may take of one frame.
const FRAME_MS = 10;

export class AnswerView {
  constructor() {
    this.text = "";
    this.shown = "";
    this.read = "";
    this.tokens = [];
    this.at = 0;
    this.drawn = [];
    this.fallen = false;
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
    this.annotations = annotations.filter(isPlaced).sort((one, other) => one.start_index - other.start_index);
    this.shown = linked(this.text, this.annotations);
    nextFrame(this.draw);
  }

  // Whatever goes wrong, the text is shown, and the page goes on.
  draw() {
    if (this.fallen) return this.showPlain();
    try {
      return this.drawSome();
    } catch (error) {
      reportError(error);
      this.fallen = true;
      return this.showPlain();
    }
  }

  showPlain() {
    this.element.replaceChildren(element("p", "fallen", plain(this.text)));
    return this.annotations && this.completed();
  }

  drawSome() {
    if (this.read !== this.shown && performance.now() >= this.restUntil) this.readAgain();
    const end = performance.now() + FRAME_MS;
    for (; this.at < this.tokens.length; this.at += 1) {
      if (performance.now() > end) return nextFrame(this.draw);
      this.drawBlock(this.tokens[this.at], this.drawn[this.at]);
    }
    if (this.read !== this.shown) return nextFrame(this.draw);
    return this.annotations && this.tell();
  }

  readAgain() {
    const begun = performance.now();
    this.tokens = blocks(this.shown);
    this.read = this.shown;
    this.restUntil = performance.now() + REST * (performance.now() - begun);
    const same = this.tokens.findIndex((token, index) => unplaced(token.raw) !== this.drawn[index]?.shown);
    for (const old of this.drawn.splice(same < 0 ? this.tokens.length : same)) for (const node of old.nodes) node.remove();
    const changed = this.tokens.findIndex((token, index) => token.raw !== this.drawn[index]?.raw);
    this.at = changed < 0 ? this.tokens.length : changed;
  }

  drawBlock(token, old) {
    if (token.raw === old?.raw) return;
    const nodes = built(token).map((node) => (typeof node === "string" ? element("p", "", plain(node)) : node));
    if (old && takePlaces(old.nodes.flatMap(marksOf), nodes.flatMap(marksOf))) {
      old.raw = token.raw;
      return;
    }
    for (const node of nodes) this.element.insertBefore(node, old?.nodes[0] ?? null);
    for (const node of old?.nodes ?? []) node.remove();
    this.drawn[this.at] = { raw: token.raw, shown: unplaced(token.raw), nodes };
  }

  tell() {
    tellMarks(this.element, this.annotations);
    this.completed();
  }
}

const marksOf = (node) => [...marksIn(node)];

function isPlaced({ url, start_index: start, end_index: end }) {
  return typeof url === "string" && [start, end].every(Number.isInteger) && start >= 0 && end > start;
}
