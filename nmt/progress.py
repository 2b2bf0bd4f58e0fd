"""A progress bar for the terminal."""

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
"""Called with the number of lines that have been completed since the last call."""

_SECONDS_FOR_SPEED = 60.0


@contextmanager
def progress_bar(
    activity: str, total: int | None, console: Console | None = None, *, shown: bool = True
) -> Iterator[Advance]:
    """Show a bar with lines per second and the remaining time until the block ends.

    Args:
        activity: a description of the work.
        total: number of lines, or None if unknown.
        console: the console; by default standard error. Nothing is shown unless it is a terminal.
        shown: whether to show the bar.

    Yields:
        The function to call with the number of newly completed lines.
    """
    if not shown:  # without importing rich, which takes longer than translating a line
        yield lambda lines: None
        return

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
        disable=not console.is_terminal,
        transient=True,
        expand=True,
        speed_estimate_period=_SECONDS_FOR_SPEED,
    ) as progress:
        task = progress.add_task(escape(activity), total=total)
        yield lambda lines: progress.advance(task, lines)


def is_redirected_to_file(descriptor: int) -> bool:
    """Return whether a file descriptor is a file rather than a terminal, a pipe or closed."""
    try:
        return not os.isatty(descriptor) and not stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False
