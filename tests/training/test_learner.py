"""A training step: its gradients, the optimizer, and running out of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.data.batching import Batch, BatchOrder, batches, places_of_tokens
from nmt.data.prepare import prepare
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import TrainingError
from nmt.training import learner as learner_module
from nmt.training.learner import Learner

CPU = torch.device("cpu")
MakeLearner = Callable[..., tuple[Learner, list[Batch], list[str]]]


@pytest.fixture
def make_learner(make_config: Callable[..., Config]) -> MakeLearner:
    """Return a function that makes a learner without dropout, its first epoch and its warnings.

    The function takes the keys of `make_config`.
    """

    def make(**keys: Any) -> tuple[Learner, list[Batch], list[str]]:
        config = make_config(model={"dropout": 0.0}, **keys)
        tokenizers = train_tokenizers(config)
        data = prepare(config, tokenizers, config.data.train, filtered=True)
        order = BatchOrder.of(data, config.train.batch_tokens, config.train.seed)
        warnings: list[str] = []
        learner = Learner(config, tokenizers, CPU, warnings.append)
        return learner, list(batches(data, tokenizers, order, config, epoch=0)), warnings

    return make


def gradients_of(learner: Learner) -> dict[str, Tensor]:
    """Make the optimizer record its gradients instead of stepping; return the dict it fills."""
    gradients: dict[str, Tensor] = {}

    def record(*args: Any, **kwargs: Any) -> None:
        divisor: Tensor = learner.optimizer.adam.grad_scale  # type: ignore[attr-defined]
        for name, parameter in learner.network.named_parameters():
            assert parameter.grad is not None
            gradients[name] = parameter.grad / divisor

    learner.optimizer.adam.step = record  # type: ignore[method-assign,assignment]
    return gradients


def join(parts: list[Batch]) -> Batch:
    """Join batches into one."""

    def stack(tensors: list[Tensor]) -> Tensor:
        width = max(t.shape[1] for t in tensors)
        return torch.cat([torch.nn.functional.pad(t, (0, width - t.shape[1])) for t in tensors])

    return Batch(
        stack([b.src_BS for b in parts]),
        stack([b.tgt_in_BT for b in parts]),
        (tgt_out_BT := stack([b.tgt_out_BT for b in parts])),
        places_of_tokens(tgt_out_BT, 0),
        sum(b.num_src_tokens for b in parts),
        sum(b.num_tgt_tokens for b in parts),
        np.concatenate([b.rows for b in parts]),
    )


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert one
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-6, rtol=1e-5)


def test_accumulated_batches_equal_one_large_batch(make_learner: MakeLearner) -> None:
    """The batches differ in length, so that a mean of their means would be wrong."""
    learner, epoch, _ = make_learner()
    group = epoch[:4]
    assert len({batch.num_tgt_tokens for batch in group}) > 1
    accumulated = gradients_of(learner)
    one = learner.step(group, 0.1)
    accumulated = dict(accumulated)
    whole = gradients_of(learner)
    other = learner.step([join(group)], 0.1)
    assert_close(accumulated, whole)
    assert one.tokens == other.tokens
    assert one.loss == pytest.approx(other.loss, rel=1e-5)
    assert one.nll == pytest.approx(other.nll, rel=1e-5)
    assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-5)


def test_only_adamw_decays_weights_and_only_those_of_matrices(make_learner: MakeLearner) -> None:
    """With zero gradients, a step of AdamW does nothing but decay weights."""
    rate, decay = 0.5, 0.1
    for kind in ("adamw", "adam"):
        learner, _, _ = make_learner(optimizer=kind, weight_decay=decay)
        before = {n: p.detach().clone() for n, p in learner.network.named_parameters()}
        for group in learner.optimizer.adam.param_groups:
            group["lr"] = rate
        for parameter in learner.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        learner.optimizer.adam.step()
        for name, parameter in learner.network.named_parameters():
            decays = kind == "adamw" and parameter.dim() == 2
            factor = 1 - rate * decay if decays else 1.0
            torch.testing.assert_close(parameter.detach(), before[name] * factor)
        assert {p.dim() for p in learner.network.parameters()} == {1, 2}


def test_a_gradient_above_the_limit_is_scaled_down(make_learner: MakeLearner) -> None:
    learner, epoch, _ = make_learner(clip_norm=0.01)
    gradients = gradients_of(learner)
    stats = learner.step(epoch[:1], 0.1)
    assert stats.grad_norm > 0.1
    clipped = torch.cat([gradient.flatten() for gradient in gradients.values()])
    assert float(clipped.norm()) == pytest.approx(0.01, rel=1e-3)


# ---------------------------------------------------------------- out of memory


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Return a function (limit) that lets backward passes fail for more than `limit` pairs.

    It returns a list to which each pass adds its batch size.
    """
    loss = learner_module.batch_loss

    def limit_memory(limit: int) -> list[int]:
        tried: list[int] = []

        def limited(network: torch.nn.Module, batch: Batch, *args: Any) -> Any:
            def fail(gradient: Tensor) -> None:
                if len(batch.rows) > limit:
                    raise torch.OutOfMemoryError("simulated")

            tried.append(len(batch.rows))
            total, nll = loss(network, batch, *args)  # type: ignore[arg-type]
            total.register_hook(fail)
            return total, nll

        monkeypatch.setattr(learner_module, "batch_loss", limited)
        return tried

    return limit_memory


