// The last answers, each with a way back to its item and an undo of its own.

import { inWords } from "./desk.js";
import { button, h, plural } from "./dom.js";
import { small, titleOf } from "./item.js";

const MOST = 30;

export class Strip {
  #drawn = new Map(); // group -> its element, so that pictures are not loaded again

  constructor(app) {
    this.app = app;
    this.list = h("ol", null);
    this.element = h("section", { class: "strip", "aria-label": "Your last answers" }, this.list);
  }

  draw() {
    const entries = this.app.desk.history.entries.filter((entry) => !entry.undone).slice(0, MOST);
    const drawn = new Map(entries.map((entry) => [entry.group, this.#drawn.get(entry.group) ?? this.#entry(entry)]));
    for (const [group, element] of this.#drawn) if (!drawn.has(group)) element.remove();
    [...drawn.values()].forEach((element, n) => {
      if (this.list.children[n] !== element) this.list.insertBefore(element, this.list.children[n] ?? null);
    });
    this.#drawn = drawn;
    if (drawn.size === 0) this.list.replaceChildren(h("li", { class: "hint" }, "Your answers appear here. Each can be undone."));
    else this.list.querySelector(".hint")?.remove();
  }

  #entry(entry) {
    const { item } = entry.events[0];
    const n = entry.events.length;
    const said = n > 1 ? `${n} × ${entry.label}` : inWords(entry.kind, entry.label);
    const what = n > 1 ? plural(n, "item") : titleOf(item ?? { text: "item" });
    const open = button({ class: "open", "aria-label": `Open ${what}: ${said}`, disabled: item === null, onclick: () => this.app.open(item.id) },
      item ? small(item) : null, h("span", { class: "said" }, said));
    const undo = button({ class: "undo", title: "Undo", "aria-label": `Undo ${said}: ${what}`, onclick: () => this.app.undo(entry) }, "↶");
    return h("li", null, open, undo);
  }
}
