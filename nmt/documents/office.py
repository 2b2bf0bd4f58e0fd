"""Documents that are archives: some parts are XML to translate, all others are copied."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from nmt.documents.formats import MAX_BYTES
from nmt.documents.xml_document import XmlDocument
from nmt.errors import DataError
from nmt.translate.words import Links

_MAX_UNPACKED = 1 << 28
_MAX_PARTS = 10_000


class OfficeDocument:
    """A document with several parts.

    Args:
        content: the file.
        name: of the file, for messages.
        main: the part that it must have.
        is_text: whether a part, by its name, has text to translate.
        add_segments: adds the segments of such a part.

    Attributes:
        segments: what is translated.
        has_markup: whether there are tags inside of segments.

    Raises:
        DataError: if it is damaged, not a document, or unpacks to more than the limits.
    """

    def __init__(
        self,
        content: bytes,
        name: str,
        main: str,
        is_text: Callable[[str], bool],
        add_segments: Callable[[XmlDocument], None],
    ) -> None:
        self._content, self._name = content, name
        self._parts: dict[str, XmlDocument] = {}
        with self._archive() as archive:
            if main not in archive.namelist():
                raise DataError(f"{name}: not a document: it has no {main}")
            for info in filter(lambda info: is_text(info.filename), archive.infolist()):
                if info.file_size > MAX_BYTES:
                    raise DataError(f"{name}: {info.filename} has more than {MAX_BYTES:,} bytes")
                part = XmlDocument(archive.read(info), f"{name}: {info.filename}")
                add_segments(part)
                self._parts[info.filename] = part
        self.segments = [segment for part in self._parts.values() for segment in part.segments]
        self.has_markup = any(part.has_markup for part in self._parts.values())

    def write(self, translations: Sequence[str], links: Sequence[Links] = ()) -> bytes:
        """Return the translated document; parts without text have the same bytes."""
        texts, place = {}, 0
        for name, part in self._parts.items():
            end = place + len(part.segments)
            if part.segments:
                texts[name] = part.write(translations[place:end], links[place:end])
            place = end
        done = io.BytesIO()
        with self._archive() as archive, zipfile.ZipFile(done, "w") as copy:
            copy.comment = archive.comment
            for info in archive.infolist():
                text = texts.get(info.filename)
                copy.writestr(info, archive.read(info) if text is None else text)
        return done.getvalue()

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        """Open the archive, and turn its errors into messages."""
        try:
            with zipfile.ZipFile(io.BytesIO(self._content)) as archive:
                infos = archive.infolist()
                if len(infos) > _MAX_PARTS or sum(i.file_size for i in infos) > _MAX_UNPACKED:
                    raise DataError(
                        f"{self._name}: unpacks to more than {_MAX_UNPACKED:,} bytes or "
                        f"{_MAX_PARTS:,} parts"
                    )
                yield archive
        except (
            *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
            *(RuntimeError, NotImplementedError, ValueError),  # encrypted, or packed unusually
        ) as error:
            raise DataError(f"{self._name}: damaged, or not a document: {error}") from error
