"""`scripts/bench clean`: precision and recall of the rules of `nmt clean`, and lines per second.

A known share of the pairs is replaced by noise of each kind (noise.py). A rule's precision is the
share of noise among the pairs that it drops by itself, its recall the share of the noise that it is
for. Then the time of `nmt clean` is compared with that of reading and writing alone.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import add_run_options, data_file, positive
from noise import RULES, Pair, Planted, plant
from rich.console import Console
from rich.table import Table

from report import Report

_OFF = ["--only", "length"]  # the cheapest rule


def add_options(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.en.gz, …")
    parser.add_argument("--langs", default="en-de", help="its languages")
    parser.add_argument("--split", default="train", help="name of its files before the language")
    parser.add_argument(
        "--foreign", type=Path, help="text in a third language; default: measure clean text only"
    )
    parser.add_argument("--pairs", type=positive, default=200_000, help="pairs at most")
    parser.add_argument("--rate", type=float, default=0.01, help="share of each kind of noise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-speed", action="store_true", help="leave out the time")
    parser.add_argument("rules", nargs="*", metavar="KEY=VALUE", help="changes to the rules")


def run(options: argparse.Namespace) -> None:
    """Measure the rules, and their time."""
    report = Report("clean", options.output)
    src, tgt = (
        _lines(data_file(options.data, f"{options.split}.{lang}"), options.pairs)
        for lang in options.langs.split("-")
    )
    pairs = [*zip(src, tgt, strict=True)]
    checks = _dropped_by_rule(options, pairs)
    clean = {"pairs": len(pairs), "dropped": _share(set().union(*checks.values()), pairs)}
    clean |= {name: _share(dropped, pairs) for name, dropped in checks.items()}
    report.write("clean", clean)
    print(f"dropped of the clean text: {100 * clean['dropped']:.2f} %", file=sys.stderr)
    if options.foreign:
        planted = plant(pairs, _lines(options.foreign, 50_000), options.rate, options.seed)
        _measure_rules(planted, _dropped_by_rule(options, planted.pairs), report)
    if not options.no_speed:
        _measure_speed(options, pairs, report)


def _lines(path: Path, most: int) -> list[str]:
    from nmt.data.lines import read_lines

    return [line for line, _ in zip(read_lines(path), range(most), strict=False)]


def _share(dropped: set[int], pairs: Sequence[Pair]) -> float:
    return len(dropped) / len(pairs)


def _dropped_by_rule(options: argparse.Namespace, pairs: Sequence[Pair]) -> dict[str, set[int]]:
    """Return the numbers of the pairs that each rule drops by itself."""
    from nmt.clean.duplicates import Seen
    from nmt.clean.rules import Rules
    from nmt.config.cleaning import CleanConfig
    from nmt.config.load import load_section

    src_lang, tgt_lang = options.langs.split("-")
    rules = Rules(load_section(CleanConfig, None, options.rules, "the rules"), (src_lang, tgt_lang))
    sides = [rules.sides(*pair) for pair in pairs]
    dropped = {
        name: {number for number, both in enumerate(sides) if check(*both)}
        for name, check in rules.checks.items()
    }
    for name, hasher in rules.hashers.items():
        repeats_N = Seen().repeats(hasher.hashes(sides))
        dropped[name] = {*repeats_N.nonzero()[0].tolist()}
    return dropped


def _measure_rules(planted: Planted, dropped: dict[str, set[int]], report: Report) -> None:
    """Report recall and precision of the rule for each kind of noise, and recall of all rules."""
    noise = {number for number, kind in enumerate(planted.kinds) if kind}
    every = set().union(*dropped.values())
    table = Table("noise", "pairs", "recall, all rules", "rule", "its recall", "its precision")
    for kind, rule in ((kind, rule) for kind, rule in RULES.items() if rule in dropped):
        here = {number for number, one in enumerate(planted.kinds) if one == kind}
        figures: dict[str, Any] = {
            "pairs": len(here),
            "recall": len(here & every) / len(here) if here else None,
            "rule": rule,
            "rule_recall": len(here & dropped[rule]) / len(here) if here else None,
            "rule_precision": (
                len(noise & dropped[rule]) / len(dropped[rule]) if dropped[rule] else None
            ),
        }
        report.write("noise", {"noise": kind, **figures})
        table.add_row(kind, *map(_cell, figures.values()))
    figures = {
        "recall": len(every & noise) / len(noise),
        "precision": len(every & noise) / len(every),
    }
    report.write("all", {"pairs": len(noise), **figures})
    table.add_row(
        "all", str(len(noise)), *map(_cell, [figures["recall"], "all", None, figures["precision"]])
    )
    Console(stderr=True, width=None if sys.stderr.isatty() else 120).print(table)


def _cell(value: Any) -> str:
    return (
        "" if value is None else f"{100 * value:.1f} %" if isinstance(value, float) else str(value)
    )


def _measure_speed(options: argparse.Namespace, pairs: Sequence[Pair], report: Report) -> None:
    """Report pairs per second of `nmt clean`, and the ratio to those without rules."""
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as folder:
        names = [f"{folder}/text.{lang}" for lang in options.langs.split("-")]
        for name, lines in zip(names, zip(*pairs, strict=True), strict=True):
            Path(name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        command = [sys.executable, "-m", "nmt", "clean", *names]
        command += ["-o", f"{folder}/out.src", f"{folder}/out.tgt", "--processes"]
        for _ in range(options.repeats):
            bare, _ = _seconds([*command, "1", *_OFF])
            for processes in sorted({1, options.threads}):
                work, wait = _seconds([*command, str(processes), *options.rules])
                figures = {"processes": processes, "pairs_per_s": len(pairs) / wait}
                figures |= {"pairs_per_cpu_s": len(pairs) / work, "times_bare": work / bare}
                report.write("speed", figures)
                print(
                    f"{processes} processes: {len(pairs) / wait:,.0f} pairs/s, "
                    f"{len(pairs) / work:,.0f} per second of CPU time, which is "
                    f"{work / bare:.1f} times that of reading and writing",
                    file=sys.stderr,
                )


def _seconds(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return its CPU time and its duration."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return work, time.monotonic() - start
