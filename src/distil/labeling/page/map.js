// The map of all items: the legend, what is under the pointer, and what can be done with a selection.

import { button, h, percent, plural } from "./dom.js";
import { unread } from "./empty.js";
import { small, titleOf } from "./item.js";
import { inside } from "./lasso.js";
import { Bulk } from "./map-bulk.js";
import { Legend } from "./map-legend.js";
import { OPEN, parse } from "./map-data.js";
import { MapView } from "./map-view.js";
import { looks, themeOf } from "./palette.js";

const REST_MS = 80; // that the pointer rests on a point before its item is asked for
const PAUSE_MS = 1000; // between two readings of the map
const KEPT = 500; // items that were shown
const METHODS = {
  pca: "Near each other where the model sees them alike (two principal components; a better map follows)",
  tsne: "Near each other where the model sees them alike (t-SNE)",
};

/** @param {HTMLElement} element @param {import("./main.js").App} app */
export function mount(element, app) {
  return new PoolMap(element, app);
}

class PoolMap {
  #map = null;
  #by = "class";
  #chosen = null; // rows, a Set
  #items = new Map();
  #hovered = -1;
  #timer = 0;
  #read = -PAUSE_MS;

  constructor(element, app) {
    this.app = app;
    this.view = new MapView();
    this.title = h("h2", null, "Map");
    this.method = h("p", { class: "hint" });
    this.tip = h("div", { class: "map-tip", hidden: true });
    this.legend = new Legend((rows, name) => this.#choose(rows, `of ${name} in view`));
    this.bulk = new Bulk(app, { clear: () => this.clear(), changed: () => this.#load() });
    this.empty = h("div", null);
    this.view.element.append(this.tip);
    this.body = h("div", { class: "map-body", hidden: true }, h("div", { class: "map-main" }, this.view.element, this.bulk.element), this.legend.element);
    element.append(h("div", { class: "map-head" }, this.title, this.#tools()), this.method, this.empty, this.body);
    this.#listen();
  }

  #listen() {
    const on = (name, act) => this.view.addEventListener(name, (event) => act(event.detail));
    on("hover", (found) => this.#hover(found));
    on("pick", (found) => this.#open(found.row));
    on("lasso", ({ outline }) => this.#choose(inside(outline, this.#map.xy, this.#openRows()), "inside the line"));
    on("view", () => this.#drawLegend());
    const { desk } = this.app;
    for (const name of ["map", "classes", "back"]) desk.addEventListener(name, () => this.refresh());
    desk.addEventListener("change", () => this.app.isShown("map") && this.#paint()); // guesses hidden or shown
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
    new MutationObserver(() => this.#paint()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  #tools() {
    const by = h("select", { id: "map-by" }, h("option", { value: "class" }, "class"), h("option", { value: "sure" }, "how sure the model is"));
    by.addEventListener("change", () => { this.#by = by.value; this.#paint(); });
    this.tools = [["lasso", "Lasso"], ["move", "Move"]].map(([name, text]) => button({ "data-tool": name, onclick: () => this.#take(name) }, text));
    this.#take("lasso");
    return h("div", { class: "row" }, h("label", { for: "map-by" }, "Color by"), by, h("span", { class: "row", role: "group", "aria-label": "What dragging does" }, this.tools),
      button({ onclick: this.view.closer, "aria-label": "Zoom in" }, "+"), button({ onclick: this.view.farther, "aria-label": "Zoom out" }, "−"),
      button({ onclick: this.view.all }, "Show all"));
  }

  #take(name) {
    this.view.tool = name;
    this.view.element.dataset.tool = name;
    for (const tool of this.tools) tool.setAttribute("aria-pressed", String(tool.dataset.tool === name));
  }

  // ------------------------------------------------------------------------------------------------------- the numbers

  shown() {
    this.refresh();
  }

  /** Read the map again, if it is shown; at most once a second. */
  refresh() {
    const wait = this.#read + PAUSE_MS - performance.now();
    if (!this.app.isShown("map")) return;
    this.#read = performance.now() + Math.max(0, wait);
    if (wait <= 0) this.#load();
    else if (wait < PAUSE_MS) setTimeout(() => this.#load(), wait);
  }

  async #load() {
    try {
      const found = await this.app.bytes("/api/map");
      if (found.byteLength > 0) this.#show(parse(found));
      this.empty.replaceChildren(noMap());
    } catch (error) {
      this.empty.replaceChildren(unread(error, () => this.#load()));
      if (this.#map !== null) this.app.fail(error);
    }
    this.empty.hidden = this.#map !== null;
    this.body.hidden = this.#map === null;
  }

  #show(map) {
    this.#map = map;
    this.#items.clear();
    this.title.textContent = `Map of ${plural(map.n, "item")}`;
    this.method.textContent = METHODS[map.method] ?? "";
    if (this.#chosen) this.#chosen = new Set([...this.#chosen].filter((row) => map.state[row] === OPEN));
    this.body.hidden = false;
    this.view.show(map);
    this.#paint();
    this.bulk.offer(this.#places(), map.classes);
  }

  #paint() {
    if (!this.#map) return;
    this.theme = themeOf(this.view.element);
    const chosen = this.#chosen?.size ? this.#chosen : null;
    const look = looks(this.#map, { theme: this.theme, by: this.#by, guesses: !this.app.desk.hidden, chosen });
    this.view.paint(look, Int32Array.from(chosen ?? []));
    this.#drawLegend();
  }

  #drawLegend() {
    if (this.#map) this.legend.draw(this.#map, this.view.inView(), { by: this.#by, theme: this.theme, guesses: !this.app.desk.hidden });
  }

  // --------------------------------------------------------------------------------------------------------- selection

  /** The rows of the open items, which can be selected. */
  #openRows() {
    const rows = new Int32Array(this.#map.n).map((_, row) => row);
    return rows.filter((row) => this.#map.state[row] === OPEN);
  }

  #places() {
    return [...(this.#chosen ?? [])];
  }

  #choose(rows, where) {
    this.#chosen = new Set(rows);
    this.#paint();
    this.bulk.offer(this.#places(), this.#map.classes, this.#likely(rows));
    if (rows.length === 0) this.app.note(`There is no open item ${where}.`);
  }

  /** The class that the model guesses for most of some rows. */
  #likely(rows) {
    const counts = this.#map.classes.map(() => 0);
    for (const row of rows) if (this.#map.guess[row] >= 0) counts[this.#map.guess[row]] += 1;
    return this.app.desk.hidden ? undefined : this.#map.classes[counts.indexOf(Math.max(...counts, 1))];
  }

  clear() {
    this.#chosen = null;
    this.#paint();
    this.bulk.offer([], this.#map.classes);
  }

  // --------------------------------------------------------------------------------------------------------- one item

  async #item(row) {
    if (!this.#items.has(row)) {
      const { items } = await this.app.get(`/api/items?places=${row}`);
      if (this.#items.size >= KEPT) this.#items.clear();
      this.#items.set(row, items[0]);
    }
    return this.#items.get(row);
  }

  #hover(found) {
    if ((found?.row ?? -1) === this.#hovered) return;
    this.#hovered = found?.row ?? -1;
    this.tip.hidden = true;
    clearTimeout(this.#timer);
    if (found) this.#timer = setTimeout(() => this.#tell(found), REST_MS);
  }

  async #tell({ row, x, y }) {
    const item = await this.#item(row).catch(() => undefined);
    if (!item || row !== this.#hovered) return;
    const guess = this.app.desk.guessOf(item);
    const { label } = this.#map;
    const said = label[row] >= 0 ? `Label: ${this.#map.classes[label[row]]}` : guess ? `Guess: ${guess.label}, ${percent(guess.p)}` : "No label";
    this.tip.replaceChildren(small(item), h("p", { class: "name" }, titleOf(item)), h("p", { class: "hint" }, said));
    this.tip.hidden = false;
    const { clientWidth, clientHeight } = this.view.element;
    this.tip.style.left = `${Math.max(0, Math.min(x + 12, clientWidth - this.tip.offsetWidth))}px`;
    this.tip.style.top = `${y + 12 + this.tip.offsetHeight > clientHeight ? Math.max(0, y - 12 - this.tip.offsetHeight) : y + 12}px`;
  }

  async #open(row) {
    try {
      const item = await this.#item(row);
      if (item) this.app.open(item.id);
    } catch (error) {
      this.app.fail(error);
    }
  }

  // ------------------------------------------------------------------------------------------------------------- keys

  press(name) {
    const { view } = this;
    if (!this.#map || this.legend.list.contains(document.activeElement)) return false; // where arrows scroll
    const act = {
      arrowleft: () => view.move(-0.15, 0), arrowright: () => view.move(0.15, 0), arrowup: () => view.move(0, -0.15), arrowdown: () => view.move(0, 0.15),
      "+": view.closer, "=": view.closer, "-": view.farther, 0: view.all, enter: () => this.#middle(),
    }[name];
    act?.();
    if (act && name !== "enter") this.app.announce(this.legend.words);
    return act !== undefined;
  }

  #middle() {
    const { clientWidth, clientHeight } = this.view.element;
    const found = this.view.nearest(clientWidth / 2, clientHeight / 2, Math.max(clientWidth, clientHeight));
    if (found) this.#open(found.row);
    else this.app.note("No item is in view. Press 0 to show all.");
  }
}

const noMap = () => h("div", { class: "empty" }, h("h2", null, "There is no map yet"),
  h("p", null, "It is made when the model has read all items, and appears here by itself."));
