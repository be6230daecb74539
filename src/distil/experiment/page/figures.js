// Figures and tables of the page, for any numbers.

const report = JSON.parse(document.getElementById("report").textContent);
const HIGHER_IS_BETTER = report.higher_is_better;
const COLORS = 7;
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const MARKERS = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  (r) => `M${-r} ${-r}H${r}V${r}H${-r}Z`,
  (r) => `M0 ${-1.2 * r}L${1.2 * r} ${r}H${-1.2 * r}Z`,
  (r) => `M0 ${-1.4 * r}L${1.4 * r} 0L0 ${1.4 * r}L${-1.4 * r} 0Z`,
  (r) => `M0 ${1.2 * r}L${1.2 * r} ${-r}H${-1.2 * r}Z`,
  (r) => `M${-0.45 * r} ${-1.3 * r}h${0.9 * r}v${0.85 * r}h${0.85 * r}v${0.9 * r}h${-0.85 * r}v${0.85 * r}h${-0.9 * r}v${-0.85 * r}h${-0.85 * r}v${-0.9 * r}h${0.85 * r}Z`,
  (r) => `M0 ${-1.4 * r}L${1.35 * r} ${-0.3 * r}L${0.85 * r} ${1.2 * r}H${-0.85 * r}L${-1.35 * r} ${-0.3 * r}Z`,
];
const SYMBOLS = { win: "▲", loss: "▼", tie: "=", same: "≡", remark: "•" };
const WORDS = { win: "better", loss: "worse", tie: "not significant", same: "the same", remark: "remark" };
const QUANTITIES = {
  balance: ["balance of classes", "1 if all classes are equally frequent in a selection, 0 if there is only one (entropy / log of the number of classes)", 2],
  duplicates: ["duplicates", "share of a selection that equals, number for number, an example labeled or selected before", 2],
  to_labeled: ["distance to the labeled set", "mean Euclidean distance between the inputs of a selected example and of the nearest example labeled earlier", 3],
  to_selected: ["distance within the selection", "mean Euclidean distance between the inputs of a selected example and of the nearest other one in the same selection", 3],
};
const state = { experiment: 0, metric: report.experiments[0].metric, log: false, bands: true, whole: false, quantity: "balance", hidden: new Map() };
const everyone = [...new Set(report.experiments.flatMap((e) => e.strategies))];
const charts = [];

// ------------------------------------------------------------------------------------------ elements and words

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const experiment = () => report.experiments[state.experiment];
const numbers = () => experiment().metrics[state.metric];
const metricName = () => report.metric_names[state.metric];
const plain = (name) => (name === "random_sampling" ? "random" : name);
const known = (x) => x !== null && x !== undefined;
const orNone = (text) => (text === "" || text === "-" ? "–" : text);
const count = (x) => x.toLocaleString("en-US");
const percent = (x, digits = 1) => (known(x) ? fixed(100 * x, digits) : "–");
// The numbers of a metric: fractions in percent, other numbers to as many significant digits, as distil.evaluation.units writes them.
const isFraction = () => report.fractions[state.metric];
const mark = () => (isFraction() ? " %" : "");
const scaled = (x) => (isFraction() ? 100 * x : x);
const amount = (x, digits = 1) => (isFraction() || !known(x) ? percent(x, digits) : number(x, digits + 2));
const tickText = (x) => String(isFraction() ? Number((100 * x).toFixed(6)) : Number(x.toPrecision(6)));
const levelText = (x) => `${isFraction() ? Number((100 * x).toFixed(2)) : Number(x.toPrecision(6))}${mark()}`;
const seconds = (x) => (x >= 100 ? x.toFixed(0) : x >= 1 ? x.toFixed(1) : x.toPrecision(2));
const bytes = (x) => (known(x) ? (x / 1e6 >= 100 ? (x / 1e6).toFixed(0) : (x / 1e6).toFixed(1)) : "–");
const slug = (text) => text.replace(/[^A-Za-z0-9_.-]+/g, "-").replace(/^-+|-+$/g, "") || "report";
const quoted = (cell) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
// As distil.data.cells escapes a text: a spreadsheet reads none as a formula.
const formula = /^'*(?:[=@\t\r]|[+-](?!(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$))/;
const escaped = (cell) => (typeof cell === "string" && formula.test(cell) ? `'${cell}` : String(cell));
const csvOf = (rows) => rows.map((row) => row.map((cell) => quoted(known(cell) ? escaped(cell) : "")).join(",") + "\n").join("");

