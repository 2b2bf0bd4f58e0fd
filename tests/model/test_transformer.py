"""The Transformer: layers against torch.nn, the whole model by invariants, sizes by the paper."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from nmt.config.models import TransformerConfig
from nmt.model.attention import MultiHeadAttention
from nmt.model.dropout import dropout
from nmt.model.transformer import DecoderLayer, EncoderLayer, FeedForward, Residual, Transformer

from .conftest import BOS, PAD, VOCAB, sources, targets
from .test_network import check_cached_decoding, check_padding


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


# ---------------------------------------------------------------- layers

D_MODEL, HEADS, D_FF = 12, 3, 20
SRC_MASK = torch.tensor([[True] * 5, [True, True, True, False, False]])[:, None, None, :]
CAUSAL = torch.ones(4, 4, dtype=torch.bool).tril()

LAYER_VARIANTS = [
    pytest.param(norm, activation, bias, id=f"{norm}-{activation}{'-bias' * bias}")
    for norm in ("post", "pre")
    for activation in ("relu", "gelu")
    for bias in (False, True)
]


def _layer_config(**changes: Any) -> TransformerConfig:
    values = {"d_model": D_MODEL, "num_heads": HEADS, "d_ff": D_FF, "dropout": 0.0}
    return TransformerConfig.model_validate(values | changes)


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _perturb(layer: nn.Module) -> None:
    """Change every parameter, so that no bias is 0 and no gain is 1, as they are initially."""
    with torch.no_grad():
        for parameter in layer.double().parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


def _as_torch(layer: EncoderLayer | DecoderLayer, config: TransformerConfig) -> nn.Module:
    """Return torch's layer with the same weights; attention biases that ours lacks stay at zero."""
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
    assert set(result.missing_keys) == (set() if config.attention_bias else biases)
    assert config.attention_bias or all(
        torch.count_nonzero(theirs.state_dict()[name]) == 0 for name in biases
    )
    return theirs


def _attention_weights(name: str, attention: MultiHeadAttention) -> dict[str, Tensor]:
    biases = {}
    if attention.qkv_bias is not None:
        biases = {
            f"{name}.in_proj_bias": attention.qkv_bias,
            f"{name}.out_proj.bias": attention.out_bias,
        }
    return {
        f"{name}.in_proj_weight": attention.qkv_weight,
        f"{name}.out_proj.weight": attention.out_weight,
        **biases,
    }


@pytest.mark.parametrize(("norm", "activation", "bias"), LAYER_VARIANTS)
def test_encoder_layer_equals_torch(norm: str, activation: str, bias: bool) -> None:
    config = _layer_config(norm=norm, activation=activation, attention_bias=bias)
    ours = EncoderLayer(config)
    _perturb(ours)
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


@pytest.mark.parametrize(("norm", "activation", "bias"), LAYER_VARIANTS)
def test_decoder_layer_equals_torch(norm: str, activation: str, bias: bool) -> None:
    config = _layer_config(norm=norm, activation=activation, attention_bias=bias)
    ours = DecoderLayer(config)
    _perturb(ours)
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
    ("activation", "function"),
    [
        ("relu", lambda h: h.clamp(min=0.0)),
        ("gelu", F.gelu),
        ("swish", lambda h: h * h.sigmoid()),
    ],
)
def test_feed_forward_matches_its_formula(
    activation: str, function: Callable[[Tensor], Tensor]
) -> None:
    feed = FeedForward(_layer_config(activation=activation))
    _perturb(feed)
    x = _random(2, 4, D_MODEL)
    hidden = function(x @ feed.inner.weight.T + feed.inner.bias)
    assert_close(feed(x), hidden @ feed.outer.weight.T + feed.outer.bias)


def test_swiglu_matches_its_formula() -> None:
    feed = FeedForward(_layer_config(activation="swiglu")).double()
    w, v = feed.inner.weight[:D_FF], feed.inner.weight[D_FF:]
    x = _random(2, 4, D_MODEL)
    gate = x @ w.T
    expected = (gate * torch.sigmoid(gate) * (x @ v.T)) @ feed.outer.weight.T
    assert_close(feed(x), expected)
    assert [tuple(p.shape) for p in feed.parameters()] == [(2 * D_FF, D_MODEL), (D_MODEL, D_FF)]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_residual_dropout_applies_to_the_sublayer_output(norm: str) -> None:
    residual = Residual(_layer_config(norm=norm, dropout=0.5))
    _perturb(residual)
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
def test_activation_dropout_applies_between_the_two_products(activation: str) -> None:
    feed = FeedForward(_layer_config(activation=activation, activation_dropout=0.5)).double()
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


def test_every_attention_gets_the_configured_widths_and_dropout() -> None:
    layer = DecoderLayer(_layer_config(d_k=2, d_v=5, attention_dropout=0.25))
    for attention in (layer.self_attention, layer.cross_attention):
        assert attention.widths == [HEADS * 2, HEADS * 2, HEADS * 5]
        assert attention.dropout_p == 0.25
    assert DecoderLayer(_layer_config()).self_attention.widths == [D_MODEL] * 3


