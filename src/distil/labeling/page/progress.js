// How far the project is, how good the model and the answers are, and who works on it.

import { bars, between, curve } from "./chart.js";
import { button, count, h, percent, plural } from "./dom.js";
import { inWords } from "./desk.js";
import { unread } from "./empty.js";
import { small, titleOf } from "./item.js";

const AGAIN_MS = 5000;

/** @param {HTMLElement} element @param {import("./main.js").App} app */
export function mount(element, app) {
  return new Progress(element, app);
}

class Progress {
  #timer = 0;
  #counted = false; // whether there are numbers

  constructor(element, app) {
    this.app = app;
    this.desk = app.desk;
    this.body = h("div", { class: "panels" }, h("p", { class: "hint" }, "Counting…"));
    this.facts = h("ul", { class: "facts" });
    this.link = h("div", { role: "status" });
    element.append(this.facts, this.body, h("div", { class: "panels" }, panel("Add a person", this.#person()), this.#mine()));
    this.desk.addEventListener("news", () => this.#soon());
    this.desk.addEventListener("back", () => this.app.isShown("progress") && this.#load());
  }

  shown() {
    this.#load();
  }

  #soon() {
    if (!this.app.isShown("progress") || this.#timer) return;
    this.#timer = setTimeout(() => { this.#timer = 0; if (this.app.isShown("progress")) this.#load(); }, AGAIN_MS);
  }

  async #load() {
    try {
      this.#draw(await this.app.get("/api/progress"));
    } catch (error) {
      if (this.#counted) this.app.fail(error); // the last numbers stay
      else this.body.replaceChildren(panel("Progress", unread(error, () => this.#load())));
    }
  }

  #draw(found) {
    this.#counted = true;
    this.facts.replaceChildren(...this.#summary(found));
    this.body.replaceChildren(...[panel("Labels of each class", this.#labels(found.classes)), panel("Learning curve", learning(found)),
      people(found), guesses(found.guesses), this.#suspects(found.suspects ?? []), confusions(found.confusion)].filter(Boolean));
    this.#drawMine();
  }

  #summary({ accuracy }) {
    const { labeled, items, open, mine } = this.desk.project.progress;
    const fact = (number, words) => h("li", null, h("strong", null, number), h("span", null, words));
    const known = accuracy ? [fact(percent(accuracy.accuracy), `right if the model labels the rest (${percent(accuracy.low)} to ${percent(accuracy.high)})`)] : [];
    return [fact(count(labeled), `of ${plural(items, "item")} labeled`), fact(count(open), "open"), fact(count(mine), "answers by you"), ...known];
  }

  /** In the order of the classes: an object of JSON has names that are numbers first. */
  #labels(numbers) {
    const found = new Map(Object.entries(numbers));
    const rows = this.desk.classes.filter(({ name }) => found.has(name)).map(({ name }) => [name, found.get(name)]);
    return rows.length > 0 ? bars(rows) : h("p", { class: "hint" }, "There are no classes yet.");
  }

  #suspects(suspects) {
    if (suspects.length === 0) return panel("Suspected errors", h("p", { class: "hint" }, "There are none. They appear when the model confidently disagrees with labels."));
    const tiles = suspects.map(({ item, label, guess, p }) => button({ class: "tile", "aria-label": `Open ${titleOf(item)}: labeled ${label}, guess ${guess}`, onclick: () => this.app.open(item.id) },
      small(item), h("span", { class: "said" }, label), h("span", { class: "share" }, `${guess}? ${percent(p)}`)));
    return panel("Suspected errors", h("p", { class: "hint" }, "The model confidently disagrees with these labels. Open one to look at it again."), h("div", { class: "tiles" }, tiles));
  }

  // ----------------------------------------------------------------------------------------------------- the person's own

  #person() {
    const input = h("input", { type: "text", id: "person", maxlength: "500", autocomplete: "off", required: true });
    const form = h("form", { class: "row" }, h("label", { for: "person" }, "Name"), input, h("button", { class: "primary" }, "Make an address"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const who = input.value.trim();
        this.#showLink(who, (await this.app.post("/api/links", { who })).url);
        input.value = "";
      } catch (error) {
        this.app.fail(error);
      }
    });
    return [form, this.link];
  }

  #showLink(who, url) {
    const address = h("input", { type: "text", readonly: true, "aria-label": `Address for ${who}` });
    address.value = url;
    const copy = async () => {
      address.select();
      try {
        await navigator.clipboard.writeText(url);
        this.app.note("Copied.");
      } catch {
        this.app.note("Press Ctrl+C to copy the address.");
      }
    };
    this.link.replaceChildren(h("p", null, `${who} opens this address. It works once: the browser that opens it is then ${who}’s.`), h("p", { class: "row" }, address, button({ onclick: copy }, "Copy")));
  }

  #mine() {
    this.rows = h("tbody", null);
    return panel("Your answers", h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Your answers" }, h("table", { class: "list" }, this.rows)));
  }

  #drawMine() {
    const row = (entry) => {
      const { item } = entry.events[0];
      const what = item ? titleOf(item) : "";
      const said = entry.events.length > 1 ? `${entry.events.length} × ${entry.label}` : inWords(entry.kind, entry.label);
      return h("tr", null, h("td", null, item ? button({ class: "link", onclick: () => this.app.open(item.id) }, what) : ""), h("td", null, said),
        h("td", null, entry.undone ? "undone" : button({ "aria-label": `Undo ${said}: ${what}`, onclick: () => this.app.undo(entry).then(() => this.#drawMine()) }, "Undo")));
    };
    const { entries } = this.desk.history;
    this.rows.replaceChildren(...(entries.length > 0 ? entries.slice(0, 200).map(row) : [h("tr", null, h("td", null, "You have not answered anything yet."))]));
  }
}

const panel = (title, ...children) => h("section", { class: "panel" }, h("h2", null, title), ...children);

function learning({ curve: points, accuracy, outlook }) {
  if (!points?.length) return h("p", { class: "hint" }, "The curve begins when some items that were drawn at random have labels: one in ten is.");
  const now = accuracy ? h("p", null, `If the model labeled the rest now, ${between(accuracy)} of all items would be right. This comes from ${plural(accuracy.n, "random item")}.`) : null;
  const ahead = (outlook?.sentences ?? []).map((text) => h("p", null, `${text[0].toUpperCase()}${text.slice(1)}.`));
  return [curve(points), now, ...ahead];
}

function people({ people: rows, agreement, alpha, self_agreement: self }) {
  const heads = ["Person", "Answers", "An hour", "Median time"].map((text) => h("th", { scope: "col" }, text));
  const row = ({ who, answers, per_hour: rate, median_ms: ms }) => h("tr", null, h("th", { scope: "row" }, who), h("td", null, count(answers)),
    h("td", null, rate ? count(Math.round(rate)) : "–"), h("td", null, ms ? `${(ms / 1000).toFixed(1)} s` : "–"));
  const facts = [
    agreement !== null && agreement !== undefined && `Two people give an item the same label in ${percent(agreement)} of cases`,
    alpha !== null && alpha !== undefined && `Krippendorff’s alpha is ${alpha.toFixed(2)}`,
    self && `People agree with themselves on ${self.agree} of ${self.n} items that they saw twice`,
  ].filter(Boolean);
  const table = h("table", { class: "list" }, h("thead", null, h("tr", null, heads)), h("tbody", null, (rows ?? []).map(row)));
  return panel("People", rows?.length ? table : h("p", { class: "hint" }, "There are no answers yet."), facts.map((fact) => h("p", null, `${fact}.`)));
}

function guesses(found) {
  if (!found) return null;
  const share = (side) => (side.n > 0 ? `${percent(side.accepted / side.n)} of ${side.n}` : "none yet");
  const seconds = (side) => (side.median_ms ? `${(side.median_ms / 1000).toFixed(1)} s` : "–");
  const row = (name, side) => h("tr", null, h("th", { scope: "row" }, name), h("td", null, share(side)), h("td", null, seconds(side)));
  const heads = ["Guess", "Label equals it", "Median time"].map((text) => h("th", { scope: "col" }, text));
  return panel("Effect of guesses",
    h("table", { class: "list" }, h("thead", null, h("tr", null, heads)), h("tbody", null, row("shown", found.shown), row("withheld", found.withheld))),
    found.difference === null ? null : h("p", null, `Seeing the guess changes the share by ${points(found.difference)} (${points(found.low)} to ${points(found.high)}).`),
    found.too_fast ? h("p", { class: "warning" }, "Guesses are accepted in under 0.3 seconds at the median. Look at some again, or hide guesses (h).") : null);
}

const points = (share) => `${share >= 0 ? "+" : "−"}${Math.abs(100 * share).toFixed(0)} points`;

/** Who gives which label where the others agree on another. */
function confusions(found) {
  if (!found) return null;
  const rows = Object.entries(found).flatMap(([who, given]) => Object.entries(given).flatMap(([label, truths]) =>
    Object.entries(truths).filter(([truth]) => truth !== label).map(([truth, n]) => ({ who, label, truth, n }))));
  if (rows.length === 0) return null;
  rows.sort((a, b) => b.n - a.n);
  const heads = ["Person", "Said", "Others said", "Items"].map((text) => h("th", { scope: "col" }, text));
  return panel("Where people differ", h("table", { class: "list" }, h("thead", null, h("tr", null, heads)), h("tbody", null,
    rows.slice(0, 12).map(({ who, label, truth, n }) => h("tr", null, h("th", { scope: "row" }, who), h("td", null, label), h("td", null, truth), h("td", null, count(n)))))));
}
