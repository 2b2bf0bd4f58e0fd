"""`scripts/bench complexity`: Table 1 of the paper, measured.

Times a self-attention, a recurrent and a convolutional layer of equal width, taken from nmt's
three architectures, on one sequence of each length, and counts the memory that the forward pass
keeps for the backward pass. The recurrent layer is that of the encoder: a bidirectional GRU with
half the width in each direction. The exponent of the length is fitted over the largest lengths,
where lower-order terms are small; the paper's O(·) is its limit.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import describe_machine, device, positive
from plot import Curve, Panel, render
from rich.console import Console
from rich.table import Table

from nmt.files import write_lines
from report import Report
from runs import Case, Figures, ask_worker, interleaved

# Operations per layer, from Table 1: length n, width d, kernel size k.
PAPER = {"self-attention": "O(n²·d)", "recurrent": "O(n·d²)", "convolutional": "O(k·n·d²)"}
FIGURES = {
    "forward_s": "forward, seconds",
    "training_s": "forward and backward, seconds",
    "kept_MB": "kept for the backward pass, MB",
}
_FITTED = 8  # fit over lengths up to this many times shorter than the longest


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "--output", type=_file, help="file for the JSON lines; default: standard output"
    )
    parser.add_argument("--svg", type=_file, help="file for the plot")
    parser.add_argument(
        "--repeats", type=positive, default=3, help="repetitions of each measurement"
    )
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    parser.add_argument("--device", type=device, default="cpu", help="cpu or cuda")
    parser.add_argument("--lengths", type=_lengths, default=[2**power for power in range(4, 13)])
    parser.add_argument("--width", type=positive, default=512, help="width of each layer")
    parser.add_argument("--heads", type=positive, default=8, help="heads of self-attention")
    parser.add_argument(
        "--kernel-size", type=positive, default=3, help="kernel size of the convolution"
    )


def _lengths(text: str) -> list[int]:
    lengths = sorted(set(map(positive, text.split(","))))
    if len(lengths) < 2:
        raise argparse.ArgumentTypeError("expected at least two different lengths, as in 16,64,256")
    return lengths


def _file(text: str) -> Path:
    """Return the path of an output file, after checking early that it can be written."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a folder, or its folder does not exist")
    return path


@dataclass(frozen=True)
class Measured:
    """The measurements of one layer.

    Attributes:
        layer: name of the layer, a key of PAPER.
        lengths: lengths in ascending order.
        figures: by name, the median at each length.
    """

    layer: str
    lengths: list[int]
    figures: dict[str, list[float]]

    def exponent(self, figure: str) -> float:
        """Return the exponent of the length, fitted over the largest lengths, at least two."""
        number = sum(length * _FITTED >= self.lengths[-1] for length in self.lengths)
        upper = slice(-max(number, 2), None)
        return fitted_exponent(self.lengths[upper], self.figures[figure][upper])


def fitted_exponent(lengths: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent in values = c * lengths ** exponent, by least squares in log space."""
    return statistics.linear_regression(
        [math.log(length) for length in lengths], [math.log(value) for value in values]
    ).slope


def crossover(
    lengths: Sequence[float], ours: Sequence[float], theirs: Sequence[float]
) -> float | None:
    """Return the length from which on ours exceeds theirs, interpolated in log-log space.

    Returns None if ours is not larger at the longest length, or is larger at all lengths.
    """
    gaps = [math.log(our / their) for our, their in zip(ours, theirs, strict=True)]
    crossing = None
    for (length, gap), (next_length, next_gap) in pairwise(zip(lengths, gaps, strict=True)):
        if gap <= 0 < next_gap:
            crossing = length * (next_length / length) ** (-gap / (next_gap - gap))
    return crossing if gaps[-1] > 0 else None


def run(options: argparse.Namespace) -> None:
    """Measure the layers."""
    if options.width % (2 * options.heads):
        options.refuse("--width must be a multiple of twice --heads")
    report = Report("complexity", options.output)
    describe_machine(options, report)
    repeats: dict[str, list[Figures]] = {}
    cases = [Case(layer, {}, partial(_measure, options, layer)) for layer in PAPER]
    for case, figures in interleaved(cases, options.repeats):
        if "failed" in figures:
            sys.exit(f"scripts/bench: {case.system}: {figures['failed']}")
        for one in figures["runs"]:
            report.write("run", {"layer": case.system, "repeat": figures["repeat"], **one})
        repeats.setdefault(case.system, []).append(figures)
    measured = [_medians(layer, options.lengths, runs) for layer, runs in repeats.items()]
    crossings = _report_fits(report, measured)
    if options.svg:
        write_lines([_drawn(options, measured, crossings)], options.svg)


def _measure(options: argparse.Namespace, layer: str) -> Figures:
    names = ("threads", "device", "lengths", "width", "heads", "kernel_size")
    request = {name: getattr(options, name) for name in names}
    request |= {"task": "measure", "layer": layer}
    return ask_worker(sys.executable, "layers", request, options.threads)


def _medians(layer: str, lengths: list[int], repeats: list[Figures]) -> Measured:
    figures = {
        name: [
            statistics.median(repeat["runs"][place][name] for repeat in repeats)
            for place in range(len(lengths))
        ]
        for name in FIGURES
    }
    return Measured(layer, lengths, figures)


Crossings = dict[tuple[str, str], float | None]


def _report_fits(report: Report, measured: list[Measured]) -> Crossings:
    """Report exponents and crossovers, print them as a table, and return the crossovers.

    Crossovers are keyed by figure and by the layer that self-attention overtakes.
    """
    crossings: Crossings = {}
    table = Table("layer", "paper", *FIGURES.values())
    attention = measured[0]
    for layer in measured:
        exponents = {figure: layer.exponent(figure) for figure in FIGURES}
        record: dict[str, Any] = {"layer": layer.layer, "paper": PAPER[layer.layer]}
        report.write("fit", {**record, "exponents": exponents})
        cells = [f"n^{exponent:.2f}" for exponent in exponents.values()]
        if layer is not attention:
            for place, figure in enumerate(FIGURES):
                ours, theirs = attention.figures[figure], layer.figures[figure]
                length = crossover(layer.lengths, ours, theirs)
                crossings[figure, layer.layer] = length
                cells[place] += f", less from n = {length:.0f}" if length else ""
            lengths = {figure: crossings[figure, layer.layer] for figure in FIGURES}
            report.write("crossover", {"layer": layer.layer, "lengths": lengths})
        table.add_row(layer.layer, PAPER[layer.layer], *cells)
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    console.print(table)
    console.print(
        "less from n: length from which on it takes less than self-attention", highlight=False
    )
    return crossings


def _drawn(options: argparse.Namespace, measured: list[Measured], crossings: Crossings) -> str:
    panels = []
    for figure, title in FIGURES.items():
        curves = [
            Curve(
                f"{layer.layer}: n^{layer.exponent(figure):.2f}"
                + ("" if figure == "kept_MB" else f", paper {PAPER[layer.layer]}"),
                list(zip(map(float, layer.lengths), layer.figures[figure], strict=True)),
            )
            for layer in measured
        ]
        marks = [
            (length, f"over {name} from {length:.0f}")
            for (of, name), length in crossings.items()
            if of == figure and length
        ]
        panels.append(Panel(title, curves, marks))
    where = "1 thread" if options.threads == 1 else f"{options.threads} threads"
    where = where if options.device == "cpu" else options.device
    title = (
        f"One layer of width {options.width} (recurrent: a bidirectional GRU of twice "
        f"{options.width // 2}), one sequence, float32, {where}"
    )
    return render(title, "length n", panels)
