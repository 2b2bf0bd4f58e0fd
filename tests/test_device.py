"""Precision, memory limits and out-of-memory errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nmt import device
from nmt.errors import ConfigError

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("wanted", "expected"), [("fp32", False), ("bf16", True), ("auto", "native")]
)
def test_products_have_the_requested_precision(
    monkeypatch: pytest.MonkeyPatch, native: bool, wanted: str, expected: bool | str
) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda _: native)
    with device.autocast(wanted, CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    bf16 = native if expected == "native" else expected
    assert product.dtype == (torch.bfloat16 if bf16 else torch.float32)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo")
def test_bf16_support_agrees_with_the_processor_flags() -> None:
    flags = Path("/proc/cpuinfo").read_text()
    assert device.has_bf16(CPU) == ("avx512_bf16" in flags or "amx_tile" in flags)


def test_a_huge_tensor_is_an_out_of_memory_error() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert device.is_out_of_memory(caught.value)


def test_out_of_memory_errors_and_others() -> None:
    assert device.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert device.is_out_of_memory(MemoryError())
    # The form in which CTranslate2 raises it.
    assert device.is_out_of_memory(RuntimeError("CUDA failed with error out of memory"))
    cublas = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    assert device.is_out_of_memory(RuntimeError(cublas))
    assert not device.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not device.is_out_of_memory(ValueError("not enough memory"))


def test_the_memory_limit_of_a_container_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    before = device.memory_bytes(CPU)
    monkeypatch.setattr(device, "_container_limits", lambda path: [123])
    assert device.memory_bytes(CPU) == 123 < before


@pytest.mark.parametrize("name", ["meta", "x", "gpu", ""])
def test_an_unavailable_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"device '{name}': not available; use cpu,"):
        device.choose_device(name)


@pytest.mark.parametrize(
    ("build", "count", "expected"),
    [
        (None, 0, "this build of torch is for CPUs only"),
        ("12.6", 0, "no CUDA device found"),
        ("12.6", 1, "not available, only cuda:0"),
        ("12.6", 2, "not available, only cuda:0 to cuda:1"),
    ],
)
def test_the_reason_for_unavailable_cuda_is_given(
    monkeypatch: pytest.MonkeyPatch, build: str | None, count: int, expected: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(torch, "empty", fail)
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ConfigError) as caught:
        device.choose_device("cuda:9")
    assert expected in str(caught.value)
    assert "use cuda" not in str(caught.value)


def test_without_a_precision_a_cpu_computes_in_fp32_and_a_gpu_in_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "has_bf16", lambda _: True)
    cpu, gpu = torch.device("cpu"), torch.device("xpu")
    assert not device.autocast(None, cpu)._enabled
    assert device.autocast("auto", cpu)._enabled
    assert device.autocast(None, gpu)._enabled
    assert not device.autocast("fp32", gpu)._enabled
