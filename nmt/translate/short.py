"""Counting the translations that are suspiciously short."""

from __future__ import annotations

from collections.abc import Callable

_NAMED = 5


class ShortLines:
    """The lines whose translations are suspiciously short, for a summary at the end.

    Args:
        say: called with a message for each of them.
    """

    def __init__(self, say: Callable[[str], object] | None = None) -> None:
        self._say = say
        self._total = self._count = 0
        self._first: list[int] = []

    def add(self, number: int, is_short: bool) -> None:
        """Count a line.

        Args:
            number: of the line, from 1.
            is_short: whether its translation is too short.
        """
        self._total += 1
        if not is_short:
            return
        self._count += 1
        if self._count <= _NAMED:
            self._first.append(number)
        if self._say:
            self._say(f"line {number}: the translation is suspiciously short for its source")

    def summary(self) -> str:
        """Say in one line how many there were, and where; empty if there were none."""
        if not self._count:
            return ""
        numbers = ", ".join(map(str, self._first)) + (", …" if self._count > _NAMED else "")
        return (
            f"warning: {self._count:,} of {self._total:,} translations are suspiciously short for "
            f"their source: line{'s' if self._count > 1 else ''} {numbers}"
        )
