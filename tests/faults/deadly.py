"""Children that are killed at one of their operations on files, for scripts that try each."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Operation(NamedTuple):
    """A function to die before, and half-way in if half of it can be done."""

    owner: Any
    name: str
    half: Callable[..., object] | None = None


WRITE_TEXT = Operation(
    Path, "write_text", lambda path, text, *_: path.write_bytes(text.encode()[: len(text) // 2])
)


def run(work: Callable[[], object], operations: Sequence[Operation], death: int) -> str | None:
    """Work in a forked child that dies at an operation; return at which, if it did.

    The operations that the child comes to are counted from 0; one with a half counts twice.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _die_at(death, operations, writer)
        work()
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        where = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return where
    assert os.waitstatus_to_exitcode(status) == 0
    return None


def _die_at(number: int, operations: Sequence[Operation], writer: int) -> None:
    """Have this process die at one of the operations, once it has written which."""
    left = number

    def step(what: str) -> None:
        nonlocal left
        if left == 0:
            os.write(writer, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def dying(owner: Any, name: str, half: Callable[..., object] | None) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def operation(*args: Any, **kwargs: Any) -> Any:
            paths = [str(path) for path in args if isinstance(path, Path)]
            step(" ".join(["before", name, *paths]))
            if half and left == 0:
                half(*args)
            if half:
                step(f"half-way in {name}")
            return function(*args, **kwargs)

        setattr(owner, name, operation)

    for operation in operations:
        dying(*operation)
