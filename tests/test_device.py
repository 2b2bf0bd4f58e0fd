"""In which precision to compute, and what an out-of-memory error is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nmt import device

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("wanted", "expected"), [("fp32", False), ("bf16", True), ("auto", "native")]
)
def test_products_are_in_the_precision_asked_for(
    monkeypatch: pytest.MonkeyPatch, native: bool, wanted: str, expected: bool | str
) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda _: native)
    with device.autocast(wanted, CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    bf16 = native if expected == "native" else expected
    assert product.dtype == (torch.bfloat16 if bf16 else torch.float32)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo")
def test_the_processor_is_asked() -> None:
    flags = Path("/proc/cpuinfo").read_text()
    assert device.has_bf16(CPU) == ("avx512_bf16" in flags or "amx_tile" in flags)


def test_a_tensor_too_large_for_any_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert device.is_out_of_memory(caught.value)


def test_what_is_and_what_is_not() -> None:
    assert device.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert device.is_out_of_memory(MemoryError())
    # As CTranslate2 raises it.
    assert device.is_out_of_memory(RuntimeError("CUDA failed with error out of memory"))
    assert not device.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not device.is_out_of_memory(ValueError("not enough memory"))


def test_the_memory_of_a_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = device.memory_bytes(CPU)
    monkeypatch.setattr(device, "_container_limits", lambda path: [123])
    assert device.memory_bytes(CPU) == 123 < before
