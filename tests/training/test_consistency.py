"""R-Drop, SimCut and token cutoff: losses and gradients, and one forward pass over both views."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nmt.config.regularisation import RDropConfig, SimCutConfig, TokenCutoffConfig
from nmt.config.schema import Config
from nmt.data.batching import Batch, BatchOrder, batches
from nmt.data.prepare import prepare
from nmt.data.tokenizer_training import train_tokenizers
from nmt.training import consistency
from nmt.training.consistency import (
    Criterion,
    TwoViews,
    cut_second_view,
    r_drop,
    sim_cut,
    token_cutoff,
)
from nmt.training.learner import Learner
from nmt.training.loss import batch_loss, projected_cross_entropy

CPU = torch.device("cpu")
Make = Callable[..., tuple[Learner, list[Batch]]]

# Two tokens of a vocabulary of two: the first is certain in one view only.
HALF, QUARTER = math.log(1 / 2), math.log(1 / 4)
THREE_QUARTERS = math.log(3 / 4)
VIEWS = torch.tensor([[[HALF, HALF], [HALF, HALF]], [[QUARTER, THREE_QUARTERS], [HALF, HALF]]])
TARGETS = torch.tensor([0, 1])
TO_CUT = 0.5 * (HALF - QUARTER) + 0.5 * (HALF - THREE_QUARTERS)  # KL(first view || second view)
FROM_CUT = 0.25 * (QUARTER - HALF) + 0.75 * (THREE_QUARTERS - HALF)


@pytest.fixture
def make(make_config: Callable[..., Config]) -> Make:
    """Return a function that makes a learner and its first epoch from keys of `make_config`."""

    def made(**keys: Any) -> tuple[Learner, list[Batch]]:
        config = make_config(**keys)
        tokenizers = train_tokenizers(config)
        data = prepare(config, tokenizers, config.data.train, filtered=True)
        order = BatchOrder.of(data, config.train.batch_tokens, config.train.seed)
        learner = Learner(config, tokenizers, CPU, print)
        learner.network.train()
        return learner, list(batches(data, tokenizers, order, config, epoch=0))

    return made


def gradients(learner: Learner, batches: list[Batch]) -> dict[str, Tensor]:
    """Return losses, and the gradients of the summed loss."""
    losses_3 = learner._accumulate(batches)
    found = {name: p.grad for name, p in learner.network.named_parameters() if p.grad is not None}
    learner.optimizer.drop_gradients()
    return {**found, "losses": losses_3}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=2e-5, rtol=1e-4)


# ---------------------------------------------------------------- the losses


def test_r_drop_by_hand() -> None:
    loss, nll, divergence = r_drop(RDropConfig(alpha=5.0))(VIEWS, TARGETS, 0.0)
    expected_nll = -(2 * HALF + QUARTER + HALF) / 2
    assert float(nll) == pytest.approx(expected_nll)
    assert float(divergence) == pytest.approx((TO_CUT + FROM_CUT) / 2)
    assert float(loss) == pytest.approx(expected_nll + 5.0 * (TO_CUT + FROM_CUT) / 4)


def test_sim_cut_by_hand() -> None:
    """The labels are those of the first view only, and the divergence has one direction."""
    loss, nll, divergence = sim_cut(SimCutConfig(alpha=3.0))(VIEWS, TARGETS, 0.0)
    assert float(nll) == pytest.approx(-2 * HALF)
    assert float(divergence) == pytest.approx(TO_CUT)
    assert float(loss) == pytest.approx(-2 * HALF + 3.0 * TO_CUT)


def test_token_cutoff_by_hand() -> None:
    """The labels are those of both views; the divergence is that of both from their mean."""
    loss, nll, divergence = token_cutoff(TokenCutoffConfig(alpha=4.0))(VIEWS, TARGETS, 0.0)
    expected_nll = -(2 * HALF + QUARTER + HALF) / 2
    means = math.log(3 / 8), math.log(5 / 8)
    from_mean = 0.5 * (HALF - means[0]) + 0.5 * (HALF - means[1])
    from_mean += 0.25 * (QUARTER - means[0]) + 0.75 * (THREE_QUARTERS - means[1])
    assert float(nll) == pytest.approx(expected_nll)
    assert float(divergence) == pytest.approx(from_mean / 2, rel=1e-5)
    assert float(loss) == pytest.approx(expected_nll + 4.0 * from_mean / 4)


def of_logits(criterion: Criterion, logits_2NV: Tensor, smoothing: float = 0.1) -> Tensor:
    """Return the gradient of the loss with regard to logits."""
    logits_2NV = logits_2NV.clone().requires_grad_()
    loss, _, _ = criterion(logits_2NV.log_softmax(-1), torch.tensor([1, 2, 0]), smoothing)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits_2NV.grad is not None
    return logits_2NV.grad


@pytest.mark.parametrize("criterion", [r_drop(RDropConfig()), token_cutoff(TokenCutoffConfig())])
def test_both_views_are_treated_alike(criterion: Criterion) -> None:
    logits_2NV = torch.randn(2, 3, 5, dtype=torch.float64)
    swapped = of_logits(criterion, logits_2NV.flip(0))
    torch.testing.assert_close(of_logits(criterion, logits_2NV), swapped.flip(0))


def test_the_divergence_is_that_of_torch() -> None:
    log_probs_2NV = torch.randn(2, 3, 5).log_softmax(-1)
    one_NV, other_NV = log_probs_2NV
    forth, back = (
        F.kl_div(q, p, reduction="sum", log_target=True)  # KL(p || q)
        for p, q in ((one_NV, other_NV), (other_NV, one_NV))
    )
    targets = torch.tensor([1, 2, 0])
    _, _, divergence = r_drop(RDropConfig())(log_probs_2NV, targets, 0.1)
    torch.testing.assert_close(divergence, (forth + back) / 2)
    _, _, divergence = sim_cut(SimCutConfig())(log_probs_2NV, targets, 0.1)
    torch.testing.assert_close(divergence, forth)
    mean_NV = log_probs_2NV.exp().mean(0).log()
    to_mean = [F.kl_div(mean_NV, p, reduction="sum", log_target=True) for p in log_probs_2NV]
    _, _, divergence = token_cutoff(TokenCutoffConfig())(log_probs_2NV, targets, 0.1)
    torch.testing.assert_close(divergence, sum(to_mean) / 2)


def test_sim_cut_teaches_both_views() -> None:
    logits_2NV = torch.randn(2, 3, 5, dtype=torch.float64)
    plain_NV = logits_2NV[0].clone().requires_grad_()
    F.cross_entropy(
        plain_NV, torch.tensor([1, 2, 0]), reduction="sum", label_smoothing=0.1
    ).backward()
    assert plain_NV.grad is not None
    whole_NV, cut_NV = of_logits(sim_cut(SimCutConfig()), logits_2NV)
    assert not torch.allclose(whole_NV, plain_NV.grad)
    # The gradient of KL(p || q) with regard to the logits of q is q - p.
    torch.testing.assert_close(
        cut_NV, 3.0 * (logits_2NV[1].softmax(-1) - logits_2NV[0].softmax(-1))
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("chunk", [2, 100])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, chunk: int, bias: bool) -> None:
    monkeypatch.setattr(consistency, "_CPU_CHUNK_ROWS", chunk)
    sizes = [(2, 7, 4), (9, 4), *([(9,)] if bias else [])]
    inputs = [torch.randn(size, requires_grad=True) for size in sizes]
    hidden_2ND, weight_VD, *biases = inputs
    bias_V = biases[0] if biases else None
    targets_N = torch.randint(9, (7,))
    criterion = r_drop(RDropConfig())

    def run(log_probs_2NV: Tensor, targets_N: Tensor) -> Any:
        return criterion(log_probs_2NV, targets_N, 0.1)

    figures_3 = consistency._ProjectedLoss.apply(hidden_2ND, weight_VD, bias_V, targets_N, run)
    found = torch.autograd.grad(figures_3[0] * 2, inputs)
    expected = run(F.linear(hidden_2ND, weight_VD, bias_V).log_softmax(-1), targets_N)
    torch.testing.assert_close(figures_3, torch.stack(expected))
    for one, other in zip(found, torch.autograd.grad(expected[0] * 2, inputs), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_cross_entropy_is_that_of_single_batches(precision: str) -> None:
    hidden_ND, weight_VD = torch.randn(6, 8), torch.randn(11, 8, requires_grad=True)
    targets_N = torch.randint(11, (6,))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss, nll = projected_cross_entropy(hidden_ND, weight_VD, targets_N, 0.1)
        figures_3 = consistency._ProjectedLoss.apply(
            torch.stack([hidden_ND, hidden_ND]),
            weight_VD,
            None,
            targets_N,
            lambda log_probs, targets: r_drop(RDropConfig())(log_probs, targets, 0.1),
        )
    tolerance = {"atol": 1e-4, "rtol": 2e-2 if precision == "bf16" else 1e-5}
    torch.testing.assert_close(figures_3[:2], torch.stack([loss, nll]), **tolerance)
    assert float(figures_3[2].detach()) == 0.0
    [one], [other] = (torch.autograd.grad(each, [weight_VD]) for each in (figures_3[0], loss))
    torch.testing.assert_close(one, other, atol=0.05 if precision == "bf16" else 1e-5, rtol=1e-2)


# ---------------------------------------------------------------- both views of a batch


KINDS = [{}, {"kind": "rnn"}, {"kind": "conv"}, {"tie_embeddings": "none", "norm": "pre"}]


@pytest.mark.parametrize("model", KINDS)
def test_without_dropout_both_views_are_the_batch(make: Make, model: dict[str, Any]) -> None:
    """Then R-Drop, of whatever weight, is ordinary training."""
    learner, [batch, *_] = make(model={"dropout": 0.0, **model})
    plain = gradients(learner, [batch])
    learner._views = TwoViews(r_drop(RDropConfig()))
    assert_close(gradients(learner, [batch]), plain)


@pytest.mark.parametrize("keys", [{"r_drop": {}}, {"sim_cut": {}}, {"token_cutoff": {}}])
def test_both_views_take_one_forward_pass(make: Make, keys: dict[str, Any]) -> None:
    learner, [batch, *_] = make(**keys)
    sizes: list[int] = []
    hidden = learner.network.hidden

    def counted(src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        sizes.append(len(src_BS))
        return hidden(src_BS, tgt_in_BT)

    learner.network.hidden = counted  # type: ignore[method-assign]
    loss, nll, divergence = learner._accumulate([batch]).tolist()
    assert sizes == [2 * len(batch.rows)]
    assert loss > nll * 0.9
    assert divergence > 0


@pytest.mark.parametrize("model", KINDS)
def test_only_embeddings_of_the_second_view_are_cut(make: Make, model: dict[str, Any]) -> None:
    learner, _ = make(sim_cut={"cutoff": 0.3}, model=model)
    network = learner.network
    ids_XL = torch.randint(4, 10, (200, 30))
    for embedding in (network.src_embedding, network.tgt_embedding):
        whole_XLE = F.embedding(ids_XL, embedding.weight)
        first, second = embedding(ids_XL).chunk(2)
        assert torch.equal(first, whole_XLE[:100])
        is_cut = (second == 0).all(-1)
        assert torch.equal(second, whole_XLE[100:].masked_fill(is_cut[..., None], 0.0))
        assert float(is_cut.float().mean()) == pytest.approx(0.3, abs=0.03)
    network.eval()
    assert torch.equal(
        network.src_embedding(ids_XL), F.embedding(ids_XL, network.src_embedding.weight)
    )


@pytest.mark.parametrize("name", ["sim_cut", "token_cutoff"])
def test_the_default_cutoff_is_that_of_the_paper(make: Make, name: str) -> None:
    learner, _ = make(**{name: {}})
    embedded = learner.network.src_embedding(torch.full((2000, 10), 5))
    assert float((embedded[1000:] == 0).float().mean()) == pytest.approx(0.05, abs=0.01)


def test_sim_cut_without_cut_tokens_is_ordinary_training(make: Make) -> None:
    learner, [batch, *_] = make(model={"dropout": 0.0})
    plain = gradients(learner, [batch])
    cut_second_view(learner.network, 0.0)
    learner._views = TwoViews(sim_cut(SimCutConfig()))
    assert_close(gradients(learner, [batch]), plain)


@pytest.mark.parametrize("keys", [{"r_drop": {}}, {"sim_cut": {"cutoff": 0.2}}])
def test_an_alpha_of_zero_leaves_the_cross_entropy(make: Make, keys: dict[str, Any]) -> None:
    """R-Drop is then training on the doubled batch, SimCut on the batch."""
    learner, [batch, *_] = make(model={"dropout": 0.1 if "r_drop" in keys else 0.0}, **keys)
    name, settings = ("r_drop", RDropConfig) if "r_drop" in keys else ("sim_cut", SimCutConfig)
    zero = settings.model_construct(alpha=0.0, cutoff=0.2)
    learner._views = TwoViews(getattr(consistency, name)(zero))
    found = gradients(learner, [batch])

    def doubled(*_: Any) -> Any:
        hidden = learner.network.hidden(
            *(torch.cat([x, x]) for x in (batch.src_BS, batch.tgt_in_BT))
        )
        both = hidden.unflatten(0, (2, -1)).flatten(1, 2)[:, batch.tgt_places_N]
        labels = batch.tgt_out_BT.flatten()[batch.tgt_places_N]
        used = both if name == "r_drop" else both[:1]
        losses = [
            projected_cross_entropy(one, learner.network.projection.weight, labels, 0.1)
            for one in used
        ]
        loss, nll = (sum(each) / len(used) for each in zip(*losses, strict=True))
        return loss, nll, torch.zeros(())

    learner._losses = doubled  # type: ignore[method-assign]
    expected = gradients(learner, [batch])
    found["losses"][2] = 0.0
    assert_close(found, expected)


@pytest.mark.parametrize("name", ["r_drop", "sim_cut"])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(make: Make, name: str) -> None:
    """So a batch that does not fit can be split, and batches can be accumulated."""
    learner, [batch, other, *_] = make(model={"dropout": 0.0})

    # Without randomness, views differ by a fixed cut: the same tokens in all parts.
    def cut(embedding: Any, args: Any, embedded_XLE: Tensor) -> Tensor:
        is_second = torch.arange(len(embedded_XLE)) >= len(embedded_XLE) // 2
        return embedded_XLE.masked_fill((is_second[:, None] & (args[0] % 3 == 0))[..., None], 0.0)

    for embedding in {learner.network.src_embedding, learner.network.tgt_embedding}:
        embedding.register_forward_hook(cut)
    criterion = sim_cut(SimCutConfig()) if name == "sim_cut" else r_drop(RDropConfig())
    learner._views = TwoViews(criterion)
    whole = gradients(learner, [batch, other])
    assert whole["losses"][2] > 0
    assert_close(whole, gradients(learner, [*learner._halves(batch), *learner._halves(other)]))


def test_a_batch_that_does_not_fit_is_split(make: Make) -> None:
    learner, [batch, *_] = make(r_drop={})
    hidden = learner.network.hidden

    def limited(src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        if len(src_BS) > len(batch.rows):
            raise torch.OutOfMemoryError("simulated")
        return hidden(src_BS, tgt_in_BT)

    learner.network.hidden = limited  # type: ignore[method-assign]
    stats = learner.step([batch], 0.01)
    assert stats.tokens == batch.num_tgt_tokens
    assert stats.divergence > 0


def test_steps_report_the_divergence(make: Make) -> None:
    learner, epoch = make(r_drop={}, label_smoothing=0.0)
    stats = learner.step(epoch[:2], 0.01)
    assert stats.loss == pytest.approx(stats.nll + 5.0 * stats.divergence / 2, rel=1e-5)
    plain, epoch = make()
    assert plain.step(epoch[:1], 0.01).divergence == 0.0
    assert batch_loss(plain.network, epoch[0], 0.0)[0] > 0
