"""The loss against torch's cross-entropy, values computed by hand, and whole batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from nmt.config.models import TransformerConfig
from nmt.data.batching import Batch, places_of_tokens
from nmt.model.transformer import Transformer
from nmt.training import loss as loss_module
from nmt.training.loss import batch_loss, projected_cross_entropy

ROWS, D_MODEL, VOCAB = 23, 8, 13
PAD, BOS, EOS = 0, 2, 3


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


def _inputs(rows: int = ROWS) -> tuple[Tensor, Tensor, Tensor]:
    hidden = torch.randn(rows, D_MODEL, requires_grad=True)
    weight = torch.randn(VOCAB, D_MODEL, requires_grad=True)
    return hidden, weight, torch.randint(VOCAB, (rows,))


def _reference(hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float) -> list[Tensor]:
    """Return loss, negative log-likelihood and both gradients of the loss, computed by torch."""
    hidden, weight = (t.detach().clone().requires_grad_() for t in (hidden, weight))
    logits = hidden @ weight.T
    loss = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    nll = F.cross_entropy(logits, targets, reduction="sum")
    return [loss.detach(), nll.detach(), *torch.autograd.grad(loss, [hidden, weight])]


def _ours(hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float) -> list[Tensor]:
    loss, nll = projected_cross_entropy(hidden, weight, targets, smoothing)
    return [loss.detach(), nll.detach(), *torch.autograd.grad(loss, [hidden, weight])]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("chunk_rows", [1, 5, ROWS - 1, ROWS, 512])
def test_equals_torch_for_any_chunk_size(
    smoothing: float, chunk_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_module, "_CPU_CHUNK_ROWS", chunk_rows)
    inputs = _inputs()
    expected = _reference(*inputs, smoothing)
    for ours, theirs in zip(_ours(*inputs, smoothing), expected, strict=True):
        assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk_rows", [5, 512])
def test_equals_torch_with_a_bias(
    smoothing: float, chunk_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_module, "_CPU_CHUNK_ROWS", chunk_rows)
    hidden, weight, targets = _inputs()
    bias = (3.0 * torch.randn(VOCAB)).requires_grad_()
    inputs = [hidden, weight, bias]
    loss, nll = projected_cross_entropy(hidden, weight, targets, smoothing, bias)
    logits = F.linear(hidden, weight, bias)
    expected = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert_close(nll, F.cross_entropy(logits, targets, reduction="sum").detach())
    pairs = zip(
        torch.autograd.grad(loss / 7.0, inputs),
        torch.autograd.grad(expected / 7.0, inputs),
        strict=True,
    )
    for ours, theirs in pairs:
        assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        assert_close(projected_cross_entropy(hidden, weight, targets, smoothing, bias)[0], loss)


def test_equals_torch_with_several_chunks() -> None:
    inputs = _inputs(rows=2 * 512 + 5)
    for ours, theirs in zip(_ours(*inputs, 0.1), _reference(*inputs, 0.1), strict=True):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_smoothing_computed_by_hand() -> None:
    # Logits (ln 2, 0, 0) give the probabilities 1/2, 1/4, 1/4. A mass of 0.3 is spread over three
    # tokens, so the target is (0.7 + 0.1, 0.1, 0.1) and the loss is
    # 0.8 ln 2 + 0.1 ln 4 + 0.1 ln 4 = 1.2 ln 2. Its gradient with respect to the logits is
    # (1/2, 1/4, 1/4) - (0.8, 0.1, 0.1) = (-0.3, 0.15, 0.15).
    hidden = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[math.log(2.0)], [0.0], [0.0]], requires_grad=True)
    loss, nll = projected_cross_entropy(hidden, weight, torch.tensor([0]), 0.3)
    loss.backward()
    assert_close(loss.item(), 1.2 * math.log(2.0))
    assert_close(nll.item(), math.log(2.0))
    assert_close(weight.grad, torch.tensor([[-0.3], [0.15], [0.15]]))
    assert_close(hidden.grad, torch.tensor([[-0.3 * math.log(2.0)]]))


def test_extreme_logits_stay_finite() -> None:
    # Each row has one logit of 1e4 and one of -1e4. The target of row 0 is the first, which costs
    # nothing; the target of row 1 is the second, which costs the difference.
    hidden = torch.tensor([[1e4], [1e4]], requires_grad=True)
    weight = torch.tensor([[1.0], [-1.0], [0.0]], requires_grad=True)
    targets = torch.tensor([0, 1])
    loss, nll, *gradients = _ours(hidden, weight, targets, 0.1)
    assert_close(nll.item(), 2e4)
    assert_close(loss, _reference(hidden, weight, targets, 0.1)[0])
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_two_batches_sum_to_their_concatenation() -> None:
    hidden, weight, targets = _inputs()
    whole = _ours(hidden, weight, targets, 0.1)
    first = _ours(hidden[:9], weight, targets[:9], 0.1)
    second = _ours(hidden[9:], weight, targets[9:], 0.1)
    for index in (0, 1, 3):  # loss, nll, gradient of the weight
        assert_close(first[index] + second[index], whole[index], rtol=1e-5, atol=1e-5)


def test_an_empty_batch_has_zero_loss() -> None:
    hidden, weight, targets = _inputs(rows=0)
    loss, nll, _, grad_weight = _ours(hidden, weight, targets, 0.1)
    assert (loss.item(), nll.item()) == (0.0, 0.0)
    assert torch.count_nonzero(grad_weight) == 0


def test_the_gradient_scales_with_the_loss() -> None:
    hidden, weight, targets = _inputs()
    expected = [gradient / 7.0 for gradient in _ours(hidden, weight, targets, 0.1)[2:]]
    loss, nll = projected_cross_entropy(hidden, weight, targets, 0.1)
    (loss / 7.0).backward()
    assert_close(hidden.grad, expected[0])
    assert_close(weight.grad, expected[1])
    assert not nll.requires_grad


def test_bf16_autocast_is_close_to_float32() -> None:
    hidden, weight, targets = _inputs(rows=600)
    expected = _reference(hidden, weight, targets, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        loss, nll = projected_cross_entropy(hidden, weight, targets, 0.1)
    loss.backward()
    assert (loss.dtype, nll.dtype) == (torch.float32, torch.float32)
    assert_close(loss.detach(), expected[0], rtol=5e-3, atol=0.0)
    assert_close(nll, expected[1], rtol=5e-3, atol=0.0)
    for gradient, theirs in [(hidden.grad, expected[2]), (weight.grad, expected[3])]:
        assert gradient is not None
        assert gradient.dtype == torch.float32
        assert (gradient - theirs).norm() < 0.01 * theirs.norm()
    rounded = F.linear(hidden.bfloat16(), weight.bfloat16()).float()
    # The products are in bf16, the softmax in float32.
    assert_close(nll, F.cross_entropy(rounded, targets, reduction="sum"), rtol=1e-5, atol=0.0)


def test_bf16_hidden_states_get_bf16_gradients() -> None:
    hidden, weight, targets = _inputs()
    low = hidden.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = projected_cross_entropy(low, weight, targets, 0.1)
    loss.backward()
    assert low.grad is not None
    assert low.grad.dtype == torch.bfloat16
    expected = _reference(hidden, weight, targets, 0.1)[2]
    assert (low.grad.float() - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_not_computed_if_disabled(mode: type) -> None:
    def flops() -> int:
        with FlopCounterMode(display=False) as counter:
            projected_cross_entropy(hidden, weight, targets, 0.1)
        return counter.get_total_flops()

    hidden, weight, targets = _inputs()
    training = flops()
    with mode():
        assert 2 * flops() < training  # one product instead of three


def _network(bias: bool = False) -> Transformer:
    config = TransformerConfig(
        d_model=16,
        num_heads=2,
        d_ff=24,
        encoder_layers=1,
        decoder_layers=1,
        dropout=0.0,
        output_bias=bias,
    )
    network = Transformer(config, VOCAB, VOCAB, PAD)
    if bias:
        torch.nn.init.normal_(network.projection.bias)
    return network


def _batch(*pairs: tuple[list[int], list[int]]) -> Batch:
    def padded(rows: list[list[int]]) -> Tensor:
        length = max(map(len, rows))
        return torch.tensor([row + [PAD] * (length - len(row)) for row in rows])

    src = [[*src, EOS] for src, _ in pairs]
    tgt = [[*tgt, EOS] for _, tgt in pairs]
    return Batch(
        padded(src),
        padded([[BOS, *ids] for _, ids in pairs]),
        padded(tgt),
        places_of_tokens(padded(tgt), PAD),
        sum(map(len, src)),
        sum(map(len, tgt)),
        np.arange(len(pairs)),
    )


PAIRS = [([4, 5, 6, 7], [8, 9]), ([10], [11, 12, 4, 5, 6]), ([7, 8, 9], [])]


@pytest.mark.parametrize("bias", [False, True])
def test_batch_loss_is_the_cross_entropy_of_the_target_tokens(bias: bool) -> None:
    network, batch = _network(bias), _batch(*PAIRS)
    loss, nll = batch_loss(network, batch, 0.1)
    logits = network(batch.src_BS, batch.tgt_in_BT).flatten(0, 1)
    targets = batch.tgt_out_BT.flatten()
    expected, expected_nll = (
        F.cross_entropy(logits, targets, reduction="sum", ignore_index=PAD, label_smoothing=s)
        for s in (0.1, 0.0)
    )
    assert_close(loss, expected)
    assert_close(nll, expected_nll.detach())
    # The tied matrix gets gradients both as embedding and as projection.
    weights = list(network.parameters())
    ours, theirs = (torch.autograd.grad(value, weights) for value in (loss, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_padding_affects_neither_loss_nor_gradients() -> None:
    network = _network()
    weights = list(network.parameters())
    batches = [_batch(*PAIRS), *(_batch(pair) for pair in PAIRS)]
    losses = [batch_loss(network, batch, 0.1) for batch in batches]
    gradients = [torch.autograd.grad(loss, weights) for loss, _ in losses]
    for column in range(2):
        alone = sum(values[column].item() for values in losses[1:])
        assert_close(losses[0][column].item(), alone, rtol=1e-5, atol=0.0)
    for together, *alone in zip(*gradients, strict=True):
        assert_close(together, sum(alone), rtol=1e-4, atol=1e-5)


def test_padding_gets_no_gradient_from_the_projection() -> None:
    network = _network()
    batch = _batch(*PAIRS)
    hidden = []
    network.decoder_norm.register_forward_hook(lambda *call: hidden.append(call[2]))
    loss, _ = batch_loss(network, batch, 0.1)
    (gradient,) = torch.autograd.grad(loss, hidden)
    assert torch.equal(gradient.abs().sum(dim=-1) > 0.0, batch.tgt_out_BT != PAD)
