"""What the bench writes: JSON lines as the figures come, and a table of medians at the end."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nmt.files import is_standard
from runs import Case, Figures


class Report:
    """Collects the figures of a command.

    Args:
        command: its name, which is in every line.
        output: where the lines go; None and `-` are the standard output.
    """

    def __init__(self, command: str, output: Path | None) -> None:
        self._command = command
        to_file = output and not is_standard(output)
        self._file = output.open("w", encoding="utf-8") if to_file else sys.stdout
        self._figures: dict[str, tuple[Case, list[Figures]]] = {}

    def write(self, kind: str, record: dict[str, Any]) -> None:
        """Write a line."""
        line = json.dumps({"kind": kind, "command": self._command, **record}, ensure_ascii=False)
        self._file.write(line + "\n")
        self._file.flush()

    def add(self, case: Case, figures: Figures) -> None:
        """Take the figures of one repetition."""
        self.write("run", {"system": case.system, **case.labels, **figures})
        if "failed" not in figures:
            self._figures.setdefault(case.name, (case, []))[1].append(figures)

    def finish(self, keys: Sequence[str], best_by: str, *, lowest: bool = False) -> None:
        """Write medians and spreads, and print them as a table.

        Args:
            keys: the figures to show.
            best_by: the figure by which the best case of each system is marked and compared with
                the best of the other systems, among cases of the same `size`.
            lowest: the smallest is best.

        Raises:
            SystemExit: no case has figures.
        """
        rows = list(self._figures.values())
        if not rows:
            sys.exit("scripts/bench: nothing could be measured")
        labels = list(
            dict.fromkeys(name for case, _ in rows for name, value in case.labels.items() if value)
        )
        table = Table("system", *labels, *keys, "ratio", "runs")
        for case, found in rows:
            medians = {key: _summary([figures.get(key) for figures in found]) for key in keys}
            is_best, ratio = self._standing(case, best_by, lowest)
            standing = {"best_of_system": is_best, "ratio": ratio, "runs": len(found)}
            self.write("summary", {"system": case.system, **case.labels, **medians, **standing})
            table.add_row(
                case.system + (" *" if is_best else ""),
                *(str(case.labels.get(label, "")) for label in labels),
                *(_cell(medians[key]) for key in keys),
                f"{ratio:.2f}" if ratio else "",
                str(len(found)),
            )
        console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
        console.print(table)
        console.print(
            "median (lowest-highest); * the best setting of its system; ratio: to the best of the "
            "other systems, above 1 is better",
            highlight=False,
        )

    def _standing(self, case: Case, best_by: str, lowest: bool) -> tuple[bool, float | None]:
        """Tell whether a case is its system's best, and compare it with the others' best."""
        medians: dict[bool, list[float]] = {True: [], False: []}
        for other, found in self._figures.values():
            if other.labels.get("size") == case.labels.get("size"):
                median = statistics.median(figures[best_by] for figures in found)
                medians[other.system == case.system].append(1 / median if lowest else median)
        own = statistics.median(figures[best_by] for figures in self._figures[case.name][1])
        own = 1 / own if lowest else own
        ratio = own / max(medians[False]) if medians[False] else None
        return own == max(medians[True]), ratio


def _summary(values: list[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": statistics.median(known), "min": min(known), "max": max(known)}


def _cell(summary: dict[str, float] | None) -> str:
    if summary is None:
        return ""
    median, low, high = (_short(summary[key]) for key in ("median", "min", "max"))
    return median if low == high else f"{median} ({low}-{high})"


def _short(value: float) -> str:
    """Four significant digits, large numbers whole."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
