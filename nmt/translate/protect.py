"""Spans of a source that its translation copies, as symbols during the search.

The search sees symbols, which the model has learned to copy, and the spans take their place in the
translation. See `nmt.data.placeholders`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import get_args

from nmt.config.placeholders import PlaceholderKind
from nmt.data.placeholders import SYMBOL, SYMBOLS, Finder, has_placeholder_symbols
from nmt.errors import ConfigError
from nmt.translate.engine import Model
from nmt.translate.source import Source
from nmt.translate.translation import Translation, in_order

Spans = Mapping[str, str]
"""The span that each symbol stands for."""


class Protector:
    """Replaces spans in sources by symbols, and symbols in translations by spans.

    Args:
        kinds: the kinds of spans.
        models: the model, or those of an ensemble.

    Attributes:
        kinds: as above.

    Raises:
        ConfigError: if there is no such kind, or the vocabulary has no symbols.
    """

    def __init__(self, kinds: Sequence[str], models: Sequence[Model]) -> None:
        self.kinds = _known(kinds)
        if not has_placeholder_symbols(models[0].tokenizers):
            raise ConfigError(
                f"`protect` needs a model trained with data.placeholders: {models[0].weights} has "
                "no symbols to copy"
            )
        self._finder = Finder(self.kinds)

    def protect(self, source: Source) -> tuple[Source, Spans]:
        """Return a source with symbols for its spans.

        Its prefix and constraints get the same symbols. Text that looks like a symbol is a span, so
        it cannot be mistaken for one.
        """
        found = dict.fromkeys(self._finder.find(source.text))
        # What looks like a symbol comes first: there are symbols for all of that.
        spans = sorted(found, key=lambda span: span not in SYMBOLS)
        symbols = dict(zip(spans, SYMBOLS, strict=False))

        def shown(text: str) -> str:
            return self._finder.replace(text, symbols)

        protected = replace(
            source,
            text=shown(source.text),
            prefix=shown(source.prefix),
            constraints=tuple(tuple(map(shown, forms)) for forms in source.constraints),
        )
        return protected, {symbol: span for span, symbol in symbols.items()}

    def restore(self, translation: Translation, spans: Spans) -> Translation:
        """Return a translation with spans in place of symbols; symbols without one are dropped."""
        hypotheses = [
            replace(each, text=_restored(each.text, spans)) for each in translation.hypotheses
        ]
        return replace(translation, hypotheses=hypotheses)

    def checked(self, source: Source, translation: Translation) -> Translation:
        """Return a translation with the flag `placeholders` if it does not copy all spans.

        Args:
            source: with symbols.
            translation: with symbols.
        """
        if not self.loses(source.text, translation.text):
            return translation
        return replace(translation, flags=in_order([*translation.flags, "placeholders"]))

    def loses(self, src: str, tgt: str) -> bool:
        """Return whether a translation does not have the symbols of its source equally often.

        Spans for which there were no symbols left must be in it, too.
        """
        spans = Counter(self._finder.find(src))
        symbols = Counter({span: n for span, n in spans.items() if span in SYMBOLS})
        if symbols != Counter(SYMBOL.findall(tgt)):
            return True
        return any(tgt.count(span) < n for span, n in spans.items() if span not in symbols)


def without_symbols(text: str) -> str:
    """Return a text without symbols."""
    return SYMBOL.sub(" ", text)


def _restored(text: str, spans: Spans) -> str:
    return SYMBOL.sub(lambda match: spans.get(match[0], ""), text)


def _known(kinds: Sequence[str]) -> Collection[PlaceholderKind]:
    """Return the kinds in their usual order.

    Raises:
        ConfigError: if one is unknown.
    """
    all_kinds = get_args(PlaceholderKind)
    if unknown := [kind for kind in kinds if kind not in all_kinds]:
        raise ConfigError(f"`protect`: {unknown[0]!r} is none of {', '.join(all_kinds)}")
    return tuple(kind for kind in all_kinds if kind in kinds)
