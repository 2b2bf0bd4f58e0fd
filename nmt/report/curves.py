"""The course of a training, from metrics.jsonl; a training may be writing it meanwhile."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmt.files import MAX_METRICS_BYTES, read_bounded

TRAIN_FIGURES = ("loss", "ppl", "lr", "grad_norm", "tokens_per_s")
VALID_FIGURES = ("loss", "ppl", "bleu", "chrf")

Columns = dict[str, list[float | None]]
"""Figures by name, with `step` and `seconds`; all of one length, None where there is no number."""


@dataclass(frozen=True)
class Curves:
    """Figures against steps and time; `seconds` are those spent in training steps."""

    train: Columns
    """`TRAIN_FIGURES`: `loss` is what was minimised, label smoothing included, `ppl` is not
    smoothed; both are means since the row before. `grad_norm` is that of the step."""
    valid: Columns
    """`VALID_FIGURES` on data.valid: nothing is smoothed."""
    average: Columns
    """The same, of averaged weights: at most one row."""

    @property
    def last_step(self) -> int:
        """The last step that there is a figure of, or 0."""
        steps = [*self.train["step"], *self.valid["step"]]
        return int(max(filter(None, steps), default=0))


def read_curves(path: Path) -> tuple[Curves, int]:
    """Read metrics.jsonl.

    Steps ascend; of several lines of a step, as after a crash, the last counts. A last line
    without its end is still being written, and is left out.

    Args:
        path: the file; one that is not there is a training that has not logged yet.

    Returns:
        The curves, and how many whole lines were no metrics.

    Raises:
        FileError: it is not a plain file, or cannot be read.
    """
    text = ""
    if os.path.lexists(path):
        text = read_bounded(path, MAX_METRICS_BYTES).decode("utf-8", errors="replace")
    rows: dict[str, dict[int, dict[str, Any]]] = {"train": {}, "valid": {}, "mean": {}}
    damaged = 0
    for line in text.split("\n")[:-1]:
        record = _record(line)
        if record is None:
            damaged += 1
        elif record["kind"] in rows:
            rows[record["kind"]][record["step"]] = record
    train = _columns(rows["train"], ("seconds", *TRAIN_FIGURES))
    valid, average = (_columns(rows[kind], VALID_FIGURES) for kind in ("valid", "mean"))
    for columns in (valid, average):
        columns["seconds"] = _seconds(columns["step"], train)
    return Curves(train, valid, {name: values[-1:] for name, values in average.items()}), damaged


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        is_step = type(record["step"]) is int and 0 < record["step"] < 2**53
        sound = is_step and isinstance(record["kind"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if sound else None


def _columns(rows: Mapping[int, Mapping[str, Any]], names: Iterable[str]) -> Columns:
    steps = sorted(rows)
    figures = {name: [_number(rows[step].get(name)) for step in steps] for name in names}
    return {"step": [*steps], **figures}


def _number(value: Any) -> float | None:
    """Take a number with six digits, more than any curve can show."""
    # Compared, not converted: an integer may be larger than any float. NaN is never within.
    if not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        return None
    return float(f"{value:.6g}")


def _seconds(steps: Sequence[float | None], train: Columns) -> list[float | None]:
    """Place steps in time, which lines of validation do not tell: between those of training."""
    known = [
        (step, seconds)
        for step, seconds in zip(train["step"], train["seconds"], strict=True)
        if step is not None and seconds is not None
    ]
    if not known:
        return [None] * len(steps)
    known_steps, known_seconds = np.array([(0.0, 0.0), *known]).T
    wanted = np.array(steps, dtype=float)
    seconds = np.interp(wanted, known_steps, known_seconds)
    pace = known_seconds[-1] / known_steps[-1]
    seconds += np.maximum(wanted - known_steps[-1], 0.0) * pace
    return [_number(value) for value in seconds.tolist()]
