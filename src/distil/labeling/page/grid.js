// Many items of one guessed class at once: mark the wrong ones, and Enter confirms the rest.

import { button, count, h, key, percent, plural } from "./dom.js";
import { emptyState, unread } from "./empty.js";
import { small, titleOf } from "./item.js";
import { Stopwatch } from "./stopwatch.js";

const AT_ONCE = 24;

/** @param {HTMLElement} element @param {import("./main.js").App} app */
export function mount(element, app) {
  return new Grid(element, app);
}

class Grid {
  #items = [];
  #wrong = new Set();
  #unseen = new Set(); // items that cannot be shown
  #label = null; // the class on the screen
  #wish = null; // the class that the person chose; null: the one with most items
  #watch = new Stopwatch();
  #loading = false;

  constructor(element, app) {
    this.app = app;
    this.desk = app.desk;
    this.select = h("select", { id: "grid-class" });
    this.select.addEventListener("change", () => this.#change());
    this.title = h("h2", null);
    this.tiles = h("div", { class: "tiles", role: "group", "aria-label": "Items" });
    this.confirm = button({ class: "primary", onclick: () => this.#confirm() });
    this.foot = h("p", { class: "foot", hidden: true }, this.confirm, h("span", { class: "hint keys-hint" }, "Arrows move, ", key("space"), " marks a wrong one, ", key("Enter"), " confirms the rest"));
    const chosen = h("p", { hidden: true }, h("label", { for: "grid-class" }, "Class"), this.select);
    element.append(h("div", { class: "head" }, this.title, chosen), this.tiles, this.foot);
    this.desk.addEventListener("back", () => this.#items.length === 0 && this.#load());
  }

  shown() {
    this.#load();
  }

  hidden() {
    this.#watch.stop();
    this.desk.release(this.#items);
    this.#items = [];
  }

  press(name) {
    const steps = { arrowleft: -1, arrowright: 1, arrowup: -this.#columns(), arrowdown: this.#columns() };
    if (name in steps) return this.#move(steps[name]);
    if (name !== "enter") return false;
    this.#confirm();
    return true;
  }

  async #load() {
    if (this.#loading || !this.app.isShown("grid")) return;
    this.#loading = true;
    try {
      const wish = (label) => this.app.post("/api/grid", { tab: this.desk.tab, n: AT_ONCE, label, have: this.desk.queue.ids });
      let found = await wish(this.#wish);
      if (found.items.length === 0 && this.#wish !== null) found = await wish(null);
      if (!this.app.isShown("grid")) return void this.desk.release(found.items);
      this.#items = found.items;
      this.desk.grid = this.#items.map((item) => item.id);
      this.#label = found.label;
      this.#wrong.clear();
      this.#unseen.clear();
      this.#draw();
    } catch (error) {
      this.#unread(error);
    } finally {
      this.#loading = false;
    }
  }

  /** Say that there is no page of the grid now. */
  #unread(error) {
    this.title.textContent = "Grid";
    this.select.parentElement.hidden = this.foot.hidden = true;
    this.tiles.replaceChildren(unread(error, () => this.#load()));
  }

  #change() {
    this.desk.release(this.#items);
    this.#items = [];
    this.#wish = this.select.value;
    this.#load();
  }

  #draw() {
    const names = this.desk.classes.map((each) => each.name);
    this.select.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    if (names.includes(this.#label)) this.select.value = this.#label;
    this.select.parentElement.hidden = this.#items.length === 0;
    this.foot.hidden = this.#items.length === 0;
    if (this.#items.length === 0) return this.#nothing();
    this.title.replaceChildren("Which of these are not ", h("strong", null, this.#label), "?");
    this.tiles.replaceChildren(...this.#items.map((item) => this.#tile(item)));
    this.#count();
    this.tiles.firstElementChild.focus({ preventScroll: true });
    this.app.announce(`${plural(this.#items.length, "item")} that the model takes for ${this.#label}. Mark the wrong ones, Enter confirms the rest.`);
    return requestAnimationFrame(() => this.#watch.start());
  }

  #nothing() {
    this.title.textContent = "Grid";
    const { project } = this.desk;
    if (project.items === 0 || project.classes.length === 0) return this.tiles.replaceChildren(emptyState(this.app));
    const why = project.model.labels > 0
      ? "There is no open item that the model can guess."
      : "The grid shows items that the model takes for one class. It needs labels of two classes first.";
    return this.tiles.replaceChildren(h("div", { class: "empty" }, h("h2", null, "Nothing to show here yet"), h("p", null, why),
      button({ class: "primary", onclick: () => this.app.show("single") }, "Label one at a time")));
  }

  #tile(item) {
    const tile = h("button", { type: "button", class: "tile", "aria-pressed": "false", "aria-label": `${titleOf(item)}: wrong` },
      small(item, [], () => this.#fail(item, tile)), item.guess ? h("span", { class: "share" }, percent(item.guess.p)) : null);
    tile.addEventListener("click", () => {
      if (this.#unseen.has(item)) return;
      const wrong = !this.#wrong.has(item);
      if (wrong) this.#wrong.add(item);
      else this.#wrong.delete(item);
      tile.setAttribute("aria-pressed", String(wrong));
      this.#count();
    });
    return tile;
  }

  /** Leave out an item that cannot be shown: it gets no label here. */
  #fail(item, tile) {
    if (!this.#items.includes(item)) return;
    this.#wrong.delete(item);
    this.#unseen.add(item);
    for (const [name, value] of [["aria-pressed", "false"], ["aria-disabled", "true"], ["aria-label", `${titleOf(item)}: cannot be shown`]]) tile.setAttribute(name, value);
    tile.append(h("span", { class: "share" }, "Cannot be shown"));
    this.#count();
  }

  #count() {
    const rest = this.#wrong.size + this.#unseen.size;
    const right = this.#items.length - rest;
    const later = rest > 0 ? `, ${count(rest)} one at a time` : "";
    this.confirm.replaceChildren(key("Enter"), right > 0 ? `${count(right)} are ${this.#label}${later}` : "None is: one at a time");
  }

  async #confirm() {
    if (this.#items.length === 0 || this.#loading) return;
    const each = Math.round((this.#watch.ms ?? 0) / this.#items.length); // the time of the page, shared equally
    const right = this.#items.filter((item) => !this.#wrong.has(item) && !this.#unseen.has(item));
    for (const item of this.#wrong) item.rejected = this.#label;
    this.#items = [];
    this.title.textContent = "Saving…";
    await this.desk.confirm(this.#label, right, [...this.#wrong, ...this.#unseen], each); // the next page is of what is open after it
    this.#load();
  }

  #columns() {
    const tiles = [...this.tiles.children];
    return Math.max(1, tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length);
  }

  #move(by) {
    const tiles = [...this.tiles.querySelectorAll(".tile")];
    const to = tiles[tiles.indexOf(document.activeElement) + by] ?? (document.activeElement.matches(".tile") ? null : tiles[0]);
    to?.focus();
    return tiles.length > 0;
  }
}
