"""ConvS2S, convolutional sequence to sequence learning (Gehring et al. 2017).

Differences from the paper:

- There is no weight normalisation. It separates the scale of a weight from its direction for plain
  gradient descent; here Adam scales the step of every weight, and the initial scales are the
  paper's.
- The gradients of the encoder are not divided by the number of attentions: Adam's steps do not
  depend on a constant factor.
- As in the authors' code, every sum of two terms is scaled by sqrt(0.5), including those inside the
  attention, and a linear map projects a context back to the channels of the convolutions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nmt.config.models import ConvolutionalConfig
from nmt.model.attention import scaled_dot_product_attention
from nmt.model.cache import KeyValues, is_all
from nmt.model.dropout import Dropout
from nmt.model.network import Network, make_embeddings
from nmt.model.positions import LearnedPositions

_SQRT_HALF = math.sqrt(0.5)
_EMBEDDING_STD = 0.1


class GatedConvolution(nn.Module):
    """A convolution with gated linear units: A * sigmoid(B) (Dauphin et al. 2017; section 3.2).

    It is computed as one product with the concatenated inputs of each window, which is as fast as
    a convolution and works the same for windows from a sequence or from a cache.

    Args:
        channels: channels of input and output.
        kernel_size: positions in a window.
        dropout_p: dropout already applied to the input; sets the initial scale.
    """

    def __init__(self, channels: int, kernel_size: int, dropout_p: float) -> None:
        super().__init__()
        # The gates halve the signal, so the weights have four times the variance (section 3.5).
        self.linear = _linear(kernel_size * channels, 2 * channels, 4 * (1 - dropout_p))

    def forward(self, windows_BLX: Tensor) -> Tensor:
        """Map windows [B, L, kernel_size * channels], inputs in order, to [B, L, channels]."""
        return F.glu(self.linear(windows_BLX), dim=-1)


class EncoderBlock(nn.Module):
    """A gated convolution centred on each position, with a residual connection."""

    def __init__(self, channels: int, kernel_size: int, dropout_p: float) -> None:
        super().__init__()
        self.before = (kernel_size - 1) // 2
        self.after = kernel_size - 1 - self.before
        self.dropout = Dropout(dropout_p)
        self.convolution = GatedConvolution(channels, kernel_size, dropout_p)

    def forward(self, x_BSC: Tensor, src_mask_BS1: Tensor) -> Tensor:
        """Apply the block, [B, S, C] to [B, S, C].

        Args:
            x_BSC: source representations.
            src_mask_BS1: bool, True at tokens, False at padding; padding counts as zeros, like
                positions beyond the ends.
        """
        inputs_BSC = self.dropout(x_BSC).masked_fill(~src_mask_BS1, 0.0)
        h_BSC = self.convolution(_windows(inputs_BSC, self.before, self.after))
        out_BSC: Tensor = (h_BSC + x_BSC) * _SQRT_HALF
        return out_BSC


@dataclass
class Memory:
    """The encoded source that the attentions of all decoder layers read.

    Attributes:
        keys_values: keys z_j, the encoder outputs, and values z_j + e_j, their sums with the
            embeddings.
        src_mask_B11S: bool, True at tokens.
    """

    keys_values: KeyValues
    src_mask_B11S: Tensor

    def attend(self, query_BLD: Tensor) -> Tensor:
        """Return the contexts of queries, [B, L, D].

        A context averages the m source vectors. The factor m * sqrt(1/m) keeps their variance if
        the attention weights are uniform (section 3.4).
        """
        # Undo the division by sqrt(d), which this paper does not have.
        query_B1LD = query_BLD[:, None] * math.sqrt(query_BLD.shape[-1])
        context_B1LD = scaled_dot_product_attention(
            query_B1LD, self.keys_values.k_BHMK, self.keys_values.v_BHMK, self.src_mask_B11S
        )
        scale_B11 = self.src_mask_B11S[:, 0].sum(dim=-1, keepdim=True).sqrt()
        return context_B1LD[:, 0] * scale_B11.to(context_B1LD.dtype)

    def select(self, sentences_N: Tensor) -> None:
        """Keep these sentences, in this order."""
        if not is_all(sentences_N, len(self.src_mask_B11S)):
            self.keys_values.select(sentences_N)
            self.src_mask_B11S = self.src_mask_B11S.index_select(0, sentences_N)


class DecoderBlock(nn.Module):
    """A gated convolution of each position and those before it, attention, and a residual."""

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__()
        self.before = config.kernel_size - 1
        self.dropout = Dropout(config.dropout)
        self.convolution = GatedConvolution(config.d_hidden, config.kernel_size, config.dropout)
        self.query = _linear(config.d_hidden, config.d_model)
        self.context = _linear(config.d_model, config.d_hidden)

    def windows(self, x_BTC: Tensor) -> Tensor:
        """Return the input of each position after those before it, [B, T, kernel_size * C]."""
        return _windows(self.dropout(x_BTC), self.before, 0)

    def forward(
        self, x_BTC: Tensor, windows_BTX: Tensor, embedded_BTD: Tensor, memory: Memory
    ) -> Tensor:
        """Apply the block, [B, T, C] to [B, T, C].

        Args:
            x_BTC: target representations.
            windows_BTX: their windows, from the method `windows` or from a cache.
            embedded_BTD: embedded target tokens g_i.
            memory: the encoded source.
        """
        h_BTC = self.convolution(windows_BTX)
        query_BTD = (self.query(h_BTC) + embedded_BTD) * _SQRT_HALF
        h_BTC = (h_BTC + self.context(memory.attend(query_BTD))) * _SQRT_HALF
        out_BTC: Tensor = (h_BTC + x_BTC) * _SQRT_HALF
        return out_BTC


@dataclass
class ConvolutionalState:
    """The state of incremental decoding: W hypotheses for each of B sentences.

    Attributes:
        position: index of the next position.
        past_BWX: last kernel_size - 1 inputs of each decoder layer, concatenated.
        memory: the encoded source.
    """

    position: int
    past_BWX: list[Tensor]
    memory: Memory

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep sentences and hypotheses; see `nmt.model.network.State`."""
        self.memory.select(sentences_N)
        self.past_BWX = [past[sentences_N[:, None], beams_NW] for past in self.past_BWX]


