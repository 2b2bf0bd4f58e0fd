"""The setting `data.context`: what cannot be combined with it."""

from __future__ import annotations

from collections.abc import Iterator


def context_conflicts(*, guided: bool, placeholders: bool, trees: bool) -> Iterator[str]:
    """Yield a message for each other setting that does not go with `data.context`.

    Args:
        guided: whether there is a `train.guided_alignment`.
        placeholders: whether there are `data.placeholders`.
        trees: `decode.trees`.
    """
    if placeholders:
        yield (
            "data.context cannot be combined with data.placeholders: a symbol would stand for "
            "different text in a sentence and in its context"
        )
    if guided:
        yield (
            "data.context cannot be combined with train.guided_alignment, whose word alignment is "
            "that of single sentences"
        )
    if trees:
        yield "data.context cannot be combined with decode.trees: a tree has one sentence"
