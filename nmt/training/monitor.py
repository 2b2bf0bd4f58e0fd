"""Report on training: lines and a progress bar on stderr, metrics in metrics.jsonl."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from nmt.console import Console, plain
from nmt.errors import Interrupted
from nmt.files import MAX_METRICS_BYTES, as_file_error, read_bounded, write_text
from nmt.signals import StopFlag

# The remaining time is estimated from this period: long enough to include slow steps and
# validations.
_SECONDS_FOR_SPEED = 600.0


@contextmanager
def preparing(console: Console, stop: StopFlag) -> Iterator[Callable[[str, int], None]]:
    """Show the progress of preparing data; yield the callback for `prepare`.

    On a terminal the progress is one changing line; otherwise a line appears whenever the activity
    changes or five seconds have passed. The callback raises Interrupted after a signal.
    """
    last = ("", time.monotonic())

    def report(activity: str, pairs: int) -> None:
        nonlocal last
        if stop.signum is not None:
            raise Interrupted("stopped while preparing; the same command starts again", stop.signum)
        text = f"{activity}: {pairs:,} pairs" if pairs else activity
        if status is not None:
            status.update(plain(text))
        elif activity != last[0] or time.monotonic() > last[1] + 5:
            console.print_line(text)
            last = (activity, time.monotonic())

    if console.is_terminal:
        with console.status("preparing") as status:
            yield report
    else:
        status = None
        yield report


class Monitor:
    """Reports on a training run; use as a context manager.

    On a terminal a progress bar stays at the bottom, and lines fit the width of the terminal.
    Otherwise the output is plain lines only.

    Args:
        run: run directory; lines are appended to its metrics.jsonl. None writes none.
        console: standard error.
        step: number of steps taken; metrics of later steps, lost in a crash, are removed.
        max_steps: total of the bar.
    """

    def __init__(self, run: Path | None, console: Console, step: int, max_steps: int) -> None:
        self._console = console
        self._path = run / "metrics.jsonl" if run else None
        if self._path:
            _remove_after(self._path, step)
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

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, step: int, figures: Mapping[str, float] = MappingProxyType({})) -> None:
        """Advance the bar to a step, and show figures next to it."""
        self._figures = "  ".join(_FORMATS[name](value) for name, value in figures.items())
        self._progress.update(self._task, completed=step, description=self._figures)

    def doing(self, activity: str) -> None:
        """Show an activity next to the bar; an empty one shows the latest figures again."""
        self._progress.update(self._task, description=activity or self._figures)

    def print_line(self, text: str) -> None:
        """Print a line of text."""
        self._console.print_line(text)

    def show(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        """Print figures as a line, or one for each set of data.valid if they have names.

        On a terminal, only the most important ones that fit are printed.
        """
        sets = list(dict.fromkeys(key.partition("/")[0] for key in figures if "/" in key))
        width = max(map(len, sets), default=0)
        for one in sets or [""]:
            prefix = f"{one}/" if one else ""
            own = {
                key.removeprefix(prefix): figures[key] for key in figures if key.startswith(prefix)
            }
            line = f"{kind:<5} step {step:>6}" + (f"  {one:<{width}}" if one else "")
            # Those of a language pair, such as `bleu en-de`, come last.
            known = [name for name in _FORMATS if name in own]
            for name in [*known, *(name for name in own if " " in name)]:
                figure, _, pair = name.partition(" ")
                text = _FORMATS[figure](own[name])
                longer = f"{line}  {f'{pair} ' if pair else ''}{text}"
                if self._console.is_terminal and len(longer) > self._console.width:
                    break
                line = longer
            self.print_line(line)

    def log(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        """Print figures as a line, and append all of them to metrics.jsonl.

        Raises:
            FileError: if the file cannot be written.
        """
        self.show(kind, step, figures)
        record = {"kind": kind, "step": step, **figures}
        if self._path:
            with as_file_error(self._path), self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def _remove_after(path: Path, step: int) -> None:
    """Remove the metrics of later steps, which were lost in a crash."""
    if not os.path.lexists(path):
        return
    lines = read_bounded(path, MAX_METRICS_BYTES).decode("utf-8", errors="replace").split("\n")
    write_text(path, "".join(line + "\n" for line in lines if _is_current(line, step)))


def _is_current(line: str, step: int) -> bool:
    """Return whether a line of metrics.jsonl is complete and not after a step."""
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):
        return False


def _significant(value: float) -> str:
    """Format with four significant digits: 2.187, 21.87, 0.5980, 5012; long numbers as 3.22e+08."""
    if abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}"


def _duration(seconds: float) -> str:
    """Format seconds as 0:05, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


# The most important first: a narrow terminal shows only those.
_FORMATS: dict[str, Callable[[float], str]] = {
    "loss": lambda value: f"loss {value:.3f}",
    "ppl": lambda value: f"ppl {_significant(value)}",
    "kl": lambda value: f"KL {_significant(value)}",
    "bleu": lambda value: f"BLEU {value:.1f}",
    "chrf": lambda value: f"chrF {value:.1f}",
    "lr": lambda value: f"lr {value:.3g}",
    "grad_norm": lambda value: f"norm {value:.3f}" if value < 100 else f"norm {value:.3g}",
    "tokens_per_s": lambda value: f"{value:,.0f} tok/s",
    "epoch": lambda value: f"epoch {value:.0f}",
    "seconds": _duration,
}
