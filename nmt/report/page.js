// The sections of the page and its controls.

const REPORT = JSON.parse(document.getElementById("data").textContent);
const RUNS = REPORT.groups.map((places) => merged(places.map((place) => REPORT.runs[place])));
const HAS_SEEDS = RUNS.some(({ members }) => members.length > 1);
const SPREAD_OF_SEEDS = HAS_SEEDS
  ? " Where there are several seeds, figures are their mean, ± and bars their standard deviation."
  : "";

const inTraining = (name) => [{ kind: "train", figure: name, name: "training" }];
const inValidation = (name) => [
  { kind: "valid", figure: name, name: "validation" },
  { kind: "average", figure: name, name: "averaged" },
];
const inBoth = (name) => [...inTraining(name), ...inValidation(name)];

// The named sets of data.valid; the figures without a name are those of the first.
const SETS = [...new Set(RUNS.flatMap(({ curves: { valid } }) => Object.keys(valid))
  .filter((name) => name.includes("/")).map((name) => name.split("/")[0]))];

// zero: the axis starts at 0; log: it is logarithmic.
const CHARTS = [
  { title: "Loss", unit: "nats per token", series: inBoth("loss") },
  { title: "Perplexity", unit: "per token, log scale", log: true, series: inBoth("ppl") },
  { title: "BLEU", unit: "on the validation set", zero: true, series: inValidation("bleu") },
  ...SETS.flatMap((set) => [
    { title: `Loss on ${set}`, unit: "nats per token", series: inValidation(`${set}/loss`) },
    { title: `BLEU on ${set}`, unit: "", zero: true, series: inValidation(`${set}/bleu`) },
  ]),
  { title: "Learning rate", unit: "", zero: true, series: inTraining("lr") },
  {
    title: "Gradient norm",
    unit: "before clipping, log scale",
    log: true,
    series: inTraining("grad_norm"),
  },
  {
    title: "Speed",
    unit: "target tokens per second",
    zero: true,
    series: inTraining("tokens_per_s"),
  },
];

const HOW_TO_READ_CURVES =
  "Training figures are means since the previous point (the gradient norm is that of a single "
  + "step), with dropout; the loss is label-smoothed, the perplexity is not. Validation uses neither "
  + "dropout nor label smoothing. Time counts training steps only. To read all charts at a step, "
  + "point at one of them, or move to it with Tab and use the arrow keys; each chart shows its "
  + "figures for the nearest step it has."
  + (HAS_SEEDS ? " Runs that differ only in their seed are one line, their mean, in a band from the "
    + "lowest to the highest, as far as all of them have come." : "");
const HOW_TO_READ_SCORES =
  "± and the bars are 95 % confidence intervals from 1,000 bootstrap samples of the sentences. "
  + "Perplexity is that of the references, per token of the run's tokenizer; it is comparable only "
  + "between runs with the same tokenizer."
  + SPREAD_OF_SEEDS;
const DIFFERENT_TEXTS = "The runs translated different texts, so their scores are not comparable.";
const HOW_TO_READ_LENGTHS =
  "Corpus-level BLEU of the n sentences of each length, with 95 % confidence intervals; hollow "
  + `marks: fewer than ${FEW_SENTENCES} sentences.`
  + SPREAD_OF_SEEDS;
const HOW_TO_READ_SAMPLES =
  "The sentences with the largest loss per token of the reference. The stronger the colour of a "
  + "token, the larger its loss."
  + (HAS_SEEDS ? " Of several seeds, these are the sentences of the first." : "");

const view = { axis: "step", hidden: new Set(), at: null };

// ---------------------------------------------------------------- pieces of sections

function runName(number) {
  const { name, path, members } = RUNS[number];
  const badge = html("span", { class: "badge", style: runStyle(number) }, String(number + 1));
  const parts = RUNS.length > 1 ? [badge, " ", name] : [name];
  if (members.length > 1) {
    parts.push(html("span", { class: "unit" }, ` (${members.length} seeds)`));
  }
  return html("span", { class: "run-name", title: path }, ...parts);
}

// ---------------------------------------------------------------- sections

function showRuns() {
  document.title = `Training report: ${RUNS.map(({ name }) => name).join(", ")}`;
  document.getElementById("made").textContent =
    `created ${REPORT.made.slice(0, 16).replace("T", " ")} UTC by nmt ${REPORT.version}`;
  const rows = RUNS.map((run, number) => [
    runName(number),
    `${run.src_lang} → ${run.tgt_lang}`,
    `${run.step.toLocaleString("en")} of ${run.max_steps.toLocaleString("en")}`,
    run.finished ? "finished" : "not finished",
    trainingTime(run),
    run.parameters === null ? "–" : `${figure(run.parameters / 1e6)} M`,
    best(run),
  ]);
  const head = [
    "run", "languages", "steps", "state", "training time", "parameters", "best validation",
  ];
  const notes = RUNS.flatMap((run) => run.notes.map((note) =>
    remark(RUNS.length > 1 && run.members.length === 1 ? `${run.name}: ${note}` : note, "warning")));
  const overview = table(head, rows, [2, 4, 5], "overview");
  section("runs", RUNS.length > 1 ? "Runs" : "Run", overview, ...notes);
}

