"""`scripts/bench gpu`: training and translation on one CUDA GPU, without a corpus.

Trains the paper's models on random sentences in bf16, with the learner of `nmt train`, a plain loop
around torch.nn.Transformer and, with --peer, eole's model. All get the same ready-made batches,
which each window repeats; the first windows are a warm-up, and the figures are medians of the
others. Then translates with nmt in bf16 and CTranslate2 in float16: random sentences with a base
model of random weights and translations of a fixed length, or the text of --src with --model.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import (
    SIZES,
    add_peer_option,
    add_run_options,
    describe_machine,
    device_name,
    find_pythons,
    positive,
    some_of,
)
from flops import peak_tflops, training_flops
from synthetic import make_lines, make_tokenizers, write_batches
from translation import BEAM_SIZE, Bench, Task, make_random_run

from report import Report
from runs import Case, Figures, ask_worker, interleaved

if TYPE_CHECKING:
    from nmt.config.schema import Config

_RECIPES = Path(__file__).parents[2] / "configs" / "paper"
_PAPER = {
    "vocab_size": 37_000,
    "batch_tokens": 25_000,
    "batches": 20,
    "warm_up": 2,
    "windows": 5,
    "sentences": 2000,
    "tokens": 30,
    "translate_batches": [1024, 4096, 16_384],
}
# To try out the benchmark, which then takes seconds on a CPU.
_TINY = {
    "vocab_size": 300,
    "batch_tokens": 400,
    "batches": 2,
    "warm_up": 1,
    "windows": 2,
    "sentences": 12,
    "tokens": 4,
    "translate_batches": [50, 200],
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(refuse=parser.error)
    add_run_options(parser)
    parser.set_defaults(device=None)
    add_peer_option(parser, "eole")
    both = ["train", "translate"]
    parser.add_argument("--measure", type=some_of(both), default=both, help=",".join(both))
    parser.add_argument(
        "--sizes",
        type=some_of(SIZES),
        default=["base", "big"],
        help=f"of {', '.join(SIZES)}; tiny alone makes all else small too",
    )
    parser.add_argument("--vocab-size", type=positive, help="size of the joint vocabulary")
    parser.add_argument("--peak-tflops", type=_rate, help="peak rate of dense products in bf16")
    training = parser.add_argument_group("training")
    training.add_argument("--batch-tokens", type=positive, help="tokens per side, with padding")
    training.add_argument("--batches", type=positive, help="steps of a window")
    training.add_argument("--warm-up", type=positive, help="windows that are not counted")
    training.add_argument("--windows", type=positive, help="windows that are counted")
    training.add_argument(
        "--train-options",
        action="append",
        metavar="OPTIONS",
        help="settings for nmt, as in train.clip_norm=1.0; repeat to measure several",
    )
    translation = parser.add_argument_group("translation")
    translation.add_argument("--model", type=Path, help="a run directory; needs --src")
    translation.add_argument("--src", type=Path, help="text to translate with --model")
    translation.add_argument("--sentences", type=positive, help="number of sentences")
    translation.add_argument("--tokens", type=positive, help="length of translations if random")
    translation.add_argument(
        "--translate-batches",
        type=lambda text: [*map(positive, text.split(","))],
        help="sizes of batches, in source tokens with padding",
    )
    translation.add_argument(
        "--translate-options",
        action="append",
        metavar="OPTIONS",
        help="options for `nmt translate`; repeat to measure several",
    )


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return rate


def run(options: argparse.Namespace) -> None:
    """Measure training and translation."""
    if (options.model is None) != (options.src is None):
        options.refuse("--model and --src are only valid together")
    options.device = options.device or _cuda()
    for name, value in (_TINY if options.sizes == ["tiny"] else _PAPER).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    pythons = find_pythons(options, ["nmt", "torch", "ctranslate2"], ["eole"])
    pythons = {name: python for name, python in pythons.items() if _can_run(options, name, python)}
    if "train" in options.measure and "eole" not in pythons and not options.systems:
        _say("eole is not measured: --peer eole=PYTHON names the Python of an environment with it")
    report = Report("gpu", options.output)
    describe_machine(options, report)
    device = device_name(options.device)
    peak = options.peak_tflops or peak_tflops(device)
    setup = {"device": device, "torch": _torch_version(), "precision": "bf16", "peak_TFLOPs": peak}
    report.write("setup", {**setup, **{name: getattr(options, name) for name in _PAPER}})
    header = f"{device}, torch {setup['torch']}, bf16"
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as name:
        if "train" in options.measure:
            _measure_training(options, pythons, report, Path(name), header, peak)
        if "translate" in options.measure:
            _measure_translation(options, pythons, report, Path(name), header)


def _cuda() -> str:
    """Return the device of a GPU.

    Raises:
        ConfigError: if there is none.
    """
    from nmt.device import choose_device
    from nmt.errors import ConfigError

    try:
        return str(choose_device("cuda"))
    except ConfigError as error:
        raise ConfigError(
            f"{error}; `gpu --device cpu --sizes tiny` tries out the benchmark without a GPU"
        ) from error


def _torch_version() -> str:
    import torch

    return str(torch.__version__)


def _can_run(options: argparse.Namespace, system: str, python: str) -> bool:
    """Return whether a system can run here; if not, say why."""
    if system == "eole":
        find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('eole') is None)"
        if subprocess.run([python, "-c", find], check=False).returncode:
            _say(f"eole is not measured: it is not installed for {python}")
            return False
    if system == "ctranslate2" and options.device != "cpu":
        import ctranslate2

        if not ctranslate2.get_cuda_device_count():
            _say("ctranslate2 is not measured: its build has no CUDA, or finds no GPU")
            return False
    return True


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# Training


@dataclass(frozen=True)
class Plan:
    """The training job of one size, the same for every system.

    Attributes:
        tokens: target tokens of a window, without padding.
        flops: operations of a window; see `training_flops`.
        request: the workers' request.
    """

    tokens: int
    flops: float
    request: dict[str, Any]


def _measure_training(
    options: argparse.Namespace,
    pythons: dict[str, str],
    report: Report,
    folder: Path,
    header: str,
    peak: float | None,
) -> None:
    tokenizers = folder / "tokenizers"
    tokenizers.mkdir()
    make_tokenizers(options.vocab_size).save(tokenizers)
    cases: list[Case] = []
    for size in options.sizes:
        plan = _plan(options, size, folder / size, tokenizers)
        cases += _training_cases(options, size, plan, pythons, peak)
    if not cases:
        return
    for case, figures in interleaved(cases, options.repeats):
        report.add(case, figures)
        for warning in figures.get("warnings", []):
            _say(f"  {warning}")
    report.finish(
        ["ms_per_step", "target_tokens_per_s", "mfu", "peak_MB"],
        "target_tokens_per_s",
        title=f"training: {header}, {options.batch_tokens:,} tokens per side, "
        f"vocabulary {options.vocab_size:,}, mfu: share of {peak or 'unknown'} TFLOP/s",
        missing="unknown",
    )


def _training_cases(
    options: argparse.Namespace,
    size: str,
    plan: Plan,
    pythons: dict[str, str],
    peak: float | None,
) -> Iterator[Case]:
    for system in ("nmt", "torch", "eole"):
        if system not in pythons:
            continue
        for setting in (options.train_options or [""]) if system == "nmt" else [""]:
            request = {**plan.request, "options": setting.split()}
            request["task"] = "steps" if system == "nmt" else "train"
            measure = partial(_train, options, pythons[system], system, request, plan, peak)
            yield Case(system, {"size": size, "setting": setting}, measure)


def _train(
    options: argparse.Namespace,
    python: str,
    system: str,
    request: dict[str, Any],
    plan: Plan,
    peak: float | None,
) -> Figures:
    answer = ask_worker(python, system, request, options.threads)
    if "failed" in answer:
        return answer
    counted = answer["windows"][options.warm_up :]
    seconds = statistics.median(window["seconds"] for window in counted)
    return {
        "ms_per_step": 1000 * seconds / options.batches,
        "target_tokens_per_s": plan.tokens / seconds,
        "mfu": peak and plan.flops / seconds / (peak * 1e12),
        "peak_MB": answer["peak_MB"],
        "loss": counted[-1]["loss"],
        "seconds": [window["seconds"] for window in counted],
        "warnings": answer.get("warnings", []),
    }


def _plan(options: argparse.Namespace, size: str, folder: Path, tokenizers: Path) -> Plan:
    """Write the batches and nmt's configuration."""
    from nmt.config.load import dump_config
    from nmt.training.schedule import learning_rate

    config = _config(options, size)
    folder.mkdir()
    (folder / "config.yaml").write_text(dump_config(config), "utf-8")
    pairs = write_batches(folder / "batches", config, options.vocab_size, options.batches)
    shape = config.model.model_dump()
    passes = options.warm_up + options.windows
    steps = range(1, passes * options.batches + 1)
    return Plan(
        tokens=sum(tgt for _, tgt in pairs),
        flops=training_flops(shape, options.vocab_size, pairs),
        request={
            "device": options.device,
            "threads": options.threads,
            "config": str(folder / "config.yaml"),
            "tokenizers": str(tokenizers),
            "batches": str(folder / "batches"),
            "passes": passes,
            "window": options.batches,
            "rates": [learning_rate(step, config.train, shape["d_model"]) for step in steps],
            "precision": "bf16",
            "shape": shape,
            "vocab_size": options.vocab_size,
        },
    )


