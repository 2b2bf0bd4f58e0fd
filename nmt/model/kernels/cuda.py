"""Faster GPU equivalents of simple expressions in the model."""

from __future__ import annotations

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