// As Python formats a number, so that pages and tables agree: a tie between two decimals goes to the even digit.
function fixed(x, digits) {
  const halves = Math.round(x * 2 * 10 ** digits);
  const tie = halves % 2 !== 0 && halves % 5 ** digits === 0 && halves / (2 * 10 ** digits) === x;
  return (tie ? (2 * Math.round(halves / 4)) / 10 ** digits : x).toFixed(digits);
}

function number(x, digits) {
  const size = Math.abs(x);
  if (size && (size < 1e-4 || size >= 1e7)) return x.toExponential(digits - 1);
  return fixed(x, Math.max(0, digits - 1 - (size ? Math.floor(Math.log10(size)) : 0)));
}

function download(name, type, content) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = h("a", { href: url, download: `${slug(experiment().name)}-${name}` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// ------------------------------------------------------------------------------------------ how strategies look

function look(name) {
  if (name === experiment().baseline) return { key: "kb", dash: "6 4", marker: null };
  const index = everyone.filter((other) => other !== experiment().baseline).indexOf(name);
  return { key: `k${index % COLORS}`, dash: DASHES[Math.floor(index / COLORS) % DASHES.length], marker: MARKERS[index % MARKERS.length] };
}

function sample(name) {
  const { key, dash, marker } = look(name);
  return s("svg", { class: `sample ${key}`, viewBox: "0 0 26 12", "aria-hidden": "true" },
    s("path", { class: "curve", d: "M0 6H26", "stroke-dasharray": dash }),
    marker && s("path", { class: "dot", d: marker(4), transform: "translate(13 6)" }));
}

const broken = (name) => name.split(/(?<=[_+.-])/).flatMap((part, i) => (i ? [h("wbr"), part] : [part]));
const withSample = (name) => h("span", {}, sample(name), " ", broken(name));

// With many strategies a figure first shows the baselines, all that differ significantly from theirs by any metric, and those
// with the largest areas, eight if these are fewer.
const MOST = 8;
function hidden() {
  if (!state.hidden.has(state.experiment)) {
    const { strategies, twins, baselines, metrics, metric } = experiment();
    const area = (name) => metrics[metric].summaries[name].area;
    const outcomes = (name) => Object.values(metrics).map(({ comparisons }) => comparisons?.[name]?.outcome);
    const first = (name) => baselines[name] === name || outcomes(name).some((one) => one === "win" || one === "loss");
    const alone = strategies.filter((name) => !(name in twins));
    const rest = alone.filter((name) => !first(name)).sort((a, b) => area(b) - area(a));
    const room = Math.max(0, MOST - (alone.length - rest.length));
    state.hidden.set(state.experiment, new Set([...Object.keys(twins), ...rest.slice(room)]));
  }
  return state.hidden.get(state.experiment);
}
const visible = () => experiment().strategies.filter((name) => !hidden().has(name));

function leftOut(others = []) {
  const { strategies, twins } = experiment();
  const why = (name) => (name in twins ? ` (same selections as ${plain(twins[name])})` : others.includes(name) ? " (compared with no other)" : "");
  const named = strategies.filter((name) => hidden().has(name) || others.includes(name)).map((name) => name + why(name));
  return named.length ? `Not drawn: ${named.join(", ")}.` : "";
}

function legend() {
  const set = (names) => {
    state.hidden.set(state.experiment, new Set(names));
    redraw();
  };
  const toggle = (name) => {
    const now = new Set(hidden());
    if (!now.delete(name)) now.add(name);
    set(now);
  };
  const { strategies, baseline } = experiment();
  return h("div", { class: "legend", role: "group", "aria-label": "Strategies shown in figures" },
    strategies.map((name) => h("button", { type: "button", "data-series": name, onclick: () => toggle(name) }, sample(name), name)),
    strategies.length > 2 && h("button", { type: "button", class: "plain", onclick: () => set([]) }, "all"),
    strategies.length > 2 && h("button", { type: "button", class: "plain", onclick: () => set(strategies.filter((name) => name !== baseline)) }, "only the baseline"),
  );
}

function redraw() {
  for (const button of document.querySelectorAll("[data-series]")) {
    button.setAttribute("aria-pressed", String(!hidden().has(button.dataset.series)));
  }
  for (const chart of charts) chart();
}

// ------------------------------------------------------------------------------------------ figures

function niceTicks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((x) => x >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const m of [1, 2, 5]) if (m * 10 ** power >= low && m * 10 ** power <= high) ticks.push(m * 10 ** power);
  }
  return ticks;
}

