"""Apply the rules to a stream of pairs, in several processes."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from nmt.clean.duplicates import Hashes, Seen
from nmt.clean.rules import Rules
from nmt.data.chunks import chunked
from nmt.data.corpus import Pair
from nmt.errors import DataError
from nmt.signals import exit_with_parent, hangup_signals

_BATCHES_PER_PROCESS = 3  # one at work, and others waiting

Checked = tuple[list[str | None], list[Hashes]]


def clean(
    pairs: Iterable[Pair], rules: Rules, processes: int = 1
) -> Iterator[tuple[Pair, str | None]]:
    """Yield the pairs in order, each with the name of the first rule that drops it, or None.

    Pairs are compared with earlier ones that no rule has dropped. The result does not depend on
    the number of processes. A bounded number of pairs is in memory.

    Args:
        pairs: the pairs.
        rules: the rules.
        processes: number of processes that apply them; with 1, this one does.

    Raises:
        DataError: if a process was killed; and as the pairs do.
    """
    seen = {name: Seen() for name in rules.hashers}
    for batch, (dropped, hashes) in _checked(pairs, rules, processes):
        rows = [row for row, rule in enumerate(dropped) if rule is None]
        for (name, earlier), hashes_NB in zip(seen.items(), hashes, strict=False):
            fresh = [place for place, row in enumerate(rows) if dropped[row] is None]
            repeats_N = earlier.repeats(hashes_NB[fresh])
            for place in np.flatnonzero(repeats_N).tolist():
                dropped[rows[fresh[place]]] = name
        yield from zip(batch, dropped, strict=True)


def _checked(
    pairs: Iterable[Pair], rules: Rules, processes: int
) -> Iterator[tuple[list[Pair], Checked]]:
    """Yield batches in order, with the result of `Rules.check`."""
    if processes == 1:
        yield from ((batch, rules.check(_texts(batch))) for batch in chunked(pairs))
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(processes, context, _start, (rules,))
    waiting: deque[tuple[list[Pair], Future[Checked]]] = deque()
    try:
        for batch in chunked(pairs):
            waiting.append((batch, pool.submit(_check, _texts(batch))))
            if len(waiting) == _BATCHES_PER_PROCESS * processes:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {processes} processes was killed, probably because memory ran out: reduce "
            "`processes`"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(batch: list[Pair], future: Future[Checked]) -> tuple[list[Pair], Checked]:
    return batch, future.result()


def _texts(batch: list[Pair]) -> list[tuple[str, str]]:
    return [(pair.src, pair.tgt) for pair in batch]


_rules: Rules  # set in each process


def _start(rules: Rules) -> None:
    global _rules
    _rules = rules
    # The parent process handles Ctrl-C and a closed terminal.
    for number in (signal.SIGINT, *hangup_signals()):
        signal.signal(number, signal.SIG_IGN)
    exit_with_parent()


def _check(texts: list[tuple[str, str]]) -> Checked:
    return _rules.check(texts)
