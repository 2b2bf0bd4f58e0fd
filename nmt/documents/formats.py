"""The formats of documents, and how each is read."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nmt.errors import ConfigError, DataError, FileError, how_to_install
from nmt.files import is_standard, read_bounded

if TYPE_CHECKING:  # imported late, because it takes time
    from nmt.documents.document import Translatable

MAX_BYTES = 1 << 24
"""Of text, which is read as a whole, and may take 130 times as much memory."""
_MAX_ARCHIVE_BYTES = 1 << 27


class Format(NamedTuple):
    """A format of documents.

    Attributes:
        endings: endings of file names.
        module: its module in `nmt.documents`.
        reader: the function in it that takes the content of a file and its name.
        is_binary: whether it is not text.
        is_prose: whether it is divided into sentences; its reader takes the language, too.
    """

    endings: tuple[str, ...]
    module: str
    reader: str = "read"
    is_binary: bool = False
    is_prose: bool = False

    @property
    def max_bytes(self) -> int:
        """The largest size of a file."""
        return _MAX_ARCHIVE_BYTES if self.is_binary else MAX_BYTES


FORMATS = {
    "html": Format((".html", ".htm"), "markup", is_prose=True),
    "markdown": Format((".md", ".markdown"), "markdown", is_prose=True),
    "srt": Format((".srt",), "subtitles", "read_srt"),
    "vtt": Format((".vtt",), "subtitles", "read_vtt"),
    "po": Format((".po", ".pot"), "po"),
    "xliff": Format((".xlf", ".xliff"), "xliff"),
    "docx": Format((".docx",), "docx", is_binary=True),
    "odt": Format((".odt",), "odt", is_binary=True),
}
_BY_ENDING = {ending: name for name, each in FORMATS.items() for ending in each.endings}


def format_of(path: Path | None) -> str | None:
    """Return the format that the name of a file tells; None if it is not that of a document."""
    return _BY_ENDING.get(path.suffix.lower()) if path else None


def read_document(path: Path | None, lang: str, name: str | None = None) -> Translatable:
    """Read a document.

    Args:
        path: the file; None or `-` for standard input.
        lang: code of its language.
        name: its format; by default the ending of the file tells it.

    Raises:
        ConfigError: if the format is unknown, or a package that reads it is not installed.
        DataError: if it is not a document of this format, with the line where that is seen.
        FileError: if it cannot be read, or is too large.
    """
    name = name or format_of(path)
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise ConfigError(f"{path}: not a format of documents that nmt knows: {known}")
    try:
        module = importlib.import_module(f"nmt.documents.{FORMATS[name].module}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the format {name} needs {error.name}: {how_to_install('formats')}"
        ) from error
    content = _content(path, FORMATS[name].max_bytes)
    more = [lang] if FORMATS[name].is_prose else []
    document: Translatable = getattr(module, FORMATS[name].reader)(*content, *more)
    return document


def _content(path: Path | None, limit: int) -> tuple[bytes, str]:
    """Return the content of a file of at most `limit` bytes, and its name."""
    if path is not None and not is_standard(path):
        return read_bounded(path, limit, plain=False), str(path)
    content = sys.stdin.buffer.read(limit + 1)
    if len(content) > limit:
        raise FileError(f"standard input: cannot be read: larger than {limit:,} bytes")
    return content, "standard input"


def decoded(content: bytes, name: str) -> str:
    """Return the text of a document, with its byte-order mark.

    Raises:
        DataError: if it is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}:{line}: not valid UTF-8; convert the file with iconv or recode"
        ) from error
