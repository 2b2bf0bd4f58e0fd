"""Labelled brackets of parses against a treebank's, as EVALB counts them with COLLINS.prm.

EVALB is the scorer of Sekine and Collins that the literature on parsing reports; COLLINS.prm are
its default parameters. Words whose tags are punctuation are taken out of both trees, and with
them the brackets around nothing else; what remains are brackets with a label and the words from
one to another, and those that both trees have are right.

It differs from EVALB on purpose in these: the root goes under any of the names that treebanks give
it, not TOP alone (`nmt.data.trees.normalised`); quotation marks that one tree takes for possessives
count even where the trees have equally many words; and sentences that cannot be compared are
counted, but never end the comparison, as the eleventh does there.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from nmt import __version__
from nmt.data.trees import Leaf, Span, Tree, fit, normalised, parse_linearised, parse_tree, project
from nmt.errors import DataError

DELETED = {"TOP", "-NONE-", ",", ":", "``", "''", "."}
"""Tags of words, and labels of brackets, that do not count (DELETE_LABEL)."""
QUOTES = {"``", "''", "POS"}
"""Tags that are taken for each other, since ' may be a quotation mark or a possessive
(QUOTE_LABEL)."""
SAME_LABELS = {"PRT": "ADVP"}
"""Labels that count as another one (EQ_LABEL)."""
CUTOFF = 40
"""Sentences of at most so many words, punctuation included, are scored apart too (CUTOFF_LEN)."""
MAX_ERRORS = 10
"""EVALB gives up after so many sentences that it cannot compare (MAX_ERROR)."""

# A leaf of a tree in brackets. A linearised tree has none, even if its closing brackets have no
# labels: there every bracket is a token of its own, as in (NP XX ).
_LEAF = re.compile(r"\( \s* [^\s()]+ \s+ [^\s()]+ \) (?= [\s()] | $)", re.ASCII | re.VERBOSE)


class Status(Enum):
    """What became of a sentence."""

    VALID = "valid"
    ERROR = "error"
    """The parse is a tree over other words, or its brackets do not match. It does not count."""
    SKIPPED = "skipped"
    """The parse has no word but punctuation. It does not count."""


@dataclass(frozen=True)
class Comparison:
    """A parse beside the treebank's tree."""

    status: Status
    length: int
    """Words, punctuation included."""
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


def compare(hypothesis: str, gold: Tree) -> Comparison:
    """Compare a parse with the treebank's tree.

    A linearised tree takes its words and tags from the treebank's tree, since its own tags may
    all be XX; one that is broken, has too few words or too many, or is empty is repaired and
    counts like any other: it is never an error. A tree in brackets is one that has a leaf
    `(TAG word)`, without a space before the closing bracket. It is never repaired: that it has
    other words, or brackets that do not match, is an error as in EVALB.

    Args:
        hypothesis: a linearised tree, or a tree in brackets with tags and words.
        gold: as it is read.
    """
    gold = normalised(gold)
    length = len(gold.leaves)
    if _LEAF.search(hypothesis):
        try:
            parsed, sound, own_length = normalised(parse_tree(hypothesis)), True, length
        except ValueError:
            return Comparison(Status.ERROR, length)
    else:
        linear, sound = parse_linearised(hypothesis)
        parsed, own_length = normalised(fit(linear, gold.leaves)), len(linear.leaves)
    ours, theirs = _kept(gold.leaves, parsed.leaves)
    gold, parsed = project(gold, ours), project(parsed, theirs)
    if not parsed.leaves:
        return Comparison(Status.SKIPPED, length)
    if [leaf.word for leaf in gold.leaves] != [leaf.word for leaf in parsed.leaves]:
        return Comparison(Status.ERROR, length)
    right, found = _brackets(gold), _brackets(parsed)
    return Comparison(
        Status.VALID,
        length,
        (right & found).total(),
        right.total(),
        found.total(),
        malformed=not sound,
        wrong_length=own_length != length,
    )


