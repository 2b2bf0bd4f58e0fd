"""Length statistics of the training pairs, for detecting translations of an unlikely length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# A translation this many deviations below the mean is suspicious: 0 of the demo's training pairs,
# 4 of Multi30k's 29,000, and 99 of 100 translations of three sentences reduced to one.
_SUSPICIOUS = 3.5
# Long translations of short sources are common, so the limit is farther away.
_SUSPICIOUS_LONG = 5.0
# For runs that recorded only the ratio. The demo has 0.52, Multi30k 0.73.
_USUAL_DEVIATION = 0.75


@dataclass(frozen=True)
class LengthModel:
    """The model of Gale and Church (1993), in tokens instead of characters.

    A translation of n tokens has `ratio * n` tokens on average, with a standard deviation of
    `deviation * sqrt(n)`.

    Attributes:
        ratio: target tokens per source token.
        deviation: root mean square of (target length - average) / sqrt(n).
    """

    ratio: float
    deviation: float

    @classmethod
    def of(cls, src: npt.NDArray[np.int64], tgt: npt.NDArray[np.int64]) -> LengthModel:
        """Return the model estimated from pairs.

        Args:
            src: source tokens of each pair, EOS included, (pairs,).
            tgt: target tokens of each pair, EOS included, (pairs,).
        """
        ratio = float(tgt.sum() / src.sum())
        deviates = (tgt - ratio * src) / src**0.5
        return cls(ratio, math.sqrt((deviates**2).mean()))

    @classmethod
    def from_description(cls, data: Mapping[str, Any]) -> LengthModel | None:
        """Return the model in a run's data.json; older files hold only token counts.

        Returns:
            None if the file holds no usable figures.
        """
        try:
            if "lengths" in data:
                model = cls(float(data["lengths"]["ratio"]), float(data["lengths"]["deviation"]))
            else:
                tgt = sum(int(corpus["tgt_tokens"]) for corpus in data["train"])
                src = sum(int(corpus["src_tokens"]) for corpus in data["train"])
                model = cls(tgt / src, _USUAL_DEVIATION)
        except (KeyError, TypeError, ValueError, ArithmeticError):
            return None
        finite = math.isfinite(model.ratio) and math.isfinite(model.deviation)
        return model if finite and model.ratio > 0 and model.deviation > 0 else None

    def is_short(self, src_tokens: int, tgt_tokens: int) -> bool:
        """Return whether a translation is suspiciously short. Token counts include EOS."""
        expected = self.ratio * src_tokens
        return tgt_tokens < expected - _SUSPICIOUS * self.deviation * math.sqrt(src_tokens)

    def is_long(self, src_tokens: int, tgt_tokens: int) -> bool:
        """Return whether a translation is suspiciously long. Token counts include EOS."""
        expected = self.ratio * src_tokens
        return tgt_tokens > expected + _SUSPICIOUS_LONG * self.deviation * math.sqrt(src_tokens)
