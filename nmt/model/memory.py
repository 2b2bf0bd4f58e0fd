"""Memory of the CPU and of GPUs: keeping what is used again and again, telling when it runs out."""

from __future__ import annotations

import ctypes
import functools
import sys

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_KEPT = 32 << 20  # bytes; glibc takes no higher threshold
_ALL_KEPT = 2**31 - 1


@functools.cache
def keep_freed_memory() -> None:
    """Have the C library keep the memory of tensors on the CPU when they are freed.

    By default it returns most of it to the system, which clears it page by page before the next
    tensor gets it: a fifth of the time of a translation. Does nothing where the C library is not
    glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, _ALL_KEPT)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch, CTranslate2 or Python means that a tensor did not fit.

    Torch's allocator for a GPU has a class of error for it; that for the CPU and CTranslate2 raise
    a plain RuntimeError.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = ("DefaultCPUAllocator", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)
