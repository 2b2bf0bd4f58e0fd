"""Where and in which precision to compute, and whether memory ran out there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from nmt.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Turn a device's name, or `auto`, into a device that is there.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).tolist()  # which fails on torch's device without memory
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r}: {_missing_device(name)}") from error
    return device


def _missing_device(name: str) -> str:
    """Say why a device is not there, and which ones are."""
    count = torch.cuda.device_count()
    if not name.startswith("cuda"):
        return f"not here; use cpu, {'cuda, ' if count else ''}or auto"
    if torch.version.cuda is None and torch.version.hip is None:
        return "this torch is a build for CPUs, without CUDA: install one with it, or use cpu"
    if not count:
        return "there is no CUDA device, or no driver for it: use cpu"
    numbers = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
    return f"not here; there is {numbers}"


def memory_bytes(device: torch.device) -> int:
    """Return the memory of a device or a container; the largest number if it cannot be told."""
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
    """Read a limit of a control group, which a container has; `max` is none."""
    try:
        return [int(Path(path).read_text("ascii"))]
    except (OSError, ValueError):
        return []


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass: bf16 through autocast, or fp32.

    Args:
        precision: `fp32`, `bf16`, or `auto`: bf16 where the device computes in it natively.
        device: where the network is.
    """
    bf16 = precision == "bf16" or (precision == "auto" and has_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def has_bf16(device: torch.device) -> bool:
    """Return whether a device has bf16 instructions; without them bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # AMX on Intel, AVX-512 BF16 on both; torch has no public name for the question.
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch, CTranslate2 or Python means that a tensor did not fit.

    torch's GPU allocator has an error class for it; its CPU allocator and CTranslate2 raise a
    plain RuntimeError.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    phrases = ("DefaultCPUAllocator", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)