// Moves sorted positions apart by at least a gap, within limits, keeping their order.
function apart(wanted, gap, low, high) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const placed = order.map((i) => wanted[i]);
  for (let turn = 0; turn < 60; turn++) {
    for (let i = 1; i < placed.length; i++) {
      const lack = gap - (placed[i] - placed[i - 1]);
      if (lack > 0) { placed[i - 1] -= lack / 2; placed[i] += lack / 2; }
    }
  }
  let shift = 0;
  if (placed.length && placed[placed.length - 1] > high) shift = high - placed[placed.length - 1];
  if (placed.length && placed[0] + shift < low) shift = low - placed[0];
  const result = [];
  order.forEach((i, rank) => { result[i] = placed[rank] + shift; });
  return result;
}

// Bands may extend beyond the figure: fitting them in would flatten the curves.
function lineScale(model) {
  if (model.range) return model.range;
  const means = [...(model.include ?? []), ...model.series.flatMap((one) => drawn(one).filter(known))];
  const bands = model.series.flatMap(({ low, high }) => [...(low ?? []), ...(high ?? [])].filter(known));
  const [lowest, highest] = [Math.min(...means), Math.max(...means)];
  const reach = 0.3 * (highest - lowest);
  const bottom = Math.min(lowest, Math.max(Math.min(...bands), lowest - reach));
  const top = Math.max(highest, Math.min(Math.max(...bands), highest + reach));
  const pad = 0.05 * (top - bottom || Math.abs(top) || 1);
  return [Math.max(bottom - pad, model.least ?? -Infinity), Math.min(top + pad, model.most ?? Infinity)];
}

// Where a curve's values end because only bounds are known: the last point that is exact, and the first bound. A bound is drawn
// only if it says more than that point; otherwise the curve would fall (or rise) for no other reason than a bound that gets worse.
function openEnds({ y, bound }) {
  const ends = [["at least", bound.indexOf("at least"), -1], ["at most", bound.lastIndexOf("at most"), 1]];
  return ends.filter(([, i]) => i >= 0).map(([what, i, back]) => {
    const from = bound[i + back] === "" ? i + back : null;
    return { what, i, from, drawn: from === null || (what === "at least" ? y[i] >= y[from] : y[i] <= y[from]) };
  });
}
const exact = ({ y, bound }) => (bound ? y.map((value, i) => (bound[i] === "" ? value : null)) : y);
const drawn = (one) => exact(one).map((value, i) => (one.bound && openEnds(one).some((end) => end.drawn && end.i === i) ? one.y[i] : value));

