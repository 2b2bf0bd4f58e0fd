"""Work done ahead in one background thread."""

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
    """Iterate over `items`, made up to `depth` items ahead in a background thread.

    Order and content stay as they are. An exception of `items` is raised here, after the items
    before it. When the consumer stops early, the thread ends before this generator is closed.

    Args:
        items: what to iterate over; only the background thread touches it.
        depth: how many items may wait; 0 iterates without a thread.
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
    except BaseException as error:  # whatever it is, it belongs to the consumer
        put(_Failure(error))
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
