"""Labelled bracket scores of parses against a treebank, counted as in EVALB.

EVALB is the scorer of Sekine and Collins that the parsing literature uses. Words with certain tags,
such as punctuation, are removed from both trees, together with brackets around nothing else. The
remaining brackets match if they have the same label and span the same words. The parameters in
`nmt.parsing.evalb_parameters` set which tags and labels are removed or count as equal.

Counts per sentence equal those of EVALB, with these exceptions:

- Linearised trees, which EVALB cannot read, are scored too. A line without any word is treated as
  one and skipped; EVALB reads the `(NP )` in it as an empty word.
- EVALB stops at a word outside a leaf, and after a number of errors. Here such sentences are
  errors, and the others count.
- A bracket that closes before one opens, as in `(S (NN a))) ((VP (VB b))`, is an error. EVALB
  writes outside its arrays there, after a final bracket without a word such as `(TOP`, and on
  sentences of more than 200 words or brackets.
- With QUOTE_LABEL, EVALB may insert a quotation mark twice if two are adjacent. Here each is
  inserted once.
- A reference that is not a tree is refused.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from nmt.errors import DataError
from nmt.parsing.evalb_parameters import COLLINS, EvalbParameters
from nmt.parsing.trees import (
    TRACE,
    Leaf,
    Span,
    Tree,
    fit,
    parse_forest,
    parse_linearised,
    project,
)
from nmt.version import __version__

_QUOTES = {"'", '"', "/"}
"""The words that EVALB treats as quotation marks if they have a tag of QUOTE_LABEL."""

# A leaf of a tree in brackets. A linearised tree has none, even if its closing brackets have no
# labels, because every bracket in it is a separate token, as in (NP XX ).
_LEAF = re.compile(r"\( \s* [^\s()]+ \s+ [^\s()]+ \) (?= [\s()] | $)", re.ASCII | re.VERBOSE)
_FUNCTION_TAGS = re.compile(r"[-=].*")


class Status(Enum):
    """The outcome of comparing a sentence."""

    VALID = "valid"
    ERROR = "error"
    """The parse has other words or unbalanced brackets. It does not count."""
    SKIPPED = "skipped"
    """The parse has no words, or none that count. It is left out of the score."""


@dataclass(frozen=True)
class Comparison:
    """The counts of a parse compared with the treebank's tree."""

    status: Status
    length: int
    """Words of the treebank's tree, punctuation included."""
    matched: int = 0
    """Brackets that match."""
    gold: int = 0
    """Brackets of the treebank's tree."""
    parsed: int = 0
    """Brackets of the parse."""
    malformed: bool = False
    """Whether brackets of a linearised tree were repaired."""
    wrong_length: bool = False
    """Whether a linearised tree has too few or too many words."""


