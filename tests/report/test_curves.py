"""Curves are read as they were logged, whatever the state of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nmt.errors import FileError
from nmt.report.curves import Curves, read_curves


def train(step: int, **figures: Any) -> str:
    return json.dumps({"kind": "train", "step": step, **figures}) + "\n"


def valid(step: int, kind: str = "valid", **figures: Any) -> str:
    return json.dumps({"kind": kind, "step": step, **figures}) + "\n"


def read(folder: Path, text: str) -> tuple[Curves, int]:
    (folder / "metrics.jsonl").write_text(text, "utf-8")
    return read_curves(folder / "metrics.jsonl")


def test_figures_by_step(tmp_path: Path) -> None:
    curves, damaged = read(
        tmp_path,
        train(10, loss=3.0, seconds=5.0, lr=0.1, epoch=0)
        + valid(10, loss=2.5, bleu=7.0)
        + train(20, loss=2.0, seconds=9.0)
        + valid(20, kind="average", loss=1.5),
    )
    assert damaged == 0
    assert curves.train["step"] == [10, 20]
    assert curves.train["loss"] == [3.0, 2.0]
    assert curves.train["lr"] == [0.1, None]
    assert curves.valid["bleu"] == [7.0]
    assert curves.average["loss"] == [1.5]
    assert curves.last_step == 20


def test_averages_of_earlier_versions(tmp_path: Path) -> None:
    curves, damaged = read(tmp_path, valid(20, kind="mean", loss=1.5))
    assert (curves.average["step"], curves.average["loss"], damaged) == ([20], [1.5], 0)


def test_validation_gets_the_time_of_its_step(tmp_path: Path) -> None:
    curves, _ = read(
        tmp_path,
        train(10, seconds=20.0)
        + train(20, seconds=60.0)
        + valid(5)  # half of the first 10 steps, which took 20 s: 10 s
        + valid(15)  # halfway between 20 s and 60 s
        + valid(25),  # 5 more steps at 60 s / 20 steps: 15 s more
    )
    assert curves.valid["seconds"] == [10.0, 40.0, 75.0]


def test_time_is_unknown_without_training_figures(tmp_path: Path) -> None:
    curves, _ = read(tmp_path, valid(5, loss=1.0))
    assert curves.valid["seconds"] == [None]


def test_last_line_of_a_step_counts(tmp_path: Path) -> None:
    curves, _ = read(tmp_path, train(10, loss=3.0) + train(20, loss=9.0) + train(20, loss=2.0))
    assert curves.train["loss"] == [3.0, 2.0]


def test_unterminated_last_line_is_skipped_silently(tmp_path: Path) -> None:
    whole = train(10, loss=3.0)
    for cut in range(1, len(whole)):
        curves, damaged = read(tmp_path, whole + train(20, loss=2.0)[:cut])
        assert (curves.train["step"], damaged) == ([10], 0)


def test_values_that_are_not_finite_are_gaps(tmp_path: Path) -> None:
    first = train(1, loss=float("nan"), ppl=float("inf"), grad_norm="1", lr=10**400)
    curves, damaged = read(tmp_path, first + train(2, loss=1.0))
    assert damaged == 0
    assert curves.train["loss"] == [None, 1.0]
    assert curves.train["ppl"] == [None, None]
    assert curves.train["grad_norm"] == [None, None]
    assert curves.train["lr"] == [None, None]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "1",
        "\ufffd",
        "[" * 100_000,
        '{"kind": "train"}',
        '{"kind": [], "step": 1}',
        '{"kind": "train", "step": -1}',
        '{"kind": "train", "step": "1"}',
    ],
    ids=lambda line: line[:30],
)
def test_invalid_lines_are_counted(tmp_path: Path, line: str) -> None:
    curves, damaged = read(tmp_path, f"{line}\n" + train(10, loss=3.0))
    assert damaged == 1
    assert curves.train["step"] == [10]


def test_unknown_kinds_are_ignored(tmp_path: Path) -> None:
    curves, damaged = read(tmp_path, valid(3, kind="memory"))
    assert (damaged, curves.last_step) == (0, 0)


def test_missing_file_has_no_curves(tmp_path: Path) -> None:
    curves, damaged = read_curves(tmp_path / "metrics.jsonl")
    assert (curves.last_step, damaged) == (0, 0)
    assert set(map(len, curves.train.values())) == {0}


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="a directory, not a plain file"):
        read_curves(tmp_path)
