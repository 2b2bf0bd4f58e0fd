"""Dropout: rates and scale are tested statistically, gradient and identity exactly."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from nmt.model.dropout import Dropout, dropout

SIZE = 1_000_000
# A rate estimated from n draws is off by more than 5 standard deviations once in two million
# runs. The seed is fixed, so a test that passes once always passes.
SIGMAS = 5.0


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


def _deviation(p: float, size: int) -> float:
    return SIGMAS * math.sqrt(p * (1.0 - p) / size)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_rate_scale_and_expectation(p: float) -> None:
    out = dropout(torch.ones(SIZE), p)
    kept = out[out != 0.0]
    assert_close(kept, torch.full_like(kept, 1.0 / (1.0 - p)), rtol=2e-5, atol=0.0)
    assert abs(1.0 - len(kept) / SIZE - p) < _deviation(p, SIZE)
    assert abs(out.double().mean().item() - 1.0) < _deviation(p, SIZE) / (1.0 - p)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_the_four_lanes_of_a_word_are_identical_and_independent(p: float) -> None:
    dropped = (dropout(torch.ones(SIZE), p) == 0.0).view(-1, 4).double()
    rates = dropped.mean(dim=0)
    assert (rates - p).abs().max() < _deviation(p, SIZE // 4)
    # The correlation of independent lanes has a standard deviation of 1 / sqrt(n).
    correlation = torch.corrcoef(dropped.T) - torch.eye(4, dtype=torch.float64)
    assert correlation.abs().max() < SIGMAS / math.sqrt(SIZE // 4)
    # Consecutive words are independent as well.
    neighbours = torch.corrcoef(torch.stack([dropped[:-1].flatten(), dropped[1:].flatten()]))
    assert abs(neighbours[0, 1].item()) < SIGMAS / math.sqrt(SIZE)


def test_elements_are_either_zeroed_or_scaled() -> None:
    x = torch.randn(50, 33)
    out = dropout(x, 0.25)
    dropped = out == 0.0
    assert 0.15 < dropped.double().mean() < 0.35
    assert_close(out[~dropped], x[~dropped] / 0.75)


def test_rate_zero_returns_the_same_tensor() -> None:
    x = torch.randn(5)
    assert dropout(x, 0.0) is x


@pytest.mark.parametrize("p", [0.99999, 0.9999999])
def test_rates_close_to_one_stay_finite(p: float) -> None:
    assert dropout(torch.ones(SIZE // 10), p).isfinite().all()


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5,), (2, 3, 7), (0,), (4, 0)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    out = dropout(torch.ones(shape), 0.5)
    assert out.shape == shape
    assert set(out.flatten().tolist()) <= {0.0, 2.0}


def test_a_non_contiguous_tensor() -> None:
    x = torch.arange(1.0, 13.0).view(3, 4).t()
    out = dropout(x, 0.5)
    assert_close(out, torch.where(out == 0.0, 0.0, 2.0 * x))


def test_gradient_is_the_mask_times_the_scale() -> None:
    x = torch.randn(40, 7, requires_grad=True)
    out = dropout(x, 0.3)
    out.sum().backward()
    expected = torch.where(out.detach() == 0.0, 0.0, 1.0 / 0.7)
    assert_close(x.grad, expected, rtol=2e-5, atol=0.0)


def test_the_seed_determines_the_mask() -> None:
    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return dropout(torch.ones(1000), 0.5)

    first, again, other = draw(3), draw(3), draw(4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(again, dropout(torch.ones(1000), 0.5)), (
        "each draw advances the generator"
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 4e-3), (torch.float64, 2e-5)])
def test_the_dtype_is_kept(dtype: torch.dtype, tolerance: float) -> None:
    out = dropout(torch.ones(10_000, dtype=dtype), 0.1)
    assert out.dtype == dtype
    kept = out[out != 0.0]
    assert abs(len(kept) / 10_000 - 0.9) < _deviation(0.1, 10_000)
    assert_close(kept, torch.full_like(kept, 1.0 / 0.9), rtol=tolerance, atol=0.0)


def test_the_module_applies_dropout_in_training_only() -> None:
    module, x = Dropout(0.5), torch.randn(100)
    assert not torch.equal(module.train()(x), x)
    assert module.eval()(x) is x
