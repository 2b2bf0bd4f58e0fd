"""The attentional encoder-decoder of Bahdanau, Cho and Bengio (2015), "RNNsearch".

Section numbers refer to the paper's appendix A. Differences from the paper:

- The deep output reads the new state s_i, as in the paper's equation 4 and its authors' code; the
  appendix has s_{i-1}.
- The reset gate is applied to the product U s rather than to s, as in torch.nn.GRU (Cho et al.
  2014, fourth version), so that one product serves all gates.
- Matrices are initialised as in Glorot and Bengio (2010) where the paper draws from N(0, 0.01^2);
  those from state to state are orthogonal, as in the paper.
- There are d_model maxout units and the projection has no bias, so that it can be tied to the
  embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nmt.config.models import RecurrentConfig
from nmt.model.cache import is_all
from nmt.model.dropout import Dropout
from nmt.model.network import Network, make_embeddings

# Number of gates per cell, counting the candidate state.
_GATES = {"gru": 3, "lstm": 4}


class RecurrentEncoder(nn.Module):
    """A bidirectional recurrent network (A.2.1).

    Args:
        width: width of the input.
        d_hidden: width of a state in each direction.
        cell: `gru` or `lstm`.
        num_layers: number of stacked layers.
        dropout_p: dropout between layers.
    """

    def __init__(
        self, width: int, d_hidden: int, cell: str, num_layers: int, dropout_p: float
    ) -> None:
        super().__init__()
        widths = [width] + [2 * d_hidden] * (num_layers - 1)
        self.forth = nn.ModuleList(_recurrence(size, d_hidden, cell) for size in widths)
        self.back = nn.ModuleList(_recurrence(size, d_hidden, cell) for size in widths)
        self.dropout = Dropout(dropout_p)

    def forward(self, x_BSD: Tensor, src_mask_BS: Tensor) -> Tensor:
        """Encode each token with its left and right context.

        Args:
            x_BSD: source embeddings.
            src_mask_BS: bool, True at tokens, False at padding, which comes last.

        Returns:
            The states of both directions, [B, S, 2 * d_hidden]; meaningless at padding.
        """
        # The backward direction reads the tokens reversed, with padding still last, so that no
        # state of a token depends on padding. Packed sequences would do the same, but on a CPU the
        # time of their backward pass grows with the square of the length.
        last_B1 = src_mask_BS.sum(dim=1, keepdim=True) - 1
        places_S = torch.arange(src_mask_BS.shape[1], device=x_BSD.device)
        reversed_BS1 = torch.where(src_mask_BS, last_B1 - places_S, places_S)[:, :, None]
        for layer, (forth, back) in enumerate(zip(self.forth, self.back, strict=True)):
            x_BSD = self.dropout(x_BSD) if layer else x_BSD
            states_BSH, _ = forth(x_BSD)
            reversed_BSH, _ = back(x_BSD.take_along_dim(reversed_BS1, dim=1))
            x_BSD = torch.cat(
                [states_BSH, reversed_BSH.take_along_dim(reversed_BS1, dim=1)], dim=-1
            )
        return x_BSD


@dataclass
class Memory:
    """The encoded source and the products of it that all decoder steps share.

    Attributes:
        encoded_BSX: states of the encoder, the annotations h_j.
        keys_BSA: U_a h_j, the attention keys.
        values_BSG: C h_j, the contribution of an annotation to the gates. A context is a weighted
            sum of annotations, so its product with C is the same sum of these, which saves a
            matrix product per step.
        src_mask_B1S: bool, True at tokens.
    """

    encoded_BSX: Tensor
    keys_BSA: Tensor
    values_BSG: Tensor
    src_mask_B1S: Tensor

    def select(self, sentences_N: Tensor) -> Memory:
        """Return these sentences, in this order."""
        if is_all(sentences_N, len(self.encoded_BSX)):
            return self
        parts = {name: part.index_select(0, sentences_N) for name, part in vars(self).items()}
        return replace(self, **parts)


@dataclass
class RecurrentState:
    """The state of incremental decoding: W hypotheses for each of B sentences.

    Attributes:
        cells_BWC: decoder states; for an LSTM, hidden state and cell concatenated.
        memory: the encoded source.
    """

    cells_BWC: Tensor
    memory: Memory

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep sentences and hypotheses; see `nmt.model.network.State`."""
        self.memory = self.memory.select(sentences_N)
        self.cells_BWC = self.cells_BWC[sentences_N[:, None], beams_NW]


