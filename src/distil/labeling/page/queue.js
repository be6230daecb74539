// The items that this tab has to answer: the first is the one on the screen, the images of the others are decoded ahead.

import { picture } from "./pictures.js";

export class Queue {
  #items = [];
  #dry = false;

  /** @param {number} ahead how many items to hold @param {() => number} pixels the size at which images are shown */
  constructor(ahead, pixels) {
    this.ahead = ahead;
    this.pixels = pixels;
  }

  /** The item to answer now; undefined if there is none. */
  get current() {
    return this.#items[0];
  }

  get ids() {
    return this.#items.map((item) => item.id);
  }

  /** Those that have the ids of some items. */
  those(items) {
    const ids = new Set(items.map((item) => item.id));
    return this.#items.filter((item) => ids.has(item.id));
  }

  /** How many items to ask for. */
  get wanted() {
    return Math.max(0, this.ahead - this.#items.length);
  }

  /** Whether the server had fewer items than were wanted when it was last asked. */
  get dry() {
    return this.#dry;
  }

  /** Take what the server gave for a wish of so many items. */
  add(items, wanted) {
    this.#dry = items.length < wanted;
    const known = new Set(this.ids);
    this.#items.push(...items.filter((item) => !known.has(item.id)));
    this.decode();
  }

  /** Put items first, in this order. */
  putFirst(items) {
    const ids = new Set(items.map((item) => item.id));
    this.#items = [...items, ...this.#items.filter((item) => !ids.has(item.id))];
    this.decode();
  }

  /** Take later guesses for items that wait behind the one on the screen. */
  freshen(items) {
    const later = new Map(items.map((item) => [item.id, item]));
    for (const item of this.#items.slice(1)) {
      const { guess, model, withheld } = later.get(item.id) ?? item;
      Object.assign(item, { guess, model, withheld });
    }
  }

  /** Take an item out. */
  remove(id) {
    this.#items = this.#items.filter((item) => item.id !== id);
  }

  /** Have the images ready. */
  decode() {
    for (const item of this.#items) if (item.image) picture(item, this.pixels());
  }
}
