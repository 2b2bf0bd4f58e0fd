"""Write checkpoints in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Tensors = Mapping[str, Mapping[str, Tensor]]


class BackgroundSaver:
    """Writes one checkpoint at a time in a thread; use as a context manager, which waits at exit.

    Training pauses only while the tensors are copied, or while the previous checkpoint is still
    being written.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, write: Callable[[Tensors], Any], tensors: Tensors) -> None:
        """Copy tensors and start to write them.

        Args:
            write: called in the thread with the copies.
            tensors: may change once this method has returned.

        Raises:
            FileError: if the previous checkpoint could not be written.
        """
        self.wait()
        copies = {
            file: {name: tensor.to("cpu", copy=True) for name, tensor in named.items()}
            for file, named in tensors.items()
        }
        # A daemon: a second Ctrl-C must not wait for it.
        self._thread = threading.Thread(target=self._run, args=(write, copies), daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise the error of the previous write, if it failed."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait(self) -> None:
        """Wait until the checkpoint is written, then `check`."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def _run(self, write: Callable[[Tensors], Any], copies: Tensors) -> None:
        try:
            write(copies)
        except BaseException as error:  # raised in the training thread by `check`
            self._error = error

    def __enter__(self) -> BackgroundSaver:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            self.wait()
        elif isinstance(error, Exception) and self._thread is not None:
            self._thread.join()  # the error of training takes precedence over one of writing
