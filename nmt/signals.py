"""Ending cleanly on Ctrl-C, on termination, and when the terminal closes."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

_SETTLE_SECONDS = 1.0


class StopFlag:
    """Notes that a signal asked the program to end; the work polls it where it can stop.

    Within the context SIGINT, SIGTERM and SIGHUP only set the flag; a SIGHUP that was ignored,
    as under nohup, stays ignored. A second SIGINT ends at once, as a KeyboardInterrupt. One that
    comes within a second of the first does not count: an impatient double press, or a wrapper
    that passes on what the terminal has sent already, must not throw away the state.

    Attributes:
        signum: the first signal received, or None.
        notice: what the first SIGINT prints on the standard error.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.notice = "stopping …; Ctrl-C again to end at once"
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signum is not None

    def __enter__(self) -> StopFlag:
        for number in (signal.SIGINT, signal.SIGTERM, *hangup_signals()):
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
        if self.signum is None:
            self.signum, self._since = signum, time.monotonic()
            if signum == signal.SIGINT:
                self._print_notice()
        elif signum == signal.SIGINT and time.monotonic() > self._since + _SETTLE_SECONDS:
            raise KeyboardInterrupt

    def _print_notice(self) -> None:
        # Not through sys.stderr, which the signal may have interrupted in the middle of a write.
        with suppress(OSError, ValueError):
            os.write(
                sys.stderr.fileno(), f"\n{self.notice}\n".encode(sys.stderr.encoding, "replace")
            )


def hangup_signals() -> list[signal.Signals]:
    """Name the signal of a closed terminal: none where there is none, or where it is ignored."""
    number = getattr(signal, "SIGHUP", None)  # not on Windows
    return [] if number is None or signal.getsignal(number) == signal.SIG_IGN else [number]
