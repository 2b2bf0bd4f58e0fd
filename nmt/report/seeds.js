// Runs that differ in train.seed alone, merged into one that the page shows as any other.

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// The standard deviation of a sample.
function deviation(values) {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0)
    / (values.length - 1));
}

// A figure, or the mean and the standard deviation of several, as text.
function spreadText(values) {
  if (!values.length || values.includes(null)) return "–";
  return values.length === 1 ? figure(values[0])
    : `${figure(mean(values))} ± ${figure(Number(deviation(values).toPrecision(2)))}`;
}

// A run of one or more seeds. Its curves are means; `low` and `high` are like them, but have the
// lowest and the highest value. They end with the shortest of the members.
function merged(members) {
  const [first] = members;
  if (members.length === 1) return { ...first, members };
  const curves = (combine) => Object.fromEntries(Object.keys(first.curves).map((kind) =>
    [kind, combined(members.map((member) => member.curves[kind]), combine)]));
  return {
    ...first,
    members,
    name: commonName(members.map(({ name }) => name)),
    path: members.map(({ path }) => path).join(", "),
    step: Math.min(...members.map(({ step }) => step)),
    finished: members.every(({ finished }) => finished),
    curves: curves(mean),
    low: curves((values) => Math.min(...values)),
    high: curves((values) => Math.max(...values)),
    config: { ...first.config, "train.seed": members.map(({ config }) => config["train.seed"]) },
    quality: mergedQuality(members.flatMap(({ quality }) => quality ?? [])),
    notes: members.flatMap(({ name, notes }) => notes.map((note) => `${name}: ${note}`)),
  };
}

function commonName([first, ...others]) {
  let length = 0;
  while (length < first.length && others.every((name) => name[length] === first[length])) length++;
  return `${length ? first.slice(0, length) : first}…`;
}

// Combine the figures of the steps that all tables have.
function combined(tables, combine) {
  const places = tables.map(({ step }) => new Map(step.map((at, place) => [at, place])));
  const steps = tables[0].step.filter((at) => places.every((known) => known.has(at)));
  const names = Object.keys(tables[0]).filter((name) => tables.every((rows) => name in rows));
  return Object.fromEntries(names.map((name) => [name, steps.map((at) => {
    const values = tables.map((rows, number) => rows[name][places[number].get(at)]);
    return values.includes(null) ? null : combine(values);
  })]));
}

function mergedQuality([first, ...others]) {
  if (!first) return null;
  const qualities = [first, ...others.filter(({ fingerprint }) => fingerprint === first.fingerprint)];
  if (qualities.length < 2) return first;
  return {
    ...first,
    scores: first.scores.map((_, n) => mergedScore(qualities.map(({ scores }) => scores[n]))),
    by_length: first.by_length.map((bucket, n) => ({
      ...bucket,
      bleu: mergedScore(qualities.map(({ by_length: buckets }) => buckets[n].bleu)),
    })),
  };
}

// The mean; its margin is the standard deviation.
function mergedScore(scores) {
  const values = scores.map(({ score }) => score);
  return { ...scores[0], score: mean(values), mean: mean(values), margin: deviation(values) };
}
