"""Dropout (Srivastava et al. 2014)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nmt.model.kernels import cpu


def dropout(x: Tensor, p: float) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    Args:
        x: floating point, any shape.
        p: in [0, 1); 0 returns x itself.
    """
    if p == 0.0:
        return x
    return cpu.dropout(x, p) if x.device.type == "cpu" else F.dropout(x, p)


class Dropout(nn.Module):
    """`dropout` in training mode, the identity in evaluation mode."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return x with dropout applied; the shape stays the same."""
        return dropout(x, self.p if self.training else 0.0)
