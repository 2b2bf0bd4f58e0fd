"""Telling that memory ran out from other failures."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch or Python means that a tensor did not fit into memory.

    A GPU's allocator has a class of error for it; that of the CPU raises a plain RuntimeError.
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator" in str(error) or "not enough memory" in str(error)
    )
