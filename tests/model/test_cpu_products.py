"""Products of float32 stay products of float32."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from nmt.model import cpu_products

MATMUL = getattr(torch.backends.mkldnn, "matmul", None)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = MATMUL.fp32_precision if MATMUL else None
    yield
    if MATMUL:
        MATMUL.fp32_precision = before


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_products_are_exact_whichever_library_is_chosen(rows: int) -> None:
    cpu_products.use_the_faster_exact_library.cache_clear()
    cpu_products.use_the_faster_exact_library()
    x, weight = torch.randn(rows, 512), torch.randn(200, 512)
    expected = x.double() @ weight.double().t()
    error = (torch.nn.functional.linear(x, weight) - expected).norm() / expected.norm()
    assert error < 1e-6
    batched = torch.bmm(x.expand(3, -1, -1), weight.t().expand(3, -1, -1))
    assert (batched[1] - expected).norm() / expected.norm() < 1e-6


@pytest.mark.skipif(MATMUL is None, reason="this torch has no such setting")
def test_a_library_that_rounds_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MATMUL is not None
    MATMUL.fp32_precision = "ieee"
    product = torch.Tensor.__matmul__

    def rounding(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        if one.dtype is torch.float32:
            return product(one.bfloat16(), other.bfloat16()).float()
        return product(one, other)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounding)
    cpu_products.use_the_faster_exact_library.cache_clear()
    cpu_products.use_the_faster_exact_library()
    assert MATMUL.fp32_precision == "ieee"