# ---------------------------------------------------------------- the whole model

LEARNED = {"kind": "learned", "max_length": 12}

POSITIONS: dict[str, dict[str, Any]] = {
    "sinusoidal": {"kind": "sinusoidal"},
    "learned": LEARNED,
    "none": {"kind": "none"},
    "sinusoidal-concat": {"kind": "sinusoidal", "combine": "concat"},
    "learned-concat": {**LEARNED, "combine": "concat", "width": 5},
}
CONCATENATED = {"sinusoidal-concat", "learned-concat"}

VARIANTS = [
    pytest.param(
        {
            "norm": norm,
            "positions": POSITIONS[positions],
            "tie_embeddings": tied,
            "activation": activation,
        },
        id=f"{norm}-{positions}-{tied}-{activation}",
    )
    for norm, positions, tied, activation in itertools.product(
        ["post", "pre"],
        POSITIONS,
        ["none", "decoder", "all"],
        ["gelu", "swiglu"],
    )
    if tied == "none" or positions not in CONCATENATED
]


def _config(**changes: Any) -> TransformerConfig:
    values = {
        "d_model": 16,
        "num_heads": 4,
        "d_ff": 24,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "dropout": 0.0,
    }
    return TransformerConfig.model_validate(values | changes)


def _network(**changes: Any) -> Transformer:
    """Return a float64 model, so that comparisons are exact up to rounding."""
    return Transformer(_config(**changes), VOCAB, VOCAB, PAD).double().eval()


@pytest.mark.parametrize("variant", VARIANTS)
def test_cached_decoding_equals_full_decoding(variant: dict[str, Any]) -> None:
    check_cached_decoding(_network(**variant))


@pytest.mark.parametrize("decoder", ["attention", "ssru"])
def test_cached_decoding_equals_full_decoding_with_biases(decoder: str) -> None:
    network = _network(activation="swish", attention_bias=True, output_bias=True, decoder=decoder)
    _perturb(network)
    check_cached_decoding(network)


def test_forward_is_encode_decode_project() -> None:
    network = _network()
    memory, mask = network.encode(sources())
    assert mask.tolist() == (sources() != PAD)[:, None, None, :].tolist()
    logits = network.project(network.decode(targets(), memory, mask))
    assert logits.shape == (3, 5, VOCAB)
    assert torch.equal(network(sources(), targets()), logits)


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_padding_changes_nothing(norm: str, name: str) -> None:
    check_padding(_network(norm=norm, positions=POSITIONS[name], tie_embeddings="none"))


def test_a_shared_matrix_gets_gradients_from_all_its_uses() -> None:
    network = _network(tie_embeddings="all")
    logits = network(torch.tensor([[5, 3]]), torch.tensor([[BOS, 6]]))
    logits[..., 7].sum().backward()
    assert network.src_embedding.weight.grad is not None
    touched = network.src_embedding.weight.grad.abs().sum(dim=1).nonzero().flatten().tolist()
    # Source tokens 3 and 5, target tokens 2 and 6, and row 7 of the output projection.
    assert touched == [2, 3, 5, 6, 7]


def test_embeddings_are_scaled_and_positions_added() -> None:
    network = _network(encoder_layers=1)
    seen = []
    network.encoder_layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.encode(sources())
    embedded = network.src_embedding.weight[sources()] * 4.0  # sqrt(16)
    assert_close(seen[0], embedded + network.src_positions(0, 5))


def test_concatenated_positions_narrow_the_embeddings() -> None:
    network = _network(positions=POSITIONS["learned-concat"], tie_embeddings="none")
    seen = []
    network.encoder_layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.encode(sources())
    assert network.src_embedding.weight.shape == network.tgt_embedding.weight.shape == (VOCAB, 11)
    assert network.projection.weight.shape == (VOCAB, 16)
    assert_close(seen[0][..., :11], network.src_embedding.weight[sources()] * math.sqrt(11))
    assert_close(seen[0][..., 11:], network.src_positions(0, 5).expand(3, 5, 5))


@pytest.mark.parametrize("name", POSITIONS)
def test_order_matters_to_the_encoder_only_with_positions(name: str) -> None:
    network = _network(positions=POSITIONS[name], tie_embeddings="none")
    src, tgt = sources()[:1], targets()[:1]
    swapped = network(src[:, [1, 0, 2, 3, 4]], tgt)
    difference = (swapped - network(src, tgt)).abs().amax(dim=-1)
    assert (difference < 1e-9).all() if name == "none" else (difference > 1e-6).all()


def test_without_positions_the_decoder_sees_order_through_its_mask() -> None:
    network = _network(positions=POSITIONS["none"])
    swapped = network(sources(), targets()[:, [0, 2, 1, 3, 4]])
    assert ((swapped - network(sources(), targets()))[:, 2].abs().amax(dim=-1) > 1e-6).all()


def test_encoder_and_decoder_depth_are_independent() -> None:
    network = _network(encoder_layers=3, decoder_layers=1)
    assert (len(network.encoder_layers), len(network.decoder_layers)) == (3, 1)