class RecurrentNetwork(Network[RecurrentState]):
    """A bidirectional encoder and a recurrent decoder that attends to it at every step.

    Args:
        config: model configuration.
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and of the output projection.
        src_pad_id: padding id of the source vocabulary.
    """

    max_length = None

    def __init__(
        self, config: RecurrentConfig, src_vocab_size: int, tgt_vocab_size: int, src_pad_id: int
    ) -> None:
        super().__init__()
        self.src_pad_id = src_pad_id
        d_model, d_hidden, num_gates = config.d_model, config.d_hidden, _GATES[config.cell]
        self.d_hidden = d_hidden
        self.cell = _lstm if config.cell == "lstm" else _gru
        self.src_embedding, self.tgt_embedding, self.projection = make_embeddings(
            config, src_vocab_size, tgt_vocab_size, std=d_model**-0.5
        )
        self.dropout = Dropout(config.dropout)
        self.encoder_layers = RecurrentEncoder(
            d_model, d_hidden, config.cell, config.encoder_layers, config.dropout
        )
        gates = num_gates * d_hidden
        self.decoder_start = _linear(d_hidden, d_hidden * (2 if config.cell == "lstm" else 1))
        self.decoder_input = _linear(d_model, gates, parts=num_gates)
        self.decoder_context = _linear(2 * d_hidden, gates, parts=num_gates, bias=False)
        self.decoder_keys = _linear(2 * d_hidden, d_hidden, bias=False)
        # W_a for the query and U for the gates: one product with the state.
        self.decoder_recurrent = nn.Linear(d_hidden, d_hidden + gates, bias=False)
        _initialise(self.decoder_recurrent.weight[:d_hidden])
        _initialise(self.decoder_recurrent.weight[d_hidden:], num_gates, recurrent=True)
        self.decoder_energy = _linear(d_hidden, 1, bias=False)
        self.decoder_output = _linear(d_hidden + d_model + 2 * d_hidden, 2 * d_model)

    def hidden(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        """Decode all positions; only the recurrence and its attention run step by step."""
        state = self.start_decoding(src_BS)
        embedded_BTD = self.dropout(self.tgt_embedding(tgt_in_BT))
        cells_B1C, steps = state.cells_BWC, []
        for inputs_B1G in self.decoder_input(embedded_BTD).split(1, dim=1):
            cells_B1C, weights_B1S = self._step(inputs_B1G, cells_B1C, state.memory)
            steps.append((cells_B1C, weights_B1S))
        cells_BTC, weights_BTS = (torch.cat(parts, dim=1) for parts in zip(*steps, strict=True))
        return self._deep_output(cells_BTC, embedded_BTD, weights_BTS, state.memory)

    def start_decoding(self, src_BS: Tensor) -> RecurrentState:
        """Encode the source; the decoder starts from the backward state at the first token."""
        memory = self.encode(src_BS)
        back_BH = memory.encoded_BSX[:, 0, self.d_hidden :]
        cells_BC = self.decoder_start(back_BH).tanh()
        # Under autocast products are bf16, but the state accumulates them in the weights' dtype.
        return RecurrentState(cells_BC[:, None].to(self.decoder_start.weight.dtype), memory)

    def decode_step(self, tokens_BW: Tensor, state: RecurrentState) -> Tensor:
        """Decode one position; see `Network.decode_step`."""
        embedded_BWD = self.dropout(self.tgt_embedding(tokens_BW))
        inputs_BWG = self.decoder_input(embedded_BWD)
        state.cells_BWC, weights_BWS = self._step(inputs_BWG, state.cells_BWC, state.memory)
        return self._deep_output(state.cells_BWC, embedded_BWD, weights_BWS, state.memory)

    def encode(self, src_BS: Tensor) -> Memory:
        """Encode the source and compute the products that all decoder steps share."""
        src_mask_BS = src_BS != self.src_pad_id
        x_BSD = self.dropout(self.src_embedding(src_BS))
        encoded_BSX = self.dropout(self.encoder_layers(x_BSD, src_mask_BS))
        return Memory(
            encoded_BSX,
            self.decoder_keys(encoded_BSX),
            self.decoder_context(encoded_BSX),
            src_mask_BS[:, None],
        )

    def _step(self, inputs_BWG: Tensor, cells_BWC: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attend with the previous state and compute the next one (A.2.2).

        Args:
            inputs_BWG: contributions of the newest tokens to the gates.
            cells_BWC: previous states.
            memory: the encoded source.

        Returns:
            The new states [B, W, C] and the attention weights [B, W, S].
        """
        products_BWX = self.decoder_recurrent(cells_BWC[..., : self.d_hidden])
        query_BWA, recurrent_BWG = products_BWX.tensor_split([self.d_hidden], dim=-1)
        # e_ij = v_a tanh(W_a s_{i-1} + U_a h_j)
        inner_BWSA = (query_BWA[:, :, None] + memory.keys_BSA[:, None]).tanh()
        energies_BWS = self.decoder_energy(inner_BWSA)[..., 0]
        lowest = torch.finfo(energies_BWS.dtype).min
        weights_BWS = energies_BWS.masked_fill(~memory.src_mask_B1S, lowest).softmax(dim=-1)
        inputs_BWG = inputs_BWG + weights_BWS @ memory.values_BSG
        return self.cell(inputs_BWG, recurrent_BWG, cells_BWC), weights_BWS

    def _deep_output(
        self, cells_BTC: Tensor, embedded_BTD: Tensor, weights_BTS: Tensor, memory: Memory
    ) -> Tensor:
        """Combine state, previous token and context in maxout units (Goodfellow et al. 2013)."""
        contexts_BTX = weights_BTS @ memory.encoded_BSX
        hidden_BTH = cells_BTC[..., : self.d_hidden]
        pairs_BTX = self.decoder_output(torch.cat([hidden_BTH, embedded_BTD, contexts_BTX], dim=-1))
        out_BTD: Tensor = self.dropout(torch.maximum(*pairs_BTX.chunk(2, dim=-1)))
        return out_BTD


def _gru(inputs_BWG: Tensor, recurrent_BWG: Tensor, hidden_BWH: Tensor) -> Tensor:
    """Return the next state of gated recurrent units.

    Args:
        inputs_BWG: contributions of token and context to reset gate, update gate and candidate.
        recurrent_BWG: contributions of the state to the same.
        hidden_BWH: the current state.
    """
    reset_BWH, update_BWH, new_BWH = inputs_BWG.chunk(3, dim=-1)
    state_reset_BWH, state_update_BWH, state_new_BWH = recurrent_BWG.chunk(3, dim=-1)
    reset_BWH = torch.sigmoid(reset_BWH + state_reset_BWH)
    update_BWH = torch.sigmoid(update_BWH + state_update_BWH)
    new_BWH = torch.tanh(new_BWH + reset_BWH * state_new_BWH)
    return hidden_BWH + update_BWH * (new_BWH - hidden_BWH)


def _lstm(inputs_BWG: Tensor, recurrent_BWG: Tensor, cells_BWC: Tensor) -> Tensor:
    """Return the next state of long short-term memory: hidden state and cell, concatenated."""
    cell_BWH = cells_BWC.chunk(2, dim=-1)[1]
    gates = (inputs_BWG + recurrent_BWG).chunk(4, dim=-1)
    in_BWH, forget_BWH, out_BWH = map(torch.sigmoid, gates[:3])
    cell_BWH = forget_BWH * cell_BWH + in_BWH * gates[3].tanh()
    return torch.cat([out_BWH * cell_BWH.tanh(), cell_BWH], dim=-1)


def _recurrence(width: int, d_hidden: int, cell: str) -> nn.Module:
    """Return one recurrent layer in one direction."""
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    layer = kind(width, d_hidden, batch_first=True)
    for name, weight in layer.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(weight)
        else:
            _initialise(weight, _GATES[cell], recurrent=name.startswith("weight_hh"))
    return layer


def _linear(width: int, out: int, *, parts: int = 1, bias: bool = True) -> nn.Linear:
    """Return a linear map whose outputs are `parts` blocks, initialised separately; zero bias."""
    linear = nn.Linear(width, out, bias=bias)
    _initialise(linear.weight, parts)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear


@torch.no_grad()
def _initialise(weight: Tensor, parts: int = 1, *, recurrent: bool = False) -> None:
    for part in weight.chunk(parts):
        if recurrent:
            nn.init.orthogonal_(part)
        else:
            nn.init.xavier_uniform_(part)
