"""Filters for training pairs, and the report of what they dropped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nmt.config.data import DataConfig
from nmt.config.languages import LanguagePair
from nmt.data.corpus import CONTROL_CHARACTERS, INVALID_UTF8, Pair, Tallies, Tally

if TYPE_CHECKING:
    from rich.table import Table

EMPTY_SIDE = "empty side"
DUPLICATE = "duplicate"
TOO_LONG = "too long"
LENGTH_RATIO = "length ratio"
REASONS = (INVALID_UTF8, EMPTY_SIDE, DUPLICATE, TOO_LONG, LENGTH_RATIO)
"""Reasons for dropping a pair. The first one that applies is counted."""
_MAX_ROWS = 20


@dataclass
class CorpusReport:
    """Counts of the pairs that were read, dropped and kept from one corpus."""

    name: str
    fingerprint: str
    """SHA-256 of the content."""
    read: int = 0
    """Pairs read, including invalid ones."""
    kept: int = 0
    src_tokens: int = 0
    """Source tokens of the pairs kept, without BOS and EOS, as in the next three."""
    tgt_tokens: int = 0
    src_unknown: int = 0
    tgt_unknown: int = 0
    tallies: Tallies = field(default_factory=Tallies)
    """Pairs dropped for each of `REASONS`, and characters replaced (`CONTROL_CHARACTERS`)."""

    @property
    def dropped(self) -> dict[str, Tally]:
        """The tally of each reason for which pairs were dropped, in the order of `REASONS`."""
        tallies = {name: self.tallies.get(name) for name in REASONS}
        return {name: tally for name, tally in tallies.items() if tally and tally.count}

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> CorpusReport:
        """Parse the JSON of `to_json`."""
        report = cls(**json.loads(text))
        tallies: dict[str, Any] = report.tallies
        report.tallies = Tallies({name: Tally(**fields) for name, fields in tallies.items()})
        return report


@dataclass
class FilterReport:
    """The reports of a list of corpora."""

    corpora: list[CorpusReport]

    def table(self) -> Table:
        """Return a table for the terminal: one row per corpus, one column per reason."""
        from rich.table import Table

        reasons = [name for name in REASONS if any(name in c.dropped for c in self.corpora)]
        controls = any(CONTROL_CHARACTERS in corpus.tallies for corpus in self.corpora)
        table = Table(title="Pairs", title_justify="left")
        table.add_column("corpus", overflow="fold")
        for name in ("read", *reasons, "kept", "tokens", "unknown"):
            table.add_column(name, justify="right")
        if controls:
            table.add_column("control characters replaced", justify="right")
        for corpus in _combined(self.corpora):
            cells = [f"{corpus.read:,}"]
            cells += [tally_cell(corpus.tallies.get(name)) for name in reasons]
            cells += [
                f"{corpus.kept:,}",
                f"{corpus.src_tokens:,} + {corpus.tgt_tokens:,}",
                f"{percent(corpus.src_unknown, corpus.src_tokens)} + "
                f"{percent(corpus.tgt_unknown, corpus.tgt_tokens)}",
            ]
            if controls:
                cells.append(tally_cell(corpus.tallies.get(CONTROL_CHARACTERS)))
            table.add_row(corpus.name, *cells)
        return table


def tally_cell(tally: Tally | None) -> str:
    """Format a count for a table, with the first line where there was one."""
    if tally is None or not tally.count:
        return "0"
    return f"{tally.count:,}" + (
        "" if tally.first_line is None else f" (first: line {tally.first_line})"
    )


def _combined(corpora: list[CorpusReport]) -> list[CorpusReport]:
    """Return a report for each row of the table; the last one combines those without a row."""
    if len(corpora) <= _MAX_ROWS:
        return corpora
    rest = corpora[_MAX_ROWS - 1 :]
    combined = CorpusReport(f"{len(rest):,} others", "")
    for report in rest:
        for name in ("read", "kept", "src_tokens", "tgt_tokens", "src_unknown", "tgt_unknown"):
            setattr(combined, name, getattr(combined, name) + getattr(report, name))
        for name, tally in report.tallies.items():
            combined.tallies[name].count += tally.count
    return [*corpora[: _MAX_ROWS - 1], combined]


def percent(part: int, whole: int) -> str:
    """Format a fraction such as `0.04 %`."""
    return f"{100 * part / max(whole, 1):.2f} %"


def digest(pair: Pair, languages: LanguagePair | None = None) -> int:
    """Return a hash of the text of a pair, and of languages if given: 64 bits, with a sign."""
    text = f"{pair.src}\n{pair.tgt}".encode()  # neither side contains a line feed
    text += f"\n{languages}".encode() if languages else b""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


class Filters:
    """The filters of the configuration.

    Args:
        data: the limits.
    """

    def __init__(self, data: DataConfig) -> None:
        self._data = data
        self._seen: set[int] = set()

    def accepts_text(self, pair: Pair, report: CorpusReport) -> bool:
        """Return whether a pair has text on both sides and is new; count it if not."""
        if not pair.has_text:
            report.tallies[EMPTY_SIDE].add(pair.line)
            return False
        if not self._data.drop_duplicates:
            return True
        text = digest(pair)
        if text in self._seen:
            report.tallies[DUPLICATE].add(pair.line)
            return False
        self._seen.add(text)
        return True

    def accepted_lengths(
        self,
        pairs: Sequence[Pair],
        src_lengths: npt.NDArray[np.int64],
        tgt_lengths: npt.NDArray[np.int64],
        report: CorpusReport,
        num_tags: int = 0,
    ) -> npt.NDArray[np.bool_]:
        """Return which pairs have acceptable lengths, (pairs,); count the others.

        Args:
            pairs: the pairs.
            src_lengths: source tokens of each pair without tags and EOS, (pairs,).
            tgt_lengths: the same for the target side.
            report: counts the pairs that are dropped.
            num_tags: tags of each source, which count for the longest length only.
        """
        shorter = np.minimum(src_lengths, tgt_lengths)
        longer = np.maximum(src_lengths, tgt_lengths)
        # Normalization can remove all of a text, for example zero-width spaces.
        longest = np.maximum(src_lengths + num_tags, tgt_lengths) + 1
        rejected = [(EMPTY_SIDE, shorter == 0), (TOO_LONG, longest > self._data.max_length)]
        if self._data.max_length_ratio is not None:
            rejected.append((LENGTH_RATIO, longer > self._data.max_length_ratio * shorter))
        keep = np.ones(len(pairs), np.bool_)
        for reason, rejects in rejected:
            for place in np.flatnonzero(keep & rejects).tolist():
                report.tallies[reason].add(pairs[place].line)
            keep &= ~rejects
        return keep
