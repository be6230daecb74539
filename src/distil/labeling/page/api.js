// Talking to the server: questions, and the outbox, which keeps every event on this machine until the server has it.

import { plural } from "./dom.js";

const AGAIN_MS = [1000, 2000, 4000]; // until the next try, and so on with the last
const MOST = 100; // events in one request
const LONGEST_MS = 30_000; // a connection that hangs is given up

/** What the server refused, with its sentence; `status` is 0 when it was not reached. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options, read = (response) => response.json()) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(LONGEST_MS), ...options });
  } catch {
    throw new Refused(0, "The server cannot be reached. Is distil label still running?");
  }
  const said = await (response.ok ? read(response) : response.json()).catch(() => null);
  if (!response.ok) throw new Refused(response.status, said?.error ?? `The server answered ${response.status}.`);
  if (said === null) throw new Refused(0, "The answer of the server broke off.");
  return said;
}

/** The JSON at an address of the server. */
export const get = (path, options = {}) => ask(path, options);

/** The bytes at an address of the server. */
export const bytes = (path) => ask(path, {}, (response) => response.arrayBuffer());

/** What the server answers to a document. */
export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** A random UUID; also on pages without a secure context, where `crypto.randomUUID` is missing. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/**
 * The name of this tab, kept through reloads. A copy of a tab inherits the name, so a name in use is not taken: the
 * mark is there exactly while a page with the name is open.
 */
export function tabName() {
  const used = sessionStorage.getItem("distil-tab-open") !== null;
  const name = (!used && sessionStorage.getItem("distil-tab")) || newKey();
  const mark = () => sessionStorage.setItem("distil-tab-open", "1");
  sessionStorage.setItem("distil-tab", name);
  mark();
  addEventListener("pagehide", () => sessionStorage.removeItem("distil-tab-open"));
  addEventListener("pageshow", mark);
  return name;
}

/**
 * Events on their way to the server, in their order, one request at a time. Each is in localStorage under a key of its
 * own from the moment it is made until the server has acknowledged it, so neither a reload nor a lost connection loses
 * one. Events that other tabs left behind are sent too: the server counts each key once.
 */
export class Outbox {
  #kept = [];
  #flying = false;
  #lost = false; // whether the connection was lost since the last request began
  #timer = 0;
  #failures = 0; // since the last try that did not fail
  #most = MOST;
  #waiting = new Map();

  /**
   * @param {string} tab the name of this tab
   * @param {string} prefix what the keys in localStorage begin with: project and person
   * @param {{wishes: () => {want: number, have: string[]}, reply: (reply: object, wishes: object) => void, state: (state: object) => void}} hooks
   */
  constructor(tab, prefix, hooks) {
    this.tab = tab;
    this.prefix = prefix;
    this.hooks = hooks;
    this.#read();
    for (const sign of ["online", "focus"]) addEventListener(sign, () => this.again());
    addEventListener("offline", () => {
      this.#lost = true;
      this.flush(); // says so at once
    });
  }

  /** Try at once, if the last try failed; there is a sign that the server may be reached. */
  again() {
    if (this.#failures > 0) this.flush();
  }

  /** The number of events that the server has not acknowledged. */
  get waiting() {
    return this.#kept.length;
  }

  /** Keep events and send them; resolves to their acks. */
  send(events) {
    const acks = events.map((event) => new Promise((done) => this.#waiting.set(event.key, done)));
    for (const event of events) this.#keep(event);
    this.flush();
    return Promise.all(acks);
  }

  /** Send what waits, and ask for items. */
  async flush() {
    if (this.#flying) return;
    this.#flying = true;
    clearTimeout(this.#timer);
    try {
      do {
        this.#lost = false;
        await this.#fly();
      } while (this.#kept.length > 0 || this.#lost);
      this.#failures = 0;
      this.hooks.state({ state: "saved", text: "Saved" });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#failed(error);
    } finally {
      this.#flying = false;
    }
  }

  async #fly() {
    const tab = this.#kept[0]?.tab ?? this.tab;
    const end = this.#kept.findIndex((each) => each.tab !== tab);
    const batch = this.#kept.slice(0, Math.min(end < 0 ? this.#kept.length : end, this.#most));
    const last = tab === this.tab && batch.length === this.#kept.length;
    const wishes = last ? this.hooks.wishes() : { want: 0, have: [] };
    if (batch.length > 0 && this.#failures === 0) this.hooks.state({ state: "saving", text: "Saving…" }); // else what is wrong stays on the screen
    let reply;
    try {
      reply = await post("/api/events", { tab, events: batch.map((each) => each.event), ...wishes });
    } catch (error) {
      if (!(error instanceof Refused && (error.status === 400 || error.status === 413) && batch.length > 0)) throw error;
      if (batch.length > 1) {
        this.#most = 1; // one event spoils the request: find out which
        return;
      }
      reply = { acks: [{ key: batch[0].event.key, seq: null, duplicate: false, error: error.message }], items: [] };
    }
    if (this.#kept.length === batch.length) this.#most = MOST;
    this.#acknowledge(reply.acks);
    this.hooks.reply(reply, wishes);
  }

  #acknowledge(acks) {
    const keys = new Set(acks.map((ack) => ack.key));
    for (const each of this.#kept) if (keys.has(each.event.key)) localStorage.removeItem(each.name);
    this.#kept = this.#kept.filter((each) => !keys.has(each.event.key));
    for (const ack of acks) {
      this.#waiting.get(ack.key)?.(ack);
      this.#waiting.delete(ack.key);
    }
  }

  #failed(error) {
    this.#failures += 1;
    const waiting = this.waiting > 0 ? `: ${plural(this.waiting, "answer waits", "answers wait")}` : "";
    if (error.status === 401) {
      this.hooks.state({ state: "out", text: `Signed out${waiting}`, detail: error.message });
      return;
    }
    const why = { 0: "Offline", 507: "Disk full" }[error.status] ?? "Not saved";
    this.hooks.state({ state: "waiting", text: `${why}${waiting}`, detail: error.message });
    this.#timer = setTimeout(() => this.flush(), AGAIN_MS[Math.min(this.#failures, AGAIN_MS.length) - 1]);
  }

  #keep(event) {
    const last = this.#names().at(-1)?.slice(this.prefix.length) ?? "0";
    const number = String(parseInt(last, 10) + 1).padStart(15, "0"); // counted, because a clock may be set back
    const name = `${this.prefix}${number}:${event.key}`;
    this.#kept.push({ name, tab: this.tab, event });
    try {
      localStorage.setItem(name, JSON.stringify({ tab: this.tab, event }));
    } catch {
      this.hooks.state({ state: "waiting", text: "Saving…", detail: "This browser keeps no answers; do not close the tab before they are saved." });
    }
  }

  /** The names of the events in localStorage, also those of other tabs, in the order in which they were made. */
  #names() {
    return Object.keys(localStorage).filter((name) => name.startsWith(this.prefix)).sort();
  }

  #read() {
    this.#kept = this.#names().map((name) => ({ name, ...JSON.parse(localStorage.getItem(name)) }));
  }
}
