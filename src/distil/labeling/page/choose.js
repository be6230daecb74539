// Choosing a class from a list: type a part of its name, Enter takes the first. A new name can become a class.

import { byId, h, key } from "./dom.js";
import { keysOf, written } from "./keys.js";

/**
 * Ask for a class.
 * @param {import("./desk.js").Desk} desk
 * @param {{title: string, without?: string | null}} options
 * @returns {Promise<string | null>} its name; null if the person closed the list
 */
export function choose(desk, { title, without = null }) {
  const dialog = byId("chooser");
  const list = h("ul", { class: "choices" });
  const input = h("input", { type: "text", id: "chooser-input", autocomplete: "off", spellcheck: "false", placeholder: "Type to find or add a class" });
  const keys = keysOf(desk.classes);
  let chosen = null;
  const pick = (name) => { chosen = name; dialog.close(); };
  const add = (name) => {
    desk.changeClasses({ kind: "class_add", label: name });
    pick(name);
  };

  const fill = () => {
    const typed = input.value.trim();
    const found = matching(desk.classes.map((each) => each.name), typed).filter((name) => name !== without);
    const rows = found.map((name) => option(() => pick(name), name, keys.get(name)));
    if (typed && !desk.classes.some((each) => each.name.normalize() === typed.normalize())) rows.push(option(() => add(typed), `Add the class “${typed}”`, null));
    list.replaceChildren(...rows);
  };
  input.addEventListener("input", fill);
  dialog.onkeydown = (event) => move(event, input, list);
  dialog.replaceChildren(
    h("h2", { id: "chooser-title" }, title),
    h("label", { class: "unseen", for: "chooser-input" }, "Name of a class"), input, list,
    h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel ", key("Esc")));
  fill();
  dialog.showModal();
  input.focus();
  return new Promise((done) => dialog.addEventListener("close", () => done(chosen), { once: true }));
}

/** The names that hold a text: the text itself first, then those that begin with it. */
export function matching(names, typed) {
  const plain = (text) => text.normalize().toLowerCase();
  const sought = plain(typed);
  const rank = (name) => (name.normalize() === typed.normalize() ? 0 : plain(name) === sought ? 1 : plain(name).startsWith(sought) ? 2 : 3);
  return names.filter((name) => plain(name).includes(sought)).sort((a, b) => rank(a) - rank(b));
}

const option = (act, name, letter) =>
  h("li", null, h("button", { type: "button", onclick: act }, h("span", { class: "name" }, name), letter ? key(written(letter)) : null));

function move(event, input, list) {
  const buttons = [...list.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  if (event.isComposing) return; // Enter and arrows belong to the input method
  if (event.key === "Enter" && event.target === input) {
    event.preventDefault();
    buttons[0]?.click();
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  (buttons[at + (event.key === "ArrowDown" ? 1 : -1)] ?? input).focus();
}
