"""Lines on their way in: windows of them, and the division of those that are too long."""

from __future__ import annotations

import itertools
import queue
import re
import sys
import threading
from collections.abc import Iterable, Iterator

from nmt.data.tokenizer import Token, Tokenizer

_LINES_WAITING = 1024
# A writer that is busy (cat, a decompressor) has its next line there sooner than this.
_GRACE_SECONDS = 0.01

# Where too long a line may be divided: after sentences, clauses, words. Each match looks back one
# character only, so that a megabyte of full stops does not take quadratic time.
_ENDS = [
    re.compile(r"""(?<=[.!?…])["'”’»)\]]*\s+|(?<=[。！？])[”’」』）]*\s*"""),  # noqa: RUF001
    re.compile(r"(?<=[,;:–—])\s+|(?<=[，、；：])\s*"),  # noqa: RUF001
    re.compile(r"\s+"),
]

# What a full stop belongs to without ending a sentence: "J.", "Mr.", "3." (as in "am 3. Mai").
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'„“‘«-])"  # noqa: RUF001
    r"(?:[^\W\d_]|\d{1,2}|Mr|Mrs|Ms|Dr|Prof|St|No|Nr|vs|Jr|Sr|bzw|ca|[eEzZuUdD]\.\s?[a-zA-Z])\.$"
)
_LONGEST_ABBREVIATION = 8


def full_windows(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Group lines into windows of at least `size` characters."""
    window: list[str] = []
    room = size
    for line in lines:
        window.append(line)
        room -= len(line) + 1
        if room <= 0:
            yield window
            window, room = [], size
    if window:
        yield window


class _End:
    """What the reading thread puts last."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prompt_windows(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Group the lines that are there already, at most about `size` characters of them.

    A background thread reads; it waits for good if the consumer stops early, which does not
    keep the process from ending.
    """
    waiting: queue.Queue[str | _End] = queue.Queue(_LINES_WAITING)

    def read() -> None:
        # If the process ends while this thread waits for a line, Python closes sys.stdin, cannot
        # take the lock that this thread holds, and aborts; unless something still refers to it.
        _held = sys.stdin
        try:
            for line in lines:
                waiting.put(line)
            waiting.put(_End())
        except BaseException as error:  # whatever it is, it belongs to the consumer
            waiting.put(_End(error))

    threading.Thread(target=read, daemon=True).start()
    end: _End | None = None
    while end is None:
        window: list[str] = []
        room = size
        while room > 0 and end is None:
            try:
                item = waiting.get(timeout=_GRACE_SECONDS if window else None)
            except queue.Empty:
                break
            if isinstance(item, _End):
                end = item
            else:
                window.append(item)
                room -= len(item) + 1
        if window:
            yield window
    if end.error is not None:
        raise end.error


def sentence_starts(text: str) -> list[int]:
    """Find where the sentences of a text begin, the first one left out.

    A full stop after an initial, a title, or a number of one or two digits ends no sentence, nor
    does one before a lower-case letter, unless the whole text is in lower case.
    """
    has_case = text != text.lower()
    starts = []
    for match in _ENDS[0].finditer(text):
        start = match.end()
        before = text[max(0, match.start() - _LONGEST_ABBREVIATION) : match.start()]
        is_inside = has_case and text[start : start + 1].islower()
        if start < len(text) and not is_inside and not _ABBREVIATION.search(before):
            starts.append(start)
    return starts


def split_line(
    text: str, tokenizer: Tokenizer, limit: int, *, each_sentence: bool = False
) -> list[list[Token]]:
    """Divide a text into parts of at most `limit` tokens.

    As many sentences as fit make a part. A sentence that alone is too long is divided after
    clauses in the same way, a clause after words, a word after so many tokens.

    Args:
        text: the text.
        tokenizer: of its language.
        limit: tokens, EOS not counted.
        each_sentence: make every sentence a part of its own.

    Returns:
        The tokens of the parts, with their places in the whole text.
    """
    starts = [0, *(sentence_starts(text) if each_sentence else [])]
    return [
        part
        for start, end in itertools.pairwise([*starts, len(text)])
        for part in _split(text[start:end], start, tokenizer, limit, 0)
        if part
    ]


def _split(
    text: str, place: int, tokenizer: Tokenizer, limit: int, level: int
) -> Iterator[list[Token]]:
    """Divide a text that stands at a place in a longer one, at the ends of a level."""
    if level == len(_ENDS):
        tokens = _placed(text, place, tokenizer)
        yield from (tokens[start : start + limit] for start in range(0, len(tokens), limit))
        return
    cuts = [0, *(match.end() for match in _ENDS[level].finditer(text)), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(cuts)]
    starts, room = [0], limit
    for start, ids in zip(cuts[:-1], tokenizer.encode(pieces), strict=True):
        if len(ids) > room and starts[-1] < start:
            starts.append(start)
            room = limit
        room -= len(ids)
    packed = [text[start:end].rstrip() for start, end in itertools.pairwise([*starts, len(text)])]
    parts = [part.lstrip() for part in packed]
    for start, whole, part, ids in zip(starts, packed, parts, tokenizer.encode(parts), strict=True):
        at = place + start + len(whole) - len(part)
        if len(ids) <= limit:
            yield _placed(part, at, tokenizer)
        else:
            yield from _split(part, at, tokenizer, limit, level + 1)


def _placed(text: str, place: int, tokenizer: Tokenizer) -> list[Token]:
    tokens = tokenizer.tokens(text)
    return [Token(token.id, place + token.start, place + token.end) for token in tokens]
