// Pieces of sections that the pages about runs and about comparisons share.

const FEW_SENTENCES = 30;

function section(id, title, ...children) {
  document.getElementById(id).append(html("h2", {}, title), ...children);
}

// rows: arrays of cells, each a string or a node; numeric: indices of columns with numbers.
function table(head, rows, numeric = [], kind = "") {
  const cells = (name, row) => row.map((cell, column) =>
    html(name, numeric.includes(column) ? { class: "number" } : {}, cell));
  return html("div", { class: "scroll", tabindex: 0 },
    html("table", { class: kind },
      html("thead", {}, html("tr", {}, ...cells("th", head))),
      html("tbody", {}, ...rows.map((row) => html("tr", {}, ...cells("td", row))))));
}

const remark = (text, kind = "remark") => html("p", { class: kind }, text);

const interval = ({ mean, margin }) => [mean - margin, mean + margin];

function scoreText({ score, margin }) {
  const half = html("span", { class: "unit" }, ` ± ${margin.toFixed(1)}`);
  return html("span", {}, score.toFixed(1), half);
}

function intervalPicture(number, score, [low, high]) {
  const room = (high - low) * 0.05 || 1;
  const x = (value) => 5 + ((value - low + room) / (high - low + 2 * room)) * 210;
  const [left, right] = interval(score).map(x);
  return svg("svg", { class: "interval-cell", viewBox: "0 0 220 18", style: runStyle(number),
    role: "img", "aria-label": interval(score).map((value) => value.toFixed(1)).join(" to ") },
    svg("line", { class: "interval", x1: left, x2: right, y1: 9, y2: 9 }),
    svg("circle", { class: "mark", cx: x(score.score), cy: 9, r: 4.5 }));
}
