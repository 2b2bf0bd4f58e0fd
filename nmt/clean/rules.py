"""The rules in the order in which they are applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nmt.clean import characters, content, shape
from nmt.clean.duplicates import Exact, Hashes, Near
from nmt.clean.language import WrongLanguage
from nmt.clean.sides import Language, Side, Sides
from nmt.config.cleaning import CleanConfig
from nmt.data.lines import read_lines

EMPTY = "empty"
"""The rule that cannot be turned off: training has no use for such pairs."""
Rule = Callable[[Side, Side], bool]

_RULES: dict[str, Callable[..., bool]] = {
    "encoding": characters.encoding,
    "length": shape.length,
    "length_ratio": shape.length_ratio,
    "word_length": shape.word_length,
    "script": characters.script,
    "symbols": characters.symbols,
    "markup": content.markup,
    "links": content.links,
    "repetition": shape.repetition,
    "copies": content.copies,
    "numbers": content.numbers,
    "terminal_punctuation": content.terminal_punctuation,
    "pattern": content.pattern,
}
_SWITCHES = {"encoding", "markup"}


class Rules:
    """The rules that are turned on.

    Args:
        config: the rules and their limits.
        codes: of the source and the target language; None if unknown.

    Attributes:
        checks: the rules that look at one pair only, by name.
        hashers: the rules that compare with earlier pairs, by name.

    Raises:
        ConfigError: if a rule needs a package that is not installed.
        FileError: if the list of words cannot be read.
    """

    def __init__(self, config: CleanConfig, codes: tuple[str | None, str | None]) -> None:
        self._languages = Language.of(codes[0]), Language.of(codes[1])
        self.checks: dict[str, Rule] = {EMPTY: shape.empty}
        for name, check in _RULES.items():
            if limits := getattr(config, name):
                bound = check if name in _SWITCHES else partial(check, limits=limits)
                self.checks[name] = bound
        if config.profanity:
            self.checks["profanity"] = content.Profanity(read_lines(Path(config.profanity.words)))
        if config.language:
            self.checks["language"] = WrongLanguage(config.language, self._languages)
        self.hashers: dict[str, Exact | Near] = {}
        if config.duplicates:
            self.hashers["duplicates"] = Exact(config.duplicates)
        if config.near_duplicates:
            self.hashers["near_duplicates"] = Near(config.near_duplicates)

    @property
    def names(self) -> list[str]:
        """The names of all rules, in order."""
        return [*self.checks, *self.hashers]

    def sides(self, src: str, tgt: str) -> Sides:
        """Return the sides of a pair."""
        return Side(src, self._languages[0]), Side(tgt, self._languages[1])

    def check(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[str | None], list[Hashes]]:
        """Apply the rules that look at one pair only.

        Returns:
            The first rule that drops each pair, or None; and for each of `hashers` the hashes of
            the pairs that no rule drops, one row each.
        """
        dropped: list[str | None] = []
        kept = []
        for src, tgt in pairs:
            sides = self.sides(src, tgt)
            rule = next((name for name, drops in self.checks.items() if drops(*sides)), None)
            dropped.append(rule)
            if rule is None:
                kept.append(sides)
        return dropped, [hasher.hashes(kept) for hasher in self.hashers.values()] if kept else []
