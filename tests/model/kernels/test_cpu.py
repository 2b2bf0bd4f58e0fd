"""Each kernel computes the same as the plain expression it replaces."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch.testing import assert_close

from nmt.model.kernels import cpu

MATMUL = getattr(torch.backends.mkldnn, "matmul", None)


@pytest.fixture(autouse=True)
def _restore_precision() -> Iterator[None]:
    before = MATMUL.fp32_precision if MATMUL else None
    yield
    if MATMUL:
        MATMUL.fp32_precision = before


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_products_are_accurate_with_either_library(rows: int) -> None:
    cpu.prefer_onednn.cache_clear()
    cpu.prefer_onednn()
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
    cpu.prefer_onednn.cache_clear()
    cpu.prefer_onednn()
    assert MATMUL.fp32_precision == "ieee"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 5, 15, 16, 40])
def test_softmax_of_short_and_long_rows(size: int, dtype: torch.dtype) -> None:
    scores = torch.randn(2, 3, 4, size, dtype=dtype)
    assert_close(cpu.softmax(scores), scores.float().softmax(dim=-1).to(dtype))


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_memory_is_reused_by_the_next_tensor() -> None:
    """Count page faults in a separate process, because malloc settings are process-wide."""
    code = (
        "import resource, torch\n"
        "from nmt.model.kernels.cpu import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20): torch.ones(4 << 20)\n"  # 16 MB, 4,096 pages
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "before = faults()\n"
        "keep_freed_memory()\n"
        "print(before, faults())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after < before / 2
