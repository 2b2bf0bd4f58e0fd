"""Fields of SentencePiece model files and encoded texts that its API does not expose.

Both are protobuf messages (`sentencepiece_model.proto` and `sentencepiece.proto`). SentencePiece
does not depend on the protobuf library, so the few fields needed are parsed and written here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

_PIECES, _TRAINER_SPEC, _NORMALIZER_SPEC = 1, 2, 3
_PIECE_TAG = _PIECES << 3 | 2
_TEXT, _SCORE, _KIND = 1, 2, 3
_MODEL_TYPE, _VOCAB_SIZE, _BYTE_FALLBACK = 3, 4, 35
_UNK_ID, _UNK_PIECE = 40, 45  # of the unknown token; BOS, EOS and padding follow
_VARINT, _BYTES = 0, 2
_TEXT_PIECES = 2
_ID, _BEGIN, _END = 2, 4, 5


class ModelType(IntEnum):
    """The segmentation algorithm."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


class PieceKind(IntEnum):
    """The type of a piece."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Piece(NamedTuple):
    """A piece of the vocabulary; its index in the file is its id."""

    text: str
    score: float
    kind: PieceKind


class ModelFile(NamedTuple):
    """The pieces of a model and the settings that affect segmentation."""

    pieces: list[Piece]
    type: ModelType
    byte_fallback: bool


def check_complete(model: bytes) -> None:
    """Check that a serialized model is not truncated.

    A model truncated between two pieces is valid protobuf, and SentencePiece would load it.

    Raises:
        ValueError: if it is truncated, or not a model.
    """
    place = 0
    # Skip the many pieces, which come first and are nearly all shorter than 128 bytes.
    while place + 1 < len(model) and model[place] == _PIECE_TAG and model[place + 1] < 0x80:
        place += 2 + model[place + 1]
    if not {number for number, _ in _fields(model[place:])} >= {_TRAINER_SPEC, _NORMALIZER_SPEC}:
        raise ValueError("truncated")


def parse(model: bytes) -> ModelFile:
    """Parse a serialized model.

    Raises:
        ValueError: if it is not a model or is truncated.
    """
    pieces: list[Piece] = []
    trainer_spec: dict[int, int | bytes] = {}
    for number, value in _fields(model):
        if number == _PIECES:
            pieces.append(_piece(_bytes(value)))
        elif number == _TRAINER_SPEC:
            trainer_spec.update(_fields(_bytes(value)))
    return ModelFile(
        pieces,
        ModelType(int(trainer_spec.get(_MODEL_TYPE, ModelType.UNIGRAM))),
        bool(trainer_spec.get(_BYTE_FALLBACK, 0)),
    )


def with_pieces(model: bytes, pieces: Sequence[Piece]) -> bytes:
    """Return a serialized model with more pieces, whose ids follow those it has.

    Raises:
        ValueError: if it is not a model or is truncated.
    """
    fields = [(number, _bytes(value)) for number, value in _fields(model)]
    old = [field for field in fields if field[0] == _PIECES]
    others = [field for field in fields if field[0] != _PIECES]
    new = [(_PIECES, _packed_piece(piece)) for piece in pieces]
    # All pieces come first, as `check_complete` expects.
    return b"".join(_field(number, value) for number, value in (*old, *new, *others))


def replace_pieces(model: bytes, pieces: Sequence[Piece], special: Sequence[str]) -> bytes:
    """Return a serialized model with other pieces; normalisation and algorithm stay.

    Args:
        model: the serialized model.
        pieces: all pieces, in the order of their ids.
        special: text of the unknown token, BOS, EOS and padding, all of them among the pieces.

    Raises:
        ValueError: if the model is not one, or is truncated.
    """
    # Of a field that occurs twice, the last counts.
    settings = [_number(_VOCAB_SIZE, len(pieces))]
    ids = {piece.text: number for number, piece in enumerate(pieces)}
    for offset, text in enumerate(special):
        settings += [_number(_UNK_ID + offset, ids[text]), _text(_UNK_PIECE + offset, text)]
    parts = [_field(_PIECES, _packed_piece(piece)) for piece in pieces]
    for number, value in _fields(model):
        if number == _TRAINER_SPEC:
            value = b"".join([_bytes(value), *settings])
        if number != _PIECES:
            parts.append(_field(number, _bytes(value)))
    return b"".join(parts)


class TextPiece(NamedTuple):
    """A piece of an encoded text, and the span of bytes that it covers in the text."""

    id: int
    begin: int
    end: int


def parse_text(message: bytes) -> list[TextPiece]:
    """Return the pieces in a `SentencePieceText` message."""
    pieces = (dict(_fields(_bytes(v))) for number, v in _fields(message) if number == _TEXT_PIECES)
    return [
        TextPiece(*(int(fields.get(name, 0)) for name in (_ID, _BEGIN, _END))) for fields in pieces
    ]


def _piece(data: bytes) -> Piece:
    values = dict(_fields(data))
    try:
        [score] = struct.unpack("<f", _bytes(values.get(_SCORE, bytes(4))))
        text = _bytes(values[_TEXT]).decode("utf-8")
    except (KeyError, struct.error) as error:
        raise ValueError("a piece without text or score") from error
    return Piece(text, score, PieceKind(int(values.get(_KIND, PieceKind.NORMAL))))


def _packed_piece(piece: Piece) -> bytes:
    score = _packed_varint(_SCORE << 3 | 5) + struct.pack("<f", piece.score)
    return _text(_TEXT, piece.text) + score + _number(_KIND, piece.kind)


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode("utf-8"))


def _field(number: int, value: bytes) -> bytes:
    return _packed_varint(number << 3 | _BYTES) + _packed_varint(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _packed_varint(number << 3 | _VARINT) + _packed_varint(value)


def _packed_varint(value: int) -> bytes:
    packed = bytearray()
    while value >= 0x80:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*packed, value])


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number instead of bytes")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and value of each field of a protobuf message."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        wire_type = tag & 7
        if wire_type == 0:
            number, place = _varint(data, place)
            yield tag >> 3, number
            continue
        if wire_type == 2:
            length, place = _varint(data, place)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire_type}")
        if place + length > len(data):
            raise ValueError("truncated")
        yield tag >> 3, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("truncated")
