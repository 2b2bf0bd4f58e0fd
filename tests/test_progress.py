"""The bar that long work shows on a terminal."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

from nmt.console import Console
from nmt.progress import is_unwatched, progress_bar


def shown(total: int | None, *, terminal: bool = True, shown: bool = True) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    with progress_bar("translating [red]", total, console, shown=shown) as advance:
        for lines in (100, 150):
            advance(lines)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())


def test_it_has_the_lines_and_fits_the_terminal() -> None:
    text = shown(1000)
    assert "translating [red]" in text
    assert "250/1000" in text
    assert "left" in text
    assert max(map(len, re.split(r"[\r\n]+", text))) <= 80


def test_without_a_total_there_is_no_time_left() -> None:
    text = shown(None)
    assert "250/?" in text
    assert "left" not in text


def test_nothing_is_shown_where_nobody_looks() -> None:
    assert shown(1000, terminal=False) == ""
    assert shown(1000, shown=False).strip() == ""


def test_where_a_bar_would_be_in_the_way(tmp_path: Path) -> None:
    terminal, other = os.openpty()
    ends = os.pipe()
    with (tmp_path / "file").open("w") as file:
        assert is_unwatched(file.fileno())
    try:
        assert not is_unwatched(other)
        assert not is_unwatched(ends[1])
    finally:
        for descriptor in (terminal, other, *ends):
            os.close(descriptor)
    assert not is_unwatched(terminal)  # closed


def test_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, get_time=lambda: now[0])
    with progress_bar("scoring", 10_000, console) as advance:
        for now[0] in (1.0, 2.0, 3.0):
            advance(1500)
    assert "1,500 lines/s" in out.getvalue()
    assert "0:04 left" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