// A dotted line to a bound, which is an open circle with an arrow to where the value is; or a dotted arrow out of the last point.
function openMarks(one, { xs, X, Y }) {
  const { key } = look(one.name);
  return openEnds(one).flatMap(({ what, i, from, drawn: shown }) => {
    const [x, y] = [X(xs[shown ? i : from]), Y(one.y[shown ? i : from])], on = what === "at least" ? 1 : -1;
    if (!shown) return [s("path", { class: `curve open ${key}`, d: `M${x} ${y}h${22 * on}` }), s("path", { class: `arrow ${key}`, "data-bound": what, d: `M${x + 21 * on} ${y - 4}l${6 * on} 4l${-6 * on} 4` })];
    return [
      from === null ? null : s("path", { class: `curve open ${key}`, d: `M${X(xs[from])} ${Y(one.y[from])}L${x} ${y}` }),
      s("path", { class: `arrow ${key}`, d: `M${x} ${y - 4 * on}v${-14 * on}m-4 ${5 * on}l4 ${-5 * on}l4 ${5 * on}` }),
      s("circle", { class: `ring ${key}`, cx: x, cy: y, r: 4, "data-bound": what }),
    ].filter(known);
  });
}

function drawLines(model, width, named) {
  const height = Math.round(Math.min(Math.max(0.52 * width, 260), 460));
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": model.describe() });
  if (!model.series.length) {
    svg.append(s("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "No strategy is shown: choose some below."));
    return { svg };
  }
  const longest = Math.max(...model.series.map(({ name }) => name.length));
  const margin = { top: 12, right: named ? Math.min(7 * longest, 210) + 44 : 14, bottom: 44, left: named ? 68 : 50 };
  const [x0, x1, y0, y1] = [margin.left, width - margin.right, height - margin.bottom, margin.top];
  const [bottom, top] = lineScale(model);
  const [first, last] = [model.xs[0], model.xs[model.xs.length - 1]];
  const along = (x) => (first === last ? 0.5 : model.log ? Math.log(x / first) / Math.log(last / first) : (x - first) / (last - first));
  const X = (x) => x0 + along(x) * (x1 - x0);
  const Y = (y) => y0 + ((y - bottom) / (top - bottom)) * (y1 - y0);

  const room = Math.max(2, Math.floor((x1 - x0) / 65));
  let xTicks = first === last ? [first] : model.log ? logTicks(first, last) : niceTicks(first, last, room);
  if (xTicks.length < 2) xTicks = [first, last];
  if (model.whole) xTicks = xTicks.filter(Number.isInteger);
  for (const tick of niceTicks(bottom, top, Math.round(height / 70))) {
    svg.append(s("line", { class: "gridline", x1: x0, x2: x1, y1: Y(tick), y2: Y(tick) }),
      s("text", { x: x0 - 8, y: Y(tick) + 4, "text-anchor": "end" }, model.format(tick)));
  }
  for (const tick of xTicks) {
    svg.append(s("line", { class: "axis", x1: X(tick), x2: X(tick), y1: y0, y2: y0 + 5 }),
      s("text", { x: X(tick), y: y0 + 19, "text-anchor": "middle" }, count(tick)));
  }
  svg.append(s("line", { class: "axis", x1: x0, x2: x1, y1: y0, y2: y0 }),
    s("text", { x: (x0 + x1) / 2, y: height - 6, "text-anchor": "middle" }, model.xLabel));
  if (named) svg.append(s("text", { transform: `translate(14 ${(y0 + y1) / 2}) rotate(-90)`, "text-anchor": "middle" }, model.yLabel));

  const inside = (model.lines ?? []).filter(({ y }) => y >= bottom && y <= top).sort((a, b) => b.y - a.y);
  const words = s("g", { class: "words" });
  inside.forEach((line, i) => {
    const crowded = i > 0 && Math.abs(Y(line.y) - Y(inside[i - 1].y)) < 28;
    svg.append(s("line", { class: "bound", x1: x0, x2: x1, y1: Y(line.y), y2: Y(line.y), "stroke-dasharray": line.dash }));
    if (named) words.append(s("text", { x: x0 + 6, y: Y(line.y) + (crowded || Y(line.y) < y1 + 12 ? 14 : -5) }, line.text));
  });
  const below = (model.lines ?? []).filter(({ y }) => y < bottom).map(({ text }) => text);
  if (named && below.length) words.append(s("text", { x: x1 - 4, y: y0 - 7, "text-anchor": "end" }, `↓ ${below.join(", ")}`));

  const within = (ys) => ys.map((y) => Math.min(Math.max(y, bottom), top));
  const path = (xs, ys) => xs.map((x, i) => (known(ys[i]) ? `${i && known(ys[i - 1]) ? "L" : "M"}${X(x).toFixed(2)} ${Y(ys[i]).toFixed(2)}` : "")).join("");
  for (const { name, low, high } of model.series) {
    if (!low || !low.every(known)) continue;
    const back = path([...model.xs].reverse(), within(low).reverse()).replace("M", "L");
    svg.append(s("path", { class: `band ${look(name).key}`, "data-band": name, d: `${path(model.xs, within(high))}${back}Z` }));
  }
  const every = 1 + Math.floor((model.xs.length - 1) / 25);
  for (const one of model.series) {
    const { key, dash, marker } = look(one.name), y = exact(one);
    svg.append(s("path", { class: `curve ${key}`, "data-curve": one.name, d: path(model.xs, y), "stroke-dasharray": dash }), ...(one.bound ? openMarks(one, { xs: model.xs, X, Y }) : []));
    model.xs.forEach((x, i) => {
      if (marker && i % every === 0 && known(y[i])) svg.append(s("path", { class: `dot ${key}`, d: marker(3.4), transform: `translate(${X(x)} ${Y(y[i])})` }));
    });
  }
  svg.append(words);
  if (named) nameEnds(svg, model, { X, Y, x1, y0, y1 });
  return { svg, X, Y, x0, x1, y0, y1 };
}

function nameEnds(svg, model, { X, Y, x1, y0, y1 }) {
  const ends = model.series.map((one) => ({ ...one, at: drawn(one).findLastIndex(known) })).filter(({ at }) => at >= 0);
  const gap = Math.min(17, (y0 - y1 + 20) / ends.length);
  const placed = apart(ends.map(({ y, at }) => Y(y[at])), gap, y1, y0 + 20);
  ends.forEach(({ name, y, at }, i) => {
    const { key } = look(name), ended = at < model.xs.length - 1;
    svg.append(s("path", { class: `leader ${key}`, "stroke-dasharray": ended ? "1 5" : null, d: `M${X(model.xs[at]) + (ended ? 30 : 4)} ${Y(y[at])}L${x1 + 22} ${placed[i]}h6` }),
      s("text", { class: "strong", x: x1 + 32, y: placed[i] + 4, style: gap < 12 ? `font-size:${Math.max(gap - 1, 6)}px` : null }, name));
  });
}

function lineTable(model) {
  const rows = [[model.xLabel, ...model.series.flatMap(({ name, low }) => (low && low.every(known) ? [name, `${name} low`, `${name} high`] : [name]))]];
  model.xs.forEach((x, i) => rows.push([x, ...model.series.flatMap(({ y, low, high }) => (low && low.every(known) ? [y[i], low[i], high[i]] : [y[i]]))]));
  return rows;
}

function tipOf(model, i) {
  const ordered = model.series.filter(({ y }) => known(y[i])).sort((a, b) => b.y[i] - a.y[i]);
  return [
    h("b", {}, `${count(model.xs[i])} ${model.xLabel}`),
    h("table", {}, ordered.map((one) => h("tr", {},
      h("td", {}, sample(one.name), " ", one.name),
      h("td", {}, `${one.bound?.[i] ?? ""} ${model.format(one.y[i], true)}`.trim()),
      h("td", { class: "soft" }, one.low && known(one.low[i]) ? `${model.format(one.low[i], true)} to ${model.format(one.high[i], true)}` : "")))),
  ];
}

function listen(made, model, plot, tip) {
  const { svg, X, Y, x0, x1, y0, y1 } = made;
  let at = -1;
  const marks = s("g", {});
  svg.append(marks);
  const hide = () => { at = -1; tip.hidden = true; marks.replaceChildren(); };
  const show = (index) => {
    at = Math.min(Math.max(index, 0), model.xs.length - 1);
    const x = X(model.xs[at]);
    marks.replaceChildren(s("line", { class: "cross", x1: x, x2: x, y1: y0, y2: y1 }),
      ...model.series.map((one) => [one.name, drawn(one)[at]]).filter(([, y]) => known(y)).map(([name, y]) => s("circle", { class: `dot ${look(name).key}`, cx: x, cy: Y(y), r: 4.5 })));
    tip.replaceChildren(...tipOf(model, at).filter(known));
    tip.hidden = false;
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const free = plot.clientWidth - tip.offsetWidth;
    const wanted = x > (x0 + x1) / 2 ? x * scale - tip.offsetWidth - 14 : x * scale + 14;
    tip.style.transform = `translate(${Math.min(Math.max(wanted, 0), Math.max(free, 0))}px, 6px)`;
  };
  const near = (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    let best = 0;
    model.xs.forEach((value, i) => { if (Math.abs(X(value) - x) < Math.abs(X(model.xs[best]) - x)) best = i; });
    show(best);
  };
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("pointermove", near);
  svg.addEventListener("pointerdown", near);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    show(at + (event.key === "ArrowRight" ? 1 : -1));
  });
}

