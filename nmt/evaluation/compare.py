"""Comparison of systems that translate the same text, after compare-mt.

Neubig et al. 2019, "compare-mt: A Tool for Holistic Comparison of Language Generation Systems".
Words are the tokens of BLEU, so that text need not be tokenised.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import zip_longest
from typing import Any

from nmt.errors import DataError
from nmt.evaluation import groups
from nmt.evaluation.metrics import BOOTSTRAP_SAMPLES, EvaluateOptions, sacrebleu_metric
from nmt.evaluation.ngrams import MAX_ORDER, Ngram, differences, match_counts

METRICS = ("bleu", "chrf")

System = tuple[str, Sequence[str]]
"""A name and translations."""


@dataclass(frozen=True)
class SystemScore:
    """A corpus-level score of a system, and its difference from the baseline.

    Attributes:
        score: points, 0 to 100.
        mean: mean of the bootstrap samples.
        margin: half the width of the 95 % confidence interval around the mean.
        p_bootstrap: p-value of paired bootstrap resampling (Koehn 2004); None for the baseline.
        p_randomization: p-value of paired approximate randomization (Riezler and Maxwell 2005);
            None for the baseline and for groups of sentences.
    """

    score: float
    mean: float
    margin: float
    p_bootstrap: float | None = None
    p_randomization: float | None = None


Scores = dict[str, list[SystemScore]]
"""Scores of all systems, the baseline first, by the name of the metric."""


@dataclass(frozen=True)
class Group:
    """Scores of the sentences with the same property.

    Attributes:
        name: the property, such as "11-20".
        sentences: number of sentences.
        scores: their scores.
    """

    name: str
    sentences: int
    scores: Scores


@dataclass(frozen=True)
class Grouping:
    """Groups of sentences that differ in one property, and their scores.

    Attributes:
        name: the property, such as "length of the reference in words".
        groups: the groups; each sentence is in one of them.
    """

    name: str
    groups: list[Group]


@dataclass(frozen=True)
class Example:
    """A sentence that one system translates better than the other.

    Attributes:
        line: its number, from 1.
        src: the source sentence; None if there is none.
        reference: the first reference.
        baseline, system: the two translations.
        baseline_chrf, system_chrf: their sentence-level chrF.
    """

    line: int
    src: str | None
    reference: str
    baseline: str
    system: str
    baseline_chrf: float
    system_chrf: float


@dataclass(frozen=True)
class Pair:
    """A system next to the baseline.

    Attributes:
        system: its number among the systems, from 0; the baseline is 0.
        better, worse: numbers of sentences with a higher and a lower chrF than the baseline's.
        wins, losses: those with the largest differences, largest first.
        words_won, words_lost: words that the system gets right more often than the baseline, and
            the reverse, by log odds.
        ngrams_won, ngrams_lost: the same for two to four words in a row.
    """

    system: int
    better: int
    worse: int
    wins: list[Example]
    losses: list[Example]
    words_won: list[Ngram]
    words_lost: list[Ngram]
    ngrams_won: list[Ngram]
    ngrams_lost: list[Ngram]


@dataclass(frozen=True)
class Comparison:
    """The scores of systems, and their differences from the first one, the baseline.

    Attributes:
        systems: their names.
        sentences: number of sentences.
        samples: number of bootstrap samples.
        trials: number of trials of approximate randomization.
        signatures: settings needed to reproduce the scores, by the name of the metric.
        scores: scores of all sentences.
        groupings: scores by properties of the first reference.
        pairs: each system except the baseline, compared with it.
    """

    systems: list[str]
    sentences: int
    samples: int
    trials: int
    signatures: dict[str, str]
    scores: Scores
    groupings: list[Grouping]
    pairs: list[Pair]

    def to_json(self) -> str:
        """Return the comparison as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, indent=2)


