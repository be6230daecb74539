// The sections of the page: the numbers of the report that each shows, and its texts.

// ------------------------------------------------------------------------------------------ sections

const section = (id, title, lead, ...children) => h("section", { id }, h("h2", {}, title), lead && h("p", { class: "soft" }, lead), ...children);
const check = (text, key) => h("label", {}, h("input", { type: "checkbox", checked: state[key], "data-option": key, onchange: (event) => { state[key] = event.target.checked; redraw(); } }), text);

function finding(outcome, text) {
  const [name, rest] = outcome === "remark" ? ["", text] : [text.slice(0, text.indexOf(": ")), text.slice(text.indexOf(": "))];
  return h("li", {}, h("span", { class: `mark ${outcome}`, title: WORDS[outcome], role: "img", "aria-label": WORDS[outcome] }, SYMBOLS[outcome]), h("span", {}, h("b", {}, name), rest));
}

const tile = (head, value, more) => h("div", { class: "tile" }, h("span", {}, head), h("strong", {}, value), h("em", {}, more));

// What the strategies are compared with, in words.
function whose() {
  const others = new Set(Object.entries(experiment().baselines).filter(([name, other]) => name !== other).map(([, other]) => other));
  return others.size > 1 ? "the baseline" : plain(experiment().baseline);
}

function tiles() {
  const { strategies, target, seeds } = experiment();
  const { summaries, comparisons, full, cells, ceiling } = numbers();
  const better = HIGHER_IS_BETTER[state.metric] ? 1 : -1;
  const best = [...strategies].sort((a, b) => better * (summaries[b].area - summaries[a].area))[0];
  const all = [tile(better > 0 ? "Largest area under the curve" : "Smallest area under the curve", `${cells[best].area.split(" ")[0]}${mark()}`, best)];
  if (comparisons && Object.keys(comparisons).length) {
    const list = Object.values(comparisons);
    const wins = list.filter(({ outcome }) => outcome === "win").length;
    all.push(tile(`Significantly better than ${whose()}`, `${wins} of ${list.length}`, `with ${seeds.length} seeds, at ${report.alpha}`));
  }
  const reached = strategies.filter((name) => known(summaries[name].labels_needed));
  if (reached.length) {
    const first = reached.sort((a, b) => summaries[a].labels_needed - summaries[b].labels_needed)[0];
    all.push(tile(`Fewest labels for ${levelText(target).replace(" ", "\u00a0")}`, cells[first].labels, first));
  }
  if (known(full)) all.push(tile("With all labels of the pool", `${amount(full)}${mark()}`, metricName()));
  if (ceiling) all.push(tile("Area of the ceiling", `${amount(ceiling.area, 2)}${mark()}`, "the best of 100 selections in each round"));
  return h("div", { class: "tiles" }, all);
}

function summary() {
  const { notes, strategies } = experiment();
  const tests = strategies.length ? numbers().comparisons ?? {} : {};
  const order = ["win", "loss", "tie", "same"];
  const tested = strategies.filter((name) => tests[name]).sort((a, b) => order.indexOf(tests[a].outcome) - order.indexOf(tests[b].outcome));
  const list = tested.map((name) => finding(tests[name].outcome, tests[name].verdict));
  const remarks = notes.map((note) => finding("remark", note));
  const lead = strategies.length && !numbers().comparisons
    ? `There are no tests of the ${metricName()}: strategies are compared by other metrics.`
    : list.length ? `Comparisons of the areas under the curves of ${metricName()}, over paired seeds.` : null;
  const several = report.experiments.length > 1;
  return section("summary", several ? `In short: ${experiment().name}` : "In short", lead, several ? facts() : null, strategies.length ? tiles() : null, h("ul", { class: "said" }, list, remarks));
}

function curvesModel(names = visible()) {
  const { labels, target } = experiment();
  const { summaries, full, majority } = numbers();
  const lines = [];
  if (known(full)) lines.push({ y: full, text: `all labels ${amount(full)}${mark()}`, dash: "" });
  if (known(majority)) lines.push({ y: majority, text: `majority class ${percent(majority)} %`, dash: "1 4" });
  if (known(target) && state.metric === experiment().metric) lines.push({ y: target, text: `target ${levelText(target)}`, dash: "4 4" });
  const series = names.map((name) => ({
    name, y: summaries[name].mean, low: state.bands ? summaries[name].low : null, high: state.bands ? summaries[name].high : null,
  }));
  const ends = series.map(({ name, y }) => `${name} from ${amount(y[0])} to ${amount(y[y.length - 1])}${mark()}`).join("; ");
  return {
    xs: labels, xLabel: "labels", yLabel: metricName(), series, lines, include: known(full) && numbers().comparisons ? [full] : [], ...(isFraction() ? { least: 0, most: 1 } : {}),
    range: state.whole && isFraction() ? [0, 1] : null, log: state.log, format: (x, all) => `${all ? amount(x, 2) : tickText(x)}${mark()}`,
    describe: () => `Mean ${metricName()} from ${labels[0]} to ${labels[labels.length - 1]} labels: ${ends || "no strategy is shown"}. ${leftOut()}`.trim(),
  };
}

