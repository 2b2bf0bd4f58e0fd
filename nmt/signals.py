"""Clean shutdown on Ctrl-C, on termination, and when the terminal closes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_SETTLE_SECONDS = 1.0


@contextmanager
def quiet_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process at once, without a traceback, while modules are imported.

    There is nothing to save yet, and a library that is interrupted during its import may turn the
    KeyboardInterrupt into another error.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler:  # in the background, or inside another program
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


class StopFlag:
    """A flag that becomes true when a signal asks the program to stop; the program polls it.

    Within the context, SIGINT, SIGTERM and SIGHUP only set the flag. If SIGHUP is ignored, as under
    nohup, it stays ignored. A second SIGINT raises KeyboardInterrupt, unless it comes within a
    second of the first: a double press, or a wrapper that forwards the terminal's signal once
    more, must not discard the state.

    Attributes:
        signum: the first signal received, or None.
        notice: the line that the first SIGINT prints on standard error.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.notice = "stopping …; Ctrl-C again to stop immediately"
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signum is not None

    def __enter__(self) -> StopFlag:
        for number in (signal.SIGINT, signal.SIGTERM, *hangup_signals()):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
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
        # Not through sys.stderr: the signal may have interrupted a write to it.
        with suppress(OSError, ValueError):
            os.write(
                sys.stderr.fileno(), f"\n{self.notice}\n".encode(sys.stderr.encoding, "replace")
            )


def hangup_signals() -> list[signal.Signals]:
    """Return [SIGHUP], or [] if the platform does not have it or it is ignored."""
    number = getattr(signal, "SIGHUP", None)  # not on Windows
    return [] if number is None or signal.getsignal(number) == signal.SIG_IGN else [number]


def exit_with_parent() -> None:
    """Make this `multiprocessing` process exit when its parent does, even if that was killed."""
    import multiprocessing  # every command imports this module, but few use processes

    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
