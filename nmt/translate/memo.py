"""A bounded memory of translated lines, for input that repeats them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from nmt.translate.source import Source

T = TypeVar("T")


class Memo(Generic[T]):
    """A least-recently-used cache of values by line.

    Its contents depend on the calls alone, so every run over the same input finds the same lines.

    Args:
        max_characters: maximum total length of the lines.
    """

    def __init__(self, max_characters: int) -> None:
        self._characters_left = max_characters
        self._values: OrderedDict[Source, T] = OrderedDict()

    def find(self, lines: Iterable[Source]) -> dict[Source, T]:
        """Return the values of the lines that are cached."""
        return {line: self._values[line] for line in lines if line in self._values}

    def use(self, values: Mapping[Source, T]) -> None:
        """Cache the values, the last one as the newest, and drop the least recently used lines."""
        for line, value in values.items():
            if line not in self._values:
                self._characters_left -= len(line) + 1
            self._values[line] = value
            self._values.move_to_end(line)
        while self._characters_left < 0:
            line, _ = self._values.popitem(last=False)
            self._characters_left += len(line) + 1