const MANY = `With more than ${MOST} strategies, figures start with the baseline, all that differ significantly from it, and the largest areas. `;

function curves() {
  const { seeds, strategies } = experiment();
  const bands = seeds.length > 1 ? `Bands are pointwise ${100 * report.level} % intervals of the mean over ${seeds.length} seeds (Student t). ` : "With one seed there are no bands. ";
  return section("curves", "Learning curves", null,
    lineFigure({
      name: `curves-${state.metric}`, title: `Mean ${metricName()} by number of labels`, model: curvesModel,
      tools: [check("log budget", "log"), seeds.length > 1 ? check("bands", "bands") : null, isFraction() ? check("0 to 100 %", "whole") : null].filter(known),
      caption: `${bands}${strategies.length > MOST ? MANY : ""}Point at the figure or press the arrow keys to see values. Choose the strategies below.`,
    }), legend(), numbersTable());
}

function numbersTable() {
  const { strategies, labels } = experiment();
  const { summaries, cells } = numbers();
  const columns = [
    { head: "strategy", cell: withSample, csv: (name) => [name] },
    ...labels.map((label, i) => ({ head: count(label), csvHead: [String(label)], cell: (name) => cells[name].curve[i], csv: (name) => [summaries[name].mean[i]] })),
  ];
  return h("details", {}, h("summary", {}, "The means as a table"), table({ name: `means-${state.metric}`, title: `Mean ${metricName()}${isFraction() ? " in %" : ""}, by number of labels`, columns, rows: strategies }));
}

function outlook() {
  const lead = "The accuracy now, what the labels of one more selection would bring (with 80 % intervals), and the labels saved so far.";
  return section("outlook", "In words", lead, h("ul", { class: "said" }, experiment().outlook.map((sentence) => h("li", {}, h("span", {}, sentence)))));
}

function areas() {
  const { strategies, twins, seeds, baselines, labels } = experiment();
  const { summaries, comparisons, cells, ceiling } = numbers();
  const tests = comparisons ?? {};
  const raw = (name, ...keys) => keys.map((key) => tests[name]?.[key]);
  const shown = (key) => (name) => orNone(cells[name][key]);
  const better = (name) => (tests[name] ? `${percent(tests[name].better[0], 0)} % [${percent(tests[name].better[1], 0)}, ${percent(tests[name].better[2], 0)}]` : "–");
  const found = (name) => {
    if (tests[name]) return [tests[name].outcome, `${SYMBOLS[tests[name].outcome]} ${WORDS[tests[name].outcome]}`];
    if (name in twins) return ["same", `≡ same selections as ${plain(twins[name])}`];
    return ["tie", Object.entries(baselines).some(([own, other]) => own !== other && other === name) ? "baseline" : "not compared"];
  };
  const columns = [
    { head: "strategy", cell: withSample, csv: (name) => [name] },
    {
      head: `area${isFraction() ? ", %" : ""}`, title: "The mean of the metric over all numbers of labels", csvHead: ["area", "area low", "area high"],
      cell: shown("area"), csv: (name) => [summaries[name].area, summaries[name].area_low, summaries[name].area_high],
    },
    {
      head: `minus ${whose()}'s`, csvHead: ["difference", "difference low", "difference high"],
      cell: (name) => cells[name].difference, csv: (name) => summaries[name].difference ?? [null, null, null],
    },
  ];
  if (ceiling) columns.push({
    head: "of the ceiling's gain", title: `(strategy - ${whose()}) / (ceiling - ${whose()}), of the areas, with its bootstrap interval over paired seeds`,
    csvHead: ["share", "share low", "share high"], cell: (name) => orNone(ceiling.cells[name] ?? ""), csv: (name) => ceiling.shares[name] ?? [null, null, null],
  });
  if (Object.keys(tests).length) columns.push(
    { head: "p (Holm)", title: "Paired t test, corrected for the number of comparisons", csvHead: ["p", "p Holm"], cell: shown("p"), csv: (name) => raw(name, "p", "p_holm") },
    { head: "Wilcoxon p (Holm)", title: "Signed-rank test, exact, corrected for the number of comparisons", csvHead: ["Wilcoxon p", "Wilcoxon p Holm"], cell: shown("wilcoxon"), csv: (name) => raw(name, "wilcoxon_p", "wilcoxon_holm") },
    { head: "effect g_z", title: "Mean difference divided by the standard deviation of the differences, with Hedges' correction; unknown with two seeds or equal differences", csvHead: ["d_z", "g_z"], cell: shown("effect"), csv: (name) => raw(name, "d_z", "g_z") },
    { head: "wins/ties/losses", csvHead: ["wins", "ties", "losses"], cell: shown("wins"), csv: (name) => raw(name, "wins", "ties", "losses") },
    { head: `beats ${whose()}`, title: "Share of seeds won, ties counting half, with its Jeffreys interval", csvHead: ["better", "better low", "better high"], cell: better, csv: (name) => tests[name]?.better ?? [null, null, null] },
    { head: "finding", cell: (name) => h("span", { class: found(name)[0] }, found(name)[1]), csv: (name) => [found(name)[1].replace(/^[^a-z]+/, "")] },
  );
  const level = 100 * report.level;
  const note = seeds.length > 1
    ? `The area is the mean ${metricName()} over all ${labels.length} numbers of labels. ± and [ ] are ${level} % intervals over ${seeds.length} paired seeds, without correction; p-values are corrected by Holm's method for all strategies in the table. “Beats ${whose()}” is the share of seeds won, an estimate of the chance to win with another seed.`
    : `The area is the mean ${metricName()} over all ${labels.length} numbers of labels. With one seed there are no intervals and no tests.`;
  return section("areas", "Areas under the curves", null, table({ name: `areas-${state.metric}`, title: `Area: mean ${metricName()}, and difference from ${whose()}`, columns, rows: strategies, note }), forest());
}

