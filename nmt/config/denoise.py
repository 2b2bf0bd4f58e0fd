"""Denoising pretraining: its section, and what it cannot be combined with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from nmt.config.corpora import Corpus, TextCorpus
from nmt.config.languages import LanguagePair
from nmt.config.section import Section
from nmt.config.validation import is_loss

MASK = "<mask>"
"""The symbol that stands for a span of tokens."""


class DenoiseConfig(Section):
    """Replace spans of tokens of the source by one symbol each, others in each epoch (text
    infilling, Lewis et al. 2020).
    """

    rate: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.35
    """Fraction of the tokens that spans replace, as in mBART (Liu et al. 2020)."""
    span: Annotated[float, Field(ge=1.0, le=100.0)] = 3.0
    """Mean length of a span in tokens, Poisson distributed. A span of length 0 inserts a symbol."""


def translation_conflicts(parts: Mapping[str, Sequence[Corpus]]) -> Iterator[str]:
    """Yield a message for each part of the data that `objective: translate` cannot use."""
    for key, corpora in parts.items():
        if any(isinstance(corpus, TextCorpus) for corpus in corpora):
            yield (
                f"{key} has text without translations, {{text: FILE, lang: CODE}}, which "
                "train.objective: denoise is for"
            )


def denoising_conflicts(
    parts: Mapping[str, Iterable[LanguagePair]],
    *,
    joint: bool,
    symbols: Sequence[str],
    metric: str,
    for_translation: Mapping[str, Section | int | None],
) -> Iterator[str]:
    """Yield a message for each setting that does not go with `objective: denoise`.

    Args:
        parts: the languages of the corpora of each part of the data.
        joint: `tokenizer.joint`.
        symbols: `tokenizer.user_defined_symbols`.
        metric: `train.metric`.
        for_translation: settings by their keys that must not be there.
    """
    for key, pairs in parts.items():
        if parallel := next((pair for pair in pairs if pair.src != pair.tgt), None):
            yield (
                f"{key} has pairs in {parallel}, but train.objective: denoise needs text in one "
                "language, as in {text: FILE, lang: CODE}"
            )
    if not joint:
        yield "train.objective: denoise needs tokenizer.joint: true: both sides have the same text"
    if MASK in symbols:
        yield f"train.objective: denoise adds {MASK}: remove it from tokenizer.user_defined_symbols"
    if not is_loss(metric):
        yield f"train.metric {metric}: train.objective: denoise can only be judged by loss"
    for key, setting in for_translation.items():
        if setting is not None:
            yield f"{key} is for translation: it cannot be combined with train.objective: denoise"
