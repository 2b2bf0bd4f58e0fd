"""Streams of lines in, streams of translations out."""

from __future__ import annotations

import collections
import itertools
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from nmt.progress import Advance
from nmt.translate.formats import Item, Layout
from nmt.translate.translator import Searched, Translation, Translator


def translate_windows(
    translator: Translator,
    lines: Iterable[str],
    layout: Layout,
    *,
    interactive: bool = False,
    known: Iterable[Translation] = (),
    searched: Searched | None = None,
    advance: Advance = lambda lines: None,
) -> Iterator[list[str]]:
    """Translate lines of any layout, a window at a time.

    Args:
        translator: what translates.
        lines: read lazily.
        layout: of input and output.
        interactive, known, searched, advance: as in `Translator.windows`.

    Yields:
        For each line of a window what is written for it, which may be several lines.

    Raises:
        DataError: a line that cannot be translated.
    """
    waiting: collections.deque[Item] = collections.deque()

    def texts() -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            item = layout.item(line, number)
            waiting.append(item)
            yield item.text

    numbers = itertools.count(1)
    windows = translator.windows(
        texts(), interactive=interactive, known=known, searched=searched, advance=advance
    )
    for window in windows:
        yield [
            layout.written(next(numbers), waiting.popleft(), translation) for translation in window
        ]


def is_interactive_input(path: Path | None) -> bool:
    """Say whether input may come line by line: a terminal or a pipe, not a file.

    Args:
        path: as for `nmt.data.corpus.read_lines`.
    """
    try:
        status = os.fstat(sys.stdin.fileno()) if path in (None, Path("-")) else os.stat(path)
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(status.st_mode)
