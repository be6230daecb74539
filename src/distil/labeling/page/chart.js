// The learning curve: accuracy on random items against the number of labels, each with its interval.

import { h, percent, svg } from "./dom.js";

const [W, H, LEFT, BOTTOM, TOP] = [560, 240, 44, 34, 10];

/** @param {{labels: number, n: number, accuracy: number, low: number, high: number}[]} points */
export function curve(points) {
  const most = Math.max(...points.map((point) => point.labels), 1);
  const x = (labels) => LEFT + ((W - LEFT - 16) * labels) / most;
  const y = (share) => TOP + (H - TOP - BOTTOM) * (1 - share);
  const text = (at, share, anchor, words) => svg("text", { x: at, y: share, "text-anchor": anchor }, words);
  const lines = [0, 0.25, 0.5, 0.75, 1].map((share) => [
    svg("line", { class: "rule", x1: LEFT, x2: W - 16, y1: y(share), y2: y(share) }), text(LEFT - 8, y(share) + 4, "end", percent(share))]);
  const ticks = [...new Set([0, Math.round(most / 2), most])].map((labels) => text(x(labels), H - BOTTOM + 18, "middle", String(labels)));
  const bars = points.map((p) => svg("line", { class: "interval", x1: x(p.labels), x2: x(p.labels), y1: y(p.low), y2: y(p.high) }, svg("title", null, inWords(p))));
  const path = svg("polyline", { class: "line", points: points.map((p) => `${x(p.labels)},${y(p.accuracy)}`).join(" ") });
  const dots = points.map((p) => svg("circle", { class: "dot", cx: x(p.labels), cy: y(p.accuracy), r: 4 }, svg("title", null, inWords(p))));
  const says = `Learning curve: ${points.map(inWords).join("; ")}`;
  return svg("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": says }, lines, ticks, text((LEFT + W) / 2, H - 2, "middle", "labels"), bars, path, dots);
}

const inWords = (p) => `${p.labels} labels: ${between(p)} of ${p.n} random items`;

/** A share with its interval, in words. */
export const between = ({ accuracy, low, high }) => `${percent(accuracy)} (${percent(low)} to ${percent(high)})`;

/** Pairs of a name and a number as bars. */
export function bars(numbers) {
  const most = Math.max(...numbers.map(([, n]) => n), 1);
  const rows = numbers.map(([name, n]) => {
    const bar = h("span", { class: "bar" });
    bar.style.setProperty("--share", n / most);
    return h("tr", null, h("th", { scope: "row" }, name), h("td", { class: "fill" }, bar), h("td", null, String(n)));
  });
  return h("table", { class: "list" }, h("tbody", null, rows));
}
