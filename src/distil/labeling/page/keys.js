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
const isDigit = (name) => /^\d$/.test(name);
const FREE = [..."abcdefghijklmnopqrstuvwxyz"].filter((letter) => !RESERVED.has(letter));

/** The keys that people gave to classes. */
export const givenTo = (classes) => new Set(classes.filter((each) => each.key).map((each) => each.key.toLowerCase()));

/**
 * The names of a key that was pressed; the first that means something counts. Digits are known by their place on the
 * keyboard, so that they need no shift on any layout and `shift+1` is one on all of them; then the sign that the key types,
 * which comes first if it was given to a class, such as `!` or `é`. Where the layout has no Latin letters, the letters of the
 * page are known by their place too.
 * @param {KeyboardEvent} event @param {Set<string>} given what `givenTo` says
 */
export function namesOf(event, given) {
  if (event.ctrlKey || event.metaKey || event.altKey || !event.key) return [];
  if (event.key === " ") return ["space"];
  if (event.key === "Backspace") return [event.shiftKey ? "shift+backspace" : "backspace"];
  const digit = /^Digit(\d)$/.exec(event.code)?.[1];
  const typed = event.key.toLowerCase();
  if (digit !== undefined) {
    const place = event.shiftKey ? `shift+${digit}` : digit;
    return given.has(typed) && !isDigit(typed) ? [typed, place] : [place, typed];
  }
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
    if (isDigit(name) && !given.has(name) && !taken.has(name)) taken.add(given.set(name, name).get(name));
  }
  const free = FREE.filter((letter) => !taken.has(letter));
  const keys = new Map();
  classes.forEach(({ name }, n) => {
    const digit = n < 20 ? `${n < 10 ? "" : "shift+"}${DIGITS[n % 10]}` : null;
    keys.set(name, given.get(name) ?? (digit !== null && !taken.has(digit) ? digit : (free.shift() ?? null)));
  });
  return keys;
}

/** Whether a key types a character, not counting the space bar. */
export const isCharacter = ({ key: typed }) => typed !== " " && [...typed].length === 1;

/** Why a class cannot have a key; null if it can. `pressed`: the names of the key that typed it. */
export function clash(name, wanted, classes, pressed = []) {
  const letter = wanted.toLowerCase();
  if ([...letter].length !== 1 || letter === " ") return "A key is one letter, digit or sign.";
  if (RESERVED.has(letter)) return `The key ${letter} is taken: ${RESERVED.get(letter)}. Choose another one.`;
  const other = classes.find((each) => each.name !== name && each.key?.toLowerCase() === letter);
  if (other) return `The key ${letter} belongs to ${other.name}. Give ${other.name} another key first.`;
  const place = isDigit(letter) ? undefined : pressed.find((each) => each !== letter);
  const [there] = [...keysOf(classes)].find(([label, taken]) => taken === place && label !== name) ?? [];
  return there === undefined ? null : `On this keyboard ${letter} is on the key ${written(place)}, which belongs to ${there}. Choose another one.`;
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