function trainingTime({ curves }) {
  const last = curves.train.seconds.findLast((seconds) => seconds !== null);
  return last === undefined ? "–" : duration(last);
}

// The best validations of the seeds of a run.
function best({ metric, members }) {
  const [plain, set] = metric.split("/").reverse();
  const name = { loss: "loss", bleu: "BLEU", chrf: "chrF" }[plain] + (set ? ` on ${set}` : "");
  const found = members.map(({ curves: { valid } }) => {
    const known = (valid[metric] ?? []).filter((value) => value !== null);
    return known.length ? (plain === "loss" ? Math.min(...known) : Math.max(...known)) : null;
  });
  if (found.includes(null)) return "–";
  if (found.length > 1) return `${name} ${spreadText(found)}`;
  const { valid } = members[0].curves;
  const step = valid.step[valid[metric].indexOf(found[0])];
  return `${name} ${figure(found[0])} at step ${step.toLocaleString("en")}`;
}

// [number, run] of the runs with translations.
const translated = () => [...RUNS.entries()].filter(([, { quality }]) => quality);

function showScores() {
  const runs = translated();
  if (!runs.length) {
    section("scores", "Scores", remark("No translations."));
    return;
  }
  const names = runs[0][1].quality.scores.map(({ name }) => name);
  const range = extent(runs.flatMap(([, { quality }]) => interval(quality.scores[0])));
  const rows = runs.map(([number, { quality }]) => [
    runName(number),
    ...quality.scores.map((score) => scoreText(score)),
    intervalPicture(number, quality.scores[0], range),
    spreadText(RUNS[number].members.flatMap(({ quality: own }) => (own ? [own.ppl] : []))),
    quality.sentences.toLocaleString("en"),
    `${quality.text}; ${quality.weights}, ${quality.search}`,
  ]);
  const picture = html("span", { class: "picture" }, `${names[0]}, 95 %`);
  const head = ["run", ...names, picture, "perplexity", "sentences", "text and model"];
  const numeric = [...names.map((_, n) => n + 1), names.length + 2, names.length + 3];
  const signatures = new Set(runs.flatMap(([, { quality }]) =>
    quality.scores.map(({ name, signature }) => `${name}|${signature}`)));
  const differ = new Set(runs.map(([, { quality }]) => quality.fingerprint)).size > 1;
  section("scores", "Scores",
    ...(differ ? [remark(DIFFERENT_TEXTS, "warning")] : []),
    table(head, rows, numeric),
    remark(HOW_TO_READ_SCORES),
    ...[...signatures].map((text) => html("p", {}, html("code", {}, text))));
}

function rangeName({ shortest, longest }) {
  if (longest === null) return `> ${shortest - 1}`;
  return shortest === 0 ? `≤ ${longest}` : `${shortest}–${longest}`;
}

// The scores of all runs by source length, as drawGroups takes them.
function lengthGroups(runs) {
  const groups = new Map();
  for (const [run, { quality }] of runs) {
    for (const bucket of quality.by_length) {
      const group = groups.get(bucket.shortest)
        ?? { name: rangeName(bucket), counts: new Set(), scores: [] };
      const [low, high] = interval(bucket.bleu);
      const few = bucket.sentences < FEW_SENTENCES;
      group.counts.add(bucket.sentences);
      group.scores.push({ run, score: bucket.bleu.score, low, high, few, bucket });
      groups.set(bucket.shortest, group);
    }
  }
  const ordered = [...groups].sort(([a], [b]) => a - b).map(([, group]) => group);
  return ordered.map((group) => ({ ...group, count: `n ${[...group.counts].join("/")}` }));
}

