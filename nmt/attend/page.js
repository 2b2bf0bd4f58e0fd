"use strict";

// ---------------------------------------------------------------- what there is to show

const byId = (id) => document.getElementById(id);
const pair = JSON.parse(byId("data").textContent);
const source = { tokens: pair.src_tokens, words: pair.src_words };
const read = { tokens: pair.tgt_in, words: pair.tgt_in_words };
const written = { tokens: pair.tgt_out, words: pair.tgt_out_words };
const KINDS = {
  cross: { layers: pair.cross, rows: written, columns: source },
  encoder: { layers: pair.encoder, rows: source, columns: source },
  decoder: { layers: pair.decoder, rows: written, columns: read },
};
const MEAN = "mean";

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const mean = (numbers) => sum(numbers) / numbers.length;

/** The places of the tokens of each word, or of each token. */
function groups({ tokens, words }, merge) {
  const found = [];
  tokens.forEach((_, place) => {
    const word = words[place];
    if (merge && place > 0 && word >= 0 && word === words[place - 1]) found.at(-1).push(place);
    else found.push([place]);
  });
  return found;
}

function label({ tokens }, places, merge) {
  const text = places.map((place) => tokens[place]).join("");
  return merge ? text.replaceAll("▁", "") || text : text;
}

/** Weights of words: summed over the keys of a word, averaged over its queries. */
function merged(weights, rows, columns) {
  return rows.map((queries) =>
    columns.map((keys) => mean(queries.map((query) => sum(keys.map((key) => weights[query][key])))))
  );
}

function weightsOf(layers, layer, head) {
  const heads = layers[layer];
  if (head !== MEAN) return heads[head];
  return heads[0].map((row, query) => row.map((_, key) => mean(heads.map((h) => h[query][key]))));
}

// ---------------------------------------------------------------- the choice and what follows it

const choice = { kind: "cross", layer: 0, head: MEAN, merge: false };
let view; // labels and weights of the choice
let pick = { row: null, column: null };

function look() {
  const { layers, rows, columns } = KINDS[choice.kind];
  const [rowGroups, columnGroups] = [groups(rows, choice.merge), groups(columns, choice.merge)];
  const matrix = (layer, head) => merged(weightsOf(layers, layer, head), rowGroups, columnGroups);
  view = {
    rows: rowGroups.map((places) => label(rows, places, choice.merge)),
    columns: columnGroups.map((places) => label(columns, places, choice.merge)),
    matrix,
    weights: matrix(choice.layer, choice.head),
  };
  pick = { row: null, column: null };
}

