// One item at a time: the item, the guess, a button for each class, and what else a person can say.

import { choose } from "./choose.js";
import { inWords } from "./desk.js";
import { button, h, key, percent, short } from "./dom.js";
import { emptyState, modelLine } from "./empty.js";
import { large } from "./item.js";
import { showPast } from "./past.js";
import { forgetLost } from "./pictures.js";
import { keysOf, written } from "./keys.js";
import { Strip } from "./strip.js";

const BETWEEN = "distil-highlight";

/** @param {HTMLElement} element @param {import("./main.js").App} app */
export function mount(element, app) {
  return new Single(element, app);
}

class Single {
  #item = null;
  #empty = ""; // what the empty state on the stage was made from
  #zoom = null;
  #unseen = false; // whether the item cannot be shown
  #buttons = new Map();
  #byKey = new Map();

  constructor(element, app) {
    this.app = app;
    this.desk = app.desk;
    this.stage = h("div", { class: "stage", id: "stage", tabindex: "0", role: "group", "aria-label": "Item" });
    this.caption = h("p", { class: "caption" });
    this.guess = h("div", { class: "guess" });
    this.model = h("p", { class: "hint" });
    this.classes = h("div", { class: "classes", role: "group", "aria-label": "Classes" });
    this.flagButton = this.#action("f", "Flag", () => this.#flag());
    this.words = this.#highlightBox();
    this.answers = h("div", { class: "answers" }, this.guess, this.classes, this.#actions(), this.model);
    this.strip = new Strip(app);
    element.append(h("div", { class: "table" }, h("div", { class: "shown" }, this.stage, this.caption, this.words), this.answers), this.strip.element);
    this.desk.addEventListener("change", () => this.draw());
    this.desk.addEventListener("classes", () => this.#drawClasses());
    for (const name of ["news", "save"]) this.desk.addEventListener(name, () => this.#news());
    this.desk.addEventListener("back", () => this.#back());
    this.#drawClasses();
  }

  shown() {
    this.draw();
  }

  hidden() {
    this.desk.watch.stop();
    this.#item = null;
  }

  // ------------------------------------------------------------------------------------------------------------- keys

  press(name) {
    const label = this.#byKey.get(name);
    if (label !== undefined) return this.#answer("label", label);
    const act = {
      a: () => this.#accept(), x: () => this.#reject(), space: () => this.#answer("skip"), u: () => this.#answer("unsure"),
      f: () => this.#flag(), j: () => this.#jump(null), "+": () => this.#zoom?.by(1.5), "=": () => this.#zoom?.by(1.5),
      "-": () => this.#zoom?.by(1 / 1.5), 0: () => this.#zoom?.fit(),
    }[name];
    act?.();
    return act !== undefined;
  }

  /** Answer the item, unless it is not painted yet: no person has seen it. While an undo is on its way, another one comes. */
  #answer(kind, label = null) {
    if (this.stage.getAttribute("aria-busy") !== "false" || this.desk.turning > 0) return true;
    if (kind === "label" && this.#unseen) this.app.note("This item cannot be shown, so it gets no label. Skip it or flag it.");
    else this.desk.answer(kind, label);
    return true;
  }

  #flag() {
    return this.desk.flag().catch((error) => this.app.fail(error));
  }

  #accept() {
    const guess = this.#item && this.desk.guessOf(this.#item);
    if (guess) this.#answer("label", guess.label);
    else this.app.note("There is no guess to accept. Choose a class.");
  }

  #reject() {
    const wrong = this.#item?.rejected ?? (this.#item && this.desk.guessOf(this.#item)?.label);
    if (!wrong) return this.app.note("There is no guess to reject. Choose a class.");
    const others = this.desk.classes.map((each) => each.name).filter((name) => name !== wrong);
    return others.length === 1 ? this.#answer("label", others[0]) : this.#jump(wrong);
  }

  async #jump(without) {
    const item = this.#item;
    if (!item) return;
    const title = without === null ? "Choose a class" : `Not ${without}, but:`;
    const label = await choose(this.desk, { title, without });
    if (label !== null && item === this.desk.queue.current) this.#answer("label", label);
    this.stage.focus({ preventScroll: true });
  }

  // ---------------------------------------------------------------------------------------------------------- drawing

  /** Show the item that is first in the queue, and start the watch when it is painted. */
  draw() {
    if (!this.app.isShown("single")) return;
    const item = (this.desk.classes.length > 0 && this.desk.queue.current) || null;
    if (item !== this.#item || item === null) this.#drawItem(item);
    this.#drawGuess(item);
    this.#drawCaption(item);
    this.strip.draw();
    this.#news();
  }

  #drawItem(item) {
    this.#item = item;
    this.desk.watch.stop();
    this.stage.setAttribute("aria-busy", "true");
    this.answers.classList.toggle("idle", item === null);
    this.words.hidden = item === null || item.text === null;
    if (item === null) {
      this.#zoom = null;
      return;
    }
    const can = { again: () => this.#again(), skip: () => this.#answer("skip") };
    const { element, ready, zoom } = large(item, this.app.highlights(), this.app.pixels(), can);
    this.#zoom = zoom;
    this.stage.replaceChildren(element);
    this.stage.scrollTop = 0;
    element.classList.toggle("waiting", ready !== null);
    const painted = (fine) => requestAnimationFrame(() => this.#item === item && this.#painted(fine));
    if (ready === null) painted(true);
    else ready.then((fine) => { element.classList.remove("waiting"); painted(fine); });
  }

  #again() {
    this.#item = null;
    this.draw();
  }

  /** Ask again for what did not arrive, now that the server is reached. */
  #back() {
    forgetLost();
    this.desk.queue.decode();
    if (this.#unseen) this.#again();
  }

  #painted(fine) {
    this.#unseen = !fine;
    if (!fine) this.app.announce("This item cannot be shown. Skip it or flag it.");
    this.stage.setAttribute("aria-busy", "false");
    this.desk.watch.start();
  }

