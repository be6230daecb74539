// The person's desk: what is on it, what was said about it, and what becomes of both. Views read it and listen to "change", and to
// "back" when the server is reached again.

import { Outbox, get, newKey, post } from "./api.js";
import { announce, note, percent, plural, short } from "./dom.js";
import { GRID, History, turnOnMap, turning } from "./history.js";
import { Queue } from "./queue.js";
import { Stopwatch } from "./stopwatch.js";

const MOST_HELD = 400; // the server reads no more ids in a request

const SAID = { skip: "skipped", unsure: "not sure", flag: "flagged" };

/** An answer in words. */
export const inWords = (kind, label) => label ?? SAID[kind] ?? kind;

export class Desk extends EventTarget {
  history = new History();
  watch = new Stopwatch();
  grid = []; // ids of the items in the grid, which this tab holds too
  save = { state: "saved", text: "Saved" };
  turning = 0; // undos and redos that are not done yet
  #turned = Promise.resolve(); // when all of them are
  #adding = new Set(); // names of classes that the server may not know yet
  #hidden = localStorage.getItem("distil-guesses") === "hidden";

  /** @param {object} project what GET /api/project says @param {string} tab @param {() => number} pixels the size of images */
  constructor(project, tab, pixels) {
    super();
    this.project = project;
    this.tab = tab;
    this.queue = new Queue(project.settings.prefetch, pixels);
    this.outbox = new Outbox(tab, `distil:${project.id}:${encodeURIComponent(project.who)}:`, {
      wishes: () => ({ want: this.queue.wanted, have: [...this.grid, ...this.queue.ids].slice(0, MOST_HELD) }),
      reply: (reply, wishes) => this.#reply(reply, wishes),
      state: (save) => this.#saved(save),
    });
  }

  changed(what = "change") {
    this.dispatchEvent(new Event(what));
  }

