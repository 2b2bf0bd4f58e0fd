"""Drawing tokens: exactly the distribution that the settings describe, row by row."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nmt.search.draw import draw

SETTINGS: list[dict[str, float]] = [
    {},
    {"temperature": 0.5},
    {"temperature": 2.0},
    {"top_p": 1.0},
    {"top_p": 0.9},
    {"top_p": 0.3, "temperature": 0.7},
    {"top_k": 10},
    {"top_k": 10, "top_p": 0.5, "temperature": 1.5},
]


def expected(
    log_probs_V: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Return the probabilities of the tokens of one row, by the definitions."""
    size = len(log_probs_V)
    log_probs_V, order_V = (log_probs_V.double() / temperature).sort(descending=True)
    log_probs_V[top_k or size :] = -torch.inf
    probs_V = log_probs_V.softmax(0)
    if top_p is not None:
        probs_V[probs_V.cumsum(0) - probs_V >= top_p] = 0.0
    return torch.zeros_like(probs_V).scatter(0, order_V, probs_V / probs_V.sum())


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("size", "spread"), [(3, 1.0), (64, 2.0), (700, 0.1), (1000, 3.0)])
def test_evenly_spaced_numbers_choose_each_token_by_its_probability(
    settings: dict[str, float], size: int, spread: float
) -> None:
    """Each token has one interval, so rounding to whole numbers is the only difference."""
    torch.manual_seed(size)
    log_probs_V = (spread * torch.randn(size)).log_softmax(0)
    log_probs_V[1] = -torch.inf
    number = 5000
    numbers_N = (torch.arange(number, dtype=torch.float64) + 0.5) / number
    drawn_N1 = draw(log_probs_V.expand(number, -1), numbers_N, **settings)  # type: ignore[arg-type]
    counts_V = drawn_N1[:, 0].bincount(minlength=size)
    wanted_V = number * expected(log_probs_V, **settings)  # type: ignore[arg-type]
    assert (counts_V - wanted_V).abs().max() < 1.01
    assert counts_V[wanted_V == 0].sum() == 0


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_row_draws_the_same_alone(settings: dict[str, float]) -> None:
    torch.manual_seed(1)
    spreads_N1 = torch.linspace(0.01, 5.0, 40)[:, None]  # top_p needs few tokens or most of them
    log_probs_NV = (spreads_N1 * torch.randn(40, 1003)).log_softmax(1)
    numbers_N = torch.rand(40, dtype=torch.float64)
    together = draw(log_probs_NV, numbers_N, **settings)  # type: ignore[arg-type]
    alone = [
        draw(log_probs_NV[n : n + 1], numbers_N[n : n + 1], **settings)  # type: ignore[arg-type]
        for n in range(40)
    ]
    assert together.tolist() == torch.cat(alone).tolist()


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("number", [0.0, math.nextafter(1.0, 0.0)])
def test_the_lowest_and_the_highest_number_choose_possible_tokens(
    settings: dict[str, float], number: float
) -> None:
    log_probs_NV = torch.full((3, 1000), -torch.inf)
    log_probs_NV[0, 500] = 0.0
    log_probs_NV[1, [63, 64, 998]] = -math.log(3.0)
    log_probs_NV[2] = torch.nan
    numbers_N = torch.full((3,), number, dtype=torch.float64)
    drawn_N = draw(log_probs_NV, numbers_N, **settings)[:, 0].tolist()  # type: ignore[arg-type]
    assert drawn_N[0] == 500
    assert drawn_N[1] in (63, 64, 998)
    assert drawn_N[2] in range(1000)  # the search sees that its score is not a number


@pytest.mark.parametrize("temperature", [1e-9, 1e-60, 5e-324])
def test_the_coldest_draws_are_the_most_probable_tokens(temperature: float) -> None:
    torch.manual_seed(1)
    log_probs_NV = torch.randn(20, 300).log_softmax(1)
    numbers_N = torch.rand(20, dtype=torch.float64)
    drawn_N1 = draw(log_probs_NV, numbers_N, temperature=temperature)
    assert drawn_N1[:, 0].tolist() == log_probs_NV.argmax(dim=1).tolist()
