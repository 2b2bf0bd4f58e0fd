"""scripts/bench measures nmt, in fresh processes, and writes JSON lines; other scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nmt.data.phrasebook import pairs

BENCH = Path(__file__).parents[1] / "scripts" / "benchmarks"


def bench(*arguments: str | Path) -> list[dict[str, Any]]:
    """Run a command of the bench and read its lines."""
    command = [sys.executable, BENCH, *arguments, "--threads", "1"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]


def test_training_is_measured(tmp_path: Path) -> None:
    sample = pairs("train")[:200]
    (tmp_path / "train.en").write_text("".join(f"{pair.src}\n" for pair in sample), "utf-8")
    (tmp_path / "train.de").write_text("".join(f"{pair.tgt}\n" for pair in sample), "utf-8")
    options = [
        "--repeats",
        "2",
        "--sizes",
        "tiny",
        "--steps",
        "2",
        "--batch-tokens",
        "200",
        "--vocab-size",
        "100",
    ]
    machine, *runs, summary = bench(
        *("train", "--data", tmp_path, *options, "--systems", "nmt", "--precisions", "fp32")
    )
    assert machine["kind"] == "machine"
    assert machine["matmul_GFLOPs"]["fp32"] > 0
    assert [run["kind"] for run in runs] == ["run", "run"]
    for run in runs:
        assert run["target_tokens_per_s"] > 0
        assert run["peak_MB"] > 0
        assert len(run["losses"]) == 2
    # Each repetition trains from the same start on the same batches.
    assert runs[0]["losses"] == runs[1]["losses"]
    assert (summary["kind"], summary["system"], summary["runs"]) == ("summary", "nmt", 2)
    rate = summary["target_tokens_per_s"]
    assert rate["min"] <= rate["median"] <= rate["max"]


def test_translation_is_measured(trained_run: Path) -> None:
    files = ["--src", trained_run.parent / "test.src", "--ref", trained_run.parent / "test.tgt"]
    systems = ["--systems", "nmt", "--nmt-options=--batch-tokens 100"]
    _, run, summary = bench("translate", "--repeats", "1", "--model", trained_run, *files, *systems)
    assert run["tokens_per_s"] > run["sentences_per_s"] > 0
    assert summary["bleu"]["min"] == summary["bleu"]["max"] >= 0
    assert summary["setting"] == "--batch-tokens 100"


def test_alignment_error_of_every_layer(trained_run: Path) -> None:
    script = BENCH.parent / "alignment-error"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
    done = subprocess.run([script, trained_run], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heading, row, end = done.stdout.split("\n")
    assert (heading, end) == ("layer  AER %  precision %  recall %", "")
    layer, error, precision, recall = map(float, row.split())
    assert layer == 1
    # With one kind of link the error rate is 1 - F1; the figures are rounded.
    assert abs(error - (100 - 2 * precision * recall / (precision + recall))) < 0.2
    done = subprocess.run([script], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "usage: scripts/alignment-error RUN\n")
