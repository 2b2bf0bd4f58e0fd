"""Counting lines whose translations are flagged, suspiciously short, or lack required terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from nmt.translate.translation import FLAGS

_MAX_LISTED = 5


class _Lines:
    """Counts lines, and lists the first ones."""

    def __init__(self) -> None:
        self._total = self._count = 0
        self._listed: list[int] = []

    def _add(self, number: int, counts: bool) -> None:
        self._total += 1
        self._count += counts
        if counts and self._count <= _MAX_LISTED:
            self._listed.append(number)

    def _counted(self, what: str, singular: str, plural: str) -> str:
        """Return how many of all translations there are, with the verb in the right number.

        Args:
            what: follows `translations`.
            singular, plural: what is said of one of them, or of several.
        """
        said = singular if self._count == 1 else plural
        noun = "translation" if self._total == 1 else "translations"
        return f"{self._count:,} of {self._total:,} {noun}{what} {said}"

    def _named(self, unit: str = "line") -> str:
        numbers = ", ".join(map(str, self._listed)) + (", …" if self._count > _MAX_LISTED else "")
        return f"{unit}{'s' if self._count > 1 else ''} {numbers}"


class ShortLines(_Lines):
    """Counts the lines with suspiciously short translations, for a summary at the end.

    Args:
        warn: called with a message per such line.
    """

    def __init__(self, warn: Callable[[str], object] | None = None) -> None:
        super().__init__()
        self._warn = warn

    def add(self, number: int, is_short: bool) -> None:
        """Count a line.

        Args:
            number: line number, from 1.
            is_short: whether its translation is suspiciously short.
        """
        self._add(number, is_short)
        if is_short and self._warn:
            self._warn(f"line {number}: the translation is suspiciously short for its source")

    def summary(self) -> str:
        """Return a one-line warning with the count and the first line numbers; empty if none."""
        if not self._count:
            return ""
        is_short = "suspiciously short for"
        counted = self._counted("", f"is {is_short} its source", f"are {is_short} their source")
        return f"warning: {counted}: {self._named()}"


class MissingTerms(_Lines):
    """Counts the lines whose translations lack required terms, among those that have any."""

    def add(self, number: int, missing: Sequence[str]) -> None:
        """Count a line with required terms.

        Args:
            number: line number, from 1.
            missing: the terms that its translation lacks.
        """
        self._add(number, bool(missing))

    def summary(self, unit: str = "line") -> str:
        """Return a one-line message with the count and the first line numbers; empty if none.

        Args:
            unit: what is numbered.
        """
        if not self._count:
            return ""
        some = "some of them"
        counted = self._counted(" with required terms", f"lacks {some}", f"lack {some}")
        return f"{counted}: {self._named(unit)}"


class FlaggedLines(_Lines):
    """Counts the lines whose translations may be bad.

    Attributes:
        by_line: the flags of each such line, by its number from 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_line: dict[int, tuple[str, ...]] = {}

    def add(self, number: int, flags: tuple[str, ...]) -> None:
        """Count a line.

        Args:
            number: line number, from 1.
            flags: of its translation.
        """
        self._add(number, bool(flags))
        if flags:
            self.by_line[number] = flags

    def summary(self, unit: str = "line") -> str:
        """Return a one-line message with counts and the first line numbers; empty if none.

        Args:
            unit: what is numbered.
        """
        if not self._count:
            return ""
        counts = Counter(flag for flags in self.by_line.values() for flag in flags)
        of_flags = ", ".join(f"{flag} {counts[flag]:,}" for flag in FLAGS if counts[flag])
        counted = self._counted("", "is flagged", "are flagged")
        return f"{counted}: {of_flags}; {self._named(unit)}"