  #saved(save) {
    const back = ["waiting", "out"].includes(this.save.state) && save.state === "saved";
    this.save = save;
    this.changed("save");
    if (back) this.changed("back");
  }

  // ------------------------------------------------------------------------------------------------------- the project

  get classes() {
    return this.project.classes;
  }

  /** Read the project anew. */
  async refresh() {
    this.update(await get("/api/project"));
  }

  /** Take news of the project. */
  update(news) {
    if (news.who !== undefined && news.who !== this.project.who) return location.reload(); // another person opened an address here
    if (news.model && news.model.version !== this.project.model.version) this.#freshen();
    const before = JSON.stringify(this.project.classes.map(({ name, key }) => [name, key]));
    Object.assign(this.project, news);
    const known = new Set(this.classes.map((each) => each.name));
    const added = [...this.#adding].filter((name) => !known.has(name)).map((name) => ({ name, key: null, n: 0 }));
    this.project.classes = [...this.classes, ...added];
    if (before !== JSON.stringify(this.project.classes.map(({ name, key }) => [name, key]))) this.changed("classes");
    if (this.queue.wanted > 0 && this.queue.dry) this.outbox.flush();
    return this.changed("news");
  }

  /** Send a change of the classes; returns why it was refused, or null. A new class can be used at once. */
  async changeClasses(event) {
    if (event.kind === "class_add") {
      this.#adding.add(event.label);
      this.update({});
    }
    const [ack] = await this.outbox.send([{ key: newKey(), ...event }]);
    this.#adding.delete(event.label);
    if (ack.error) note(ack.error, "error");
    await this.refresh();
    return ack.error;
  }

  /** Get the new model's guesses for the items that are not on the screen yet. */
  async #freshen() {
    const ids = this.queue.ids.slice(1);
    if (ids.length === 0) return;
    const found = await post("/api/take", { tab: this.tab, ids }).catch(() => ({ items: [] })); // the earlier guesses do as well
    this.queue.freshen(found.items);
  }

  // ----------------------------------------------------------------------------------------------------------- guesses

  get hidden() {
    return this.#hidden;
  }

  toggleGuesses() {
    this.#hidden = !this.#hidden;
    localStorage.setItem("distil-guesses", this.#hidden ? "hidden" : "shown");
    note(this.#hidden ? "Guesses are hidden. Press h to show them." : "Guesses are shown.");
    this.changed();
  }

  /** The guess that may be shown with an item; null if there is none. */
  guessOf(item) {
    return item.withheld || this.#hidden || item.rejected ? null : item.guess;
  }

  #shown(item) {
    const { guess, withheld, reason, model } = item;
    return { guess: guess?.label ?? null, p: guess?.p ?? null, withheld, hidden: this.#hidden, reason, model };
  }

  // ----------------------------------------------------------------------------------------------------------- answers

  /** Answer the item on the screen: `label`, `skip` or `unsure`. */
  answer(kind, label = null) {
    const item = this.queue.current;
    if (!item) return;
    this.queue.remove(item.id);
    if (kind === "skip" && item.opened && item.mine?.kind) { // the person only looked
      this.#next("Left as it was.");
      return;
    }
    this.#send(kind, label, [item], this.watch.ms);
    this.#next(`Saved: ${inWords(kind, label)}.`);
  }

  /** Confirm that items are of a class, and put others first in the queue. */
  async confirm(label, right, others, ms) {
    this.grid = [];
    this.queue.putFirst(others);
    const saved = right.length > 0 ? this.#send("label", label, right, ms) : null;
    this.#next(`Saved: ${right.length} as ${label}.`);
    await saved;
  }

  /** Give back items of the grid that were not answered, so that others can have them. */
  release(items) {
    this.grid = [];
    if (items.length > 0) this.outbox.send(items.map(({ id }) => ({ kind: "release", key: newKey(), item: id, of: this.project.who })));
  }

  #send(kind, label, items, ms) {
    const group = `${items.length > 1 ? GRID : ""}${newKey()}`;
    const keyOf = (n) => (items.length > 1 ? `${group}:${n}` : group);
    const rest = label === null ? {} : { label };
    const events = items.map((item, n) => ({ kind, key: keyOf(n), item: item.id, ms, shown: this.#shown(item), ...rest }));
    this.history.push(kind, label, events.map(({ key }, n) => ({ key, item: items[n] })));
    return this.outbox.send(events).then((acks) => this.#acknowledge(acks, items));
  }

  #acknowledge(acks, items) {
    this.history.acknowledge(acks);
    const wrong = acks.filter((ack) => ack.error);
    if (wrong.length === 0) return;
    this.queue.putFirst(items.filter((_, n) => acks[n].error));
    note(`Not saved: ${wrong[0].error}`, "error");
    this.changed();
  }

  /** Flag the item on the screen, or take its flag back. */
  async flag() {
    const item = this.queue.current;
    if (!item) return null;
    const flag = item.mine?.flagged && (await this.history.flagOf(item.id));
    if (flag) return this.undo(flag);
    item.mine = flagged(item, true);
    this.#send("flag", null, [item], null);
    announce("Flagged.");
    return this.changed();
  }

  /** Learn what this person did on other pages; without the server, what is known here has to do. */
  async learn() {
    if (this.save.state === "waiting" || this.save.state === "out") return;
    await this.history.news(this.tab).catch(() => undefined);
    this.changed();
  }

  /** Undo or redo after those before, and after what was done on other pages is known. */
  #turn(act) {
    this.turning += 1;
    const done = this.#turned.then(async () => {
      await this.learn();
      return act();
    }).finally(() => { this.turning -= 1; });
    this.#turned = done.catch(() => undefined);
    return done;
  }

  /** Undo an entry of the history, the last one if none is given; gives what was done, in words. */
  undo(entry) {
    return this.#turn(() => this.#undo(entry));
  }

  async #undo(entry) {
    if (entry?.undone) return note("That was undone already, on another page.");
    const found = entry ?? (await this.history.last());
    if (!found) return note("There is nothing to undo.");
    this.history.undo(found);
    if (found.map) await this.#turnOnMap("undo", found).catch((error) => { this.history.again(found); throw error; });
    else this.#undone(found);
    return this.#next(`Undone: ${describe(found)}.`);
  }

  #undone(entry) {
    const items = entry.events.map((event) => event.item).filter(Boolean);
    if (entry.kind === "flag") this.#markFlags(items, false);
    else this.queue.putFirst(items.map((item) => Object.assign(item, { mine: item.mine?.flagged ? flagged(null, true) : null })));
    this.outbox.send(turning("undo", entry));
  }

  /** Do again what was undone last; gives what was done, in words. */
  redo() {
    return this.#turn(() => this.#redo());
  }

  async #redo() {
    const entry = await this.history.redo();
    if (!entry) return note("There is nothing to redo.");
    const items = entry.events.map((event) => event.item).filter(Boolean);
    if (entry.kind === "flag") this.#markFlags(items, true);
    else for (const { id } of items) this.queue.remove(id);
    if (entry.map) await this.#turnOnMap("redo", entry).catch((error) => { this.history.undo(entry); throw error; });
    else this.outbox.send(turning("redo", entry));
    return this.#next(`Done again: ${describe(entry)}.`);
  }

  async #turnOnMap(kind, entry) {
    await turnOnMap(kind, entry, this.tab);
    this.changed("map");
  }

  /** Note a flag, or that it was taken back, on items and on those of the queue with their ids. */
  #markFlags(items, on) {
    for (const item of [...items, ...this.queue.those(items)]) item.mine = flagged(item, on);
  }

  /** Put an item that the person chose on the screen. */
  async open(id) {
    const { items, taken } = await post("/api/take", { tab: this.tab, ids: [id] });
    if (taken?.[id]) note(`${taken[id]}. Your answer counts as well.`);
    this.queue.putFirst(items.map((item) => ({ ...item, opened: true })));
    this.#next("");
  }

  #next(said) {
    const item = this.queue.current;
    const { labeled, items } = this.project.progress;
    const guess = item && this.guessOf(item);
    const next = item
      ? ` ${item.text ? item.text.slice(0, 300) : short(item.id)}.${guess ? ` Guess: ${guess.label}, ${percent(guess.p)}.` : ""}`
      : " No item is left for you.";
    announce(`${said} Item ${Math.min(labeled + 1, items)} of ${items}:${next}`);
    this.changed();
    return said;
  }

  #reply(reply, wishes) {
    const before = this.queue.current;
    if (reply.progress) this.project.progress = reply.progress;
    this.queue.add(reply.items, wishes.want);
    if (before !== this.queue.current) this.#next("");
    else this.changed("news");
  }
}

/** What a person says about an item, with a flag or without. */
const flagged = (item, on) => ({ kind: null, label: null, ...item?.mine, flagged: on });

const describe = (entry) =>
  entry.events.length > 1 ? `${plural(entry.events.length, "item")} as ${entry.label}` : inWords(entry.kind, entry.label);
