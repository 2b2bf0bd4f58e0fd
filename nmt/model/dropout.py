"""Dropout whose mask is cheap to draw on a CPU (Srivastava et al. 2014)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16


def dropout(x: Tensor, p: float) -> Tensor:
    """Zero each element with probability p and scale the others by 1 / (1 - p).

    On a CPU torch draws the mask with one Bernoulli variable an element, which can cost as much
    as all matrix products of a small model. Here one random 64-bit word serves four elements,
    16 bits each, at the price of p being rounded to a multiple of 2^-16.

    Args:
        x: floating point, any shape.
        p: in [0, 1); 0 returns x itself.
    """
    if p == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    # From -2^63 without an upper limit: all 64 bits are random.
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    level = words.view(torch.int16)[: x.numel()].view(x.shape)
    dropped = min(round(p * _LEVELS), _LEVELS - 1)
    # The lanes are signed: the lowest `dropped` of the 2^16 levels begin at -2^15. Clamped to the
    # highest of them and the one above, they are 0 and 1; bools are ten times as slow to convert.
    first_kept = dropped - _LEVELS // 2
    keep = level.clamp_(first_kept - 1, first_kept).sub_(first_kept - 1).to(x.dtype)
    return x * keep.mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Module):
    """`dropout` in training, the identity in evaluation."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return x with elements dropped, of the same shape."""
        return dropout(x, self.p if self.training else 0.0)
