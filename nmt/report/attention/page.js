// ---------------------------------------------------------------- the data

const byId = (id) => document.getElementById(id);
const pair = JSON.parse(byId("data").textContent);
const source = { tokens: pair.src_tokens, words: pair.src_words };
const read = { tokens: pair.tgt_in, words: pair.tgt_in_words };
const written = { tokens: pair.tgt_out, words: pair.tgt_out_words };
const KINDS = {
  cross: {
    ...{ layers: pair.cross, rows: written, columns: source },
    ...{ name: "target to source", leftName: "source", rightName: "target" },
  },
  encoder: {
    ...{ layers: pair.encoder, rows: source, columns: source },
    ...{ name: "source to source", leftName: "source (attended to)", rightName: "source (attending)" },
  },
  decoder: {
    ...{ layers: pair.decoder, rows: written, columns: read },
    ...{ name: "target to target", leftName: "target (attended to)", rightName: "target (attending)" },
  },
};
const MEAN = "mean";

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const mean = (numbers) => sum(numbers) / numbers.length;

/** The indices of the tokens of each word (merge), or of each token. */
function groups({ tokens, words }, merge) {
  const result = [];
  tokens.forEach((_, place) => {
    const word = words[place];
    if (merge && place > 0 && word >= 0 && word === words[place - 1]) result.at(-1).push(place);
    else result.push([place]);
  });
  return result;
}

function label({ tokens }, places, merge) {
  const text = places.map((place) => tokens[place]).join("");
  return merge ? text.replaceAll("▁", "") || text : text;
}

/** Merge weights: add them up over the keys of a group, and average over its queries. */
function merged(weights, rows, columns) {
  return rows.map((queries) =>
    columns.map((keys) => mean(queries.map((query) => sum(keys.map((key) => weights[query][key])))))
  );
}

function weightsOf(layers, layer, head) {
  const heads = layers[layer];
  return head === MEAN ? meanOf(heads) : heads[head];
}

function meanOf(matrices) {
  const [first] = matrices;
  return first.map((row, i) => row.map((_, j) => mean(matrices.map((matrix) => matrix[i][j]))));
}

// ---------------------------------------------------------------- the current choice

const choice = { kind: "cross", layer: 0, heads: [], merge: false }; // no heads: the mean of all
let view; // labels and weights of the current choice
let pick = { row: null, column: null };

const COLOURS = 8;
const headName = (head) => (head === MEAN ? "mean" : `head ${head + 1}`);
const colourOf = (head) => (head === MEAN ? "rgb(var(--ink))" : `var(--head-${head % COLOURS})`);

function look() {
  const { layers, rows, columns } = KINDS[choice.kind];
  const [rowGroups, columnGroups] = [groups(rows, choice.merge), groups(columns, choice.merge)];
  const matrix = (layer, head) => merged(weightsOf(layers, layer, head), rowGroups, columnGroups);
  const heads = choice.heads.length ? choice.heads : [MEAN];
  const parts = heads.map((head) => ({ head, weights: matrix(choice.layer, head) }));
  view = {
    rows: rowGroups.map((places) => label(rows, places, choice.merge)),
    columns: columnGroups.map((places) => label(columns, places, choice.merge)),
    matrix,
    parts,
    weights: meanOf(parts.map(({ weights }) => weights)),
    largest: Math.max(...parts.map(({ weights }) => largestOf(weights))),
  };
  pick = { row: null, column: null };
}

