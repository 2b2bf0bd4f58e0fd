"""`scripts/bench all`: the figures of the README's performance section, as Markdown.

Runs the other benchmarks one after the other, which takes about a quarter of an hour on two cores,
and prints a table for each: medians, and the ratio to the best of the other systems.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_RANDOM_BASE = ["--random", "base", "--tokens", "20"]
_AUTO, _INT8 = "--nmt-options=--engine auto", "--nmt-options=--engine ctranslate2 --compute int8"
_OWN = "--nmt-options=--engine nmt --compute bfloat16"
_TYPES = ["--compute-types", "float32,int8"]
_FIGURES = (
    *("target_tokens_per_s", "sentences_per_s", "bleu", "median_ms", "p95_ms", "startup_s"),
    "ratio",
)
_LABELS = ("system", "size", "setting", "type", "threads")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="a run directory")
    parser.add_argument("--data", type=Path, required=True, help="as in the other commands")
    parser.add_argument("--peer", action="append", default=[], help="as in `train`")
    parser.add_argument("--output", type=Path, help="file for the tables; default: standard output")


def run(options: argparse.Namespace) -> None:
    """Run the benchmarks and print their tables."""
    tables = [
        f"### {title}\n\n{_table(_summaries(arguments))}\n"
        for title, arguments in _benchmarks(options)
    ]
    text = "\n".join(tables)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def _benchmarks(options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Yield titles and arguments."""
    data = ["--data", str(options.data)]
    model = ["--model", str(options.model)]
    peers = [f"--peer={peer}" for peer in options.peer]
    systems = ",".join(["nmt", "torch", *(peer.partition("=")[0] for peer in options.peer)])
    train = ["train", *data, *peers, "--systems", systems, "--precisions", "bf16", "--repeats", "2"]
    yield "Training, small", [*train, "--sizes", "small", "--steps", "20"]
    yield "Training, base", [*train, "--sizes", "base", "--steps", "10"]
    batches = ["--batch-sizes", "32", "--threads", "2"]
    bulk = ["translate", *data, *_TYPES, *batches, _AUTO, _INT8, _OWN, "--repeats", "3"]
    yield "Bulk translation", [*bulk, *model]
    yield "Bulk translation, base", [*bulk, *_RANDOM_BASE, "--sentences", "256"]
    single = ["latency", *data, *_TYPES, "--threads", "1", _AUTO, _INT8, "--repeats", "3"]
    yield "One sentence at a time", [*single, *model, "--sentences", "100"]
    yield "One sentence at a time, base", [*single, *_RANDOM_BASE, "--sentences", "30"]


def _summaries(arguments: list[str]) -> list[dict[str, Any]]:
    """Run a benchmark, and return the summaries of its cases."""
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, here, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    records = map(json.loads, done.stdout.rstrip("\n").split("\n"))
    return [record for record in records if record["kind"] == "summary"]


def _table(summaries: list[dict[str, Any]]) -> str:
    """Return a table in Markdown with the columns that have values."""
    rows = [
        {
            **{name: str(record[name]) for name in _LABELS if record.get(name)},
            **{name: _number(record[name]) for name in _FIGURES if record.get(name)},
        }
        for record in summaries
    ]
    columns = [name for name in (*_LABELS, *_FIGURES) if any(name in row for row in rows)]
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(name, "") for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _number(figure: Any) -> str:
    value = figure["median"] if isinstance(figure, dict) else figure
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
