// The answer as it is written: blocks that have not changed stay, the others are built again, once a frame at most.

import { element, plain } from "./elements.js";
import { nextFrame } from "./frames.js";
import { blocks, built } from "./markdown.js";
import { linked, tellMarks } from "./marks.js";
import { sayLabel } from "./say.js";

// How long a text that is slow to read is left alone, in times of what it took.
const REST = 3;

export class AnswerView {
  constructor() {
    this.text = "";
    this.shown = "";
    this.drawn = [];
    this.restUntil = 0;
    this.element = sayLabel(element("section", "answer"), "answer");
    this.draw = this.draw.bind(this);
  }

  add(piece) {
    this.text += piece;
    this.shown = this.text;
    nextFrame(this.draw);
  }

  // Shows the whole of it, with what is known of its marks.
  finish(annotations) {
    const inOrder = [...annotations].sort((one, other) => one.start_index - other.start_index);
    this.shown = linked(this.text, inOrder);
    this.replaceBlocks();
    tellMarks(this.element, this.text, inOrder);
  }

  draw() {
    const begun = performance.now();
    if (begun < this.restUntil) return nextFrame(this.draw);
    this.replaceBlocks();
    this.restUntil = performance.now() + REST * (performance.now() - begun);
    return undefined;
  }

  replaceBlocks() {
    const tokens = blocks(this.shown);
    const changed = tokens.findIndex((token, index) => token.raw !== this.drawn[index]?.raw);
    const same = changed < 0 ? tokens.length : changed;
    for (const old of this.drawn.splice(same)) for (const node of old.nodes) node.remove();
    for (const token of tokens.slice(same)) this.drawn.push({ raw: token.raw, nodes: this.appended(token) });
  }

  appended(token) {
    const nodes = built(token).map((node) => (typeof node === "string" ? element("p", "", plain(node)) : node));
    this.element.append(...nodes);
    return nodes;
  }
}
