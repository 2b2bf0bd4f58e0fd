"""The Simpler Simple Recurrent Unit, in place of masked self-attention (Kim et al. 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nmt.model.cache import Cell


class SSRU(nn.Module):
    """c_t = f_t * c_(t-1) + (1 - f_t) * W x_t with f_t = sigmoid(W_f x_t + b_f); out = ReLU(c_t).

    A step of the decoder then takes the same time at every position, and two products instead of
    four (Kim et al. 2019, "From Research to Production and Back", equations 1 to 4).

    Args:
        d_model: width of input, cell and output.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.candidate = nn.Linear(d_model, d_model, bias=False)
        self.forget = nn.Linear(d_model, d_model, bias=False)
        self.forget_bias = nn.Parameter(torch.zeros(d_model))
        for linear in (self.candidate, self.forget):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, x_BTD: Tensor, past: Cell | None = None) -> Tensor:
        """Read a sequence from its beginning, or one more token of each hypothesis.

        Args:
            x_BTD: the sequence; with `past`, the newest token of each hypothesis [B, W, D].
            past: cells of the hypotheses before it, replaced by those after it.

        Returns:
            [B, T, D].
        """
        forget_BTD = torch.sigmoid(self.forget(x_BTD) + self.forget_bias)
        new_BTD = (1 - forget_BTD) * self.candidate(x_BTD)
        if past is None:
            return F.relu(scan(forget_BTD, new_BTD))
        past.c_BWD = forget_BTD * past.c_BWD + new_BTD
        return F.relu(past.c_BWD)

    def empty_past(self, batch_size: int) -> Cell:
        """Return the cells that decoding starts from."""
        return Cell(self.forget_bias.new_zeros(batch_size, 1, len(self.forget_bias)))


def scan(forget_BTD: Tensor, new_BTD: Tensor) -> Tensor:
    """Return c with c_t = forget_t * c_(t-1) + new_t, starting from 0.

    It takes log2(T) steps instead of T (Hillis and Steele 1986): after each, every position has
    summed up twice as many positions before it. What follows a position does not change it.
    """
    step = 1
    while step < new_BTD.shape[1]:
        earlier_BTD = F.pad(new_BTD[:, :-step], (0, 0, step, 0))
        new_BTD = new_BTD + forget_BTD * earlier_BTD
        forget_BTD = forget_BTD * F.pad(forget_BTD[:, :-step], (0, 0, step, 0))
        step *= 2
    return new_BTD