def compare(
    systems: Sequence[System],
    references: Sequence[Sequence[str]],
    src: Sequence[str] = (),
    *,
    train: Iterable[str] | None = None,
    options: EvaluateOptions | None = None,
    samples: int = 1000,
    trials: int = 10_000,
    top: int = 10,
) -> Comparison:
    """Compare systems with the first one, the baseline.

    Scores, intervals and p-values are those that sacreBLEU's command prints for its paired tests,
    except that p is 1 for equal scores, and at least 2 ** (1 - n) for n sentences (randomization:
    n that differ). The environment variable SACREBLEU_SEED sets the seed.

    Args:
        systems: two or more.
        references: one or more lists of references. Sentences are grouped by the first.
        src: source sentences to show, if there are any.
        train: text in the target language whose words are counted; by default, the first
            references.
        options: settings of BLEU and chrF; the metrics are always these two.
        samples: number of bootstrap samples.
        trials: number of trials of approximate randomization.
        top: number of sentences and n-grams in each list.

    Raises:
        DataError: if there is nothing to compare, or numbers of lines differ.
        ConfigError, FileError: as in `nmt.evaluation.metrics.evaluate`.
    """
    if len(systems) < 2 or not references:
        raise DataError("a comparison needs two or more systems and a reference")
    named = [(f"reference {number}", lines) for number, lines in enumerate(references, 1)]
    check_lines([*named, *systems, *([("source", src)] if src else [])])
    # The sacrebleu command strips lines, too.
    systems = [(name, [line.rstrip() for line in lines]) for name, lines in systems]
    references = [[line.rstrip() for line in lines] for lines in references]
    options = replace(options or EvaluateOptions(), confidence=True)  # checks the seed
    metrics = {name: _remembering(sacrebleu_metric(name, options, force=True)) for name in METRICS}
    split = _word_splitter(metrics["bleu"])
    bootstrapped, signatures = _test(systems, references, metrics, "bs", samples)
    randomized, _ = _test(systems, references, metrics, "ar", trials)
    return Comparison(
        systems=[name for name, _ in systems],
        sentences=len(references[0]),
        samples=samples,
        trials=trials,
        signatures=signatures,
        scores={m: _scores(systems, found, randomized[m]) for m, found in bootstrapped.items()},
        groupings=[
            Grouping(name, _score_groups(found, systems, references, metrics, samples))
            for name, found in _groupings(references[0], split, train).items()
        ],
        pairs=_pairs(systems, references, src, metrics["chrf"], split, top),
    )


def paired_bootstrap(
    baseline: Sequence[str],
    system: Sequence[str],
    references: Sequence[str],
    metric: str,
    options: EvaluateOptions,
) -> float:
    """Return the p-value of the difference between two systems (Koehn 2004).

    Args:
        baseline, system: translations of the same text.
        references: a reference of each.
        metric: bleu or chrf.
        options: its settings.

    Raises:
        ConfigError, FileError: as in `nmt.evaluation.metrics.evaluate`.
    """
    systems = [
        (name, [line.rstrip() for line in lines])
        for name, lines in (("baseline", baseline), ("system", system))
    ]
    metrics = {metric: sacrebleu_metric(metric, options, force=True)}
    stripped = [[line.rstrip() for line in references]]
    results, _ = _test(systems, stripped, metrics, "bs", BOOTSTRAP_SAMPLES)
    [found] = results.values()
    scores = _scores(systems, found)
    assert scores[1].p_bootstrap is not None
    return scores[1].p_bootstrap


def check_lines(texts: Sequence[System]) -> None:
    """Check that texts are not empty and have the same number of lines.

    Raises:
        DataError: if one is empty, or has more or fewer lines than the first; the message names
            them.
    """
    first, lines = texts[0]
    for name, others in texts:
        if not others:
            raise DataError(f"{name}: empty; there is nothing to compare")
        if len(others) != len(lines):
            raise DataError(
                f"{first} has {len(lines)} lines, but {name} has {len(others)}: they must "
                "correspond line by line"
            )


def _word_splitter(bleu: Any) -> Callable[[str], list[str]]:
    """Return a function that splits a line into words as BLEU does."""

    def split(line: str) -> list[str]:
        words: str = bleu.tokenizer(line.rstrip().lower() if bleu.lowercase else line.rstrip())
        return words.split()

    return split


# ---------------------------------------------------------------- scores


def _remembering(metric: Any) -> Any:
    """Make a metric count the n-grams of each sentence once, rather than for every test and group.

    Returns:
        The same object.
    """
    extract = metric._extract_corpus_statistics

    @cache
    def counts(line: str, refs: tuple[str, ...]) -> Any:
        return extract([line], [[ref] for ref in refs])[0]

    def extract_remembered(lines: Sequence[str], references: Sequence[Sequence[str]]) -> list[Any]:
        return list(map(counts, lines, zip(*references, strict=True)))

    metric._extract_corpus_statistics = extract_remembered
    return metric


