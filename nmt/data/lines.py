"""Lines of UTF-8 text, from plain or gzip files.

Only a line feed ends a line. U+2028, vertical tabs, form feeds and lone carriage returns are
content: otherwise line n of one file might not be the translation of line n of the other.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

from nmt.errors import ConfigError, DataError, FileError
from nmt.files import is_standard, reason

BOM = "\ufeff"
_GZIP_MAGIC = b"\x1f\x8b"
_CONTROLS = re.compile("[\x00-\x1f\x7f]")
_MAX_LINE_BYTES = 10_000_000
_LIMIT_NAME = "NMT_MAX_LINE_BYTES"


class InvalidLine(NamedTuple):
    """A line that is not valid UTF-8."""

    where: str
    """`file:line:byte`; lines and bytes count from 1."""
    raw: bytes

    def error(self, advice: str) -> DataError:
        """Return the error to raise for this line."""
        return DataError(f"{self.where}: not valid UTF-8; convert the file {advice}")


def read_lines(
    path: str | Path | None,
    invalid: Literal["error", "replace"] = "error",
    *,
    keep_bom: bool = False,
) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file, plain or gzip, without line ends.

    A line ends at a line feed. One carriage return before the line feed and a byte-order mark at
    the start of the file are dropped; everything else is content.

    Args:
        path: the file; None or `-` for standard input.
        invalid: what to do about invalid UTF-8: raise an error, or replace it with U+FFFD.
        keep_bom: treat a byte-order mark as content.

    Raises:
        ConfigError: if the line limit in the environment is not a number.
        DataError: on invalid UTF-8, damaged gzip, or a line longer than `max_line_bytes`.
        FileError: if the file cannot be read.
    """
    for line in decoded_lines(path, keep_bom=keep_bom):
        if not isinstance(line, InvalidLine):
            yield line
        elif invalid == "error":
            raise line.error("with iconv or recode")
        else:
            yield line.raw.decode("utf-8", errors="replace").removeprefix(BOM)


def decoded_lines(
    path: str | Path | None, *, keep_bom: bool = False
) -> Iterator[str | InvalidLine]:
    """Yield the lines as `read_lines` does, but yield an InvalidLine for invalid UTF-8."""
    name = "standard input" if is_standard(path) else str(path)
    for number, raw in enumerate(_byte_lines(path, name), 1):
        end = -2 if raw.endswith(b"\r\n") else -1 if raw.endswith(b"\n") else None
        try:
            line = raw[:end].decode("utf-8")
        except UnicodeDecodeError as error:
            yield InvalidLine(f"{name}:{number}:{error.start + 1}", raw[:end])
            continue
        yield line.removeprefix(BOM) if number == 1 and not keep_bom else line


def count_lines(path: str | Path | None) -> int | None:
    """Count the lines that `read_lines` would yield.

    Returns:
        None for standard input, a pipe or a device, which can be read only once, and for a file
        that cannot be read.
    """
    if path is None or not Path(path).is_file():
        return None
    lines, last = 0, b"\n"
    try:
        with _opened(path) as file:
            while block := file.read(1 << 20):
                lines += block.count(b"\n")
                last = block[-1:]
    except (OSError, EOFError, zlib.error):
        return None
    return lines + (last != b"\n")


def replace_controls(text: str) -> tuple[str, int]:
    """Replace each control character (C0 and DEL) with a space.

    Returns:
        The text, and the number of characters replaced, not counting tabs.
    """
    tabs = text.count("\t")
    text, count = _CONTROLS.subn(" ", text)
    return text, count - tabs


def check_text(text: str, where: str) -> None:
    """Check that a string is text: JSON and Python strings may have half of a character.

    Raises:
        DataError: if it has a lone surrogate; the message begins with `where`.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: not valid text: {error.reason}") from error


def max_line_bytes() -> int:
    """Return the maximum length of a line, which keeps one endless line from filling memory.

    Raises:
        ConfigError: if the environment variable `NMT_MAX_LINE_BYTES` is not a positive number.
    """
    text = os.environ.get(_LIMIT_NAME, "")
    if not text:
        return _MAX_LINE_BYTES
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 1 << 62):
        raise ConfigError(
            f"the environment variable {_LIMIT_NAME}={text:.30}: not a number of bytes above 0"
        )
    return int(text)


def _byte_lines(path: str | Path | None, name: str) -> Iterator[bytes]:
    """Yield the lines of a file with their line feeds."""
    limit = max_line_bytes()
    try:
        with _opened(path) as file:
            # One byte more than the limit is enough to see that a line is too long.
            for number, line in enumerate(iter(partial(file.readline, limit + 1), b""), 1):
                if len(line) > limit and not line.endswith(b"\n"):
                    raise DataError(
                        f"{name}:{number}: a line of more than {limit:,} bytes; if this is not a "
                        f"mistake, set the environment variable {_LIMIT_NAME} to a larger number"
                    )
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: damaged or truncated gzip: {error}") from error
    except OSError as error:
        raise FileError(f"{name}: cannot be read: {reason(error)}") from error


@contextlib.contextmanager
def _opened(path: str | Path | None) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as stack:
        if path is None or is_standard(path):
            file = cast(io.BufferedReader, sys.stdin.buffer)
        else:
            file = stack.enter_context(open(path, "rb"))
        named_gzip = path is not None and str(path).endswith(".gz")
        # An empty file is read as empty, even if its name ends in .gz.
        if file.peek(2)[:2] == _GZIP_MAGIC or (named_gzip and file.peek(1)):
            unzipped = stack.enter_context(gzip.GzipFile(fileobj=file))
            # GzipFile finds line ends in Python, a BufferedReader around it in C.
            file = io.BufferedReader(cast(io.RawIOBase, unzipped), 1 << 16)
        yield file
