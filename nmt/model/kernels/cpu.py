"""Faster CPU equivalents of simple expressions in the model, and process-wide settings."""

from __future__ import annotations

import ctypes
import functools
import sys

import torch
import torch.nn.functional as F
from torch import Tensor

_LEVELS = 1 << 16
_VECTOR = 16  # float32 elements in the widest vector register
_TOLERANCE = 1e-5  # float32 products are off by a few 1e-7, bfloat16 ones by more than 1e-3
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_LARGEST_KEPT = 32 << 20  # bytes; glibc accepts no higher threshold
_ALL_KEPT = 2**31 - 1


def dropout(x: Tensor, p: float) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    torch draws one Bernoulli variable per element, which can cost as much as all matrix products
    of a small model. Here one random 64-bit word serves four elements, 16 bits each, so p is
    rounded to a multiple of 2^-16.

    Args:
        x: floating point, any shape, on the CPU.
        p: in (0, 1).
    """
    # A range from -2^63 without an upper limit makes all 64 bits random.
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    level = words.view(torch.int16)[: x.numel()].view(x.shape)
    dropped = min(round(p * _LEVELS), _LEVELS - 1)
    # The 16-bit numbers are signed, so the lowest `dropped` of the 2^16 levels start at -2^15.
    # Clamping to the highest of them and the next level gives 0 and 1 after a subtraction.
    # Converting a bool mask takes ten times as long.
    first_kept = dropped - _LEVELS // 2
    keep = level.clamp_(first_kept - 1, first_kept).sub_(first_kept - 1).to(x.dtype)
    return x * keep.mul_(_LEVELS / (_LEVELS - dropped))


def softmax(scores_BHLM: Tensor) -> Tensor:
    """Return the softmax over the last dimension, computed in float32 or better.

    torch computes rows shorter than a vector register one element at a time, ten times slower.
    Most sentences are that short, so their rows are padded with -inf.
    """
    size = scores_BHLM.shape[-1]
    padding = max(0, _VECTOR - size)
    padded_BHLM = F.pad(scores_BHLM, (0, padding), value=-torch.inf) if padding else scores_BHLM
    exact = torch.promote_types(scores_BHLM.dtype, torch.float32)
    weights_BHLM = padded_BHLM.softmax(dim=-1, dtype=exact)[..., :size]
    return weights_BHLM.to(scores_BHLM.dtype)


def tune_process() -> None:
    """Choose the library for float32 matrix products and keep freed memory, once per process."""
    if not torch.cuda.is_available():  # the setting is global, and confuses compilers for GPUs
        prefer_onednn()
    keep_freed_memory()


@functools.cache
def prefer_onednn() -> None:
    """Use oneDNN for float32 matrix products if it computes them in float32 on this processor.

    By default torch uses MKL, which reaches only half the speed of AMD processors. It uses oneDNN
    only where products may be rounded to bfloat16. Whether oneDNN then rounds depends on the
    processor (with AMX it does), so this function tests it.
    """
    settings = getattr(torch.backends.mkldnn, "matmul", None)  # torch 2.9 and newer
    if settings is None or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    if not _is_exact():
        settings.fp32_precision = before


def _is_exact() -> bool:
    """Check whether float32 products are accurate, including those of a backward pass."""
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(256, 256, generator=generator, device="cpu") for _ in range(2))
    products = [(one, other), (one, other.t()), (one.t(), other)]
    return all(
        float((left @ right - left.double() @ right.double()).norm())
        <= _TOLERANCE * float((left.double() @ right.double()).norm())
        for left, right in products
    )


@functools.cache
def keep_freed_memory() -> None:
    """Make glibc keep the memory of freed tensors instead of returning it to the system.

    The system clears returned memory page by page before the next tensor gets it, which takes a
    fifth of translation time. Does nothing if the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, _ALL_KEPT)