def _test(
    systems: Sequence[System],
    references: Sequence[Sequence[str]],
    metrics: dict[str, Any],
    test: str,
    repetitions: int,
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Run a paired test of sacreBLEU.

    Args:
        systems, references: the texts; the first system is the baseline.
        metrics: sacreBLEU's metrics by name.
        test: `bs` for bootstrap resampling, `ar` for approximate randomization.
        repetitions: number of samples or trials.

    Returns:
        The result of each system and the signature, by the name of the metric.
    """
    from sacrebleu.significance import PairedTest

    signatures, results = PairedTest(
        list(systems), metrics, references, test_type=test, n_samples=repetitions
    )()
    names = list(signatures)
    found: dict[str, list[Any]] = {name: list(results[name]) for name in names}
    return found, {name: str(signatures[name]) for name in names}


def _scores(
    systems: Sequence[System], bootstrapped: Sequence[Any], randomized: Sequence[Any] = ()
) -> list[SystemScore]:
    """Put together the results of the two tests for all systems."""
    baseline = bootstrapped[0]

    def p_value(result: Any, num: int) -> float | None:
        if result is None or result.p_value is None:
            return None
        least = 1.0 if result.score == baseline.score else 2.0 ** (1 - num)
        return max(float(result.p_value), least)

    scores = []
    for (_, lines), one, other in zip_longest(systems, bootstrapped, randomized):
        # sacreBLEU counts only larger differences, so a few sentences would get its lowest p. But
        # of the 2 ** n ways to exchange n sentences between two systems, at least two give an equal
        # difference: none and all.
        num_different = sum(map(operator.ne, systems[0][1], lines))
        p_values = p_value(one, len(lines)), p_value(other, num_different)
        scores.append(SystemScore(float(one.score), float(one.mean), float(one.ci), *p_values))
    return scores


def _groupings(
    lines: Sequence[str], split: Callable[[str], list[str]], train: Iterable[str] | None
) -> dict[str, groups.Groups]:
    """Return the groups of references by each property, by its name."""
    sentences = [split(line) for line in lines]
    vocabulary = {word for words in sentences for word in words}
    counts = groups.count_words(lines if train is None else train, split, vocabulary)
    text = "the references" if train is None else "the training text"
    return {
        "length of the reference in words": groups.by_length(sentences),
        f"frequency of the rarest word in {text}": groups.by_rarest_word(sentences, counts),
        "end of the reference": groups.by_ending(lines),
        "digits in the reference": groups.by_digits(lines),
    }


def _score_groups(
    found: groups.Groups,
    systems: Sequence[System],
    references: Sequence[Sequence[str]],
    metrics: dict[str, Any],
    samples: int,
) -> list[Group]:
    scored = []
    for name, numbers in found.items():
        of_group = [(system, [lines[number] for number in numbers]) for system, lines in systems]
        refs = [[lines[number] for number in numbers] for lines in references]
        results, _ = _test(of_group, refs, metrics, "bs", samples)
        scores = {metric: _scores(of_group, values) for metric, values in results.items()}
        scored.append(Group(name, len(numbers), scores))
    return scored


# ---------------------------------------------------------------- sentences and n-grams


def _pairs(
    systems: Sequence[System],
    references: Sequence[Sequence[str]],
    src: Sequence[str],
    chrf: Any,
    split: Callable[[str], list[str]],
    top: int,
) -> list[Pair]:
    refs = list(zip(*references, strict=True))
    words = [[split(ref) for ref in each] for each in refs]
    scores = [
        [float(chrf.sentence_score(line, ref).score) for line, ref in zip(lines, refs, strict=True)]
        for _, lines in systems
    ]
    matches = [match_counts(map(split, lines), words) for _, lines in systems]

    def example(number: int, system: int) -> Example:
        return Example(
            line=number + 1,
            src=src[number] if src else None,
            reference=refs[number][0],
            baseline=systems[0][1][number],
            system=systems[system][1][number],
            baseline_chrf=scores[0][number],
            system_chrf=scores[system][number],
        )

    def pair(system: int) -> Pair:
        gains = [after - before for before, after in zip(scores[0], scores[system], strict=True)]
        numbers = sorted(range(len(gains)), key=lambda number: -abs(gains[number]))
        better = [number for number in numbers if gains[number] > 0]
        worse = [number for number in numbers if gains[number] < 0]
        words_won, words_lost = differences(matches[0], matches[system], range(1, 2), top)
        longer = range(2, MAX_ORDER + 1)
        ngrams_won, ngrams_lost = differences(matches[0], matches[system], longer, top)
        return Pair(
            system=system,
            better=len(better),
            worse=len(worse),
            wins=[example(number, system) for number in better[:top]],
            losses=[example(number, system) for number in worse[:top]],
            words_won=words_won,
            words_lost=words_lost,
            ngrams_won=ngrams_won,
            ngrams_lost=ngrams_lost,
        )

    return [pair(system) for system in range(1, len(systems))]
