"""Token sequences that spell banned words and phrases."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from nmt.data.tokenizer import Tokenizer

_SPACE = "\u2581"  # stands for a space in SentencePiece
# No vocabulary has it: what follows it is divided as inside a word.
_ELSEWHERE = "\ue000"
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def banned_sequences(tokenizer: Tokenizer, phrases: Iterable[str]) -> list[list[int]]:
    """Return the sequences of target tokens that no translation may contain.

    A phrase is banned where it begins a word: as the tokenizer divides it after a space, and as it
    divides it directly after a token that ends in punctuation, as in `(cat`. Where writing has no
    spaces, or the phrase begins with punctuation, it is banned after any token. Its end is where
    its last token ends, whatever follows: if `category` is divided into `cat` and `egory`, that is
    banned with `cat`, but not if it is a single token. Case matters. Other ways to divide the same
    letters are not banned.

    Args:
        tokenizer: of the target side.
        phrases: words or phrases. Those with characters that the vocabulary lacks cannot be
            written in any case.
    """
    found: list[list[int]] = []
    for phrase in phrases:
        inside = [each.id for each in tokenizer.tokens(_ELSEWHERE + phrase) if each.start > 0]
        found += tokenizer.encode([phrase])
        if not inside:
            continue
        if _begins_anywhere(phrase):
            found.append(inside)
        else:
            found += ([edge, *inside] for edge in _edges(tokenizer))
    distinct = dict.fromkeys(map(tuple, found))
    return [[*row] for row in distinct if row and tokenizer.unk_id not in row]


def _begins_anywhere(phrase: str) -> bool:
    """Return whether a phrase may begin after any character."""
    first = phrase[0]
    return not first.isalnum() or unicodedata.name(first, "").startswith(_WITHOUT_SPACES)


def _edges(tokenizer: Tokenizer) -> list[int]:
    """Return the tokens after which a word may begin without a space."""
    special = {*tokenizer.special_ids, *tokenizer.control_symbols.values()}
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    return [
        token
        for token, piece in enumerate(pieces)
        if token not in special and piece and not _is_of_word(piece)
    ]


def _is_of_word(piece: str) -> bool:
    """Return whether the last character of a piece may be inside a word."""
    last = piece[-1]
    is_byte = piece.startswith("<0x") and piece.endswith(">")
    return is_byte or last.isalnum() or unicodedata.category(last).startswith("M")