// Strategies that are compared with another, without those that have the same selections as one of them.
const compared = () => experiment().strategies.filter((name) => experiment().baselines[name] !== name && !(name in experiment().twins));

function drawForest(width) {
  const { summaries, comparisons, cells } = numbers();
  const better = HIGHER_IS_BETTER[state.metric] ? 1 : -1;
  const rows = compared().sort((a, b) => better * (summaries[b].difference[0] - summaries[a].difference[0]));
  const gap = 24, left = Math.min(7 * Math.max(...rows.map((name) => name.length)) + 16, 0.42 * width), right = width - 16, top = 8, bottom = top + gap * rows.length;
  const ends = rows.flatMap((name) => summaries[name].difference).filter(known);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const pad = 0.04 * (high - low || 1);
  const X = (x) => left + ((x - low + pad) / (high - low + 2 * pad)) * (right - left);
  const describe = `Difference of the area from that of ${whose()}, ${isFraction() ? "in points" : metricName()}: ${rows.map((name) => `${name} ${cells[name].difference}`).join("; ")}.`;
  const svg = s("svg", { viewBox: `0 0 ${width} ${bottom + 44}`, width, height: bottom + 44, role: "img", "aria-label": describe });
  for (const tick of niceTicks(low - pad, high + pad, Math.max(3, Math.floor((right - left) / 90)))) {
    svg.append(s("line", { class: "gridline", x1: X(tick), x2: X(tick), y1: top, y2: bottom }),
      s("text", { x: X(tick), y: bottom + 17, "text-anchor": "middle" }, (tick > 0 ? "+" : tick < 0 ? "-" : "") + tickText(Math.abs(tick))));
  }
  svg.append(s("line", { class: "axis", x1: X(0), x2: X(0), y1: top, y2: bottom }),
    s("text", { x: (left + right) / 2, y: bottom + 37, "text-anchor": "middle" }, `${isFraction() ? "points of " : ""}${metricName()} ${HIGHER_IS_BETTER[state.metric] ? "above" : "minus that of"} ${whose()}`));
  rows.forEach((name, i) => {
    const y = top + gap * (i + 0.5), [mean, from, to] = summaries[name].difference;
    const outcome = comparisons?.[name]?.outcome ?? "tie", most = Math.floor((left - 10) / 7);
    svg.append(s("text", { class: "strong", x: left - 10, y: y + 4, "text-anchor": "end" }, name.length > most ? `${name.slice(0, most - 1)}…` : name));
    if (known(from)) svg.append(s("line", { class: `whisker k-${outcome}`, x1: X(from), x2: X(to), y1: y, y2: y }));
    svg.append(s("path", { class: `dot k-${outcome}`, d: { win: MARKERS[2], loss: MARKERS[4] }[outcome]?.(5) ?? MARKERS[0](4.5), transform: `translate(${X(mean)} ${y})` }));
  });
  return { svg };
}

