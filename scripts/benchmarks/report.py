"""Output of the benchmarks: JSON lines during the run, and a table of medians at the end."""

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
        command: name of the command, included in every line.
        output: file for the lines; None and `-` mean standard output.
    """

    def __init__(self, command: str, output: Path | None) -> None:
        self._command = command
        to_file = output and not is_standard(output)
        self._file = output.open("w", encoding="utf-8") if to_file else sys.stdout
        self._figures: dict[str, tuple[Case, list[Figures]]] = {}

    def write(self, kind: str, record: dict[str, Any]) -> None:
        """Write a JSON line."""
        line = json.dumps({"kind": kind, "command": self._command, **record}, ensure_ascii=False)
        self._file.write(line + "\n")
        self._file.flush()

    def add(self, case: Case, figures: Figures) -> None:
        """Write and keep the figures of one repetition."""
        self.write("run", {"system": case.system, **case.labels, **figures})
        if "failed" not in figures:
            self._figures.setdefault(case.name, (case, []))[1].append(figures)

    def finish(
        self,
        keys: Sequence[str],
        best_by: str,
        *,
        lowest: bool = False,
        among: str = "size",
        title: str = "",
        missing: str = "",
    ) -> None:
        """Write medians and spreads, print them as a table, and forget them.

        Args:
            keys: figures to show.
            best_by: figure that determines each system's best case, and the ratio to the best of
                the other systems, among cases with the same label `among`.
            lowest: whether smaller is better.
            among: a label.
            title: printed above the table.
            missing: printed in place of unknown figures.

        Raises:
            SystemExit: if no case has figures.
        """
        rows = list(self._figures.values())
        if not rows:
            sys.exit("scripts/bench: all measurements failed")
        labels = list(
            dict.fromkeys(name for case, _ in rows for name, value in case.labels.items() if value)
        )
        table = Table("system", *labels, *keys, "ratio", "runs")
        for case, repeats in rows:
            medians = {key: _summary([figures.get(key) for figures in repeats]) for key in keys}
            is_best, ratio = self._standing(case, best_by, lowest, among)
            standing = {"best_of_system": is_best, "ratio": ratio, "runs": len(repeats)}
            self.write("summary", {"system": case.system, **case.labels, **medians, **standing})
            table.add_row(
                case.system + (" *" if is_best else ""),
                *(str(case.labels.get(label, "")) for label in labels),
                *(_cell(medians[key]) or missing for key in keys),
                f"{ratio:.2f}" if ratio else "",
                str(len(repeats)),
            )
        console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
        if title:
            console.print(title, highlight=False)
        console.print(table)
        console.print(
            "median (lowest-highest); *: best setting of its system; ratio: compared with the "
            "best of the other systems, above 1 is better",
            highlight=False,
        )
        self._figures.clear()

    def _standing(
        self, case: Case, best_by: str, lowest: bool, among: str
    ) -> tuple[bool, float | None]:
        """Return whether a case is its system's best, and its ratio to the best of the others."""
        medians: dict[bool, list[float]] = {True: [], False: []}
        for other, repeats in self._figures.values():
            if other.labels.get(among) == case.labels.get(among):
                median = statistics.median(figures[best_by] for figures in repeats)
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
    """Format with four significant digits, or as an integer if large."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
