"""An engine in several processes, each of which searches one batch at a time on one thread.

The threads of one search wait for each other after every small operation; searches in separate
processes do not. Two processes translate a fifth more than two threads, and far more when the
machine is busy.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import torch

from nmt.config.search import SearchOptions
from nmt.errors import DataError
from nmt.search.hypothesis import Hypothesis
from nmt.search.term import Term
from nmt.signals import exit_with_parent, hangup_signals
from nmt.translate.engine import Alternatives, Engine, Model
from nmt.translate.words import LogProbs

# macOS libraries do not survive a fork, and Windows cannot fork.
CAN_FORK = sys.platform == "linux" and hasattr(os, "fork")


class Workers:
    """Forked copies of an engine, which share the memory of its weights.

    The processes start with the first search.

    Args:
        engine: an engine on the CPU.
        count: number of processes.

    Attributes:
        engine: the original engine.
        models, model_weights, dtype, max_positions: those of the engine.
        num_parallel: number of processes.
    """

    def __init__(self, engine: Engine, count: int) -> None:
        self.engine = engine
        self.models: Sequence[Model] = engine.models
        self.model_weights = engine.model_weights
        self.dtype, self.max_positions = engine.dtype, engine.max_positions
        self.num_parallel = count
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("fork"), _start, (engine,)
        )
        # Keep the pool alive until concurrent.futures' exit hook has shut it down: if the pool is
        # collected after an error, the pipe that the hook writes to is closed.
        atexit.register(self._pool.shutdown)

    def __str__(self) -> str:
        return f"{self.engine}, {self.num_parallel} processes"

    def cannot(self, options: SearchOptions, *, terms: bool = False) -> str | None:
        """Return a noun for an option that the engine does not support."""
        return self.engine.cannot(options, terms=terms)

    def search(
        self,
        sources: Sequence[list[int]],
        keys: Sequence[str],
        options: SearchOptions,
        *,
        prefixes: Sequence[list[int]] = (),
        terms: Sequence[Sequence[Term]] = (),
        token_scores: bool = True,
    ) -> list[list[Hypothesis]]:
        """Search a batch in the next free process. Several threads may call this at once.

        Raises:
            DataError: if a process was killed.
        """
        try:
            more = {"prefixes": prefixes, "terms": terms, "token_scores": token_scores}
            call = partial(_search, sources, keys, options, **more)
            return self._pool.submit(call).result()
        except BrokenProcessPool as error:
            raise DataError(
                f"one of {self.num_parallel} translation processes was killed, probably because "
                "memory ran out: reduce `threads` or `batch_tokens`"
            ) from error

    def score(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]]
    ) -> list[list[float]]:
        """Return the log-probability of each token of given translations, in this process."""
        return self.engine.score(sources, targets)

    def alternatives(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]], count: int
    ) -> list[Alternatives]:
        """Return the most probable tokens at each position, computed in this process."""
        return self.engine.alternatives(sources, targets, count)

    def next_log_probs(self, src: list[int], prefix: list[int]) -> LogProbs:
        """Return the log-probabilities of all tokens after a prefix, computed in this process."""
        return self.engine.next_log_probs(src, prefix)


_engine: Engine  # set in each worker process


def _start(engine: Engine) -> None:
    global _engine
    _engine = engine
    # The parent process handles Ctrl-C and a closed terminal.
    for number in (signal.SIGINT, *hangup_signals()):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    exit_with_parent()


def _search(
    sources: Sequence[list[int]], keys: Sequence[str], options: SearchOptions, **more: Any
) -> list[list[Hypothesis]]:
    return _engine.search(sources, keys, options, **more)
