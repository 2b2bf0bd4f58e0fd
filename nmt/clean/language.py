"""The rule about languages, which asks py3langid."""

from __future__ import annotations

from nmt.clean.sides import Language, Side
from nmt.config.cleaning import LanguageRule
from nmt.data.identify import identifier
from nmt.errors import ConfigError, how_to_install


class WrongLanguage:
    """A side in another language.

    The probability of the right one is among the candidates only: among all languages that
    py3langid knows, those that are hard to tell apart would share it.

    Args:
        limits: the candidates and the smallest probability.
        languages: of both sides. A side in one that py3langid does not know is not checked.

    Raises:
        ConfigError: if py3langid is not installed.
    """

    def __init__(self, limits: LanguageRule, languages: tuple[Language, Language]) -> None:
        self._limits = limits
        try:
            self._identifier = identifier([*limits.candidates, *(one.code for one in languages)])
        except ImportError as error:
            raise ConfigError(
                f"language: needs py3langid: {how_to_install('clean')}, or set language=false"
            ) from error
        self._known = frozenset(self._identifier.labels)

    def __call__(self, src: Side, tgt: Side) -> bool:
        """Return whether a pair is to be dropped."""
        return self._is_wrong(src) or self._is_wrong(tgt)

    def _is_wrong(self, side: Side) -> bool:
        code = side.language.code
        if code not in self._known or sum(map(str.isalpha, side.text)) < self._limits.min_letters:
            return False
        probabilities = dict(self._identifier.rank(side.text))
        return bool(probabilities[code] < self._limits.min_probability)
