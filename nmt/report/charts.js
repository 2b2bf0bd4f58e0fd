// Charts: axes, lines and the pointer; independent of the page around them.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
const MARGIN = { top: 10, right: 24, bottom: 38, left: 52 };
const HEIGHT = 230;
const COLOURS = 6;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const html = (name, attributes = {}, ...children) =>
  fill(document.createElement(name), attributes, children);

const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG_NAMESPACE, name), attributes, children);

// A run's colour and, when runs outnumber colours, its dashes.
function runStyle(number) {
  const dash = Math.floor(number / COLOURS);
  return `--run: var(--run-${number % COLOURS}); --dash: ${dash ? `${6 / dash} 3` : "none"}`;
}

// ---------------------------------------------------------------- numbers as text

function figure(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size > 0 && size < 0.0001) return value.toExponential(2);
  return String(Number(value.toPrecision(size < 0.01 ? 3 : 4)));
}

function duration(seconds) {
  const pad = (number) => String(number).padStart(2, "0");
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return `${hours}:${pad(minutes)}:${pad(whole % 60)}`;
}

// ---------------------------------------------------------------- scales

// About `count` ticks, at multiples of 1, 2 or 5 times a power of ten.
function linearTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) {
    ticks.push(Number((n * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  if (decades < 0.7) return linearTicks(low, high, 5).filter((tick) => tick > 0);
  const factors = decades < 2.6 ? [1, 2, 5] : decades < 4 ? [1, 3] : [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    ticks.push(...factors.map((factor) => Number((factor * 10 ** power).toPrecision(6))));
  }
  return ticks.filter((tick) => tick >= low && tick <= high);
}

const TIME_UNITS = [["s", 1], ["min", 60], ["h", 3600], ["days", 86400]];

// Ticks for steps or seconds from 0, the function that formats them, and the title of the axis.
function horizontalAxis(kind, high, count) {
  if (kind === "seconds") {
    const [name, unit] = TIME_UNITS.findLast(([, size]) => high >= 2 * size) ?? TIME_UNITS[0];
    const ticks = linearTicks(0, high / unit, count).map((tick) => tick * unit);
    return { ticks, title: `training time (${name})`, write: (tick) => figure(tick / unit) };
  }
  const ticks = linearTicks(0, high, count).filter(Number.isInteger);
  const write = (tick) =>
    high < 10000 || tick === 0 ? tick.toLocaleString("en") : `${figure(tick / 1000)}k`;
  return { ticks, title: "step", write };
}

function verticalScale(spec, values, height) {
  const range = [Math.min(...values), Math.max(...values)];
  const usable = spec.log && range[0] > 0;
  const [forward, back] = usable ? [Math.log, Math.exp] : [(v) => v, (v) => v];
  let [low, high] = range.map(forward);
  const room = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
  low = spec.zero && range[0] >= 0 ? 0 : low - room;
  high += room;
  const ticks = usable
    ? logTicks(back(low), back(high))
    : linearTicks(low, high, height / 30);
  return { ticks, at: (value) => height - ((forward(value) - low) / (high - low)) * height };
}

// ---------------------------------------------------------------- a chart of curves

// A chart of curves. All charts of a page share `view`: {axis, hidden, at}.
class Chart {
  constructor(spec, runs, view, onPoint) {
    Object.assign(this, { spec, runs, view, onPoint });
    this.series = spec.series.flatMap((series) =>
      runs.map((run, number) => ({ ...series, run: number, rows: run.curves[series.kind],
        low: run.low?.[series.kind], high: run.high?.[series.kind] })));
    this.readouts = spec.series
      .filter(({ kind, figure: name }) => runs.some((run) => hasFigure(run.curves[kind], name)))
      .map((series) => ({ series, values: html("span", { class: "values" }) }));
    const control = { tabindex: 0, role: "slider", "aria-label": spec.title };
    this.plot = svg("svg", { class: "plot", ...control });
    // Room for any figure with its step, so that the layout does not change with the pointer.
    const lastStep = Math.max(0, ...runs.map(({ step }) => step));
    this.valueWidth = 17 + lastStep.toLocaleString("en").length;
    this.figure = this.makeFigure();
    this.listen();
  }

  makeFigure() {
    const heading = html("h3", {}, this.spec.title, " ",
      html("span", { class: "unit" }, this.spec.unit));
    const rows = this.readouts.map(({ series, values }) => {
      const name = html("span", { class: "name" }, sampleLine(series), series.name);
      return html("div", { class: "readout" }, name, values);
    });
    return html("figure", { class: "chart" }, html("figcaption", {}, heading, ...rows), this.plot);
  }

  // The points of a series in order, null where a value is missing. Those of several seeds have a
  // band around them.
  points({ rows, low, high, figure: name }) {
    const values = rows?.[name] ?? [];
    return values.map((y, n) => {
      const x = rows[this.view.axis][n];
      if (x === null || y === null) return null;
      return { x, y, step: rows.step[n], low: low?.[name]?.[n] ?? y, high: high?.[name]?.[n] ?? y };
    });
  }

  draw() {
    const shown = this.series
      .filter(({ run }) => !this.view.hidden.has(run))
      .map((series) => ({ ...series, points: this.points(series) }));
    this.shown = shown.filter(({ points }) => points.some(Boolean));
    const width = this.plot.parentElement.clientWidth;
    this.width = Math.max(60, width - MARGIN.left - MARGIN.right);
    this.height = HEIGHT - MARGIN.top - MARGIN.bottom;
    this.plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.plot.setAttribute("height", HEIGHT);
    const all = this.shown.flatMap(({ points }) => points.filter(Boolean));
    if (!all.length) {
      const middle = { x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" };
      this.plot.replaceChildren(svg("text", middle, "no data"));
      this.pointer = null;
      return;
    }
    this.right = all.reduce((most, { x }) => Math.max(most, x), 0) || 1;
    this.y = verticalScale(this.spec, extent(all.flatMap(({ low, high }) => [low, high])),
      this.height);
    this.pointer = svg("g", { class: "pointer" });
    const inside = svg("g", { transform: `translate(${MARGIN.left},${MARGIN.top})` });
    inside.append(this.axes(), ...this.shown.map((series) => this.curve(series)), ...this.badges());
    inside.append(this.pointer);
    this.plot.replaceChildren(inside);
  }

  x(value) { return (value / this.right) * this.width; }

  axes() {
    const { ticks, title, write } = horizontalAxis(this.view.axis, this.right, this.width / 50);
    const group = svg("g", { "aria-hidden": "true" });
    for (const tick of this.y.ticks) {
      const y = this.y.at(tick);
      group.append(svg("line", { class: "grid", x2: this.width, y1: y, y2: y }));
      group.append(svg("text", { x: -8, y: y + 4, "text-anchor": "end" }, figure(tick)));
    }
    for (const tick of ticks) {
      const x = this.x(tick);
      const mark = { x1: x, x2: x, y1: this.height, y2: this.height + 4 };
      group.append(svg("line", { class: "axis", ...mark }));
      group.append(svg("text", { x, y: this.height + 17, "text-anchor": "middle" }, write(tick)));
    }
    group.append(svg("line", { class: "axis", x2: this.width, y1: this.height, y2: this.height }));
    const place = { class: "x-title", x: this.width, y: this.height + 33, "text-anchor": "end" };
    group.append(svg("text", place, title));
    return group;
  }

  curve({ kind, run, points }) {
    const group = svg("g", { style: runStyle(run), "data-run": run, "data-kind": kind });
    if (this.runs[run].low) group.append(...this.bands(points));
    if (kind !== "average") {
      let pen = "M";
      const path = points.map((point) => {
        const move = point && `${pen}${round(this.x(point.x))} ${round(this.y.at(point.y))}`;
        pen = point ? "L" : "M";
        return move ?? "";
      });
      group.append(svg("path", { class: `line ${kind}`, d: path.join("") }));
    }
    const known = points.filter(Boolean);
    if (kind !== "train" || known.length === 1) {
      const few = known.length <= 60;
      group.append(...(few ? known : []).map((point) =>
        mark(kind, this.x(point.x), this.y.at(point.y))));
    }
    return group;
  }

  // The areas between the lowest and the highest seed: one for each stretch without missing values.
  bands(points) {
    const stretches = [[]];
    for (const point of points) {
      if (point) stretches.at(-1).push(point);
      else stretches.push([]);
    }
    const place = (name) => (point) =>
      `${round(this.x(point.x))} ${round(this.y.at(point[name]))}`;
    return stretches.filter(({ length }) => length).map((stretch) => {
      const outline = [...stretch.map(place("high")), ...[...stretch].reverse().map(place("low"))];
      return svg("path", { class: "band", d: `M${outline.join("L")}Z` });
    });
  }

  // The number of each run at the end of its last line, shifted where numbers would overlap.
  badges() {
    if (this.runs.length < 2) return [];
    const ends = new Map();
    for (const { kind, run, points } of this.shown) {
      if (kind !== "average") ends.set(run, points.findLast(Boolean));
    }
    const placed = [];
    const byHeight = [...ends].sort(([, a], [, b]) => this.y.at(a.y) - this.y.at(b.y));
    for (const [run, end] of byHeight) {
      const place = { run, x: this.x(end.x) + 13, y: this.y.at(end.y) };
      const isNear = (other) => Math.abs(other.x - place.x) < 17 && place.y - other.y < 16;
      for (const other of placed.filter(isNear)) place.y = Math.max(place.y, other.y + 16);
      placed.push(place);
    }
    return placed.map(({ run, x, y }) => svg("g", { style: runStyle(run) },
      svg("circle", { class: "mark", cx: x, cy: y, r: 7.5 }),
      svg("text", { class: "badge-number", x, y: y + 4 }, run + 1)));
  }

  // ---------------- the pointer

  listen() {
    this.plot.addEventListener("pointermove", (event) => {
      if (!this.pointer) return;
      const pixel = event.clientX - this.plot.getBoundingClientRect().left - MARGIN.left;
      this.onPoint(Math.min(1, Math.max(0, pixel / this.width)) * this.right);
    });
    this.plot.addEventListener("pointerleave", () => this.onPoint(null));
    this.plot.addEventListener("blur", () => this.onPoint(null));
    this.plot.addEventListener("keydown", (event) => {
      const to = this.pointer && this.keyTarget(event.key);
      if (to === undefined || !this.pointer) return;
      event.preventDefault();
      this.onPoint(to);
    });
  }

  // Where a key moves the pointer: null removes it, undefined leaves it where it is.
  keyTarget(key) {
    const places = this.shown.flatMap(({ points }) => points.filter(Boolean).map(({ x }) => x));
    places.sort((a, b) => a - b);
    const at = this.view.at;
    switch (key) {
      case "ArrowLeft": return at === null ? places.at(-1) : places.findLast((x) => x < at) ?? at;
      case "ArrowRight": return at === null ? places[0] : places.find((x) => x > at) ?? at;
      case "Home": return places[0];
      case "End": return places.at(-1);
      case "Escape": return null;
    }
  }

  // Show the figures at the pointer, in whichever chart it is, or else the latest.
  point() {
    const at = this.view.at;
    const pointed = new Map();
    for (const series of this.shown ?? []) {
      const name = `${series.kind} ${series.run}`;
      pointed.set(name, nearest(series.points, at, series.kind === "average"));
    }
    for (const { series, values } of this.readouts) {
      const shown = [...this.runs.keys()].filter((run) => !this.view.hidden.has(run));
      values.replaceChildren(...shown.map((run) => {
        const badge = html("span", { class: "badge" }, String(run + 1));
        const point = pointed.get(`${series.kind} ${run}`);
        const step = point ? ` at step ${point.step.toLocaleString("en")}` : "";
        const parts = [figure(point?.y), html("span", { class: "unit" }, step)];
        if (this.runs.length > 1) parts.unshift(badge, " ");
        const style = `${runStyle(run)}; min-width: ${this.valueWidth}ch`;
        return html("span", { class: "value", style }, ...parts);
      }));
    }
    this.describe(at);
    if (!this.pointer) return;
    this.pointer.replaceChildren();
    if (at === null || at > this.right * 1.0001) return;
    const x = this.x(at);
    this.pointer.append(svg("line", { class: "crosshair", x1: x, x2: x, y2: this.height }));
    for (const { kind, run } of this.shown) {
      const point = kind !== "average" && pointed.get(`${kind} ${run}`);
      if (!point) continue;
      const place = { cx: this.x(point.x), cy: this.y.at(point.y), r: 4 };
      this.pointer.append(svg("circle", { class: "pointed", style: runStyle(run), ...place }));
    }
  }

  describe(at) {
    const texts = this.readouts.map(({ series, values }) =>
      `${series.name} ${[...values.children].map((child) => child.textContent).join(", ")}`);
    const where = at === null ? "latest" : `${this.view.axis} ${figure(at)}`;
    const now = at ?? this.right ?? 0;
    fill(this.plot, { "aria-valuemin": 0, "aria-valuemax": this.right ?? 0, "aria-valuenow": now,
      "aria-valuetext": `${where}: ${texts.join("; ")}` }, []);
  }
}

function hasFigure(rows, name) {
  return Boolean(rows?.[name]?.some((value) => value !== null));
}

function extent(values) {
  const widen = ([low, high], value) => [Math.min(low, value), Math.max(high, value)];
  return values.reduce(widen, [Infinity, -Infinity]);
}

function round(value) { return Math.round(value * 10) / 10; }

function mark(kind, x, y) {
  if (kind === "average") {
    return svg("path", { class: "mark average", d: `M${round(x)} ${round(y - 5)}l5 5l-5 5l-5-5z` });
  }
  return svg("circle", { class: "mark", cx: round(x), cy: round(y), r: 2.5 });
}

// A sample of a series' line, to go with its name.
function sampleLine({ kind }) {
  const line = svg("path", { class: `line ${kind}`, d: "M0 5H26" });
  const marks = kind === "train" ? [line] : kind === "valid" ? [line, mark(kind, 13, 5)]
    : [svg("g", {}, mark(kind, 13, 5))];
  const box = { viewBox: "0 0 26 10", "aria-hidden": "true" };
  return svg("svg", { class: "sample-line", ...box }, ...marks);
}

// The point nearest to `at`; none beyond the end of the line. With `always`, the last point.
function nearest(points, at, always) {
  const known = points.filter(Boolean);
  if (at === null || always) return known.at(-1);
  const [last, before] = [known.at(-1), known.at(-2) ?? { x: 0 }];
  if (at > last.x + (last.x - before.x)) return undefined;
  return known.reduce((best, point) =>
    Math.abs(point.x - at) < Math.abs(best.x - at) ? point : best);
}

// ---------------------------------------------------------------- scores of groups

// Draw the scores of all runs next to each other, with intervals, in groups.
// groups: [{name, count, scores: [{run, score, low, high, few}]}]
function drawGroups(plot, groups, title) {
  const width = plot.parentElement.clientWidth;
  const inner = width - MARGIN.left - MARGIN.right;
  const height = HEIGHT - MARGIN.top - MARGIN.bottom - 14;
  const highest = Math.max(...groups.flatMap(({ scores }) => scores.map(({ high }) => high)), 1);
  const y = verticalScale({ zero: true }, [0, highest], height);
  const inside = svg("g", { transform: `translate(${MARGIN.left},${MARGIN.top})` });
  for (const tick of y.ticks) {
    const at = y.at(tick);
    inside.append(svg("line", { class: "grid", x2: inner, y1: at, y2: at }));
    inside.append(svg("text", { x: -8, y: at + 4, "text-anchor": "end" }, figure(tick)));
  }
  inside.append(svg("line", { class: "axis", x2: inner, y1: height, y2: height }));
  const room = inner / groups.length;
  groups.forEach(({ name, count, scores }, number) => {
    const middle = (number + 0.5) * room;
    const apart = Math.min(16, (room * 0.8) / scores.length);
    const centred = { x: middle, "text-anchor": "middle" };
    inside.append(svg("text", { ...centred, y: height + 17 }, name));
    inside.append(svg("text", { ...centred, y: height + 33 }, count));
    scores.forEach(({ run, score, low, high, few }, place) => {
      const x = middle + (place - (scores.length - 1) / 2) * apart;
      const whisker = { x1: x, x2: x, y1: y.at(Math.max(0, low)), y2: y.at(high) };
      inside.append(svg("g", { style: runStyle(run) },
        svg("line", { class: "interval", ...whisker }),
        svg("circle", { class: few ? "mark few" : "mark", cx: x, cy: y.at(score), r: 4.5 })));
    });
  });
  inside.append(svg("text", { x: inner, y: height + 50, "text-anchor": "end" }, title));
  fill(plot, { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT }, []).replaceChildren(inside);
}
