"""Products in int8."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import nmt
from nmt.config.models import TransformerConfig
from nmt.errors import ConfigError
from nmt.model import int8
from nmt.model.int8 import Int8Linear, quantise
from nmt.model.transformer import Transformer

pytestmark = pytest.mark.skipif(
    not int8._is_supported(), reason="no products in int8 on this processor"
)


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 64])
@torch.inference_mode()
def test_products_are_close_to_those_in_float32(bias: bool, rows: int) -> None:
    torch.manual_seed(1)
    linear = nn.Linear(96, 40, bias=bias)
    x = torch.randn(2, rows, 96) * torch.logspace(-3, 3, rows)[:, None]
    small = Int8Linear(linear.weight, linear.bias)
    for position in range(rows):  # each position has its own scale
        assert relative_error(small(x)[:, position], linear(x)[:, position]) < 0.03


@torch.inference_mode()
def test_a_position_does_not_depend_on_the_others() -> None:
    torch.manual_seed(1)
    small = Int8Linear(torch.randn(40, 96), torch.randn(40))
    x = torch.randn(5, 96)
    assert torch.equal(small(x)[2:3], small(x[2:3]))


@torch.inference_mode()
def test_zeros_give_the_bias() -> None:
    bias, x = torch.randn(4), torch.zeros(1, 8)
    assert torch.equal(Int8Linear(torch.zeros(4, 8), bias)(x), bias[None])
    assert not Int8Linear(torch.randn(4, 8))(x).any()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("norm", ["pre", "post"])
@torch.inference_mode()
def test_a_network_is_close_to_itself_in_float32(norm: str, bias: bool) -> None:
    torch.manual_seed(1)
    shape = {"d_model": 32, "num_heads": 4, "d_ff": 64, "d_k": 6, "d_v": 10}
    biases = {"attention_bias": bias, "output_bias": bias}
    config = TransformerConfig.model_validate({**shape, **biases, "norm": norm})
    network = Transformer(config, 50, 50, 0).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    src, tgt = torch.randint(1, 50, (3, 7)), torch.randint(1, 50, (3, 5))
    expected = network(src, tgt)
    quantise(network)
    assert 0 < relative_error(network(src, tgt), expected) < 0.1
    state = network.start_decoding(src)
    for place in range(5):
        step = network.project(network.decode_step(tgt[:, place : place + 1], state))
        assert relative_error(step, network(src, tgt)[:, place : place + 1]) < 0.03


def test_sampling_and_search_in_int8(trained_run: Path) -> None:
    lines = (trained_run.parent / "test.src").read_text("utf-8").split("\n")[:-1]
    exact = nmt.load(trained_run, engine="nmt")
    small = nmt.load(trained_run, engine="nmt", compute="int8")
    assert str(small.engine) == "nmt int8 on cpu"
    pairs = zip(exact.translate(lines), small.translate(lines), strict=True)
    assert sum(one.text == other.text for one, other in pairs) > 0.8 * len(lines)
    batch = [each.text for each in small.translate(lines)]
    assert [small.translate(line).text for line in lines] == batch
    assert len(small.translate(lines, top_k=3, seed=1)) == len(lines)


def test_int8_is_refused_where_it_is_not_right(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_TOLERANCE", 0.0)
    int8._is_supported.cache_clear()
    with pytest.raises(ConfigError, match="int8 instructions"):
        nmt.load(trained_run, engine="nmt", compute="int8")
    int8._is_supported.cache_clear()
