"""`scripts/bench latency`: milliseconds per sentence, one at a time, and start-up time.

For nmt, this is the time from writing a line to `nmt translate` until its translation can be read.
CTranslate2 is called within one process, without a pipe. Start-up is the time of a whole process
that translates one line.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import add_common_options, describe_machine, find_pythons
from translation import NMT_OPTIONS, Task, add_model_options, make_task
from workers.worker import peak_resident

from report import Report
from runs import WORKERS, Case, Figures, ask_worker, interleaved

_WARM_UP = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    add_common_options(parser)
    add_model_options(parser)
    parser.set_defaults(sentences=200)
    parser.add_argument(
        "--compute-types",
        type=lambda text: text.split(","),
        default=["float32", "int8", "int8_float32"],
        help="compute types of CTranslate2",
    )


def run(options: argparse.Namespace) -> None:
    """Measure latency and start-up."""
    pythons = find_pythons(options, ["nmt", "ctranslate2"], [])
    report = Report("latency", options.output)
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as name:
        task = make_task(options, Path(name), "ctranslate2" in pythons)
        # nmt translates repeated lines only once.
        lines = list(dict.fromkeys(task.lines))
        if len(lines) < _WARM_UP + 2:
            raise SystemExit(
                f"scripts/bench: latency needs at least {_WARM_UP + 2} different lines"
            )
        describe_machine(options, report)
        cases: list[Case] = []
        if "nmt" in pythons:
            cases += _nmt_cases(options, task, lines)
        if "ctranslate2" in pythons:
            cases += _ctranslate2_cases(options, task, lines)
        for case, figures in interleaved(cases, options.repeats):
            report.add(case, figures)
    report.finish(["median_ms", "p95_ms", "startup_s", "peak_MB"], "median_ms", lowest=True)


def _nmt_cases(options: argparse.Namespace, task: Task, lines: list[str]) -> list[Case]:
    program = ["-m", "nmt"]
    if task.num_tokens:
        program = [str(WORKERS / "nmt_command.py"), str(task.num_tokens)]
    command = [sys.executable, *program, "translate", str(task.model), "--beam-size", "4"]
    command += ["--device", options.device, "--threads", str(options.threads)]
    env = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    return [
        Case(
            "nmt",
            {"setting": setting},
            partial(_measure_nmt, [*command, *setting.split()], lines, env),
        )
        for setting in options.nmt_options or NMT_OPTIONS
    ]


def _measure_nmt(command: list[str], lines: list[str], env: dict[str, str]) -> Figures:
    start = time.monotonic()
    one_line = lines[0].encode() + b"\n"
    done = subprocess.run(command, input=one_line, env=env, stdout=subprocess.PIPE)
    startup = time.monotonic() - start
    if done.returncode:
        return {"failed": f"exit code {done.returncode}"}
    return {"startup_s": startup, **_line_by_line(command, lines, env)}


def _line_by_line(command: list[str], lines: list[str], env: dict[str, str]) -> Figures:
    """Time each line from writing it to reading its translation, except for the first lines."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env) as process:
        assert process.stdin
        assert process.stdout
        seconds = []
        for line in lines:
            start = time.monotonic()
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            if not process.stdout.readline():
                return {"failed": "exited before the last line"}
            seconds.append(time.monotonic() - start)
        memory = peak_resident(process.pid)
        process.stdin.close()
    return {**_quantiles(seconds[_WARM_UP:]), "peak_MB": memory}


def _ctranslate2_cases(options: argparse.Namespace, task: Task, lines: list[str]) -> list[Case]:
    cases = []
    for compute_type in options.compute_types:
        for threads in sorted({1, options.threads}):
            request = task.ctranslate2_request(
                task="latency",
                device=options.device,
                compute_type=compute_type,
                inter_threads=1,
                intra_threads=threads,
                warm_up=lines[:_WARM_UP],
                lines=lines[_WARM_UP:],
            )
            labels = {"type": compute_type, "threads": threads}
            cases.append(Case("ctranslate2", labels, partial(_measure_ctranslate2, request)))
    return cases


def _measure_ctranslate2(request: dict[str, Any]) -> Figures:
    threads = request["intra_threads"]
    answer = ask_worker(sys.executable, "ctranslate2", request, threads)
    if "failed" in answer:
        return answer
    alone = {"task": "translate", "batch_size": 1, "warm_up": [], "lines": request["lines"][:1]}
    start = time.monotonic()
    started = ask_worker(sys.executable, "ctranslate2", {**request, **alone}, threads)
    startup = time.monotonic() - start
    if "failed" in started:
        return started
    return {**_quantiles(answer["seconds"]), "startup_s": startup, "peak_MB": answer["peak_MB"]}


def _quantiles(seconds: list[float]) -> Figures:
    return {
        "median_ms": 1000 * statistics.median(seconds),
        "p95_ms": 1000 * statistics.quantiles(seconds, n=20)[-1],
    }
