"""The context of lines: those before them, for a model trained with `data.context`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from nmt.config.search import SearchOptions
from nmt.data.history import History
from nmt.data.lines import replace_controls
from nmt.data.tokenizer import Tokenizer
from nmt.errors import ConfigError
from nmt.translate.engine import Model
from nmt.translate.sentences import sentence_starts
from nmt.translate.source import Source


def context_size(models: Sequence[Model], options: SearchOptions) -> int:
    """Return how many sentences of context a source has: by default as many as in training.

    Args:
        models: the model, or those of an ensemble.
        options: of the search.

    Raises:
        ConfigError: if a model was trained with fewer.
    """
    least = min(models, key=lambda model: model.config.data.context)
    trained = least.config.data.context
    if options.context is not None and options.context > trained:
        raise ConfigError(
            f"`context` {options.context}: {least.weights} was trained with data.context {trained}"
            + (f": choose 0 to {trained}" if trained else ", without context: leave it out")
        )
    return trained if options.context is None else options.context


def with_previous(sources: Iterable[Source], size: int) -> Iterator[Source]:
    """Fill in the context of sources, lazily: their own, or else the sources before them.

    A blank source begins a new document, and so does one in other languages.

    Args:
        sources: in the order of the document.
        size: the largest number of sentences of context.
    """
    history = History(size)
    for _, document in itertools.groupby(sources, lambda one: (one.src_lang, one.tgt_lang)):
        history.clear()
        for source in document:
            previous = history.before(replace_controls(source.text)[0])
            yield replace(source, context=_last(source.context, size, previous))


def _last(own: tuple[str, ...] | None, size: int, previous: tuple[str, ...]) -> tuple[str, ...]:
    """Return the last sentences of a source's own context, without control characters."""
    if own is None:
        return previous
    return tuple(replace_controls(text)[0] for text in own[-size:]) if size else ()


class ContextEncoder:
    """Turns the context of lines into tokens.

    Args:
        tokenizer: of the source side.
        each_sentence: whether each sentence of a line of context counts, or the line as one.
    """

    def __init__(self, tokenizer: Tokenizer, *, each_sentence: bool) -> None:
        self._tokenizer, self._each_sentence = tokenizer, each_sentence

    def encode(self, sources: Sequence[Source], lang: str) -> list[list[list[int]]]:
        """Return the ids of each sentence of the context of each source.

        Args:
            sources: with their context; None counts as none.
            lang: code of the language of those that name none.
        """
        rows = [self._sentences(source, source.src_lang or lang) for source in sources]
        texts = [*dict.fromkeys(itertools.chain.from_iterable(rows))]
        ids = dict(zip(texts, self._tokenizer.encode(texts), strict=True))
        return [[ids[text] for text in row] for row in rows]

    def _sentences(self, source: Source, lang: str) -> list[str]:
        lines = source.context or ()
        if not self._each_sentence:
            return [*lines]
        return [
            line[start:end].strip()
            for line in lines
            for start, end in itertools.pairwise([0, *sentence_starts(line, lang), len(line)])
        ]
