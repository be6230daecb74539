// The classes: adding, renaming and merging them, and their keys.

import { button, count, h, key } from "./dom.js";
import { clash, givenTo, isCharacter, keysOf, namesOf, written } from "./keys.js";

/** @param {HTMLElement} element @param {import("./main.js").App} app */
export function mount(element, app) {
  return new Classes(element, app);
}

class Classes {
  #editing = null; // the class whose row shows a form, and that row, which stays as it is until the person is done

  constructor(element, app) {
    this.app = app;
    this.desk = app.desk;
    this.body = h("tbody", null);
    const heads = ["Key", "Class", "Labels", "Change"].map((text) => h("th", { scope: "col" }, text));
    element.append(h("div", { class: "panel" }, h("h2", null, "Classes"), h("table", { class: "list" }, h("thead", null, h("tr", null, heads)), this.body), this.#addForm(),
      h("p", { class: "hint" }, "Renaming and merging keep the history: earlier labels follow. To undo a merge, see distil project history.")));
    this.desk.addEventListener("classes", () => this.#draw());
    this.desk.addEventListener("news", () => this.#editing === null && this.#draw());
  }

  shown() {
    this.#draw();
  }

  #draw() {
    if (!this.app.isShown("classes")) return;
    const keys = keysOf(this.desk.classes);
    const place = this.desk.classes.findIndex((each) => each.name === this.#editing?.name);
    const rows = this.desk.classes.map((each, n) => (n === place ? this.#editing.row : this.#row(each, keys.get(each.name))));
    if (place < 0) {
      this.#editing = null;
      this.body.replaceChildren(...rows);
    } else { // a row that is taken out and put back loses the focus, and a click that is half done
      for (const row of [...this.body.children]) if (row !== this.#editing.row) row.remove();
      this.#editing.row.before(...rows.slice(0, place));
      this.#editing.row.after(...rows.slice(place + 1));
    }
    if (this.desk.classes.length === 0) this.body.append(h("tr", null, h("td", { colspan: "4" }, "There are no classes yet. Add the first two.")));
  }

  #row({ name, n }, letter) {
    const start = (form) => () => this.#edit(name, form(name));
    const change = h("span", { class: "row" },
      button({ onclick: start((of) => this.#keyForm(of)), "aria-label": `Change the key of ${name}` }, "Key"),
      button({ onclick: start((of) => this.#nameForm(of)), "aria-label": `Rename ${name}` }, "Rename"),
      this.desk.classes.length > 1 ? button({ onclick: start((of) => this.#mergeForm(of)), "aria-label": `Merge ${name} into another class` }, "Merge") : null);
    const spoken = letter === null ? "none" : letter;
    return h("tr", null, h("td", null, letter === null ? "–" : key(written(letter)), h("span", { class: "unseen" }, spoken)), h("th", { scope: "row" }, name), h("td", null, count(n)), h("td", null, change));
  }

  /** Show a form in the row of a class, and in no other row. */
  #edit(name, form) {
    this.#done();
    const row = this.body.children[this.desk.classes.findIndex((each) => each.name === name)];
    row.lastChild.replaceChildren(form);
    this.#editing = { name, row };
    form.querySelector("input, select").focus();
  }

  #form(label, input, text, submit) {
    const form = h("form", { class: "row" }, input, h("button", { class: "primary" }, text), h("button", { type: "button", onclick: () => this.#done() }, "Cancel"));
    input.setAttribute("aria-label", label);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const editing = this.#editing; // another row may be edited by the time this one is saved
      if ((await submit(input.value.trim())) === null && this.#editing === editing) this.#done();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.#done();
    });
    return form;
  }

  #done() {
    this.#editing = null;
    this.#draw();
  }

  #keyForm(name) {
    const input = h("input", { type: "text", maxlength: "2", size: "3", autocomplete: "off", required: true });
    let pressed = [];
    input.addEventListener("keydown", (event) => { if (isCharacter(event)) pressed = namesOf(event, givenTo(this.desk.classes)); });
    return this.#form(`New key of ${name}`, input, "Set key", (wanted) => {
      const why = clash(name, wanted, this.desk.classes, pressed);
      if (why !== null) this.app.note(why, "error");
      return why ?? this.desk.changeClasses({ kind: "class_key", label: name, name: wanted.toLowerCase() });
    });
  }

  #nameForm(name) {
    const input = h("input", { type: "text", maxlength: "500", autocomplete: "off", required: true });
    input.value = name;
    return this.#form(`New name of ${name}`, input, "Rename", (wanted) =>
      wanted === name ? null : this.desk.changeClasses({ kind: "class_rename", label: name, name: wanted }));
  }

  #mergeForm(name) {
    const others = this.desk.classes.map((each) => each.name).filter((other) => other !== name);
    const select = h("select", null, others.map((other) => h("option", { value: other }, `into ${other}`)));
    return this.#form(`Merge ${name} into`, select, "Merge", (into) => this.desk.changeClasses({ kind: "class_merge", label: name, name: into }));
  }

  #addForm() {
    const input = h("input", { type: "text", id: "new-class", maxlength: "500", autocomplete: "off", required: true });
    const form = h("form", { class: "row" }, h("label", { for: "new-class" }, "New class"), input, h("button", { class: "primary" }, "Add"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const name = input.value.trim();
      input.value = "";
      if (name && (await this.desk.changeClasses({ kind: "class_add", label: name })) === null) this.app.note(`Added ${name}.`);
    });
    return form;
  }
}
