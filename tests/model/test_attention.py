"""Attention against torch.nn.MultiheadAttention, plain einsum and values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from nmt.model.attention import MultiHeadAttention, scaled_dot_product_attention
from nmt.model.dropout import dropout

D_MODEL, HEADS = 12, 3
SRC_MASK = torch.tensor([[True, True, True, True], [True, True, False, False]])[:, None, None, :]
CAUSAL = torch.ones(4, 4, dtype=torch.bool).tril()
MASKS = {"none": None, "padding": SRC_MASK, "causal": CAUSAL, "both": CAUSAL & SRC_MASK}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


def _attention(d_k: int = 4, d_v: int = 4, dropout_p: float = 0.0) -> MultiHeadAttention:
    return MultiHeadAttention(D_MODEL, HEADS, d_k, d_v, dropout_p).double()


def _torch_attention(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(D_MODEL, HEADS, bias=False, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv_weight)
        theirs.out_proj.weight.copy_(ours.out_weight)
    return theirs


def _torch_mask(mask: Tensor | None, batch_size: int, length: int) -> Tensor | None:
    """Convert a broadcastable mask of allowed keys to torch's of forbidden keys, [B * H, L, M]."""
    if mask is None:
        return None
    forbidden_BHLM = ~mask.expand(batch_size, HEADS, length, mask.shape[-1])
    return forbidden_BHLM.flatten(0, 1)


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_attention_of_a_2x2_example_computed_by_hand() -> None:
    # d_k = 4, so scores are divided by 2. Query 0 has scores (ln 3, 0) and weights 3/4 and 1/4;
    # query 1 has scores (0, 0) and equal weights.
    q = torch.tensor([[[[2 * math.log(3.0), 0.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]]]])
    k = torch.tensor([[[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]]])
    v = torch.tensor([[[[8.0, 0.0], [0.0, 4.0]]]])
    expected = torch.tensor([[[[6.0, 1.0], [4.0, 2.0]]]])
    assert_close(scaled_dot_product_attention(q, k, v, None), expected)
    # Under a causal mask the first query sees only the first value.
    causal = torch.ones(2, 2, dtype=torch.bool).tril()
    expected[0, 0, 0] = torch.tensor([8.0, 0.0])
    assert_close(scaled_dot_product_attention(q, k, v, causal), expected)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
)
def test_equals_torch_scaled_dot_product_attention(
    mask: Tensor | None, dtype: torch.dtype, tolerance: float
) -> None:
    q, k = (torch.randn(2, HEADS, 4, 8).to(dtype) for _ in range(2))
    v = torch.randn(2, HEADS, 4, 5).to(dtype)
    out = scaled_dot_product_attention(q, k, v, mask)
    assert out.dtype == dtype
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert_close(out, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_self_attention_equals_torch(mask: Tensor | None) -> None:
    ours = _attention()
    theirs = _torch_attention(ours)
    x = _random(2, 4, D_MODEL).requires_grad_()
    y = x.detach().clone().requires_grad_()
    out = ours(x, mask)
    expected, _ = theirs(y, y, y, attn_mask=_torch_mask(mask, 2, 4), need_weights=False)
    assert_close(out, expected)
    direction = _random(*out.shape)
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    assert_close(x.grad, y.grad)
    assert_close(ours.qkv_weight.grad, theirs.in_proj_weight.grad)
    assert_close(ours.out_weight.grad, theirs.out_proj.weight.grad)


@pytest.mark.parametrize("mask", [None, SRC_MASK], ids=["none", "padding"])
def test_cross_attention_equals_torch(mask: Tensor | None) -> None:
    ours = _attention()
    theirs = _torch_attention(ours)
    x, memory = _random(2, 5, D_MODEL).requires_grad_(), _random(2, 4, D_MODEL).requires_grad_()
    y, source = (t.detach().clone().requires_grad_() for t in (x, memory))
    out = ours(x, mask, memory=ours.keys_values(memory))
    padding = None if mask is None else ~mask[:, 0, 0]
    expected, _ = theirs(y, source, source, key_padding_mask=padding, need_weights=False)
    assert_close(out, expected)
    direction = _random(*out.shape)
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    assert_close(x.grad, y.grad)
    assert_close(memory.grad, source.grad)
    assert_close(ours.qkv_weight.grad, theirs.in_proj_weight.grad)
    assert_close(ours.out_weight.grad, theirs.out_proj.weight.grad)


@pytest.mark.parametrize(("d_k", "d_v"), [(2, 7), (9, 4), (4, 1)])
def test_key_and_value_widths_are_independent_of_d_model(d_k: int, d_v: int) -> None:
    ours = _attention(d_k, d_v)
    x, memory = _random(2, 3, D_MODEL), _random(2, 4, D_MODEL)
    w_q, w_k, w_v = ours.qkv_weight.split([HEADS * d_k, HEADS * d_k, HEADS * d_v])
    q = torch.einsum("bld,hkd->bhlk", x, w_q.view(HEADS, d_k, D_MODEL))
    k = torch.einsum("bmd,hkd->bhmk", memory, w_k.view(HEADS, d_k, D_MODEL))
    v = torch.einsum("bmd,hvd->bhmv", memory, w_v.view(HEADS, d_v, D_MODEL))
    scores = torch.einsum("bhlk,bhmk->bhlm", q, k) / math.sqrt(d_k)
    weights = scores.masked_fill(~SRC_MASK, -math.inf).softmax(dim=-1)
    heads = torch.einsum("bhlm,bhmv->bhlv", weights, v)
    w_o = ours.out_weight.view(D_MODEL, HEADS, d_v)
    expected = torch.einsum("bhlv,dhv->bld", heads, w_o)
    assert_close(ours(x, SRC_MASK, memory=ours.keys_values(memory)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masked_keys_have_no_influence(dtype: torch.dtype) -> None:
    q, k, v = (torch.randn(2, HEADS, 4, 8).to(dtype) for _ in range(3))
    before = scaled_dot_product_attention(q, k, v, SRC_MASK)
    k[1, :, 2:], v[1, :, 2:] = 100.0, -1e4
    assert torch.equal(scaled_dot_product_attention(q, k, v, SRC_MASK), before)
    k[1, :, 1] += 1.0
    assert not torch.equal(scaled_dot_product_attention(q, k, v, SRC_MASK), before)


def test_masked_keys_get_no_gradient() -> None:
    q, k, v = (_random(2, HEADS, 4, 8).requires_grad_() for _ in range(3))
    scaled_dot_product_attention(q, k, v, SRC_MASK).square().sum().backward()
    assert k.grad is not None
    assert v.grad is not None
    for gradient in (k.grad, v.grad):
        assert torch.count_nonzero(gradient[1, :, 2:]) == 0
        assert torch.count_nonzero(gradient[1, :, :2]) == gradient[1, :, :2].numel()


def test_cached_steps_equal_one_pass() -> None:
    ours = _attention(2, 5)
    x = _random(2, 4, D_MODEL)
    past = ours.empty_past(2)
    past.make_room(7)
    read = torch.arange(7) <= torch.arange(4)[:, None]
    steps = [ours(x[:, t : t + 1], read[t], past=past, start=t) for t in range(4)]
    assert past.k_BHMK.shape == (2, HEADS, 7, 2)
    assert past.v_BHMK.shape == (2, HEADS, 7, 5)
    assert_close(torch.cat(steps, dim=1), ours(x, CAUSAL))


def test_growing_the_cache_keeps_its_contents() -> None:
    ours = _attention()
    past = ours.empty_past(2)
    past.make_room(3)
    new = ours.keys_values(_random(2, 2, D_MODEL))
    past.write(new, 1)
    past.make_room(5)
    past.make_room(4)
    assert past.k_BHMK.shape[2] == past.v_BHMK.shape[2] == 5
    assert torch.equal(past.k_BHMK[:, :, 1:3], new.k_BHMK)
    assert torch.equal(past.v_BHMK[:, :, 1:3], new.v_BHMK)
    assert torch.count_nonzero(past.k_BHMK[:, :, 3:]) == 0


def test_select_keeps_sentences() -> None:
    ours = _attention()
    memory = _random(3, 4, D_MODEL)
    kept = ours.keys_values(memory)
    sentences = torch.tensor([2, 0])
    kept.select(sentences)
    expected = ours.keys_values(memory[sentences])
    assert_close(kept.k_BHMK, expected.k_BHMK)
    assert_close(kept.v_BHMK, expected.v_BHMK)


def test_dropout_applies_to_the_attention_weights_in_training_only() -> None:
    ours = _attention(dropout_p=0.5)
    x = _random(2, 4, D_MODEL)
    q, k, v = (
        t.view(2, 4, HEADS, 4).transpose(1, 2)
        for t in F.linear(x, ours.qkv_weight).chunk(3, dim=-1)
    )
    weights = (q @ k.transpose(-2, -1) / 2.0).softmax(dim=-1)
    for training, p in [(True, 0.5), (False, 0.0)]:
        ours.train(training)
        torch.manual_seed(7)
        out = ours(x, None)
        torch.manual_seed(7)
        heads = dropout(weights, p) @ v
        assert_close(out, F.linear(heads.transpose(1, 2).flatten(2), ours.out_weight))


def test_each_projection_is_initialised_by_its_own_shape() -> None:
    attention = MultiHeadAttention(512, 8, d_k=8, d_v=64, dropout_p=0.0)
    for weight in [*attention.qkv_weight.split([64, 64, 512]), attention.out_weight]:
        bound = math.sqrt(6.0 / sum(weight.shape))  # Glorot and Bengio 2010
        assert 0.99 * bound < weight.abs().max() <= bound
