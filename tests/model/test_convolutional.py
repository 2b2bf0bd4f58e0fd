"""The convolutional network against its formulas, computed one position at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.testing import assert_close

from nmt.model.cache import KeyValues
from nmt.model.convolutional import (
    ConvolutionalNetwork,
    DecoderBlock,
    EncoderBlock,
    GatedConvolution,
    Memory,
)

from .conftest import PAD, make_network, sources

C, D = 12, 16


def gated(convolution: GatedConvolution, inputs: list[Tensor]) -> Tensor:
    """Return A * sigmoid(B), where [A; B] is the sum of W_i x_i over the window, plus b."""
    w_GX, bias_G = convolution.linear.weight, convolution.linear.bias
    size = w_GX.shape[1] // len(inputs)
    both_G = bias_G + sum(
        w_GX[:, place * size : (place + 1) * size] @ x for place, x in enumerate(inputs)
    )
    a, b = both_G.chunk(2)
    return a / (1 + (-b).exp())


def randomise(block: EncoderBlock | DecoderBlock) -> None:
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.4)


@torch.inference_mode()
def test_an_encoder_block_computed_by_hand() -> None:
    torch.manual_seed(1)
    block = EncoderBlock(C, 3, 0.0).double()
    randomise(block)
    x_SC = torch.randn(4, C, dtype=torch.float64)
    # The last position is padding, which the one before it sees as zeros.
    out_SC = block(x_SC[None], torch.tensor([[True, True, True, False]])[:, :, None])[0]
    zero = torch.zeros(C, dtype=torch.float64)
    seen = [zero, x_SC[0], x_SC[1], x_SC[2], zero]
    for place in range(3):
        expected = (gated(block.convolution, seen[place : place + 3]) + x_SC[place]) * 0.5**0.5
        assert_close(out_SC[place], expected)


@torch.inference_mode()
def test_a_decoder_block_computed_by_hand() -> None:
    torch.manual_seed(1)
    network = make_network({"kind": "conv"})
    assert isinstance(network, ConvolutionalNetwork)
    block = network.decoder_layers[0]
    randomise(block)
    x_TC, g_TD = (torch.randn(4, width, dtype=torch.float64) for width in (C, D))
    z_SD, v_SD = torch.randn(2, 3, D, dtype=torch.float64)
    # Three source positions, two of them tokens.
    memory = Memory(
        KeyValues(z_SD[None, None], v_SD[None, None]), torch.tensor([[[[True, True, False]]]])
    )
    out_TC = block(x_TC[None], block.windows(x_TC[None]), g_TD[None], memory)[0]
    zero = torch.zeros(C, dtype=torch.float64)
    seen = [zero, zero, *x_TC]
    half = 0.5**0.5
    for place in range(4):
        h_C = gated(block.convolution, seen[place : place + 3])
        d_D = (block.query.weight @ h_C + block.query.bias + g_TD[place]) * half
        products = [float(d_D @ z_D) for z_D in z_SD[:2]]
        total = sum(map(math.exp, products))
        # Two vectors are summed: m * sqrt(1/m) = sqrt(2).
        c_D = 2**0.5 * sum(
            math.exp(p) / total * v_D for p, v_D in zip(products, v_SD[:2], strict=True)
        )
        h_C = (h_C + block.context.weight @ c_D + block.context.bias) * half
        assert_close(out_TC[place], (h_C + x_TC[place]) * half)


@torch.inference_mode()
def test_values_are_encoder_outputs_plus_embeddings() -> None:
    torch.manual_seed(1)
    network = make_network({"kind": "conv"})
    memory = network.encode(sources())
    embedded = network.src_embedding(sources()) + network.src_positions(0, 5)
    assert_close(
        memory.keys_values.v_BHMK, (memory.keys_values.k_BHMK + embedded[:, None]) * 0.5**0.5
    )
    assert torch.equal(memory.src_mask_B11S[:, 0, 0], sources() != PAD)


@torch.inference_mode()
def test_the_variance_is_preserved_through_the_layers() -> None:
    """Scales and initial weights are chosen for this (sections 3.4 and 3.5)."""
    torch.manual_seed(1)
    settings = {"kind": "conv", "d_model": 128, "d_hidden": 128, "positions": {"max_length": 64}}
    network = make_network(settings, (500, 500), encoder_layers=12, decoder_layers=12)
    src_BS = torch.randint(3, 500, (4, 40))
    blocks = [*network.encoder_layers, *network.decoder_layers]
    seen: list[float] = []
    for block in blocks:
        block.register_forward_hook(lambda _, inputs, out: seen.append(out.std() / inputs[0].std()))
    network(src_BS, src_BS)
    assert len(seen) == 24
    # Without the factor sqrt(0.5), each of the twelve layers would raise the variance by half.
    assert all(0.5 < ratio < 1.3 for ratio in seen)
    assert 0.05 < math.prod(seen[:12]) < 2.0


def test_positions_are_limited() -> None:
    assert make_network({"kind": "conv", "positions": {"max_length": 9}}).max_length == 9
