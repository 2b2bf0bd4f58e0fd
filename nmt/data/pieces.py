"""The text of pieces, and the words of a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

SPACE = "\u2581"  # stands for a space in SentencePiece
_UNKNOWN = "\ufffd"  # a byte of a character that is not ASCII
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def text_of(piece: str) -> str:
    """Return the text that a piece stands for."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        byte = int(piece[3:5], 16)
        return chr(byte) if byte < 128 else _UNKNOWN
    return piece.replace(SPACE, " ")


def is_in_word(character: str) -> bool:
    """Return whether a character may be inside a word."""
    is_mark = unicodedata.category(character).startswith("M")
    return character.isalnum() or is_mark or character == _UNKNOWN


def begins_anywhere(character: str) -> bool:
    """Return whether a phrase with this first character may begin after any other."""
    in_word = is_in_word(character)
    return not in_word or unicodedata.name(character, "").startswith(_WITHOUT_SPACES)


def words_of(text: str) -> Iterator[tuple[str, int]]:
    """Yield the words of a text, and other characters but white space, each with its offset.

    In scripts without spaces, each character is a word.
    """
    start = 0
    while start < len(text):
        end = start + 1
        if not begins_anywhere(text[start]):
            while end < len(text) and not begins_anywhere(text[end]):
                end += 1
        if not text[start].isspace():
            yield text[start:end], start
        start = end
