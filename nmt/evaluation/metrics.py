"""Scores of translations, through sacreBLEU, of parses and of word alignments; knows no model."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nmt.config.schema import Config
from nmt.data.corpus import BOM, read_lines, read_pairs
from nmt.errors import ConfigError, DataError, FileError
from nmt.parsing import brackets
from nmt.parsing.evalb_parameters import COLLINS, EvalbParameters
from nmt.parsing.trees import Tree

METRICS = ("bleu", "chrf", "ter", "bracket-f1")
BOOTSTRAP_SAMPLES = 1000


@dataclass(frozen=True)
class EvaluateOptions:
    """What to score and how; the defaults are those of the `sacrebleu` command.

    Raises:
        ConfigError: a metric or tokenizer that sacreBLEU does not have, or a setting that none of
            the metrics uses.
    """

    metrics: Sequence[str] = ("bleu",)
    """Some of bleu, chrf and ter, and bracket-f1 for parses."""
    lowercase: bool = False
    """Ignore case in BLEU and chrF; TER ignores it anyway."""
    tokenize: str | None = None
    """BLEU's tokenizer. Without it, the one that sacreBLEU has for the target language."""
    tgt_lang: str = ""
    """Code of the target language: zh, ja and ko have tokenizers of their own, others 13a."""
    confidence: bool = False
    """Estimate the 95 % confidence interval with 1,000 bootstrap samples. The environment
    variable SACREBLEU_SEED sets their seed, as for the `sacrebleu` command."""
    evalb: EvalbParameters = COLLINS
    """Which brackets bracket-f1 counts."""

    def __post_init__(self) -> None:
        from sacrebleu.metrics.bleu import BLEU

        for metric in self.metrics:
            if metric not in METRICS:
                raise ConfigError(f"unknown metric {metric!r}: known are {', '.join(METRICS)}")
        if self.tokenize is not None and self.tokenize not in BLEU.TOKENIZERS:
            known = ", ".join(sorted(BLEU.TOKENIZERS))
            raise ConfigError(f"unknown tokenizer {self.tokenize!r}: known are {known}")
        if self.tokenize is not None and "bleu" not in self.metrics:
            raise ConfigError("--tokenize is for the metric bleu, which is not among --metrics")
        if self.lowercase and not {"bleu", "chrf", "ter"}.intersection(self.metrics):
            raise ConfigError("--lowercase is for bleu and chrf, and neither is among --metrics")
        if self.confidence:
            _check_seed(brackets.bootstrap_seed())


def _check_seed(seed: str) -> None:
    """Refuse what sacreBLEU would end on with a traceback."""
    is_number = seed.isascii() and seed.isdecimal() and len(seed) <= 10
    if seed != "none" and not (is_number and int(seed) < 2**32):
        raise ConfigError(
            f"the environment variable SACREBLEU_SEED is {seed!r}: it takes a number from 0 to "
            f"{2**32 - 1}, or none"
        )


@dataclass(frozen=True)
class Score:
    """A score of a corpus.

    Attributes:
        metric: bleu, chrf, ter or bracket-f1.
        name: as sacreBLEU writes it, for example BLEU or chrF2.
        score: in points, 0 to 100; TER may be more.
        signature: all that somebody else needs to repeat it.
        details: BLEU's precisions, brevity penalty and lengths; precision, recall, complete
            match and what was irregular for bracket-f1.
        mean: of the bootstrap samples.
        margin: half the width of the 95 % confidence interval around the mean.
        numbers: the details of bracket-f1, for programs.
    """

    metric: str
    name: str
    score: float
    signature: str
    details: str = ""
    mean: float | None = None
    margin: float | None = None
    numbers: dict[str, float] | None = None

    def __str__(self) -> str:
        """Write the score in one line, as the `sacrebleu` command does."""
        text = f"{self.name}|{self.signature} = {self.score:.1f}"
        if self.mean is not None and self.margin is not None:
            text += f" (μ = {self.mean:.1f} ± {self.margin:.1f})"
        return f"{text} {self.details}".rstrip()


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    options: EvaluateOptions | None = None,
) -> list[Score]:
    """Score translations with sacreBLEU (Post 2018), or parses as EVALB does.

    Numbers and signatures equal those of the `sacrebleu` command on files of these lines. Parses
    are linearised trees or trees in brackets; their one reference is trees in brackets, with
    words and tags (`nmt.parsing.brackets`).

    Args:
        hypotheses: detokenized translations.
        references: one or more lists of reference translations, each as long as hypotheses.
        options: what to score and how.

    Returns:
        A score for each of options.metrics, in that order.

    Raises:
        DataError: there is nothing to score, the numbers of lines differ, or a reference for
            bracket-f1 is not a tree or not the only one.
        ConfigError: a tokenizer that needs a package which is not installed.
        FileError: a tokenizer that cannot be downloaded.
    """
    options = options or EvaluateOptions()
    if not references or not hypotheses:
        raise DataError("there are no translations, or no references, to score")
    for number, lines in enumerate(references, 1):
        if len(lines) != len(hypotheses):
            raise DataError(
                f"{len(hypotheses)} translations, but {len(lines)} lines in reference {number}: "
                "they must match line by line"
            )
    # The command strips the ends of lines too.
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
    """Drop a byte-order mark, which sacreBLEU takes for content, and no tree begins with."""
    return [line.removeprefix(BOM) if not number else line for number, line in enumerate(lines)]


