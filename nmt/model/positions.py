"""Position encodings, added to the embeddings (paper, section 3.5) or concatenated with them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.config.models import TransformerConfig


def sinusoids(start: int, length: int, d_model: int) -> Tensor:
    """Return PE(pos, 2i) = sin(pos / 10000^(2i/d_model)) and PE(pos, 2i+1) = cos(same).

    Wavelengths range from 2*pi to 10000 * 2*pi (paper, section 3.5).

    Args:
        start: first position, counting from 0.
        length: number of positions.
        d_model: width; even.

    Returns:
        float32, [length, d_model].
    """
    # float64, because at position 5000 a float32 angle is already off in the fourth decimal.
    position_T1 = torch.arange(start, start + length, dtype=torch.float64, device="cpu")[:, None]
    exponent = torch.arange(0, d_model, 2, dtype=torch.float64, device="cpu") / d_model
    angle_TI = position_T1 / 10000.0**exponent
    return torch.stack([angle_TI.sin(), angle_TI.cos()], dim=-1).flatten(1).float()


class SinusoidalPositions(nn.Module):
    """The paper's sines and cosines, for any number of positions."""

    max_length: int | None = None
    table_MD: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        # Not saved with the weights: it can be recomputed, and it grows when needed.
        self.register_buffer("table_MD", sinusoids(0, 512, d_model), persistent=False)

    def forward(self, start: int, length: int) -> Tensor:
        """Return the encodings of positions start .. start + length - 1, [length, d_model]."""
        table_MD = self.table_MD
        size, d_model = table_MD.shape
        if start + length > size:
            table_MD = sinusoids(0, max(start + length, 2 * size), d_model).to(table_MD)
            self.table_MD = table_MD  # not read back: another thread may store a shorter table
        return table_MD[start : start + length]


class LearnedPositions(nn.Module):
    """One learned vector per position (paper, Table 3, row E).

    Args:
        d_model: width.
        max_length: number of positions; the caller must not ask for more.
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
    """Zeros: the encoder sees an unordered source; the decoder sees order through its mask."""

    max_length: int | None = None
    zeros_1D: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        # A buffer, so that it follows the embeddings to their device and dtype.
        self.register_buffer("zeros_1D", torch.zeros(1, d_model, device="cpu"), persistent=False)

    def forward(self, start: int, length: int) -> Tensor:
        """Return zeros, [length, d_model]."""
        return self.zeros_1D.expand(length, -1)


Positions = SinusoidalPositions | LearnedPositions | NoPositions


def make_positions(config: TransformerConfig) -> Positions:
    """Return positions of the configured kind and width."""
    width = config.position_width
    if config.positions.kind == "learned":
        return LearnedPositions(width, config.positions.max_length)
    return NoPositions(width) if config.positions.kind == "none" else SinusoidalPositions(width)


def with_positions(x_BLE: Tensor, positions_LP: Tensor, combine: str) -> Tensor:
    """Add position encodings to embeddings, or concatenate them.

    Args:
        x_BLE: scaled embeddings.
        positions_LP: encodings of the L positions, or of a single position that all share.
        combine: `add`, where E and P are d_model, or `concat`, where they sum to d_model.

    Returns:
        [B, L, d_model].
    """
    if combine == "add":
        return x_BLE + positions_LP
    return torch.cat([x_BLE, positions_LP.expand(*x_BLE.shape[:-1], -1)], dim=-1)
