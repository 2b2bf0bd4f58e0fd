"""Labelled brackets of parses against those of a treebank, counted as EVALB counts them.

EVALB is the scorer of Sekine and Collins that the literature on parsing uses. Words with certain
tags, such as punctuation, are taken out of both trees, and with them the brackets that hold nothing
else. The other brackets match if they have the same label and hold the same words. Which tags and
labels are left out or count as equal is set by `nmt.parsing.evalb_parameters`.

Counts per sentence are equal to those of EVALB, with these exceptions:

- Linearised trees, which EVALB cannot read, are scored too. A line without any word is one of
  them and is skipped; EVALB takes the `(NP )` in it for an empty word.
- EVALB gives up where it meets a word outside a leaf, and after a number of errors. Here such
  sentences are errors, and the others count.
- A bracket that closes before one opens, as in `(S (NN a))) ((VP (VB b))`, is an error. EVALB
  leaves the bounds of its arrays there, after a last bracket without a word such as `(TOP`, and on
  sentences of more than 200 words or brackets.
- With QUOTE_LABEL, EVALB may insert one quotation mark twice when two stand side by side. Here
  each is inserted once.
- A reference that is not a tree is refused.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from nmt import __version__
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

_QUOTES = {"'", '"', "/"}
"""The words that EVALB takes for quotation marks where they have a tag of QUOTE_LABEL."""

# A leaf of a tree in brackets. A linearised tree has none, even if its closing brackets have no
# labels: there every bracket is a token of its own, as in (NP XX ).
_LEAF = re.compile(r"\( \s* [^\s()]+ \s+ [^\s()]+ \) (?= [\s()] | $)", re.ASCII | re.VERBOSE)
_FUNCTION_TAGS = re.compile(r"[-=].*")


class Status(Enum):
    """What became of a sentence."""

    VALID = "valid"
    ERROR = "error"
    """The parse is a tree over other words, or its brackets do not match. It does not count."""
    SKIPPED = "skipped"
    """The parse has no words, or none that count. It does not count."""


@dataclass(frozen=True)
class Comparison:
    """A parse beside the treebank's tree."""

    status: Status
    length: int
    """Words of the treebank's tree, punctuation included."""
    matched: int = 0
    """Brackets that both have."""
    gold: int = 0
    """Brackets of the treebank's tree."""
    parsed: int = 0
    """Brackets of the parse."""
    malformed: bool = False
    """Whether brackets of a linearised tree had to be mended."""
    wrong_length: bool = False
    """Whether a linearised tree had another number of words."""


