"""Settings for training on a GPU; none of them changes anything on a CPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from nmt.model.kernels import cuda

BACKENDS: Any = torch.backends


def settings() -> list[Any]:
    return [BACKENDS.cuda.matmul, BACKENDS.cudnn.conv, BACKENDS.cudnn.rnn]


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    attention = torch.backends.cuda.cudnn_sdp_enabled()
    before = [one.fp32_precision for one in settings()]
    yield
    for one, precision in zip(settings(), before, strict=True):
        one.fp32_precision = precision
    torch.backends.cuda.enable_cudnn_sdp(attention)
    torch.use_deterministic_algorithms(deterministic)


needs_precision = pytest.mark.skipif(
    not hasattr(BACKENDS.cuda.matmul, "fp32_precision"), reason="this torch has another setting"
)


@needs_precision
@pytest.mark.parametrize(("allowed", "expected"), [(False, "ieee"), (True, "tf32")])
def test_products_may_round_to_tf32_only_if_asked(allowed: bool, expected: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cuda.tune_for_training(tf32=allowed)
    assert [one.fp32_precision for one in settings()] == [expected] * 3


@needs_precision
def test_products_on_the_cpu_stay_the_same() -> None:
    one, other = torch.randn(65, 300), torch.randn(300, 70)
    products = []
    for allowed in (False, True):
        cuda.tune_for_training(tf32=allowed)
        products.append(one @ other)
    assert torch.equal(*products)
    exact = one.double() @ other.double()
    assert float((products[1] - exact).norm() / exact.norm()) < 1e-6