def test_pre_norm_normalises_the_outputs() -> None:
    network = _network(norm="pre")
    memory, mask = network.encode(sources())
    for out in (memory, network.decode(targets(), memory, mask)):
        assert_close(out.mean(dim=-1), torch.zeros(out.shape[:2]).double(), atol=1e-9, rtol=0.0)
        expected = torch.ones(out.shape[:2]).double()
        assert_close(out.var(dim=-1, unbiased=False), expected, atol=1e-3, rtol=0.0)


def test_an_untrained_model_is_near_the_uniform_distribution() -> None:
    network = Transformer(_config(d_model=64, num_heads=4, d_ff=128), 1000, 1000, PAD)
    src, tgt = torch.randint(3, 1000, (2, 20, 12))
    logits = network(src, tgt)
    gold = torch.randint(3, 1000, (20 * 12,))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), gold)
    # Logits of variance 1 cost half a nat over the uniform distribution.
    assert math.log(1000) < loss.item() < math.log(1000) + 1.0


DROPOUTS = ["dropout", "attention_dropout", "activation_dropout", "embedding_dropout"]


@pytest.mark.parametrize("name", DROPOUTS)
def test_each_dropout_is_random_in_training_and_off_in_evaluation(name: str) -> None:
    settings = {"dropout": 0.0, "embedding_dropout": 0.0, name: 0.5}
    network = _network(**settings)
    torch.manual_seed(1)
    plain = _network()
    plain.load_state_dict(network.state_dict())
    expected = plain(sources(), targets())
    assert torch.equal(network(sources(), targets()), expected)
    network.train()
    first, second = network(sources(), targets()), network(sources(), targets())
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    first = network(sources(), targets())
    torch.manual_seed(5)
    assert torch.equal(network(sources(), targets()), first)
    assert torch.equal(plain.train()(sources(), targets()), expected), (
        "without dropout nothing is random"
    )


def test_embedding_dropout_defaults_to_dropout() -> None:
    assert _network(dropout=0.3).dropout.p == 0.3
    assert _network(dropout=0.3, embedding_dropout=0.0).dropout.p == 0.0


# Rows of Table 3 with the paper's parameter counts in millions. Only differences from base are
# compared, because the paper's figures exceed its formulas by a constant of about 2 M. The rows
# that change d_model are rounded the most.
BASE_MILLIONS = 65
TABLE_3 = {
    "A-1-head": ({"num_heads": 1}, 65, 0.0),
    "A-4-heads": ({"num_heads": 4}, 65, 0.0),
    "A-16-heads": ({"num_heads": 16}, 65, 0.0),
    "A-32-heads": ({"num_heads": 32}, 65, 0.0),
    "B-d_k-16": ({"d_k": 16}, 58, 1.5),
    "B-d_k-32": ({"d_k": 32}, 60, 1.5),
    "C-2-layers": ({"encoder_layers": 2, "decoder_layers": 2}, 36, 1.5),
    "C-4-layers": ({"encoder_layers": 4, "decoder_layers": 4}, 50, 1.5),
    "C-8-layers": ({"encoder_layers": 8, "decoder_layers": 8}, 80, 1.5),
    "C-d_model-256": ({"d_model": 256, "d_k": 32, "d_v": 32}, 28, 4.0),
    "C-d_model-1024": ({"d_model": 1024, "d_k": 128, "d_v": 128}, 168, 4.0),
    "C-d_ff-1024": ({"d_ff": 1024}, 53, 1.5),
    "C-d_ff-4096": ({"d_ff": 4096}, 90, 1.5),
}


def _millions(changes: dict[str, Any]) -> float:
    config = TransformerConfig.model_validate(changes)
    with torch.device("meta"):
        network = Transformer(config, 37_000, 37_000, PAD)
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def test_base_has_as_many_parameters_as_the_formulas_say() -> None:
    d, f, n, v = 512, 2048, 6, 37_000
    attention = 4 * d * d
    feed_forward = 2 * d * f + f + d
    norm = 2 * d
    encoder = n * (attention + feed_forward + 2 * norm)
    decoder = n * (2 * attention + feed_forward + 3 * norm)
    assert _millions({}) * 1e6 == v * d + encoder + decoder
    assert_close(_millions({}), 63.05, atol=0.01, rtol=0.0)


def test_big_has_as_many_parameters_as_in_the_paper() -> None:
    big = {"d_model": 1024, "d_ff": 4096, "num_heads": 16}
    assert_close(_millions(big), 213.0, rtol=0.02, atol=0.0)


@pytest.mark.parametrize(("changes", "millions", "tolerance"), TABLE_3.values(), ids=TABLE_3)
def test_table_3_differs_from_base_as_in_the_paper(
    changes: dict[str, Any], millions: int, tolerance: float
) -> None:
    difference = _millions(changes) - _millions({})
    assert abs(difference - (millions - BASE_MILLIONS)) <= tolerance


def test_row_e_adds_only_learned_positions() -> None:
    learned = _millions({"positions": {"kind": "learned", "max_length": 512}})
    assert_close(learned - _millions({}), 2 * 512 * 512 / 1e6)
