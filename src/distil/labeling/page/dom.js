// Elements, words for numbers, and the two places where the page speaks: the live region and the notes.

/** Fill an element: `onclick` and its like are listeners, `true` is an attribute without a value, null leaves it out. */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element of HTML. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An element of SVG. */
export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** The one element with this id. */
export const byId = (id) => document.getElementById(id);

export const count = (n) => n.toLocaleString("en-US");
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const percent = (share) => `${Math.round(100 * share)} %`;
export const key = (name) => h("kbd", { "aria-hidden": "true" }, name);

/** A name for people: long ids keep their end, which tells files apart. */
export const short = (id, most = 60) => (id.length <= most ? id : `…${id.slice(1 - most)}`);

/** A button that gives the focus back to the item after a click of the mouse, so that space does not press it again. */
export function button(attributes, ...children) {
  const made = h("button", { type: "button", ...attributes }, ...children);
  made.addEventListener("click", (event) => event.detail > 0 && made.blur());
  return made;
}

/** Speak to people who do not see the page. */
export function announce(text) {
  byId("live").textContent = text;
}

let hiding = 0;

/** Show a note for some seconds, to everyone. */
export function note(text, kind = "plain") {
  const element = byId("note");
  element.hidden = false;
  element.textContent = text;
  element.dataset.kind = kind;
  clearTimeout(hiding);
  hiding = setTimeout(() => { element.hidden = true; }, kind === "error" ? 12000 : 4000);
}

/** A text without case, as the server searches it, and where the letter of each of its units begins and ends: some become two. */
function folded(text) {
  const starts = [];
  const ends = [];
  let plain = "";
  let at = 0;
  for (const letter of text) {
    const written = letter.toLowerCase().toUpperCase().toLowerCase(); // "ss" for both forms of the German sharp s
    plain += written;
    for (let n = 0; n < written.length; n++) {
      starts.push(at);
      ends.push(at + letter.length);
    }
    at += letter.length;
  }
  return { plain, starts, ends };
}

/** A text in nodes, with the occurrences of the words marked. */
export function marked(text, words) {
  const sought = words.filter(Boolean).map((word) => folded(word.normalize()).plain.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (sought.length === 0) return [text];
  const shown = text.normalize();
  const { plain, starts, ends } = folded(shown);
  const parts = [];
  let done = 0;
  for (const { 0: { length }, index } of plain.matchAll(new RegExp(sought.join("|"), "gu"))) {
    const start = Math.max(done, starts[index]);
    const end = ends[index + length - 1];
    if (end <= start) continue; // the other half of a letter that is marked
    parts.push(shown.slice(done, start), h("mark", null, shown.slice(start, end)));
    done = end;
  }
  return [...parts, shown.slice(done)];
}
