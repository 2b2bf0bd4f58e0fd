"""What a training shows: lines and a progress bar on stderr, figures in metrics.jsonl."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from nmt.console import Console, plain
from nmt.errors import FileError, Interrupted
from nmt.files import MAX_METRICS_BYTES, read_bounded, write_text
from nmt.signals import StopFlag

# The time left is estimated from the steps of this time: long enough for slow steps, and to count
# in the validations between them.
_SECONDS_FOR_SPEED = 600.0


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
            status.update(plain(text))
        elif what != last[0] or time.monotonic() > last[1] + 5:
            console.say(text)
            last = (what, time.monotonic())

    if console.is_terminal:
        with console.status("preparing") as status:
            yield report
    else:
        status = None
        yield report


class Monitor:
    """Reports a training run; use as a context.

    On a terminal a progress bar stays at the bottom, and lines are never wider than the terminal.
    Otherwise there are only plain lines.

    Args:
        run: the run directory, where metrics.jsonl is continued.
        console: standard error.
        step: steps taken before; lines of metrics.jsonl about later steps, lost in a crash, go.
        max_steps: the end of the bar.
    """

    def __init__(self, run: Path, console: Console, step: int, max_steps: int) -> None:
        self._console = console
        self._path = run / "metrics.jsonl"
        self._forget_after(step)
        self._figures = ""
        self._progress = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=None),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            expand=True,
            speed_estimate_period=_SECONDS_FOR_SPEED,
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

    def advance(self, step: int, figures: Mapping[str, float] = MappingProxyType({})) -> None:
        """Move the bar, and show figures beside it."""
        self._figures = "  ".join(_FORMATS[name](value) for name, value in figures.items())
        self._progress.update(self._task, completed=step, description=self._figures)

    def doing(self, what: str) -> None:
        """Say beside the bar what is under way instead of training; empty for training itself."""
        self._progress.update(self._task, description=what or self._figures)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.say(text)

    def show(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        """Print figures as a line: on a terminal, the most important ones that fit."""
        line = f"{kind:<5} step {step:>6}"
        for name in (name for name in _FORMATS if name in figures):
            longer = f"{line}  {_FORMATS[name](figures[name])}"
            if self._console.is_terminal and len(longer) > self._console.width:
                break
            line = longer
        self.say(line)

    def log(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        """Print figures as a line and append all of them to metrics.jsonl.

        Raises:
            FileError: the file cannot be written.
        """
        self.show(kind, step, figures)
        record = {"kind": kind, "step": step, **figures}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise FileError(f"{self._path}: cannot be written: {error.strerror}") from error

    def _forget_after(self, step: int) -> None:
        if not os.path.lexists(self._path):
            return
        lines = (
            read_bounded(self._path, MAX_METRICS_BYTES)
            .decode("utf-8", errors="replace")
            .split("\n")
        )
        write_text(self._path, "".join(line + "\n" for line in lines if _is_until(step, line)))


def _is_until(step: int, line: str) -> bool:
    """Tell whether a line of metrics.jsonl is whole and of a step that still counts."""
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):
        return False


def _significant(value: float) -> str:
    """Write four significant digits: 2.187, 21.87, 0.5980, 5012; long numbers as 3.22e+08."""
    if abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}"


def _duration(seconds: float) -> str:
    """Write seconds as 0:05, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


# The most important ones first: a narrow terminal shows only those.
_FORMATS: dict[str, Callable[[float], str]] = {
    "loss": lambda value: f"loss {value:.3f}",
    "ppl": lambda value: f"ppl {_significant(value)}",
    "bleu": lambda value: f"BLEU {value:.1f}",
    "chrf": lambda value: f"chrF {value:.1f}",
    "lr": lambda value: f"lr {value:.3g}",
    "grad_norm": lambda value: f"norm {value:.3f}" if value < 100 else f"norm {value:.3g}",
    "tokens_per_s": lambda value: f"{value:,.0f} tok/s",
    "epoch": lambda value: f"epoch {value:.0f}",
    "seconds": _duration,
}