function forest() {
  const { twins } = experiment();
  const { summaries } = numbers();
  const rows = compared(), same = Object.keys(twins).filter((name) => summaries[name].difference);
  if (!rows.length) return null;
  return figure({
    name: `differences-${state.metric}`, title: `Paired differences from ${whose()}`, draw: drawForest,
    caption: `${HIGHER_IS_BETTER[state.metric] ? "" : "Smaller values of this metric are better. "}${numbers().comparisons ? "▲ significantly better, ▼ significantly worse after Holm's correction, ● no significant difference. " : ""}Lines are intervals without correction.`,
    table: () => [["strategy", "difference", "low", "high"], ...[...rows, ...same].map((name) => [name, ...summaries[name].difference])],
    missing: () => (same.length ? `Not drawn: ${same.map((name) => `${name} (same selections as ${plain(twins[name])})`).join(", ")}.` : ""),
  });
}

const times = (x) => `${fixed(x, 2)}×`;
const measured = () => experiment().strategies.filter((name) => name === experiment().baseline || experiment().baselines[name] !== name);
const unmeasured = () => leftOut(experiment().strategies.filter((name) => !measured().includes(name)));

function efficiencyModel(names = visible()) {
  const { labels } = experiment();
  const { efficiency } = numbers();
  const series = names.filter((name) => measured().includes(name)).map((name) => ({ name, y: efficiency[name].ratio, bound: efficiency[name].bound }));
  const end = ({ name, y, bound }) => {
    const last = bound.lastIndexOf(""), open = bound.indexOf("at least"), low = bound.lastIndexOf("at most");
    const parts = [low < 0 ? null : `at most ${times(y[low])} up to ${labels[low]} labels`, last < 0 ? null : `${times(y[last])} at ${labels[last]} labels`,
      open < 0 ? null : `at least ${times(y[open])} at ${labels[open]} labels, then beyond what ${whose()} reached`];
    return `${name} ${parts.filter(known).join(", ")}`;
  };
  return {
    xs: labels, xLabel: "labels", yLabel: `times fewer labels than ${whose()}`, series, log: state.log, lines: [], include: [1], least: 0, format: (x, all) => (all ? times(x) : `${Number(x.toFixed(4))}×`),
    describe: () => `Label efficiency against ${whose()}: ${series.map(end).join("; ") || "no strategy is shown"}. ${unmeasured()}`.trim(),
  };
}

function efficiencyRows() {
  const { labels } = experiment();
  const { efficiency } = numbers();
  return [["strategy", "labels", "times fewer", "bound"], ...measured().flatMap((name) => labels.map((label, i) => [name, label, efficiency[name].ratio[i], efficiency[name].bound[i]]))];
}

function efficiencyTable() {
  const { labels } = experiment();
  const { efficiency } = numbers();
  const sign = { "": "", "at least": "≥ ", "at most": "≤ " };
  const columns = [{ head: "strategy", cell: withSample }, ...labels.map((label, i) => ({ head: count(label), cell: (name) => `${sign[efficiency[name].bound[i]]}${times(efficiency[name].ratio[i])}` }))];
  return h("details", {}, h("summary", {}, "The label efficiencies as a table"), table({ name: `efficiencies-${state.metric}`, title: "Label efficiency, by number of labels", columns, rows: measured(), saved: efficiencyRows }));
}

function efficiency() {
  const { strategies, baseline, baselines, target, labels, seeds } = experiment();
  const { summaries, reach, cells } = numbers();
  const last = labels[labels.length - 1];
  const columns = [{ head: "strategy", cell: withSample, csv: (name) => [name] }];
  const whole = (text) => text.replaceAll(" %", "\u00a0%");
  const saved = (saving) => [saving?.ratio, saving?.bound, saving?.low, saving?.high];
  const level = (text, needed, saving, cell) => {
    const own = (name) => (baselines[name] === name ? null : saving(name));
    columns.push(
      { head: whole(text), csvHead: [`labels to ${text}`, `bound of labels to ${text}`], cell, csv: (name) => needed(name) },
      { head: "times fewer", csvHead: ["times fewer", "bound", "low", "high"].map((word) => `${word} to ${text}`), cell: (name) => orNone(own(name)?.cell ?? ""), csv: (name) => saved(own(name)) });
  };
  for (const [i, one] of (reach?.[baseline] ?? []).entries()) {
    level(`${Number((100 * one.share).toFixed(2))} % of full: ${amount(one.target)}${mark()}`, (name) => [reach[name][i].labels, reach[name][i].bound], (name) => reach[name][i].saving, (name) => reach[name][i].cell);
  }
  if (known(target) && state.metric === experiment().metric) {
    const bound = (name) => ({ ">": "at least", "≤": "at most" })[cells[name].labels[0]] ?? "";
    level(`target ${levelText(target)}`, (name) => [summaries[name].labels_needed, bound(name)], (name) => summaries[name].saving, (name) => cells[name].labels);
  }
  const sure = Math.min(report.level, 1 - 2 ** (1 - seeds.length));
  const boot = seeds.length > 1 ? ` Times fewer than ${whose()}, with ${Number((100 * sure).toFixed(2))} % bootstrap intervals over paired seeds${sure < report.level ? ` (${seeds.length} seeds cannot give ${100 * report.level} %)` : ""}; > and < are bounds, where a curve or too many resamples of its seeds do not reach the level.` : "";
  const words = columns.length > 1
    ? table({ name: `labels-${state.metric}`, title: `Labels needed for a level of ${metricName()}`, columns, rows: strategies, note: `Labels with which the mean curve first reaches the level, interpolated and rounded up; > ${count(last)}: not reached with ${count(last)} labels; ≤ ${count(labels[0])}: above it at the first point.${boot}${reach ? ` Full is the ${metricName()} after training on all labels of the pool, taken as exact.` : ""}` })
    : h("p", { class: "soft" }, "The labels needed for a level are not shown: there was no training on the whole pool, and no target accuracy is set.");
  const figure_ = labels.length < 2 ? null : lineFigure({
    name: `efficiency-${state.metric}`, title: `Label efficiency: how many times fewer labels than ${whose()}`, model: efficiencyModel, tools: [check("log budget", "log")], table: efficiencyRows, missing: unmeasured,
    caption: `At every point: the number of labels with which ${whose()} first reaches the strategy's ${metricName()}, divided by the strategy's number of labels. Above 1 the strategy saves labels. A curve ends in a dotted arrow where ${whose()} never reaches the strategy's ${metricName()}: after it, only lower bounds are known, which the table has. An open circle is a bound, with an arrow to the side of the true value.`,
  });
  return section("labels", "Labels saved", null, figure_, figure_ && legend(), figure_ && efficiencyTable(), words);
}

