// The canvas of the map: points, zoom and pan, what is under the pointer, and the lasso.

import { h, svg } from "./dom.js";
import { layers } from "./map-data.js";
import { stamps } from "./palette.js";

const FILLED = 0.9; // share of the shorter side that the whole map takes
const MOST_ZOOM = 400;
const STEP = 1.5; // of the zoom, for a key or button
const NEAR = 5; // CSS pixels around the pointer in which a point is found
const LABELED = 1.6; // radius of labeled points, of that of others
const CLICK = 4; // CSS pixels that the pointer may move in a click
const NONE = -1;

/** Events: `view` after a move, `hover` and `pick` with {row, x, y} in CSS pixels, `lasso` with {outline} on the unit square. */
export class MapView extends EventTarget {
  tool = "lasso";
  #map = null;
  #layers = { plain: new Int32Array(0), labeled: new Int32Array(0) };
  #look = { colors: new Uint32Array(0), marks: new Uint8Array(0) };
  #top = new Int32Array(0);
  #at = { x: 0.5, y: 0.5, zoom: 1 };
  #ids = new Int32Array(0);
  #image = null;
  #waiting = false;
  #pointers = new Map();
  #outline = null;
  #moved = 0;

  constructor() {
    super();
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.line = svg("polygon", { class: "lasso" });
    this.ring = svg("circle", { class: "ring", r: 7, visibility: "hidden" });
    this.cross = svg("path", { class: "cross" });
    const keys = "Arrows move, plus and minus zoom, 0 shows everything, Enter opens the item nearest to the middle.";
    this.element = h("div", { class: "map-frame", tabindex: "0", role: "group", "aria-label": `Map of the items. ${keys}` },
      this.canvas, svg("svg", { "aria-hidden": "true" }, this.line, this.ring, this.cross));
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(this.element);
  }

  /** Show a map. @param {import("./map-data.js").PoolMap} map */
  show(map) {
    this.#map = map;
    this.#layers = layers(map);
    this.draw();
  }

  /** Color the points, and draw some of them above all others. */
  paint(look, top) {
    this.#look = look;
    this.#top = top;
    this.draw();
  }

