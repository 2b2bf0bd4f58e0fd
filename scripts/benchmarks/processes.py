"""`scripts/bench processes`: nmt in several processes, compared with one.

Trains with the same batches and the same threads, divided among 1, 2 and more processes: target
tokens per second, and the largest difference of the loss of a step from that of one process. With a
model, translates a file in the same way: sentences per second, start-up included, and whether the
output is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import SIZES, add_common_options, add_data_options, data_file, make_config, positive

from report import Report
from runs import Case, Figures, interleaved

_UNTIMED_STEPS = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    add_common_options(parser)
    add_data_options(parser, required=True)
    parser.add_argument("--size", choices=[*SIZES], default="small")
    parser.add_argument("--steps", type=positive, default=50)
    parser.add_argument("--batch-tokens", type=positive, default=2048)
    parser.add_argument("--model", type=Path, help="a run to measure translation with")
    parser.add_argument("--test", default="test_2016_flickr", help="name of the files to translate")
    parser.add_argument(
        "--processes",
        type=lambda text: [*map(positive, text.split(","))],
        default=[1, 2],
        help="numbers of processes; the threads are divided among them",
    )


def run(options: argparse.Namespace) -> None:
    """Measure training, and translation."""
    report = Report("processes", options.output)
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as name:
        folder = Path(name)
        cases = [_training(options, folder, count) for count in options.processes]
        if options.model:
            cases += [_translation(options, folder, count) for count in options.processes]
        for case, figures in interleaved(cases, options.repeats):
            report.add(case, figures)
    report.finish(["per_s", "loss_difference", "same_output"], "per_s")


def _training(options: argparse.Namespace, folder: Path, count: int) -> Case:
    labels = {"size": "training", "processes": count}
    return Case("nmt", labels, partial(_train, options, folder, count))


def _train(options: argparse.Namespace, folder: Path, count: int) -> Figures:
    from nmt.config.load import dump_config

    config = make_config(
        options,
        options.size,
        folder / "cache",
        max_steps=options.steps,
        batch_tokens=options.batch_tokens,
        accumulate=max(options.processes),
        learning_rate=7e-4,
        warmup_steps=100,
        log_every=1,
        average="none",
        precision="auto",
        device=options.device,
        threads=max(1, options.threads // count),
    )
    (folder / "config.yaml").write_text(dump_config(config), "utf-8")
    run = folder / f"run-{count}-{time.monotonic_ns()}"
    failed = _nmt(options, count, "train", str(folder / "config.yaml"), "--run-dir", str(run))
    if failed:
        return failed
    lines = (run / "metrics.jsonl").read_text("utf-8").split("\n")[:-1]
    records = [record for record in map(json.loads, lines) if record["kind"] == "train"]
    losses = [record["loss"] for record in records]
    timed = records[_UNTIMED_STEPS:]
    seconds = records[-1]["seconds"] - records[_UNTIMED_STEPS - 1]["seconds"]
    tokens = sum(record["tokens_per_s"] * _seconds_of(records, record) for record in timed)
    reference = folder / "losses.json"
    if not reference.exists():
        reference.write_text(json.dumps(losses), "utf-8")
    expected = json.loads(reference.read_text("utf-8"))
    difference = max(abs(a - b) for a, b in zip(losses, expected, strict=True))
    return {"per_s": tokens / seconds, "loss_difference": difference}


def _seconds_of(records: list[dict[str, Any]], record: dict[str, Any]) -> float:
    """Return the time of the one step that a record covers."""
    place = records.index(record)
    seconds: float = record["seconds"] - records[place - 1]["seconds"]
    return seconds


def _translation(options: argparse.Namespace, folder: Path, count: int) -> Case:
    labels = {"size": "translation", "processes": count}
    return Case("nmt", labels, partial(_translate, options, folder, count))


def _translate(options: argparse.Namespace, folder: Path, count: int) -> Figures:
    from nmt.data.lines import read_lines

    src = options.langs.partition("-")[0]
    path = data_file(options.data, f"{options.test}.{src}")
    output, reference = folder / f"out-{count}", folder / "out"
    threads = str(max(1, options.threads // count))
    start = time.perf_counter()
    failed = _nmt(
        *(options, count, "translate", str(options.model), str(path)),
        *("--output", str(output), "--threads", threads),
    )
    seconds = time.perf_counter() - start
    if failed:
        return failed
    if not reference.exists():
        reference.write_bytes(output.read_bytes())
    same = output.read_bytes() == reference.read_bytes()
    return {"per_s": sum(1 for _ in read_lines(path)) / seconds, "same_output": same}


def _nmt(options: argparse.Namespace, count: int, *arguments: str) -> Figures:
    """Run a command in several processes; return the reason of a failure, if it fails."""
    threads = str(max(1, options.threads // count))
    done = subprocess.run(
        [sys.executable, "-m", "nmt", *arguments, "--processes", str(count)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": threads},
        check=False,
    )
    return {"failed": done.stderr.rstrip().rpartition("\n")[2]} if done.returncode else {}
