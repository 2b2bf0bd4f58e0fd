"""Message catalogues of gettext: messages without a translation get one, marked as fuzzy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from nmt.documents.document import Document
from nmt.documents.formats import decoded
from nmt.documents.markup import html_text
from nmt.documents.tagged import tagged
from nmt.errors import DataError
from nmt.translate.words import Links

_STRING = r'"((?:[^"\\\r\n]|\\.)*)"[ \t]*'
_FIELD = re.compile(rf"(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)[ \t]*{_STRING}")
_MORE = re.compile(_STRING)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(.))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_SPECIAL = re.compile(
    r"</?[A-Za-z][^<>]*>"
    r"|%(?:\(\w+\)|\d+\$)?[-+#0]{0,5}[\d.*]{0,9}(?:hh?|ll?|[jztLq])?[diouxXeEfFgGcrsaAp@%]"
    r"|[%$]\{[^{}]*\}|\{\{[^{}]*\}\}|\{[\w.:!\[\]]*\}"
)
_NUM_PLURALS = re.compile(r"nplurals\s*=\s*(\d)")


@dataclass
class _Entry:
    """A message, and where its parts are."""

    first: int = -1
    """Line of `msgctxt` or `msgid`."""
    flags: int = -1
    """Line of the flags."""
    fields: dict[str, str] = field(default_factory=dict)
    """Texts by keyword."""
    tgt: tuple[int, int] = (0, 0)
    """The lines of its translations: the first, and the one after the last."""

    @property
    def translations(self) -> list[str]:
        return [text for name, text in self.fields.items() if name.startswith("msgstr")]


class Catalogue:
    """A catalogue.

    Attributes:
        segments: the lines of messages that have no translation.
        has_markup: whether there are tags or placeholders.
    """

    def __init__(self, lines: list[str], entries: Sequence[_Entry]) -> None:
        self._lines = lines
        self._line_end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
        headers = [entry.fields["msgstr"] for entry in entries if entry.fields.get("msgid") == ""]
        found = _NUM_PLURALS.search(headers[0]) if headers and headers[0] else None
        self._num_plurals = max(1, int(found[1])) if found else None
        self._entries = [
            entry for entry in entries if entry.fields["msgid"] and not any(entry.translations)
        ]
        self._texts = [
            [
                _message(entry.fields[name])
                for name in ("msgid", "msgid_plural")
                if name in entry.fields
            ]
            for entry in self._entries
        ]
        documents = [text for texts in self._texts for text in texts]
        self.segments = [segment for document in documents for segment in document.segments]
        self.has_markup = any(document.has_markup for document in documents)

    def write(self, translations: Sequence[str], links: Sequence[Links] = ()) -> bytes:
        """Return the catalogue with the translations."""
        lines = list(self._lines)
        place = 0
        for entry, texts in zip(self._entries, self._texts, strict=True):
            done = []
            for text in texts:
                end = place + len(text.segments)
                done.append(text.render(translations[place:end], links[place:end]))
                place = end
            first, end = entry.tgt
            lines[first:end] = ["".join(self._fields(entry, done)), *[""] * (end - first - 1)]
            if entry.flags >= 0:
                if "fuzzy" not in lines[entry.flags]:
                    lines[entry.flags] = lines[entry.flags].replace("#,", "#, fuzzy,", 1)
            else:
                lines[entry.first] = f"#, fuzzy{self._line_end}{lines[entry.first]}"
        return "".join(lines).encode("utf-8")

    def _fields(self, entry: _Entry, texts: Sequence[str]) -> list[str]:
        """Return the lines of a translation, one form for singular and the others for plural."""
        if len(texts) == 1:
            return self._quoted("msgstr", texts[0])
        num = self._num_plurals or len(entry.translations)
        forms = [texts[0], *[texts[1]] * (num - 1)] if num > 1 else [texts[1]]
        return [line for n, text in enumerate(forms) for line in self._quoted(f"msgstr[{n}]", text)]

    def _quoted(self, keyword: str, text: str) -> list[str]:
        """Return the lines of a field; a text of several lines begins with an empty string."""
        parts = [part for part in re.split(r"(?<=\n)", text) if part] or [""]
        parts = ["", *parts] if len(parts) > 1 else parts
        strings = [f'"{_escape(part)}"{self._line_end}' for part in parts]
        return [f"{keyword} {strings[0]}", *strings[1:]]


def _message(text: str) -> Document:
    """Return a message with a segment for each of its lines."""
    document = Document()
    for number, line in enumerate(text.split("\n")):
        if number:
            document.keep("\n")
        document.add(tagged(line, _SPECIAL, lambda raw: [*html_text(raw)], fixed=True))
    return document


def _unescape(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        octal, hexadecimal, character = match.groups()
        if octal or hexadecimal:
            return chr(int(octal, 8) if octal else int(hexadecimal, 16))
        return _ESCAPED.get(character, character)

    return _ESCAPE.sub(replaced, text)


def _escape(text: str) -> str:
    text = text.replace("\\", r"\\").replace('"', r"\"")
    for letter, character in _ESCAPED.items():
        text = text.replace(character, f"\\{letter}")
    return text


def read(content: bytes, name: str) -> Catalogue:
    """Return the catalogue of a file.

    Raises:
        DataError: if a line is not part of a catalogue, or the file is not UTF-8.
    """
    lines = re.split(r"(?<=\n)", decoded(content, name))
    entries = [_Entry()]
    keyword = ""
    for number, line in enumerate(lines):
        text = line.rstrip("\r\n").removeprefix("\ufeff").lstrip(" \t")
        if text.startswith("#") or not text:
            if entries[-1].translations:
                entries.append(_Entry())
            if text.startswith("#,"):
                entries[-1].flags = number
            keyword = "" if text else keyword
        elif match := _FIELD.fullmatch(text):
            keyword = match[1]
            _add(entries, keyword, number)
            entries[-1].fields[keyword] = _unescape(match[2])
        elif keyword and (match := _MORE.fullmatch(text)):
            entries[-1].fields[keyword] += _unescape(match[1])
        else:
            raise DataError(f"{name}:{number + 1}: not a line of a catalogue: {text:.60}")
        if keyword.startswith("msgstr") and text and not text.startswith("#"):
            entries[-1].tgt = (entries[-1].tgt[0], number + 1)
    whole = [entry for entry in entries if entry.fields]
    for entry in whole:
        if "msgid" not in entry.fields or not entry.translations:
            raise DataError(f"{name}:{entry.first + 1}: a message without msgid or msgstr")
    return Catalogue(lines, whole)


def _add(entries: list[_Entry], keyword: str, number: int) -> None:
    """Begin a field, and with it an entry if the last one is complete."""
    if not keyword.startswith("msgstr"):
        if entries[-1].translations:
            entries.append(_Entry())
    elif not entries[-1].translations:
        entries[-1].tgt = (number, number)
    if entries[-1].first < 0:
        entries[-1].first = number