function pairs() {
  const { penalty } = numbers();
  if (!penalty) return section("pairs", "Pairwise comparison", "A matrix of pairs needs two strategies, two seeds and a selection.");
  return section("pairs", "Pairwise comparison", null, matrix({
    name: `penalty-${state.metric}`, title: `Pairwise penalty matrix, ${metricName()}`, names: penalty.strategies, values: penalty.beats, most: 1, digits: 2,
    corner: "row beats column", note: penalty.note, last: { head: "mean of column (lower is better)", values: penalty.penalties },
  }));
}

function cost() {
  const { costs, strategies } = experiment();
  const rows = strategies.filter((name) => costs[name]);
  if (!rows.length) return section("costs", "Time and memory", "The runs recorded no times.");
  const slowest = Math.max(...rows.map((name) => Math.max(costs[name].selection, costs[name].training)), 1e-9);
  const metered = (key) => (name) => h("span", {}, h("span", { class: "room", "aria-hidden": "true" }, h("span", { class: "meter", style: `width:${(100 * costs[name][key]) / slowest}%` })), seconds(costs[name][key]));
  const saved = rows.reduce((sum, name) => sum + costs[name].saved, 0);
  const shared = saved > 0 ? `Sharing the first round of each seed between strategies saved ${seconds(saved)} s of training.` : "Sharing first rounds saved nothing: every run trained its own, or the times are unknown.";
  return section("costs", "Time and memory", null, table({
    name: "costs", title: "Seconds per run, and peak memory", rows,
    columns: [
      { head: "strategy", cell: withSample, csv: (name) => [name] },
      { head: "selection, s", csvHead: ["selection seconds"], cell: metered("selection"), csv: (name) => [costs[name].selection] },
      { head: "training, s", csvHead: ["training seconds"], cell: metered("training"), csv: (name) => [costs[name].training] },
      { head: "selection adds, MB", csvHead: ["selection peak bytes"], cell: (name) => bytes(costs[name].selection_peak), csv: (name) => [costs[name].selection_peak] },
      { head: "training adds, MB", csvHead: ["training peak bytes"], cell: (name) => bytes(costs[name].training_peak), csv: (name) => [costs[name].training_peak] },
    ],
    note: `Seconds are wall time, summed over the rounds of a run and averaged over seeds; several processes on one machine make them longer. Memory is the most that a step added to its process; –: unknown. ${shared}`,
  }), timeline());
}

function timeline() {
  const rows = experiment().timeline;
  if (!rows.length) return null;
  const last = Math.max(...rows.map((row) => row.end), 1e-9);
  const bar = (row) => h("span", { class: "room line", "aria-hidden": "true" }, h("span", { class: "meter", style: `margin-left:${(100 * row.start) / last}%;width:${(100 * (row.end - row.start)) / last}%` }));
  return table({
    name: "timeline", title: "Runs by worker", rows,
    columns: [
      { head: "run", cell: (row) => row.run },
      { head: "worker", cell: (row) => row.worker },
      { head: "when", csvHead: [], cell: bar, csv: () => [] },
      { head: "from, s", csvHead: ["start seconds"], cell: (row) => seconds(row.start), csv: (row) => [row.start] },
      { head: "to, s", csvHead: ["end seconds"], cell: (row) => seconds(row.end), csv: (row) => [row.end] },
    ],
    note: "What the processes of an executor did, from the start of the first. A worker is a machine and a process; a run that was stopped has a line for each part.",
  });
}

