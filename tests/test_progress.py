"""The progress bar: its content, and where it is shown."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

from nmt.console import Console
from nmt.progress import is_redirected_to_file, progress_bar


def bar_text(total: int | None, *, terminal: bool = True, shown: bool = True) -> str:
    """Return what a progress bar prints, without escape sequences."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    with progress_bar("translating [red]", total, console, shown=shown) as advance:
        for lines in (100, 150):
            advance(lines)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())


def test_the_bar_counts_lines_and_fits_the_terminal() -> None:
    text = bar_text(1000)
    assert "translating [red]" in text
    assert "250/1000" in text
    assert "left" in text
    assert max(map(len, re.split(r"[\r\n]+", text))) <= 80


def test_without_a_total_no_time_left_is_shown() -> None:
    text = bar_text(None)
    assert "250/?" in text
    assert "left" not in text


def test_no_bar_without_a_terminal_or_when_disabled() -> None:
    assert bar_text(1000, terminal=False) == ""
    assert bar_text(1000, shown=False).strip() == ""


def test_redirection_to_a_file_is_detected(tmp_path: Path) -> None:
    terminal, other = os.openpty()
    ends = os.pipe()
    with (tmp_path / "file").open("w") as file:
        assert is_redirected_to_file(file.fileno())
    try:
        assert not is_redirected_to_file(other)
        assert not is_redirected_to_file(ends[1])
    finally:
        for descriptor in (terminal, other, *ends):
            os.close(descriptor)
    assert not is_redirected_to_file(terminal)  # closed


def test_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, get_time=lambda: now[0])
    with progress_bar("scoring", 10_000, console) as advance:
        for now[0] in (1.0, 2.0, 3.0):
            advance(1500)
    assert "1,500 lines/s" in out.getvalue()
    assert "0:04 left" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
