// The sections of the page.

const COMPARISON = JSON.parse(document.getElementById("data").textContent);
const { systems: SYSTEMS, pairs: PAIRS, groupings: GROUPINGS } = COMPARISON;
const METRICS = Object.keys(COMPARISON.scores);

const count = (number) => number.toLocaleString("en");

const HOW_TO_READ_SCORES =
  `± and the bars are 95 % confidence intervals from ${count(COMPARISON.samples)} bootstrap samples `
  + "of the sentences. p is the probability of a difference from the baseline, system 1, at least this "
  + "large if the systems were equally good: from paired bootstrap resampling with the same "
  + `samples, and from ${count(COMPARISON.trials)} trials of approximate randomization (AR).`;
const HOW_TO_READ_GROUPS =
  "Corpus-level scores of each group, with 95 % confidence intervals. Below the name of a group is "
  + `its number of sentences; marks are hollow if it is under ${FEW_SENTENCES}. p is from `
  + "paired bootstrap resampling. With this many groups, a small p somewhere is to be expected even "
  + "of equal systems.";
const HOW_TO_READ_NGRAMS =
  "How often the words of each system match the reference; sorted by "
  + "log((system + 1) / (baseline + 1)).";

// ---------------------------------------------------------------- pieces of sections

const badge = (number) =>
  html("span", { class: "badge", style: runStyle(number) }, String(number + 1));

const systemName = (number) => html("span", { class: "run-name" }, badge(number), " ",
  SYSTEMS[number], number === 0 ? " (baseline)" : "");

const probability = (p) => (p === null ? "–" : p < 0.001 ? "<\u00a00.001" : p.toFixed(3));

const signed = (value, digits = 1) =>
  (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(digits);

// ---------------------------------------------------------------- sections

function showScores() {
  document.title = `Comparison: ${SYSTEMS.join(", ")}`;
  const tables = METRICS.map((metric) => {
    const scores = COMPARISON.scores[metric];
    const range = extent(scores.flatMap(interval));
    const picture = html("span", { class: "picture" }, "95 %");
    const rows = scores.map((score, number) => [
      systemName(number),
      scoreText(score),
      intervalPicture(number, score, range),
      number ? signed(score.score - scores[0].score) : "–",
      probability(score.p_bootstrap),
      probability(score.p_randomization),
    ]);
    const head = ["system", metric, picture, "difference", "p (bootstrap)", "p (AR)"];
    return table(head, rows, [1, 3, 4, 5]);
  });
  section("scores", `Scores of ${count(COMPARISON.sentences)} sentences`, ...tables,
    remark(HOW_TO_READ_SCORES),
    ...METRICS.map((metric) =>
      html("p", {}, html("code", {}, `${metric}|${COMPARISON.signatures[metric]}`))));
}

function showGroups() {
  const legend = html("p", { class: "legend" }, ...SYSTEMS.map((_, number) => systemName(number)));
  section("groups", "Scores by kind of sentence", legend, remark(HOW_TO_READ_GROUPS),
    html("div", { class: "charts" }, ...GROUPINGS.map(groupingChart)));
}

function groupingChart({ name, groups }) {
  const plot = svg("svg", { role: "img", "aria-label": `${METRICS[0]} by ${name}; figures below` });
  const drawn = groups.map((group) => ({
    name: group.name,
    count: count(group.sentences),
    scores: group.scores[METRICS[0]].map((score, run) => {
      const [low, high] = interval(score);
      return { run, score: score.score, low, high, few: group.sentences < FEW_SENTENCES };
    }),
  }));
  onResize(() => drawGroups(plot, drawn, name));
  const tables = METRICS.map((metric) => {
    const rows = groups.map((group) => [group.name, count(group.sentences),
      ...group.scores[metric].flatMap((score, number) =>
        (number ? [scoreText(score), probability(score.p_bootstrap)] : [scoreText(score)]))]);
    const ofSystems = SYSTEMS.flatMap((_, number) => (number ? [badge(number), "p"] : [badge(0)]));
    const head = [metric, "sentences", ...ofSystems];
    return table(head, rows, head.slice(1).map((_, n) => n + 1));
  });
  return html("div", {},
    html("h3", {}, `${METRICS[0]} by ${name}`),
    html("div", {}, plot),
    html("details", {}, html("summary", {}, "Figures"), ...tables));
}

function showPair(pair) {
  const equal = COMPARISON.sentences - pair.better - pair.worse;
  const sentences = html("p", {}, "By sentence-level chrF, ", badge(pair.system), " is better than ",
    badge(0), ` in ${count(pair.better)} sentences, worse in ${count(pair.worse)} and equal in `,
    `${count(equal)}.`);
  const lists = (kind) => [[pair.system, pair[`${kind}_won`]], [0, pair[`${kind}_lost`]]]
    .filter(([, ngrams]) => ngrams.length)
    .map(([number, ngrams]) => ngramTable(kind, number, pair.system, ngrams));
  const tables = [...lists("words"), ...lists("ngrams")];
  const ngrams = tables.length ? [html("h3", {}, "Words and n-grams"), remark(HOW_TO_READ_NGRAMS),
    html("div", { class: "lists" }, ...tables)] : [];
  document.getElementById("pairs").append(html("section", {},
    html("h2", {}, systemName(pair.system), " compared with ", systemName(0)),
    sentences,
    ...examples("Largest wins", pair.wins, pair.system),
    ...examples("Largest losses", pair.losses, pair.system),
    ...ngrams));
}

function examples(title, list, system) {
  if (!list.length) return [];
  return [html("details", { open: "" }, html("summary", {}, title),
    ...list.map((example) => exampleEntry(example, system)))];
}

function exampleEntry(example, system) {
  const line = (name, text) => [html("dt", {}, name), html("dd", { dir: "auto" }, text || "(empty)")];
  const [before, after] = [example.baseline_chrf, example.system_chrf];
  const change = `${before.toFixed(1)} → ${after.toFixed(1)} (${signed(after - before)})`;
  return html("dl", { class: "sample" },
    ...line("chrF", `${change}, line ${count(example.line)}`),
    ...(example.src === null ? [] : line("source", example.src)),
    ...line("reference", example.reference),
    ...line(badge(0), example.baseline),
    ...line(badge(system), example.system));
}

function ngramTable(kind, number, system, ngrams) {
  const noun = { words: "Words", ngrams: "N-grams of 2 to 4 words" }[kind];
  const rows = ngrams.map(({ text, baseline, system: own, log_odds: odds }) =>
    [text, count(baseline), count(own), signed(odds, 2)]);
  const head = ["", badge(0), badge(system), "log odds"];
  return html("div", {}, html("h3", {}, `${noun} that `, badge(number), " gets right more often"),
    table(head, rows, [1, 2, 3]));
}

const drawings = [];
const onResize = (draw) => drawings.push(draw);

showScores();
showGroups();
PAIRS.forEach(showPair);
const redraw = () => drawings.forEach((draw) => draw());
redraw();
window.addEventListener("resize", redraw);
