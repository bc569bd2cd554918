// What the model thinks, folded, as it comes.

import { element, plain } from "./elements.js";
import { nextFrame } from "./frames.js";
import { say } from "./say.js";

export class Thoughts {
  constructor() {
    this.fresh = "";
    this.summary = say(element("summary"), "reasoningRunning");
    this.body = element("div", "thought");
    this.body.dir = "auto";
    this.element = element("details", "thoughts", this.summary, this.body);
    this.element.hidden = true;
    this.draw = this.draw.bind(this);
  }

  add(piece) {
    this.fresh += piece;
    nextFrame(this.draw);
  }

  draw() {
    this.element.hidden = false;
    this.body.append(plain(this.fresh));
    this.fresh = "";
  }

  finish() {
    say(this.summary, "reasoning");
    this.element.classList.add("over");
  }
}
