"""Invariants of networks of every kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nmt.model.network import Network

from .conftest import BOS, PAD, VOCAB, every_network, make_network, sources, targets

Settings = dict[str, Any]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


def check_cached_decoding(network: Network[Any]) -> None:
    """Decode step by step while hypotheses are reordered and sentences leave the batch."""
    state = network.start_decoding(sources())
    # Tokens read so far by the hypotheses of each sentence in the state.
    sentences = torch.arange(3)
    prefixes = torch.empty(3, 1, 0, dtype=torch.int64)
    # For each step: the sentences kept, and the hypotheses continued in each.
    kept = [
        ([0, 1, 2], [[0], [0], [0]]),
        ([0, 1, 2], [[0, 0], [0, 0], [0, 0]]),
        ([0, 1, 2], [[1, 0], [1, 1], [0, 1]]),
        ([0, 2], [[1, 1, 0], [0, 1, 0]]),
        ([1, 0], [[2, 1, 1], [0, 2, 1]]),
        ([1], [[2]]),
    ]
    for step, (sentences_kept, beams) in enumerate(kept):
        sentences_N, beams_NW = torch.tensor(sentences_kept), torch.tensor(beams)
        state.select(sentences_N, beams_NW)
        sentences = sentences[sentences_N]
        prefixes = prefixes[sentences_N[:, None], beams_NW]
        shape = beams_NW.shape
        tokens = torch.randint(3, VOCAB, shape) if step else torch.full(shape, BOS)
        prefixes = torch.cat([prefixes, tokens[..., None]], dim=2)
        logits = network.project(network.decode_step(tokens, state))
        for beam in range(shape[1]):
            full = network(sources()[sentences], prefixes[:, beam])
            assert_close(logits[:, beam], full[:, -1])


@every_network
def test_cached_decoding_equals_full_decoding(settings: Settings) -> None:
    check_cached_decoding(make_network(settings))


@every_network
def test_the_cache_grows(settings: Settings) -> None:
    network = make_network(settings)
    state = network.start_decoding(sources())
    prefixes = torch.full((3, 1), BOS)
    for _ in range(20):
        logits = network.project(network.decode_step(prefixes[:, -1:], state))
        prefixes = torch.cat([prefixes, logits.argmax(dim=2)], dim=1)
    assert_close(logits[:, 0], network(sources(), prefixes[:, :-1])[:, -1])


@every_network
def test_forward_is_the_projection_of_hidden(settings: Settings) -> None:
    network = make_network(settings)
    hidden = network.hidden(sources(), targets())
    assert hidden.shape == (3, 5, 16)
    logits = network(sources(), targets())
    assert logits.shape == (3, 5, VOCAB)
    assert torch.equal(logits, network.project(hidden))
    assert_close(logits, hidden @ network.projection.weight.t())


def check_padding(network: Network[Any]) -> None:
    """Compare a padded pair of sentences in a batch with the same pair alone."""
    padded = targets()
    padded[1, 3:] = PAD
    together = network(sources(), padded)
    alone = network(torch.tensor([[9, 4, 3]]), torch.tensor([[BOS, 8, 9]]))
    assert_close(together[1:2, :3], alone)


@every_network
def test_padding_changes_nothing(settings: Settings) -> None:
    check_padding(make_network(settings))


@every_network
def test_rows_of_a_batch_are_independent(settings: Settings) -> None:
    network, order = make_network(settings), torch.tensor([2, 0, 1])
    logits = network(sources(), targets())
    assert_close(network(sources()[order], targets()[order]), logits[order])


def reach(settings: Settings) -> int:
    """Return how many positions a change affects, up to the 5 of `targets`.

    Three convolutional layers with windows of k inputs reach 3 * (k - 1) + 1 positions.
    """
    return 3 * (settings.get("kernel_size", 3) - 1) + 1 if settings["kind"] == "conv" else 5


@every_network
def test_a_position_depends_on_itself_and_earlier_positions_only(settings: Settings) -> None:
    network, changed = make_network(settings), targets()
    before = network(sources(), changed)
    changed[:, 2] = 18
    after = network(sources(), changed)
    assert torch.equal(after[:, :2], before[:, :2])
    difference = (after[:, 2:] - before[:, 2:]).abs().amax(dim=-1)
    assert (difference[:, : reach(settings)] > 1e-6).all()
    assert (difference[:, reach(settings) :] == 0).all()


@every_network
def test_every_target_position_depends_on_source_tokens_and_their_order(settings: Settings) -> None:
    network, changed = make_network(settings), sources()
    before = network(changed, targets())[0]
    for place in range(5):
        other = changed.clone()
        other[0, place] = 12
        assert ((network(other, targets())[0] - before).abs().amax(dim=-1) > 1e-6).all()
    changed[0, :2] = changed[0, [1, 0]]
    assert ((network(changed, targets())[0] - before).abs().amax(dim=-1) > 1e-6).all()


@every_network
@pytest.mark.parametrize(("tied", "matrices"), [("none", 3), ("decoder", 2), ("all", 1)])
def test_tying_shares_one_parameter(settings: Settings, tied: str, matrices: int) -> None:
    network = make_network(settings, tie_embeddings=tied)
    shared = [network.src_embedding.weight, network.tgt_embedding.weight, network.projection.weight]
    assert len({id(weight) for weight in shared}) == matrices
    assert (shared[0] is shared[1], shared[1] is shared[2]) == (tied == "all", tied != "none")
    saved = dict(network.named_parameters())
    assert sum(weight.shape == (VOCAB, 16) for weight in saved.values()) == matrices
    storages = {weight.data_ptr() for weight in saved.values()}
    assert len(storages) == len(saved), "a saved state holds each tensor under one name"


@every_network
@pytest.mark.parametrize("tied", ["none", "decoder"])
def test_vocabularies_of_different_sizes(settings: Settings, tied: str) -> None:
    network = make_network(settings, (30, VOCAB), tie_embeddings=tied)
    assert network(torch.tensor([[29, 3]]), torch.tensor([[BOS, 4]])).shape == (1, 2, VOCAB)


@every_network
def test_dropout_is_random_in_training_and_off_in_evaluation(settings: Settings) -> None:
    network = make_network(settings, dropout=0.5)
    plain = make_network(settings)
    plain.load_state_dict(network.state_dict())
    expected = plain(sources(), targets())
    assert torch.equal(network(sources(), targets()), expected)
    network.train()
    torch.manual_seed(5)
    first, second = network(sources(), targets()), network(sources(), targets())
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    assert torch.equal(network(sources(), targets()), first)
    assert_close(plain.train()(sources(), targets()), expected)


@every_network
def test_the_seed_determines_the_weights(settings: Settings) -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in make_network(settings).parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


@every_network
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_every_weight_gets_a_gradient_in_either_precision(
    settings: Settings, dtype: torch.dtype
) -> None:
    network = make_network(settings).float().train()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        logits = network(sources(), targets())
    logits.float().square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        # Only the sum: weights of unused tokens and positions have zero gradient.
        assert weight.grad.abs().sum() > 0, name


@every_network
def test_half_precision_weights(settings: Settings) -> None:
    exact = make_network(settings).float()
    half = make_network(settings)
    half.load_state_dict(exact.state_dict())
    with torch.inference_mode():
        logits = half.bfloat16()(sources(), targets())
        step = half.decode_step(targets()[:, :1], half.start_decoding(sources()))
        expected = exact(sources(), targets())
    assert logits.dtype == step.dtype == torch.bfloat16
    assert (logits.float() - expected).abs().max() < 0.05 * expected.abs().max()