  #drawGuess(item) {
    const guess = item && this.desk.guessOf(item);
    for (const [name, made] of this.#buttons) made.classList.toggle("guessed", name === guess?.label);
    if (!guess) {
      this.guess.replaceChildren(h("p", null, item ? whyNoGuess(item, this.desk) : ""));
      return;
    }
    const bar = h("span", { class: "bar" });
    bar.style.setProperty("--share", guess.p);
    this.guess.replaceChildren(
      h("p", null, "The model’s guess"),
      button({ class: "accept", onclick: () => this.#accept() }, key("a"), h("span", { class: "name" }, guess.label), h("span", { class: "share" }, percent(guess.p)), bar),
      button({ class: "reject", onclick: () => this.#reject(), "aria-label": `No, not ${guess.label}` }, key("x"), "No"));
  }

  #drawCaption(item) {
    const said = item?.opened && item.mine?.kind ? `You said: ${inWords(item.mine.kind, item.mine.label)}. A new answer replaces it, skip leaves it.` : null;
    const notes = [said, item?.mine?.flagged && "Flagged.", item?.gone && "The source no longer has this item."];
    const past = item?.opened ? button({ class: "link", onclick: () => showPast(item.id).catch((error) => this.app.fail(error)) }, "History") : null;
    const id = item ? h("span", { class: "id", title: item.id }, short(item.id, 48)) : null;
    this.caption.replaceChildren(...[id, ...notes.filter(Boolean).map((text) => h("span", null, text)), past].filter(Boolean));
    this.flagButton.setAttribute("aria-pressed", String(Boolean(item?.mine?.flagged)));
  }

  #drawClasses() {
    const keys = keysOf(this.desk.classes);
    this.#byKey = new Map([...keys].filter(([, name]) => name !== null).map(([label, name]) => [name, label]));
    this.#buttons = new Map(this.desk.classes.map(({ name }) => [
      name, button({ onclick: () => this.#answer("label", name), title: name }, key(written(keys.get(name))), h("span", { class: "name" }, name))]));
    this.classes.classList.toggle("many", this.desk.classes.length > 6);
    const longest = Math.max(...this.desk.classes.map((each) => each.name.length));
    this.classes.classList.toggle("short", longest < 10);
    this.classes.classList.toggle("tiny", longest < 4);
    this.classes.replaceChildren(...this.#buttons.values(), button({ class: "add", onclick: () => this.#jump(null) }, key("j"), h("span", { class: "name" }, "Find or add a class")));
    this.draw();
  }

  #news() {
    this.model.textContent = modelLine(this.desk.project);
    const { items, classes, progress } = this.desk.project;
    const state = JSON.stringify([this.#item === null, items, classes.length, this.desk.queue.dry, progress, this.desk.save.state]);
    if (this.#item === null && state !== this.#empty) this.stage.replaceChildren(emptyState(this.app));
    this.#empty = state;
  }

  #action(name, text, act) {
    return button({ onclick: act }, key(written(name)), text);
  }

  #actions() {
    return h("div", { class: "actions", role: "group", "aria-label": "Other answers" },
      this.#action("space", "Skip", () => this.#answer("skip")),
      this.#action("u", "Not sure", () => this.#answer("unsure")),
      this.flagButton,
      this.#action("backspace", "Undo", () => this.app.undo()),
      this.#action("shift+backspace", "Redo", () => this.app.redo()));
  }

  #highlightBox() {
    const input = h("input", { type: "text", id: "highlight", autocomplete: "off", placeholder: "words, separated by commas" });
    input.value = localStorage.getItem(BETWEEN) ?? "";
    const apply = () => {
      this.app.typed = input.value.split(",").map((word) => word.trim()).filter(Boolean);
      localStorage.setItem(BETWEEN, input.value);
    };
    apply();
    input.addEventListener("input", () => { apply(); this.#again(); });
    return h("p", { class: "highlight", hidden: true }, h("label", { for: "highlight" }, "Highlight"), input);
  }
}

function whyNoGuess(item, desk) {
  if (item.rejected) return `Not ${item.rejected}: what do you see?`;
  if (desk.hidden) return "Guesses are hidden (h shows them).";
  return desk.project.model.labels > 0 ? "No guess for this item: what do you see?" : "No guess yet: what do you see?";
}
