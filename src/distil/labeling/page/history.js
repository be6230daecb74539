// What this person did, newest first: the record's events in groups that are undone together, and what can be redone.

import { get, newKey, post } from "./api.js";

const OPINIONS = new Set(["label", "skip", "unsure", "flag", "decide", "withdraw"]);
const PIECE = 1000; // places in one request of the map

/** What the keys of a page of the grid begin with; other keys with a colon are those of the map: KEY:place. */
export const GRID = "grid-";

const groupOf = (key) => key.split(":")[0];

/**
 * @typedef {{group: string, kind: string, label: string | null, events: {key: string, item: object | null}[], undone: boolean, map: boolean}} Entry
 */

export class History {
  /** @type {Entry[]} */
  entries = [];
  #redo = [];
  #oldest = null;

  /** Read the last events from the server. */
  async load() {
    this.entries = [];
    this.#redo = [];
    this.#oldest = null;
    await this.#older(100);
  }

  /** Note what was just done; nothing can be redone after it. */
  push(kind, label, events) {
    this.entries.unshift({ group: groupOf(events[0].key), kind, label, events, undone: false, map: false });
    this.#redo = [];
  }

  /** Forget an event that the server refused. */
  drop(key) {
    for (const entry of this.entries) entry.events = entry.events.filter((event) => event.key !== key);
    this.entries = this.entries.filter((entry) => entry.events.length > 0);
  }

  /** The entry to undo next, all its events known; undefined if there is none. */
  async last() {
    for (;;) {
      const found = this.entries.find((entry) => !entry.undone);
      if (found ? this.entries.at(-1) !== found : this.#oldest === null) return found;
      if (!(await this.#older(500))) return found;
    }
  }

  /** The person's own flag on an item that was not undone. */
  flagOf(id) {
    return this.entries.find((entry) => entry.kind === "flag" && !entry.undone && entry.events[0].item?.id === id);
  }

  /** Mark an entry as undone; returns the events to send, none for what the map did, which the map's address undoes. */
  undo(entry, tab) {
    entry.undone = true;
    this.#redo.push(entry.group);
    return this.#turn("undo", entry, tab);
  }

  /** The entry that was undone last, marked as done again, with the events to send; null if there is none. */
  redo(tab) {
    const group = this.#redo.pop();
    const entry = this.entries.find((each) => each.group === group && each.undone);
    if (!entry) return null;
    entry.undone = false;
    return { entry, events: this.#turn("redo", entry, tab) };
  }

  #turn(kind, entry, tab) {
    if (!entry.map) return entry.events.map(({ key }) => ({ kind, key: newKey(), target: key }));
    const places = entry.events.map((event) => event.item.place);
    for (let from = 0; from < places.length; from += PIECE) {
      post("/api/bulk", { key: newKey(), tab, places: places.slice(from, from + PIECE), do: kind, of: entry.group });
    }
    return [];
  }

  /** Read older events; returns whether there were any. */
  async #older(n) {
    const before = this.#oldest === null ? "" : `&before=${this.#oldest}`;
    const { events } = await get(`/api/history?n=${n}${before}`);
    for (const event of events) this.#take(event);
    if (before === "") this.#redo = redoable(events);
    this.#oldest = events.length > 0 ? events.at(-1).seq : this.#oldest;
    return events.length > 0;
  }

  #take({ key, kind, label, item, undone }) {
    if (!OPINIONS.has(kind)) return;
    const group = groupOf(key);
    const entry = this.entries.find((each) => each.group === group);
    if (entry) entry.events.push({ key, item });
    else this.entries.push({ group, kind, label, events: [{ key, item }], undone, map: key.includes(":") && !key.startsWith(GRID) });
  }
}

/** The groups that can be redone, the last undone one at the end, from events that are newest first. */
function redoable(events) {
  const groups = [];
  for (const { kind, target } of [...events].reverse()) {
    if (OPINIONS.has(kind)) groups.length = 0;
    if (kind !== "undo" && kind !== "redo") continue;
    const at = groups.indexOf(groupOf(target));
    if (at >= 0) groups.splice(at, 1);
    if (kind === "undo") groups.push(groupOf(target));
  }
  return groups;
}
