"""Faster GPU equivalents of simple expressions in the model."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def attention(
    q_BHLK: Tensor, k_BHMK: Tensor, v_BHMK: Tensor, mask: Tensor | None, dropout_p: float
) -> Tensor:
    """Return softmax(q k^T / sqrt(d_k)) v from one fused kernel.

    Args:
        q_BHLK, k_BHMK, v_BHMK, mask, dropout_p: as in
            `nmt.model.attention.scaled_dot_product_attention`.
    """
    return F.scaled_dot_product_attention(
        q_BHLK, k_BHMK, v_BHMK, attn_mask=mask, dropout_p=dropout_p
    )


def tune_for_training(*, tf32: bool) -> None:
    """Make training on a GPU reproducible, as far as torch can, and avoid a faulty kernel.

    A resumed run is to equal an uninterrupted one, so slower deterministic kernels are used where
    there is a choice; torch warns where there is none. cuDNN's attention is turned off: with a mask
    its gradients may be NaN (pytorch issue 196678), and it compiles a kernel for each length.

    Args:
        tf32: whether float32 products may round their factors to TF32.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.enable_cudnn_sdp(False)
    _allow_tf32(tf32)


def _allow_tf32(allowed: bool) -> None:
    """Let float32 products of the GPU round to TF32, or forbid it; cuDNN does by default."""
    backends: Any = torch.backends
    matmul, cudnn = backends.cuda.matmul, backends.cudnn
    if hasattr(matmul, "fp32_precision"):  # torch 2.9 and newer, which refuse to mix both ways
        for settings in (matmul, cudnn.conv, cudnn.rnn):
            settings.fp32_precision = "tf32" if allowed else "ieee"
    else:
        matmul.allow_tf32 = cudnn.allow_tf32 = allowed
