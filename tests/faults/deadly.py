"""Child processes that are killed at a given file operation."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Operation(NamedTuple):
    """A function before which a child is killed; or half-way through, if `half` does half of it."""

    owner: Any
    name: str
    half: Callable[..., object] | None = None


WRITE_TEXT = Operation(
    Path, "write_text", lambda path, text, *_: path.write_bytes(text.encode()[: len(text) // 2])
)


def run(work: Callable[[], object], operations: Sequence[Operation], death: int) -> str | None:
    """Run `work` in a forked child that is killed at operation number `death`.

    Operations are counted from 0 in the order of their calls; one with `half` counts twice.

    Returns:
        The operation at which the child was killed; None if it finished first.
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
    """Kill this process at one of the operations, after writing its name to the pipe."""
    remaining = number

    def step(description: str) -> None:
        nonlocal remaining
        if remaining == 0:
            os.write(writer, description.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        remaining -= 1

    def patch(owner: Any, name: str, half: Callable[..., object] | None) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def operation(*args: Any, **kwargs: Any) -> Any:
            paths = [str(path) for path in args if isinstance(path, Path)]
            step(" ".join(["before", name, *paths]))
            if half and remaining == 0:
                half(*args)
            if half:
                step(f"half-way in {name}")
            return function(*args, **kwargs)

        setattr(owner, name, operation)

    for operation in operations:
        patch(*operation)
