"""Files and streams of text in, files and streams of translations out."""

from __future__ import annotations

import collections
import contextlib
import gzip
import itertools
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nmt.decode.layouts import Item, Layout
from nmt.decode.translator import Translation, Translator
from nmt.errors import FileError
from nmt.progress import Advance


def translate_windows(
    translator: Translator,
    lines: Iterable[str],
    layout: Layout,
    *,
    interactive: bool = False,
    known: Iterable[Translation] = (),
    advance: Advance = lambda lines: None,
) -> Iterator[list[str]]:
    """Translate lines of any layout, a window at a time.

    Args:
        translator: what translates.
        lines: read lazily.
        layout: of input and output.
        interactive, known, advance: as in `Translator.windows`.

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
    windows = translator.windows(texts(), interactive=interactive, known=known, advance=advance)
    for window in windows:
        yield [
            layout.written(next(numbers), waiting.popleft(), translation) for translation in window
        ]


def comes_slowly(path: Path | None) -> bool:
    """Say whether input may come line by line: a terminal or a pipe, not a file.

    Args:
        path: as for `nmt.data.corpus.read_lines`.
    """
    try:
        status = os.fstat(sys.stdin.fileno()) if path in (None, Path("-")) else os.stat(path)
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(status.st_mode)


def write_lines(lines: Iterable[str], path: Path | None) -> None:
    """Write lines as UTF-8, each as soon as it is there.

    Args:
        lines: without line ends.
        path: a file, gzip if it ends in .gz, which gets its name only when it is whole; None is
            the standard output.

    Raises:
        FileError: the file cannot be written.
        OSError: the standard output cannot be written.
    """
    if path is None:
        out = sys.stdout.buffer
        for line in lines:
            out.write(line.encode("utf-8") + b"\n")
            out.flush()
        return
    with replacing(path) as file:
        for line in lines:
            file.write(line.encode("utf-8") + b"\n")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes a file's name when the block ends well.

    What is there and no file, a pipe say, is written as it comes.

    Args:
        path: the file, or a link to it; what is written is compressed if it ends in .gz.

    Raises:
        FileError: it cannot be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with as_file_error(path), open(target, "wb") as pipe:
            yield pipe
        return
    temporary = target.with_name(target.name + ".tmp")
    # To close a file is to write, too: all of it is in here.
    with as_file_error(path), contextlib.ExitStack() as stack:
        stack.callback(temporary.unlink, missing_ok=True)
        raw = stack.enter_context(open(temporary, "wb"))
        zipped = path.suffix == ".gz"
        # Without a name and time in it, equal content makes equal files.
        file: Any = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if zipped else raw
        yield file
        if zipped:
            file.close()
        raw.flush()
        os.fsync(raw.fileno())
        temporary.replace(target)


@contextlib.contextmanager
def as_file_error(path: Path) -> Iterator[None]:
    """Turn the system's errors into a FileError about writing a file."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: cannot write it: {error.strerror or error}") from error
