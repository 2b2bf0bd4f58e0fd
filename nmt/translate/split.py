"""Splitting lines that are too long."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from nmt.data.tokenizer import Token, Tokenizer
from nmt.translate.sentences import sentence_starts

# Where a sentence that is too long may be split: after clauses, then words. Each pattern looks back
# one or two characters only, so that a megabyte of commas does not take quadratic time.
_BOUNDARIES = [
    re.compile(r"(?<=[,;:–—…!?])\s+|(?<=\.\.)\s+|(?<=[，、；：])\s*"),  # noqa: RUF001
    re.compile(r"\s+"),
]


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
