"""What `nmt clean` has dropped, and why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nmt.data.corpus import CONTROL_CHARACTERS, INVALID_UTF8, Pair, Tallies
from nmt.data.filters import percent

if TYPE_CHECKING:
    from rich.table import Table

    from nmt.console import Console


@dataclass
class Dropped:
    """The pairs that a rule has dropped."""

    pairs: int = 0
    first_line: int | None = None
    examples: list[Pair] = field(default_factory=list)
    """The first ones."""


class CleanReport:
    """Counts of the pairs read, dropped and kept.

    Args:
        rules: the names of the rules, in order.
        num_examples: pairs to show for each rule.

    Attributes:
        kept: number of pairs kept.
        controls: number of control characters that the reader has replaced by spaces.
        dropped: what each rule has dropped.
    """

    def __init__(self, rules: Iterable[str], num_examples: int) -> None:
        self.kept = 0
        self.controls = 0
        self.dropped = {name: Dropped() for name in (INVALID_UTF8, *rules)}
        self._num_examples = num_examples

    @property
    def read(self) -> int:
        """Number of pairs read, invalid ones included."""
        return self.kept + sum(one.pairs for one in self.dropped.values())

    def add(self, pair: Pair, rule: str | None) -> None:
        """Count a pair, and the rule that drops it, if any."""
        if rule is None:
            self.kept += 1
            return
        dropped = self.dropped[rule]
        dropped.pairs += 1
        if dropped.first_line is None:
            dropped.first_line = pair.line
        if len(dropped.examples) < self._num_examples:
            dropped.examples.append(pair)

    def add_reading(self, tallies: Tallies) -> None:
        """Count what the reader has left out or replaced."""
        if tally := tallies.get(INVALID_UTF8):
            self.dropped[INVALID_UTF8] = Dropped(tally.count, tally.first_line)
        self.controls = tallies[CONTROL_CHARACTERS].count

    def to_json(self) -> str:
        """Return the report as one line of JSON."""
        rules: dict[str, Any] = {}
        for name, dropped in self.dropped.items():
            examples = [
                {"src": pair.src, "tgt": pair.tgt, "line": pair.line} for pair in dropped.examples
            ]
            rules[name.lower().replace(" ", "_").replace("-", "")] = {
                **dataclasses.asdict(dropped),
                "examples": examples,
            }
        counts = {"read": self.read, "kept": self.kept, "control_characters": self.controls}
        return json.dumps({**counts, "dropped": rules}, ensure_ascii=False)

    def print(self, console: Console) -> None:
        """Print a table, and the examples."""
        console.print(self._table())
        if self.controls:
            console.print_line(f"{self.controls:,} control characters have become spaces")
        for name, dropped in self.dropped.items():
            for pair in dropped.examples:
                console.print_line(f"{name}, line {pair.line}:")
                console.print_line(f"  {pair.src}")
                console.print_line(f"  {pair.tgt}")

    def _table(self) -> Table:
        from rich.table import Table

        table = Table("rule")
        for name in ("pairs", "share", "first line"):
            table.add_column(name, justify="right")
        for name, dropped in self.dropped.items():
            if dropped.pairs:
                share = percent(dropped.pairs, self.read)
                table.add_row(name, f"{dropped.pairs:,}", share, str(dropped.first_line))
        table.add_section()
        table.add_row("kept", f"{self.kept:,}", percent(self.kept, self.read), "")
        table.add_row("read", f"{self.read:,}", "", "")
        return table
