"""Batches: content, token budget, and an order fixed by seed and epoch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nmt.config.schema import Config
from nmt.data.batching import Batch, BatchOrder, batches, collate
from nmt.data.prefetch import prefetch
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import train_tokenizers

RNG = np.random.default_rng(0)
SRC_LENGTHS = RNG.integers(1, 60, 2000)
TGT_LENGTHS = np.clip(SRC_LENGTHS + RNG.integers(-8, 9, 2000), 1, 60)


def order_of(
    sizes: tuple[int, ...] = (2000,),
    weights: tuple[float, ...] = (1.0,),
    budget: int = 1000,
    seed: int = 1,
) -> BatchOrder:
    return BatchOrder(
        SRC_LENGTHS,
        TGT_LENGTHS,
        corpus_sizes=sizes,
        weights=weights,
        batch_tokens=budget,
        seed=seed,
    )


def same(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(map(np.array_equal, left, right))


@pytest.mark.parametrize("budget", [60, 200, 1000, 10**6])
def test_batches_stay_within_the_budget_and_contain_every_row_once(budget: int) -> None:
    made = order_of(budget=budget).epoch(3)
    for rows in made:
        assert SRC_LENGTHS[rows].max() * len(rows) <= budget
        assert TGT_LENGTHS[rows].max() * len(rows) <= budget
    assert sorted(np.concatenate(made).tolist()) == list(range(2000))


def test_a_pair_over_the_budget_forms_a_batch_by_itself() -> None:
    made = order_of(budget=30).epoch(0)
    assert sorted(np.concatenate(made).tolist()) == list(range(2000))
    longest = np.maximum(SRC_LENGTHS, TGT_LENGTHS)
    assert all(len(rows) == 1 or longest[rows].max() * len(rows) <= 30 for rows in made)
    assert any(longest[rows].max() > 30 for rows in made)


def test_padding_is_below_a_tenth() -> None:
    for lengths in (SRC_LENGTHS, TGT_LENGTHS):
        made = order_of().epoch(0)
        positions = sum(lengths[rows].max() * len(rows) for rows in made)
        assert lengths.sum() > 0.9 * positions


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    assert same(order_of().epoch(5), order_of().epoch(5))
    assert not same(order_of().epoch(5), order_of().epoch(6))
    assert not same(order_of().epoch(5), order_of(seed=2).epoch(5))
    # Batches are not ordered by length.
    lengths = [SRC_LENGTHS[rows].max() for rows in order_of().epoch(0)]
    assert abs(np.corrcoef(lengths, range(len(lengths)))[0, 1]) < 0.4


def test_epochs_have_different_batches() -> None:
    first, second = (
        {frozenset(rows.tolist()) for rows in order_of().epoch(number)} for number in (0, 1)
    )
    assert len(first & second) < 0.2 * len(first)


def test_the_order_is_the_same_in_another_process() -> None:
    program = """