@dataclass(frozen=True)
class BracketScore:
    """Sums over sentences; percentages are of those that are valid.

    Attributes:
        matched: brackets that both the parses and the treebank have.
        gold: brackets of the treebank.
        parsed: brackets of the parses.
        complete: sentences whose brackets are all right, with none missing.
        valid: sentences that count.
    """

    matched: int
    gold: int
    parsed: int
    complete: int
    valid: int

    @classmethod
    def of(cls, comparisons: Iterable[Comparison]) -> BracketScore:
        """Add up the sentences that are valid."""
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
        """Percentage of the parses' brackets that are right."""
        return _percentage(self.matched, self.parsed)

    @property
    def recall(self) -> float:
        """Percentage of the treebank's brackets that are found."""
        return _percentage(self.matched, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _f1(self.matched, self.gold, self.parsed)

    @property
    def complete_match(self) -> float:
        """Percentage of sentences with all brackets right."""
        return _percentage(self.complete, self.valid)

    def __str__(self) -> str:
        """Write the score with EVALB's digits."""
        return (
            f"F1 = {self.f1:.2f} P = {self.precision:.2f} R = {self.recall:.2f} "
            f"complete match = {self.complete_match:.2f}"
        )


def compare(hypothesis: str, gold: Tree, parameters: EvalbParameters = COLLINS) -> Comparison:
    """Compare a parse with the treebank's tree.

    A tree in brackets is one with a leaf `(TAG word)`, without a space before the closing bracket.
    It is never repaired: if it has other words, or brackets that do not match, it is an error as
    in EVALB.

    Anything else is a linearised tree. It takes its words and tags from the treebank's tree, as
    its own tags may all be XX. If it is broken, or has too few or too many words, it is repaired
    and counts like any other; it is never an error. With no words at all it is skipped, as EVALB
    skips an empty parse.

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
    found = _compare(fit(linear, gold.leaves), gold, length, parameters)
    if found.status is not Status.VALID:
        return found
    wrong_length = len(linear.leaves) != len(gold.leaves)
    return replace(found, malformed=not sound, wrong_length=wrong_length)


def _compare(
    parsed: Tree, gold: Tree, length: int, parameters: EvalbParameters, is_tree: bool = True
) -> Comparison:
    ours = [leaf.tag not in parameters.deleted for leaf in gold.leaves]
    theirs = [leaf.tag not in parameters.deleted for leaf in parsed.leaves]
    if not any(theirs):
        return Comparison(Status.SKIPPED, length)
    if not is_tree:
        return Comparison(Status.ERROR, length)
    if sum(ours) != sum(theirs):
        _keep_quotes(gold.leaves, ours, parsed.leaves, theirs, parameters)
    gold, parsed = project(gold, ours), project(parsed, theirs)
    if len(gold.leaves) != len(parsed.leaves) or not all(
        parameters.equal_word(a.word, b.word)
        for a, b in zip(gold.leaves, parsed.leaves, strict=True)
    ):
        return Comparison(Status.ERROR, length)
    right, found = _brackets(gold, parameters), _brackets(parsed, parameters)
    matched = _count_matches(right, found, parameters)
    return Comparison(Status.VALID, length, matched, len(right), len(found))


def _keep_quotes(
    gold: Sequence[Leaf],
    ours: list[bool],
    parsed: Sequence[Leaf],
    theirs: list[bool],
    parameters: EvalbParameters,
) -> None:
    """Keep quotation marks that one tree drops and the other keeps.

    An apostrophe may be tagged as a quotation mark, which is dropped, or as a possessive, which is
    not. Two marks are the same one if as many words are kept before them.

    Args:
        gold: leaves of the treebank's tree.
        ours: for each of them, whether it is kept; changed in place.
        parsed: leaves of the parse.
        theirs: the same for them.
        parameters: which tags may be confused.
    """

    def quotes(leaves: Sequence[Leaf]) -> list[int]:
        return [
            place
            for place, leaf in enumerate(leaves)
            if leaf.tag in parameters.quotes and leaf.word in _QUOTES
        ]

    for there in quotes(parsed):
        before = sum(theirs[:there])
        for here in quotes(gold):
            if ours[here] != theirs[there] and sum(ours[:here]) == before:
                ours[here] = theirs[there] = True


def _brackets(tree: Tree, parameters: EvalbParameters) -> list[Span]:
    """List the brackets that count, without their function tags: NP-SBJ is NP."""
    spans = (span._replace(label=_FUNCTION_TAGS.sub("", span.label)) for span in tree.spans)
    return [span for span in spans if parameters.counts(span.label)]


def _count_matches(
    gold: Iterable[Span], parsed: Iterable[Span], parameters: EvalbParameters
) -> int:
    """Match each bracket of the treebank with the first of the parse that is still free.

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
        score: of all sentences.
        short: of those with at most `parameters.cutoff` words.
        counts: how many sentences there are, and how many were in any way irregular.
        parameters: what the sentences were compared by.
    """

    score: BracketScore
    short: BracketScore
    counts: dict[str, int]
    parameters: EvalbParameters = COLLINS

    @classmethod
    def of(
        cls, comparisons: Sequence[Comparison], parameters: EvalbParameters = COLLINS
    ) -> BracketReport:
        """Sum up the comparisons of all sentences."""
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
        """Write all that a table in a paper would have."""
        counts = " ".join(f"{name} = {count}" for name, count in self.counts.items())
        text = f"{self.score} (len<={self.parameters.cutoff}: {self.short}) {counts}"
        # EVALB stops at the second error above MAX_ERROR, not at the first.
        if self.counts["errors"] > self.parameters.max_errors + 1:
            text += (
                f" WARNING: {self.counts['errors']} of {self.counts['sentences']} sentences are "
                "errors and not in the score; EVALB gives no score with so many (MAX_ERROR "
                f"{self.parameters.max_errors})"
            )
        return text

    def numbers(self) -> dict[str, float]:
        """The same for programs."""
        named = {"": self.score, f"len{self.parameters.cutoff}_": self.short}
        return {
            f"{prefix}{name}": getattr(score, name)
            for prefix, score in named.items()
            for name in ("f1", "precision", "recall", "complete_match")
        } | self.counts


def read_references(lines: Iterable[str]) -> list[Tree]:
    """Read the treebank's trees, one per line, as EVALB does.

    Raises:
        DataError: a line has words outside brackets, or brackets that do not match.
    """
    trees = []
    for number, line in enumerate(lines, 1):
        tree, problem = parse_forest(line)
        if problem:
            raise DataError(
                f"line {number} of the reference is not a tree in brackets: {problem}; bracket-f1 "
                "needs the PREFIX.trees that scripts/treebank writes"
            )
        trees.append(tree)
    return trees


def bootstrap(comparisons: Sequence[Comparison], samples: int) -> tuple[float, float]:
    """Estimate the 95 % confidence interval of F1 by resampling sentences, as sacreBLEU does.

    Sentences that do not count are not drawn.

    Args:
        comparisons: of all sentences.
        samples: how many corpora to draw.

    Returns:
        The mean and half the width of the interval, in points.
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
    """The seed as sacreBLEU takes it from the environment; `none` draws a new one each time."""
    return os.environ.get("SACREBLEU_SEED", "12345").lower()


def signature(samples: int | None, parameters: EvalbParameters = COLLINS) -> str:
    """Write all that somebody else needs to repeat the score."""
    drawn = f"bs:{samples}|seed:{bootstrap_seed()}|" if samples else ""
    return f"nrefs:1|{drawn}params:{parameters.name}|repair:yes|version:nmt-{__version__}"


def _f1(matched: float, gold: float, parsed: float) -> float:
    # 2PR / (P + R), where P = matched / parsed and R = matched / gold.
    return _percentage(2 * matched, gold + parsed)


def _percentage(part: float, whole: float) -> float:
    return 100.0 * float(part) / float(whole) if whole else 0.0
