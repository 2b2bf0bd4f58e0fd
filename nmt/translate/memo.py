"""Remembering what was made of lines that may come again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """Values of the lines that were used last.

    What it holds is a function of the calls alone, so that the same lines are found again in
    every run.

    Args:
        max_characters: of all its lines together, which bounds the memory.
    """

    def __init__(self, max_characters: int) -> None:
        self._room = max_characters
        self._values: OrderedDict[str, T] = OrderedDict()

    def find(self, lines: Iterable[str]) -> dict[str, T]:
        """Give the values of those lines that are remembered."""
        return {line: self._values[line] for line in lines if line in self._values}

    def use(self, values: Mapping[str, T]) -> None:
        """Remember lines, the last one as the newest, and forget those not used for longest."""
        for line, value in values.items():
            if line not in self._values:
                self._room -= len(line) + 1
            self._values[line] = value
            self._values.move_to_end(line)
        while self._room < 0:
            line, _ = self._values.popitem(last=False)
            self._room += len(line) + 1
