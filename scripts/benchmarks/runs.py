"""Measurements: each in a fresh process, with the repetitions of all systems interleaved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent / "workers"

Figures = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Something to measure.

    Attributes:
        system: name of the system and of its worker.
        labels: settings that distinguish it from other cases.
        measure: function that measures it once; on failure, the figures have the key `failed` with
            the reason.
    """

    system: str
    labels: Mapping[str, Any]
    measure: Callable[[], Figures]

    @property
    def name(self) -> str:
        return " ".join(
            [self.system, *(f"{key}={value}" for key, value in self.labels.items() if value)]
        )


def ask_worker(python: str, system: str, request: Mapping[str, Any], threads: int) -> Figures:
    """Run a worker and return its answer, or the reason for a failure under the key `failed`."""
    count = str(threads)
    offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [python, str(WORKERS / f"{system}_worker.py")],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env={**os.environ, **offline, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count},
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-4000:])
        last = done.stderr.rstrip("\n").rpartition("\n")[2]
        return {"failed": f"exit code {done.returncode}: {last}"}
    answer: Figures = json.loads(done.stdout)
    if "unsupported" in answer:
        return {"failed": answer["unsupported"]}
    return answer


def interleaved(cases: Iterable[Case], repeats: int) -> Iterator[tuple[Case, Figures]]:
    """Measure all cases once, then all again, and so on; drop cases that fail."""
    remaining = list(cases)
    for repeat in range(repeats):
        for case in list(remaining):
            print(f"[{repeat + 1}/{repeats}] {case.name} …", file=sys.stderr, flush=True)
            figures = case.measure()
            if "failed" in figures:
                print(f"  {figures['failed']}", file=sys.stderr, flush=True)
                remaining.remove(case)
            yield case, {"repeat": repeat, **figures}