  /** Draw before the next frame. */
  draw() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#draw();
    });
  }

  // ----------------------------------------------------------------------------------------------------------- drawing

  #draw() {
    const { width, height } = this.canvas;
    if (!this.#map || !this.#image || this.#look.colors.length !== this.#map.n) return;
    const radius = this.#radius();
    this.#ids.fill(NONE);
    this.#stamp(this.#layers.plain, radius, width, height);
    this.#stamp(this.#layers.labeled, radius * LABELED, width, height);
    this.#stamp(this.#top, radius, width, height);
    const pixels = new Uint32Array(this.#image.data.buffer);
    const { colors } = this.#look;
    for (let i = 0; i < pixels.length; i += 1) pixels[i] = this.#ids[i] === NONE ? 0 : colors[this.#ids[i]];
    this.canvas.getContext("2d").putImageData(this.#image, 0, 0);
  }

  /** Note at each pixel which point is there. */
  #stamp(rows, radius, width, height) {
    const ids = this.#ids;
    const shapes = stamps(radius, width);
    const margin = Math.ceil(radius);
    const { xy } = this.#map;
    const { marks } = this.#look;
    const { unit, left, top } = this.#frame(width, height);
    for (let i = 0; i < rows.length; i += 1) {
      const row = rows[i];
      const x = Math.round(xy[2 * row] * unit + left);
      const y = Math.round(xy[2 * row + 1] * unit + top);
      if (x < margin || y < margin || x >= width - margin || y >= height - margin) continue;
      const shape = shapes[marks[row]];
      const middle = y * width + x;
      for (let k = 0; k < shape.length; k += 1) ids[middle + shape[k]] = row;
    }
  }

  /** Where the unit square is in a frame of this size. */
  #frame(width, height) {
    const unit = FILLED * Math.min(width, height) * this.#at.zoom;
    return { unit, left: width / 2 - this.#at.x * unit, top: height / 2 - this.#at.y * unit };
  }

  /** Device pixels: larger for fewer points, and when they are magnified. */
  #radius() {
    const n = this.#layers.plain.length;
    const base = n > 20000 ? 1.4 : n > 3000 ? 2.2 : 3.4;
    return this.#density * base * Math.min(2.5, Math.max(1, this.#at.zoom ** 0.3));
  }

  get #density() {
    return Math.min(devicePixelRatio || 1, 2);
  }

  #resize() {
    const { clientWidth, clientHeight } = this.element;
    const [width, height] = [clientWidth, clientHeight].map((size) => Math.round(size * this.#density));
    if (width === 0 || height === 0) return;
    Object.assign(this.canvas, { width, height });
    this.#ids = new Int32Array(width * height);
    this.#image = new ImageData(width, height);
    const [x, y] = [clientWidth / 2, clientHeight / 2];
    this.cross.setAttribute("d", `M${x - 9} ${y}H${x - 3}M${x + 3} ${y}H${x + 9}M${x} ${y - 9}V${y - 3}M${x} ${y + 3}V${y + 9}`);
    this.#draw(); // at once: a canvas of a new size is empty
    this.dispatchEvent(new Event("view"));
  }

  // ------------------------------------------------------------------------------------------------------- the section

  /** The rows whose points are in the frame. */
  inView() {
    const { clientWidth, clientHeight } = this.element;
    const { unit, left, top } = this.#frame(clientWidth, clientHeight);
    const { xy } = this.#map;
    const seen = (row) => {
      const x = xy[2 * row] * unit + left;
      const y = xy[2 * row + 1] * unit + top;
      return x >= 0 && y >= 0 && x < clientWidth && y < clientHeight;
    };
    return [...this.#layers.plain.filter(seen), ...this.#layers.labeled.filter(seen)];
  }

  /** Move by a share of the frame. */
  move(x, y) {
    const { clientWidth, clientHeight } = this.element;
    this.#pan(x * clientWidth, y * clientHeight);
  }

  /** Zoom by a factor, around a point of the frame in CSS pixels; the middle by default. */
  zoom(by, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const [ux, uy] = this.#onMap(x, y);
    const zoom = Math.min(MOST_ZOOM, Math.max(1, this.#at.zoom * by));
    const share = 1 - this.#at.zoom / zoom; // the point under the pointer stays there
    this.#go({ x: this.#at.x + (ux - this.#at.x) * share, y: this.#at.y + (uy - this.#at.y) * share, zoom });
  }

  closer = () => this.zoom(STEP);
  farther = () => this.zoom(1 / STEP);
  all = () => this.#go({ x: 0.5, y: 0.5, zoom: 1 });

  #pan(x, y) {
    const { unit } = this.#frame(this.element.clientWidth, this.element.clientHeight);
    this.#go({ ...this.#at, x: this.#at.x + x / unit, y: this.#at.y + y / unit });
  }

  #go(at) {
    this.#at = { zoom: at.zoom, x: Math.min(1, Math.max(0, at.x)), y: Math.min(1, Math.max(0, at.y)) };
    this.#point(null);
    this.draw();
    this.dispatchEvent(new Event("view"));
  }

  /** A point of the frame, in CSS pixels, on the unit square. */
  #onMap(x, y) {
    const { unit, left, top } = this.#frame(this.element.clientWidth, this.element.clientHeight);
    return [(x - left) / unit, (y - top) / unit];
  }

  /** The point nearest to a place in the frame, as {row, x, y} in CSS pixels; null if none is near. */
  nearest(x, y, near = NEAR) {
    const { width, height } = this.canvas;
    const [cx, cy, reach] = [x, y, near].map((value) => Math.round(value * this.#density));
    let [row, least] = [NONE, reach * reach + 1];
    for (let py = Math.max(0, cy - reach); py <= Math.min(height - 1, cy + reach); py += 1) {
      for (let px = Math.max(0, cx - reach); px <= Math.min(width - 1, cx + reach); px += 1) {
        const away = (px - cx) ** 2 + (py - cy) ** 2;
        const here = this.#ids[py * width + px];
        if (here !== NONE && away < least) [row, least] = [here, away];
      }
    }
    return row === NONE ? null : this.#spot(row);
  }

  #spot(row) {
    const { unit, left, top } = this.#frame(this.element.clientWidth, this.element.clientHeight);
    return { row, x: this.#map.xy[2 * row] * unit + left, y: this.#map.xy[2 * row + 1] * unit + top };
  }

  // ----------------------------------------------------------------------------------------------------------- pointer

  #listen() {
    const on = (name, act, options) => this.element.addEventListener(name, act, options);
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#drag(event));
    on("pointerup", (event) => this.#up(event));
    on("pointercancel", (event) => this.#lift(event));
    on("pointerleave", () => this.#point(null));
    on("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.0015)), ...this.#place(event));
    }, { passive: false });
  }

  #place(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left - this.element.clientLeft, event.clientY - box.top - this.element.clientTop];
  }

  #down(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    const place = this.#place(event);
    this.#pointers.set(event.pointerId, place);
    this.#moved = this.#pointers.size > 1 ? Infinity : 0; // two fingers do not click
    const draws = (this.tool === "lasso") !== event.shiftKey && this.#pointers.size === 1;
    this.#outline = draws ? [place] : null;
    this.#drawLine();
  }

  #drag(event) {
    const place = this.#place(event);
    const before = this.#pointers.get(event.pointerId);
    if (!before) return this.#point(this.nearest(...place));
    const [dx, dy] = [place[0] - before[0], place[1] - before[1]];
    this.#moved += Math.hypot(dx, dy);
    if (this.#pointers.size > 1) this.#pinch(event.pointerId, place);
    this.#pointers.set(event.pointerId, place);
    if (this.#outline) {
      this.#outline.push(place);
      return this.#drawLine();
    }
    return this.#pan(-dx / this.#pointers.size, -dy / this.#pointers.size);
  }

  #pinch(id, place) {
    const [, other] = [...this.#pointers].find(([each]) => each !== id);
    const size = (a) => Math.max(1, Math.hypot(a[0] - other[0], a[1] - other[1]));
    this.zoom(size(place) / size(this.#pointers.get(id)), ...other);
  }

  #up(event) {
    const outline = this.#outline;
    if (!this.#pointers.has(event.pointerId)) return;
    this.#lift(event);
    if (this.#moved <= CLICK) {
      const found = this.nearest(...this.#place(event));
      if (found) this.#say("pick", found);
    } else if (outline && outline.length > 2) {
      this.#say("lasso", { outline: Float64Array.from(outline.flatMap(([x, y]) => this.#onMap(x, y))) });
    }
  }

  #lift(event) {
    this.#pointers.delete(event.pointerId);
    this.#outline = null;
    this.#drawLine();
  }

  #drawLine() {
    this.line.setAttribute("points", (this.#outline ?? []).map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
  }

  /** Mark the point under the pointer, and say which it is. */
  #point(found) {
    this.ring.setAttribute("visibility", found ? "visible" : "hidden");
    if (found) for (const [name, value] of [["cx", found.x], ["cy", found.y]]) this.ring.setAttribute(name, value);
    this.#say("hover", found);
  }

  #say(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