function selectionsModel(names = visible()) {
  const { selections, labels } = experiment();
  const [words, , digits] = QUANTITIES[state.quantity];
  const series = names.filter((name) => selections[state.quantity][name]?.some(known)).map((name) => ({ name, y: selections[state.quantity][name] }));
  const ends = series.map(({ name, y }) => `${name} ${known(y[y.length - 1]) ? fixed(y[y.length - 1], digits) : "unknown"}`).join("; ");
  return {
    xs: labels.slice(1).map((_, i) => i + 1), xLabel: "selection", yLabel: words, series, lines: [], least: 0, whole: true, format: (x, all) => (all ? fixed(x, digits) : String(Number(x.toFixed(4)))),
    describe: () => `${words} of each selection; at the last: ${ends || "no strategy is shown"}. ${leftOut()}`.trim(),
  };
}

function selections() {
  const { selections, strategies, seeds, labels } = experiment();
  if (labels.length < 2) return section("selections", "Selections", "There was no selection.");
  const has = Object.keys(QUANTITIES).filter((key) => strategies.some((name) => selections[key][name]?.some(known)));
  if (!has.includes(state.quantity)) state.quantity = has[0];
  const choose = h("label", {}, h("span", {}, "show"), h("select", { "data-option": "quantity", onchange: (event) => { state.quantity = event.target.value; render(); } },
    has.map((key) => h("option", { value: key, selected: key === state.quantity }, QUANTITIES[key][0]))));
  const measured = selections.missing ? `Duplicates and distances need the data, which could not be loaded: ${selections.missing}` : selections.measured < seeds.length ? `Duplicates and distances are means over the first ${selections.measured} of ${seeds.length} seeds.` : null;
  const mean = (list) => { const some = list.filter(known); return some.length ? some.reduce((a, b) => a + b, 0) / some.length : null; };
  const columns = [{ head: "strategy", cell: withSample, csv: (name) => [name] }, ...has.map((key) => ({
    head: QUANTITIES[key][0], title: QUANTITIES[key][1], csvHead: [key],
    cell: (name) => { const x = mean(selections[key][name] ?? []); return known(x) ? x.toFixed(QUANTITIES[key][2]) : "–"; }, csv: (name) => [mean(selections[key][name] ?? [])],
  }))];
  return section("selections", "Selections", measured,
    has.length ? lineFigure({ name: `selections-${state.quantity}`, title: "Each selection", model: selectionsModel, tools: [choose], caption: `${QUANTITIES[state.quantity][1]}; mean over seeds.` }) : null,
    has.length ? legend() : null,
    table({ name: "selections", title: "Means over selections", columns, rows: strategies }),
    matrix({ name: "overlap", title: "Overlap between strategies", names: selections.strategies, values: selections.overlap, most: 1, digits: 2, corner: "Jaccard index", note: "Share of the examples selected by either of two strategies with the same seed that both selected, without the initial labels; mean over seeds. 1: the same examples, in any order." }));
}

function provenance() {
  const { provenance: recorded, ids, seeds } = experiment();
  const list = (values) => (values.length ? values.join(" and ") : "not recorded");
  const rows = [...Object.entries(recorded.versions).map(([name, values]) => [name === "revision" ? "git revision" : name, list(values)]), ["device", list(recorded.device)], ["threads", list(recorded.threads)]];
  const parts = ["split", "initial", "model", "selection"];
  return section("provenance", "Provenance", "Everything needed to repeat the experiment.",
    listed(rows),
    h("details", {}, h("summary", {}, "Seeds"), table({
      name: "seeds", title: "Seeds of each run", rows: Object.entries(recorded.seeds),
      columns: [{ head: "seed", cell: ([seed]) => seed, csv: ([seed]) => [seed] }, ...parts.map((part) => ({ head: part, cell: ([, own]) => String(own[part]), csv: ([, own]) => [own[part]] }))],
    })),
    h("details", {}, h("summary", {}, "Configuration"), h("pre", { tabindex: "0" }, JSON.stringify(recorded.config, null, 2)),
      h("button", { type: "button", "data-save": "config", onclick: () => download("config.json", "application/json", JSON.stringify(recorded.config, null, 2)) }, "Save config.json")),
    ids && Object.keys(ids).length ? idsBlock(ids, seeds) : null);
}

