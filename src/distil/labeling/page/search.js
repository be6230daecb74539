// Finding items by their id or text, by class, guess and state.

import { button, count, h, percent, plural } from "./dom.js";
import { inWords } from "./desk.js";
import { unread } from "./empty.js";
import { small, titleOf } from "./item.js";

const AT_MOST = 60;
const STATES = { "": "all items", open: "without a label", answered: "answered", mine: "answered by me", flagged: "flagged", tied: "people disagree" };

/** @param {HTMLElement} element @param {import("./main.js").App} app */
export function mount(element, app) {
  return new Search(element, app);
}

class Search {
  #timer = 0;
  #asked = 0;

  constructor(element, app) {
    this.app = app;
    this.q = h("input", { type: "search", id: "search-q", autocomplete: "off" });
    this.state = this.#select("search-state", Object.entries(STATES));
    this.label = this.#select("search-label", []);
    this.guess = this.#select("search-guess", []);
    this.found = h("p", { class: "hint", role: "status" });
    this.tiles = h("div", { class: "tiles" });
    const field = (text, input) => h("p", null, h("label", { for: input.id }, text), input);
    const form = h("form", { class: "head", role: "search" },
      field("Id or text contains", this.q), field("State", this.state), field("Label", this.label), field("Guess", this.guess));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.#soon());
    element.append(form, this.found, this.tiles);
    this.app.desk.addEventListener("back", () => this.app.isShown("search") && this.#ask());
  }

  shown() {
    const names = [["", "any"], ...this.app.desk.classes.map(({ name }) => [name, name])];
    for (const select of [this.label, this.guess]) {
      const { value } = select;
      select.replaceChildren(...names.map(([name, text]) => h("option", { value: name }, text)));
      select.value = value;
    }
    this.q.focus();
    this.q.select();
    this.#ask();
  }

  #select(id, options) {
    return h("select", { id }, options.map(([value, text]) => h("option", { value }, text)));
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), 150);
  }

  async #ask() {
    const asked = ++this.#asked;
    const wishes = { q: this.q.value.trim(), state: this.state.value, label: this.label.value, guess: this.guess.value, n: AT_MOST };
    const query = new URLSearchParams(Object.entries(wishes).filter(([, value]) => value !== ""));
    try {
      const { items, found } = await this.app.get(`/api/search?${query}`);
      if (asked === this.#asked) this.#draw(items, found, wishes.q);
    } catch (error) {
      if (asked === this.#asked) this.#unread(error);
    }
  }

  #unread(error) {
    this.found.textContent = "";
    this.tiles.replaceChildren(unread(error, () => this.#ask()));
  }

  #draw(items, found, q) {
    const some = found > items.length ? `, the first ${count(items.length)} are shown` : "";
    this.found.textContent = found === 0 ? "No item is like this." : `${plural(found, "item")}${some}`;
    this.app.sought = q ? [q] : [];
    this.tiles.replaceChildren(...items.map((item) => this.#tile(item, q)));
  }

  #tile(item, q) {
    const guess = this.app.desk.guessOf(item);
    const said = item.mine?.kind ? inWords(item.mine.kind, item.mine.label) : guess ? `${guess.label}? ${percent(guess.p)}` : null;
    return button({ class: "tile", "aria-label": `Open ${titleOf(item)}${said ? `: ${said}` : ""}`, onclick: () => this.app.open(item.id) },
      small(item, q ? [q] : []), said ? h("span", { class: item.mine?.kind ? "said" : "share" }, said) : null);
  }
}
