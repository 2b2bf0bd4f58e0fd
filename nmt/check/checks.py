"""The checks that need no training step; `nmt check` and `nmt train` both run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from nmt.check import settings, text
from nmt.check.finding import Finding
from nmt.check.subject import Subject
from nmt.config.schema import Config
from nmt.data.prepared import Prepared
from nmt.data.tokenizer import Tokenizers

CHECKS: list[Callable[[Subject], Iterator[Finding]]] = [
    text.swapped_sides,
    text.other_styles,
    settings.same_language,
    settings.untold_languages,
    settings.unreached_vocabulary,
    settings.unused_pieces,
    settings.parameters,
    settings.epochs,
    settings.warm_up,
]
_OF_ALL_TEXT = (settings.unused_pieces, settings.parameters, settings.epochs)
"""Checks that the beginning of a stream cannot answer."""
_OF_A_NEW_MODEL = (settings.unreached_vocabulary, settings.unused_pieces, settings.parameters)
"""Checks of what `train.init_from` has decided."""
_OF_TRANSLATION = (text.swapped_sides, settings.same_language, settings.untold_languages)
"""Checks of pairs of languages, which `train.objective: denoise` does not have."""


def findings(subject: Subject) -> list[Finding]:
    """Run all checks that apply, and return their findings."""
    config = subject.config
    skipped = {
        *(_OF_ALL_TEXT if config.data.streaming else ()),
        *(_OF_A_NEW_MODEL if config.train.init_from else ()),
        *(_OF_TRANSLATION if config.train.objective == "denoise" else ()),
    }
    return [finding for check in CHECKS if check not in skipped for finding in check(subject)]


def before_training(
    config: Config, tokenizers: Tokenizers, parts: Mapping[str, Prepared]
) -> list[str]:
    """Return the findings that `nmt train` prints before it starts, one line each.

    Args:
        config: configuration of the run.
        tokenizers: of both sides.
        parts: `train`, and `valid` (or `valid.NAME` for each named set) if configured.
    """
    subject = Subject(config, tokenizers, parts)
    return [f"{one.severity}: {one.about}: {one.message}" for one in findings(subject)]
