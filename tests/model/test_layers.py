"""Whole layers against torch.nn.Transformer*Layer, and where dropout and norm stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from nmt.config import TransformerConfig
from nmt.model.attention import MultiHeadAttention
from nmt.model.dropout import dropout
from nmt.model.transformer import DecoderLayer, EncoderLayer, FeedForward, Residual

D_MODEL, HEADS, D_FF = 12, 3, 20
SRC_MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])[:, None, None, :]
CAUSAL = torch.ones(4, 4, dtype=torch.bool).tril()

VARIANTS = [
    pytest.param(norm, activation, id=f"{norm}-{activation}")
    for norm in ("post", "pre")
    for activation in ("relu", "gelu")
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


def _config(**changes: Any) -> TransformerConfig:
    values = {"d_model": D_MODEL, "num_heads": HEADS, "d_ff": D_FF, "dropout": 0.0}
    return TransformerConfig.model_validate(values | changes)


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _shaken(layer: nn.Module) -> nn.Module:
    """Move every parameter, so that no bias is 0 and no gain is 1, as they are at the start."""
    with torch.no_grad():
        for parameter in layer.double().parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return layer


def _as_torch(layer: EncoderLayer | DecoderLayer, config: TransformerConfig) -> nn.Module:
    """Make torch's layer of the same weights; its attention biases start at zero and stay."""
    decoder = isinstance(layer, DecoderLayer)
    kind = nn.TransformerDecoderLayer if decoder else nn.TransformerEncoderLayer
    theirs = kind(
        D_MODEL,
        HEADS,
        D_FF,
        dropout=0.0,
        activation=config.activation,
        batch_first=True,
        norm_first=config.norm == "pre",
        dtype=torch.float64,
    )
    weights = {
        **_attention_weights("self_attn", layer.self_attention),
        "linear1.weight": layer.feed_forward.inner.weight,
        "linear1.bias": layer.feed_forward.inner.bias,
        "linear2.weight": layer.feed_forward.outer.weight,
        "linear2.bias": layer.feed_forward.outer.bias,
    }
    if isinstance(layer, DecoderLayer):
        weights |= _attention_weights("multihead_attn", layer.cross_attention)
    for number, residual in enumerate(layer.residuals, start=1):
        weights[f"norm{number}.weight"] = residual.norm.weight
        weights[f"norm{number}.bias"] = residual.norm.bias
    biases = {name for name in theirs.state_dict() if "in_proj_bias" in name or "proj.bias" in name}
    result = theirs.load_state_dict(weights, strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) == biases
    assert all(torch.count_nonzero(theirs.state_dict()[name]) == 0 for name in biases)
    return theirs


def _attention_weights(name: str, attention: MultiHeadAttention) -> dict[str, Tensor]:
    return {
        f"{name}.in_proj_weight": attention.qkv_weight,
        f"{name}.out_proj.weight": attention.out_weight,
    }


@pytest.mark.parametrize(("norm", "activation"), VARIANTS)
def test_encoder_layer_equals_torch(norm: str, activation: str) -> None:
    config = _config(norm=norm, activation=activation)
    ours = EncoderLayer(config)
    _shaken(ours)
    theirs = _as_torch(ours, config)
    x = _random(2, 5, D_MODEL).requires_grad_()
    y = x.detach().clone().requires_grad_()
    out = ours(x, SRC_MASK)
    expected = theirs(y, src_key_padding_mask=~SRC_MASK[:, 0, 0])
    assert_close(out, expected)
    direction = _random(*out.shape)
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    assert_close(x.grad, y.grad)
    assert_close(ours.feed_forward.inner.weight.grad, theirs.linear1.weight.grad)
    assert_close(ours.self_attention.qkv_weight.grad, theirs.self_attn.in_proj_weight.grad)


