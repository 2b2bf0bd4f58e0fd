"""Synthetic pairs: human text with machine translations as its sources.

They are filtered, and mixed with real pairs.

Each line of a file of them is a JSON object: `src`, the translation; `tgt`, the human text; and
`score`, the mean log-probability of a token of the translation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config.corpora import AnyCorpus, JsonlCorpus
from nmt.config.schema import Config
from nmt.data.corpus import Pair, Tallies, read_pairs
from nmt.data.filters import DUPLICATE, EMPTY_SIDE, LENGTH_RATIO, digest, tally_cell
from nmt.data.lines import read_lines
from nmt.errors import ConfigError, DataError
from nmt.files import write_lines

if TYPE_CHECKING:
    from rich.table import Table

TAG = "bt"
"""The tag of synthetic corpora (Caswell et al. 2019)."""

COPY = "copy"
LOW_SCORE = "low score"
_REASONS = (EMPTY_SIDE, COPY, DUPLICATE, LENGTH_RATIO, LOW_SCORE)
_MAX_REPEATS = 10.0
_MAX_WEIGHT = 1000.0


class SyntheticPair(NamedTuple):
    """A translation, the text that it translates, and its score."""

    src: str
    tgt: str
    score: float

    def to_json(self) -> str:
        """Return the pair as a line of a file."""
        return json.dumps(self._asdict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> SyntheticPair:
        """Parse a line of `to_json`."""
        return cls(**json.loads(line))


@dataclass(frozen=True)
class SyntheticOptions:
    """Which synthetic pairs to keep, and how to mix them with real ones.

    The first filter that a pair fails counts it.

    Raises:
        ConfigError: if a value is out of range.
    """

    max_length_ratio: float = 3.0
    """Drop a pair if one side has more than this many times the characters of the other, after
    the sources are scaled to the total length of the targets. Above 1."""
    min_score: float | None = None
    """Drop translations with a lower mean log-probability of their tokens."""
    drop_worst: float = 0.0
    """Drop this part of the pairs that pass all other filters, those with the lowest scores. At
    least 0, below 1."""
    ratio: float = 1.0
    """How many synthetic pairs an epoch should have for each real one. Above 0."""

    def __post_init__(self) -> None:
        if not self.ratio > 0:
            raise ConfigError(f"`ratio` must be above 0, not {self.ratio}")
        if not self.max_length_ratio > 1:
            raise ConfigError(f"`max_length_ratio` must be above 1, not {self.max_length_ratio}")
        if not 0 <= self.drop_worst < 1:
            raise ConfigError(f"`drop_worst` must be at least 0 and below 1, not {self.drop_worst}")

    def filter(
        self, source: Path, output: Path, name: str, *, documents: bool = False
    ) -> SyntheticReport:
        """Write the pairs of a file that pass to another, in the same order.

        Pairs with an empty side, pairs whose sides are the same except for case, and repetitions of
        a pair are always dropped.

        Args:
            source: the file with all pairs.
            output: where those that pass go.
            name: of the text, for the report.
            documents: also write blank pairs, which end documents, for a model with context.

        Raises:
            DataError: if no pair passes.
            FileError: if a file cannot be read or written.
        """
        report = SyntheticReport(name)
        passes = self._passes(source, report)
        lines = read_lines(source)
        written = (
            line
            for line, ok in zip(lines, passes, strict=True)
            if ok or (documents and not SyntheticPair.from_json(line).tgt.strip())
        )
        write_lines(written, output)
        return report

    def _passes(self, source: Path, report: SyntheticReport) -> npt.NDArray[np.bool_]:
        """Return for each pair whether to keep it, (pairs,); count the others."""
        reasons, figures = [], []
        seen: set[int] = set()
        for pair in map(SyntheticPair.from_json, read_lines(source)):
            reasons.append(_REASONS.index(_fault(pair, seen) or LOW_SCORE))
            figures.append((len(pair.src), len(pair.tgt), pair.score))
        reason_N = np.array(reasons, np.int8)
        src_N, tgt_N, score_N = np.array(figures, np.float64).reshape(-1, 3).T
        # So far, the last reason marks the pairs that have passed.
        keep_N: npt.NDArray[np.bool_] = reason_N == _REASONS.index(LOW_SCORE)
        src_N = src_N * (tgt_N[keep_N].sum() / max(src_N[keep_N].sum(), 1))
        uneven_N = np.maximum(src_N, tgt_N) > self.max_length_ratio * np.minimum(src_N, tgt_N)
        reason_N[keep_N & uneven_N] = _REASONS.index(LENGTH_RATIO)
        keep_N &= ~uneven_N
        if self.min_score is not None:
            keep_N &= score_N >= self.min_score
        rest = np.flatnonzero(keep_N)
        worst = rest[np.argsort(score_N[rest], kind="stable")][: int(self.drop_worst * len(rest))]
        keep_N[worst] = False
        for place in np.flatnonzero(~keep_N).tolist():
            report.tallies[_REASONS[reason_N[place]]].add(place + 1)
        report.read, report.kept = len(keep_N), int(keep_N.sum())
        if not report.kept:
            raise DataError(f"{report.name}: no synthetic pair is left after filtering: {report}")
        return keep_N


def _fault(pair: SyntheticPair, seen: set[int]) -> str | None:
    """Return why a pair alone, or one that repeats another, is dropped.

    Args:
        pair: the pair.
        seen: hashes of earlier pairs, to which its own is added.
    """
    src, tgt = pair.src.strip(), pair.tgt.strip()
    if not src or not tgt:
        return EMPTY_SIDE
    if src.casefold() == tgt.casefold():
        return COPY
    number = digest(Pair(src, tgt, 0))
    if number in seen:
        return DUPLICATE
    seen.add(number)
    return None


@dataclass
class SyntheticReport:
    """Counts of synthetic pairs."""

    name: str
    read: int = 0
    kept: int = 0
    tallies: Tallies = field(default_factory=Tallies)
    """Pairs dropped for each reason."""

    def __str__(self) -> str:
        return ", ".join([f"{self.read:,} read", *(f"{n} {name}" for name, n in self._dropped())])

    def table(self) -> Table:
        """Return a table for the terminal, with a column for each reason."""
        from rich.table import Table

        names = [name for name, _ in self._dropped()]
        table = Table(title="Synthetic pairs", title_justify="left")
        table.add_column("text", overflow="fold")
        for name in ("read", *names, "kept"):
            table.add_column(name, justify="right")
        cells = [tally_cell(self.tallies[name]) for name in names]
        table.add_row(self.name, f"{self.read:,}", *cells, f"{self.kept:,}")
        return table

    def _dropped(self) -> Iterator[tuple[str, str]]:
        """Yield each reason for which pairs were dropped, and their number."""
        for name in _REASONS:
            if name in self.tallies:
                yield name, f"{self.tallies[name].count:,}"


def with_synthetic(
    config: Config, synthetic: Path, ratio: float, log: Callable[[str], object]
) -> Config:
    """Return a configuration that also learns from synthetic pairs, with the tag `TAG`.

    If there are more synthetic pairs than wanted, an epoch repeats the real ones of the same
    languages, up to ten times.

    Args:
        config: the configuration with the real corpora.
        synthetic: a file of synthetic pairs.
        ratio: how many synthetic pairs an epoch should have for each real one.
        log: called with a line that says how often pairs are visited.
    """
    real = real_corpora(config)
    visits = sum(one.weight * sum(1 for _ in read_pairs(one, config.data)) for one in real)
    added = JsonlCorpus(jsonl=str(synthetic), src_key="src", tgt_key="tgt", tag=TAG)
    number = sum(pair.has_text for pair in read_pairs(added, config.data))
    repeats = min(max(1.0, number / (ratio * visits)), _MAX_REPEATS)
    log(
        f"an epoch: {visits * repeats:,.0f} real pairs, each {repeats:.3g} times as often as "
        f"configured, and {number:,} synthetic pairs of {synthetic}"
    )
    corpora = [
        one.model_copy(update={"weight": min(one.weight * repeats, _MAX_WEIGHT)})
        if one in real
        else one
        for one in config.data.train
    ]
    data = config.data.model_copy(update={"train": [*corpora, added]})
    return config.model_copy(update={"data": data})


def real_corpora(config: Config) -> list[AnyCorpus]:
    """Return the training corpora of the default languages."""
    data = config.data
    pair = (data.src_lang, data.tgt_lang)
    return [corpus for corpus in data.train if data.pair_of(corpus) == pair]