// A figure: `draw` returns its SVG for a width; the buttons save it, and `tools` are controls that change it.
// `missing` is a sentence on what it leaves out, which saved pictures carry too.
function figure({ name, title, caption, tools = [], draw, table, wide = 640, exported = 900, after, missing = () => "" }) {
  const plot = h("div", { class: "plot" });
  const tip = h("div", { class: "tip", role: "status", hidden: true });
  const left = h("p", { class: "note", "data-left-out": name });
  const export_ = (kind) => savePicture(withFooter(draw(exported, true).svg, missing()), name, kind);
  const buttons = [
    h("button", { type: "button", "data-save": "svg", "aria-label": `${title}: save as SVG`, onclick: () => export_("svg") }, "SVG"),
    h("button", { type: "button", "data-save": "png", "aria-label": `${title}: save as PNG`, onclick: () => export_("png") }, "PNG"),
    h("button", { type: "button", "data-save": "csv", "aria-label": `${title}: save numbers as CSV`, onclick: () => download(`${name}.csv`, "text/csv", csvOf(table())) }, "CSV"),
  ];
  let drawnWidth = 0;
  const update = () => {
    drawnWidth = Math.floor(plot.clientWidth) || 800;
    const made = draw(drawnWidth, drawnWidth >= wide);
    tip.hidden = true;
    plot.replaceChildren(made.svg, tip);
    left.textContent = missing();
    left.hidden = !missing();
    if (after) after(made, plot, tip);
  };
  charts.push(update);
  new ResizeObserver(() => { if (plot.isConnected && Math.floor(plot.clientWidth) !== drawnWidth) update(); }).observe(plot);
  return h("figure", { "data-figure": name }, h("div", { class: "bar" }, h("h3", {}, title), ...tools, ...buttons), plot, left, caption && h("figcaption", {}, caption));
}

