"""The checks that need no step of training: `nmt check` and `nmt train` both make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from nmt.check import settings, text
from nmt.check.finding import Finding
from nmt.check.subject import Subject
from nmt.config.schema import Config
from nmt.data.prepare import Prepared
from nmt.data.tokenizer import Tokenizers

CHECKS: list[Callable[[Subject], Iterator[Finding]]] = [
    text.swapped_sides,
    text.other_styles,
    settings.same_language,
    settings.unreached_vocabulary,
    settings.unused_pieces,
    settings.parameters,
    settings.epochs,
    settings.warm_up,
]


def findings(subject: Subject) -> list[Finding]:
    """Make all of them."""
    return [finding for check in CHECKS for finding in check(subject)]


def before_training(
    config: Config, tokenizers: Tokenizers, parts: Mapping[str, Prepared]
) -> list[str]:
    """Say in a line each what `nmt train` should mention before it starts.

    Args:
        config: of the run.
        tokenizers: of both sides.
        parts: `train`, and `valid` if it is given.
    """
    found = findings(Subject(config, tokenizers, parts))
    return [f"{one.severity}: {one.about}: {one.message}" for one in found]
