"""Ensembles and padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nmt.config.search import SearchOptions
from nmt.errors import ConfigError
from nmt.runs.model import TrainedModel
from nmt.translate.torch_engine import EnsembleStepper, Networks, padded
from nmt.translate.translator import Translator


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


def test_a_coverage_penalty_needs_a_transformer(any_model: TrainedModel) -> None:
    translator = Translator(Networks([any_model]), SearchOptions(coverage_penalty=0.2))
    if any_model.config.model.kind == "transformer":
        [found] = translator.translate(["the cat sat."])
        assert found.hypotheses[0].coverage < 0
        return
    with pytest.raises(ConfigError, match=r"decode\.coverage_penalty needs a model trained with"):
        list(translator.translate(["the cat sat."]))
