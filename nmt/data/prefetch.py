"""Iteration ahead of the consumer in a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def prefetch(items: Iterator[T], depth: int) -> Iterator[T]:
    """Yield `items`, which a background thread produces up to `depth` items ahead.

    An exception in `items` is raised here, after the items before it. If the consumer stops
    early, closing this generator waits for the thread to end.

    Args:
        items: the items; only the background thread uses this iterator.
        depth: maximum number of items in the queue; 0 iterates without a thread.
    """
    if depth == 0:
        yield from items
        return
    waiting: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, waiting, stopped), daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]  # the queue holds T, _Failure and _END
    finally:
        stopped.set()
        thread.join()


def _fill(items: Iterator[T], waiting: queue.Queue[object], stopped: threading.Event) -> None:
    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    try:
        for item in items:
            if not put(item):
                return
        put(_END)
    except BaseException as error:  # raised in the consumer
        put(_Failure(error))
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
