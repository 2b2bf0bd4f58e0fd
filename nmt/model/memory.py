"""Telling that memory ran out from other failures."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch, CTranslate2 or Python means that a tensor did not fit.

    Torch's allocator for a GPU has a class of error for it; that for the CPU and CTranslate2 raise
    a plain RuntimeError.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = ("DefaultCPUAllocator", "not enough memory", "out of memory")
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)