def _kept(gold: Sequence[Leaf], parsed: Sequence[Leaf]) -> tuple[list[bool], list[bool]]:
    """Say which leaves of either tree count: those that are no punctuation.

    A quotation mark that one tree takes for a possessive counts in both. (EVALB sees to that
    only where the trees are left with different numbers of words.)
    """
    ours = [leaf.tag not in DELETED for leaf in gold]
    theirs = [leaf.tag not in DELETED for leaf in parsed]
    if len(gold) == len(parsed):
        for place, (a, b) in enumerate(zip(gold, parsed, strict=True)):
            if {a.tag, b.tag} <= QUOTES:
                ours[place] = theirs[place] = ours[place] or theirs[place]
    return ours, theirs


def _brackets(tree: Tree) -> Counter[Span]:
    return Counter(
        span._replace(label=SAME_LABELS.get(span.label, span.label))
        for span in tree.spans
        if span.label not in DELETED
    )


@dataclass(frozen=True)
class BracketReport:
    """The score of a corpus of parses.

    Attributes:
        score: of all sentences.
        short: of those with at most `CUTOFF` words.
        counts: how many sentences there are, and how many were in any way irregular.
    """

    score: BracketScore
    short: BracketScore
    counts: dict[str, int]

    @classmethod
    def of(cls, comparisons: Sequence[Comparison]) -> BracketReport:
        """Sum up the comparisons of all sentences."""
        counts = {
            "sentences": len(comparisons),
            "errors": sum(c.status is Status.ERROR for c in comparisons),
            "skipped": sum(c.status is Status.SKIPPED for c in comparisons),
            "malformed": sum(c.malformed for c in comparisons),
            "wrong_length": sum(c.wrong_length for c in comparisons),
        }
        short = [c for c in comparisons if c.length <= CUTOFF]
        return cls(BracketScore.of(comparisons), BracketScore.of(short), counts)

    def __str__(self) -> str:
        """Write all that a table in a paper would have."""
        counts = " ".join(f"{name} = {count}" for name, count in self.counts.items())
        text = f"{self.score} (len<={CUTOFF}: {self.short}) {counts}"
        if self.counts["errors"] > MAX_ERRORS:
            text += (
                f" WARNING: {self.counts['errors']} of {self.counts['sentences']} sentences are "
                f"errors and not in the score; EVALB gives none after {MAX_ERRORS}"
            )
        return text

    def numbers(self) -> dict[str, float]:
        """The same for programs."""
        named = {"": self.score, f"len{CUTOFF}_": self.short}
        return {
            f"{prefix}{name}": getattr(score, name)
            for prefix, score in named.items()
            for name in ("f1", "precision", "recall", "complete_match")
        } | self.counts


def read_references(lines: Iterable[str]) -> list[Tree]:
    """Read the treebank's trees, one a line.

    Raises:
        DataError: a line is not a tree in brackets.
    """
    trees = []
    for number, line in enumerate(lines, 1):
        try:
            trees.append(parse_tree(line))
        except ValueError as error:
            raise DataError(
                f"line {number} of the reference is not a tree in brackets: {error}; bracket-f1 "
                "needs the PREFIX.trees that scripts/treebank writes"
            ) from error
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


def signature(samples: int | None) -> str:
    """Write all that somebody else needs to repeat the score."""
    drawn = f"bs:{samples}|seed:{bootstrap_seed()}|" if samples else ""
    return f"nrefs:1|{drawn}params:COLLINS|repair:yes|version:nmt-{__version__}"


def _f1(matched: float, gold: float, parsed: float) -> float:
    # 2PR / (P + R), where P = matched / parsed and R = matched / gold.
    return _percentage(2 * matched, gold + parsed)


def _percentage(part: float, whole: float) -> float:
    return 100.0 * float(part) / float(whole) if whole else 0.0
