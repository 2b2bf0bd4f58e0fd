"""An engine in several processes, each searching batches of its own on one thread.

Threads within one search wait for each other after every small operation; whole searches beside
each other do not. Two processes translate a fifth more than two threads, and far more when
something else runs on the machine.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch

from nmt.errors import DataError
from nmt.search.hypothesis import Hypothesis
from nmt.signals import hangup_signals
from nmt.translate.engine import Engine, Model, TranslateOptions

# Elsewhere libraries do not survive it, or it is not there.
CAN_FORK = sys.platform == "linux" and hasattr(os, "fork")


class Workers:
    """Copies of an engine, which share the memory of its weights.

    They are forked when the first batch is searched.

    Args:
        engine: on the CPU.
        count: processes.

    Attributes:
        engine: what they are copies of.
        models, dtype, max_positions: its own.
        num_parallel: processes.
    """

    def __init__(self, engine: Engine, count: int) -> None:
        self.engine = engine
        self.models: Sequence[Model] = engine.models
        self.dtype, self.max_positions = engine.dtype, engine.max_positions
        self.num_parallel = count
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("fork"), _start, (engine,)
        )
        # This keeps the pool until its own hook has ended it: one that is collected after an error
        # closes the pipe that the hook writes to.
        atexit.register(self._pool.shutdown)

    def search(
        self, sources: Sequence[list[int]], keys: Sequence[str], options: TranslateOptions
    ) -> list[list[Hypothesis]]:
        """Search a batch in the next process that is free; threads may call this side by side.

        Raises:
            DataError: a process was killed.
        """
        try:
            return self._pool.submit(_search, sources, keys, options).result()
        except BrokenProcessPool as error:
            raise DataError(
                f"one of {self.num_parallel} translating processes was killed, probably because "
                "memory ran out: give fewer --threads or a smaller --batch-tokens"
            ) from error


_engine: Engine  # of a worker


def _start(engine: Engine) -> None:
    global _engine
    _engine = engine
    # Ctrl-C and a closed terminal are for the process that started them.
    for number in (signal.SIGINT, *hangup_signals()):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the process that started this one is gone, even if it was killed."""
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)


def _search(
    sources: Sequence[list[int]], keys: Sequence[str], options: TranslateOptions
) -> list[list[Hypothesis]]:
    return _engine.search(sources, keys, options)
