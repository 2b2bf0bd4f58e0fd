"""Counting suspiciously short translations."""

from __future__ import annotations

from collections.abc import Callable

_MAX_LISTED = 5


class ShortLines:
    """Counts the lines with suspiciously short translations, for a summary at the end.

    Args:
        warn: called with a message per such line.
    """

    def __init__(self, warn: Callable[[str], object] | None = None) -> None:
        self._warn = warn
        self._total = self._count = 0
        self._listed: list[int] = []

    def add(self, number: int, is_short: bool) -> None:
        """Count a line.

        Args:
            number: line number, from 1.
            is_short: whether its translation is suspiciously short.
        """
        self._total += 1
        if not is_short:
            return
        self._count += 1
        if self._count <= _MAX_LISTED:
            self._listed.append(number)
        if self._warn:
            self._warn(f"line {number}: the translation is suspiciously short for its source")

    def summary(self) -> str:
        """Return a one-line warning with the count and the first line numbers; empty if none."""
        if not self._count:
            return ""
        numbers = ", ".join(map(str, self._listed)) + (", …" if self._count > _MAX_LISTED else "")
        return (
            f"warning: {self._count:,} of {self._total:,} translations are suspiciously short for "
            f"their source: line{'s' if self._count > 1 else ''} {numbers}"
        )