def _config(options: argparse.Namespace, size: str) -> Config:
    """Return the recipe of the paper, or that of its base model with another shape."""
    from nmt.config.load import load_config

    recipe = _RECIPES / f"{size}.yaml"
    settings = ["train.precision=bf16", f"train.batch_tokens={options.batch_tokens}"]
    if not recipe.exists():
        recipe, shape = _RECIPES / "base.yaml", dict(SIZES[size])
        layers = shape.pop("layers")
        shape |= {"encoder_layers": layers, "decoder_layers": layers}
        settings += [f"model.{name}={value}" for name, value in shape.items()]
    return load_config(recipe, settings)


# Translation


def _measure_translation(
    options: argparse.Namespace,
    pythons: dict[str, str],
    report: Report,
    folder: Path,
    header: str,
) -> None:
    systems = [name for name in ("nmt", "ctranslate2") if name in pythons]
    if not systems:
        return
    task = _task(options, folder, "ctranslate2" in systems)
    bench = Bench(options, task, pythons, folder, {})
    cases = [
        case
        for batch in options.translate_batches
        for system in systems
        for case in _translation_cases(options, task, bench, system, batch)
    ]
    for case, figures in interleaved(cases, options.repeats):
        report.add(case, figures)
    what = options.model or f"random {_random_size(options)}, {options.tokens} tokens each"
    report.finish(
        ["sentences_per_s", "tokens_per_s", "peak_MB"],
        "sentences_per_s",
        among="batch",
        title=f"translation: {header} (nmt), beam {BEAM_SIZE}, {len(task.lines)} sentences, {what}",
        missing="unknown",
    )


