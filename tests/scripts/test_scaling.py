"""The reckoning of large jobs: values computed by hand, and the tables of the README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def scaling(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "scaling"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def rows(*arguments: str) -> list[list[str]]:
    """Return the cells of all rows, without heads."""
    done = scaling(*arguments)
    assert done.returncode == 0, done.stderr
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line]
    return [cells for cells in lines if cells[0] not in ("model", "work", "---")]


def test_the_tables_of_the_readme_are_those_of_the_script() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    tables = scaling().stdout.strip().split("\n\n")
    assert len(tables) == 2
    for table in tables:
        assert table in text


def test_values_computed_by_hand() -> None:
    """A step of 100 TFLOP at half of 100 TFLOP/s takes 2 s; of 10 M parameters, 4 GPUs send 60 MB.

    At 0.06 GB/s that is 1 s: 1.5 s with the arithmetic of 4 GPUs, 3 s with that of one each.
    """
    model = ["--parameters", "10", "--tflop-per-step", "100", "--steps", "7200"]
    machine = ["--peak-tflops", "100", "--utilisation", "0.5", "--price", "2"]
    few = ["--gpus", "1,4", "--bandwidth", "1,0.06"]
    one, four, *_ = rows(*model, *machine, *few)
    assert one[3:] == ["2000.0", "0.0", "2000.0", "4.00", "8", "1.0", "100 %"]
    assert four == [
        *("yours", "4", "0.06", "500.0", "1000.0", "1500.0"),
        *("3.00", "24", "1.3", "67 %"),
    ]
    overlapping = rows(*model, *machine, *few, "--overlap", "0.5")[1]
    assert overlapping[5:] == ["1250.0", "2.50", "20", "1.6", "100 %"]


def test_text_computed_by_hand() -> None:
    """3.6 billion pairs at 1,000 a second take 1,000 hours."""
    options = ["--pairs", "3.6", "--pairs-per-core", "1000", "--core-price", "0.5"]
    prepared = rows(*options)[-4]
    assert prepared == ["prepare 3.6 billion pairs", "1,000 a core", "1,000", "500"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpus", "1,2"], "--gpus and --bandwidth need the same number of values"),
        (["--utilisation", "0"], "--utilisation: must be positive"),
        (["--gpus", "1,0,2,3"], "--gpus: must be positive"),
        (["--gpus", "x"], "argument --gpus"),
        (["--steps", "5"], "--tflop-per-step and --steps need --parameters"),
    ],
)
def test_other_numbers_are_refused(arguments: list[str], message: str) -> None:
    done = scaling(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