import numpy as np
from nmt.data.batching import BatchOrder
lengths = np.arange(500) % 61 + 1
sizes = {"corpus_sizes": [500], "weights": [1.5], "batch_tokens": 300}
print([rows.tolist() for rows in BatchOrder(lengths, lengths[::-1], **sizes, seed=4).epoch(2)])
"""
    command = [sys.executable, "-c", program]
    there = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lengths = np.arange(500) % 61 + 1
    order = BatchOrder(
        lengths, lengths[::-1], corpus_sizes=[500], weights=[1.5], batch_tokens=300, seed=4
    )
    assert there.strip() == str([rows.tolist() for rows in order.epoch(2)])


def test_a_tiny_weight_contributes_one_pair() -> None:
    order = order_of(sizes=(500, 20, 0), weights=(0.0001, 0.001, 1.0))
    rows = np.concatenate(order.epoch(0))
    assert sorted(rows >= 500) == [False, True]


def test_a_weight_sets_how_often_a_pair_occurs() -> None:
    order = order_of(sizes=(500, 1000, 500), weights=(2.0, 0.5, 1.25))
    visits = [
        np.bincount(np.concatenate(order.epoch(number)), minlength=2000) for number in range(4)
    ]
    for seen in visits:
        assert (seen[:500] == 2).all()
        assert seen[500:1500].sum() == 500
        assert seen[500:1500].max() == 1
        assert seen[1500:].sum() == 625
        assert set(seen[1500:]) == {1, 2}
    assert not np.array_equal(visits[0], visits[1])
    assert (sum(visits)[500:1500] > 0).mean() > 0.9  # 1 - 0.5 ** 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Tokenizers, Prepared]:
    folder: Path = tmp_path_factory.mktemp("batching")
    rng = np.random.default_rng(1)
    words = ["table", "chair", "window", "garden", "winter", "summer"]
    for name in ("en", "de"):
        lines = [" ".join(rng.choice(words, rng.integers(1, 9))) for _ in range(300)]
        (folder / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    config = Config.model_validate(
        {
            "data": {
                "src_lang": "en",
                "tgt_lang": "de",
                "train": {"src": str(folder / "en"), "tgt": str(folder / "de")},
                "cache_dir": str(folder / "cache"),
                "max_length": 20,
            },
            "tokenizer": {"vocab_size": 60},
        }
    )
    tokenizers = train_tokenizers(config)
    return config, tokenizers, prepare(config, tokenizers, config.data.train, filtered=True)


def sampling(config: Config, alpha: float) -> Config:
    settings = config.tokenizer.model_copy(update={"sampling_alpha": alpha})
    return config.model_copy(update={"tokenizer": settings})


def batches_of(made: Any, *, alpha: float = 0.0, epoch: int = 0, **options: Any) -> list[Batch]:
    config, tokenizers, prepared = made
    order = BatchOrder(
        prepared.src_lengths,
        prepared.tgt_lengths,
        corpus_sizes=prepared.corpus_sizes,
        weights=prepared.weights,
        batch_tokens=200,
        seed=1,
    )
    return list(batches(prepared, tokenizers, order, sampling(config, alpha), epoch, **options))


def equal(left: list[Batch], right: list[Batch]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a.src_BS, b.src_BS)
        and torch.equal(a.tgt_in_BT, b.tgt_in_BT)
        and torch.equal(a.tgt_out_BT, b.tgt_out_BT)
        and np.array_equal(a.rows, b.rows)
        for a, b in zip(left, right, strict=True)
    )


def test_a_batch_has_bos_eos_and_padding(made: Any) -> None:
    _, tokenizers, _ = made
    batch = collate([[7, 8], [9]], [[5], [4, 6, 5]], tokenizers, np.array([3, 1]))
    assert batch.src_BS.tolist() == [[7, 8, 3], [9, 3, 0]]
    assert batch.tgt_in_BT.tolist() == [[2, 5, 0, 0], [2, 4, 6, 5]]
    assert batch.tgt_out_BT.tolist() == [[5, 3, 0, 0], [4, 6, 5, 3]]
    assert (batch.num_src_tokens, batch.num_tgt_tokens) == (5, 6)
    assert batch.src_BS.dtype == batch.tgt_in_BT.dtype == batch.tgt_out_BT.dtype == torch.int64
    moved = batch.to("meta")
    assert moved.src_BS.device.type == moved.tgt_out_BT.device.type == "meta"


def test_a_batch_of_empty_sentences(made: Any) -> None:
    _, tokenizers, _ = made
    batch = collate([[], []], [[], [4]], tokenizers, np.array([0, 1]))
    assert batch.src_BS.tolist() == [[3], [3]]
    assert batch.tgt_out_BT.tolist() == [[3, 0], [4, 3]]


def test_halves_drop_unneeded_padding(made: Any) -> None:
    _, tokenizers, _ = made
    pad, eos, bos = tokenizers.src.pad_id, tokenizers.src.eos_id, tokenizers.src.bos_id
    batch = collate([[7, 8], [9], [6]], [[5], [4, 6, 5], [4]], tokenizers, np.array([3, 1, 8]))
    first, second = batch.halves(pad, pad)
    assert first.src_BS.tolist() == [[7, 8, eos]]
    assert first.tgt_in_BT.tolist() == [[bos, 5]]
    assert first.tgt_out_BT.tolist() == [[5, eos]]
    assert second.src_BS.tolist() == [[9, eos], [6, eos]]
    assert second.tgt_out_BT.tolist() == [[4, 6, 5, eos], [4, eos, pad, pad]]
    assert [*first.rows, *second.rows] == [3, 1, 8]
    for name in ("num_src_tokens", "num_tgt_tokens"):
        assert getattr(first, name) + getattr(second, name) == getattr(batch, name)


def test_batches_hold_the_prepared_pairs(made: Any) -> None:
    _, tokenizers, prepared = made
    for batch in batches_of(made):
        src, tgt = prepared.texts(batch.rows)
        assert tokenizers.src.decode(batch.src_BS.tolist()) == src
        assert tokenizers.tgt.decode(batch.tgt_in_BT.tolist()) == tgt
        assert tokenizers.tgt.decode(batch.tgt_out_BT.tolist()) == tgt
        assert batch.num_src_tokens == prepared.src_lengths[batch.rows].sum()
        assert batch.num_tgt_tokens == prepared.tgt_lengths[batch.rows].sum()
        assert max(batch.src_BS.numel(), batch.tgt_in_BT.numel()) <= 200


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_start_skips_batches_and_prefetching_changes_nothing(made: Any, alpha: float) -> None:
    whole = batches_of(made, alpha=alpha)
    assert equal(batches_of(made, alpha=alpha, start=5), whole[5:])
    assert equal(batches_of(made, alpha=alpha, ahead=0), whole)
    assert batches_of(made, alpha=alpha, start=len(whole)) == []


def test_sampling_differs_between_epochs(made: Any) -> None:
    _, tokenizers, prepared = made

    def rows_of(epoch: int, alpha: float) -> dict[int, str]:
        return {
            row: str([token for token in ids if token])
            for batch in batches_of(made, alpha=alpha, epoch=epoch)
            for row, ids in zip(batch.rows.tolist(), batch.src_BS.tolist(), strict=True)
        }

    assert rows_of(0, 0.0) == rows_of(1, 0.0)
    first, second = rows_of(0, 0.3), rows_of(1, 0.3)
    changed = sum(first[row] != second[row] for row in first)
    assert changed > 0.5 * len(first)
    for batch in batches_of(made, alpha=0.3):
        assert tokenizers.src.decode(batch.src_BS.tolist()) == prepared.texts(batch.rows)[0]


def test_sampled_sentences_respect_the_maximum_length(made: Any) -> None:
    limit = made[0].data.max_length
    sampled = batches_of(made, alpha=0.9)
    assert max(batch.src_BS.shape[1] for batch in sampled) == limit
    assert max(batch.tgt_out_BT.shape[1] for batch in sampled) == limit


def test_prefetch_keeps_order_and_raises_errors_of_its_items() -> None:
    def items() -> Any:
        yield from range(5)
        raise ValueError("broken")

    seen = []
    with pytest.raises(ValueError, match="broken"):
        seen.extend(prefetch(items(), 2))
    assert seen == [0, 1, 2, 3, 4]


def test_closing_prefetch_closes_its_items() -> None:
    closed = []

    def items() -> Any:
        try:
            yield from iter(int, 1)  # endless
        finally:
            closed.append(True)

    ahead = prefetch(items(), 3)
    assert [next(ahead), next(ahead)] == [0, 0]
    ahead.close()
    assert closed == [True]
