"""Scores for translations (sacreBLEU), parses (EVALB) and word alignments (AER)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nmt.data.lines import BOM
from nmt.errors import ConfigError, DataError, FileError
from nmt.parsing import brackets
from nmt.parsing.evalb_parameters import COLLINS, EvalbParameters
from nmt.parsing.trees import Tree

METRICS = ("bleu", "chrf", "ter", "bracket-f1")
BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True)
class EvaluateOptions:
    """Metrics and their settings; the defaults are those of the `sacrebleu` command.

    Attributes:
        metrics: any of bleu, chrf and ter, and bracket-f1 for parses.
        lowercase: ignore case in BLEU and chrF; TER always does.
        tokenize: BLEU's tokenizer; by default, sacreBLEU's choice for the target language.
        tgt_lang: code of the target language: zh, ja and ko have their own tokenizers, all others
            use 13a.
        confidence: estimate 95 % confidence intervals with 1,000 bootstrap samples. The
            environment variable SACREBLEU_SEED sets the seed, as for the `sacrebleu` command.
        evalb: which brackets bracket-f1 counts.

    Raises:
        ConfigError: if a metric or tokenizer is unknown, a setting applies to none of the
            metrics, or SACREBLEU_SEED is not a seed.
    """

    metrics: Sequence[str] = ("bleu",)
    lowercase: bool = False
    tokenize: str | None = None
    tgt_lang: str = ""
    confidence: bool = False
    evalb: EvalbParameters = COLLINS

    def __post_init__(self) -> None:
        from sacrebleu.metrics.bleu import BLEU

        for metric in self.metrics:
            if metric not in METRICS:
                raise ConfigError(f"unknown metric {metric!r}; choose from {', '.join(METRICS)}")
        if self.tokenize is not None and self.tokenize not in BLEU.TOKENIZERS:
            known = ", ".join(sorted(BLEU.TOKENIZERS))
            raise ConfigError(f"unknown tokenizer {self.tokenize!r}; choose from {known}")
        if self.tokenize is not None and "bleu" not in self.metrics:
            raise ConfigError("`tokenize` applies to bleu only, which is not among `metrics`")
        if self.lowercase and not {"bleu", "chrf", "ter"}.intersection(self.metrics):
            raise ConfigError(
                "`lowercase` applies to bleu and chrf only, and neither is among `metrics`"
            )
        if self.confidence:
            _check_seed(brackets.bootstrap_seed())


def _check_seed(seed: str) -> None:
    """Refuse seeds on which sacreBLEU would fail with a traceback."""
    is_number = seed.isascii() and seed.isdecimal() and len(seed) <= 10
    if seed != "none" and not (is_number and int(seed) < 2**32):
        raise ConfigError(
            f"environment variable SACREBLEU_SEED is {seed!r}; it must be a number from 0 to "
            f"{2**32 - 1}, or none"
        )


@dataclass(frozen=True)
class Score:
    """A corpus-level score.

    Attributes:
        metric: bleu, chrf, ter or bracket-f1.
        name: name as sacreBLEU writes it, for example BLEU or chrF2.
        score: points, 0 to 100; TER can exceed 100.
        signature: settings needed to reproduce the score.
        details: for BLEU, precisions, brevity penalty and lengths; for bracket-f1, precision,
            recall, complete match and counts of irregular trees.
        mean: mean of the bootstrap samples.
        margin: half the width of the 95 % confidence interval around the mean.
        numbers: the details of bracket-f1 in machine-readable form.
        languages: the language pair (en-de) that it is of, if the text has several.
    """

    metric: str
    name: str
    score: float
    signature: str
    details: str = ""
    mean: float | None = None
    margin: float | None = None
    numbers: dict[str, float] | None = None
    languages: str | None = None

    def __str__(self) -> str:
        """Return the score as one line in the format of the `sacrebleu` command."""
        pair = f"{self.languages} " if self.languages else ""
        text = f"{pair}{self.name}|{self.signature} = {self.score:.1f}"
        if self.mean is not None and self.margin is not None:
            text += f" (μ = {self.mean:.1f} ± {self.margin:.1f})"
        return f"{text} {self.details}".rstrip()


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    options: EvaluateOptions | None = None,
) -> list[Score]:
    """Score translations with sacreBLEU (Post 2018), or parses as EVALB does.

    Scores and signatures equal those of the `sacrebleu` command on the same lines. For bracket-f1,
    hypotheses are linearised or bracketed trees, and the single reference is bracketed trees with
    words and tags (`nmt.parsing.brackets`).

    Args:
        hypotheses: detokenized translations.
        references: one or more lists of reference translations, each as long as hypotheses.
        options: metrics and their settings.

    Returns:
        One score per metric, in the order of options.metrics.

    Raises:
        DataError: if there is nothing to score, the numbers of lines differ, or bracket-f1 has
            several references or one that is not a tree.
        ConfigError: if the tokenizer needs a package that is not installed.
        FileError: if the tokenizer cannot be downloaded.
    """
    options = options or EvaluateOptions()
    if not references or not hypotheses:
        raise DataError("no translations or no references to score")
    for number, lines in enumerate(references, 1):
        if len(lines) != len(hypotheses):
            raise DataError(
                f"{len(hypotheses)} translations, but {len(lines)} lines in reference {number}: "
                "they must correspond line by line"
            )
    # The sacrebleu command strips lines, too.
    hypotheses = [line.rstrip() for line in hypotheses]
    references = [[line.rstrip() for line in lines] for lines in references]
    gold = gold_trees(references, options)
    return [
        _bracket_f1(_without_bom(hypotheses), gold, options)
        if name == "bracket-f1"
        else _score(name, hypotheses, references, options)
        for name in options.metrics
    ]


def _without_bom(lines: Sequence[str]) -> list[str]:
    """Drop a leading byte-order mark: sacreBLEU counts it as content, but a tree has none."""
    return [line.removeprefix(BOM) if not number else line for number, line in enumerate(lines)]


def gold_trees(references: Sequence[Sequence[str]], options: EvaluateOptions) -> list[Tree]:
    """Read the reference trees for bracket-f1; return none if it is not among the metrics.

    Raises:
        DataError: if bracket-f1 has several references, or one that is not a tree.
    """
    if "bracket-f1" not in options.metrics:
        return []
    if len(references) != 1:
        raise DataError(f"bracket-f1 takes one reference, but there are {len(references)}")
    return brackets.read_references(_without_bom(references[0]))


def _bracket_f1(hypotheses: Sequence[str], gold: list[Tree], options: EvaluateOptions) -> Score:
    comparisons = [
        brackets.compare(hypothesis, tree, options.evalb)
        for hypothesis, tree in zip(hypotheses, gold, strict=True)
    ]
    report = brackets.BracketReport.of(comparisons, options.evalb)
    samples = BOOTSTRAP_SAMPLES if options.confidence else None
    mean, margin = brackets.bootstrap(comparisons, samples) if samples else (None, None)
    return Score(
        "bracket-f1",
        "bracketF1",
        report.score.f1,
        brackets.signature(samples, options.evalb),
        str(report),
        mean,
        margin,
        report.numbers(),
    )


def _score(
    name: str,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    options: EvaluateOptions,
) -> Score:
    metric = sacrebleu_metric(name, options)
    samples = BOOTSTRAP_SAMPLES if options.confidence else 1
    result = metric.corpus_score(hypotheses, references, n_bootstrap=samples)
    return Score(
        name,
        result.name,
        result.score,
        str(metric.get_signature()),
        result._verbose,
        float(result._mean) if options.confidence else None,
        float(result._ci) if options.confidence else None,
    )


def sentence_bleu(tgt_lang: str) -> Callable[[str, str], float]:
    """Return a function that computes sacreBLEU's BLEU of one translation and its reference.

    Args:
        tgt_lang: code of the target language, as in `EvaluateOptions`.

    Raises:
        ConfigError: if the tokenizer needs a package that is not installed.
        FileError: if the tokenizer cannot be downloaded.
    """
    metric = sacrebleu_metric("bleu", EvaluateOptions(tgt_lang=tgt_lang))
    metric.effective_order = True  # short sentences have no 4-grams
    return lambda hypothesis, reference: float(metric.sentence_score(hypothesis, [reference]).score)


def sacrebleu_metric(name: str, options: EvaluateOptions, *, force: bool = False) -> Any:
    """Return sacreBLEU's object for bleu, chrf or ter.

    Args:
        name: the metric.
        options: its settings.
        force: do not warn of text that looks tokenised.

    Raises:
        ConfigError: if the tokenizer of BLEU needs a package that is not installed.
        FileError: if the tokenizer cannot be downloaded.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    match name:
        case "bleu":
            try:
                return BLEU(
                    lowercase=options.lowercase,
                    tokenize=options.tokenize,
                    trg_lang=options.tgt_lang,
                    force=force,
                )
            except (ImportError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise ConfigError(
                    f"the BLEU tokenizer for this language is not installed: {reason}; "
                    "install it or choose another `tokenize`"
                ) from error
            except OSError as error:
                raise FileError(
                    f"cannot download the BLEU tokenizer {options.tokenize}: {error}; on a machine "
                    "without network access, copy the directory models from another machine's "
                    "sacreBLEU directory ($SACREBLEU, by default ~/.sacrebleu)"
                ) from error
        case "chrf":
            return CHRF(lowercase=options.lowercase)
        case _:
            return TER()


def render(scores: Sequence[Score], as_json: bool) -> Iterator[str]:
    """Yield one line per score, or all scores as one JSON array."""
    if not as_json:
        yield from map(str, scores)
        return
    fields = [{k: v for k, v in asdict(score).items() if v is not None} for score in scores]
    yield json.dumps(fields, ensure_ascii=False, indent=2)


@dataclass(frozen=True)
class AlignmentScore:
    """Agreement of word alignments A with sure links S and possible links P, as fractions.

    Attributes:
        precision: |A & P| / |A|.
        recall: |A & S| / |S|.
        error_rate: AER = 1 - (|A & S| + |A & P|) / (|A| + |S|).
    """

    precision: float
    recall: float
    error_rate: float


def score_alignments(
    predicted: Sequence[Collection[tuple[int, int]]],
    sure: Sequence[Collection[tuple[int, int]]],
    possible: Sequence[Collection[tuple[int, int]]] | None = None,
) -> AlignmentScore:
    """Return precision, recall and alignment error rate (Och and Ney 2003, section 5.1).

    Links are counted over the whole corpus.

    Args:
        predicted: A, the links (source word, target word) of each sentence.
        sure: S, the sure links of the reference.
        possible: P, the possible links; sure links are always possible too. By default P = S, and
            the error rate is 1 - F1.

    Raises:
        DataError: if there are no links to score, or the numbers of sentences differ.
    """
    possible = sure if possible is None else possible
    if not len(predicted) == len(sure) == len(possible):
        raise DataError(
            f"alignments of {len(predicted)} sentences, but {len(sure)} and {len(possible)} in the "
            "reference: they must correspond sentence by sentence"
        )
    num_links = num_sure = sure_hits = possible_hits = 0
    for a, s, p in zip(map(set, predicted), map(set, sure), possible, strict=True):
        num_links += len(a)
        num_sure += len(s)
        sure_hits += len(a & s)
        possible_hits += len(a & s.union(p))
    if not num_links or not num_sure:
        raise DataError("no links to score, or none in the reference")
    return AlignmentScore(
        possible_hits / num_links,
        sure_hits / num_sure,
        1 - (sure_hits + possible_hits) / (num_links + num_sure),
    )
