"""The loss of BLEU in int8, which decides whether a run translates in int8 by default."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from nmt.errors import FileError
from nmt.files import MAX_JSON_BYTES, read_bounded
from nmt.runs.manifest import read_manifest

MAX_LOSS = 0.1
"""In BLEU on the validation set; a larger loss makes float32 the default."""


class Int8Scores(BaseModel):
    """BLEU on the validation set in float32 and int8, with the same search.

    Attributes:
        weights: SHA-256 of the weights that were measured.
        sentences: number of sentences translated.
    """

    weights: str
    sentences: int
    float32: float
    int8: float

    @property
    def is_good(self) -> bool:
        """Whether int8 costs at most MAX_LOSS."""
        return self.float32 - self.int8 <= MAX_LOSS

    def __str__(self) -> str:
        verdict = "int8 by default" if self.is_good else "float32 by default"
        return (
            f"BLEU of {self.sentences:,} validation sentences {self.float32:.2f} in float32, "
            f"{self.int8:.2f} in int8: {verdict} on a CPU"
        )


def read_int8_scores(run: Path, weights: Path) -> Int8Scores | None:
    """Return what was measured for these weights; None if nothing was.

    A damaged file counts as missing: only the choice of a default depends on it.
    """
    try:
        content = read_bounded(run / "int8.json", MAX_JSON_BYTES)
        scores = Int8Scores.model_validate_json(content)
        return scores if scores.weights == checksum(weights) else None
    except (FileError, ValidationError, KeyError, TypeError):
        return None


def checksum(weights: Path) -> str:
    """Return the SHA-256 of weights according to their manifest."""
    return str(read_manifest(weights)["files"]["weights.safetensors"]["sha256"])
