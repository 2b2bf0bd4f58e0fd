"""Telling that memory ran out."""

from __future__ import annotations

import pytest
import torch

from nmt.model.memory import is_out_of_memory


def test_a_tensor_too_large_for_any_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)


def test_what_is_and_what_is_not() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA failed with error out of memory"))  # CTranslate2's
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("not enough memory"))
