"""The recurrent network against its formulas, computed one unit at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nmt.model.recurrent import RecurrentEncoder, RecurrentNetwork

from .conftest import BOS, make_network

H, D, S = 12, 16, 4
SRC, TGT = [5, 6, 7, 3], [BOS, 4, 9]


def network_of(cell: str) -> Any:
    torch.manual_seed(1)
    network = make_network({"kind": "rnn", "cell": cell})
    assert isinstance(network, RecurrentNetwork)
    for parameter in network.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.5)
    return network


def gru(x_G: Tensor, u_G: Tensor, state_C: Tensor) -> Tensor:
    """r = sigma(x_r + U_r s), z = sigma(x_z + U_z s), s' = (1 - z) s + z tanh(x + r * U s)."""
    new = torch.empty(H, dtype=torch.float64)
    for unit in range(H):
        r = torch.sigmoid(x_G[unit] + u_G[unit])
        z = torch.sigmoid(x_G[H + unit] + u_G[H + unit])
        proposal = torch.tanh(x_G[2 * H + unit] + r * u_G[2 * H + unit])
        new[unit] = (1 - z) * state_C[unit] + z * proposal
    return new


def lstm(x_G: Tensor, u_G: Tensor, state_C: Tensor) -> Tensor:
    """i, f, o = sigma(x + U s); c' = f c + i tanh(x + U s); s' = o tanh(c')."""
    new = torch.empty(2 * H, dtype=torch.float64)
    for unit in range(H):
        i, f, o = (torch.sigmoid(x_G[g * H + unit] + u_G[g * H + unit]) for g in range(3))
        proposal = torch.tanh(x_G[3 * H + unit] + u_G[3 * H + unit])
        new[H + unit] = f * state_C[H + unit] + i * proposal
        new[unit] = o * torch.tanh(new[H + unit])
    return new


@pytest.mark.parametrize(("cell", "step"), [("gru", gru), ("lstm", lstm)])
@torch.inference_mode()
def test_the_decoder_follows_the_paper(cell: str, step: Any) -> None:
    """Compute one sentence one unit at a time, with the context as an explicit vector."""
    network = network_of(cell)
    h_SX = network.encoder_layers(
        network.src_embedding(torch.tensor([SRC])), torch.ones(1, S, dtype=torch.bool)
    )[0]
    # s_0 = tanh(W_s h_1), with h_1 of the backward direction
    state_C = torch.tanh(network.decoder_start.weight @ h_SX[0, H:] + network.decoder_start.bias)
    w_a, u_gates = network.decoder_recurrent.weight.split([H, len(network.decoder_input.weight)])
    v_a, u_a = network.decoder_energy.weight[0], network.decoder_keys.weight
    for place, token in enumerate(TGT):
        s_H = state_C[:H]
        # e_j = v_a tanh(W_a s + U_a h_j), alpha = softmax(e), c = sum alpha_j h_j
        energies = torch.stack([v_a @ torch.tanh(w_a @ s_H + u_a @ h_X) for h_X in h_SX])
        alpha_S = energies.exp() / energies.exp().sum()
        c_X = sum(alpha * h_X for alpha, h_X in zip(alpha_S, h_SX, strict=True))
        y_D = network.tgt_embedding.weight[token]
        x_G = network.decoder_input.weight @ y_D + network.decoder_input.bias
        x_G = x_G + network.decoder_context.weight @ c_X
        state_C = step(x_G, u_gates @ s_H, state_C)
        # t~ = U_o s + V_o y + C_o c, t = maxima of pairs of t~
        joined = torch.cat([state_C[:H], y_D, c_X])
        t_X = network.decoder_output.weight @ joined + network.decoder_output.bias
        t_D = torch.stack([torch.maximum(t_X[unit], t_X[D + unit]) for unit in range(D)])
        logits_V = network.projection.weight @ t_D
        full = network(torch.tensor([SRC]), torch.tensor([TGT[: place + 1]]))
        assert_close(full[0, place], logits_V)


@torch.inference_mode()
def test_the_encoder_reads_in_both_directions() -> None:
    torch.manual_seed(1)
    encoder = RecurrentEncoder(3, H, "gru", 1, 0.0).double()
    x_BSD = torch.randn(1, S, 3, dtype=torch.float64)
    mask_BS = torch.ones(1, S, dtype=torch.bool)
    states = encoder(x_BSD, mask_BS)[0]
    for layer, places, columns in (
        (encoder.forth[0], range(S), slice(0, H)),
        (encoder.back[0], reversed(range(S)), slice(H, 2 * H)),
    ):
        w_GD, u_GH = layer.weight_ih_l0, layer.weight_hh_l0
        s_H = torch.zeros(H, dtype=torch.float64)
        for place in places:
            gates = w_GD @ x_BSD[0, place]
            # torch's z is the paper's 1 - z.
            r_H, z_H = torch.sigmoid(gates[: 2 * H] + u_GH[: 2 * H] @ s_H).chunk(2)
            new_H = torch.tanh(gates[2 * H :] + r_H * (u_GH[2 * H :] @ s_H))
            s_H = (1 - z_H) * new_H + z_H * s_H
            assert_close(states[place, columns], s_H)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrent_matrices_are_initially_orthogonal(cell: str) -> None:
    torch.manual_seed(1)
    network = make_network({"kind": "rnn", "cell": cell})
    decoder = network.decoder_recurrent.weight[H:]
    encoder = network.encoder_layers.back[0].weight_hh_l0
    for part in [*decoder.split(H), *encoder.split(H)]:
        assert_close(part @ part.t(), torch.eye(H, dtype=torch.float64), atol=1e-6, rtol=0.0)


def test_length_is_unlimited() -> None:
    assert make_network({"kind": "rnn"}).max_length is None
