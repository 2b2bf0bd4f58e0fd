"""The Transformer (paper, section 3 and Figure 1): layers, encode, decode, project."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nmt.config.models import TransformerConfig
from nmt.model.attention import MultiHeadAttention
from nmt.model.cache import Cell, DecoderState, KeyValues, Past
from nmt.model.dropout import Dropout
from nmt.model.network import Network
from nmt.model.positions import make_positions, with_positions
from nmt.model.ssru import SSRU

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "swish": F.silu,
    "swiglu": F.silu,
}


class FeedForward(nn.Module):
    """FFN(x) = max(0, x W1 + b1) W2 + b2 (paper, equation 2).

    The activation may be GELU instead (Hendrycks and Gimpel 2016), swish (Ramachandran et al. 2017)
    or SwiGLU (Shazeer 2020), which multiplies by a second projection and has no biases:
    (silu(x W1) * x V) W2.
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
        """Transform each position independently, [B, L, D] to [B, L, D]."""
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

    With `norm: pre` this is x + Dropout(Sublayer(LayerNorm(x))) (Xiong et al. 2020).
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
        config.attention_bias,
    )


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward (paper, Figure 1, left)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.self_attention = _attention(config)
        self.feed_forward = FeedForward(config)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(2))

    def forward(self, x_BSD: Tensor, src_mask: Tensor) -> Tensor:
        """Apply the layer, [B, S, D] to [B, S, D].

        Args:
            x_BSD: source representations.
            src_mask: bool [B, 1, 1, S], True at tokens, False at padding.
        """
        attend, feed = self.residuals
        x_BSD = attend(x_BSD, lambda x: self.self_attention(x, src_mask))
        x_BSD = feed(x_BSD, self.feed_forward)
        return x_BSD