def test_a_batch_that_does_not_fit_is_split_without_changing_the_objective(
    make_learner: MakeLearner, small_memory: Callable[[int], list[int]]
) -> None:
    learner, epoch, warnings = make_learner()
    group = epoch[:3]
    whole = gradients_of(learner)
    expected = learner.step(group, 0.1)
    whole = dict(whole)
    tried = small_memory(len(group[1].rows) // 2)
    parts = gradients_of(learner)
    stats = learner.step(group, 0.1)
    assert_close(parts, whole)
    assert stats.tokens == expected.tokens
    assert stats.loss == pytest.approx(expected.loss, rel=1e-5)
    assert stats.nll == pytest.approx(expected.nll, rel=1e-5)
    assert tried[0] == len(group[0].rows) > len(group[1].rows) // 2
    assert sum(pairs for pairs in tried if pairs <= len(group[1].rows) // 2) >= sum(
        len(batch.rows) for batch in group
    )
    learner.step(group, 0.1)
    [message] = warnings  # only once
    assert f"out of memory in a batch of {len(group[0].rows)} pairs" in message
    assert "train.batch_tokens" in message


def test_a_pair_that_does_not_fit_is_an_error(
    make_learner: MakeLearner, small_memory: Callable[[int], list[int]]
) -> None:
    learner, epoch, _ = make_learner()
    small_memory(0)
    with pytest.raises(TrainingError, match=r"a pair of \d+ and \d+ tokens alone does not fit"):
        learner.step(epoch[:1], 0.1)


def test_other_errors_are_not_mistaken_for_out_of_memory(
    make_learner: MakeLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    learner, epoch, _ = make_learner()
    monkeypatch.setattr(learner_module, "batch_loss", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        learner.step(epoch[:1], 0.1)


def test_no_memory_for_the_state_of_the_optimizer(make_learner: MakeLearner) -> None:
    learner, epoch, _ = make_learner()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("simulated")

    learner.optimizer.adam.step = fail  # type: ignore[method-assign,assignment]
    with pytest.raises(TrainingError, match="the state of the optimizer, 8 bytes per parameter"):
        learner.step(epoch[:1], 0.1)


def test_checkpointed_activations_change_nothing(
    make_config: Callable[..., Config], make_learner: MakeLearner
) -> None:
    """Not even dropout, which is drawn again in the backward pass."""
    layers = {"encoder_layers": 2, "decoder_layers": 2, "dropout": 0.3}
    found = []
    for checkpointing in (False, True):
        config = make_config(model=layers, activation_checkpointing=checkpointing)
        learner = Learner(config, train_tokenizers(config), CPU, print)
        _, epoch, _ = make_learner()
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, kept=kept: kept.append(x.numel()) or x,  # type: ignore[misc]
            lambda x: x,
        ):
            losses = [learner.step(epoch[i : i + 1], 0.01).loss for i in range(3)]
        found.append((losses, dict(learner.network.named_parameters()), sum(kept)))
    (losses, weights, kept_by_all), (same_losses, same_weights, kept_by_few) = found
    assert losses == same_losses
    assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
    assert kept_by_few < 0.5 * kept_by_all
