"""Ending cleanly on Ctrl-C and on termination."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any


class StopFlag:
    """Notes that a signal asked the program to end; the work polls it where it can stop.

    Within the context SIGINT and SIGTERM only set the flag. A second SIGINT ends at once, as a
    KeyboardInterrupt.

    Attributes:
        signum: the first signal received, or None.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __bool__(self) -> bool:
        return self.signum is not None

    def __enter__(self) -> StopFlag:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = self.signum or signum
