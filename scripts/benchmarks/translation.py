"""`scripts/bench translate`: sentences per second, and BLEU.

nmt and CTranslate2 translate text to text with the same weights; transformers translates ids to
ids. A part of the text is translated as a warm-up before the clock starts. nmt does not cache those
translations, but translates repeated lines only once. Every setting of CTranslate2 is tried once,
and the best of each compute type takes part in all repetitions.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import (
    SIZES,
    add_common_options,
    add_data_options,
    add_peer_option,
    data_file,
    describe_machine,
    find_pythons,
    make_config,
    positive,
)

from report import Report
from runs import Case, Figures, ask_worker, interleaved

if TYPE_CHECKING:
    from nmt.config.schema import Config
    from nmt.data.tokenizer import Tokenizers
    from nmt.runs.model import TrainedModel

BEAM_SIZE = 4
NMT_OPTIONS = [
    "--engine nmt --compute float32",
    "--engine nmt --compute bfloat16",
    "--engine ctranslate2 --compute int8",
]
"""What nmt is measured with, unless the command line says otherwise."""
# Compute type to the matrix product to compare with; none is measured for other types.
_PEAK_OF = {"float32": "fp32", "bfloat16": "bf16", "fp32": "fp32", "bf16": "bf16"}
_KEYS = ["sentences_per_s", "bleu", "peak_MB", "flop_utilisation"]


def add_options(parser: argparse.ArgumentParser) -> None:
    add_common_options(parser)
    add_model_options(parser)
    add_peer_option(parser)
    parser.add_argument(
        "--compute-types",
        type=lambda text: text.split(","),
        help="compute types of CTranslate2; default: float32,int8,int8_float32,bfloat16 (on a GPU "
        "float32,float16,int8_float16,bfloat16)",
    )
    parser.add_argument(
        "--batch-sizes", type=lambda text: [*map(int, text.split(","))], default=[32, 64, 256]
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the model and the text."""
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", type=Path, help="a run directory")
    model.add_argument(
        "--random",
        choices=[*SIZES],
        help="a model with random weights and a tokenizer trained on --data",
    )
    parser.add_argument(
        "--tokens", type=positive, default=20, help="length of every translation with --random"
    )
    parser.add_argument("--src", type=Path, help="text to translate; default: from --data")
    parser.add_argument("--ref", type=Path, help="reference translation; default: from --data")
    parser.add_argument(
        "--test", default="test_2016_flickr", help="name of the test files in --data"
    )
    parser.add_argument("--sentences", type=positive, help="translate only the first N")
    add_data_options(parser, required=False)


@dataclass(frozen=True)
class Task:
    """The translation job, the same for every system.

    Attributes:
        model: the run directory.
        exported: the model exported to CTranslate2, if that is measured.
        trained: the model, loaded.
        lines, references: the text and its reference translation.
        warm_up: lines to translate before the measurement, of all lengths.
        num_tokens: forced length of translations; None if the model decides.
    """

    model: Path
    exported: Path | None
    trained: TrainedModel
    lines: list[str]
    references: list[str]
    warm_up: list[str]
    num_tokens: int | None

    def bleu(self, texts: Sequence[str]) -> float | None:
        """Return BLEU; None without references or with random weights."""
        from nmt.evaluation.metrics import EvaluateOptions, evaluate

        if self.num_tokens or not self.references:
            return None
        options = EvaluateOptions(tgt_lang=self.trained.config.data.tgt_lang)
        return evaluate(texts, [self.references], options)[0].score

    def ctranslate2_request(self, **settings: Any) -> dict[str, Any]:
        """Return a request for the CTranslate2 worker."""
        decode = self.trained.config.decode
        return {
            "model": str(self.exported),
            "beam_size": BEAM_SIZE,
            "length_penalty": decode.length_penalty,
            "max_extra_len": decode.max_extra_len,
            "num_tokens": self.num_tokens,
            "lines": self.lines,
            "warm_up": self.warm_up,
            **settings,
        }


