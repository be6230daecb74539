// What all people said about one item, newest first.

import { get } from "./api.js";
import { inWords } from "./desk.js";
import { byId, h, key, short } from "./dom.js";

/** Show the history of an item. */
export async function showPast(id) {
  const { events } = await get(`/api/history?n=100&item=${encodeURIComponent(id)}`);
  const dialog = byId("past");
  const heads = ["When", "Who", "What"].map((text) => h("th", { scope: "col" }, text));
  const table = h("table", { class: "list" }, h("thead", null, h("tr", null, heads)), h("tbody", null, events.map(row)));
  dialog.replaceChildren(
    h("h2", { id: "past-title" }, `History of ${short(id)}`),
    events.length > 0 ? h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Events" }, table) : h("p", { class: "hint" }, "No person said anything about it yet."),
    h("button", { type: "button", class: "primary", autofocus: true, onclick: () => dialog.close() }, "Close ", key("Esc")));
  dialog.showModal();
}

function row({ at, who, kind, label, undone }) {
  const when = new Date(1000 * at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return h("tr", null, h("td", null, when), h("td", null, who), h("td", null, `${inWords(kind, label)}${undone ? " (undone)" : ""}`));
}
