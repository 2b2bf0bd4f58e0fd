"""The result of tuning the search, `decode.json`, which changes the defaults of translation.

It is not written into config.yaml: that is the user's, and it holds for all checkpoints of a run,
while tuned values are of particular weights.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from nmt.config.decode import BeamSize, DecodeConfig, LengthPenalty
from nmt.config.schema import Config
from nmt.errors import FileError
from nmt.files import MAX_JSON_BYTES, read_bounded, write_text
from nmt.runs.int8 import checksum

METRIC_NAMES = {"bleu": "BLEU", "chrf": "chrF"}


class Setting(BaseModel):
    """The settings that are tuned, named as in `decode`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    beam_size: BeamSize
    length_penalty: LengthPenalty

    @classmethod
    def of(cls, decode: DecodeConfig) -> Setting:
        """Return the setting in a configuration."""
        return cls(beam_size=decode.beam_size, length_penalty=decode.length_penalty)

    def __str__(self) -> str:
        return f"beam_size {self.beam_size}, length_penalty {self.length_penalty:g}"


class Ranked(BaseModel):
    """The best translations of the n-best lists of a beam size, by a length penalty.

    Attributes:
        setting: beam size and length penalty.
        score: the metric, from 0 to 100.
        length: their characters, divided by those of the references.
    """

    setting: Setting
    score: FiniteFloat
    length: FiniteFloat


class DecodeTuning(BaseModel):
    """Settings that were tried on validation text, and the chosen one.

    Attributes:
        weights: SHA-256 of the weights.
        metric: what was to be improved.
        valid_set: the set of data.valid; empty if it has no names.
        sentences: number of sentences translated.
        configured: the setting in config.yaml at that time.
        best: the setting with the highest score in `table`.
        chosen: `best` if it is significantly better in a search of its own, else `configured`.
        configured_score: the metric of a search with `configured`.
        best_score: of one with `best`.
        p_value: of paired bootstrap resampling between these two; 1 if they are the same.
        table: all settings that were tried.
    """

    weights: str
    metric: Literal["bleu", "chrf"]
    valid_set: str
    sentences: int
    configured: Setting
    best: Setting
    chosen: Setting
    configured_score: FiniteFloat
    best_score: FiniteFloat
    p_value: FiniteFloat
    table: list[Ranked]

    def __str__(self) -> str:
        scored = f"{METRIC_NAMES[self.metric]} of {self.sentences:,} validation sentences"
        if self.best == self.configured:
            return f"{self.configured} is the best: {scored} {self.configured_score:.2f}"
        change = (
            f"{scored} {self.configured_score:.2f} with {self.configured}, "
            f"{self.best_score:.2f} with {self.best} (p = {self.p_value:.3f})"
        )
        verdict = "no clear gain" if self.chosen == self.configured else "tuned"
        return f"{self.chosen}, {verdict}: {change}"


def save_tuning(run: Path, tuning: DecodeTuning) -> None:
    """Write decode.json.

    Raises:
        FileError: if it cannot be written.
    """
    write_text(run / "decode.json", tuning.model_dump_json(indent=1) + "\n")


def read_tuning(run: Path, config: Config, weights: Path) -> DecodeTuning | None:
    """Return how the search was tuned for these weights and this configuration.

    Args:
        run: run directory.
        config: the configuration in it.
        weights: the weights to translate with.

    Returns:
        None if it was not, or for other weights, or if the user has since changed the tuned
        settings in config.yaml.

    Raises:
        FileError: if decode.json cannot be read.
    """
    path = run / "decode.json"
    if not os.path.lexists(path):
        return None
    content = read_bounded(path, MAX_JSON_BYTES)
    try:
        tuning = DecodeTuning.model_validate_json(content)
        is_current = tuning.weights == checksum(weights)
    except (ValidationError, KeyError, TypeError) as error:
        raise FileError(
            f"{path}: not a result of `nmt tune-decode`; repeat it, or delete the file to "
            "translate with `decode` of config.yaml"
        ) from error
    return tuning if is_current and tuning.configured == Setting.of(config.decode) else None


def with_tuning(run: Path, config: Config, weights: Path) -> Config:
    """Return the configuration of a run with the values that were tuned for these weights.

    Args:
        run, config, weights: as in `read_tuning`.

    Raises:
        FileError: as in `read_tuning`.
    """
    tuning = read_tuning(run, config, weights)
    if tuning is None:
        return config
    decode = config.decode.model_copy(update=tuning.chosen.model_dump())
    return config.model_copy(update={"decode": decode})
