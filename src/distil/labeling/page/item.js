// How an item looks: large, in its view, and small, in lists.

import { get } from "./api.js";
import { button, h, key, marked, short, svg } from "./dom.js";
import { address, forget, isSmall, picture } from "./pictures.js";
import { Zoom } from "./zoom.js";

const MOST_IN_TABLE = 12;
const LISTED = 402; // characters of a text in lists: an excerpt of the server's, with its ellipses

/**
 * An item as large as there is room.
 * @param {{again: () => void, skip: () => void}} can draws it once more, after it could not be shown; skips it
 * @returns {{element: HTMLElement, ready: Promise<boolean> | null, zoom: Zoom | null}} `ready` is null if it is painted at once, false if it cannot be shown
 */
export function large(item, words, pixels, can) {
  if (item.image) return image(item, pixels, can);
  if (item.text !== null) return text(item, words, can);
  return { element: rows(item.values ?? []), ready: null, zoom: null };
}

function image(item, pixels, can) {
  const found = picture(item, pixels);
  const { img } = found;
  img.className = isSmall(item) ? "pixels" : "";
  const element = h("div", { class: "image" }, img);
  const again = () => { forget(item); can.again(); };
  const failed = () => unseen(element, found.why, { ...can, again });
  const ready = found.shown ? null : found.ready.then((fine) => fine || failed());
  return { element, ready, zoom: new Zoom(element, img, () => { img.src = address(item, 1e6); }) };
}

/** A text; the rest of a long one is asked for here. */
function text(item, words, can) {
  const element = h("div", { class: "text", dir: "auto" }, item.whole ? marked(item.text, words) : null);
  if (item.whole) return { element, ready: null, zoom: null };
  const ready = get(`/api/text?place=${item.place}`).then((found) => {
    Object.assign(item, found, { whole: true });
    element.append(...marked(item.text, words));
    return true;
  }).catch((error) => unseen(element, error.message, can));
  return { element, ready, zoom: null };
}

/** Say that an item cannot be shown, and why; false. */
function unseen(element, why, { again, skip }) {
  element.replaceChildren(h("div", { class: "empty" }, h("p", null, "This item cannot be shown, so it gets no label."), h("p", { class: "hint" }, why),
    h("p", { class: "row" }, button({ class: "primary", onclick: skip }, key("space"), "Skip it"), button({ onclick: again }, "Try again"))));
  return false;
}

function rows(values) {
  if (values.length > MOST_IN_TABLE) return bars(values);
  const cells = values.map((value, n) => h("tr", null, h("th", { scope: "row" }, String(n)), h("td", null, number(value))));
  return h("table", { class: "values" }, h("caption", { class: "unseen" }, "The numbers of this row"), h("tbody", null, cells));
}

const number = (value) => (value === null ? "–" : String(+value.toPrecision(5)));

/** Numbers as bars from a line at zero. */
function bars(values) {
  const most = Math.max(...values.map((value) => Math.abs(value ?? 0)), 1e-300);
  const parts = values.map((value, n) => {
    const size = (48 * Math.abs(value ?? 0)) / most;
    return svg("rect", { x: n, y: value < 0 ? 50 : 50 - size, width: 0.8, height: size }, svg("title", null, `${n}: ${number(value)}`));
  });
  const says = `${values.length} numbers from ${number(Math.min(...values))} to ${number(Math.max(...values))}`;
  const line = svg("line", { x1: 0, x2: values.length, y1: 50, y2: 50 });
  return svg("svg", { class: "bars", viewBox: `0 0 ${values.length} 100`, preserveAspectRatio: "none", role: "img", "aria-label": says }, line, parts);
}

/** An item as it is in lists: a small picture, the beginning of its text, or its numbers; `failed` is called if its image cannot be shown. */
export function small(item, words = [], failed = () => undefined) {
  if (item.image) {
    const onerror = () => { img.remove(); failed(); };
    const img = h("img", { src: address(item, 128), alt: "", loading: "lazy", class: isSmall(item) ? "pixels" : null, draggable: "false", onerror });
    return h("span", { class: "small" }, img);
  }
  if (item.text !== null) return h("span", { class: "small words", dir: "auto" }, marked(item.text.slice(0, LISTED), words));
  return h("span", { class: "small" }, item.values ? bars(item.values.slice(0, 50)) : null);
}

/** What an item is called for people who do not see it. */
export const titleOf = (item) => (item.text !== null ? item.text.slice(0, 80) : short(item.id));
