"""How probable it is that a translation is acceptable, `confidence.json`.

Platt scaling (Platt 1999, "Probabilistic Outputs for Support Vector Machines") of one feature, the
log-probability per token x: confidence = 1 / (1 + exp(-(slope * x + intercept))). It has two
parameters, so a few hundred sentences are enough to fit them. `nmt.evaluation.calibration` does.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from nmt.errors import FileError
from nmt.files import MAX_JSON_BYTES, read_bounded, write_text
from nmt.runs.int8 import checksum

_LARGEST = 700.0
"""exp of it is still finite."""


class Calibration(BaseModel):
    """A curve that was fitted to translations of the validation text.

    Attributes:
        weights: SHA-256 of the weights.
        sentences: number of sentences translated.
        acceptable: fraction of them with a sentence-level chrF of at least 50.
        slope, intercept: of the curve.
        threshold: the log-probability per token that all but one in a hundred acceptable
            translations have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str
    sentences: int
    acceptable: FiniteFloat
    slope: FiniteFloat
    intercept: FiniteFloat
    threshold: FiniteFloat

    def confidence(self, log_prob_per_token: float) -> float:
        """Return the probability that a translation is acceptable."""
        value = self.slope * log_prob_per_token + self.intercept
        return 1 / (1 + math.exp(min(max(-value, -_LARGEST), _LARGEST)))


def save_calibration(run: Path, calibration: Calibration) -> None:
    """Write confidence.json.

    Raises:
        FileError: if it cannot be written.
    """
    write_text(run / "confidence.json", calibration.model_dump_json(indent=1) + "\n")


def read_calibration(run: Path, weights: Path) -> Calibration | None:
    """Return what was fitted for these weights.

    Args:
        run: run directory.
        weights: the weights to translate with.

    Returns:
        None if nothing was, or for other weights.

    Raises:
        FileError: if confidence.json cannot be read.
    """
    path = run / "confidence.json"
    if not os.path.lexists(path):
        return None
    content = read_bounded(path, MAX_JSON_BYTES)
    try:
        calibration = Calibration.model_validate_json(content)
        return calibration if calibration.weights == checksum(weights) else None
    except (ValidationError, KeyError, TypeError) as error:
        raise FileError(
            f"{path}: not a result of `nmt calibrate`; repeat it, or delete the file"
        ) from error
