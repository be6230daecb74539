// How an item looks: large, in its view, and small, in lists.

import { button, h, marked, short, svg } from "./dom.js";
import { address, isSmall, picture } from "./pictures.js";
import { Zoom } from "./zoom.js";

const MOST_IN_TABLE = 12;

/**
 * An item as large as there is room; `again` draws it once more, after its image could not be loaded.
 * @returns {{element: HTMLElement, ready: Promise<boolean> | null, zoom: Zoom | null}} `ready` is null if it is painted at once, false if it cannot be shown
 */
export function large(item, words, pixels, again) {
  if (item.image) return image(item, pixels, again);
  if (item.text !== null) return { element: text(item, words), ready: null, zoom: null };
  return { element: rows(item.values ?? []), ready: null, zoom: null };
}

function image(item, pixels, again) {
  const found = picture(item, pixels);
  const { img } = found;
  img.className = isSmall(item) ? "pixels" : "";
  const element = h("div", { class: "image" }, img);
  const failed = () => {
    element.replaceChildren(h("div", { class: "empty" }, h("p", null, "This image cannot be shown now."), button({ onclick: again }, "Try again")));
    return false;
  };
  const ready = found.done ? null : found.ready.then((fine) => fine || failed());
  return { element, ready, zoom: new Zoom(element, img, () => { img.src = address(item, 1e6); }) };
}

function text(item, words) {
  return h("div", { class: "text", dir: "auto" }, marked(item.text, words));
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

/** An item as it is in lists: a small picture, the beginning of its text, or its numbers. */
export function small(item, words = []) {
  if (item.image) {
    const img = h("img", { src: address(item, 128), alt: "", loading: "lazy", class: isSmall(item) ? "pixels" : null, draggable: "false", onerror: () => img.remove() });
    return h("span", { class: "small" }, img);
  }
  if (item.text !== null) return h("span", { class: "small words", dir: "auto" }, marked(item.text.slice(0, 400), words));
  return h("span", { class: "small" }, item.values ? bars(item.values.slice(0, 50)) : null);
}

/** What an item is called for people who do not see it. */
export const titleOf = (item) => (item.text !== null ? item.text.slice(0, 80) : short(item.id));