function showLengths() {
  const runs = translated();
  if (!runs.length) return;
  const groups = lengthGroups(runs);
  const units = [...new Set(runs.map(([, { quality }]) => quality.length_unit))].join(" or ");
  const label = "BLEU by source length; figures in the table below";
  const plot = svg("svg", { role: "img", "aria-label": label });
  const rows = groups.map(({ name, scores }) => [name, ...runs.flatMap(([number]) => {
    const score = scores.find(({ run }) => run === number);
    return score ? [String(score.bucket.sentences), scoreText(score.bucket.bleu)] : ["–", "–"];
  })]);
  const head = [units, ...runs.flatMap(([number]) => ["sentences", runName(number)])];
  const figures = html("details", {}, html("summary", {}, "Figures"),
    table(head, rows, head.slice(1).map((_, n) => n + 1)));
  const legend = html("p", { class: "legend" }, ...runs.map(([number]) => runName(number)));
  section("lengths", "BLEU by source length", ...(RUNS.length > 1 ? [legend] : []),
    remark(HOW_TO_READ_LENGTHS),
    html("div", {}, plot), figures);
  onResize(() => drawGroups(plot, groups, `${units} of the source sentence`));
}

function showSamples() {
  const runs = translated().filter(([, { quality }]) => quality.samples.length);
  if (!runs.length) return;
  const lists = runs.map(([number, run], place) =>
    html("details", place === 0 ? { open: "" } : {},
      html("summary", {}, runName(number), ` on ${run.quality.text}`),
      ...run.quality.samples.map((sample) => sampleEntry(sample, run))));
  section("samples", "Sentences with the largest loss",
    remark(HOW_TO_READ_SAMPLES), ...lists);
}

function sampleEntry(sample, { src_lang: src, tgt_lang: tgt }) {
  const line = (name, lang, ...content) => [
    html("dt", {}, name), html("dd", lang ? { lang, dir: "auto" } : {}, ...content)];
  const pieces = sample.pieces.map((piece, n) => html("span", {
    class: "piece",
    style: `background: rgba(var(--hot), ${Math.min(0.6, sample.losses[n] / 15).toFixed(2)})`,
    title: `${sample.losses[n].toFixed(2)} nats`,
  }, piece));
  return html("dl", { class: "sample" },
    ...line("loss", "", `${sample.loss.toFixed(2)} nats per token, line ${figure(sample.line)}`),
    ...line("source", src, sample.src),
    ...line("reference", tgt, sample.reference),
    ...line("tokens", tgt, ...pieces),
    ...line("translation", tgt, sample.translation || "(empty)"));
}

function showConfiguration() {
  const keys = [...new Set(RUNS.flatMap(({ config }) => Object.keys(config)))];
  const differs = (key) => new Set(RUNS.map(({ config }) => JSON.stringify(config[key]))).size > 1;
  const value = ({ config }, key) => {
    const given = config[key];
    if (given === undefined) return "–";
    return typeof given === "string" ? given : JSON.stringify(given);
  };
  const rows = (wanted) => wanted.map((key) =>
    [html("code", {}, key), ...RUNS.map((run) => value(run, key))]);
  const head = ["key", ...RUNS.map((_, number) => runName(number))];
  const all = html("details", {}, html("summary", {}, `All ${keys.length} keys`),
    table(head, rows(keys), [], "config"));
  const different = keys.filter(differs);
  const parts = RUNS.length < 2 ? [] : different.length
    ? [remark("Keys that differ between the runs."), table(head, rows(different), [], "config")]
    : [remark("The runs have the same configuration.")];
  section("configuration", "Configuration", ...parts, all);
}

// ---------------------------------------------------------------- curves and controls

const drawings = [];
const onResize = (draw) => drawings.push(draw);

function showCurves() {
  const charts = CHARTS.map((spec) => new Chart(spec, RUNS, view, (at) => {
    view.at = at;
    point();
  }));
  document.getElementById("curves").append(...charts.map((chart) => chart.figure));
  document.getElementById("curves").after(
    remark(HOW_TO_READ_CURVES));

  function point() {
    for (const chart of charts) chart.point();
    document.getElementById("position").textContent = position();
  }

  function draw() {
    for (const chart of charts) chart.draw();
    point();
  }

  onResize(draw);
  document.getElementById("controls").addEventListener("change", ({ target }) => {
    if (target.name === "axis") view.axis = target.value;
    else if (target.checked) view.hidden.delete(Number(target.value));
    else view.hidden.add(Number(target.value));
    view.at = null;
    draw();
  });
}

function position() {
  if (view.at === null) return "latest figures";
  return view.axis === "step"
    ? `pointer at step ${Math.round(view.at).toLocaleString("en")}`
    : `pointer at ${duration(view.at)}`;
}

function showControls() {
  const shown = document.getElementById("shown");
  shown.hidden = RUNS.length < 2;
  const box = { type: "checkbox", name: "run", checked: "" };
  shown.append(...RUNS.map((_, number) => html("label", {},
    html("input", { ...box, value: number }), " ", runName(number))));
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
}

showRuns();
showControls();
showCurves();
showScores();
showLengths();
showSamples();
showConfiguration();
const redraw = () => drawings.forEach((draw) => draw());
redraw();
window.addEventListener("resize", redraw);
