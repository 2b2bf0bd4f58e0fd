"""Options of a translation, ensembles and padding."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nmt.config.decode import DecodeConfig
from nmt.errors import ConfigError
from nmt.translate.engine import EnsembleStepper, TranslateOptions, padded


def test_options_from_a_configuration() -> None:
    config = DecodeConfig(beam_size=7, length_penalty=0.1)
    options = TranslateOptions.from_config(config, beam_size=None, length_penalty=0.0, nbest=2)
    assert options == TranslateOptions(beam_size=7, length_penalty=0.0, nbest=2)
    assert TranslateOptions.from_config(DecodeConfig()) == TranslateOptions()


@pytest.mark.parametrize("length_penalty", [-0.1, 10.1, 2000.0, math.nan])
def test_a_length_penalty_out_of_range_is_refused(length_penalty: float) -> None:
    with pytest.raises(ConfigError, match="length_penalty must be from 0 to 10, but it is"):
        TranslateOptions(length_penalty=length_penalty)


class FixedStepper:
    """A stepper with fixed probabilities."""

    def __init__(self, *probs_V: list[float]) -> None:
        self.probs_BWV = torch.tensor(probs_V)[:, None]

    def step(self, tokens_BW: Tensor) -> list[Tensor]:
        return list(self.probs_BWV.log().flatten(0, 1).split(1))

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        self.probs_BWV = self.probs_BWV[sentences_N[:, None], beams_NW]


def test_an_ensemble_averages_probabilities() -> None:
    ensemble = EnsembleStepper(
        [FixedStepper([0.2, 0.8], [1.0, 0.0]), FixedStepper([0.6, 0.4], [0.5, 0.5])]
    )
    expected = torch.tensor([[0.4, 0.6], [0.75, 0.25]])
    step = ensemble.step(torch.zeros(2, 1))
    torch.testing.assert_close(torch.cat(list(step)).exp(), expected)
    ensemble.select(torch.tensor([1, 0]), torch.zeros(2, 2, dtype=torch.int64))
    step = ensemble.step(torch.zeros(2, 2))
    torch.testing.assert_close(torch.cat(list(step)).exp(), expected[[1, 1, 0, 0]])


def test_padded() -> None:
    assert padded([[1, 2, 3], [4]], 9).tolist() == [[1, 2, 3], [4, 9, 9]]
    assert padded([[1]], 0).dtype == torch.int64