class DecoderLayer(nn.Module):
    """Masked self-attention, attention to the encoder, feed-forward (paper, Figure 1, right).

    With `decoder: ssru`, a recurrent unit takes the place of the self-attention.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        recurrent = config.decoder == "ssru"
        self.self_attention = None if recurrent else _attention(config)
        self.ssru = SSRU(config.d_model) if recurrent else None
        self.cross_attention = _attention(config)
        self.feed_forward = FeedForward(config)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(3))

    def forward(
        self,
        x_BTD: Tensor,
        tgt_mask: Tensor,
        memory: Tensor | KeyValues,
        src_mask: Tensor,
        past: Past | Cell | None = None,
        start: int = 0,
    ) -> Tensor:
        """Apply the layer, [B, T, D] to [B, T, D].

        Args:
            x_BTD: target representations; with `past`, those of the newest positions.
            tgt_mask: bool, broadcastable to [B, H, T, T]; with `past`, to [B, H, T, size of past].
            memory: the encoder's output [B, S, D], or its keys and values from
                `cross_attention.keys_values`.
            src_mask: bool [B, 1, 1, S], True at tokens, False at padding.
            past, start: as in `MultiHeadAttention.forward` or `SSRU.forward`.
        """
        if isinstance(memory, Tensor):
            memory = self.cross_attention.keys_values(memory)
        attend, cross, feed = self.residuals
        x_BTD = attend(x_BTD, lambda x: self._read(x, tgt_mask, past, start))
        x_BTD = cross(x_BTD, lambda x: self.cross_attention(x, src_mask, memory=memory))
        x_BTD = feed(x_BTD, self.feed_forward)
        return x_BTD

    def empty_past(self, batch_size: int) -> Past | Cell:
        """Return what the layer keeps of the tokens read so far, before the first."""
        sublayer = self.self_attention or self.ssru
        assert sublayer is not None
        return sublayer.empty_past(batch_size)

    def _read(
        self, x_BTD: Tensor, tgt_mask: Tensor, past: Past | Cell | None, start: int
    ) -> Tensor:
        """Apply the sub-layer that reads the target tokens before each position."""
        if self.ssru is not None:
            out_BTD: Tensor = self.ssru(x_BTD, past)
        else:
            assert self.self_attention is not None
            out_BTD = self.self_attention(x_BTD, tgt_mask, past=past, start=start)
        return out_BTD


class Transformer(Network[DecoderState]):
    """The encoder-decoder model of the paper.

    Embeddings are scaled by sqrt(d_model) and share a matrix with the output projection as set by
    `config.tie_embeddings` (paper, section 3.4). Embeddings with concatenated positions are
    narrower, and scaled by the square root of their own width.

    Args:
        config: model configuration.
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and of the output projection.
        src_pad_id: padding id of the source vocabulary.

    Attributes:
        checkpoints_activations: keep only the inputs of layers for the backward pass, which
            recomputes everything else.
    """

    checkpoints_activations = False

    def __init__(
        self, config: TransformerConfig, src_vocab_size: int, tgt_vocab_size: int, src_pad_id: int
    ) -> None:
        super().__init__()
        self.src_pad_id = src_pad_id
        width = config.embedding_width
        self.embedding_scale = math.sqrt(width)
        tied = config.tie_embeddings
        self.src_embedding = _embedding(src_vocab_size, width)
        self.tgt_embedding = (
            self.src_embedding if tied == "all" else _embedding(tgt_vocab_size, width)
        )
        # On the meta device, without memory: its parameters are replaced right away.
        self.projection = nn.Linear(config.d_model, tgt_vocab_size, bias=False, device="meta")
        if config.output_bias:
            self.projection.bias = nn.Parameter(torch.zeros(tgt_vocab_size))
        if tied == "none":
            self.projection.weight = nn.Parameter(torch.empty(tgt_vocab_size, config.d_model))
            nn.init.normal_(self.projection.weight, std=config.d_model**-0.5)
        else:
            self.projection.weight = self.tgt_embedding.weight
        self.src_positions = make_positions(config)
        self.tgt_positions = make_positions(config)
        self.combine_positions = config.positions.combine
        self.max_length = self.src_positions.max_length
        self.layer_dropout = config.layer_dropout
        p = config.dropout if config.embedding_dropout is None else config.embedding_dropout
        self.dropout = Dropout(p)
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(config) for _ in range(config.encoder_layers)
        )
        decoder_layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.decoder_layers = cast("list[DecoderLayer]", decoder_layers)  # ModuleList is untyped
        # With pre-norm, the output of the last residual is not normalised yet.
        pre_norm = config.norm == "pre"
        self.encoder_norm = nn.LayerNorm(config.d_model) if pre_norm else nn.Identity()
        self.decoder_norm = nn.LayerNorm(config.d_model) if pre_norm else nn.Identity()

    def hidden(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        """Return the decoder outputs of all positions; see `Network.hidden`."""
        return self.decode(tgt_in_BT, *self.encode(src_BS))

    def encode(self, src_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the source.

        Returns:
            The memory [B, S, D] and its mask, bool [B, 1, 1, S], True at tokens.
        """
        src_mask = (src_BS != self.src_pad_id)[:, None, None, :]
        positions_SP = self.src_positions(0, src_BS.shape[1])
        x_BSD = self._embed(src_BS, self.src_embedding, positions_SP)
        for layer in self.encoder_layers:
            x_BSD = self._run_layer(layer, x_BSD, src_mask)
        memory_BSD: Tensor = self.encoder_norm(x_BSD)
        return memory_BSD, src_mask

    def decode(self, tgt_in_BT: Tensor, memory_BSD: Tensor, src_mask: Tensor) -> Tensor:
        """Decode all positions at once under a causal mask; return [B, T, D]."""
        length = tgt_in_BT.shape[1]
        causal_TT = torch.ones(length, length, dtype=torch.bool, device=tgt_in_BT.device).tril()
        x_BTD = self._embed(tgt_in_BT, self.tgt_embedding, self.tgt_positions(0, length))
        for layer in self.decoder_layers:
            x_BTD = self._run_layer(layer, x_BTD, causal_TT, memory_BSD, src_mask)
        out_BTD: Tensor = self.decoder_norm(x_BTD)
        return out_BTD

    def start_decoding(self, src_BS: Tensor) -> DecoderState:
        """Encode the source and return a state with one hypothesis per sentence."""
        memory_BSD, src_mask = self.encode(src_BS)
        size = len(src_BS)
        return DecoderState(
            position=0,
            used=0,
            past=[layer.empty_past(size) for layer in self.decoder_layers],
            history_BWM=src_mask.new_empty(size, 1, 0),
            memory=[layer.cross_attention.keys_values(memory_BSD) for layer in self.decoder_layers],
            src_mask=src_mask,
        )

    def decode_step(self, tokens_BW: Tensor, state: DecoderState) -> Tensor:
        """Decode one position; see `Network.decode_step`."""
        state.make_room()
        position_1P = self.tgt_positions(state.position, 1)
        x_BWD = self._embed(tokens_BW, self.tgt_embedding, position_1P)
        for layer, past, memory in zip(self.decoder_layers, state.past, state.memory, strict=True):
            # The hypotheses of a sentence are treated as positions of one sequence.
            history_B1WM = state.history_BWM[:, None]
            x_BWD = layer(x_BWD, history_B1WM, memory, state.src_mask, past, state.used)
        state.used += tokens_BW.shape[1]
        state.position += 1
        out_BWD: Tensor = self.decoder_norm(x_BWD)
        return out_BWD

    def _run_layer(self, layer: nn.Module, x_BLD: Tensor, *context: Tensor) -> Tensor:
        """Apply a layer; in training, return its input instead with probability `layer_dropout`."""
        # Drawn on the CPU: reading a draw from the GPU would wait for it. And outside `checkpoint`,
        # so that the recomputation in the backward pass does not draw again.
        if (
            self.training
            and self.layer_dropout
            and torch.rand((), device="cpu") < self.layer_dropout
        ):
            return x_BLD
        if self.checkpoints_activations and torch.is_grad_enabled():
            out_BLD: Tensor = checkpoint(layer, x_BLD, *context, use_reentrant=False)
        else:
            out_BLD = layer(x_BLD, *context)
        return out_BLD

    def _embed(self, ids_BL: Tensor, embedding: nn.Embedding, positions_LP: Tensor) -> Tensor:
        x_BLE = embedding(ids_BL) * self.embedding_scale
        out_BLD: Tensor = self.dropout(with_positions(x_BLE, positions_LP, self.combine_positions))
        return out_BLD


def _embedding(vocab_size: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(vocab_size, width)
    # With variance 1 / width, embeddings scaled by sqrt(width) are as large as position encodings,
    # and a tied output projection gives logits of variance 1.
    nn.init.normal_(embedding.weight, std=width**-0.5)
    return embedding