class ConvolutionalNetwork(Network[ConvolutionalState]):
    """Stacks of gated convolutions; each decoder layer has its own attention.

    Args:
        config: model configuration.
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and of the output projection.
        src_pad_id: padding id of the source vocabulary.
    """

    def __init__(
        self, config: ConvolutionalConfig, src_vocab_size: int, tgt_vocab_size: int, src_pad_id: int
    ) -> None:
        super().__init__()
        self.src_pad_id = src_pad_id
        self.max_length = config.positions.max_length
        d_model, d_hidden, keep = config.d_model, config.d_hidden, 1 - config.dropout
        self.src_embedding, self.tgt_embedding, self.projection = make_embeddings(
            config, src_vocab_size, tgt_vocab_size, _EMBEDDING_STD
        )
        self.src_positions = LearnedPositions(d_model, self.max_length)
        self.tgt_positions = LearnedPositions(d_model, self.max_length)
        for positions in (self.src_positions, self.tgt_positions):
            nn.init.normal_(positions.weight, std=_EMBEDDING_STD)
        self.dropout = Dropout(config.dropout)
        self.encoder_input = _linear(d_model, d_hidden, keep)
        self.encoder_layers = nn.ModuleList(
            EncoderBlock(d_hidden, config.kernel_size, config.dropout)
            for _ in range(config.encoder_layers)
        )
        self.encoder_output = _linear(d_hidden, d_model)
        self.decoder_input = _linear(d_model, d_hidden, keep)
        blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.decoder_layers))
        self.decoder_layers = cast("list[DecoderBlock]", blocks)  # ModuleList is untyped
        self.decoder_output = _linear(d_hidden, d_model)

    def hidden(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        """Decode all positions at once; each sees itself and those before it."""
        memory = self.encode(src_BS)
        positions_TD = self.tgt_positions(0, tgt_in_BT.shape[1])
        embedded_BTD = self.dropout(self.tgt_embedding(tgt_in_BT) + positions_TD)
        x_BTC = self.decoder_input(embedded_BTD)
        for block in self.decoder_layers:
            x_BTC = block(x_BTC, block.windows(x_BTC), embedded_BTD, memory)
        return self._output(x_BTC)

    def start_decoding(self, src_BS: Tensor) -> ConvolutionalState:
        """Encode the source; inputs before the first position are zeros."""
        memory = self.encode(src_BS)
        channels = self.decoder_input.out_features
        past = [
            memory.keys_values.k_BHMK.new_zeros(len(src_BS), 1, block.before * channels)
            for block in self.decoder_layers
        ]
        return ConvolutionalState(0, past, memory)

    def decode_step(self, tokens_BW: Tensor, state: ConvolutionalState) -> Tensor:
        """Decode one position; see `Network.decode_step`."""
        position_1D = self.tgt_positions(state.position, 1)
        embedded_BWD = self.dropout(self.tgt_embedding(tokens_BW) + position_1D)
        x_BWC = self.decoder_input(embedded_BWD)
        for layer, block in enumerate(self.decoder_layers):
            windows_BWX = torch.cat([state.past_BWX[layer], x_BWC], dim=-1)
            state.past_BWX[layer] = windows_BWX[..., x_BWC.shape[-1] :]
            # The hypotheses of a sentence are treated as positions of one sequence.
            x_BWC = block(x_BWC, windows_BWX, embedded_BWD, state.memory)
        state.position += 1
        return self._output(x_BWC)

    def encode(self, src_BS: Tensor) -> Memory:
        """Encode the source to the keys and values that every attention shares."""
        src_mask_BS1 = (src_BS != self.src_pad_id)[:, :, None]
        positions_SD = self.src_positions(0, src_BS.shape[1])
        embedded_BSD = self.dropout(self.src_embedding(src_BS) + positions_SD)
        x_BSC = self.encoder_input(embedded_BSD)
        for block in self.encoder_layers:
            x_BSC = block(x_BSC, src_mask_BS1)
        keys_BSD = self.encoder_output(x_BSC)
        values_BSD = (keys_BSD + embedded_BSD) * _SQRT_HALF
        keys_values = KeyValues(keys_BSD[:, None], values_BSD[:, None])
        return Memory(keys_values, src_mask_BS1[:, None, None, :, 0])

    def _output(self, x_BTC: Tensor) -> Tensor:
        out_BTD: Tensor = self.dropout(self.decoder_output(x_BTC))
        return out_BTD


def _windows(x_BLC: Tensor, before: int, after: int) -> Tensor:
    """Concatenate the inputs around each position, with zeros beyond the ends."""
    length = x_BLC.shape[1]
    padded_BMC = F.pad(x_BLC, (0, 0, before, after))
    shifted = [padded_BMC[:, start : start + length] for start in range(before + 1 + after)]
    return torch.cat(shifted, dim=-1)


def _linear(width: int, out: int, gain: float = 1.0) -> nn.Linear:
    """Return a linear map with weights of variance gain / width and zero bias (section 3.5)."""
    linear = nn.Linear(width, out)
    nn.init.normal_(linear.weight, std=math.sqrt(gain / width))
    nn.init.zeros_(linear.bias)
    return linear
