"""Word dropout and word replacement: which tokens change, how often, and into what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.data.batching import Batch, collate
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import train_tokenizers
from nmt.training.noise import TokenNoise

CPU = torch.device("cpu")
RATE = 0.3


@pytest.fixture
def noisy(make_config: Callable[..., Config]) -> Callable[..., tuple[Batch, Batch, Tokenizers]]:
    """Return a function that makes a large batch, the same with noise, and their tokenizers."""

    def make(data: dict[str, Any] | None = None, **keys: Any) -> tuple[Batch, Batch, Tokenizers]:
        config = make_config(data=data or {}, **keys)
        tokenizers = train_tokenizers(config)
        text = [["ab bad cab dab fed gab head"] * 400, ["jade keg lab", "ab"] * 200]
        src, tgt = tokenizers.src.encode(text[0]), tokenizers.tgt.encode(text[1])
        tags = list(tokenizers.src.control_symbols.values())
        batch = collate([[*tags, *row] for row in src], tgt, tokenizers, torch.arange(400).numpy())
        torch.manual_seed(1)
        return batch, TokenNoise(config.train, tokenizers, CPU)(batch), tokenizers

    return make


def ordinary(ids_BL: Tensor, tokenizers: Tokenizers) -> Tensor:
    fixed = [*tokenizers.src.special_ids, *tokenizers.src.control_symbols.values()]
    return ~torch.isin(ids_BL, torch.tensor(fixed))


def test_word_dropout_makes_tokens_unknown(noisy: Callable[..., Any]) -> None:
    batch, changed, tokenizers = noisy(word_dropout={"src": RATE})
    is_changed = batch.src_BS != changed.src_BS
    assert set(changed.src_BS[is_changed].tolist()) == {tokenizers.src.unk_id}
    may_change = ordinary(batch.src_BS, tokenizers)
    assert not is_changed[~may_change].any()
    assert float(is_changed[may_change].float().mean()) == pytest.approx(RATE, abs=0.02)
    assert torch.equal(batch.tgt_in_BT, changed.tgt_in_BT)


def test_word_replacement_draws_all_ordinary_tokens(noisy: Callable[..., Any]) -> None:
    batch, changed, tokenizers = noisy(word_replacement={"tgt": RATE})
    is_changed = batch.tgt_in_BT != changed.tgt_in_BT
    tokens = torch.arange(tokenizers.tgt.vocab_size)
    expected = tokens[ordinary(tokens, tokenizers)].tolist()
    assert set(changed.tgt_in_BT[is_changed].tolist()) == set(expected)
    may_change = ordinary(batch.tgt_in_BT, tokenizers)
    assert not is_changed[~may_change].any()
    drawn = RATE * (1 - 1 / len(expected))  # a token may replace itself
    assert float(is_changed[may_change].float().mean()) == pytest.approx(drawn, abs=0.02)
    assert torch.equal(batch.src_BS, changed.src_BS)
    assert torch.equal(batch.tgt_out_BT, changed.tgt_out_BT)


def test_language_tags_stay(noisy: Callable[..., Any]) -> None:
    rates = {"src": 0.9}
    batch, changed, tokenizers = noisy({"tags": "both"}, word_dropout=rates, word_replacement=rates)
    tags = [*tokenizers.src.control_symbols.values()]
    assert len(tags) == 2
    assert changed.src_BS[:, :2].tolist() == [tags] * 400
    assert not torch.isin(changed.src_BS[:, 2:], torch.tensor(tags)).any()
    assert float((changed.src_BS == batch.src_BS).float().mean()) < 0.5


def test_without_noise_the_batch_stays(noisy: Callable[..., Any]) -> None:
    batch, same, _ = noisy()
    assert same.src_BS is batch.src_BS
    assert same.tgt_in_BT is batch.tgt_in_BT
