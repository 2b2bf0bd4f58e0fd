"""Feed-forward network, residual sub-layer, encoder and decoder layer (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from nmt.config import TransformerConfig
from nmt.model.attention import KeyValues, MultiHeadAttention, Past
from nmt.model.dropout import Dropout

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "swiglu": F.silu,
}


class FeedForward(nn.Module):
    """FFN(x) = max(0, x W1 + b1) W2 + b2 (paper, equation 2).

    GELU (Hendrycks and Gimpel 2016) can take the place of the rectifier. SwiGLU (Shazeer 2020)
    multiplies by a second projection: (silu(x W1) * x V) W2, without biases.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gated = config.activation == "swiglu"
        self.activation = _ACTIVATIONS[config.activation]
        inner = config.d_ff * (2 if self.gated else 1)
        self.inner = nn.Linear(config.d_model, inner, bias=not self.gated)
        self.outer = nn.Linear(config.d_ff, config.d_model, bias=not self.gated)
        self.dropout = Dropout(config.activation_dropout)
        for weight in [*self.inner.weight.chunk(inner // config.d_ff), self.outer.weight]:
            nn.init.xavier_uniform_(weight)
        for bias in (self.inner.bias, self.outer.bias):
            if bias is not None:
                nn.init.zeros_(bias)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """Map every position on its own, [B, L, D] to [B, L, D]."""
        h_BLF = self.inner(x_BLD)
        if self.gated:
            gate_BLF, h_BLF = h_BLF.chunk(2, dim=-1)
            h_BLF = self.activation(gate_BLF) * h_BLF
        else:
            h_BLF = self.activation(h_BLF)
        out_BLD: Tensor = self.outer(self.dropout(h_BLF))
        return out_BLD


class Residual(nn.Module):
    """LayerNorm(x + Dropout(Sublayer(x))) (paper, section 5.4).

    With `norm: pre` it is x + Dropout(Sublayer(LayerNorm(x))) (Xiong et al. 2020).
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.dropout = Dropout(config.dropout)
        self.pre_norm = config.norm == "pre"

    def forward(self, x_BLD: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a sub-layer that maps [B, L, D] to [B, L, D]."""
        out_BLD: Tensor
        if self.pre_norm:
            out_BLD = x_BLD + self.dropout(sublayer(self.norm(x_BLD)))
        else:
            out_BLD = self.norm(x_BLD + self.dropout(sublayer(x_BLD)))
        return out_BLD


def _attention(config: TransformerConfig) -> MultiHeadAttention:
    width = config.d_model // config.num_heads
    return MultiHeadAttention(
        config.d_model,
        config.num_heads,
        config.d_k or width,
        config.d_v or width,
        config.attention_dropout,
    )


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward (paper, Figure 1, left)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = _attention(config)
        self.feed_forward = FeedForward(config)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(2))

    def forward(self, x_BSD: Tensor, src_mask: Tensor) -> Tensor:
        """Encode one layer further.

        Args:
            x_BSD: the source.
            src_mask: bool [B, 1, 1, S], True at tokens, False at padding.
        """
        attend, feed = self.residuals
        x_BSD = attend(x_BSD, lambda x: self.self_attention(x, src_mask))
        x_BSD = feed(x_BSD, self.feed_forward)
        return x_BSD


class DecoderLayer(nn.Module):
    """Masked self-attention, attention to the encoder, feed-forward (paper, Figure 1, right)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = _attention(config)
        self.cross_attention = _attention(config)
        self.feed_forward = FeedForward(config)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(3))

    def forward(
        self,
        x_BTD: Tensor,
        tgt_mask: Tensor,
        memory: KeyValues,
        src_mask: Tensor,
        past: Past | None = None,
        start: int = 0,
    ) -> Tensor:
        """Decode one layer further.

        Args:
            x_BTD: the target, or with `past` what comes after it.
            tgt_mask: bool, broadcastable to [B, H, T, T], or with `past` to [B, H, T, its size].
            memory: keys and values of the encoder's output, from `cross_attention.keys_values`.
            src_mask: bool [B, 1, 1, S], True at tokens, False at padding.
            past, start: as in `MultiHeadAttention.forward`.
        """
        attend, cross, feed = self.residuals
        x_BTD = attend(x_BTD, lambda x: self.self_attention(x, tgt_mask, past=past, start=start))
        x_BTD = cross(x_BTD, lambda x: self.cross_attention(x, src_mask, memory=memory))
        x_BTD = feed(x_BTD, self.feed_forward)
        return x_BTD
