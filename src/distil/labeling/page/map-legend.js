// The legend of the map: its classes, how many of their items are in view, and a button that selects these.

import { button, count, h, plural } from "./dom.js";
import { OPEN } from "./map-data.js";
import { drawMark, rampOf } from "./palette.js";

const MARK = 15; // pixels
const PAUSE_MS = 120;

export class Legend {
  #timer = 0;

  /** What is in view, in words. */
  words = "";

  /** @param {(rows: number[], name: string) => void} choose */
  constructor(choose) {
    this.choose = choose;
    this.ramp = h("div", { class: "map-ramp", hidden: true }, h("span", null, "sure"), h("span", { class: "ramp" }), h("span", null, "not sure"));
    this.all = button({ onclick: () => this.choose(this.rows, "all open items") }, "Select all open");
    this.list = h("ul", { class: "map-classes", tabindex: "0", "aria-label": "Items in view by class" });
    this.head = h("p", { class: "hint map-columns", "aria-hidden": "true" }, h("span", null, "labels"), h("span", null, "select open"));
    this.element = h("div", { class: "map-legend" }, this.ramp, h("h2", null, "In view"), this.all, this.head, this.list);
  }

  /** Count what is in view; while it moves, after a pause. */
  draw(map, rows, how) {
    this.words = `${plural(rows.length, "item")} in view.`;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#draw(map, rows, how), PAUSE_MS);
  }

  #draw(map, rows, { by, theme, guesses }) {
    const groups = new Map([...map.classes.map((name, label) => [label, { name, labeled: 0, open: [] }]), [-1, { name: "no guess", labeled: 0, open: [] }]]);
    this.rows = [];
    for (const row of rows) {
      const open = map.state[row] === OPEN;
      if (open) this.rows.push(row);
      if (map.label[row] >= 0) groups.get(map.label[row]).labeled += 1;
      else if (open) groups.get(guesses ? map.guess[row] : -1).open.push(row);
    }
    this.all.textContent = `Select all ${count(this.rows.length)} open`;
    this.all.disabled = this.rows.length === 0;
    this.ramp.hidden = by !== "sure";
    this.ramp.querySelector(".ramp").style.background = `linear-gradient(to right, ${rampOf(theme).join(", ")})`;
    this.list.replaceChildren(...[...groups].map(([label, group]) => this.#row(label, group, theme, by)));
  }

  #row(label, { name, labeled, open }, theme, by) {
    const marks = by === "class" ? [1, 0.45].map((opacity) => mark(label, theme, opacity)) : [];
    const numbers = [labeled > 0 && `${count(labeled)} labeled`, open.length > 0 && label >= 0 && `${count(open.length)} guessed`].filter(Boolean);
    const select = button({ "aria-label": `Select ${plural(open.length, "open item")} of ${name}`, onclick: () => this.choose(open, name) }, count(open.length));
    select.disabled = open.length === 0;
    return h("li", null, h("span", { class: "marks" }, label < 0 ? marks.slice(1) : marks), h("span", { class: "name", title: name }, name),
      h("span", { class: "unseen" }, numbers.join(", ")), h("span", { class: "hint", "aria-hidden": "true" }, labeled > 0 ? count(labeled) : ""), select);
  }
}

function mark(label, theme, opacity) {
  const canvas = h("canvas", { width: MARK, height: MARK, "aria-hidden": "true" });
  drawMark(canvas, label, theme, opacity);
  return canvas;
}
