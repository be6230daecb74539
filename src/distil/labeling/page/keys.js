// Keys: which belongs to which class, and what the others do.

import { h, key } from "./dom.js";

/** Keys of the page itself, and what they do. No class can have one of them. */
export const RESERVED = new Map([
  ["a", "accept the guess"],
  ["x", "reject the guess: choose another class"],
  ["space", "skip"],
  ["u", "not sure"],
  ["f", "flag for others to look at"],
  ["backspace", "undo"],
  ["shift+backspace", "redo"],
  ["j", "jump to a class: type to find it"],
  ["h", "hide or show guesses"],
  ["/", "search"],
  ["g", "grid: many items of one class"],
  ["m", "map of all items"],
  ["escape", "back to one item at a time"],
  ["+", "zoom in"],
  ["-", "zoom out"],
  ["?", "this list"],
]);

const DIGITS = "1234567890";
const FREE = [..."abcdefghijklmnopqrstuvwxyz"].filter((letter) => !RESERVED.has(letter));

/**
 * The names of a key that was pressed; the first that means something counts. Digits are known by their place on the
 * keyboard, so that they need no shift on any layout and `shift+1` is one on all of them; then the sign that the key types.
 * Where the layout has no Latin letters, the letters of the page are known by their place too.
 */
export function namesOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !event.key) return [];
  if (event.key === " ") return ["space"];
  if (event.key === "Backspace") return [event.shiftKey ? "shift+backspace" : "backspace"];
  const digit = /^Digit(\d)$/.exec(event.code)?.[1];
  const typed = event.key.toLowerCase();
  if (digit !== undefined) return [event.shiftKey ? `shift+${digit}` : digit, typed];
  const letter = /^Key([A-Z])$/.exec(event.code)?.[1].toLowerCase();
  return letter === undefined || /^[\x20-\x7e]$/.test(typed) ? [typed] : [typed, letter];
}

/**
 * The key of each class: the one that people gave it, or its name if that is a digit, or else a digit by its position,
 * `shift+` digit from the 11th on, a free letter from the 21st on; null where there are no more.
 * @param {{name: string, key: string | null}[]} classes
 * @returns {Map<string, string | null>}
 */
export function keysOf(classes) {
  const given = new Map(classes.filter((each) => each.key).map((each) => [each.name, each.key.toLowerCase()]));
  const taken = new Set(given.values());
  for (const { name } of classes) {
    if (/^\d$/.test(name) && !given.has(name) && !taken.has(name)) taken.add(given.set(name, name).get(name));
  }
  const free = FREE.filter((letter) => !taken.has(letter));
  const keys = new Map();
  classes.forEach(({ name }, n) => {
    const digit = n < 20 ? `${n < 10 ? "" : "shift+"}${DIGITS[n % 10]}` : null;
    keys.set(name, given.get(name) ?? (digit !== null && !taken.has(digit) ? digit : (free.shift() ?? null)));
  });
  return keys;
}

/** Why a class cannot have a key; null if it can. */
export function clash(name, wanted, classes) {
  const letter = wanted.toLowerCase();
  if ([...letter].length !== 1 || letter === " ") return "A key is one letter, digit or sign.";
  if (RESERVED.has(letter)) return `The key ${letter} is taken: ${RESERVED.get(letter)}. Choose another one.`;
  const other = classes.find((each) => each.name !== name && each.key?.toLowerCase() === letter);
  return other ? `The key ${letter} belongs to ${other.name}. Give ${other.name} another key first.` : null;
}

/** How a key is written on a button. */
export const written = (name) => (name ?? "").replace("shift+", "⇧").replace("backspace", "⌫");

/** The table of all keys. */
export function table(classes) {
  const row = (name, does) => h("tr", null, h("th", { scope: "row" }, key(written(name)), h("span", { class: "unseen" }, name)), h("td", null, does));
  const own = [...keysOf(classes)].filter(([, name]) => name !== null).map(([label, name]) => row(name, label));
  const page = [...RESERVED].map(([name, does]) => row(name, does));
  return h("div", { class: "columns" },
    h("table", null, h("caption", null, "Classes"), h("tbody", null, own.length ? own : row("1", "the first class, once there is one"))),
    h("table", null, h("caption", null, "The page"), h("tbody", null, page, row("0", "fit the image again, if no class has this key"))));
}
