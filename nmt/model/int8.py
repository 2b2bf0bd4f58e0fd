"""Products in int8, for translation on a CPU with nmt's own engine.

Weights are quantised once, with one scale per row of the matrix. Activations are quantised in every
product, with one scale per position, so that a sentence does not depend on the rest of its batch.
oneDNN has fast kernels only for signed weights with unsigned activations, so these are shifted.
"""

from __future__ import annotations

import functools
from copy import copy

import torch
from torch import Tensor, nn

from nmt.errors import ConfigError
from nmt.model.attention import MultiHeadAttention
from nmt.model.transformer import Transformer

_LARGEST = 127
_SHIFT = 128
_TOLERANCE = 0.03
_SMALLEST = 1e-30  # 127 divided by it is a float32


def quantise(network: Transformer) -> None:
    """Replace the matrix products of a network by products in int8, in place.

    Args:
        network: in evaluation mode, on the CPU, in float32.

    Raises:
        ConfigError: if this processor or this version of torch computes no products in int8.
    """
    if not _is_supported():
        raise ConfigError(
            "`compute` int8 in nmt's own engine needs oneDNN and a processor with int8 "
            "instructions (VNNI): choose float32"
        )
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if child is network.projection:
                setattr(module, name, Int8Projection(child.weight, child.bias))
            elif isinstance(child, nn.Linear):
                setattr(module, name, Int8Linear(child.weight, child.bias))
            elif isinstance(child, MultiHeadAttention):
                setattr(module, name, Int8Attention(child))
    network.arithmetic = "int8"


class Int8Linear(nn.Module):
    """A linear map like `torch.nn.Linear`, for inference.

    Args:
        weight: float32 matrix [out, in].
        bias: float32 vector [out], or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        weight = weight.detach()
        scales = _largest(weight)[:, 0] / _LARGEST
        self._pack((weight / scales[:, None]).round().to(torch.int8), scales)
        self._bias = None if bias is None else bias.detach()

    def _pack(self, levels: Tensor, scales: Tensor) -> None:
        self._packed = torch.ops.onednn.qlinear_prepack(levels, None)
        self._scales = scales
        self._zeros = torch.zeros(len(levels), dtype=torch.int64)

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 [..., in] to [..., out]."""
        largest = _largest(x)
        levels = (x * (_LARGEST / largest)).add_(_SHIFT + 0.5).to(torch.uint8)  # rounded
        out: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(levels, 1 / _LARGEST, _SHIFT),
            *(self._packed, self._scales, self._zeros, None),
            *(1.0, 0, torch.float32),
            *("none", [], ""),
        )
        return out.mul_(largest) if self._bias is None else torch.addcmul(self._bias, out, largest)


class Int8Projection(Int8Linear):
    """The projection to the vocabulary, which a shortlist reduces to some of its rows.

    Args:
        weight: float32 matrix [out, in].
        bias: float32 vector [out], or None.
    """

    def _pack(self, levels: Tensor, scales: Tensor) -> None:
        super()._pack(levels, scales)
        self._levels = levels  # the rows of packed weights cannot be selected

    def rows(self, ids_U: Tensor) -> Int8Linear:
        """Return the linear map to some of the rows."""
        chosen = copy(self)
        chosen._pack(self._levels[ids_U], self._scales[ids_U])
        if self._bias is not None:
            chosen._bias = self._bias[ids_U]
        return chosen


class Int8Attention(MultiHeadAttention):
    """Multi-head attention whose projections are computed in int8.

    Args:
        attention: the sub-layer that it replaces.
    """

    def __init__(self, attention: MultiHeadAttention) -> None:
        nn.Module.__init__(self)
        self.num_heads, self.widths = attention.num_heads, attention.widths
        self.dropout_p = attention.dropout_p
        self.qkv_weight = attention.qkv_weight
        weight, bias = attention.qkv_weight, attention.qkv_bias
        self._qkv = Int8Linear(weight, bias)
        width = self.widths[0]
        self._q = Int8Linear(weight[:width], None if bias is None else bias[:width])
        self._kv = Int8Linear(weight[width:], None if bias is None else bias[width:])
        self._out = Int8Linear(attention.out_weight, attention.out_bias)

    def project_queries(self, x_BLD: Tensor) -> Tensor:
        """Return the queries of all heads, [B, L, h * d_k]."""
        out_BLX: Tensor = self._q(x_BLD)
        return out_BLX

    def project_memory(self, x_BMD: Tensor) -> Tensor:
        """Return the keys and values of all heads, [B, M, h * (d_k + d_v)]."""
        out_BMX: Tensor = self._kv(x_BMD)
        return out_BMX

    def project_all(self, x_BLD: Tensor) -> Tensor:
        """Return queries, keys and values of all heads, [B, L, h * (2 * d_k + d_v)]."""
        out_BLX: Tensor = self._qkv(x_BLD)
        return out_BLX

    def project_out(self, heads_BLX: Tensor) -> Tensor:
        """Combine the heads, [B, L, h * d_v] to [B, L, d_model]."""
        out_BLD: Tensor = self._out(heads_BLX)
        return out_BLD


def _largest(x: Tensor) -> Tensor:
    """Return the largest absolute value of each row, [..., 1], above 0."""
    return x.abs().amax(dim=-1, keepdim=True).clamp_(min=_SMALLEST)


@functools.cache
def _is_supported() -> bool:
    """Check whether products in int8 exist and are right.

    Without VNNI, sums of two products saturate at 16 bits; values near the largest show it.
    """
    x = torch.linspace(0.5, 1, 64 * 64, device="cpu").view(64, 64)
    expected = x @ x.t()
    try:
        error = (Int8Linear(x)(x) - expected).norm() / expected.norm()
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return float(error) < _TOLERANCE
