"use strict";
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const HIGHER_IS_BETTER = { accuracy: true, balanced_accuracy: true, macro_f1: true, calibration_error: false };
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
  const WORDS = { win: "better", loss: "worse", tie: "no significant difference", same: "the same", remark: "remark" };
  const QUANTITIES = {
    balance: ["balance of classes", "1 when all classes are equally frequent in a selection, 0 when there is one only (entropy / log of the number of classes)", 2],
    duplicates: ["duplicates", "share of a selection that equals, number for number, an example labeled or selected before", 2],
    to_labeled: ["distance to the labeled", "mean Euclidean distance of a selection, between inputs, to the nearest example labeled before", 3],
    to_picked: ["distance to each other", "mean Euclidean distance, between inputs, to the nearest other example of the same selection", 3],
  };
  const state = { experiment: 0, metric: "accuracy", log: false, bands: true, whole: false, quantity: "balance", hidden: new Map() };
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
  const count = (x) => x.toLocaleString("en-US");
  const percent = (x, digits = 1) => (known(x) ? (100 * x).toFixed(digits) : "–");
  const points = (x) => (known(x) ? (x < 0 ? "−" : "+") + Math.abs(100 * x).toFixed(2) : "–");
  const interval = (low, high) => (known(low) ? ` [${points(low)}, ${points(high)}]` : "");
  const pValue = (p) => (p < 0.0001 ? "< 0.0001" : p >= 0.995 ? "1" : String(Number(p.toPrecision(2))));
  const seconds = (x) => (x >= 100 ? x.toFixed(0) : x >= 1 ? x.toFixed(1) : x.toPrecision(2));
  const bytes = (x) => (known(x) ? (x / 1e6 >= 100 ? (x / 1e6).toFixed(0) : (x / 1e6).toFixed(1)) : "–");
  const slug = (text) => text.replace(/[^A-Za-z0-9_.-]+/g, "-").replace(/^-+|-+$/g, "") || "report";
  const quoted = (cell) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const csvOf = (rows) => rows.map((row) => row.map((cell) => quoted(known(cell) ? String(cell) : "")).join(",") + "\n").join("");

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

  // With many strategies a figure begins with the baseline and the six of the largest area.
  function hidden() {
    if (!state.hidden.has(state.experiment)) {
      const { strategies, twins, baseline, metrics } = experiment();
      const set = new Set(Object.keys(twins));
      if (strategies.length > 8) {
        const area = metrics.accuracy.summaries;
        const ordered = strategies.filter((name) => name !== baseline && !set.has(name)).sort((a, b) => area[b].area - area[a].area);
        ordered.slice(6).forEach((name) => set.add(name));
      }
      state.hidden.set(state.experiment, set);
    }
    return state.hidden.get(state.experiment);
  }
  const visible = () => experiment().strategies.filter((name) => !hidden().has(name));

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

  // Bands may stick out of the figure, where they would make curves small.
  function lineScale(model) {
    if (model.range) return model.range;
    const means = [...(model.include ?? []), ...model.series.flatMap(({ y }) => y.filter(known))];
    const bands = model.series.flatMap(({ low, high }) => [...(low ?? []), ...(high ?? [])].filter(known));
    const [lowest, highest] = [Math.min(...means), Math.max(...means)];
    const reach = 0.3 * (highest - lowest);
    const bottom = Math.min(lowest, Math.max(Math.min(...bands), lowest - reach));
    const top = Math.max(highest, Math.min(Math.max(...bands), highest + reach));
    const pad = 0.05 * (top - bottom || Math.abs(top) || 1);
    return [Math.max(bottom - pad, model.least ?? -Infinity), Math.min(top + pad, model.most ?? Infinity)];
  }

  function drawLines(model, width, named) {
    const height = Math.round(Math.min(Math.max(0.52 * width, 260), 460));
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": model.describe() });
    if (!model.series.length) {
      svg.append(s("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "No strategy is shown: choose some below."));
      return { svg };
    }
    const longest = Math.max(...model.series.map(({ name }) => name.length));
    const margin = { top: 12, right: named ? Math.min(7 * longest, 210) + 44 : 14, bottom: 44, left: 50 };
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
    for (const { name, y } of model.series) {
      const { key, dash, marker } = look(name);
      svg.append(s("path", { class: `curve ${key}`, "data-curve": name, d: path(model.xs, y), "stroke-dasharray": dash }));
      model.xs.forEach((x, i) => {
        if (marker && i % every === 0 && known(y[i])) svg.append(s("path", { class: `dot ${key}`, d: marker(3.4), transform: `translate(${X(x)} ${Y(y[i])})` }));
      });
    }
    svg.append(words);
    if (named) nameEnds(svg, model, { X, Y, x1, y0, y1 });
    return { svg, X, Y, x0, x1, y0, y1 };
  }

  function nameEnds(svg, model, { X, Y, x1, y0, y1 }) {
    const ends = model.series.map(({ y }) => y.findLastIndex(known)).map((at, i) => ({ ...model.series[i], at })).filter(({ at }) => at >= 0);
    const gap = Math.min(17, (y0 - y1 + 20) / ends.length);
    const placed = apart(ends.map(({ y, at }) => Y(y[at])), gap, y1, y0 + 20);
    ends.forEach(({ name, y, at }, i) => {
      const { key } = look(name);
      svg.append(s("path", { class: `leader ${key}`, d: `M${X(model.xs[at]) + 4} ${Y(y[at])}L${x1 + 22} ${placed[i]}h6` }),
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
    const shown = ordered.slice(0, 12);
    return [
      h("b", {}, `${count(model.xs[i])} ${model.xLabel}`),
      h("table", {}, shown.map((one) => h("tr", {},
        h("td", {}, sample(one.name), " ", one.name),
        h("td", {}, (one.notes?.[i] ?? "") + model.format(one.y[i], true)),
        h("td", { class: "soft" }, one.low && known(one.low[i]) ? `${model.format(one.low[i], true)} to ${model.format(one.high[i], true)}` : "")))),
      ordered.length > shown.length ? h("span", { class: "soft" }, `and ${ordered.length - shown.length} more`) : null,
    ];
  }

  function listen(drawn, model, plot, tip) {
    const { svg, X, Y, x0, x1, y0, y1 } = drawn;
    let at = -1;
    const marks = s("g", {});
    svg.append(marks);
    const hide = () => { at = -1; tip.hidden = true; marks.replaceChildren(); };
    const show = (index) => {
      at = Math.min(Math.max(index, 0), model.xs.length - 1);
      const x = X(model.xs[at]);
      marks.replaceChildren(s("line", { class: "cross", x1: x, x2: x, y1: y0, y2: y1 }),
        ...model.series.filter(({ y }) => known(y[at])).map(({ name, y }) => s("circle", { class: `dot ${look(name).key}`, cx: x, cy: Y(y[at]), r: 4.5 })));
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

  // A figure: what draws it at a width, with its buttons and, where `tools` are given, those who change it.
  function figure({ name, title, caption, tools = [], draw, table, wide = 640, exported = 900, after }) {
    const plot = h("div", { class: "plot" });
    const tip = h("div", { class: "tip", role: "status", hidden: true });
    const export_ = (kind) => savePicture(draw(exported, true).svg, name, kind);
    const buttons = [
      h("button", { type: "button", "data-save": "svg", "aria-label": `${title}: save as SVG`, onclick: () => export_("svg") }, "SVG"),
      h("button", { type: "button", "data-save": "png", "aria-label": `${title}: save as PNG`, onclick: () => export_("png") }, "PNG"),
      h("button", { type: "button", "data-save": "csv", "aria-label": `${title}: save numbers as CSV`, onclick: () => download(`${name}.csv`, "text/csv", csvOf(table())) }, "CSV"),
    ];
    let drawnWidth = 0;
    const update = () => {
      drawnWidth = Math.floor(plot.clientWidth) || 800;
      const drawn = draw(drawnWidth, drawnWidth >= wide);
      tip.hidden = true;
      plot.replaceChildren(drawn.svg, tip);
      if (after) after(drawn, plot, tip);
    };
    charts.push(update);
    new ResizeObserver(() => { if (plot.isConnected && Math.floor(plot.clientWidth) !== drawnWidth) update(); }).observe(plot);
    return h("figure", { "data-figure": name }, h("div", { class: "bar" }, h("h3", {}, title), ...tools, ...buttons), plot, caption && h("figcaption", {}, caption));
  }

  function lineFigure({ name, title, caption, tools, model }) {
    const said = () => model().lines.map(({ text, dash }) => `${text} (${{ "": "solid", "4 4": "dashed", "1 4": "dotted" }[dash]} line)`).join(", ");
    return figure({
      name, title, tools,
      caption: [model().lines.length ? h("span", { class: "on-phones" }, `${said()}. `) : null, caption],
      draw: (width, named) => drawLines(model(), width, named),
      table: () => lineTable(model()),
      after: (drawn, plot, tip) => { if (drawn.X) listen(drawn, model(), plot, tip); },
    });
  }

  // ------------------------------------------------------------------------------------------ pictures to save

  const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "font-family", "font-size", "font-weight", "text-anchor", "paint-order"];

  // What the style sheet says, written into the elements, in the colors for light paper.
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

  // Columns: head, cell (what is shown) and, where that is not the number itself, csv.
  function table({ name, title, columns, rows, note, tools = [] }) {
    const numbersOf = () => [columns.flatMap(({ csvHead, head }) => csvHead ?? [head]), ...rows.map((row) => columns.flatMap(({ csv, cell }) => (csv ?? cell)(row)))];
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

  // A matrix with its rows named and its columns numbered.
  function matrix({ name, title, names, values, most, digits, note, corner, last }) {
    const rows = names.map((label, i) => ({ label: `(${i + 1}) ${label}`, plain: label, values: values[i], i }));
    if (last) rows.push({ label: last.head, plain: last.head, values: last.values, i: -1 });
    const column = (j) => ({
      head: `(${j + 1})`, title: names[j], csvHead: [names[j]],
      cell: (row) => (row.i === j ? "–" : row.values[j].toFixed(digits)),
      csv: (row) => [row.i === j ? null : row.values[j]],
      heat: (row) => (row.i === j || row.i < 0 ? null : Math.min(row.values[j] / most, 1)),
    });
    return table({ name, title, rows, note, columns: [{ head: corner, cell: (row) => h("span", {}, broken(row.label)), csv: (row) => [row.plain] }, ...names.map((_, j) => column(j))] });
  }

  // ------------------------------------------------------------------------------------------ sections

  const section = (id, title, lead, ...children) => h("section", { id }, h("h2", {}, title), lead && h("p", { class: "soft" }, lead), ...children);
  const check = (text, key) => h("label", {}, h("input", { type: "checkbox", checked: state[key], "data-option": key, onchange: (event) => { state[key] = event.target.checked; redraw(); } }), text);

  function said(outcome, text) {
    const [name, rest] = outcome === "remark" ? ["", text] : [text.slice(0, text.indexOf(": ")), text.slice(text.indexOf(": "))];
    return h("li", {}, h("span", { class: `mark ${outcome}`, title: WORDS[outcome], role: "img", "aria-label": WORDS[outcome] }, SYMBOLS[outcome]), h("span", {}, h("b", {}, name), rest));
  }

  const tile = (head, value, more) => h("div", { class: "tile" }, h("span", {}, head), h("strong", {}, value), h("em", {}, more));

  function tiles() {
    const { strategies, baseline, target, seeds } = experiment();
    const { summaries, comparisons, full } = numbers();
    const better = HIGHER_IS_BETTER[state.metric] ? 1 : -1;
    const best = [...strategies].sort((a, b) => better * (summaries[b].area - summaries[a].area))[0];
    const made = [tile(better > 0 ? "Largest area under the curve" : "Smallest area under the curve", `${percent(summaries[best].area, 2)} %`, best)];
    if (comparisons && Object.keys(comparisons).length) {
      const list = Object.values(comparisons);
      const wins = list.filter(({ outcome }) => outcome === "win").length;
      made.push(tile(`Significantly better than ${plain(baseline)}`, `${wins} of ${list.length}`, `with ${seeds.length} seeds, at ${report.alpha}`));
    }
    const reached = strategies.filter((name) => known(summaries[name].labels_needed));
    if (reached.length) {
      const first = reached.sort((a, b) => summaries[a].labels_needed - summaries[b].labels_needed)[0];
      made.push(tile(`Fewest labels for ${Number((100 * target).toFixed(2))} %`, count(Math.ceil(summaries[first].labels_needed - 1e-6)), first));
    }
    if (known(full)) made.push(tile("All labels of the pool give", `${percent(full)} %`, metricName()));
    return h("div", { class: "tiles" }, made);
  }

  function summary() {
    const { notes, strategies } = experiment();
    const tests = strategies.length ? numbers().comparisons ?? {} : {};
    const order = ["win", "loss", "tie", "same"];
    const tested = strategies.filter((name) => tests[name]).sort((a, b) => order.indexOf(tests[a].outcome) - order.indexOf(tests[b].outcome));
    const list = tested.map((name) => said(tests[name].outcome, tests[name].verdict));
    const remarks = notes.map((note) => said("remark", note));
    const lead = strategies.length && !numbers().comparisons
      ? `Tests are made of accuracy, balanced accuracy and macro-F1, not of the ${metricName()}.`
      : list.length ? `What the paired seeds allow to be said of the ${metricName()}, by the areas under the curves.` : null;
    const several = report.experiments.length > 1;
    return section("summary", several ? `In short: ${experiment().name}` : "In short", lead, several ? facts() : null, strategies.length ? tiles() : null, h("ul", { class: "said" }, list, remarks));
  }

  function curvesModel() {
    const { labels, target } = experiment();
    const { summaries, full, majority } = numbers();
    const lines = [];
    if (known(full)) lines.push({ y: full, text: `all labels ${percent(full)} %`, dash: "" });
    if (known(majority)) lines.push({ y: majority, text: `majority class ${percent(majority)} %`, dash: "1 4" });
    if (known(target) && state.metric === "accuracy") lines.push({ y: target, text: `target ${Number((100 * target).toFixed(2))} %`, dash: "4 4" });
    const series = visible().map((name) => ({
      name, y: summaries[name].mean, low: state.bands ? summaries[name].low : null, high: state.bands ? summaries[name].high : null,
    }));
    const ends = series.map(({ name, y }) => `${name} from ${percent(y[0])} to ${percent(y[y.length - 1])} %`).join("; ");
    return {
      xs: labels, xLabel: "labels", series, lines, include: known(full) && HIGHER_IS_BETTER[state.metric] ? [full] : [], least: 0, most: 1,
      range: state.whole ? [0, 1] : null, log: state.log, format: (x, exact) => (exact ? `${percent(x, 2)} %` : `${Number((100 * x).toFixed(6))} %`),
      describe: () => `Mean ${metricName()} from ${labels[0]} to ${labels[labels.length - 1]} labels: ${ends || "no strategy is shown"}.`,
    };
  }

  function curves() {
    const { seeds } = experiment();
    const bands = seeds.length > 1 ? `Bands are pointwise ${100 * report.level} % intervals of the mean over ${seeds.length} seeds (Student t). ` : "One seed: there are no bands. ";
    return section("curves", "Learning curves", null,
      lineFigure({
        name: `curves-${state.metric}`, title: `Mean ${metricName()} by number of labels`, model: curvesModel,
        tools: [check("log budget", "log"), seeds.length > 1 ? check("bands", "bands") : null, check("0 to 100 %", "whole")].filter(known),
        caption: `${bands}Point at the figure, or use the arrow keys, for values; choose strategies below.`,
      }), legend(), numbersTable());
  }

  function numbersTable() {
    const { strategies, labels } = experiment();
    const { summaries } = numbers();
    const columns = [
      { head: "strategy", cell: withSample, csv: (name) => [name] },
      ...labels.map((label, i) => ({ head: count(label), csvHead: [String(label)], cell: (name) => percent(summaries[name].mean[i]), csv: (name) => [summaries[name].mean[i]] })),
    ];
    return h("details", {}, h("summary", {}, "The same as a table"), table({ name: `means-${state.metric}`, title: `Mean ${metricName()} in %, by number of labels`, columns, rows: strategies }));
  }

  function areas() {
    const { strategies, twins, seeds, baseline, labels } = experiment();
    const { summaries, comparisons } = numbers();
    const tests = comparisons ?? {};
    const of = (name, tell) => (tests[name] ? tell(tests[name]) : "–");
    const raw = (name, ...keys) => keys.map((key) => tests[name]?.[key]);
    const columns = [
      { head: "strategy", cell: withSample, csv: (name) => [name] },
      {
        head: "area, %", title: "The mean of the metric over all numbers of labels", csvHead: ["area", "area low", "area high"],
        cell: (name) => `${percent(summaries[name].area, 2)}${known(summaries[name].area_low) ? ` ± ${percent((summaries[name].area_high - summaries[name].area_low) / 2, 2)}` : ""}`,
        csv: (name) => [summaries[name].area, summaries[name].area_low, summaries[name].area_high],
      },
      {
        head: `minus ${plain(baseline)}'s`, csvHead: ["difference", "difference low", "difference high"],
        cell: (name) => { const d = summaries[name].difference; return d ? `${points(d[0])}${interval(d[1], d[2])}` : ""; },
        csv: (name) => summaries[name].difference ?? [null, null, null],
      },
    ];
    if (Object.keys(tests).length) columns.push(
      { head: "p (Holm)", title: "Paired t test, corrected for the number of comparisons", csvHead: ["p", "p Holm"], cell: (name) => of(name, (c) => pValue(c.p_holm)), csv: (name) => raw(name, "p", "p_holm") },
      { head: "Wilcoxon p (Holm)", title: "Signed-rank test, exact, corrected for the number of comparisons", csvHead: ["Wilcoxon p", "Wilcoxon p Holm"], cell: (name) => of(name, (c) => pValue(c.wilcoxon_holm)), csv: (name) => raw(name, "wilcoxon_p", "wilcoxon_holm") },
      { head: "effect g_z", title: "Mean difference in standard deviations of the differences, unbiased (Hedges); d_z with two seeds", csvHead: ["d_z", "g_z"], cell: (name) => of(name, (c) => { const g = c.g_z ?? c.d_z; return known(g) ? g.toFixed(2) : "∞"; }), csv: (name) => raw(name, "d_z", "g_z") },
      { head: "wins / ties / losses", csvHead: ["wins", "ties", "losses"], cell: (name) => of(name, (c) => `${c.wins} / ${c.ties} / ${c.losses}`), csv: (name) => raw(name, "wins", "ties", "losses") },
      { head: `beats ${plain(baseline)}`, title: "Share of seeds won, ties counting half, with its Jeffreys interval", csvHead: ["better", "better low", "better high"], cell: (name) => of(name, (c) => `${percent(c.better[0], 0)} % [${percent(c.better[1], 0)}, ${percent(c.better[2], 0)}]`), csv: (name) => tests[name]?.better ?? [null, null, null] },
      { head: "finding", cell: (name) => (tests[name] ? h("span", { class: tests[name].outcome }, `${SYMBOLS[tests[name].outcome]} ${WORDS[tests[name].outcome]}`) : name in twins ? h("span", { class: "same" }, `≡ the picks of ${plain(twins[name])}`) : name === baseline ? "baseline" : ""), csv: (name) => [tests[name] ? WORDS[tests[name].outcome] : name in twins ? `the picks of ${twins[name]}` : ""] },
    );
    const level = 100 * report.level;
    const note = seeds.length > 1
      ? `The area is the mean ${metricName()} over all ${labels.length} numbers of labels. ± and [ ] are ${level} % intervals over ${seeds.length} paired seeds, not corrected; p-values are corrected by Holm's method for all strategies of the table. “Beats ${plain(baseline)}” is the share of seeds won: the chance to win with one more.`
      : `The area is the mean ${metricName()} over all ${labels.length} numbers of labels. With one seed there are no intervals and no tests.`;
    return section("areas", "Areas under the curves", null, table({ name: `areas-${state.metric}`, title: `Area: mean ${metricName()}, and difference to ${plain(baseline)}`, columns, rows: strategies, note }), forest());
  }

  function drawForest(width) {
    const { strategies, baseline, twins } = experiment();
    const { summaries, comparisons } = numbers();
    const rows = strategies.filter((name) => name !== baseline && !(name in twins)).sort((a, b) => summaries[b].difference[0] - summaries[a].difference[0]);
    const gap = 24, left = Math.min(7 * Math.max(...rows.map((name) => name.length)) + 16, 0.42 * width), right = width - 16, top = 8, bottom = top + gap * rows.length;
    const ends = rows.flatMap((name) => summaries[name].difference).filter(known);
    const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
    const pad = 0.04 * (high - low || 1);
    const X = (x) => left + ((x - low + pad) / (high - low + 2 * pad)) * (right - left);
    const describe = `Difference of the area to ${plain(baseline)}'s, in points: ${rows.map((name) => `${name} ${points(summaries[name].difference[0])}${interval(...summaries[name].difference.slice(1))}`).join("; ")}.`;
    const svg = s("svg", { viewBox: `0 0 ${width} ${bottom + 44}`, width, height: bottom + 44, role: "img", "aria-label": describe });
    for (const tick of niceTicks(low - pad, high + pad, Math.max(3, Math.floor((right - left) / 90)))) {
      svg.append(s("line", { class: "gridline", x1: X(tick), x2: X(tick), y1: top, y2: bottom }),
        s("text", { x: X(tick), y: bottom + 17, "text-anchor": "middle" }, (tick > 0 ? "+" : tick < 0 ? "−" : "") + Number(Math.abs(100 * tick).toFixed(6))));
    }
    svg.append(s("line", { class: "axis", x1: X(0), x2: X(0), y1: top, y2: bottom }),
      s("text", { x: (left + right) / 2, y: bottom + 37, "text-anchor": "middle" }, `points of ${metricName()} above ${plain(baseline)}`));
    rows.forEach((name, i) => {
      const y = top + gap * (i + 0.5), [mean, from, to] = summaries[name].difference;
      const outcome = comparisons?.[name]?.outcome ?? "tie", most = Math.floor(left / 7);
      svg.append(s("text", { class: "strong", x: left - 10, y: y + 4, "text-anchor": "end" }, name.length > most ? `${name.slice(0, most - 1)}…` : name));
      if (known(from)) svg.append(s("line", { class: `whisker k-${outcome}`, x1: X(from), x2: X(to), y1: y, y2: y }));
      svg.append(s("path", { class: `dot k-${outcome}`, d: { win: MARKERS[2], loss: MARKERS[4] }[outcome]?.(5) ?? MARKERS[0](4.5), transform: `translate(${X(mean)} ${y})` }));
    });
    return { svg };
  }

  function forest() {
    const { strategies, baseline, twins } = experiment();
    const { summaries } = numbers();
    const rows = strategies.filter((name) => name !== baseline && !(name in twins));
    if (!rows.length) return null;
    return figure({
      name: `differences-${state.metric}`, title: `Paired differences to ${plain(baseline)}`, draw: drawForest,
      caption: HIGHER_IS_BETTER[state.metric] ? "▲ significantly better, ▼ significantly worse after Holm's correction, ● no significant difference. Lines are intervals that are not corrected." : "Of this metric the smaller is the better. Lines are intervals that are not corrected.",
      table: () => [["strategy", "difference", "low", "high"], ...rows.map((name) => [name, ...summaries[name].difference])],
    });
  }

  function efficiencyModel() {
    const { labels, baseline } = experiment();
    const { efficiency } = numbers();
    const series = visible().map((name) => ({ name, y: efficiency[name].ratio, notes: efficiency[name].known.map((sure) => (sure ? "" : "≥ ")) }));
    const ends = series.map(({ name, y }) => `${name} ${y[y.length - 1].toFixed(2)} times`).join("; ");
    return {
      xs: labels, xLabel: "labels", series, log: state.log, lines: [], include: [1], least: 0, format: (x, exact) => `${exact ? x.toFixed(2) : Number(x.toFixed(4))}×`,
      describe: () => `Label efficiency beside ${plain(baseline)}, at the last point: ${ends || "no strategy is shown"}.`,
    };
  }

  function efficiency() {
    const { strategies, baseline, target, labels } = experiment();
    const { summaries, reach } = numbers();
    const last = labels[labels.length - 1];
    const needed = (x) => (known(x) ? count(Math.ceil(x - 1e-6)) : `> ${count(last)}`);
    const columns = [{ head: "strategy", cell: withSample, csv: (name) => [name] }];
    for (const [i, one] of (reach?.[baseline] ?? []).entries()) {
      const share = Number((100 * one.share).toFixed(2));
      columns.push({ head: `${share} % of full: ${percent(one.target)} %`, csvHead: [`labels to ${share} % of full data`], cell: (name) => needed(reach[name][i].labels), csv: (name) => [reach[name][i].labels] });
    }
    if (known(target) && state.metric === "accuracy") columns.push(
      { head: `target ${Number((100 * target).toFixed(2))} %`, csvHead: [`labels to ${target}`], cell: (name) => needed(summaries[name].labels_needed), csv: (name) => [summaries[name].labels_needed] },
      { head: "times fewer", csvHead: ["times fewer"], cell: (name) => (known(summaries[name].times_fewer) && known(summaries[name].labels_needed) ? summaries[name].times_fewer.toFixed(1) : known(summaries[name].labels_needed) ? `> ${(Math.floor((10 * last) / summaries[name].labels_needed) / 10).toFixed(1)}` : "–"), csv: (name) => [summaries[name].times_fewer] });
    const words = columns.length > 1
      ? table({ name: `labels-${state.metric}`, title: `Labels needed for a level of ${metricName()}`, columns, rows: strategies, note: `Where the mean curve first gets there, interpolated, rounded up; > ${count(last)}: not reached with ${count(last)} labels.${reach ? " Full is what a training on all labels of the pool gives." : ""}` })
      : h("p", { class: "soft" }, "There was no training on the whole pool and no target, so labels needed for a level are not told.");
    const figure_ = labels.length < 2 ? null : lineFigure({
      name: `efficiency-${state.metric}`, title: `Label efficiency: how many times fewer labels than ${plain(baseline)}`, model: efficiencyModel, tools: [check("log budget", "log")],
      caption: `At every point: the labels with which ${plain(baseline)} first reaches what the strategy has reached, divided by the labels that the strategy needed. Above 1 it saves labels; “≥” where ${plain(baseline)} never gets there, so that only a bound is known.`,
    });
    return section("labels", "Labels saved", null, figure_, figure_ && legend(), words);
  }

  function pairs() {
    const { penalty } = numbers();
    if (!penalty) return section("pairs", "Who beats whom", "A matrix of pairs needs two strategies, two seeds and a selection.");
    return section("pairs", "Who beats whom", null, matrix({
      name: `penalty-${state.metric}`, title: `Pairwise penalty matrix, ${metricName()}`, names: penalty.strategies, values: penalty.beats, most: 1, digits: 2,
      corner: "row beats column", note: penalty.note, last: { head: "mean of column (lower is better)", values: penalty.penalties },
    }));
  }

  function cost() {
    const { costs, strategies } = experiment();
    const rows = strategies.filter((name) => costs[name]);
    if (!rows.length) return section("costs", "Time and memory", "The runs hold no times.");
    const slowest = Math.max(...rows.map((name) => Math.max(costs[name].selection, costs[name].training)), 1e-9);
    const metered = (key) => (name) => h("span", {}, h("span", { class: "room", "aria-hidden": "true" }, h("span", { class: "meter", style: `width:${(100 * costs[name][key]) / slowest}%` })), seconds(costs[name][key]));
    const saved = rows.reduce((sum, name) => sum + costs[name].saved, 0);
    const shared = saved > 0 ? `Sharing the first round of each seed between strategies saved ${seconds(saved)} s of training.` : "Every run trained its own first round, or their times are not known, so nothing was saved by sharing it.";
    return section("costs", "Time and memory", null, table({
      name: "costs", title: "Seconds a run, and peak memory", rows,
      columns: [
        { head: "strategy", cell: withSample, csv: (name) => [name] },
        { head: "selection, s", csvHead: ["selection seconds"], cell: metered("selection"), csv: (name) => [costs[name].selection] },
        { head: "training, s", csvHead: ["training seconds"], cell: metered("training"), csv: (name) => [costs[name].training] },
        { head: "selection adds, MB", csvHead: ["selection peak bytes"], cell: (name) => bytes(costs[name].selection_peak), csv: (name) => [costs[name].selection_peak] },
        { head: "training adds, MB", csvHead: ["training peak bytes"], cell: (name) => bytes(costs[name].training_peak), csv: (name) => [costs[name].training_peak] },
      ],
      note: `Seconds are sums over the rounds of a run, averaged over seeds, by the clock: with several processes on one machine they are longer. Memory is the most that a step added to its process; –: not known. ${shared}`,
    }));
  }

  function picksModel() {
    const { picks, labels } = experiment();
    const [words, , digits] = QUANTITIES[state.quantity];
    const series = visible().filter((name) => picks[state.quantity][name]?.some(known)).map((name) => ({ name, y: picks[state.quantity][name] }));
    const ends = series.map(({ name, y }) => `${name} ${known(y[y.length - 1]) ? y[y.length - 1].toFixed(digits) : "unknown"}`).join("; ");
    return {
      xs: labels.slice(1).map((_, i) => i + 1), xLabel: "selection", series, lines: [], least: 0, whole: true, format: (x, exact) => (exact ? x.toFixed(digits) : String(Number(x.toFixed(4)))),
      describe: () => `${words} of each selection; at the last: ${ends || "no strategy is shown"}.`,
    };
  }

  function selections() {
    const { picks, strategies, seeds, labels } = experiment();
    if (labels.length < 2) return section("selections", "What was selected", "There was no selection.");
    const has = Object.keys(QUANTITIES).filter((key) => strategies.some((name) => picks[key][name]?.some(known)));
    if (!has.includes(state.quantity)) state.quantity = has[0];
    const choose = h("label", {}, h("span", {}, "show"), h("select", { "data-option": "quantity", onchange: (event) => { state.quantity = event.target.value; render(); } },
      has.map((key) => h("option", { value: key, selected: key === state.quantity }, QUANTITIES[key][0]))));
    const measured = picks.missing ? `Duplicates and distances need the data, which could not be had: ${picks.missing}` : picks.measured < seeds.length ? `Duplicates and distances are of the first ${picks.measured} of ${seeds.length} seeds.` : null;
    const mean = (list) => { const some = list.filter(known); return some.length ? some.reduce((a, b) => a + b, 0) / some.length : null; };
    const columns = [{ head: "strategy", cell: withSample, csv: (name) => [name] }, ...has.map((key) => ({
      head: QUANTITIES[key][0], title: QUANTITIES[key][1], csvHead: [key],
      cell: (name) => { const x = mean(picks[key][name] ?? []); return known(x) ? x.toFixed(QUANTITIES[key][2]) : "–"; }, csv: (name) => [mean(picks[key][name] ?? [])],
    }))];
    return section("selections", "What was selected", measured,
      has.length ? lineFigure({ name: `selections-${state.quantity}`, title: "Selection by selection", model: picksModel, tools: [choose], caption: `${QUANTITIES[state.quantity][1]}; mean over seeds.` }) : null,
      has.length ? legend() : null,
      table({ name: "selections", title: "On average over selections", columns, rows: strategies }),
      matrix({ name: "overlap", title: "Overlap between strategies", names: picks.strategies, values: picks.overlap, most: 1, digits: 2, corner: "Jaccard index", note: "Of everything that two strategies selected with the same seed, initial labels left out: the share that both selected. 1: the same examples, in whatever order; mean over seeds." }));
  }

  function provenance() {
    const { provenance: made, ids, strategies, seeds } = experiment();
    const list = (values) => (values.length ? values.join(" and ") : "not recorded");
    const rows = [...Object.entries(made.versions).map(([name, values]) => [name === "revision" ? "git revision" : name, list(values)]), ["device", list(made.device)], ["threads", list(made.threads)]];
    const parts = ["split", "initial", "model", "selection"];
    return section("provenance", "Provenance", "What is needed to do it again.",
      listed(rows),
      h("details", {}, h("summary", {}, "Seeds"), table({
        name: "seeds", title: "What each seed decides", rows: Object.entries(made.seeds),
        columns: [{ head: "seed", cell: ([seed]) => seed, csv: ([seed]) => [seed] }, ...parts.map((part) => ({ head: part, cell: ([, own]) => String(own[part]), csv: ([, own]) => [own[part]] }))],
      })),
      h("details", {}, h("summary", {}, "Configuration"), h("pre", { tabindex: "0" }, JSON.stringify(made.config, null, 2)),
        h("button", { type: "button", "data-save": "config", onclick: () => download("config.json", "application/json", JSON.stringify(made.config, null, 2)) }, "Save config.json")),
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
    const lead = "Strategies that all data sets have, by the mean area under the curve on each.";
    const own = report.across.metrics[state.metric];
    if (!own) return section("across", "Over all data sets", state.metric in report.across.metrics ? lead : "Not all data sets tell this metric, of a strategy that all of them have.");
    const names = report.experiments.map(({ name }) => name);
    const strategies = Object.keys(own.scores).sort((a, b) => mean(own.ranks[a]) - mean(own.ranks[b]));
    function mean(list) { return list.reduce((a, b) => a + b, 0) / list.length; }
    const outcome = (strategy, i) => (strategy in report.experiments[i].twins ? "same" : report.experiments[i].metrics[state.metric]?.comparisons?.[strategy]?.outcome);
    return section("across", "Over all data sets", lead,
      table({
        name: `ranks-${state.metric}`, title: `Mean rank and area, ${metricName()}`, rows: strategies,
        columns: [{ head: "strategy", cell: (name) => name }, { head: "mean rank", cell: (name) => mean(own.ranks[name]).toFixed(2), csv: (name) => [mean(own.ranks[name])] },
          ...names.map((data, i) => ({ head: data, csvHead: [`${data} area`, `${data} rank`], cell: (name) => h("span", {}, `${percent(own.scores[name][i], 2)} `, h("span", { class: outcome(name, i) ?? "tie", title: WORDS[outcome(name, i)] }, SYMBOLS[outcome(name, i)] ?? "")), csv: (name) => [own.scores[name][i], own.ranks[name][i]] }))],
        note: "Areas in %, rank 1 is best. ▲ significantly better than the baseline of that data set, ▼ worse, = no significant difference, ≡ the picks of another strategy.",
      }),
      own.test ? figure({ name: `critical-difference-${state.metric}`, title: "Critical difference diagram", wide: 0, draw: (width) => drawRanks(own.test, width), table: () => [["strategy", "mean rank"], ...own.test.strategies.map((name, i) => [name, own.test.mean_ranks[i]])],
        caption: `Mean ranks over ${own.test.data_sets} data sets. Friedman's test: p ${pValue(own.test.p)}; Iman and Davenport's F: p ${pValue(own.test.f_p)}. Bars join strategies that Nemenyi's test does not tell apart at ${report.alpha}; they count where Friedman's test finds a difference.` }) : h("p", { class: "note", "data-why": "no-diagram" }, own.why_not),
      own.penalty ? matrix({ name: `penalty-all-${state.metric}`, title: "Pairwise penalty matrix over all data sets", names: own.penalty.strategies, values: own.penalty.beats, most: names.length, digits: 2, corner: "row beats column", note: own.penalty.note, last: { head: "mean of column (lower is better)", values: own.penalty.penalties } }) : null);
  }

  function drawRanks(test, width) {
    const k = test.strategies.length, half = Math.ceil(k / 2), gap = 20;
    const side = Math.min(7 * Math.max(...test.strategies.map((name) => name.length)) + 12, 0.34 * width);
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
      const left = i < half, row = left ? i : k - 1 - i, y = names + gap * row, end = left ? side - 6 : width - side + 6, x = X(test.mean_ranks[i]), most = Math.floor((side - 8) / 6.6);
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
      if (key === "experiment" && !(state.metric in experiment().metrics)) state.metric = "accuracy";
      if (key === "experiment") build();
      render();
    } }, options.map(([value, words]) => h("option", { value, selected: value === chosen }, words))));
    const { metrics, strategies } = experiment();
    const several = report.experiments.length > 1;
    const links = [several ? ["across", "All data"] : null, ["curves", "Curves"], ["areas", "Areas"], ["labels", "Labels"], ["pairs", "Pairs"], ["costs", "Costs"], ["selections", "Selections"], ["provenance", "Provenance"]].filter(Boolean);
    return h("div", {},
      several ? select("data set", "experiment", report.experiments.map(({ name }, i) => [i, name]), state.experiment) : null,
      strategies.length ? select("metric", "metric", Object.keys(metrics).map((key) => [key, report.metric_names[key]]), state.metric) : null,
      strategies.length ? h("nav", { "aria-label": "Sections" }, links.map(([id, words]) => h("a", { href: `#${id}` }, words))) : null);
  }

  const listed = (pairs) => h("dl", { class: "facts" }, pairs.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
  const facts = () => listed(experiment().facts);

  function intro() {
    return [
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
      ? [across(), summary(), curves(), areas(), tested ? efficiency() : null, tested ? pairs() : null, cost(), selections(), provenance()]
      : [across(), summary(), provenance()];
    document.getElementById("main").replaceChildren(...sections.filter(known));
    redraw();
  }

  build();
  render();
})();
