"""The Transformer: encode, decode, project (paper, section 3 and Figure 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nmt.config import TransformerConfig
from nmt.model.attention import KeyValues, Past
from nmt.model.dropout import Dropout
from nmt.model.layers import DecoderLayer, EncoderLayer
from nmt.model.network import Network, is_all
from nmt.model.positions import make_positions, place


@dataclass
class DecoderState:
    """What decoding keeps between two steps: W hypotheses for each of B sentences.

    All tokens that the hypotheses of a sentence have read stand in one row of the cache, in the
    order in which they were read, and a mask says which of them a hypothesis has among its own.
    So nothing is moved when hypotheses change places in the beam, and they share the source.

    Attributes:
        position: index of the next position.
        used: places of the cache that are filled.
        past: keys and values of the tokens read, one a decoder layer.
        own_BWM: bool; whether a token of the cache belongs to a hypothesis.
        memory: keys and values of the source, one a layer.
        src_mask: bool [B, 1, 1, S].
    """

    position: int
    used: int
    past: list[Past]
    own_BWM: Tensor
    memory: list[KeyValues]
    src_mask: Tensor

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep sentences and hypotheses; see `nmt.model.network.State`."""
        if not is_all(sentences_N, len(self.own_BWM)):
            for keys_values in [*self.past, *self.memory]:
                keys_values.select(sentences_N)
            self.src_mask = self.src_mask.index_select(0, sentences_N)
        self.own_BWM = self.own_BWM[sentences_N[:, None], beams_NW]

    def make_room(self) -> None:
        """Let each hypothesis have one more token, its own; `used` is for the caller to change."""
        width, size = self.own_BWM.shape[1:]
        end = self.used + width
        if end > size:
            # For eight positions at a time: kernels are made for every size there is.
            size = self.used + 8 * width
            for past in self.past:
                past.make_room(size)
            self.own_BWM = F.pad(self.own_BWM, (0, size - self.own_BWM.shape[2]))
        eye_WW = torch.eye(width, dtype=torch.bool, device=self.own_BWM.device)
        self.own_BWM[:, :, self.used : end] = eye_WW


class Transformer(Network[DecoderState]):
    """An encoder-decoder model of layers of attention.

    Args:
        config: its shape.
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and of the output projection.
        src_pad_id: the source id that is padding.

    The embeddings are scaled by sqrt(d_model) and share one matrix with the output projection
    as `config.tie_embeddings` says (paper, section 3.4). Those that positions are concatenated to
    are narrower, and scaled by the root of their own width.
    """

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
        # On the meta device, without memory, since its own weight is replaced at once.
        self.projection = nn.Linear(config.d_model, tgt_vocab_size, bias=False, device="meta")
        if tied == "none":
            self.projection.weight = nn.Parameter(torch.empty(tgt_vocab_size, config.d_model))
            nn.init.normal_(self.projection.weight, std=config.d_model**-0.5)
        else:
            self.projection.weight = self.tgt_embedding.weight
        self.src_positions = make_positions(config)
        self.tgt_positions = make_positions(config)
        self.combine_positions = config.positions.combine
        self.max_length = self.src_positions.max_length
        p = config.dropout if config.embedding_dropout is None else config.embedding_dropout
        self.dropout = Dropout(p)
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(config) for _ in range(config.encoder_layers)
        )
        decoder_layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.decoder_layers = cast("list[DecoderLayer]", decoder_layers)  # ModuleList is untyped
        # With pre-norm the sum of the last residual is still to be normalised.
        pre_norm = config.norm == "pre"
        self.encoder_norm = nn.LayerNorm(config.d_model) if pre_norm else nn.Identity()
        self.decoder_norm = nn.LayerNorm(config.d_model) if pre_norm else nn.Identity()

    def hidden(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        """Decode all positions at once; see `Network.hidden`."""
        return self.decode(tgt_in_BT, *self.encode(src_BS))

    def encode(self, src_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the source.

        Returns:
            the memory [B, S, D] and its mask, bool [B, 1, 1, S], True at tokens.
        """
        src_mask = (src_BS != self.src_pad_id)[:, None, None, :]
        positions_SP = self.src_positions(0, src_BS.shape[1])
        x_BSD = self._embed(src_BS, self.src_embedding, positions_SP)
        for layer in self.encoder_layers:
            x_BSD = layer(x_BSD, src_mask)
        memory_BSD: Tensor = self.encoder_norm(x_BSD)
        return memory_BSD, src_mask

    def decode(self, tgt_in_BT: Tensor, memory_BSD: Tensor, src_mask: Tensor) -> Tensor:
        """Decode all positions at once, each seeing itself and those before it; [B, T, D]."""
        length = tgt_in_BT.shape[1]
        causal_TT = torch.ones(length, length, dtype=torch.bool, device=tgt_in_BT.device).tril()
        x_BTD = self._embed(tgt_in_BT, self.tgt_embedding, self.tgt_positions(0, length))
        for layer in self.decoder_layers:
            memory = layer.cross_attention.keys_values(memory_BSD)
            x_BTD = layer(x_BTD, causal_TT, memory, src_mask)
        out_BTD: Tensor = self.decoder_norm(x_BTD)
        return out_BTD

    def start_decoding(self, src_BS: Tensor) -> DecoderState:
        """Encode the source and prepare a state with one hypothesis a sentence."""
        memory_BSD, src_mask = self.encode(src_BS)
        size = len(src_BS)
        return DecoderState(
            position=0,
            used=0,
            past=[layer.self_attention.no_past(size) for layer in self.decoder_layers],
            own_BWM=src_mask.new_empty(size, 1, 0),
            memory=[layer.cross_attention.keys_values(memory_BSD) for layer in self.decoder_layers],
            src_mask=src_mask,
        )

    def decode_step(self, tokens_BW: Tensor, state: DecoderState) -> Tensor:
        """Decode one position; see `Network.decode_step`."""
        state.make_room()
        position_1P = self.tgt_positions(state.position, 1)
        x_BWD = self._embed(tokens_BW, self.tgt_embedding, position_1P)
        for layer, past, memory in zip(self.decoder_layers, state.past, state.memory, strict=True):
            # The hypotheses of a sentence are like positions of one sequence.
            own_B1WM = state.own_BWM[:, None]
            x_BWD = layer(x_BWD, own_B1WM, memory, state.src_mask, past, state.used)
        state.used += tokens_BW.shape[1]
        state.position += 1
        out_BWD: Tensor = self.decoder_norm(x_BWD)
        return out_BWD

    def _embed(self, ids_BL: Tensor, embedding: nn.Embedding, positions_LP: Tensor) -> Tensor:
        x_BLE = embedding(ids_BL) * self.embedding_scale
        out_BLD: Tensor = self.dropout(place(x_BLE, positions_LP, self.combine_positions))
        return out_BLD


def _embedding(vocab_size: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(vocab_size, width)
    # Of variance 1 / width: with the scale of sqrt(width) an embedding has the size of a
    # position, and as the output projection it gives logits of variance 1.
    nn.init.normal_(embedding.weight, std=width**-0.5)
    return embedding