def gold_trees(references: Sequence[Sequence[str]], options: EvaluateOptions) -> list[Tree]:
    """Read what bracket-f1 compares with: none unless it is asked for.

    Raises:
        DataError: it is asked for, and there are several references, or one that is no tree.
    """
    if "bracket-f1" not in options.metrics:
        return []
    if len(references) != 1:
        raise DataError(f"bracket-f1 compares with one reference, but there are {len(references)}")
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
    metric = _metric(name, options)
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


def _metric(name: str, options: EvaluateOptions) -> Any:
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
                )
            except (ImportError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                raise ConfigError(
                    f"the BLEU tokenizer for this language is not installed: {reason}; "
                    "install it or choose another with --tokenize"
                ) from error
            except OSError as error:
                raise FileError(
                    f"cannot fetch the BLEU tokenizer {options.tokenize}: {error}; sacreBLEU "
                    "downloads it once, into the folder models of the one that the environment "
                    "variable SACREBLEU names (~/.sacrebleu), which can be copied"
                ) from error
        case "chrf":
            return CHRF(lowercase=options.lowercase)
        case _:
            return TER()


def find_test_set(name: str, langs: str) -> tuple[list[str], list[list[str]]]:
    """Take one of sacreBLEU's test sets, downloading it on first use.

    Args:
        name: for example `wmt14/full`.
        langs: source and target code, for example `en-de`.

    Returns:
        The source lines, and one or more lists of reference lines.

    Raises:
        ConfigError: sacreBLEU has no such set, or not for these languages.
        FileError: it cannot be downloaded.
    """
    from sacrebleu.dataset import DATASETS

    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=5, cutoff=0.3)
        raise ConfigError(
            f"sacreBLEU has no test set {name!r}; `sacrebleu --list` prints all, "
            f"close are {', '.join(close) or 'none'}"
        )
    dataset: Any = DATASETS[name]
    if langs not in dataset.langpairs:
        known = ", ".join(sorted(dataset.langpairs))
        raise ConfigError(f"the test set {name} has no languages {langs!r}: known are {known}")
    try:
        src, refs = dataset.get_source_file(langs), dataset.get_reference_files(langs)
    # sacreBLEU ends the process on some failures; others are whatever a bad archive raises.
    except (Exception, SystemExit) as error:
        raise FileError(
            f"cannot download the test set {name} {langs}: {error}; with a network "
            f"`sacrebleu --download {name} --language-pair {langs}` fetches it into the folder "
            "that the environment variable SACREBLEU names (~/.sacrebleu), which can be copied"
        ) from error
    return list(read_lines(src)), [list(read_lines(ref, keep_bom=True)) for ref in refs]


@dataclass(frozen=True)
class EvaluationData:
    """What is translated and what the translations are compared with."""

    src: list[str]
    """Source lines; empty where only references are known."""
    refs: list[list[str]]
    """One or more lists of reference lines."""
    tgt_lang: str
    """Code of the target language, empty where it is not known."""


