"""What SentencePiece's messages hold, as far as its own API does not tell.

A model file and an encoded text are protobuf (`sentencepiece_model.proto` and
`sentencepiece.proto` of SentencePiece); the few fields needed are read here, since the protobuf
library is no requirement of SentencePiece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

_PIECES, _TRAINER_SPEC, _NORMALIZER_SPEC = 1, 2, 3
_TEXT, _SCORE, _KIND = 1, 2, 3
_MODEL_TYPE, _BYTE_FALLBACK = 3, 35
_TEXT_PIECES = 2
_ID, _BEGIN, _END = 2, 4, 5


class ModelType(IntEnum):
    """How text is cut into pieces."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


class PieceKind(IntEnum):
    """What a piece stands for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Piece(NamedTuple):
    """A piece of the vocabulary; its place in the file is its id."""

    text: str
    score: float
    kind: PieceKind


class ModelFile(NamedTuple):
    """The pieces of a model and how they are used."""

    pieces: list[Piece]
    type: ModelType
    byte_fallback: bool


def parse(model: bytes) -> ModelFile:
    """Read the pieces and the type of a serialised model.

    Raises:
        ValueError: it is no such model, or a part is missing: one that is cut off between two
            pieces is still valid protobuf, and SentencePiece loads it.
    """
    pieces: list[Piece] = []
    trainer_spec: dict[int, int | bytes] = {}
    parts: set[int] = set()
    for number, value in _fields(model):
        parts.add(number)
        if number == _PIECES:
            pieces.append(_piece(_bytes(value)))
        elif number == _TRAINER_SPEC:
            trainer_spec.update(_fields(_bytes(value)))
    if not parts >= {_PIECES, _TRAINER_SPEC, _NORMALIZER_SPEC}:
        raise ValueError("cut short")
    return ModelFile(
        pieces,
        ModelType(int(trainer_spec.get(_MODEL_TYPE, ModelType.UNIGRAM))),
        bool(trainer_spec.get(_BYTE_FALLBACK, 0)),
    )


class TextPiece(NamedTuple):
    """A piece of an encoded text, and the bytes of the text, from begin to end, that it covers."""

    id: int
    begin: int
    end: int


def parse_text(message: bytes) -> list[TextPiece]:
    """Read the pieces of an encoded or a decoded text (`SentencePieceText`)."""
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
        raise ValueError("a piece without a text or a score") from error
    return Piece(text, score, PieceKind(int(values.get(_KIND, PieceKind.NORMAL))))


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes should be")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Iterate over the numbers and values of the fields of a protobuf message."""
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
            raise ValueError("cut short")
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
    raise ValueError("cut short")
