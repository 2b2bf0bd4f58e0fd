"""Validation text as it is, for translating it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from nmt.config.corpora import AnyCorpus
from nmt.config.languages import LanguagePair
from nmt.config.schema import Config
from nmt.data.corpus import read_pairs


class ValidationText(NamedTuple):
    """Sentence pairs."""

    sources: list[str]
    references: list[str]
    languages: list[LanguagePair]
    """Those of each pair."""
    contexts: list[tuple[str, ...]]
    """The previous source sentences of each, with `data.context`."""


def read_validation_text(config: Config, corpora: Sequence[AnyCorpus]) -> ValidationText:
    """Return the first `train.valid_sentences` pairs of corpora of `data.valid`.

    Raises:
        DataError, FileError: if they cannot be read.
    """
    read = (
        (pair, config.data.pair_of(corpus))
        for corpus in corpora
        for pair in read_pairs(corpus, config.data)
    )
    sample = list(islice(read, config.train.valid_sentences))
    return ValidationText(
        [pair.src for pair, _ in sample],
        [pair.tgt for pair, _ in sample],
        [languages for _, languages in sample],
        [pair.context for pair, _ in sample],
    )