@pytest.mark.parametrize(("norm", "activation"), VARIANTS)
def test_decoder_layer_equals_torch(norm: str, activation: str) -> None:
    config = _config(norm=norm, activation=activation)
    ours = DecoderLayer(config)
    _shaken(ours)
    theirs = _as_torch(ours, config)
    x, memory = _random(2, 4, D_MODEL).requires_grad_(), _random(2, 5, D_MODEL).requires_grad_()
    y, source = (t.detach().clone().requires_grad_() for t in (x, memory))
    out = ours(x, CAUSAL, ours.cross_attention.keys_values(memory), SRC_MASK)
    padding = ~SRC_MASK[:, 0, 0]
    expected = theirs(y, source, tgt_mask=~CAUSAL, memory_key_padding_mask=padding)
    assert_close(out, expected)
    direction = _random(*out.shape)
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    assert_close(x.grad, y.grad)
    assert_close(memory.grad, source.grad)
    theirs_cross = theirs.multihead_attn.in_proj_weight.grad
    assert_close(ours.cross_attention.qkv_weight.grad, theirs_cross)


@pytest.mark.parametrize(
    ("activation", "function"), [("relu", lambda h: h.clamp(min=0.0)), ("gelu", F.gelu)]
)
def test_feed_forward_formula(activation: str, function: Callable[[Tensor], Tensor]) -> None:
    feed = FeedForward(_config(activation=activation))
    _shaken(feed)
    x = _random(2, 4, D_MODEL)
    hidden = function(x @ feed.inner.weight.T + feed.inner.bias)
    assert_close(feed(x), hidden @ feed.outer.weight.T + feed.outer.bias)


def test_swiglu_formula() -> None:
    feed = FeedForward(_config(activation="swiglu")).double()
    w, v = feed.inner.weight[:D_FF], feed.inner.weight[D_FF:]
    x = _random(2, 4, D_MODEL)
    gate = x @ w.T
    expected = (gate * torch.sigmoid(gate) * (x @ v.T)) @ feed.outer.weight.T
    assert_close(feed(x), expected)
    assert [tuple(p.shape) for p in feed.parameters()] == [(2 * D_FF, D_MODEL), (D_MODEL, D_FF)]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_residual_dropout_is_on_the_output_of_the_sublayer(norm: str) -> None:
    residual = Residual(_config(norm=norm, dropout=0.5))
    _shaken(residual)
    x, matrix = _random(3, 4, D_MODEL), _random(D_MODEL, D_MODEL)

    def sublayer(y: Tensor) -> Tensor:
        return y @ matrix

    for training, p in [(True, 0.5), (False, 0.0)]:
        residual.train(training)
        torch.manual_seed(3)
        out = residual(x, sublayer)
        torch.manual_seed(3)
        if norm == "post":
            expected = residual.norm(x + dropout(x @ matrix, p))
        else:
            expected = x + dropout(residual.norm(x) @ matrix, p)
        assert_close(out, expected)


@pytest.mark.parametrize("activation", ["relu", "swiglu"])
def test_activation_dropout_is_between_the_two_products(activation: str) -> None:
    feed = FeedForward(_config(activation=activation, activation_dropout=0.5)).double()
    x = _random(3, 4, D_MODEL)
    hidden = feed.inner(x)
    if activation == "swiglu":
        hidden = F.silu(hidden[..., :D_FF]) * hidden[..., D_FF:]
    else:
        hidden = F.relu(hidden)
    for training, p in [(True, 0.5), (False, 0.0)]:
        feed.train(training)
        torch.manual_seed(3)
        out = feed(x)
        torch.manual_seed(3)
        assert_close(out, feed.outer(dropout(hidden, p)))


def test_each_attention_is_given_the_widths_and_dropout_of_the_configuration() -> None:
    layer = DecoderLayer(_config(d_k=2, d_v=5, attention_dropout=0.25))
    for attention in (layer.self_attention, layer.cross_attention):
        assert attention.widths == [HEADS * 2, HEADS * 2, HEADS * 5]
        assert attention.dropout_p == 0.25
    assert DecoderLayer(_config()).self_attention.widths == [D_MODEL] * 3
