"""Translations that are the same as their sources."""

from __future__ import annotations

from nmt.documents.document import Translatable
from nmt.translate.words import Links, word_spans


def diagonal(texts: list[str]) -> list[Links]:
    """Return the alignment of each text with itself."""
    return [[(number, number) for number in range(len(word_spans(text)))] for text in texts]


def copied(document: Translatable) -> bytes:
    """Return a document whose translations are the same as their sources."""
    return document.write(document.segments, diagonal(document.segments))


def shouted(document: Translatable) -> bytes:
    """Return a document translated into capitals."""
    capitals = [text.upper() for text in document.segments]
    return document.write(capitals, diagonal(document.segments))
