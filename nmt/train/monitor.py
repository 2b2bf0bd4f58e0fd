"""What a training shows: lines and a progress bar on stderr, figures in metrics.jsonl."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from nmt.checkpoint import write_text
from nmt.errors import FileError, Interrupted
from nmt.train.signals import StopFlag


@contextmanager
def preparing(console: Console, stop: StopFlag) -> Iterator[Callable[[str, int], None]]:
    """Show the progress of a preparation: yields what `prepare` calls.

    On a terminal it is one line that changes; otherwise a line whenever the work changes or
    five seconds have passed. If a signal has come, it raises Interrupted.
    """
    last = ("", time.monotonic())

    def report(what: str, pairs: int) -> None:
        nonlocal last
        if stop.signum is not None:
            raise Interrupted("stopped while preparing; the same command starts anew", stop.signum)
        text = f"{what}: {pairs:,} pairs"
        if status is not None:
            status.update(text)
        elif what != last[0] or time.monotonic() > last[1] + 5:
            console.print(text, highlight=False, markup=False, soft_wrap=True)
            last = (what, time.monotonic())

    if console.is_terminal:
        with console.status("preparing") as status:
            yield report
    else:
        status = None
        yield report


class Monitor:
    """Reports a training; use as a context.

    On a terminal a progress line stays at the bottom. Otherwise there are only plain lines.

    Args:
        run: the run directory, where metrics.jsonl is continued.
        console: standard error.
        step: steps taken before; later lines of metrics.jsonl, of steps lost in a crash, go.
        max_steps: the end of the progress line.
    """

    def __init__(self, run: Path, console: Console, step: int, max_steps: int) -> None:
        self._console = console
        self._path = run / "metrics.jsonl"
        self._forget_after(step)
        self._progress = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("", completed=step, total=max_steps)

    def __enter__(self) -> Monitor:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def advance(self, step: int) -> None:
        """Move the progress line."""
        self._progress.update(self._task, completed=step)

    def doing(self, what: str) -> None:
        """Say beside the progress line what is under way; empty for training itself."""
        self._progress.update(self._task, description=what)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def log(self, kind: str, step: int, figures: dict[str, float]) -> None:
        """Print figures as a line and append them to metrics.jsonl.

        Raises:
            FileError: the file cannot be written.
        """
        shown = "  ".join(f"{name} {_short(value)}" for name, value in figures.items())
        self.say(f"{kind:<5} step {step:>6}  {shown}")
        record = {"kind": kind, "step": step, **figures}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise FileError(f"{self._path}: cannot be written: {error.strerror}") from error

    def _forget_after(self, step: int) -> None:
        if not self._path.is_file():
            return
        lines = self._path.read_bytes().decode("utf-8", errors="replace").split("\n")
        write_text(self._path, "".join(line + "\n" for line in lines if _is_until(step, line)))


def _is_until(step: int, line: str) -> bool:
    """Tell whether a line of metrics.jsonl is whole and of a step that still counts."""
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):
        return False


def _short(value: float) -> str:
    """Four significant digits, large numbers whole: 0.000351, 2.187, 5012."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
