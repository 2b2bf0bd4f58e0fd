"""Devices: choosing one, its memory and precision, and recognising out-of-memory errors."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from nmt.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the named device; `auto` is a GPU if there is one, otherwise the CPU.

    Raises:
        ConfigError: if the device is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).tolist()  # fails on torch's meta device, which has no memory
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r}: {_missing_device(name)}") from error
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # kernels of libraries use the current one
    return device


def runs_behind(device: torch.device) -> bool:
    """Return whether a device only queues work, and computes while the program goes on."""
    return device.type == "cuda"


def upload(tensors: Sequence[Tensor], device: torch.device | str) -> list[Tensor]:
    """Return tensors of the CPU on a device.

    A GPU copies them while it computes what was queued before, and the program does not wait.
    """
    device = torch.device(device)
    if not runs_behind(device):
        return [tensor.to(device) for tensor in tensors]
    copying, computing = _copy_stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(copying):
        # Copies from memory that is not pinned would wait.
        copies = [tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors]
    computing.wait_stream(copying)
    for copy in copies:
        copy.record_stream(computing)  # else their memory could be reused before they are
    return copies


@functools.cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the queue of copies to a GPU, next to that of computations."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class Download:
    """A copy of a tensor on the CPU, which can be asked for now and read later.

    Reading waits for the work that was queued before the copy, not for what was queued since.

    Args:
        tensor: on any device; it must not change.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._event = None
        if runs_behind(tensor.device):
            tensor = tensor.to("cpu", non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        self._tensor = tensor

    def tolist(self) -> list[float]:
        """Return the elements of a vector."""
        if self._event is not None:
            self._event.synchronize()
        elements: list[float] = self._tensor.tolist()
        return elements


def _missing_device(name: str) -> str:
    """Return why a device is not available, and which ones are."""
    count = torch.cuda.device_count()
    if not name.startswith("cuda"):
        return f"not available; use cpu, {'cuda, ' if count else ''}or auto"
    if torch.version.cuda is None and torch.version.hip is None:
        return "this build of torch is for CPUs only: install one with CUDA, or use cpu"
    if not count:
        return "no CUDA device found, or its driver is missing: use cpu"
    numbers = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
    return f"not available, only {numbers}"


def memory_bytes(device: torch.device) -> int:
    """Return the memory of a device, or of the container; sys.maxsize if it is unknown."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if not hasattr(os, "sysconf"):  # Windows
        return sys.maxsize
    return min(
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        *_container_limits("/sys/fs/cgroup/memory.max"),
        *_container_limits("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    )


def _container_limits(path: str) -> list[int]:
    """Return the memory limit in a cgroup file, as a list; empty if there is none (`max`)."""
    try:
        return [int(Path(path).read_text("ascii"))]
    except (OSError, ValueError):
        return []


def autocast(precision: str | None, device: torch.device) -> torch.autocast:
    """Return the autocast context of a forward pass, which computes in bf16 or fp32.

    Args:
        precision: as in `train.precision`.
        device: device of the network.
    """
    if precision is None:
        precision = "fp32" if device.type == "cpu" else "auto"
    bf16 = precision == "bf16" or (precision == "auto" and has_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def has_bf16(device: torch.device) -> bool:
    """Return whether a device has bf16 instructions; without them bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return device.type == "xpu"
    # AMX on Intel, AVX-512 BF16 on Intel and AMD; torch has no public function for this.
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def widest_float(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on Apple's GPUs, which have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch, CTranslate2 or Python means that memory ran out.

    torch's GPU allocator has a separate error class; its CPU allocator and CTranslate2 raise a
    plain RuntimeError.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    phrases = (
        *("DefaultCPUAllocator", "not enough memory", "out of memory"),
        *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
    )
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)