function idsBlock(ids, seeds) {
  const text = h("pre", { class: "ids", tabindex: "0" });
  const choose = (name, values, show) => h("label", {}, name, h("select", { onchange: show }, values.map((value) => h("option", { value }, value))));
  const show = () => {
    const [strategy, seed] = [...box.querySelectorAll("select")].map((one) => one.value);
    text.textContent = (ids[strategy]?.[seed] ?? []).map((round, i) => `${i ? `round ${i}` : "initial"}: ${round.join(" ")}`).join("\n");
  };
  const box = h("div", { class: "bar" }, choose("strategy", Object.keys(ids), show), choose("seed", seeds.map(String), show),
    h("button", { type: "button", "data-save": "ids", onclick: () => download("ids.json", "application/json", JSON.stringify(ids)) }, "Save all as JSON"));
  return h("details", { ontoggle: show }, h("summary", {}, "Ids of every round"), h("p", { class: "note" }, "Positions in the training part of the data set; selections in pick order."), box, text);
}

// ------------------------------------------------------------------------------------------ several data sets

function across() {
  if (!report.across) return null;
  const lead = "Strategies that were run on all data sets, ranked by their mean area under the curve on each.";
  const own = report.across.metrics[state.metric];
  if (!own) return section("across", "Over all data sets", state.metric in report.across.metrics ? lead : "No strategy has this metric on all data sets.");
  const names = report.experiments.map(({ name }) => name);
  const strategies = Object.keys(own.scores).sort((a, b) => mean(own.ranks[a]) - mean(own.ranks[b]));
  function mean(list) { return list.reduce((a, b) => a + b, 0) / list.length; }
  const outcome = (strategy, i) => (strategy in report.experiments[i].twins ? "same" : report.experiments[i].metrics[state.metric]?.comparisons?.[strategy]?.outcome);
  return section("across", "Over all data sets", lead,
    table({
      name: `ranks-${state.metric}`, title: `Mean rank and area, ${metricName()}`, rows: strategies,
      columns: [{ head: "strategy", cell: (name) => h("span", {}, broken(name)), csv: (name) => [name] }, { head: "mean rank", cell: (name) => mean(own.ranks[name]).toFixed(2), csv: (name) => [mean(own.ranks[name])] },
        ...names.map((data, i) => ({ head: data, csvHead: [`${data} area`, `${data} rank`], cell: (name) => h("span", {}, `${amount(own.scores[name][i], 2)} `, h("span", { class: outcome(name, i) ?? "tie", title: WORDS[outcome(name, i)] }, SYMBOLS[outcome(name, i)] ?? "")), csv: (name) => [own.scores[name][i], own.ranks[name][i]] }))],
      note: `Areas${isFraction() ? " in %" : ""}, rank 1 is best. ▲ significantly better than the baseline of that data set, ▼ worse, = no significant difference, ≡ same selections as another strategy.`,
    }),
    own.test ? figure({ name: `critical-difference-${state.metric}`, title: "Critical difference diagram", wide: 0, draw: (width) => drawRanks(own.test, width), table: () => [["strategy", "mean rank"], ...own.test.strategies.map((name, i) => [name, own.test.mean_ranks[i]])],
      caption: `Mean ranks over ${own.test.data_sets} data sets. Friedman's test: p ${own.test.p_cell}; Iman and Davenport's F: p ${own.test.f_p_cell}. Bars join strategies whose ranks do not differ significantly by Nemenyi's test at ${report.alpha}; read them only if Friedman's test finds a difference.` }) : h("p", { class: "note", "data-why": "no-diagram" }, own.why_not),
    own.penalty ? matrix({ name: `penalty-all-${state.metric}`, title: "Pairwise penalty matrix over all data sets", names: own.penalty.strategies, values: own.penalty.beats, most: names.length, digits: 2, corner: "row beats column", note: own.penalty.note, last: { head: "mean of column (lower is better)", values: own.penalty.penalties } }) : null);
}

