"""`scripts/bench train`: target tokens per second, and the loss after an equal number of steps.

All systems train on the same batches, in the same order, with the same learning rates. nmt's time
includes making the batches; the others get them ready-made, and benefit from their little padding.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common import (
    SIZES,
    add_common_options,
    add_data_options,
    add_peer_option,
    describe_machine,
    find_pythons,
    make_config,
    positive,
    some_of,
)

from report import Report
from runs import Case, Figures, ask_worker, interleaved

# Small enough not to diverge even with post-norm and bf16; the loss falls from the first step.
_PEAK_RATE, _WARMUP_STEPS = 7e-4, 100
_WINDOWS = 10


def add_options(parser: argparse.ArgumentParser) -> None:
    add_common_options(parser)
    add_data_options(parser, required=True)
    add_peer_option(parser)
    parser.add_argument(
        "--sizes", type=some_of(SIZES), default=["base", "small"], help=str([*SIZES])
    )
    parser.add_argument("--steps", type=int, default=100, help="the first fifth is not timed")
    parser.add_argument(
        "--batch-tokens", type=positive, default=4096, help="tokens per side, padding included"
    )
    parser.add_argument("--precisions", type=some_of(["fp32", "bf16"]), default=["fp32", "bf16"])


@dataclass(frozen=True)
class Plan:
    """The training job, the same for every system.

    Attributes:
        tokens: target tokens per window.
        common: the part of the workers' requests that is the same for all systems; it has the paths
            of the batches (token ids, one JSON object per line) and of nmt's configuration.
        num_parameters: parameters of nmt's model, shared matrices counted once.
    """

    tokens: list[int]
    common: dict[str, Any]
    num_parameters: int


def run(options: argparse.Namespace) -> None:
    """Measure training."""
    pythons = find_pythons(options, ["nmt", "torch"], ["transformers", "eole"])
    report = Report("train", options.output)
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as name:
        plans = {size: _plan(options, size, Path(name) / size) for size in options.sizes}
        peaks = describe_machine(options, report)
        cases = [
            case
            for size, plan in plans.items()
            for case in _cases(options, size, plan, pythons, peaks)
        ]
        for case, figures in interleaved(cases, options.repeats):
            report.add(case, figures)
    report.finish(
        ["target_tokens_per_s", "loss", "nll", "peak_MB", "flop_utilisation"],
        "target_tokens_per_s",
    )


def _cases(
    options: argparse.Namespace,
    size: str,
    plan: Plan,
    pythons: dict[str, str],
    peaks: dict[str, float],
) -> Iterator[Case]:
    for precision in options.precisions:
        for system, python in pythons.items():
            for setting in (options.nmt_options or [""]) if system == "nmt" else [""]:
                request = {**plan.common, "precision": precision}
                if system == "nmt":
                    request["options"] = [f"train.precision={precision}", *setting.split()]
                yield Case(
                    system,
                    {"size": size, "precision": precision, "setting": setting},
                    partial(_measure, python, system, request, plan, peaks.get(precision)),
                )


def _measure(
    python: str, system: str, request: dict[str, Any], plan: Plan, peak: float | None
) -> Figures:
    return _figures(ask_worker(python, system, request, request["threads"]), plan, peak)


def _figures(answer: Figures, plan: Plan, peak: float | None) -> Figures:
    if "failed" in answer:
        return answer
    windows = answer["windows"]
    untimed = max(1, len(windows) // 5)
    seconds = sum(window["seconds"] for window in windows[untimed:])
    rate = sum(plan.tokens[untimed:]) / seconds
    last = windows[-1]
    return {
        "target_tokens_per_s": rate,
        "loss": last["loss"],
        "nll": last.get("nll"),
        "peak_MB": answer["peak_MB"],
        "flop_utilisation": peak and 6 * plan.num_parameters * rate / (peak * 1e9),
        "seconds": seconds,
        "losses": [window["loss"] for window in windows],
    }


def _plan(options: argparse.Namespace, size: str, folder: Path) -> Plan:
    """Prepare the corpus, and write the batches that nmt will make to a file."""
    from nmt.config.load import dump_config
    from nmt.data.batching import BatchOrder, batches
    from nmt.data.prepare import prepare
    from nmt.data.tokenizer_training import train_tokenizers
    from nmt.model.build import make_network
    from nmt.training.schedule import learning_rate

    steps = options.steps
    window = max(1, steps // _WINDOWS)
    if steps < 2 or steps % window:
        raise SystemExit(f"scripts/bench: --steps {steps}: must be a multiple of {_WINDOWS}")
    config = make_config(
        options,
        size,
        folder.parent / "cache",
        max_steps=steps,
        batch_tokens=options.batch_tokens,
        learning_rate=_PEAK_RATE,
        warmup_steps=_WARMUP_STEPS,
        log_every=window,
        save_every=steps,
        average="none",
        device=options.device,
        threads=options.threads,
    )
    tokenizers = train_tokenizers(config)
    prepared = prepare(config, tokenizers, config.data.train, filtered=True)
    order = BatchOrder.of(prepared, options.batch_tokens, config.train.seed)
    folder.mkdir()
    tokens: list[int] = []
    epoch = 0
    with (folder / "batches.jsonl").open("w", encoding="utf-8") as file:
        while len(tokens) < steps:
            for batch in batches(prepared, tokenizers, order, config, epoch):
                if len(tokens) == steps:
                    break
                src, tgt = prepared.rows(batch.rows)
                ids = {"src": [row.tolist() for row in src], "tgt": [row.tolist() for row in tgt]}
                file.write(json.dumps(ids) + "\n")
                tokens.append(batch.num_tgt_tokens)
            epoch += 1
    (folder / "config.yaml").write_text(dump_config(config), "utf-8")
    network = make_network(config.model, *tokenizers.sizes)
    return Plan(
        tokens=[sum(tokens[first : first + window]) for first in range(0, steps, window)],
        common={
            "task": "train",
            "device": options.device,
            "threads": options.threads,
            "config": str(folder / "config.yaml"),
            "batches": str(folder / "batches.jsonl"),
            "window": window,
            "rates": [
                learning_rate(step, config.train, config.model.d_model)
                for step in range(1, steps + 1)
            ],
            "shape": config.model.model_dump(),
            "vocab_size": tokenizers.tgt.vocab_size,
        },
        num_parameters=sum(p.numel() for p in network.parameters()),
    )
