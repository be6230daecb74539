// What this person did, newest first: the record's events in groups that are undone together, and what can be redone.

import { get, newKey, post } from "./api.js";

const OPINIONS = new Set(["label", "skip", "unsure", "flag", "decide", "withdraw"]);
const PIECE = 1000; // places in one request of the map
const MOST = 500; // events in one answer
const PATIENCE_MS = 2000;

/** What the keys of a page of the grid begin with; other keys with a colon are those of the map: KEY:place. */
export const GRID = "grid-";

const groupOf = (key) => key.split(":")[0];

/**
 * One step of the history: an answer, or many that were given at once. `seq` is Infinity until the server has it.
 * @typedef {{group: string, kind: string, label: string | null, events: {key: string, item: object | null}[], undone: boolean, map: boolean, seq: number}} Entry
 */

export class History {
  /** @type {Entry[]} */
  entries = [];
  #redo = [];
  #oldest = null;
  #newest = null; // the last event that was read

  /** Read the last events from the server; what it does not have yet is kept. */
  async load() {
    const before = this.#redo.length;
    this.#oldest = null;
    const events = await this.#older(100);
    this.#newest ??= events[0]?.seq ?? 0;
    for (let more = events; more.length > 0 && this.entries.every((entry) => entry.undone); events.push(...more)) more = await this.#older(MOST);
    if (this.#redo.length === before) this.#redo = redoable(events);
  }

  /** Read what this person did on other pages since the last reading, so that no page undoes what another one has undone. */
  async news(tab) {
    if (this.#newest === null) return this.load();
    const found = [];
    for (let n = MOST; n === MOST;) {
      const before = found.length > 0 ? `&before=${found.at(-1).seq}` : "";
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const { events } = await get(`/api/history?n=${MOST}&after=${this.#newest}&elsewhere=${encodeURIComponent(tab)}${before}`, { signal });
      found.push(...events);
      n = events.length;
    }
    for (const event of found.reverse()) this.#learn(event);
    this.#newest = found.at(-1)?.seq ?? this.#newest;
    return this.#sort();
  }

  #learn(event) {
    const { kind, target } = event;
    if (OPINIONS.has(kind)) this.#redo = [];
    this.#take(event);
    if (kind !== "undo" && kind !== "redo") return;
    this.#redo = this.#redo.filter((group) => group !== groupOf(target));
    if (kind === "undo") this.#redo.push(groupOf(target));
    const entry = this.of(target);
    if (entry) entry.undone = kind === "undo";
  }

  #sort() {
    this.entries.sort((a, b) => (a.seq === b.seq ? 0 : b.seq - a.seq));
  }

  /** Note what was just done; nothing can be redone after it. */
  push(kind, label, events) {
    this.entries.unshift({ group: groupOf(events[0].key), kind, label, events, undone: false, map: false, seq: Infinity });
    this.#redo = [];
  }

  /** Note what the server recorded, and forget what it refused. */
  acknowledge(acks) {
    for (const { key, seq, error } of acks) {
      const entry = this.of(key);
      if (!entry) continue;
      if (error) entry.events = entry.events.filter((event) => event.key !== key);
      else entry.seq = Math.min(entry.seq, seq);
    }
    this.entries = this.entries.filter((entry) => entry.events.length > 0);
  }

  /** The entry to undo next, with all its events; undefined if there is none. */
  last() {
    return this.#find((entry) => !entry.undone);
  }

  /** The person's own flag on an item that was not undone. */
  flagOf(id) {
    return this.#find((entry) => entry.kind === "flag" && !entry.undone && entry.events[0].item?.id === id);
  }

  /** The entry with these events, if it was read. */
  of(key) {
    return this.entries.find((entry) => entry.group === groupOf(key));
  }

  /** Mark an entry as undone. */
  undo(entry) {
    entry.undone = true;
    this.#redo.push(entry.group);
  }

  /** The entry that was undone last, marked as done again; undefined if there is none. */
  async redo() {
    const group = this.#redo.at(-1);
    const entry = group && (await this.#find((each) => each.group === group && each.undone));
    if (entry) this.again(entry);
    else this.#redo.pop(); // it was done again elsewhere
    return entry;
  }

  /** Mark an entry that was undone as done again. */
  again(entry) {
    entry.undone = false;
    this.#redo = this.#redo.filter((group) => group !== entry.group);
  }

  /** The newest entry that is wanted, with all its events; older ones are read until it is found. */
  async #find(wanted) {
    for (;;) {
      const found = this.entries.find(wanted);
      const whole = found && (!found.events[0].key.includes(":") || this.entries.at(-1) !== found);
      if (whole || this.#oldest === null || (await this.#older(MOST)).length === 0) return found;
    }
  }

  /** Read older events; gives them. */
  async #older(n) {
    const before = this.#oldest === null ? "" : `&before=${this.#oldest}`;
    const { events } = await get(`/api/history?n=${n}${before}`);
    for (const event of events) this.#take(event);
    this.#sort();
    this.#oldest = events.at(-1)?.seq ?? this.#oldest;
    return events;
  }

  #take({ key, kind, label, item, undone, seq }) {
    if (!OPINIONS.has(kind)) return;
    const group = groupOf(key);
    const map = key.includes(":") && !key.startsWith(GRID);
    const entry = this.of(key);
    if (!entry) this.entries.push({ group, kind, label, events: [{ key, item }], undone, map, seq });
    else if (!entry.events.some((event) => event.key === key)) entry.events.push({ key, item });
    if (entry?.map) entry.undone = undone; // the map undoes by itself
  }
}

/** The events that undo or redo an entry. */
export const turning = (kind, entry) => entry.events.map(({ key }) => ({ kind, key: newKey(), target: key }));

/** Undo or redo what was done on the map. */
export async function turnOnMap(kind, entry, tab) {
  const places = entry.events.map((event) => event.item.place);
  for (let from = 0; from < places.length; from += PIECE) {
    await post("/api/bulk", { key: newKey(), tab, places: places.slice(from, from + PIECE), do: kind, of: entry.group });
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
