"""Runs to report on."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

STEPS = range(10, 61, 10)


def metrics(shift: float) -> str:
    """Return metrics of a run of 60 steps, validated after 30 and 60, and averaged."""
    records = []
    for step in STEPS:
        figures = {"loss": shift + 60 / step, "ppl": math.exp(shift + 50 / step), "lr": step / 1e4}
        figures |= {"grad_norm": 1.0 + shift, "tokens_per_s": 5000.0, "seconds": 30.0 * step}
        records.append({"kind": "train", "step": step, **figures})
        if step % 30 == 0:
            scores = {"loss": shift + 1.0, "ppl": math.exp(shift + 1.0), "bleu": step / 2}
            records.append({"kind": "valid", "step": step, **scores})
    records.append({"kind": "average", "step": 60, "loss": 0.9, "ppl": 2.5, "bleu": 31.0})
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture(scope="session")
def make_run(trained_run: Path) -> Callable[..., Path]:
    """Return a function (path, shift=0) that copies trained_run, with metrics of a longer run."""

    def make(path: Path, shift: float = 0.0) -> Path:
        shutil.copytree(trained_run, path)
        (path / "metrics.jsonl").write_text(metrics(shift), "utf-8")
        return path

    return make
