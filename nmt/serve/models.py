"""The models of a worker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from nmt.api import Model, load
from nmt.config.languages import LanguagePair
from nmt.config.schema import Config
from nmt.errors import NmtError
from nmt.serve.settings import Settings
from nmt.serve.tasks import Failed, Found, Hop, Line, Outcome, Served, Task
from nmt.translate.glossary import Entry, Glossary
from nmt.translate.translation import Translation
from nmt.translate.translator import Translator

_TRANSLATORS_KEPT = 64


class Models:
    """The models of a server, loaded.

    Args:
        settings: those of the server.

    Raises:
        ConfigError, FileError: as `nmt.load`, or if a search option does not suit a model.
    """

    def __init__(self, settings: Settings) -> None:
        self._search, self._splits = settings.search, settings.split_sentences
        self._models = [load(path, **settings.computing) for path in settings.models]
        for model in self._models:  # fail now rather than at the first request
            model.translator(self._search, guard=settings.guard)
        self._align = [model.aligns(self._search) for model in self._models]
        self.served = [
            Served(str(path), hops_of(number, model.config))
            for number, (path, model) in enumerate(zip(settings.models, self._models, strict=True))
        ]
        self._translator = lru_cache(_TRANSLATORS_KEPT)(self._new_translator)

    def run(self, task: Task, lines: Sequence[Line]) -> list[Outcome]:
        """Translate lines, or find their next words.

        Returns:
            The outcome of each line. If one of them fails, the others are not affected.
        """
        try:
            return self._run(task, lines)
        except NmtError as error:
            if len(lines) == 1:
                return [Failed(str(error).removeprefix("line 1: "))]
        return [outcome for line in lines for outcome in self.run(task, [line])]

    def _run(self, task: Task, lines: Sequence[Line]) -> list[Outcome]:
        if task.num_words:
            model, options = self._models[task.hop.model], self._options(task)
            return [
                Found(words=model.alternatives(text, prefix, num=task.num_words, **options))
                for text, prefix in lines
            ]
        # Neighbouring lines come from different requests: they are no context of each other.
        texts, contexts = [line.text for line in lines], [()] * len(lines)
        found = self._translator(task).translate(texts, contexts=contexts)
        return [_found(each, is_checked=task.guard is not None) for each in found]

    def _new_translator(self, task: Task) -> Translator:
        glossary = None
        if task.glossary:
            rows = enumerate(task.glossary, 1)
            glossary = Glossary([Entry(src, (*tgt,), f"row {n}") for n, (src, *tgt) in rows])
        model: Model = self._models[task.hop.model]
        return model.translator(
            self._options(task),
            # The page always asks for it, and must work without.
            alignments=task.aligns and self._align[task.hop.model],
            warn=lambda message: None,
            glossary=glossary,
            guard=task.guard,
        )

    def _options(self, task: Task) -> dict[str, Any]:
        config = self._models[task.hop.model].config
        beam_size = self._search.get("beam_size") or config.decode.beam_size
        return {
            # Several sentences inside of one tag are one segment.
            "split_sentences": self._splits and not config.decode.trees,
            **self._search,
            "nbest": task.nbest,
            "beam_size": max(beam_size, task.nbest),
            "src_lang": task.hop.src_lang,
            "tgt_lang": task.hop.tgt_lang,
        }


def _found(translation: Translation, *, is_checked: bool) -> Found:
    # Suspicious lengths are noticed even without a guard.
    flags = translation.flags if is_checked else ()
    texts = [each.text for each in translation.hypotheses]
    return Found(texts, translation.alignment, flags, translation.confidence)


def hops_of(number: int, config: Config) -> dict[LanguagePair, Hop]:
    """Return the pairs of a numbered model, with what the model has to be told."""
    data = config.data
    if data.tags == "none":
        return {LanguagePair(data.src_lang, data.tgt_lang): Hop(number)}
    tells_source = data.tags == "both"
    return {
        pair: Hop(number, pair.src if tells_source else None, pair.tgt) for pair in data.train_pairs
    }
