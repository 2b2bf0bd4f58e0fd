"""The sentences of a document before each source sentence, as context.

A source is preceded by the previous source sentences of its document, oldest first, each with the
symbol `SEPARATOR` behind it; the target stays that of the one sentence. So search, batches and
scores are those of sentences. This is the extended source context of Tiedemann and Scherrer (2017,
"Neural Machine Translation with Extended Context", arXiv 1708.05943), who take one sentence. Lopes
et al. (2020, "Document-level Neural MT: A Systematic Comparison") compare such concatenation with
networks made for documents.

A blank source line begins a new document, in corpora and in text to translate, and so does each
file. A text without blank lines is one document.

Training draws again in each epoch how many sentences of context each pair may keep, from 0 to
`data.context` with the same probability. Otherwise a text without blank lines would have one start
of a document only, and the model would fail at single lines and with less context than in training.
Context has the deterministic segmentation, also with `tokenizer.sampling_alpha`.

A line that a filter drops is still context of the next one: the document has it.

`SEPARATOR` is a control symbol: no text contains it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from nmt.data.tokenizer import Tokenizer

SEPARATOR = "<sep>"


def before_source(sentences: Sequence[Sequence[int]], room: int, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of context, each sentence with `SEPARATOR`, that go before a source.

    Args:
        sentences: ids of each sentence, oldest first.
        room: the largest number of ids; the oldest sentences are left out if they do not fit.
        tokenizer: of the source side, with the symbol `SEPARATOR` if there are any sentences.
    """
    ids: list[int] = []
    for sentence in filter(None, reversed(sentences)):
        if len(ids) + len(sentence) + 1 > room:
            break
        ids = [*sentence, tokenizer.control_symbols[SEPARATOR], *ids]
    return ids


def span_of_context(src_ids: Sequence[int], tokenizer: Tokenizer) -> tuple[int, int]:
    """Return where the context begins and ends in a source, which its tags precede.

    Without context, both numbers are the place of the first token behind the tags.
    """
    symbols = tokenizer.control_symbols
    separator = symbols.get(SEPARATOR)
    tags = {*symbols.values()} - {separator}
    start = sum(1 for _ in itertools.takewhile(tags.__contains__, src_ids))
    if separator is None or separator not in src_ids:
        return start, start
    return start, len(src_ids) - [*reversed(src_ids)].index(separator)


def with_less_context(
    rows: Sequence[npt.NDArray[np.int32]], size: int, tokenizer: Tokenizer, seed: int
) -> list[npt.NDArray[np.int32]]:
    """Return sources that keep the last 0 to `size` sentences of their context, as drawn.

    Args:
        rows: ids of each source with all of its context.
        size: `data.context`.
        tokenizer: of the source side.
        seed: seed of the random numbers.
    """
    import numpy as np  # translation needs none of it

    numbers = np.random.default_rng(seed).integers(size + 1, size=len(rows)).tolist()
    separator = tokenizer.control_symbols[SEPARATOR]
    return [
        _with_last(ids, number, span_of_context(ids.tolist(), tokenizer), separator)
        for ids, number in zip(rows, numbers, strict=True)
    ]


def _with_last(
    ids: npt.NDArray[np.int32], number: int, span: tuple[int, int], separator: int
) -> npt.NDArray[np.int32]:
    """Return a source with the last sentences of its context only."""
    import numpy as np

    start, end = span
    starts = [start, *(start + 1 + np.flatnonzero(ids[start:end] == separator)).tolist()]
    cut = starts[max(0, len(starts) - 1 - number)]
    return np.concatenate([ids[:start], ids[cut:]])
