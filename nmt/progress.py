"""The bar that long work shows on a terminal."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Task
    from rich.text import Text

    from nmt.console import Console

Advance = Callable[[int], object]
"""Called with a number of lines whenever so many more are done."""

_SECONDS_FOR_SPEED = 60.0


@contextmanager
def progress_bar(
    what: str, total: int | None, console: Console | None = None, *, shown: bool = True
) -> Iterator[Advance]:
    """Show a bar with lines per second and the time left, which goes when the block ends.

    Args:
        what: what is being done.
        total: number of lines, if it is known.
        console: where; by default the standard error. There is no bar unless it is a terminal.
        shown: whether there is a bar at all.

    Yields:
        What to call with a number of lines when they are done.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    from nmt.console import Console
    from nmt.errors import escape

    class Speed(ProgressColumn):
        """Lines per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} lines/s" if speed else "")

    console = console or Console(stderr=True)
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        Speed(),
    ]
    if total is not None:
        columns += [TimeRemainingColumn(compact=True), TextColumn("left")]
    with Progress(
        *columns,
        console=console,
        disable=not (shown and console.is_terminal),
        transient=True,
        expand=True,
        speed_estimate_period=_SECONDS_FOR_SPEED,
    ) as progress:
        task = progress.add_task(escape(what), total=total)
        yield lambda lines: progress.advance(task, lines)


def is_unwatched(stream: int) -> bool:
    """Tell whether what is written to a stream goes to a file, not to a terminal or a pipe.

    Args:
        stream: number of its file descriptor.
    """
    try:
        return not os.isatty(stream) and not stat.S_ISFIFO(os.fstat(stream).st_mode)
    except OSError:
        return False
