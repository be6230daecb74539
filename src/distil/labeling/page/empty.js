// What the page says where there is no item, and how the model is doing.

import { button, count, h, plural } from "./dom.js";

/** One line on the model. */
export function modelLine({ model, classes }) {
  const says = {
    off: "There is no model: items come in random order.",
    starting: "The model starts. You can label already.",
    embedding: "The model reads the items. You can label already.",
    failed: `The model stopped: ${model.error ?? "no reason given"}. Your answers are saved all the same.`,
  }[model.state];
  if (says) return says;
  if (classes.filter((each) => each.n > 0).length < 2) return "The model waits for labels of two classes.";
  return model.labels > 0 ? `The model learned from ${plural(model.labels, "label")}.` : "The model learns from the first labels.";
}

/** What is in a view whose content could not be read; `again` reads it again. It is also read when the server is reached again. */
export const unread = (error, again) =>
  h("div", { class: "empty" }, h("p", null, error.message), h("p", { class: "row" }, button({ onclick: again }, "Try again")));

/** What is on the stage without an item. */
export function emptyState(app) {
  const { project, queue, save } = app.desk;
  if (project.items === 0) return noItems();
  if (project.classes.length === 0) return firstClasses(app);
  if (!queue.dry) return h("p", { class: "empty" }, save.state === "waiting" ? "More items come when the server is reached again." : "Getting items…");
  return finished(app);
}

function noItems() {
  return h("div", { class: "empty" },
    h("h2", null, "This project has no items yet"),
    h("p", null, "End distil label, add a folder of images or a table of texts, and start it again:"),
    h("pre", { tabindex: "0" }, "distil project add PROJECT SOURCE"));
}

/** The form for the first two classes. */
export function firstClasses(app) {
  const field = (id, text, example) =>
    h("p", null, h("label", { for: id }, text), h("input", { type: "text", id, required: true, maxlength: "500", autocomplete: "off", placeholder: example }));
  const form = h("form", { class: "empty" },
    h("h2", null, "Which classes are there?"),
    h("p", null, "Type the first two. More can be added at any time."),
    field("first", "First class", "such as good"), field("second", "Second class", "such as broken"),
    h("button", { class: "primary" }, "Start labeling"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const names = [...new Set([...form.querySelectorAll("input")].map((input) => input.value.trim()).filter(Boolean))];
    document.activeElement.blur();
    for (const label of names) app.desk.changeClasses({ kind: "class_add", label });
  });
  return form;
}

function finished(app) {
  const { progress, name } = app.desk.project;
  const away = progress.open > 0 ? ` ${count(progress.open)} more are with other people now, or were skipped.` : "";
  return h("div", { class: "empty" },
    h("h2", null, "No item is left for you"),
    h("p", null, `${count(progress.labeled)} of ${plural(progress.items, "item")} have a label.${away}`),
    h("p", { class: "row" },
      button({ class: "primary", onclick: () => app.show("progress") }, "Check suspected errors"),
      button({ onclick: () => app.desk.outbox.flush() }, "Look for items again")),
    h("p", null, "To use the labels, run:"),
    h("pre", { tabindex: "0" }, `distil project export ${/^[\w.-]+$/.test(name) ? name : `"${name}"`} labels.csv`));
}