const draw = (tag, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

const pen = document.createElement("canvas").getContext("2d");
function widest(texts, size) {
  pen.font = `600 ${size}px system-ui, sans-serif`;
  return Math.ceil(Math.max(...texts.map((text) => pen.measureText(text).width)));
}

const clamp = (low, number, high) => Math.max(low, Math.min(number, high));
const largestOf = (weights) => Math.max(...weights.map((row) => Math.max(...row)));

// ---------------------------------------------------------------- heat map

let mapLayout;

function drawMap() {
  const { rows, columns, weights } = view;
  const cell = clamp(14, Math.floor(560 / Math.max(rows.length, columns.length)), 32);
  const size = clamp(11, cell - 4, 14);
  const [left, top] = [widest(rows, size) + 10, widest(columns, size) + 10];
  const [width, height] = [columns.length * cell, rows.length * cell];
  const largest = largestOf(weights);
  mapLayout = { cell, left, top };
  const svg = byId("map");
  svg.setAttribute("width", left + width + size);
  svg.setAttribute("height", top + height + 2);
  svg.setAttribute("font-size", size);
  svg.replaceChildren();
  rows.forEach((text, row) => {
    const y = top + (row + 0.5) * cell;
    const place = { x: left - 6, y, "text-anchor": "end", "dominant-baseline": "central" };
    svg.append(draw("text", { ...place, "data-row": row }, text));
  });
  columns.forEach((text, column) => {
    const [x, y] = [left + (column + 0.5) * cell, top - 6];
    const place = { x, y, transform: `rotate(-90 ${x} ${y})`, "dominant-baseline": "central" };
    svg.append(draw("text", { ...place, "data-column": column }, text));
  });
  weights.forEach((row, i) =>
    row.forEach((weight, j) => {
      const box = { x: left + j * cell, y: top + i * cell, width: cell, height: cell };
      svg.append(draw("rect", { class: "cell", ...box, "fill-opacity": weight / largest }));
    })
  );
  svg.append(draw("rect", { class: "frame", x: left, y: top, width, height }));
  svg.append(draw("rect", { class: "pick", width: 0, height: 0, x: 0, y: 0 }));
  byId("largest").textContent = largest.toFixed(3);
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

const GAP = 190;
const NUMBER = 48;
const FAINTEST = 0.01;
let linesLayout;

function layLines() {
  const left = NUMBER + widest(view.rows, 14) + 12;
  const right = widest(view.columns, 14) + 12 + NUMBER;
  const words = Math.max(view.rows.length, view.columns.length);
  const step = clamp(16, Math.floor(900 / words), 22);
  linesLayout = { left, right: left + GAP, step };
  const svg = byId("lines");
  svg.setAttribute("width", left + GAP + right);
  svg.setAttribute("height", words * step);
  svg.setAttribute("font-size", step < 20 ? 12 : 14);
}

const isNear = (row, column) =>
  pick.row === null ? pick.column === null || column === pick.column : row === pick.row;

/** The weight to write beside a word, when the word on the other side is picked. */
function besideRow(row) {
  return pick.row === null && pick.column !== null ? view.weights[row][pick.column] : null;
}

function besideColumn(column) {
  return pick.row !== null ? view.weights[pick.row][column] : null;
}

function drawWord(svg, text, place, weight, chosen, atLeft) {
  const side = atLeft ? linesLayout.left - 6 : linesLayout.right + 6;
  const anchor = atLeft ? "end" : "start";
  const y = (place + 0.5) * linesLayout.step;
  const at = { y, "text-anchor": anchor, "dominant-baseline": "central" };
  svg.append(draw("text", { ...at, x: side, class: chosen ? "near" : "" }, text));
  if (weight === null || weight < FAINTEST) return;
  const outside = atLeft ? NUMBER - 8 : Number(svg.getAttribute("width")) - NUMBER + 8;
  svg.append(draw("text", { ...at, x: outside, class: "weight" }, weight.toFixed(2)));
}

function drawLines() {
  const { rows, columns, weights } = view;
  const { left, right, step } = linesLayout;
  // All together they add up; those of one word can be as strong as the cells of the heat map.
  const full = pick.row === null && pick.column === null ? 1 : largestOf(weights);
  const svg = byId("lines");
  svg.replaceChildren();
  weights.forEach((ofRow, row) =>
    ofRow.forEach((weight, column) => {
      if (weight < FAINTEST || !isNear(row, column)) return;
      const [y1, y2] = [(row + 0.5) * step, (column + 0.5) * step];
      const ends = { x1: left, y1, x2: right, y2 };
      svg.append(draw("line", { class: "line", ...ends, "stroke-opacity": weight / full }));
    })
  );
  rows.forEach((text, i) => drawWord(svg, text, i, besideRow(i), i === pick.row, true));
  columns.forEach((text, i) => drawWord(svg, text, i, besideColumn(i), i === pick.column, false));
}

function wordAt(event) {
  const corner = byId("lines").getBoundingClientRect();
  const x = event.clientX - corner.left;
  const place = Math.floor((event.clientY - corner.top) / linesLayout.step);
  const none = { row: null, column: null };
  if (x <= linesLayout.left && place < view.rows.length) return { ...none, row: place };
  if (x >= linesLayout.right && place < view.columns.length) return { ...none, column: place };
  return none;
}

// ---------------------------------------------------------------- the word or cell that is picked

function reading() {
  const { row, column } = pick;
  if (row !== null && column !== null) {
    const weight = view.weights[row][column].toFixed(3);
    return `${view.rows[row]} takes ${weight} of its attention from ${view.columns[column]}`;
  }
  if (row !== null) {
    const ranked = view.weights[row].map((weight, i) => [weight, view.columns[i]]);
    ranked.sort((one, other) => other[0] - one[0]);
    const most = ranked.slice(0, 3).map(([weight, text]) => `${text} ${weight.toFixed(2)}`);
    return `${view.rows[row]} attends to ${most.join(", ")}`;
  }
  if (column !== null) {
    const taken = sum(view.weights.map((ofRow) => ofRow[column])).toFixed(2);
    return `${view.columns[column]} receives ${taken} in all`;
  }
  return "";
}

function choose(next) {
  if (next.row === pick.row && next.column === pick.column) return;
  pick = next;
  markMap();
  drawLines();
  byId("reading").textContent = reading();
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

/** Up and down go from word to word, left and right to the other side. */
function moveWord(event) {
  const step = ARROWS[event.key];
  if (!step) return letGo(event);
  event.preventDefault();
  const atRight = step[1] === 0 ? pick.row === null && pick.column !== null : step[1] > 0;
  const words = atRight ? view.columns : view.rows;
  const from = pick.row ?? pick.column ?? (step[0] > 0 ? -1 : 0);
  const place = clamp(0, from + step[0], words.length - 1);
  choose(atRight ? { row: null, column: place } : { row: place, column: null });
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
  const heads = KINDS[choice.kind].layers[layer].map((_, head) => [head, `head ${head + 1}`]);
  return [...heads, [MEAN, "mean"]];
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
  const cell = document.createElement("th");
  cell.scope = scope;
  cell.textContent = text;
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
    Object.assign(choice, { layer, head });
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
    const chosen = layer === String(choice.layer) && head === String(choice.head);
    button.setAttribute("aria-pressed", chosen);
  }
}

// ---------------------------------------------------------------- controls

function fill(select, options, chosen) {
  select.replaceChildren(
    ...options.map(([value, text]) => new Option(text, value, false, value === chosen))
  );
}

/** Another layer or head. */
function update() {
  look();
  byId("layer").value = choice.layer;
  byId("head").value = choice.head;
  drawMap();
  markMap();
  layLines();
  drawLines();
  markOverview();
  byId("reading").textContent = "";
}

/** Other words, or another kind with layers of its own. */
function restart() {
  const { layers } = KINDS[choice.kind];
  choice.layer = Math.min(choice.layer, layers.length - 1);
  if (choice.head !== MEAN && choice.head >= layers[choice.layer].length) choice.head = MEAN;
  fill(byId("layer"), layers.map((_, layer) => [layer, layer + 1]), choice.layer);
  fill(byId("head"), [...headNames(choice.layer)].map(([head, name]) => [head, name]), choice.head);
  update();
  drawOverview();
}

byId("src").textContent = pair.src;
byId("tgt").textContent = pair.tgt;
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
byId("head").addEventListener("change", (event) => {
  choice.head = event.target.value === MEAN ? MEAN : Number(event.target.value);
  update();
});
for (const [id, at, move] of [["map", cellAt, moveCell], ["lines", wordAt, moveWord]]) {
  byId(id).addEventListener("pointermove", (event) => choose(at(event)));
  byId(id).addEventListener("pointerleave", () => choose({ row: null, column: null }));
  byId(id).addEventListener("keydown", move);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawOverview);
choice.layer = pair.cross.length - 1;
restart();
