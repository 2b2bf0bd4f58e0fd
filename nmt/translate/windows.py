"""Windows of input lines: what is read before it is divided into batches."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T", bound=Sized)

_QUEUE_LINES = 1024
# A program that writes at full speed (cat, a decompressor) delivers its next line sooner than this.
_GRACE_SECONDS = 0.0002


def full_windows(lines: Iterable[T], size: int) -> Iterator[list[T]]:
    """Group lines into windows of at least `size` characters."""
    window: list[T] = []
    room = size
    for line in lines:
        window.append(line)
        room -= len(line) + 1
        if room <= 0:
            yield window
            window, room = [], size
    if window:
        yield window


class _EndOfInput:
    """The last item that the reading thread puts into the queue."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prompt_windows(lines: Iterable[T], size: int) -> Iterator[list[T]]:
    """Group the lines that have arrived so far, at most about `size` characters per window.

    A background thread reads the lines. If the consumer stops early, the thread blocks forever,
    but it does not keep the process from exiting.
    """
    arrived: queue.Queue[T | _EndOfInput] = queue.Queue(_QUEUE_LINES)

    def read() -> None:
        # If the process exits while this thread waits for a line, Python closes sys.stdin, cannot
        # take the lock that this thread holds, and aborts. A reference keeps stdin open.
        _held = sys.stdin
        try:
            for line in lines:
                arrived.put(line)
            arrived.put(_EndOfInput())
        except BaseException as error:  # raised in the consumer
            arrived.put(_EndOfInput(error))

    threading.Thread(target=read, daemon=True).start()
    end: _EndOfInput | None = None
    while end is None:
        window: list[T] = []
        room = size
        while room > 0 and end is None:
            try:
                item = arrived.get(timeout=_GRACE_SECONDS if window else None)
            except queue.Empty:
                break
            if isinstance(item, _EndOfInput):
                end = item
            else:
                window.append(item)
                room -= len(item) + 1
        if window:
            yield window
    if end.error is not None:
        raise end.error