@dataclass(frozen=True)
class BracketScore:
    """Sums over the valid sentences.

    Attributes:
        matched: brackets of the parses that match the treebank.
        gold: brackets of the treebank.
        parsed: brackets of the parses.
        complete: sentences in which all brackets match.
        valid: sentences that count.
    """

    matched: int
    gold: int
    parsed: int
    complete: int
    valid: int

    @classmethod
    def of(cls, comparisons: Iterable[Comparison]) -> BracketScore:
        """Return the sums over the valid sentences."""
        valid = [c for c in comparisons if c.status is Status.VALID]
        return cls(
            sum(c.matched for c in valid),
            sum(c.gold for c in valid),
            sum(c.parsed for c in valid),
            sum(c.matched == c.gold == c.parsed for c in valid),
            len(valid),
        )

    @property
    def precision(self) -> float:
        """Percentage of the parses' brackets that match."""
        return _percentage(self.matched, self.parsed)

    @property
    def recall(self) -> float:
        """Percentage of the treebank's brackets that match."""
        return _percentage(self.matched, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _f1(self.matched, self.gold, self.parsed)

    @property
    def complete_match(self) -> float:
        """Percentage of sentences in which all brackets match."""
        return _percentage(self.complete, self.valid)

    def __str__(self) -> str:
        """Return the scores with two decimals, as in EVALB."""
        return (
            f"F1 = {self.f1:.2f} P = {self.precision:.2f} R = {self.recall:.2f} "
            f"complete match = {self.complete_match:.2f}"
        )


def compare(hypothesis: str, gold: Tree, parameters: EvalbParameters = COLLINS) -> Comparison:
    """Compare a parse with the treebank's tree.

    A hypothesis with a leaf `(TAG word)`, without a space before the closing bracket, is a tree in
    brackets. It is never repaired: with other words or unbalanced brackets it is an error, as in
    EVALB.

    Anything else is a linearised tree. It takes its words and tags from the treebank's tree, since
    its own tags may all be XX. A malformed tree, or one with too few or too many words, is repaired
    and counts like any other; it is never an error. Without any words it is skipped, as EVALB skips
    an empty parse.

    Args:
        hypothesis: a linearised tree, or trees in brackets with tags and words.
        gold: the treebank's tree as read by `parse_forest`.
        parameters: which brackets count.
    """
    length = sum(leaf.tag not in parameters.deleted_for_length for leaf in gold.leaves)
    if _LEAF.search(hypothesis):
        parsed, problem = parse_forest(hypothesis)
        return _compare(parsed, gold, length, parameters, is_tree=not problem)
    linear, sound = parse_linearised(hypothesis)
    gold = project(gold, [leaf.tag != TRACE for leaf in gold.leaves])
    if not linear.leaves:
        return Comparison(Status.SKIPPED, length)
    comparison = _compare(fit(linear, gold.leaves), gold, length, parameters)
    if comparison.status is not Status.VALID:
        return comparison
    wrong_length = len(linear.leaves) != len(gold.leaves)
    return replace(comparison, malformed=not sound, wrong_length=wrong_length)


def _compare(
    parsed: Tree, gold: Tree, length: int, parameters: EvalbParameters, is_tree: bool = True
) -> Comparison:
    gold_kept = [leaf.tag not in parameters.deleted for leaf in gold.leaves]
    parsed_kept = [leaf.tag not in parameters.deleted for leaf in parsed.leaves]
    if not any(parsed_kept):
        return Comparison(Status.SKIPPED, length)
    if not is_tree:
        return Comparison(Status.ERROR, length)
    if sum(gold_kept) != sum(parsed_kept):
        _keep_quotes(gold.leaves, gold_kept, parsed.leaves, parsed_kept, parameters)
    gold, parsed = project(gold, gold_kept), project(parsed, parsed_kept)
    if len(gold.leaves) != len(parsed.leaves) or not all(
        parameters.equal_word(a.word, b.word)
        for a, b in zip(gold.leaves, parsed.leaves, strict=True)
    ):
        return Comparison(Status.ERROR, length)
    gold_spans, parsed_spans = _brackets(gold, parameters), _brackets(parsed, parameters)
    matched = _count_matches(gold_spans, parsed_spans, parameters)
    return Comparison(Status.VALID, length, matched, len(gold_spans), len(parsed_spans))


def _keep_quotes(
    gold: Sequence[Leaf],
    gold_kept: list[bool],
    parsed: Sequence[Leaf],
    parsed_kept: list[bool],
    parameters: EvalbParameters,
) -> None:
    """Keep quotation marks that one tree drops and the other keeps.

    An apostrophe may be tagged as a quotation mark, which is dropped, or as a possessive, which is
    not. Two marks are taken as the same if equally many words are kept before them.

    Args:
        gold: leaves of the treebank's tree.
        gold_kept: whether each of them is kept; changed in place.
        parsed: leaves of the parse.
        parsed_kept: whether each of them is kept; changed in place.
        parameters: the tags that may be confused.
    """

    def quotes(leaves: Sequence[Leaf]) -> list[int]:
        return [
            index
            for index, leaf in enumerate(leaves)
            if leaf.tag in parameters.quotes and leaf.word in _QUOTES
        ]

    for j in quotes(parsed):
        kept_before = sum(parsed_kept[:j])
        for i in quotes(gold):
            if gold_kept[i] != parsed_kept[j] and sum(gold_kept[:i]) == kept_before:
                gold_kept[i] = parsed_kept[j] = True


def _brackets(tree: Tree, parameters: EvalbParameters) -> list[Span]:
    """Return the brackets that count, without function tags: NP-SBJ becomes NP."""
    spans = (span._replace(label=_FUNCTION_TAGS.sub("", span.label)) for span in tree.spans)
    return [span for span in spans if parameters.counts(span.label)]


def _count_matches(
    gold: Iterable[Span], parsed: Iterable[Span], parameters: EvalbParameters
) -> int:
    """Match each bracket of the treebank with the first free one of the parse, and count matches.

    The order matters only where EQ_LABEL makes a label equal to several others.
    """
    free: dict[tuple[int, int], list[str]] = defaultdict(list)
    for label, start, end in parsed:
        free[start, end].append(label)
    matched = 0
    for label, start, end in gold:
        for other in free[start, end]:
            if not parameters.labelled or parameters.equal_label(label, other):
                free[start, end].remove(other)
                matched += 1
                break
    return matched


@dataclass(frozen=True)
class BracketReport:
    """The score of a corpus of parses.

    Attributes:
        score: score of all sentences.
        short: score of those with at most `parameters.cutoff` words.
        counts: number of sentences, and of each kind of irregular one.
        parameters: parameters of the comparison.
    """

    score: BracketScore
    short: BracketScore
    counts: dict[str, int]
    parameters: EvalbParameters = COLLINS

    @classmethod
    def of(
        cls, comparisons: Sequence[Comparison], parameters: EvalbParameters = COLLINS
    ) -> BracketReport:
        """Return the report on the comparisons of all sentences."""
        counts = {
            "sentences": len(comparisons),
            "errors": sum(c.status is Status.ERROR for c in comparisons),
            "skipped": sum(c.status is Status.SKIPPED for c in comparisons),
            "malformed": sum(c.malformed for c in comparisons),
            "wrong_length": sum(c.wrong_length for c in comparisons),
        }
        short = [c for c in comparisons if c.length <= parameters.cutoff]
        return cls(BracketScore.of(comparisons), BracketScore.of(short), counts, parameters)

    def __str__(self) -> str:
        """Return all the figures that a table in a paper would show, on one line."""
        counts = " ".join(f"{name} = {count}" for name, count in self.counts.items())
        text = f"{self.score} (len<={self.parameters.cutoff}: {self.short}) {counts}"
        # EVALB stops at the second error above MAX_ERROR, not at the first.
        if self.counts["errors"] > self.parameters.max_errors + 1:
            text += (
                f" WARNING: {self.counts['errors']} of {self.counts['sentences']} sentences are "
                "errors and left out of the score; with this many, EVALB gives no score (MAX_ERROR "
                f"{self.parameters.max_errors})"
            )
        return text

    def numbers(self) -> dict[str, float]:
        """Return scores and counts by name, for JSON output."""
        named = {"": self.score, f"len{self.parameters.cutoff}_": self.short}
        return {
            f"{prefix}{name}": getattr(score, name)
            for prefix, score in named.items()
            for name in ("f1", "precision", "recall", "complete_match")
        } | self.counts


def read_references(lines: Iterable[str]) -> list[Tree]:
    """Read the treebank's trees, one per line, as EVALB does.

    Raises:
        DataError: if a line has words outside brackets, or unbalanced brackets.
    """
    trees = []
    for number, line in enumerate(lines, 1):
        tree, problem = parse_forest(line)
        if problem:
            raise DataError(
                f"line {number} of the reference is not a tree in brackets: {problem}; bracket-f1 "
                "needs the PREFIX.trees that nmt treebank writes"
            )
        trees.append(tree)
    return trees


def bootstrap(comparisons: Sequence[Comparison], samples: int) -> tuple[float, float]:
    """Estimate the 95 % confidence interval of F1 by resampling sentences, as sacreBLEU does.

    Only valid sentences are drawn.

    Args:
        comparisons: comparisons of all sentences.
        samples: number of corpora to draw.

    Returns:
        Mean and half-width of the interval, in points.
    """
    import numpy as np
    from sacrebleu.significance import estimate_ci

    seed = bootstrap_seed()
    rng = np.random.default_rng(None if seed == "none" else int(seed))
    valid = [c for c in comparisons if c.status is Status.VALID]
    counts = np.array([(c.matched, c.gold, c.parsed) for c in valid]).reshape(-1, 3)
    draws = (rng.integers(len(valid), size=len(valid)) for _ in range(samples))
    mean, margin = estimate_ci(np.array([_f1(*counts[draw].sum(0)) for draw in draws]))
    return float(mean), float(margin)


def bootstrap_seed() -> str:
    """Return sacreBLEU's seed from the environment; `none` means a new one each time."""
    return os.environ.get("SACREBLEU_SEED", "12345").lower()


def signature(samples: int | None, parameters: EvalbParameters = COLLINS) -> str:
    """Return the signature of a score: the settings needed to reproduce it."""
    drawn = f"bs:{samples}|seed:{bootstrap_seed()}|" if samples else ""
    return f"nrefs:1|{drawn}params:{parameters.name}|repair:yes|version:nmt-{__version__}"


def _f1(matched: float, gold: float, parsed: float) -> float:
    # 2PR / (P + R), where P = matched / parsed and R = matched / gold.
    return _percentage(2 * matched, gold + parsed)


def _percentage(part: float, whole: float) -> float:
    return 100.0 * float(part) / float(whole) if whole else 0.0