def _translation_cases(
    options: argparse.Namespace, task: Task, bench: Bench, system: str, batch: int
) -> Iterator[Case]:
    if system == "ctranslate2":
        compute = "float32" if options.device == "cpu" else "float16"
        request = task.ctranslate2_request(
            compute_type=compute,
            inter_threads=1,
            intra_threads=options.threads,
            batch_size=batch,
            batch_type="tokens",
        )
        yield bench.case(system, {"type": compute, "batch": batch}, compute, request)
        return
    compute = "bfloat16"
    fixed = {"device": options.device, "threads": options.threads, "beam-size": BEAM_SIZE}
    fixed |= {"engine": "nmt", "compute": compute, "batch-tokens": batch}
    arguments = [str(task.model), *(f"--{name}={value}" for name, value in fixed.items())]
    for setting in options.translate_options or [""]:
        request = {
            "arguments": [*arguments, *setting.split()],
            "num_tokens": task.num_tokens,
            "lines": task.lines,
            "warm_up": task.warm_up,
        }
        labels = {"type": compute, "batch": batch, "setting": setting}
        yield bench.case(system, labels, compute, request)


def _random_size(options: argparse.Namespace) -> str:
    return "base" if "base" in options.sizes else str(options.sizes[0])


def _task(options: argparse.Namespace, folder: Path, exporting: bool) -> Task:
    """Load or make the model, and read or make the text."""
    from nmt.convert.ctranslate2 import export_ctranslate2
    from nmt.data.lines import read_lines
    from nmt.runs.model import load_model

    if options.model:
        model, lines = options.model, [*read_lines(options.src)][: options.sentences]
    else:
        tokenizers = make_tokenizers(options.vocab_size)
        config = _config(options, _random_size(options))
        model = make_random_run(config, tokenizers, folder)
        lines = make_lines(tokenizers, options.sentences, config.data.max_length - 1)
    trained = load_model(model)
    if exporting:
        export_ctranslate2(trained, folder / "exported", None)
    return Task(
        model=model,
        exported=folder / "exported" if exporting else None,
        trained=trained,
        lines=lines,
        references=[],
        warm_up=lines[::4],
        num_tokens=None if options.model else options.tokens,
    )