function drawRanks(test, width) {
  const k = test.strategies.length, half = Math.ceil(k / 2), gap = 20;
  const side = Math.min(7.5 * Math.max(...test.strategies.map((name) => name.length)) + 14, 0.34 * width);
  const X = (rank) => side + ((rank - 1) / (k - 1)) * (width - 2 * side);
  const axis = 56, names = axis + 16 + 9 * test.groups.length, height = names + gap * half + 14;
  const describe = `Mean ranks, best first: ${test.strategies.map((name, i) => `${name} ${test.mean_ranks[i].toFixed(2)}`).join("; ")}. Critical difference ${test.critical_difference.toFixed(2)}.`;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": describe });
  svg.append(s("line", { class: "axis", x1: X(1), x2: X(k), y1: axis, y2: axis }));
  const step = Math.ceil(k / Math.max(2, (width - 2 * side) / 34));
  for (let rank = 1; rank <= k; rank++) svg.append(s("line", { class: "axis", x1: X(rank), x2: X(rank), y1: axis - 5, y2: axis }), (rank - 1) % step ? "" : s("text", { x: X(rank), y: axis - 10, "text-anchor": "middle" }, String(rank)));
  const far = Math.min(1 + test.critical_difference, k);
  svg.append(s("line", { class: "axis", x1: X(1), x2: X(far), y1: 24, y2: 24 }), s("line", { class: "axis", x1: X(1), x2: X(1), y1: 20, y2: 28 }), s("line", { class: "axis", x1: X(far), x2: X(far), y1: 20, y2: 28 }),
    s("text", { x: X(1), y: 14 }, `critical difference ${test.critical_difference.toFixed(2)}`));
  test.strategies.forEach((name, i) => {
    const left = i < half, row = left ? i : k - 1 - i, y = names + gap * row, end = left ? side - 6 : width - side + 6, x = X(test.mean_ranks[i]), most = Math.floor((side - 12) / 7.4);
    svg.append(s("path", { class: "axis", d: `M${x} ${axis}V${y}H${end}` }), s("text", { class: "strong", x: left ? end - 4 : end + 4, y: y + 4, "text-anchor": left ? "end" : "start" }, name.length > most ? `${name.slice(0, most - 1)}…` : name));
  });
  test.groups.forEach((group, i) => {
    const at = group.map((name) => test.mean_ranks[test.strategies.indexOf(name)]);
    svg.append(s("line", { class: "group", x1: X(Math.min(...at)) - 3, x2: X(Math.max(...at)) + 3, y1: axis + 10 + 9 * i, y2: axis + 10 + 9 * i }));
  });
  return { svg };
}

// ------------------------------------------------------------------------------------------ the page

function saveNumbers() {
  const metrics = Object.keys(experiment().metrics);
  const rows = [["strategy", "seed", "labels", ...metrics]];
  const { strategies, seeds, labels, metrics: own } = experiment();
  for (const name of strategies) seeds.forEach((seed, i) => labels.forEach((label, j) => rows.push([name, seed, label, ...metrics.map((metric) => own[metric].values[name][i][j])])));
  download("numbers.csv", "text/csv", csvOf(rows));
}

function controls() {
  const select = (text, key, options, chosen) => h("label", {}, text, h("select", { "data-option": key, onchange: (event) => {
    state[key] = key === "experiment" ? Number(event.target.value) : event.target.value;
    if (key === "experiment" && !(state.metric in experiment().metrics)) state.metric = experiment().metric;
    if (key === "experiment") build();
    render();
  } }, options.map(([value, words]) => h("option", { value, selected: value === chosen }, words))));
  const { metrics, strategies } = experiment();
  const links = [report.across ? ["across", "All data"] : null, ["curves", "Curves"], ["areas", "Areas"], ["labels", "Labels"], ["pairs", "Pairs"], ["costs", "Costs"], ["selections", "Selections"], ["provenance", "Provenance"]].filter(Boolean);
  return h("div", {},
    report.experiments.length > 1 ? select("data set", "experiment", report.experiments.map(({ name }, i) => [i, name]), state.experiment) : null,
    strategies.length ? select("metric", "metric", Object.keys(metrics).map((key) => [key, report.metric_names[key]]), state.metric) : null,
    strategies.length ? h("nav", { "aria-label": "Sections" }, links.map(([id, words]) => h("a", { href: `#${id}` }, words))) : null);
}

const listed = (pairs) => h("dl", { class: "facts" }, pairs.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
const facts = () => listed(experiment().facts);

function intro() {
  return [
    ...report.notes.map((note) => h("p", { class: "note" }, note)),
    report.experiments.length > 1 ? null : facts(),
    experiment().strategies.length ? h("p", {}, h("button", { type: "button", "data-save": "numbers", onclick: saveNumbers }, "Save all numbers (CSV)"), " ",
      h("button", { type: "button", "data-save": "json", onclick: () => download("report.json", "application/json", JSON.stringify(report)) }, "Save the report (JSON)")) : null,
  ].filter(known);
}

function build() {
  document.getElementById("controls").replaceChildren(controls());
  document.getElementById("intro").replaceChildren(...intro());
}

function render() {
  charts.length = 0;
  const tested = experiment().strategies.length ? Boolean(numbers().comparisons) : false;
  const sections = experiment().strategies.length
    ? [across(), summary(), curves(), experiment().outlook.length ? outlook() : null, areas(), tested ? efficiency() : null, tested ? pairs() : null, cost(), selections(), provenance()]
    : [across(), summary(), provenance()];
  document.getElementById("main").replaceChildren(...sections.filter(known));
  redraw();
}

build();
render();
