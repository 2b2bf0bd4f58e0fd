"""Training and validation curves from metrics.jsonl, which may still be growing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nmt.files import MAX_METRICS_BYTES, read_bounded

TRAIN_FIGURES = ("loss", "ppl", "lr", "grad_norm", "tokens_per_s")
VALID_FIGURES = ("loss", "ppl", "bleu", "chrf")
_RENAMED_KINDS = {"mean": "average"}  # in files of earlier versions

Columns = dict[str, list[float | None]]
"""Figures by name, with `step` and `seconds`; of equal length, None where a value is missing."""


@dataclass(frozen=True)
class Curves:
    """Figures by step and time; `seconds` counts time spent in training steps only.

    Attributes:
        train: `TRAIN_FIGURES`. `loss` is label-smoothed, `ppl` is not; both are means since the
            previous row. `grad_norm` is that of the step itself.
        valid: `VALID_FIGURES` on data.valid, without label smoothing; for named sets those of the
            first, and of each also `NAME/loss` and so on.
        average: `VALID_FIGURES` of the averaged weights; at most one row.
    """

    train: Columns
    valid: Columns
    average: Columns

    @property
    def last_step(self) -> int:
        """The last step with a figure, or 0."""
        steps = [*self.train["step"], *self.valid["step"]]
        return int(max(filter(None, steps), default=0))


def read_curves(path: Path) -> tuple[Curves, int]:
    """Read metrics.jsonl.

    Rows are sorted by step. If a step occurs several times, as after a crash, its last line
    counts. An unterminated last line is still being written and is skipped.

    Args:
        path: the file; if it is missing, the run has not logged anything yet.

    Returns:
        The curves, and the number of terminated lines that are not valid metrics.

    Raises:
        FileError: if path is not a plain file, or cannot be read.
    """
    text = ""
    if os.path.lexists(path):
        text = read_bounded(path, MAX_METRICS_BYTES).decode("utf-8", errors="replace")
    rows: dict[str, dict[int, dict[str, Any]]] = {"train": {}, "valid": {}, "average": {}}
    damaged = 0
    for line in text.split("\n")[:-1]:
        record = _record(line)
        if record is None:
            damaged += 1
        elif (kind := _RENAMED_KINDS.get(record["kind"], record["kind"])) in rows:
            rows[kind][record["step"]] = record
    train = _columns(rows["train"], ("seconds", *TRAIN_FIGURES))
    valid, average = (
        _columns(rows[kind], [*VALID_FIGURES, *_named(rows[kind].values())])
        for kind in ("valid", "average")
    )
    for columns in (valid, average):
        columns["seconds"] = _seconds(columns["step"], train)
    return Curves(train, valid, {name: values[-1:] for name, values in average.items()}), damaged


def with_average(curves: Curves, step: int, scores: Mapping[str, float]) -> Curves:
    """Replace the logged scores of an average by those of the present averaged weights.

    Args:
        curves: curves of the run.
        step: the last step that was averaged.
        scores: scores of the average; empty if there is none, or it was not validated.
    """
    row = {step: {**scores, "step": step}} if scores else {}
    average = _columns(row, [*VALID_FIGURES, *_named(row.values())])
    average["seconds"] = _seconds(average["step"], curves.train)
    return replace(curves, average=average)


def _named(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the figures of named sets, such as `domain/bleu`."""
    names = dict.fromkeys(name for row in rows for name in row if "/" in name)
    return [name for name in names if name.rpartition("/")[2] in VALID_FIGURES]


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        is_step = type(record["step"]) is int and 0 < record["step"] < 2**53
        is_valid = is_step and isinstance(record["kind"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if is_valid else None


def _columns(rows: Mapping[int, Mapping[str, Any]], names: Iterable[str]) -> Columns:
    steps = sorted(rows)
    figures = {name: [_number(rows[step].get(name)) for step in steps] for name in names}
    return {"step": [*steps], **figures}


def _number(value: Any) -> float | None:
    """Return a finite number rounded to six digits, more than a curve can show, or else None."""
    # The comparison also rules out NaN, and integers larger than any float.
    if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        return None
    return float(f"{value:.6g}")


def _seconds(steps: Sequence[float | None], train: Columns) -> list[float | None]:
    """Return the time of each step, which validation lines lack, interpolated from train."""
    known = [
        (step, seconds)
        for step, seconds in zip(train["step"], train["seconds"], strict=True)
        if step is not None and seconds is not None
    ]
    if not known:
        return [None] * len(steps)
    known_steps, known_seconds = np.array([(0.0, 0.0), *known]).T
    queried_steps = np.array(steps, dtype=float)
    seconds = np.interp(queried_steps, known_steps, known_seconds)
    seconds_per_step = known_seconds[-1] / known_steps[-1]
    seconds += np.maximum(queried_steps - known_steps[-1], 0.0) * seconds_per_step
    return [_number(value) for value in seconds.tolist()]