def make_task(options: argparse.Namespace, folder: Path, exporting: bool) -> Task:
    """Load or make the model, and read the text."""
    from nmt.convert.ctranslate2 import export_ctranslate2
    from nmt.data.lines import read_lines
    from nmt.runs.model import load_model

    paths = [options.src, options.ref]
    if options.data:
        names = [f"{options.test}.{lang}" for lang in options.langs.split("-")]
        paths = [
            path or data_file(options.data, name) for path, name in zip(paths, names, strict=True)
        ]
    elif options.src is None or options.random:
        raise SystemExit("scripts/bench: set the text with --src and --ref, or with --data DIR")
    lines, references = ([*read_lines(path)][: options.sentences] if path else [] for path in paths)
    model = options.model or _make_random_run(options, folder)
    trained = load_model(model)
    if exporting:
        export_ctranslate2(trained, folder / "exported", None)
    return Task(
        model=model,
        exported=folder / "exported" if exporting else None,
        trained=trained,
        lines=lines,
        references=references,
        warm_up=lines[::4],
        num_tokens=options.tokens if options.random else None,
    )


def run(options: argparse.Namespace) -> None:
    """Measure translation."""
    pythons = find_pythons(options, ["nmt", "ctranslate2"], ["transformers"])
    report = Report("translate", options.output)
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as name:
        folder = Path(name)
        task = make_task(options, folder, "ctranslate2" in pythons)
        peaks = describe_machine(options, report)
        bench = Bench(options, task, pythons, folder, peaks)
        cases: list[Case] = []
        if "nmt" in pythons:
            cases += bench.nmt_cases()
        if "ctranslate2" in pythons:
            cases += _best_settings(bench.ctranslate2_cases(), report)
        if "transformers" in pythons:
            cases += bench.transformers_cases()
        for case, figures in interleaved(cases, options.repeats):
            report.add(case, figures)
    report.finish(_KEYS, "sentences_per_s")


def _best_settings(cases: list[Case], report: Report) -> list[Case]:
    """Measure every setting once, and return the best of each compute type."""
    best: dict[str, tuple[float, Case]] = {}
    for case, figures in interleaved(cases, 1):
        report.write("sweep", {"system": case.system, **case.labels, **figures})
        rate = figures.get("sentences_per_s", 0.0)
        if rate > best.get(case.labels["type"], (0.0, case))[0]:
            best[case.labels["type"]] = rate, case
    return [case for _, case in best.values()]


