"""`scripts/bench gpu`, tried out on the CPU; nothing here needs a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import flops, synthetic
from nmt.config.models import TransformerConfig
from nmt.model.build import make_network

BENCH = Path(__file__).parents[2] / "scripts" / "benchmarks"
TINY = ["--device", "cpu", "--sizes", "tiny", "--threads", "1", "--repeats", "1"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the benchmark where no GPU can be seen."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, BENCH, "gpu", *arguments]
    return subprocess.run([*map(str, command)], env=env, capture_output=True, text=True)


def rows(table: str) -> list[list[str]]:
    """Return the cells of the tables."""
    lines = [line for line in table.split("\n") if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


@pytest.mark.slow
def test_training_and_translation_are_measured(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    output = tmp_path / "figures.jsonl"
    batches = ["--translate-batches", "100", "--peak-tflops", "0.5"]
    done = run(*TINY, *batches, "--output", output, "--peer", f"eole={sys.executable}")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"eole is not measured: it is not installed for {sys.executable}" in done.stderr
    machine, setup, *lines = map(json.loads, output.read_text("utf-8").rstrip("\n").split("\n"))
    assert (machine["kind"], machine["device"]) == ("machine", "cpu")
    expected = {"kind": "setup", "precision": "bf16", "torch": torch.__version__}
    assert setup.items() >= expected.items()
    assert setup["peak_TFLOPs"] == 0.5
    systems = ["nmt", "torch", "nmt", "ctranslate2"]
    assert [row[0].rstrip(" *") for row in rows(done.stderr)] == systems
    runs = {kind: [line for line in lines if line["kind"] == kind] for kind in ("run", "summary")}
    assert [[line["system"] for line in runs[kind]] for kind in runs] == [systems, systems]
    check_training(*runs["run"][:2])
    for one in runs["run"][2:]:
        assert one["tokens_per_s"] == pytest.approx(setup["tokens"] * one["sentences_per_s"])
    for pair in (runs["summary"][:2], runs["summary"][2:]):
        assert pair[0]["ratio"] * pair[1]["ratio"] == pytest.approx(1)
    header = f"cpu, torch {torch.__version__}, bf16"
    assert (
        f"training: {header}, 400 tokens per side, vocabulary 300, mfu: share of 0.5" in done.stderr
    )
    assert f"translation: {header}" in done.stderr


def check_training(*runs: dict[str, Any]) -> None:
    """Check figures that belong together; all systems train on the same tokens."""
    for one in runs:
        assert len(one["seconds"]) == 2
        assert one["ms_per_step"] == pytest.approx(1000 * np.median(one["seconds"]) / 2)
        assert one["loss"] == pytest.approx(np.log(300), rel=0.2)  # at first it knows nothing
        assert one["peak_MB"] > 0
    for figure in ("target_tokens_per_s", "mfu"):
        first, second = (one[figure] * one["ms_per_step"] for one in runs)
        assert first == pytest.approx(second)


@pytest.mark.slow
def test_a_model_translates_a_text_and_an_unknown_peak_is_called_so(trained_run: Path) -> None:
    text = trained_run.parent / "test.src"
    options = ["--systems", "nmt", "--translate-batches", "100"]
    options += ["--train-options", "train.clip_norm=1.0", "--sentences", "5"]
    done = run(*TINY, *options, "--model", trained_run, "--src", text)
    assert done.returncode == 0, done.stderr
    _, setup, *_, summary = map(json.loads, done.stdout.rstrip("\n").split("\n"))
    assert setup["peak_TFLOPs"] is None
    assert summary["sentences_per_s"]["median"] > 0
    assert "mfu: share of unknown TFLOP/s" in done.stderr
    assert f"5 sentences, {trained_run}" in done.stderr.replace("\n", " ")
    training, _ = rows(done.stderr)
    assert (training[:3], training[5]) == (["nmt *", "tiny", "train.clip_norm=1.0"], "unknown")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "`gpu --device cpu --sizes tiny` tries out the benchmark without a GPU"),
        ("--model x", "--model and --src are only valid together"),
        ("--peak-tflops 0", "'0' is not a positive number"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: str, message: str) -> None:
    done = run(*options.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.rstrip("\n").rpartition("\n")[2]


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H100 NVL", 835.5),
        ("NVIDIA H200", 989.4),
        ("NVIDIA A100-SXM4-40GB", 312.0),
        ("NVIDIA A100 80GB PCIe", 312.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA GeForce RTX 4090", 165.2),
        # Slower or faster relatives, and a slice.
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA L40", None),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("cpu", None),
    ],
)
def test_peak_rates(name: str, peak: float | None) -> None:
    assert flops.peak_tflops(name) == peak


def test_operations_are_those_that_torch_counts() -> None:
    shape = {"d_model": 16, "d_ff": 24, "num_heads": 2, "encoder_layers": 3, "decoder_layers": 2}
    network = make_network(TransformerConfig(**shape), 50, 50, 0)
    src_BS, tgt_BT = torch.full((4, 5), 7), torch.full((4, 6), 7)
    with FlopCounterMode(display=False) as counter, torch.device("cpu"):
        network.project(network.hidden(src_BS, tgt_BT))
    # A training step takes three times as many as the forward pass.
    assert flops.training_flops(shape, 50, [(5, 6)] * 4) == 3 * counter.get_total_flops()


def test_operations_of_the_base_model() -> None:
    """By hand: 25,000 tokens per side are 9.44 TFLOP without attention (25 tokens: 0.5 % more)."""
    shape = {"d_model": 512, "d_ff": 2048, "encoder_layers": 6, "decoder_layers": 6}
    total = flops.training_flops(shape, 37_000, [(25, 25)] * 1000)
    assert 9.44e12 < total < 9.53e12


def test_lengths_are_those_of_sentences() -> None:
    src, tgt = synthetic.draw_lengths(10_000, 255, np.random.default_rng(1))
    assert np.mean(src) == pytest.approx(28, rel=0.05)
    assert np.mean(tgt) == pytest.approx(np.mean(src), rel=0.1)
    assert min(src.min(), tgt.min()) >= 1
    assert max(src.max(), tgt.max()) == 255
    assert np.corrcoef(src, tgt)[0, 1] > 0.9


def test_every_word_is_a_piece() -> None:
    tokenizers = synthetic.make_tokenizers(40)
    assert tokenizers.sizes == (40, 40, 0)
    ids = [[4, 39, 4], [12]]
    assert tokenizers.src.encode(tokenizers.src.decode(ids)) == ids
    [line] = synthetic.make_lines(tokenizers, 1, 9)
    assert 1 <= len(line.split(" ")) <= 9
