// Colors and marks of classes, and of how sure the model is.

// Ten colors for each background, found by a search over colors with a contrast of at least 3 to the background: the least
// distance of two of them is as large as possible for normal sight and for each of the three kinds of color blindness.
const COLORS = {
  light: ["#1e96f0", "#0f3c1e", "#969600", "#d2005a", "#5a00b4", "#006900", "#e16996", "#004bff", "#780f69", "#a54ba5"],
  dark: ["#e1ff2d", "#3c6987", "#d27800", "#f0a5ff", "#9600f0", "#4ba596", "#a54b00", "#b478ff", "#96d269", "#87ffd2"],
};
const PLAIN = { light: "#8a9099", dark: "#7b828c" };
const RAMPS = { light: ["#c9d3de", "#4f7cb8", "#3b0f52"], dark: ["#39424d", "#3f86c4", "#fff3a6"] }; // from sure to not sure
const GUESSED = 0.45; // opacity of a guess; a label is opaque
const FAINT = 0.16; // of what is not selected, and of what has no guess

/** The shapes of marks, by whether a pixel at (x, y) from the middle of a mark of radius 1 belongs to it. */
const MARKS = [
  (x, y) => x * x + y * y <= 1,
  (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= 1 && Math.max(Math.abs(x), Math.abs(y)) > 0.5,
  (x, y) => y <= 1 && y >= 2 * Math.abs(x) - 1,
  (x, y) => Math.abs(Math.abs(x) - Math.abs(y)) <= 0.35,
  (x, y) => Math.min(Math.abs(x), Math.abs(y)) <= 0.35,
];

/** Whether the text of an element is light, so that its background is dark. */
export function themeOf(element) {
  const [red, green, blue] = getComputedStyle(element).color.match(/[\d.]+/g).map(Number);
  return red + green + blue > 384 ? "dark" : "light";
}

/** The mark of a class: the first ten have discs, the next ten other marks in the same colors, and so on. */
export const markOf = (label) => Math.floor(Math.max(0, label) / 10) % MARKS.length;

const rgb = (color) => [1, 3, 5].map((from) => parseInt(color.slice(from, from + 2), 16));
const packed = ([red, green, blue], opacity) => ((Math.round(255 * opacity) << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/** The color of a class as text; that of no class for -1. */
export const colorOf = (label, theme) => (label < 0 ? PLAIN[theme] : COLORS[theme][label % 10]);

/** The colors from sure to not sure, as text. */
export const rampOf = (theme) => RAMPS[theme];

/** The color between the ends of the ramp for 255 times a probability. */
function rampColor(p, theme) {
  const [from, middle, to] = RAMPS[theme].map(rgb);
  const at = 2 * (1 - p / 255);
  const [a, b, share] = at <= 1 ? [from, middle, at] : [middle, to, at - 1];
  return a.map((value, n) => Math.round(value + share * (b[n] - value)));
}

/**
 * The color and mark of every item.
 * @param {import("./map-data.js").PoolMap} map
 * @param {{theme: "light" | "dark", by: "class" | "sure", guesses: boolean, chosen: Set<number> | null}} how `guesses`: whether
 *   they are shown; `chosen`: the selected rows, if there are any
 */
export function looks(map, { theme, by, guesses, chosen }) {
  const colors = new Uint32Array(map.n);
  const marks = new Uint8Array(map.n);
  const plain = rgb(PLAIN[theme]);
  const faint = packed(plain, FAINT);
  const unknown = packed(plain, GUESSED);
  const classes = map.classes.map((_, label) => rgb(colorOf(label, theme)));
  const labeled = classes.map((color) => packed(color, 1));
  const guessed = classes.map((color) => packed(color, GUESSED));
  const sure = Array.from({ length: 256 }, (_, p) => packed(rampColor(p, theme), 1));
  for (let row = 0; row < map.n; row += 1) {
    const label = map.label[row];
    const guess = guesses ? map.guess[row] : -1;
    if (by === "class") marks[row] = markOf(label >= 0 ? label : guess);
    if (chosen && !chosen.has(row)) colors[row] = faint;
    else if (by === "sure") colors[row] = label >= 0 || guess < 0 ? unknown : sure[map.p[row]];
    else colors[row] = label >= 0 ? labeled[label] : guess >= 0 ? (chosen ? labeled : guessed)[guess] : unknown;
  }
  return { colors, marks };
}

/** The pixels of each mark around its middle, as distances in an image of this width. */
export function stamps(radius, width) {
  const reach = Math.floor(radius);
  return MARKS.map((covers) => {
    const found = [];
    for (let y = -reach; y <= reach; y += 1) {
      for (let x = -reach; x <= reach; x += 1) if (covers(x / radius, y / radius)) found.push(y * width + x);
    }
    return Int32Array.from(found);
  });
}

/** The mark of a class, drawn for the legend on a canvas of this size. */
export function drawMark(canvas, label, theme, opacity) {
  const { width } = canvas;
  const image = new ImageData(width, width);
  const pixels = new Uint32Array(image.data.buffer);
  const middle = Math.floor(width / 2);
  for (const from of stamps(width / 2 - 1, width)[markOf(label)]) pixels[middle * width + middle + from] = packed(rgb(colorOf(label, theme)), opacity);
  canvas.getContext("2d").putImageData(image, 0, 0);
}