class Bench:
    """Makes the cases of all systems."""

    def __init__(
        self,
        options: argparse.Namespace,
        task: Task,
        pythons: dict[str, str],
        folder: Path,
        peaks: Mapping[str, float],
    ) -> None:
        self._options, self._task, self._pythons = options, task, pythons
        self._folder, self._peaks = folder, peaks

    def case(
        self, system: str, labels: dict[str, Any], dtype: str, request: dict[str, Any]
    ) -> Case:
        """Return a case that translates the task with a system in the arithmetic `dtype`."""
        request = {"task": "translate", "device": self._options.device, **request}
        return Case(system, labels, partial(self._measure, system, dtype, request))

    def _measure(self, system: str, dtype: str, request: dict[str, Any]) -> Figures:
        # Each of several translators has its own threads.
        threads = request.get("intra_threads", self._options.threads)
        answer = ask_worker(self._pythons[system], system, request, threads)
        return self._figures(answer, self._peaks.get(_PEAK_OF.get(dtype, "")))

    def nmt_cases(self) -> list[Case]:
        options, task = self._options, self._task
        threads = ["--threads", str(options.threads)]
        fixed = [*threads, "--device", options.device, "--beam-size", str(BEAM_SIZE)]
        return [
            self.case(
                "nmt",
                {"setting": setting},
                _nmt_compute(setting),
                {
                    "arguments": [str(task.model), *fixed, *setting.split()],
                    "num_tokens": task.num_tokens,
                    "lines": task.lines,
                    "warm_up": task.warm_up,
                },
            )
            for setting in options.nmt_options or NMT_OPTIONS
        ]

    def ctranslate2_cases(self) -> list[Case]:
        options = self._options
        on_cpu = options.device == "cpu"
        types = ["float32", "int8", "int8_float32", "bfloat16"]
        if not on_cpu:
            types = ["float32", "float16", "int8_float16", "bfloat16"]
        # A single translator keeps a GPU busy.
        splits = {(1, options.threads), (options.threads, 1)} if on_cpu else {(1, 1)}
        return [
            self.case(
                "ctranslate2",
                {"type": name, "threads": f"{inter}x{intra}", "batch": batch_size},
                name,
                self._task.ctranslate2_request(
                    compute_type=name,
                    inter_threads=inter,
                    intra_threads=intra,
                    batch_size=batch_size,
                ),
            )
            for name in options.compute_types or types
            for inter, intra in sorted(splits)
            for batch_size in options.batch_sizes
        ]

    def transformers_cases(self) -> list[Case]:
        options, task, config = self._options, self._task, self._task.trained.config
        src = task.trained.tokenizers.src
        weights = self._folder / "weights.safetensors"
        _write_weights(task.trained, weights)
        return [
            self.case(
                "transformers",
                {"setting": precision, "batch": 64},
                precision,
                {
                    "precision": precision,
                    "weights": str(weights),
                    "shape": config.model.model_dump(),
                    "vocab_size": src.vocab_size,
                    "threads": options.threads,
                    "batch_size": 64,
                    "beam_size": BEAM_SIZE,
                    "length_penalty": config.decode.length_penalty,
                    "max_extra_len": config.decode.max_extra_len,
                    "num_tokens": task.num_tokens,
                    "sources": src.encode(task.lines),
                    "warm_up": src.encode(task.warm_up),
                },
            )
            for precision in ("fp32", "bf16")
        ]

    def _figures(self, answer: Figures, peak: float | None) -> Figures:
        if "failed" in answer:
            return answer
        task = self._task
        tgt = task.trained.tokenizers.tgt
        texts = answer["texts"] if "texts" in answer else tgt.decode(answer["ids"])
        num_tokens = (
            task.num_tokens * len(texts)
            if task.num_tokens
            else sum(len(ids) + 1 for ids in tgt.encode(texts))
        )
        parameters = sum(p.numel() for p in task.trained.network.parameters())
        seconds = answer["seconds"]
        # Counts the tokens of the final translations, not all those that the beam considers.
        flops = 2 * parameters * num_tokens / seconds
        return {
            "sentences_per_s": len(texts) / seconds,
            "tokens_per_s": num_tokens / seconds,
            "bleu": task.bleu(texts),
            "peak_MB": answer["peak_MB"],
            "flop_utilisation": peak and flops / (peak * 1e9),
            "seconds": seconds,
        }


def _nmt_compute(setting: str) -> str:
    """Return the arithmetic that options of `nmt translate` select."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--compute", default="auto")
    return str(parser.parse_known_args(setting.split())[0].compute)


def _write_weights(trained: TrainedModel, path: Path) -> None:
    """Write weights and position encodings under nmt's names."""
    from safetensors.torch import save_file

    network = trained.network
    tensors = {name: parameter.detach() for name, parameter in network.named_parameters()}
    save_file({**tensors, "positions": network.src_positions(0, 512).contiguous()}, path)


def _make_random_run(options: argparse.Namespace, folder: Path) -> Path:
    from nmt.data.tokenizer_training import train_tokenizers

    config = make_config(options, options.random, folder / "cache")
    return make_random_run(config, train_tokenizers(config), folder)


def make_random_run(config: Config, tokenizers: Tokenizers, folder: Path) -> Path:
    """Create a run directory with random weights that never predict EOS."""
    import torch

    from nmt.config.load import dump_config
    from nmt.model.build import make_network
    from nmt.runs.average import save_average
    from nmt.runs.manifest import save_directory

    torch.manual_seed(1)
    network = make_network(config.model, *tokenizers.sizes)
    # The output of the last normalisation gets a large component in one direction, and the
    # embedding of EOS points the opposite way: its logit is about -32, and others hardly change.
    direction_D = torch.nn.functional.normalize(torch.randn(config.model.d_model), dim=0)
    last_norm = network.decoder_layers[-1].residuals[-1].norm
    with torch.no_grad():
        last_norm.bias.add_(8.0 * direction_D)
        network.projection.weight[tokenizers.tgt.eos_id] = -4.0 * direction_D
    run = folder / "random"
    run.mkdir()
    save_directory(run / "tokenizer", tokenizers.save)
    (run / "config.yaml").write_text(dump_config(config), "utf-8")
    weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
    save_average(run, weights, [1], {})
    return run
