"""The recorded attention weights are those that the network uses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nmt.config.models import TransformerConfig
from nmt.model.attention import MultiHeadAttention
from nmt.model.observe import forced_attention, recorded_weights
from nmt.model.transformer import Transformer

PAD, BOS, HEADS, LAYERS = 0, 2, 4, 2
SOURCES = torch.tensor([[5, 6, 7, 8, 3], [9, 4, 3, PAD, PAD]])
TARGETS = torch.tensor([[BOS, 4, 5, 6], [BOS, 8, 9, 10]])


@pytest.fixture(params=["post", "pre"])
def network(request: pytest.FixtureRequest) -> Transformer:
    torch.manual_seed(1)
    config = TransformerConfig.model_validate(
        {
            "d_model": 16,
            "num_heads": HEADS,
            "d_ff": 24,
            "encoder_layers": LAYERS,
            "decoder_layers": LAYERS,
            "norm": request.param,
        }
    )
    return Transformer(config, 19, 19, PAD).double().eval()


def test_rows_sum_to_one_and_masked_weights_are_zero(network: Transformer) -> None:
    attention = forced_attention(network, SOURCES, TARGETS)
    shapes = {"encoder": (5, 5), "decoder": (4, 4), "cross": (4, 5)}
    for name, shape in shapes.items():
        layers = getattr(attention, name)
        assert [weights.shape for weights in layers] == [(2, HEADS, *shape)] * LAYERS
        for weights in layers:
            assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    for weights in [*attention.encoder, *attention.cross]:
        assert torch.count_nonzero(weights[1, :, :, 3:]) == 0
        assert torch.count_nonzero(weights[0]) == weights[0].numel()
    for weights in attention.decoder:
        assert torch.count_nonzero(weights.triu(1)) == 0
        assert (weights.tril()[..., 0] > 0).all()


def test_weights_times_values_are_the_outputs_of_the_sublayers(network: Transformer) -> None:
    """Recompute the output of every sub-layer from its recorded weights."""
    outputs: dict[MultiHeadAttention, Tensor] = {}
    all_values: dict[MultiHeadAttention, Tensor] = {}

    def keep(sublayer: Any, args: Any, kwargs: Any, output: Tensor) -> None:
        outputs[sublayer] = output
        memory = kwargs.get("memory")
        weight = sublayer.qkv_weight[sum(sublayer.widths[:2]) :]
        own = (args[0] @ weight.T).view(*args[0].shape[:2], HEADS, -1).transpose(1, 2)
        all_values[sublayer] = own if memory is None else memory.v_BHMK

    sublayers = [m for m in network.modules() if isinstance(m, MultiHeadAttention)]
    for sublayer in sublayers:
        sublayer.register_forward_hook(keep, with_kwargs=True)
    attention = forced_attention(network, SOURCES, TARGETS)
    by_layer = [
        weights for pair in zip(attention.decoder, attention.cross, strict=True) for weights in pair
    ]
    for sublayer, weights in zip(sublayers, [*attention.encoder, *by_layer], strict=True):
        heads = (weights @ all_values[sublayer]).transpose(1, 2).flatten(2)
        assert_close(heads @ sublayer.out_weight.T, outputs[sublayer])


def test_recording_changes_nothing_and_ends_with_the_block(network: Transformer) -> None:
    before = network(SOURCES, TARGETS)
    sublayers = [layer.cross_attention for layer in network.decoder_layers]
    with recorded_weights(sublayers) as weights:
        assert torch.equal(network(SOURCES, TARGETS), before)
    assert len(weights) == LAYERS
    network(SOURCES, TARGETS)
    assert len(weights) == LAYERS
    with pytest.raises(RuntimeError, match="stop"), recorded_weights(sublayers):
        raise RuntimeError("stop")
    assert not any(sublayer._forward_pre_hooks for sublayer in sublayers)


def test_padding_does_not_change_the_weights_of_a_sentence(network: Transformer) -> None:
    together = forced_attention(network, SOURCES, TARGETS)
    alone = forced_attention(network, SOURCES[1:, :3], TARGETS[1:])
    for name in ("encoder", "cross"):
        for one, other in zip(getattr(together, name), getattr(alone, name), strict=True):
            assert_close(one[1:, :, : other.shape[2], :3], other)
