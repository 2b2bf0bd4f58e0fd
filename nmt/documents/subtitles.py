"""Subtitles, SubRip and WebVTT, as segments, which are sentences over one cue or several."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nmt.documents.cues import divided, wrapped
from nmt.documents.formats import decoded
from nmt.documents.inline import Piece, Text, raw_of, text_of, trimmed
from nmt.documents.markup import escape_html, html_text
from nmt.documents.projection import project
from nmt.documents.tagged import tagged
from nmt.errors import DataError
from nmt.translate.words import Links

_LINE = re.compile(r"[^\n]*(?:\n|\Z)")
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}(?:[ \t].*)?\r?\n?")
_CUE_END = re.compile(
    r"\r?\n[ \t]*\r?(?:\n|\Z)|\r?\n?\Z"
    # Files that were edited by hand may lack the blank line before the next cue.
    rf"|\r?\n(?=(?:[ \t]*\d+[ \t]*\r?\n)?{_TIMES.pattern}(?:(?<=\n)|\Z))"
)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")
_DIALOGUE = re.compile(r"((?:<[^<>]*>|\{\\[^{}]*\})*[-–—][ \t]*)(?=\S)")  # noqa: RUF001
_SENTENCE_END = re.compile(r"[.!?…。！？｡؟۔।॥។៕။:♪*][\"'”’»)\]」』）］｣]*$")  # noqa: RUF001
_MAX_JOINED = 6
_MAX_PAUSE = 3.0
"""Seconds between two cues of a sentence."""


@dataclass
class _Cue:
    """A cue, or a line of a dialogue."""

    before: str
    core: list[Piece]
    after: str
    line_end: str
    times: tuple[float, float]
    is_dialogue: bool

    @property
    def text(self) -> str:
        return text_of(self.core)


@dataclass
class Subtitles:
    """Subtitles, in pieces.

    Attributes:
        escape: applied to words of translations.
        segments: sentences, and parts of them if they go over many cues.
        has_markup: whether there are tags inside of sentences.
    """

    escape: Callable[[str], str]
    segments: list[str] = field(default_factory=list)
    has_markup: bool = False
    _parts: list[str | _Cue] = field(default_factory=list)
    _groups: list[list[_Cue]] = field(default_factory=list)

    def keep(self, text: str) -> None:
        """Add what is not translated."""
        self._parts.append(text)

    def add(self, raw: str, times: tuple[float, float]) -> None:
        """Add the text of a cue."""
        lines = raw.split("\n")
        is_dialogue = len(lines) > 1 and all(map(_DIALOGUE.match, lines))
        line_end = "\r\n" if "\r\n" in raw else "\n"
        for number, part in enumerate(lines if is_dialogue else [raw]):
            if number:
                self.keep("\n")
            dash = _DIALOGUE.match(part) if is_dialogue else None
            text = part[dash.end() :] if dash else part
            pieces = tagged(text, _TAG, lambda each: [*html_text(each)])
            before, core, after = trimmed(pieces)
            start = (dash[0] if dash else "") + raw_of(before)
            cue = _Cue(start, core, raw_of(after), line_end, times, is_dialogue)
            self._parts.append(cue)
            if core:
                self._group(cue)

    def _group(self, cue: _Cue) -> None:
        group = self._groups[-1] if self._groups else []
        if group and _continues(group, cue):
            group.append(cue)
            self.segments[-1] += f" {cue.text}"
        else:
            self._groups.append([cue])
            self.segments.append(cue.text)
        self.has_markup |= cue.core != [Text(cue.text, cue.text)]

    def write(self, translations: Sequence[str], links: Sequence[Links] = ()) -> bytes:
        """Return the translated subtitles, with the same times."""
        done: dict[int, str] = {}
        for place, (group, translation) in enumerate(zip(self._groups, translations, strict=True)):
            own = links[place] if links else []
            for cue, text in zip(group, self._texts(group, translation, own), strict=True):
                done[id(cue)] = text
        parts = (
            part if isinstance(part, str) else f"{part.before}{done.get(id(part), '')}{part.after}"
            for part in self._parts
        )
        return "".join(parts).encode("utf-8")

    def _texts(self, group: list[_Cue], translation: str, links: Links) -> Iterator[str]:
        """Yield the texts of the cues of a sentence."""
        source = list(group[0].core)
        for cue in group[1:]:
            source += [Text(" ", " "), *cue.core]
        pieces = project(source, translation, links, self.escape)
        parts = divided(pieces, [len(cue.text) for cue in group])
        is_same = translation == text_of(source)
        for cue, part in zip(group, parts, strict=True):
            yield raw_of(part) if is_same else wrapped(part, cue.line_end)


def _continues(group: Sequence[_Cue], cue: _Cue) -> bool:
    """Return whether a cue continues the sentence of those before it."""
    last = group[-1]
    if last.is_dialogue or cue.is_dialogue or _SENTENCE_END.search(last.text):
        return False
    return len(group) < _MAX_JOINED and cue.times[0] - last.times[1] <= _MAX_PAUSE


def read_srt(content: bytes, name: str) -> Subtitles:
    """Return the SubRip subtitles of a file.

    Raises:
        DataError: if a line of times is damaged, there is none, or the file is not UTF-8.
    """
    text = decoded(content, name)
    if text.strip() and "-->" not in text:
        raise DataError(f"{name}:1: no subtitles: no line has the times of a cue, with -->")
    return _read(text, name, Subtitles(str))


def read_vtt(content: bytes, name: str) -> Subtitles:
    """Return the WebVTT subtitles of a file.

    Raises:
        DataError: if a line of times is damaged, the file is not UTF-8, or does not begin with
            WEBVTT.
    """
    text = decoded(content, name)
    if not re.match(r"\ufeff?WEBVTT(?:\s|\Z)", text):
        raise DataError(f"{name}:1: no WebVTT: the first line must begin with WEBVTT")
    return _read(text, name, Subtitles(escape_html))


def _read(text: str, name: str, subtitles: Subtitles) -> Subtitles:
    place, number = 0, 1
    while place < len(text):
        line = _LINE.match(text, place)
        assert line  # it matches everything
        subtitles.keep(line[0])
        place, number = line.end(), number + 1
        if "-->" not in line[0]:
            continue
        if not (times := _TIMES.fullmatch(line[0])):
            raise DataError(f"{name}:{number - 1}: not the times of a cue: {line[0].strip():.60}")
        end = _cue_end(text, place)
        raw = text[place:end]
        subtitles.add(raw, (_seconds(times.groups()[:4]), _seconds(times.groups()[4:])))
        place, number = end, number + raw.count("\n")
    return subtitles


def _cue_end(text: str, start: int) -> int:
    """Return where the text of a cue ends, without its last line end."""
    end = _CUE_END.search(text, max(0, start - 1))
    return max(start, end.start()) if end else len(text)


def _seconds(groups: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = groups
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(f"{seconds}.{fraction}")
