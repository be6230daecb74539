// The frame of the page: views, keys for all of them, the state of saving, news from the server.

import { bytes, get, post, tabName } from "./api.js";
import { Desk } from "./desk.js";
import { announce, byId, button, count, h, key, note, plural } from "./dom.js";
import { givenTo, isCharacter, namesOf, table } from "./keys.js";
import * as classes from "./classes.js";
import * as grid from "./grid.js";
import * as progress from "./progress.js";
import * as search from "./search.js";
import * as single from "./single.js";

const VIEWS = { single, grid, map: null, search, progress, classes };
const KEEP_MS = 120_000; // how often leases are renewed
const IDLE_MS = 900_000; // without a key or click for this long, they are not
const POLL_MS = 5000;
const REPEATED = new Set(["backspace", "shift+backspace", "+", "-", "=", "arrowleft", "arrowright", "arrowup", "arrowdown"]);

/** What views share. */
export class App {
  announce = announce;
  note = note;
  get = (path) => this.#asked(get(path));
  bytes = (path) => this.#asked(bytes(path));
  post = (path, body) => this.#asked(post(path, body));
  typed = []; // words that the person highlights
  sought = []; // words of the last search
  #views = new Map();
  #now = "";
  #active = performance.now();
  #polling = 0;

  constructor(project) {
    this.tab = tabName();
    this.desk = new Desk(project, this.tab, () => this.pixels());
    this.desk.addEventListener("save", () => this.#drawSave());
    this.desk.addEventListener("news", () => this.#drawProgress());
  }

  get classes() {
    return this.desk.classes;
  }

  /** The size, in CSS pixels, at which an image is shown. */
  pixels() {
    return Math.max(256, Math.min(innerWidth, innerHeight) - 160);
  }

  /** The words to mark in texts. */
  highlights() {
    return [...this.typed, ...this.sought];
  }

  async start() {
    const { project } = this.desk;
    document.title = `${project.name} · distil label`;
    byId("project").textContent = project.name;
    byId("who").textContent = project.who;
    this.#buttons();
    document.addEventListener("keydown", (event) => this.#press(event));
    for (const kind of ["keydown", "pointerdown"]) document.addEventListener(kind, () => { this.#active = performance.now(); });
    setInterval(() => performance.now() - this.#active < IDLE_MS && this.desk.outbox.flush(), KEEP_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.#seen());
    this.#drawProgress();
    this.#listen();
    await this.show("single");
    this.desk.outbox.flush();
    this.desk.history.load().then(() => this.desk.changed(), (error) => this.fail(error));
  }

  /** The page is looked at again: what other pages did is read. */
  #seen() {
    this.desk.outbox.again();
    this.desk.refresh().catch(() => undefined);
    this.desk.learn();
  }

  // ------------------------------------------------------------------------------------------------------------- views

  isShown(name) {
    return this.#now === name;
  }

  /** Show a view. */
  async show(name) {
    if (this.#now === name) return;
    const before = this.#now;
    this.#now = name;
    if (before) this.#views.get(before)?.hidden?.();
    for (const view of Object.keys(VIEWS)) {
      byId(view).hidden = view !== name;
      const tab = byId("views").querySelector(`[data-view=${view}]`);
      if (view === name) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    await this.#mounted(name);
    if (this.#now === name) this.#views.get(name)?.shown?.();
  }

  async #mounted(name) {
    if (this.#views.has(name)) return;
    let module = VIEWS[name];
    if (module === null) {
      document.head.append(h("link", { rel: "stylesheet", href: "/static/map.css" }));
      module = await import("./map.js");
    }
    if (!this.#views.has(name)) this.#views.set(name, module.mount(byId(name), this));
  }

  /** Show an item, found in another view, to be answered. */
  async open(id) {
    try {
      await this.desk.open(id);
      this.show("single");
    } catch (error) {
      this.fail(error);
    }
  }

  /** Undo an entry of the history; the last one if none is given. */
  undo(entry) {
    return this.#turned(this.desk.undo(entry));
  }

  /** Do again what was undone last. */
  redo() {
    return this.#turned(this.desk.redo());
  }

  /** Say what was undone or done again where the strip and the item do not show it. */
  async #turned(saying) {
    try {
      const said = await saying;
      if (said && !this.isShown("single")) note(said);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Say why something did not work. */
  fail(error) {
    note(error.message, "error");
  }

  async #asked(answer) {
    try {
      return await answer;
    } catch (error) {
      if (error.status === 401 || error.status === 0) this.desk.outbox.flush(); // says what is wrong, and tries until it is right
      throw error;
    }
  }

  // ------------------------------------------------------------------------------------------------------------- keys

  #press(event) {
    const dialog = document.querySelector("dialog[open]") !== null;
    const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
    const names = namesOf(event, givenTo(this.classes));
    if (event.defaultPrevented || event.isComposing || dialog || (typing && names[0] !== "escape")) return;
    if (names[0] === "enter" && event.repeat) event.preventDefault(); // a button under a key that is held would be pressed again and again
    if (event.repeat && !REPEATED.has(names[0])) return;
    if (pressesTarget(names[0], event.target)) return;
    const meant = names.filter((name) => this.keysOn || name === "?" || !isCharacter(event));
    if (meant.some((name) => this.#views.get(this.#now)?.press?.(name) || this.#global(name))) event.preventDefault();
  }

  get keysOn() {
    return localStorage.getItem("distil-keys") !== "off";
  }

  #global(name) {
    const act = {
      backspace: () => this.undo(), "shift+backspace": () => this.redo(), "/": () => this.show("search"), g: () => this.show("grid"),
      m: () => this.show("map"), h: () => this.desk.toggleGuesses(), escape: () => this.#back(), "?": () => this.#help(),
    }[name];
    act?.();
    return act !== undefined;
  }

  #back() {
    document.activeElement?.blur();
    this.show("single");
  }

  #help() {
    const dialog = byId("help");
    const box = h("input", { type: "checkbox", id: "keys-on" });
    box.checked = this.keysOn;
    box.addEventListener("change", () => localStorage.setItem("distil-keys", box.checked ? "on" : "off"));
    dialog.replaceChildren(h("h2", { id: "help-title" }, "Keys"), h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "All keys" }, table(this.desk.classes)),
      h("p", { class: "row" }, box, h("label", { for: "keys-on" }, "Keys of one character are on")),
      h("button", { type: "button", class: "primary", autofocus: true, onclick: () => dialog.close() }, "Close ", key("Esc")));
    dialog.showModal();
  }

  // ------------------------------------------------------------------------------------------------------------- frame

  #buttons() {
    for (const tab of byId("views").querySelectorAll("button")) tab.addEventListener("click", (event) => { this.show(tab.dataset.view); if (event.detail > 0) tab.blur(); });
    const guesses = button({ onclick: () => this.desk.toggleGuesses(), title: "Hide or show guesses (h)" }, "Guesses");
    const state = () => guesses.setAttribute("aria-pressed", String(!this.desk.hidden));
    this.desk.addEventListener("change", state);
    state();
    byId("tools").append(
      guesses,
      button({ onclick: () => switchTheme(), title: "Light or dark" }, "Theme"),
      button({ onclick: () => this.#help(), title: "All keys (?)" }, "Keys"));
    byId("saved").addEventListener("click", () => this.desk.outbox.flush());
  }

  #drawSave() {
    const { state, text, detail } = this.desk.save;
    const saved = byId("saved");
    saved.dataset.state = state;
    saved.textContent = text;
    saved.title = detail ?? "";
    saved.disabled = state !== "waiting";
    const kept = this.desk.outbox.waiting > 0 ? "Answers are kept in this browser and sent later." : "";
    tell({
      out: `${text}. ${kept} Open a new address from the person who runs distil label in this browser to go on.`,
      waiting: `${text}. ${detail} ${kept} Press “${text}” above to try now.`,
    }[state] ?? "");
  }

  #drawProgress() {
    const { labeled, items } = this.desk.project.progress;
    byId("count").textContent = `${count(labeled)} of ${plural(items, "item")}`;
    byId("bar").style.setProperty("--share", items > 0 ? labeled / items : 0);
  }

  // -------------------------------------------------------------------------------------------------------------- news

  #listen() {
    const stream = new EventSource("/api/stream");
    stream.addEventListener("open", () => this.desk.outbox.again());
    const on = (name, take) => stream.addEventListener(name, (event) => take(JSON.parse(event.data)));
    on("model", (model) => { this.desk.update({ model }); this.desk.changed("map"); });
    on("progress", (news) => this.desk.update({ progress: news }));
    on("classes", (news) => this.desk.update({ classes: news }));
    on("map", () => this.desk.changed("map"));
    stream.addEventListener("error", () => {
      this.desk.outbox.flush(); // says what is wrong, and tries until it is right
      if (stream.readyState !== EventSource.CLOSED || this.#polling) return;
      this.#polling = setInterval(() => this.desk.refresh().catch(() => undefined), POLL_MS);
    });
  }

}

/** Whether a key presses the button or link that has the focus. In the grid, Enter confirms. */
const pressesTarget = (name, target) =>
  target.matches("button, a, summary") && (name === "space" || (name === "enter" && !target.matches(".tile[aria-pressed]")));

const dark = matchMedia("(prefers-color-scheme: dark)");

function switchTheme() {
  const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  localStorage.setItem("distil-theme", document.documentElement.dataset.theme);
}

/** Say what is wrong, above everything, until it is right; screen readers hear each text once. */
function tell(trouble) {
  const element = byId("trouble");
  element.hidden = trouble === "";
  if (element.textContent !== trouble) element.textContent = trouble;
}

const theme = localStorage.getItem("distil-theme");
if (theme) document.documentElement.dataset.theme = theme;
try {
  await new App(await get("/api/project")).start();
} catch (error) {
  tell(error.message);
  throw error;
}
