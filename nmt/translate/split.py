"""Preparing input: windows of lines, and splitting lines that are too long."""

from __future__ import annotations

import itertools
import queue
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from nmt.data.tokenizer import Token, Tokenizer
from nmt.translate.sentences import sentence_starts

T = TypeVar("T", bound=Sized)

_QUEUE_LINES = 1024
# A program that writes at full speed (cat, a decompressor) delivers its next line sooner than this.
_GRACE_SECONDS = 0.0002

# Where a sentence that is too long may be split: after clauses, words. Each pattern looks back one
# or two characters only, so that a megabyte of commas does not take quadratic time.
_BOUNDARIES = [
    re.compile(r"(?<=[,;:–—…!?])\s+|(?<=\.\.)\s+|(?<=[，、；：])\s*"),  # noqa: RUF001
    re.compile(r"\s+"),
]


def full_windows(lines: Iterable[T], size: int) -> Iterator[list[T]]:
    """Group lines into windows of at least `size` characters."""
    window: list[T] = []
    room = size
    for line in lines:
        window.append(line)
        room -= len(line) + 1
        if room <= 0:
            yield window
            window, room = [], size
    if window:
        yield window


class _EndOfInput:
    """The last item that the reading thread puts into the queue."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prompt_windows(lines: Iterable[T], size: int) -> Iterator[list[T]]:
    """Group the lines that have arrived so far, at most about `size` characters per window.

    A background thread reads the lines. If the consumer stops early, the thread blocks forever,
    but it does not keep the process from exiting.
    """
    arrived: queue.Queue[T | _EndOfInput] = queue.Queue(_QUEUE_LINES)

    def read() -> None:
        # If the process exits while this thread waits for a line, Python closes sys.stdin, cannot
        # take the lock that this thread holds, and aborts. A reference keeps stdin open.
        _held = sys.stdin
        try:
            for line in lines:
                arrived.put(line)
            arrived.put(_EndOfInput())
        except BaseException as error:  # raised in the consumer
            arrived.put(_EndOfInput(error))

    threading.Thread(target=read, daemon=True).start()
    end: _EndOfInput | None = None
    while end is None:
        window: list[T] = []
        room = size
        while room > 0 and end is None:
            try:
                item = arrived.get(timeout=_GRACE_SECONDS if window else None)
            except queue.Empty:
                break
            if isinstance(item, _EndOfInput):
                end = item
            else:
                window.append(item)
                room -= len(item) + 1
        if window:
            yield window
    if end.error is not None:
        raise end.error


def split_line(
    text: str, tokenizer: Tokenizer, limit: int, lang: str, *, each_sentence: bool = False
) -> list[list[Token]]:
    """Split a text into parts of at most `limit` tokens.

    Each part holds as many sentences as fit. A sentence that is too long by itself is split
    after clauses in the same way, a clause after words, and a word after `limit` tokens.

    Args:
        text: the text.
        tokenizer: the tokenizer of its language.
        limit: maximum tokens per part, EOS excluded.
        lang: code of the language.
        each_sentence: make every sentence a separate part.

    Returns:
        The tokens of each part, with their offsets in the whole text.
    """
    starts = [0, *(sentence_starts(text, lang) if each_sentence else [])]
    return [
        part
        for start, end in itertools.pairwise([*starts, len(text)])
        for part in _split(text[start:end], start, tokenizer, limit, lang)
        if part
    ]


def _split(
    text: str, offset: int, tokenizer: Tokenizer, limit: int, lang: str, level: int = 0
) -> Iterator[list[Token]]:
    """Split a text that starts at `offset` in a longer one: at sentences, then `_BOUNDARIES`."""
    if level > len(_BOUNDARIES):
        tokens = _tokens_at(text, offset, tokenizer)
        yield from (tokens[start : start + limit] for start in range(0, len(tokens), limit))
        return
    inner = (
        (match.end() for match in _BOUNDARIES[level - 1].finditer(text))
        if level
        else sentence_starts(text, lang)
    )
    cuts = [0, *inner, len(text)]
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
        part_offset = offset + start + len(whole) - len(part)
        if len(ids) <= limit:
            yield _tokens_at(part, part_offset, tokenizer)
        else:
            yield from _split(part, part_offset, tokenizer, limit, lang, level + 1)


def _tokens_at(text: str, offset: int, tokenizer: Tokenizer) -> list[Token]:
    """Return the tokens of a text that starts at `offset` in a longer one."""
    tokens = tokenizer.tokens(text)
    return [Token(token.id, offset + token.start, offset + token.end) for token in tokens]
