// What can be done with many items at once: queue them, or give them all a label, which can be taken back.

import { newKey } from "./api.js";
import { button, count, h, plural } from "./dom.js";

const PIECE = 2000; // places in one request
const ASK = 50; // more labels than this at once are confirmed first

export class Bulk {
  #places = [];
  #busy = false;
  #last = null; // the label that was given last: {key, places, label, done}
  #undone = false; // whether it is undone, when this was drawn

  /** @param {import("./main.js").App} app @param {{clear: () => void, changed: () => void}} hooks */
  constructor(app, hooks) {
    this.app = app;
    this.hooks = hooks;
    this.says = h("span", { class: "says", role: "status" });
    this.select = h("select", { "aria-label": "Class for all selected items" });
    this.label = button({ class: "primary", onclick: () => this.#ask() }, "Label");
    this.queue = button({ onclick: () => this.#queue() }, "Queue");
    this.clear = button({ onclick: () => hooks.clear() }, "Clear");
    this.back = button({ onclick: () => this.#turn() }, "Undo");
    this.dialog = h("dialog", { "aria-labelledby": "bulk-title" });
    this.actions = h("span", { class: "row" }, this.queue, this.select, this.label, this.clear);
    this.element = h("div", { class: "map-bulk row", role: "region", "aria-label": "Selection" }, this.says, this.actions, this.back, this.dialog);
    app.desk.addEventListener("change", () => this.#isUndone !== this.#undone && !this.#busy && this.#draw("")); // by a key
    this.#draw("");
  }

  get #isUndone() {
    return Boolean(this.#last && this.app.desk.history.of(this.#last.key)?.undone);
  }

  /** Offer what can be done with these places; `likely` is the class that is chosen first, none to keep the last one. */
  offer(places, classes, likely) {
    const chosen = likely ?? this.select.value;
    this.#places = places;
    this.select.replaceChildren(...classes.map((name) => h("option", { value: name }, name)));
    if (classes.includes(chosen)) this.select.value = chosen;
    if (!this.#busy && (places.length > 0 || this.#last === null)) this.#draw("");
  }

  #draw(text) {
    const n = this.#places.length;
    this.says.textContent = text || (n > 0 ? `${plural(n, "open item")} selected` : "Draw a line around items to select them.");
    this.actions.hidden = n === 0 || this.#busy;
    this.queue.textContent = `Queue ${n === 1 ? "it" : `these ${count(n)}`}`;
    this.label.textContent = `Label ${n === 1 ? "it" : `these ${count(n)}`}`;
    this.label.disabled = this.select.value === "";
    this.back.hidden = this.#last === null || n > 0 || this.#busy;
    this.#undone = this.#isUndone;
    this.back.textContent = this.#undone ? "Label again" : "Undo";
  }

  /** Send places in pieces; returns how many were done. What was sent before an error stays done. */
  async #send(places, more, doing) {
    let done = 0;
    this.#busy = true;
    try {
      for (let from = 0; from < places.length; from += PIECE) {
        this.#draw(`${doing} ${count(from)} of ${count(places.length)} …`);
        const answer = await this.app.post("/api/bulk", { tab: this.app.tab, places: places.slice(from, from + PIECE), ...more });
        done += answer.done;
      }
      return done;
    } catch (error) {
      throw new Error(`${error.message} ${count(done)} of ${count(places.length)} items are done; do it again for the rest.`);
    } finally {
      this.#busy = false;
    }
  }

  #finish(text) {
    this.hooks.clear();
    this.hooks.changed();
    this.#draw(text);
  }

  #failed(error) {
    this.app.fail(error);
    this.#draw("");
  }

  async #queue() {
    try {
      const done = await this.#send(this.#places, { key: newKey(), do: "queue" }, "Queueing");
      this.#finish(`${plural(done, "item")} come next for everyone.`);
    } catch (error) {
      this.#failed(error);
    }
  }

  #ask() {
    const n = this.#places.length;
    const label = this.select.value;
    if (n <= ASK) return this.#give(label);
    const go = h("button", { type: "button", class: "primary", onclick: () => { this.dialog.close(); this.#give(label); } }, `Label ${count(n)} items`);
    this.dialog.replaceChildren(h("h2", { id: "bulk-title" }, `Label ${count(n)} items as ${label}?`),
      h("p", null, "Each gets your label, as if you had seen it. You can undo this."),
      h("p", { class: "row" }, go, h("button", { type: "button", onclick: () => this.dialog.close() }, "Cancel")));
    return this.dialog.showModal();
  }

  async #give(label) {
    const rest = this.#last?.done === false && this.#last.label === label ? this.#last : { key: newKey(), places: [] };
    const places = this.#places;
    this.#last = { key: rest.key, places: [...new Set([...rest.places, ...places])], label, done: false };
    try {
      const done = await this.#send(places, { key: rest.key, do: "label", label }, "Labeling");
      this.#last.done = true;
      await this.#noted();
      this.#finish(`${plural(done, "item")} labeled as ${label}.`);
    } catch (error) {
      this.hooks.changed(); // what was labeled is selected no more
      this.#noted();
      this.#failed(error);
    }
  }

  /** Read what was labeled into the history, so that it is undone before what was done earlier. */
  #noted() {
    return this.app.desk.history.load().catch((error) => this.app.fail(error));
  }

  /** Undo what was labeled last, or do it again. */
  async #turn() {
    const { key, places, label } = this.#last;
    const undone = this.#isUndone;
    const { history } = this.app.desk;
    try {
      await this.app.desk.learn();
      if (this.#isUndone !== undone) return this.#draw(undone ? "They were labeled again already, on another page." : "They were taken back already, on another page.");
      const done = await this.#send(places, { key: newKey(), do: undone ? "redo" : "undo", of: key }, undone ? "Labeling" : "Undoing");
      const entry = history.of(key);
      if (entry) history[undone ? "again" : "undo"](entry);
      this.#finish(undone ? `${plural(done, "item")} labeled as ${label} again.` : `${plural(done, "label")} taken back.`);
    } catch (error) {
      this.#failed(error);
    }
  }
}
