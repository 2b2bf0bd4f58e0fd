"""Search in several processes: equal results, and no process left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import torch

from nmt.config.search import SearchOptions
from nmt.errors import DataError
from nmt.runs.model import TrainedModel
from nmt.search.hypothesis import Hypothesis
from nmt.translate.torch_engine import Networks
from nmt.translate.translation import Translation
from nmt.translate.translator import Translator
from nmt.translate.workers import CAN_FORK, Workers

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="processes are forked on Linux only")


def translate(engine: Networks | Workers, lines: list[str], **options: Any) -> list[Translation]:
    return list(Translator(engine, SearchOptions(**options)).translate(lines))


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"temperature": 1.0, "seed": 7},
        {"temperature": 1.0, "mbr": "chrf", "mbr_candidates": 4},
        {"mbr": "bleu"},
    ],
    ids=str,
)
def test_several_processes_give_the_results_of_one(
    any_model: TrainedModel, lines: list[str], sampling: dict[str, float]
) -> None:
    alone = translate(Networks([any_model]), lines, batch_tokens=50, **sampling)
    parallel = translate(Workers(Networks([any_model]), 3), lines, batch_tokens=50, **sampling)
    assert [t.text for t in parallel] == [t.text for t in alone]
    assert [t.hypotheses[0].score for t in parallel] == pytest.approx(
        [t.hypotheses[0].score for t in alone], abs=1e-4
    )


class ReportingProcess(Networks):
    """Returns the process id as the score of each hypothesis."""

    def search(self, *args: Any, **options: Any) -> list[list[Hypothesis]]:
        time.sleep(0.5)  # long enough for the other process to take the next batch
        return [[Hypothesis([4], float(os.getpid()), 0.0, 1, [0.0])] for _ in args[0]]


def test_every_process_gets_a_batch(model: TrainedModel, lines: list[str]) -> None:
    """All lines would fit in one batch."""
    translations = translate(Workers(ReportingProcess([model]), 2), lines, batch_tokens=1_000_000)
    processes = {translation.hypotheses[0].score for translation in translations}
    assert len(processes) == 2
    assert os.getpid() not in processes


class SmallMemory(Networks):
    """Runs out of memory with more than three sentences."""

    def search(self, *args: Any, **options: Any) -> list[list[Hypothesis]]:
        if len(args[0]) > 3:
            raise MemoryError
        return super().search(*args, **options)


def test_a_batch_too_large_for_a_process_is_halved(model: TrainedModel, lines: list[str]) -> None:
    warnings: list[str] = []
    engine = Workers(SmallMemory([model]), 2)
    halved = list(Translator(engine, SearchOptions(), warn=warnings.append).translate(lines))
    assert [t.text for t in halved] == [t.text for t in translate(Networks([model]), lines)]
    assert "memory ran out" in warnings[0]


class Dying(Networks):
    """Is killed, as if the system had run out of memory."""

    def search(self, *args: Any, **options: Any) -> list[list[Hypothesis]]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


def test_a_killed_process_is_an_error(model: TrainedModel, lines: list[str]) -> None:
    with pytest.raises(DataError, match=r"translation processes was killed.*`threads`"):
        translate(Workers(Dying([model]), 2), lines)


_KILL_PARENT = """
import os, signal, time
import nmt.translate.workers
from nmt.translate.workers import Workers

class Engine:
    models, model_weights, dtype, max_positions, num_parallel = [], [], "", 1, 1
    def search(self, sources, keys, options, **more):
        print(os.getpid(), flush=True)
        if len(sources) == 2:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        return []

workers = Workers(Engine(), 2)
workers.search([[1]], [], None)
workers.search([[1], [2]], [], None)
"""


def test_processes_exit_with_their_parent() -> None:
    """Standard output closes when the last process has exited."""
    done = subprocess.run([sys.executable, "-c", _KILL_PARENT], stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.split()) == 2


def test_each_process_uses_one_thread(model: TrainedModel) -> None:
    class Counting(Networks):
        def search(self, *args: Any, **options: Any) -> list[list[Hypothesis]]:
            raise DataError(f"{torch.get_num_threads()} threads")

    torch.set_num_threads(2)
    try:
        with pytest.raises(DataError, match=r"^1 threads$"):
            Workers(Counting([model]), 2).search([[3]], ["1"], SearchOptions())
    finally:
        torch.set_num_threads(1)