// `model` gives the curves of named strategies, by default the visible ones; numbers are saved of all of them.
function lineFigure({ name, title, caption, tools, model, table, missing = () => leftOut() }) {
  const said = () => model().lines.map(({ text, dash }) => `${text} (${{ "": "solid", "4 4": "dashed", "1 4": "dotted" }[dash]} line)`).join(", ");
  return figure({
    name, title, tools,
    caption: [model().lines.length ? h("span", { class: "on-phones" }, `${said()}. `) : null, caption],
    draw: (width, named) => drawLines(model(), width, named),
    table: table ?? (() => lineTable(model(experiment().strategies))),
    after: (made, plot, tip) => { if (made.X) listen(made, model(), plot, tip); },
    missing,
  });
}

// ------------------------------------------------------------------------------------------ pictures to save

const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "font-family", "font-size", "font-weight", "text-anchor", "paint-order"];

// The styles of the style sheet, written into the elements, in the colors of the light theme.
function standalone(svg) {
  const host = h("div", { style: "position:absolute;left:-99999px;top:0" }, svg);
  document.documentElement.dataset.theme = "light";
  document.body.append(host);
  for (const element of svg.querySelectorAll("*")) {
    const style = getComputedStyle(element);
    for (const key of KEPT) element.setAttribute(key, style.getPropertyValue(key));
  }
  for (const element of svg.querySelectorAll("*")) ["class", "style"].forEach((key) => element.removeAttribute(key));
  const paper = getComputedStyle(document.documentElement).getPropertyValue("--card").trim();
  svg.prepend(s("rect", { width: "100%", height: "100%", fill: paper }));
  host.remove();
  delete document.documentElement.dataset.theme;
  return new XMLSerializer().serializeToString(svg);
}

