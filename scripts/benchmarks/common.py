"""Shared by the commands: options, model sizes, description of the machine."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from report import Report
from runs import ask_worker

SIZES: dict[str, dict[str, int]] = {
    "big": {"d_model": 1024, "d_ff": 4096, "num_heads": 16, "layers": 6},
    "base": {"d_model": 512, "d_ff": 2048, "num_heads": 8, "layers": 6},
    "small": {"d_model": 256, "d_ff": 1024, "num_heads": 4, "layers": 3},
    "tiny": {"d_model": 32, "d_ff": 64, "num_heads": 2, "layers": 1},  # to try out the benchmarks
}


def make_config(options: argparse.Namespace, size: str, cache: Path, **train: Any) -> Any:
    """Return an `nmt.config.schema.Config` for the paper's model with a joint BPE.

    Args:
        options: `data`, `langs` and `vocab_size`.
        size: one of SIZES.
        cache: directory for prepared corpora.
        train: settings of the section train that differ from the defaults.
    """
    from nmt.config.schema import Config

    shape = dict(SIZES[size])
    layers = shape.pop("layers")
    src, tgt = options.langs.split("-")
    return Config.model_validate(
        {
            "data": {
                "src_lang": src,
                "tgt_lang": tgt,
                "train": {
                    "src": str(data_file(options.data, f"train.{src}")),
                    "tgt": str(data_file(options.data, f"train.{tgt}")),
                },
                "cache_dir": str(cache),
            },
            "tokenizer": {"vocab_size": options.vocab_size},
            "model": {**shape, "encoder_layers": layers, "decoder_layers": layers, "dropout": 0.1},
            "train": train,
        }
    )


def data_file(folder: Path, name: str) -> Path:
    """Return the path of a data file, plain or .gz."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    sys.exit(f"scripts/bench: neither {name} nor {name}.gz in {folder}; set the folder with --data")


def add_common_options(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    parser.add_argument(
        "--nmt-options",
        action="append",
        metavar="OPTIONS",
        help="options for the nmt command; repeat to measure several settings",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, help="file for the JSON lines; default: standard output"
    )
    parser.add_argument(
        "--repeats", type=positive, default=3, help="repetitions of each measurement, interleaved"
    )
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads per system")
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--systems", type=_names, help="systems, comma-separated; default: all available"
    )


def add_data_options(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument(
        "--data", type=Path, required=required, help="folder with train.en.gz, train.de.gz, …"
    )
    parser.add_argument("--langs", type=_languages, default="en-de")
    parser.add_argument(
        "--vocab-size", type=positive, default=8000, help="size of the joint BPE vocabulary"
    )


def add_peer_option(parser: argparse.ArgumentParser, names: str = "transformers or eole") -> None:
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"{names}, and the Python of its environment; may be repeated",
    )


def positive(text: str) -> int:
    """Parse an integer that must be at least 1."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def some_of(choices: Collection[str]) -> Callable[[str], list[str]]:
    """Return a parser for comma-separated names, each of which must be one of choices."""

    def parse(text: str) -> list[str]:
        names = _names(text)
        if unknown := [name for name in names if name not in choices]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r}: choose from {', '.join(choices)}")
        return names

    return parse


def _names(text: str) -> list[str]:
    return text.split(",")


def _languages(text: str) -> str:
    if len(names := text.split("-")) != 2 or not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}: expected two languages, as in en-de")
    return text


def device(name: str) -> str:
    """Parse the name of a device, which must exist."""
    if name == "cpu":
        return name
    from nmt.device import choose_device

    return str(choose_device(name))


def find_pythons(options: argparse.Namespace, here: list[str], peers: list[str]) -> dict[str, str]:
    """Return the Python interpreter of each system to measure.

    Args:
        options: `systems` and, if there are peers, `peer`.
        here: systems in this environment.
        peers: systems that may be in other environments.
    """
    pythons = dict.fromkeys(here, sys.executable)
    for text in getattr(options, "peer", []):
        name, _, python = text.partition("=")
        if name not in peers or not python:
            sys.exit(f"scripts/bench: --peer {text}: NAME=PYTHON, NAME one of {', '.join(peers)}")
        pythons[name] = python
    if importlib.util.find_spec("ctranslate2") is None:
        pythons.pop("ctranslate2", None)
    wanted = options.systems or list(pythons)
    if missing := [name for name in wanted if name not in pythons]:
        sys.exit(
            f"scripts/bench: not installed: {', '.join(missing)}; "
            "use --peer NAME=PYTHON or pip install"
        )
    return {name: pythons[name] for name in wanted}


def describe_machine(options: argparse.Namespace, report: Report) -> dict[str, float]:
    """Report the machine, and return its peak rates of matrix products in GFLOP/s by type."""
    request = {"task": "matmul", "threads": options.threads, "device": options.device}
    answer = ask_worker(sys.executable, "matmul", request, options.threads)
    report.write(
        "machine",
        {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "threads": options.threads,
            "device": device_name(options.device),
            "python": platform.python_version(),
            "commit": _commit(),
            **answer,
        },
    )
    peaks: dict[str, float] = answer.get("matmul_GFLOPs", {})
    return peaks


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def device_name(device: str) -> str:
    """Return the name of a GPU's model, or `cpu`."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return device


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