def read_test_data(
    config: Config | None,
    *,
    src: Path | None = None,
    refs: Sequence[Path] = (),
    test_set: str | None = None,
    langs: str | None = None,
) -> EvaluationData:
    """Read the files named, or one of sacreBLEU's test sets, or else the configuration's test.

    Args:
        config: of the model that will translate; without it, only references are needed.
        src: a text file.
        refs: text files.
        test_set: a name that sacreBLEU knows.
        langs: of the test set; without it, the configuration's.

    Raises:
        ConfigError: what is named does not go together, or nothing is named.
        DataError, FileError: something cannot be read.
    """
    if test_set is not None:
        if src or refs:
            raise ConfigError("--test-set brings its own source and references: leave out yours")
        if langs is None and config is None:
            raise ConfigError("--test-set needs --langs, for example en-de")
        langs = langs or f"{config.data.src_lang}-{config.data.tgt_lang}"  # type: ignore[union-attr]
        return EvaluationData(*find_test_set(test_set, langs), langs.rpartition("-")[2])
    if langs is not None:
        raise ConfigError("--langs is for --test-set")
    tgt_lang = config.data.tgt_lang if config else ""
    if refs:
        if config and not src:
            raise ConfigError("--ref needs --src with the text to translate")
        references = [list(read_lines(ref, keep_bom=True)) for ref in refs]
        sources = list(read_lines(src)) if src else []
        for ref, lines in zip(refs, references, strict=True):
            if src and len(lines) != len(sources):  # now, not after an hour of translating
                raise DataError(f"{src} has {len(sources)} lines, but {ref} has {len(lines)}")
        return EvaluationData(sources, references, tgt_lang)
    if src or config is None:
        raise ConfigError("there are no references: name them with --ref, or a --test-set")
    if not config.data.test:
        raise ConfigError("the model's configuration has no data.test: give --src and --ref")
    pairs = [pair for corpus in config.data.test for pair in read_pairs(corpus, config.data)]
    return EvaluationData([pair.src for pair in pairs], [[pair.tgt for pair in pairs]], tgt_lang)


def render(scores: Sequence[Score], as_json: bool) -> Iterator[str]:
    """Write scores as lines for people, or as one JSON array."""
    if not as_json:
        yield from map(str, scores)
        return
    fields = [{k: v for k, v in asdict(score).items() if v is not None} for score in scores]
    yield json.dumps(fields, ensure_ascii=False, indent=2)


@dataclass(frozen=True)
class AlignmentScore:
    """How well word alignments agree with those of people, as fractions."""

    precision: float
    """|A & P| / |A|: of the links found, those that are possible."""
    recall: float
    """|A & S| / |S|: of the sure links, those found."""
    error_rate: float
    """AER = 1 - (|A & S| + |A & P|) / (|A| + |S|)."""


def score_alignments(
    found: Sequence[Collection[tuple[int, int]]],
    sure: Sequence[Collection[tuple[int, int]]],
    possible: Sequence[Collection[tuple[int, int]]] | None = None,
) -> AlignmentScore:
    """Compute precision, recall and alignment error rate (Och and Ney 2003, section 5.1).

    Links are counted over all sentences together.

    Args:
        found: A, the links (source word, target word) of each sentence.
        sure: S, those of the reference.
        possible: P, which the sure ones are added to. Without it there is one kind of link, and
            the error rate is 1 - F1.

    Raises:
        DataError: there is no link to score, or the numbers of sentences differ.
    """
    possible = sure if possible is None else possible
    if not len(found) == len(sure) == len(possible):
        raise DataError(
            f"alignments of {len(found)} sentences, but {len(sure)} and {len(possible)} in the "
            "reference: they must match sentence by sentence"
        )
    num_found = num_sure = found_sure = found_possible = 0
    for links, sure_links, more in zip(found, map(set, sure), possible, strict=True):
        num_found += len(set(links))
        num_sure += len(sure_links)
        found_sure += len(sure_links & set(links))
        found_possible += len((sure_links | set(more)) & set(links))
    if not num_found or not num_sure:
        raise DataError("there are no links to score, or none in the reference")
    return AlignmentScore(
        found_possible / num_found,
        found_sure / num_sure,
        1 - (found_sure + found_possible) / (num_found + num_sure),
    )
