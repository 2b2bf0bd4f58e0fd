"""Which model translates which language pair, also over a third language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nmt.config.languages import LanguagePair
from nmt.errors import ConfigError
from nmt.serve.errors import Refusal
from nmt.serve.tasks import Hop, Served

Route = tuple[Hop, ...]
"""The steps of a translation; none if source and target are the same language."""


class Pairs:
    """The language pairs of a server.

    Of several models for the same pair, the first one translates it.

    Args:
        models: in the order of the command line.
        pivot: the language over which pairs without a model are translated.

    Raises:
        ConfigError: if no model translates into or from the pivot language.
    """

    def __init__(self, models: Sequence[Served], pivot: str | None = None) -> None:
        self._routes: dict[LanguagePair, Route] = {}
        for model in models:
            for pair, hop in model.hops.items():
                self._routes.setdefault(pair, (hop,))
        if pivot:
            self._add_pivot(pivot)

    def _add_pivot(self, pivot: str) -> None:
        first = {pair.src: route for pair, route in self._routes.items() if pair.tgt == pivot}
        second = {pair.tgt: route for pair, route in self._routes.items() if pair.src == pivot}
        if not first or not second:
            raise ConfigError(
                f"`pivot` {pivot}: needs a model into {pivot} and one from it; there are "
                f"{', '.join(map(str, self._routes))}"
            )
        for src, route in first.items():
            for tgt, onward in second.items():
                if src != tgt:
                    self._routes.setdefault(LanguagePair(src, tgt), (*route, *onward))

    def __iter__(self) -> Iterator[LanguagePair]:
        return iter(self._routes)

    @property
    def sources(self) -> list[str]:
        """The languages that can be translated from."""
        return list(dict.fromkeys(pair.src for pair in self._routes))

    @property
    def languages(self) -> list[str]:
        """All languages, sources first."""
        return list(dict.fromkeys([*self.sources, *(pair.tgt for pair in self._routes)]))

    @property
    def default(self) -> LanguagePair:
        """The pair that a page offers first."""
        return next(iter(self._routes))

    def targets(self, src: str) -> list[str]:
        """Return the languages that a source language can be translated into."""
        return [pair.tgt for pair in self._routes if pair.src == src]

    def route(self, src: str, tgt: str) -> Route:
        """Return the steps from one language to another.

        Raises:
            Refusal: if the server does not know a language, or cannot translate the pair.
        """
        for name, code in (("source", src), ("target", tgt)):
            if code not in self.languages:
                known = ", ".join(self.languages)
                raise Refusal(400, f"{name}: {code!r:.40} is not supported; known are {known}")
        if src == tgt:
            return ()
        if (route := self._routes.get(LanguagePair(src, tgt))) is None:
            into = ", ".join(self.targets(src))
            only = f", only into {into}" if into else ""
            raise Refusal(400, f"{src} cannot be translated into {tgt}{only}")
        return route
