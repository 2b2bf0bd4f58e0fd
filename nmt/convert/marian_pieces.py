"""The SentencePiece models of Marian models: pieces in the order of the vocabulary.

Marian segments text with a SentencePiece model per side and then looks up the pieces in a
vocabulary, which has its own order and may be that of both sides. In nmt, the ids are those of the
SentencePiece model, so one is written whose pieces are those of the vocabulary. Text is segmented
as before: it keeps the scores, and pieces of the other side are marked as unused. The exceptions
are characters that only the other side knows: Marian looks these up in the vocabulary, too, so they
are pieces here.
"""

from __future__ import annotations

from typing import NamedTuple

from nmt.convert.marian import Side, Special
from nmt.data.model_file import Piece, PieceKind, parse, replace_pieces
from nmt.data.pieces import SPACE

_FIXED = {PieceKind.CONTROL, PieceKind.UNKNOWN}


class Pieces(NamedTuple):
    """A SentencePiece model for nmt.

    Attributes:
        model: the serialized model.
        added: number of pieces that the vocabulary lacks, without BOS.
    """

    model: bytes
    added: int


def is_language_code(text: str) -> bool:
    """Return whether a piece names a language, as `>>de<<` does in models of many languages."""
    return text.startswith(">>") and text.endswith("<<")


def as_in_text(code: str) -> str:
    """Return a language code as the piece at the start of a line, which begins with a space."""
    return SPACE + code


def as_in_vocabulary(piece: str) -> str:
    """Undo `as_in_text`; other pieces stay the same."""
    code = piece.removeprefix(SPACE)
    return code if is_language_code(code) else piece


def with_vocabulary(side: Side, special: Special, start: str | None, *, reads: bool) -> Pieces:
    """Return a SentencePiece model with the pieces of a vocabulary in its order.

    Pieces of the old model that the vocabulary lacks follow, and BOS at the end.

    Args:
        side: the old model and the vocabulary.
        special: texts of the special pieces, all in the vocabulary.
        start: the piece that is BOS, if the vocabulary has it; otherwise one is added.
        reads: whether this is the source side, where a language code at the start of a line is a
            piece.

    Raises:
        ValueError: if the old model is not a SentencePiece model.
    """
    old = parse(side.spm)
    known = {piece.text: piece for piece in old.pieces if piece.kind not in _FIXED}
    # BPE merges unused pieces, too, and divides them again: that must come after all other merges.
    lowest = min((piece.score for piece in known.values()), default=0.0) - 1.0
    bos = start if start and start in side.pieces else _new_name(side.pieces)
    characters = set("".join(known))
    control = {bos, special.eos, special.pad}
    control |= {piece.text for piece in old.pieces if piece.kind is PieceKind.CONTROL}

    def piece(number: int, text: str) -> Piece:
        if not text:
            return Piece(f"<unnamed-{number}>", lowest, PieceKind.UNUSED)
        if text in control:
            return Piece(text, 0.0, PieceKind.CONTROL)
        if text == special.unk:
            return Piece(text, 0.0, PieceKind.UNKNOWN)
        if reads and is_language_code(text) and text not in known:
            return Piece(as_in_text(text), 0.0, PieceKind.USER_DEFINED)
        if text in known:
            return known[text]
        is_new = len(text) == 1 and text not in characters
        return Piece(text, lowest, PieceKind.USER_DEFINED if is_new else PieceKind.UNUSED)

    pieces = [piece(number, text) for number, text in enumerate(side.pieces)]
    texts = {each.text for each in pieces} | {*side.pieces}
    added = [each for each in known.values() if each.text not in texts]
    last = [] if bos in side.pieces else [Piece(bos, 0.0, PieceKind.CONTROL)]
    order = (special.unk, bos, special.eos, special.pad)
    return Pieces(replace_pieces(side.spm, [*pieces, *added, *last], order), len(added))


def _new_name(pieces: list[str]) -> str:
    """Return a name for BOS that no piece has."""
    name = "<s>"
    while name in pieces:
        name = f"<{name}>"
    return name