// A text below a picture, in lines of about its width.
function withFooter(svg, text) {
  if (!text) return svg;
  const { width, height } = svg.viewBox.baseVal, most = Math.floor((width - 24) / 6.2), lines = [""];
  for (const word of text.split(" ")) {
    if (lines[lines.length - 1].length + word.length >= most) lines.push("");
    lines[lines.length - 1] += `${word} `;
  }
  const tall = height + 18 * lines.length + 6;
  svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
  svg.setAttribute("height", tall);
  svg.append(...lines.map((line, i) => s("text", { x: 12, y: height + 12 + 18 * i }, line.trim())));
  return svg;
}

function savePicture(svg, name, kind) {
  const { width, height } = svg.viewBox.baseVal;
  const text = standalone(svg);
  if (kind === "svg") return download(`${name}.svg`, "image/svg+xml", text);
  const image = new Image();
  image.onload = () => {
    const canvas = h("canvas", { width: 2 * width, height: 2 * height });
    canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
    canvas.toBlob((blob) => download(`${name}.png`, "image/png", blob));
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
}

// ------------------------------------------------------------------------------------------ tables

// Columns: head, cell (the text shown) and, if that is not the number itself, csv. `saved` gives the rows of the CSV where these are others.
function table({ name, title, columns, rows, note, tools = [], saved }) {
  const numbersOf = saved ?? (() => [columns.flatMap(({ csvHead, head }) => csvHead ?? [head]), ...rows.map((row) => columns.flatMap(({ csv, cell }) => (csv ?? cell)(row)))]);
  const save = h("button", { type: "button", "data-save": "csv", "aria-label": `${title}: save as CSV`, onclick: () => download(`${name}.csv`, "text/csv", csvOf(numbersOf())) }, "CSV");
  return h("div", { "data-table": name },
    h("div", { class: "bar" }, h("h3", {}, title), ...tools, save),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      h("table", {},
        h("thead", {}, h("tr", {}, columns.map(({ head, title: hint, heat }) => h("th", { scope: "col", title: hint, class: heat && "heat" }, head)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, columns.map(({ cell, heat }, i) =>
          i === 0 ? h("th", { scope: "row", class: "stick" }, cell(row))
            : h("td", heat ? { class: "heat", style: known(heat(row)) ? `--a:${(0.55 * heat(row)).toFixed(3)}` : null } : {}, cell(row)))))))),
    note && h("p", { class: "note" }, note));
}

// A matrix with named rows and numbered columns.
function matrix({ name, title, names, values, most, digits, note, corner, last }) {
  const rows = names.map((label, i) => ({ label: `(${i + 1}) ${label}`, plain: label, values: values[i], i }));
  if (last) rows.push({ label: last.head, plain: last.head, values: last.values, i: -1 });
  const column = (j) => ({
    head: `(${j + 1})`, title: names[j], csvHead: [names[j]],
    cell: (row) => (row.i === j ? "–" : fixed(row.values[j], digits)),
    csv: (row) => [row.i === j ? null : row.values[j]],
    heat: (row) => (row.i === j || row.i < 0 ? null : Math.min(row.values[j] / most, 1)),
  });
  return table({ name, title, rows, note, columns: [{ head: corner, cell: (row) => h("span", {}, broken(row.label)), csv: (row) => [row.plain] }, ...names.map((_, j) => column(j))] });
}
