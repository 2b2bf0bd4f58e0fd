"""Position encodings, added to the embeddings (paper, section 3.5) or concatenated to them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.config import TransformerConfig


def sinusoids(start: int, length: int, d_model: int) -> Tensor:
    """Compute PE(pos, 2i) = sin(pos / 10000^(2i/d_model)) and PE(pos, 2i+1) = cos(same).

    Wavelengths go from 2*pi to 10000 * 2*pi (paper, section 3.5).

    Args:
        start: the first position, from 0.
        length: number of positions.
        d_model: width, even.

    Returns:
        float32, [length, d_model].
    """
    # float64: at position 5000 the argument in float32 is already off in the fourth decimal.
    position_T1 = torch.arange(start, start + length, dtype=torch.float64, device="cpu")[:, None]
    exponent = torch.arange(0, d_model, 2, dtype=torch.float64, device="cpu") / d_model
    angle_TI = position_T1 / 10000.0**exponent
    return torch.stack([angle_TI.sin(), angle_TI.cos()], dim=-1).flatten(1).float()


class SinusoidalPositions(nn.Module):
    """The paper's sines and cosines, for positions without limit."""

    max_length: int | None = None
    table_MD: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        # Not a weight: it can be computed again, so it is not saved, and it grows when needed.
        self.register_buffer("table_MD", sinusoids(0, 512, d_model), persistent=False)

    def forward(self, start: int, length: int) -> Tensor:
        """Return the encodings of positions start .. start + length - 1, [length, d_model]."""
        table_MD = self.table_MD
        size, d_model = table_MD.shape
        if start + length > size:
            table_MD = sinusoids(0, max(start + length, 2 * size), d_model).to(table_MD)
            self.table_MD = table_MD  # not read again: another thread may put a shorter one there
        return table_MD[start : start + length]


class LearnedPositions(nn.Module):
    """One learned vector a position (paper, Table 3, row E).

    Args:
        d_model: width.
        max_length: number of positions; asking for more is an error of the caller.
    """

    def __init__(self, d_model: int, max_length: int) -> None:
        super().__init__()
        self.max_length: int | None = max_length
        self.weight = nn.Parameter(torch.empty(max_length, d_model))
        nn.init.normal_(self.weight, std=d_model**-0.5)

    def forward(self, start: int, length: int) -> Tensor:
        """Return the vectors of positions start .. start + length - 1, [length, d_model]."""
        assert start + length <= self.weight.shape[0], "position beyond the learned ones"
        return self.weight[start : start + length]


class NoPositions(nn.Module):
    """Zeros: a source is words in no order, and of a target the decoder's mask tells it."""

    max_length: int | None = None
    zeros_1D: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        # A buffer, so as to be on the device and in the dtype of the embeddings.
        self.register_buffer("zeros_1D", torch.zeros(1, d_model, device="cpu"), persistent=False)

    def forward(self, start: int, length: int) -> Tensor:
        """Return [length, d_model], wherever they start."""
        return self.zeros_1D.expand(length, -1)


Positions = SinusoidalPositions | LearnedPositions | NoPositions


def make_positions(config: TransformerConfig) -> Positions:
    """Make the kind of positions that the configuration names, of the width that it gives them."""
    width = config.position_width
    if config.positions.kind == "learned":
        return LearnedPositions(width, config.positions.max_length)
    return NoPositions(width) if config.positions.kind == "none" else SinusoidalPositions(width)


def place(x_BLE: Tensor, positions_LP: Tensor, combine: str) -> Tensor:
    """Tell embeddings their positions.

    Args:
        x_BLE: scaled embeddings.
        positions_LP: what `Positions` give for the L places, or for one that all have.
        combine: `add`, for which E and P are d_model, or `concat`, for which they sum up to it.

    Returns:
        [B, L, d_model].
    """
    if combine == "add":
        return x_BLE + positions_LP
    return torch.cat([x_BLE, positions_LP.expand(*x_BLE.shape[:-1], -1)], dim=-1)
