"""Translation of a stream of lines in any format."""

from __future__ import annotations

import collections
import itertools
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from nmt.files import is_standard
from nmt.progress import Advance
from nmt.translate.formats import Item, Layout
from nmt.translate.part_search import Searched
from nmt.translate.source import Source
from nmt.translate.translation import Translation
from nmt.translate.translator import Translator


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
    """Translate lines in any format, one window at a time.

    Args:
        translator: the translator.
        lines: the input, read lazily.
        layout: the format of input and output.
        interactive, known, searched, advance: as in `Translator.windows`.

    Yields:
        The output for each line of a window; it may consist of several lines.

    Raises:
        DataError: if a line cannot be read or translated.
    """
    pending: collections.deque[Item] = collections.deque()

    def sources() -> Iterator[Source]:
        for number, line in enumerate(lines, 1):
            item = layout.read(line, number)
            pending.append(item)
            languages = item.src_lang, item.tgt_lang
            context = item.sentences_before(number) if translator.context else None
            yield Source(item.text, item.prefix, item.constraints, *languages, context)

    numbers = itertools.count(1)
    windows = translator.windows(
        sources(), interactive=interactive, known=known, searched=searched, advance=advance
    )
    for window in windows:
        yield [
            layout.write(next(numbers), pending.popleft(), translation) for translation in window
        ]


def is_interactive_input(path: Path | None) -> bool:
    """Return whether input may arrive line by line: from a terminal or a pipe, not from a file.

    Args:
        path: as for `nmt.data.lines.read_lines`.
    """
    try:
        status = (
            os.fstat(sys.stdin.fileno()) if path is None or is_standard(path) else os.stat(path)
        )
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(status.st_mode)
