// What is searched and read, as it happens: queries, a tile for each page, and how many there are of each kind.

import { element, foreign, plain } from "./elements.js";
import { nextFrame } from "./frames.js";
import { linkTo, siteOf } from "./links.js";
import { say, sayLabel, word } from "./say.js";

const MOST_QUERIES = 60;
const MOST_TILES = 400;
// What tiles may take of one frame; the others wait for the next.
const FRAME_MS = 6;

export class Board {
  constructor() {
    this.pages = new Map();
    this.counts = { found: 0, read: 0, skipped: 0 };
    this.changed = new Set();
    this.queries = new Set();
    this.shownQueries = 0;
    this.summary = element("summary");
    this.queryList = sayLabel(element("ul", "queries"), "queries");
    this.tiles = sayLabel(element("ul", "tiles"), "pages");
    this.tiles.tabIndex = 0;
    this.overflow = element("p", "overflow");
    this.element = element("details", "board", this.summary, this.queryList, this.tiles, this.overflow);
    this.element.open = true;
    this.draw = this.draw.bind(this);
    this.drawSummary();
  }

  take({ searching = [], found = [], page, sources }) {
    for (const query of searching) this.queries.add(query);
    for (const url of found) this.page(url);
    if (page) this.tell(page);
    if (sources) this.readingIsOver(new Set(sources));
    nextFrame(this.draw);
  }

  // Lets the answer have the room; whoever wants to may open it again.
  fold() {
    this.element.open = false;
  }

  page(url) {
    if (!this.pages.has(url)) {
      this.pages.set(url, { url, title: "", status: "waiting" });
      this.changed.add(url);
      this.counts.found += 1;
    }
    return this.pages.get(url);
  }

  tell(outcome) {
    const page = this.page(outcome.asked);
    if (page.status in this.counts) this.counts[page.status] -= 1;
    Object.assign(page, outcome);
    if (page.status in this.counts) this.counts[page.status] += 1;
    this.changed.add(outcome.asked);
  }

  readingIsOver(given) {
    for (const [asked, page] of this.pages) {
      if (page.status === "waiting") page.status = "notNeeded";
      else if (given.has(page.url)) page.given = true;
      else continue;
      this.changed.add(asked);
    }
  }

  draw() {
    const end = performance.now() + FRAME_MS;
    this.drawSummary();
    this.drawQueries();
    for (const asked of this.changed) {
      if (performance.now() > end) return nextFrame(this.draw);
      this.changed.delete(asked);
      this.drawTile(this.pages.get(asked));
    }
    return undefined;
  }

  drawSummary() {
    say(this.summary, "board", this.counts);
  }

  drawQueries() {
    const shown = [...this.queries].slice(this.shownQueries, MOST_QUERIES);
    this.queryList.append(...shown.map((query) => foreign("li", "", query)));
    this.shownQueries += shown.length;
  }

  drawTile(page) {
    if (!page.tile && this.tiles.childElementCount >= MOST_TILES) {
      say(this.overflow, "more", { count: this.pages.size - MOST_TILES });
      return;
    }
    if (!page.tile) this.tiles.append((page.tile = element("li")));
    page.tile.dataset.status = page.status;
    const title = linkTo(page.url, "title", plain(page.title) || plain(siteOf(page.url)));
    title.dir = "auto";
    page.tile.replaceChildren(title, element("span", "site", plain(siteOf(page.url))), stateOf(page));
  }
}

function stateOf(page) {
  const made = element("span", "became");
  if (page.given) return say(made, "given");
  if (page.status === "skipped") return say(made, "skippedPage", { reason: () => word(page.reason ?? "") });
  if (page.status !== "read") return say(made, page.status);
  return page.cached ? say(made, "readCached") : say(made, "readTime", { ms: page.ms });
}