const draw = (tag, attributes, text) => {
  const element = document.createElementNS(SVG_NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

/** Split a text into word boundary marks and the rest: [text, whether it is a mark]. */
const marksApart = (text) =>
  text.split(/(▁+)/).filter(Boolean).map((part) => [part, part.startsWith("▁")]);

/** Draw a token, with its word boundary mark in a light colour. */
function drawToken(attributes, text) {
  const element = draw("text", { ...attributes, dy: "0.35em" });
  const parts = marksApart(text);
  element.append(...parts.map(([part, mark]) => draw("tspan", mark ? { class: "start" } : {}, part)));
  return element;
}

const pen = document.createElement("canvas").getContext("2d");
function widest(texts, size) {
  pen.font = `600 ${size}px system-ui, sans-serif`;
  return Math.ceil(Math.max(...texts.map((text) => pen.measureText(text).width)));
}

const clamp = (low, number, high) => Math.max(low, Math.min(number, high));
const largestOf = (weights) => Math.max(...weights.map((row) => Math.max(...row)));

/** Text for screen readers: what each position attends to most. */
function description() {
  const rows = view.weights.map((weights, row) => {
    const most = strongest(weights).filter(({ weight }) => weight >= 0.1);
    return `${view.rows[row]}: ${most.map(named).join(", ") || "nothing above 0.1"}`;
  });
  const of = view.parts.length > 1 ? "mean of the heads shown" : headName(view.parts[0].head);
  return `${view.rows.length} positions attend to ${view.columns.length} (${of}). ${rows.join("; ")}.`;
}

/** The three columns with the largest weights in a row. */
function strongest(weights) {
  const ranked = weights.map((weight, column) => ({ weight, text: view.columns[column] }));
  return ranked.sort((one, other) => other.weight - one.weight).slice(0, 3);
}

const named = ({ weight, text }) => `${text} ${weight.toFixed(2)}`;

/** Title of the figures, without the heads. */
const subject = () => `Attention, ${KINDS[choice.kind].name}, layer ${choice.layer + 1}`;

function describe(id, figure) {
  const heads = view.parts.map(({ head }) => headName(head)).join(", ");
  byId(id).setAttribute("aria-label", `${figure}: ${subject()}, ${heads}`);
  byId(id).prepend(draw("desc", { id: `${id}-description` }, description()));
}

// ---------------------------------------------------------------- heat map

const INVISIBLE = 1 / 512;
let mapLayout;

function drawMap() {
  const { rows, columns, parts, largest } = view;
  const cell = clamp(14, Math.floor(560 / Math.max(rows.length, columns.length)), 32);
  const size = clamp(11, cell - 4, 14);
  const [left, top] = [widest(rows, size) + 10, widest(columns, size) + 10];
  const [width, height] = [columns.length * cell, rows.length * cell];
  mapLayout = { cell, left, top };
  const svg = byId("map");
  svg.setAttribute("width", left + width + size);
  svg.setAttribute("height", top + height + 2);
  svg.setAttribute("font-size", size);
  svg.replaceChildren();
  rows.forEach((text, row) => {
    const place = { x: left - 6, y: top + (row + 0.5) * cell, "text-anchor": "end" };
    svg.append(drawToken({ ...place, "data-row": row }, text));
  });
  columns.forEach((text, column) => {
    const [x, y] = [left + (column + 0.5) * cell, top - 6];
    const place = { x, y, transform: `rotate(-90 ${x} ${y})` };
    svg.append(drawToken({ ...place, "data-column": column }, text));
  });
  parts.forEach(({ head, weights }, part) => {
    const stripe = cell / parts.length;
    const group = draw("g", { class: "cells", style: `fill: ${colourOf(head)}` });
    weights.forEach((row, i) =>
      row.forEach((weight, j) => {
        if (weight / largest < INVISIBLE) return;
        const corner = { x: left + j * cell + part * stripe, y: top + i * cell };
        const box = { ...corner, width: stripe, height: cell };
        group.append(draw("rect", { ...box, "fill-opacity": weight / largest }));
      })
    );
    svg.append(group);
  });
  svg.append(draw("rect", { class: "frame", x: left, y: top, width, height }));
  svg.append(draw("rect", { class: "pick", width: 0, height: 0, x: 0, y: 0 }));
  describe("map", "Heat map");
}

function drawLegend() {
  const parts = view.parts.map(({ head }) => {
    const part = htmlElement("span", headName(head));
    const ramp = htmlElement("span", "");
    ramp.className = "ramp";
    ramp.style.color = colourOf(head);
    part.append(ramp);
    return part;
  });
  byId("legend").replaceChildren(byId("range"), ...parts);
  byId("largest").textContent = view.largest.toFixed(3);
}

function cellAt(event) {
  const { cell, left, top } = mapLayout;
  const corner = byId("map").getBoundingClientRect();
  const column = Math.floor((event.clientX - corner.left - left) / cell);
  const row = Math.floor((event.clientY - corner.top - top) / cell);
  return {
    row: row >= 0 && row < view.rows.length ? row : null,
    column: column >= 0 && column < view.columns.length ? column : null,
  };
}

function markMap() {
  const { cell, left, top } = mapLayout;
  const { row, column } = pick;
  const svg = byId("map");
  svg.querySelectorAll("text").forEach((text) => {
    const { row: ofRow, column: ofColumn } = text.dataset;
    text.classList.toggle("near", ofRow === String(row) || ofColumn === String(column));
  });
  const [x, width] = column === null ? [0, view.columns.length] : [column, 1];
  const [y, height] = row === null ? [0, view.rows.length] : [row, 1];
  const mark = svg.querySelector(".pick");
  const none = row === null && column === null;
  mark.setAttribute("x", left + x * cell);
  mark.setAttribute("y", top + y * cell);
  mark.setAttribute("width", none ? 0 : width * cell);
  mark.setAttribute("height", none ? 0 : height * cell);
}

// ---------------------------------------------------------------- lines

// Keys (for target to source, the source) are on the left, queries on the right.
const NARROWEST = 150;
const GAP = 420;
const NUMBER = 48;
const HEADING = 26;
const BETWEEN_FIGURES = 48;
const FAINTEST = 0.01;
let linesLayout;

/** The width available for the lines: next to the heat map if it is at least `least`, else below. */
function roomForLines(least) {
  const all = document.querySelector("main").clientWidth;
  const maps = Math.ceil(byId("maps").getBoundingClientRect().width);
  const beside = all - maps - BETWEEN_FIGURES;
  return beside >= least ? beside : all;
}

function layLines() {
  const { leftName, rightName } = KINDS[choice.kind];
  const left = Math.max(NUMBER + widest(view.columns, 14), widest([leftName], 14)) + 12;
  const right = Math.max(NUMBER + widest(view.rows, 14), widest([rightName], 14)) + 12;
  const gap = clamp(NARROWEST, roomForLines(left + right + NARROWEST) - left - right, GAP);
  const words = Math.max(view.rows.length, view.columns.length);
  const step = clamp(16, Math.floor(900 / words), 22);
  linesLayout = { left, right: left + gap, width: left + gap + right, height: words * step, step };
  const svg = byId("lines");
  svg.setAttribute("width", linesLayout.width);
  svg.setAttribute("height", HEADING + linesLayout.height);
  svg.setAttribute("font-size", step < 20 ? 12 : 14);
}

/** Vertical position of a word; both sides are spread over the same height. */
const heightOf = (place, words) => HEADING + ((place + 0.5) * linesLayout.height) / words.length;

const isNear = (row, column) =>
  pick.row === null ? pick.column === null || column === pick.column : row === pick.row;

/** The weight to show next to a word while a word on the other side is picked. */
function besideRow(row) {
  return pick.row === null && pick.column !== null ? view.weights[row][pick.column] : null;
}

function besideColumn(column) {
  return pick.row !== null ? view.weights[pick.row][column] : null;
}

function drawWord(svg, text, y, weight, chosen, atLeft) {
  const side = atLeft ? linesLayout.left - 6 : linesLayout.right + 6;
  const anchor = atLeft ? "end" : "start";
  const at = { y, "text-anchor": anchor };
  svg.append(drawToken({ ...at, x: side, class: chosen ? "near" : "" }, text));
  if (weight === null || weight < FAINTEST) return;
  const outside = atLeft ? NUMBER - 8 : linesLayout.width - NUMBER + 8;
  svg.append(drawToken({ ...at, x: outside, class: "weight" }, weight.toFixed(2)));
}

function drawPart(svg, { head, weights }, shift) {
  const { left, right } = linesLayout;
  // With all lines, overlaps add up. The lines of a single word are as strong as heat map cells.
  const full = pick.row === null && pick.column === null ? 1 : view.largest;
  const group = draw("g", { class: "lines", style: `stroke: ${colourOf(head)}` });
  weights.forEach((ofRow, row) =>
    ofRow.forEach((weight, column) => {
      if (weight < FAINTEST || !isNear(row, column)) return;
      const y1 = heightOf(column, view.columns) + shift;
      const y2 = heightOf(row, view.rows) + shift;
      const ends = { x1: left, y1, x2: right, y2 };
      group.append(draw("line", { ...ends, "stroke-opacity": weight / full }));
    })
  );
  svg.append(group);
}

function drawLines() {
  const { rows, columns, parts } = view;
  const { left, right, step } = linesLayout;
  const { leftName, rightName } = KINDS[choice.kind];
  const svg = byId("lines");
  svg.replaceChildren();
  const heading = { y: 10, class: "side", dy: "0.35em" };
  svg.append(draw("text", { ...heading, x: left - 6, "text-anchor": "end" }, leftName));
  svg.append(draw("text", { ...heading, x: right + 6 }, rightName));
  const apart = Math.min(3, (0.7 * step) / parts.length);
  parts.forEach((part, n) => drawPart(svg, part, (n - (parts.length - 1) / 2) * apart));
  columns.forEach((text, i) => {
    drawWord(svg, text, heightOf(i, columns), besideColumn(i), i === pick.column, true);
  });
  rows.forEach((text, i) => {
    drawWord(svg, text, heightOf(i, rows), besideRow(i), i === pick.row, false);
  });
  describe("lines", "Lines");
}

function wordAt(event) {
  const { left, right, height } = linesLayout;
  const corner = byId("lines").getBoundingClientRect();
  const x = event.clientX - corner.left;
  const down = (event.clientY - corner.top - HEADING) / height;
  const none = { row: null, column: null };
  if (down < 0 || down >= 1) return none;
  if (x <= left) return { ...none, column: Math.floor(down * view.columns.length) };
  if (x >= right) return { ...none, row: Math.floor(down * view.rows.length) };
  return none;
}

// ---------------------------------------------------------------- the word or cell that is picked

function reading() {
  const { row, column } = pick;
  if (row !== null && column !== null) {
    const several = view.parts.length > 1;
    const weights = view.parts.map(({ head, weights: ofHead }) =>
      (several ? `${headName(head)}: ` : "") + ofHead[row][column].toFixed(3)
    );
    const much = weights.join(", ");
    return `${view.rows[row]} takes ${much} of its attention from ${view.columns[column]}`;
  }
  if (row !== null) {
    return `${view.rows[row]} attends to ${strongest(view.weights[row]).map(named).join(", ")}`;
  }
  if (column !== null) {
    const taken = sum(view.weights.map((ofRow) => ofRow[column])).toFixed(2);
    return `${view.columns[column]} receives ${taken} in all`;
  }
  return "";
}

function htmlElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function showReading() {
  const parts = marksApart(reading()).map(([part, mark]) => {
    const span = htmlElement("span", part);
    span.className = mark ? "start" : "";
    return span;
  });
  byId("reading").replaceChildren(...parts);
}

function choose(next) {
  if (next.row === pick.row && next.column === pick.column) return;
  pick = next;
  markMap();
  drawLines();
  showReading();
}

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function letGo(event) {
  if (event.key === "Escape") choose({ row: null, column: null });
}

function moveCell(event) {
  const step = ARROWS[event.key];
  if (!step) return letGo(event);
  event.preventDefault();
  if (pick.row === null || pick.column === null)
    return choose({ row: pick.row ?? 0, column: pick.column ?? 0 });
  choose({
    row: clamp(0, pick.row + step[0], view.rows.length - 1),
    column: clamp(0, pick.column + step[1], view.columns.length - 1),
  });
}

/** Up and down move from word to word, left and right to the other side. */
function moveWord(event) {
  const step = ARROWS[event.key];
  if (!step) return letGo(event);
  event.preventDefault();
  const atRight = step[1] === 0 ? pick.row !== null : step[1] > 0;
  const words = atRight ? view.rows : view.columns;
  const from = pick.row ?? pick.column ?? (step[0] > 0 ? -1 : 0);
  const place = clamp(0, from + step[0], words.length - 1);
  choose(atRight ? { row: place, column: null } : { row: null, column: place });
}

// ---------------------------------------------------------------- all layers and heads

const THUMB = 84;

function drawThumb(canvas, weights) {
  const [height, width] = [weights.length, weights[0].length];
  const scale = Math.max(1, Math.floor(THUMB / Math.max(width, height)));
  canvas.width = width;
  canvas.height = height;
  canvas.style.width = `${width * scale}px`;
  canvas.style.height = `${height * scale}px`;
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  const context = canvas.getContext("2d");
  const largest = largestOf(weights);
  weights.forEach((row, y) =>
    row.forEach((weight, x) => {
      context.fillStyle = `rgba(${ink}, ${weight / largest})`;
      context.fillRect(x, y, 1, 1);
    })
  );
}

function headNames(layer) {
  const heads = KINDS[choice.kind].layers[layer].map((_, head) => head);
  return [...heads, MEAN].map((head) => [head, headName(head)]);
}

function drawOverview() {
  const table = byId("overview");
  const top = document.createElement("tr");
  top.append(document.createElement("td"));
  for (const [, name] of headNames(0)) top.append(heading(name, "col"));
  table.replaceChildren(top);
  KINDS[choice.kind].layers.forEach((_, layer) => {
    const line = document.createElement("tr");
    line.append(heading(`layer ${layer + 1}`, "row"));
    for (const [head, name] of headNames(layer)) line.append(thumb(layer, head, name));
    table.append(line);
  });
  markOverview();
}

function heading(text, scope) {
  const cell = htmlElement("th", text);
  cell.scope = scope;
  return cell;
}

function thumb(layer, head, name) {
  const cell = document.createElement("td");
  const button = document.createElement("button");
  const canvas = document.createElement("canvas");
  button.type = "button";
  button.setAttribute("aria-label", `layer ${layer + 1}, ${name}`);
  button.dataset.layer = layer;
  button.dataset.head = head;
  button.addEventListener("click", () => {
    Object.assign(choice, { layer, heads: head === MEAN ? [] : [head] });
    update();
  });
  drawThumb(canvas, view.matrix(layer, head));
  button.append(canvas);
  cell.append(button);
  return cell;
}

function markOverview() {
  for (const button of byId("overview").querySelectorAll("button")) {
    const { layer, head } = button.dataset;
    const chosen = layer === String(choice.layer) && isChosen(head);
    button.setAttribute("aria-pressed", chosen);
  }
}

// ---------------------------------------------------------------- controls

const isChosen = (head) =>
  head === MEAN ? choice.heads.length === 0 : choice.heads.includes(Number(head));

function fillLayers() {
  const layers = KINDS[choice.kind].layers.map((_, layer) => new Option(layer + 1, layer));
  byId("layer").replaceChildren(...layers);
}

/** Add a check box for each head, in its colour, and one for the mean. */
function fillHeads() {
  const boxes = [MEAN, ...KINDS[choice.kind].layers[0].keys()].map((head) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    Object.assign(box, { type: "checkbox", name: "head", value: head });
    box.style.accentColor = colourOf(head);
    label.style.setProperty("--head", colourOf(head));
    label.append(box, htmlElement("span", head === MEAN ? "mean" : head + 1));
    return label;
  });
  byId("heads").replaceChildren(byId("heads").querySelector("legend"), ...boxes);
}

/** Choose or drop a head. The mean excludes all heads, and returns when no head is left. */
function chooseHead(head, chosen) {
  if (head === MEAN) choice.heads = [];
  else if (chosen) choice.heads = [...choice.heads, Number(head)].sort((a, b) => a - b);
  else choice.heads = choice.heads.filter((one) => one !== Number(head));
  update();
}

/** Redraw after a change of layer or heads. */
function update() {
  look();
  byId("layer").value = choice.layer;
  for (const box of byId("heads").querySelectorAll("input")) box.checked = isChosen(box.value);
  drawMap();
  markMap();
  drawLegend();
  layLines();
  drawLines();
  markOverview();
  showReading();
}

/** Redraw after a change of words or of the kind of attention. */
function restart() {
  const { layers } = KINDS[choice.kind];
  choice.layer = Math.min(choice.layer, layers.length - 1);
  choice.heads = choice.heads.filter((head) => head < layers[choice.layer].length);
  fillLayers();
  fillHeads();
  look();
  drawOverview();
  update();
}

function save(id) {
  const parts = view.parts.flatMap(({ head }) => [
    [", ", ""],
    [headName(head), `fill: ${colourOf(head)}`],
  ]);
  const title = byId(id).getAttribute("aria-label");
  const text = standalone(byId(id), [[subject(), ""], ...parts], title, description());
  download(`attention-${choice.kind}-layer-${choice.layer + 1}-${id}.svg`, text);
}

byId("src").textContent = pair.src;
byId("tgt").textContent = pair.tgt;
for (const option of [...byId("kind").options]) {
  if (!KINDS[option.value].layers.length) option.remove(); // a recurrent decoder
}
byId("kind").addEventListener("change", (event) => {
  choice.kind = event.target.value;
  restart();
});
byId("merge").addEventListener("change", (event) => {
  choice.merge = event.target.checked;
  restart();
});
byId("layer").addEventListener("change", (event) => {
  choice.layer = Number(event.target.value);
  update();
});
byId("heads").addEventListener("change", ({ target }) => chooseHead(target.value, target.checked));
for (const [id, at, move] of [["map", cellAt, moveCell], ["lines", wordAt, moveWord]]) {
  byId(id).addEventListener("pointermove", (event) => choose(at(event)));
  byId(id).addEventListener("pointerleave", () => choose({ row: null, column: null }));
  byId(`${id}-frame`).addEventListener("keydown", move);
  byId(`save-${id}`).addEventListener("click", () => save(id));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawOverview);
let drawnWidth = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (contentRect.width === drawnWidth) return;
  drawnWidth = contentRect.width;
  layLines();
  drawLines();
}).observe(document.querySelector("main"));
choice.layer = pair.cross.length - 1;
restart();
