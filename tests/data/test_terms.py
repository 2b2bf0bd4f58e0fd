"""Terms behind the sources of training pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nmt.check.plan import make_plan
from nmt.config.schema import Config
from nmt.config.terms import TermsConfig
from nmt.data.batching import Batch, BatchOrder, Epochs
from nmt.data.links import NO_PART, PieceParts
from nmt.data.prepare import prepare
from nmt.data.streaming import StreamedEpochs
from nmt.data.symbols import with_symbols
from nmt.data.terms import TERM, draw_terms, num_without_terms
from nmt.data.tokenizer_training import train_tokenizers

from .test_batching import equal

TEXT = "Der Mann, der hier steht, hat eine E-Mail: 東京!"


def test_terms_are_adjacent_words_without_punctuation() -> None:
    terms = draw_terms([TEXT] * 500, TermsConfig(probability=1.0, max_terms=4), seed=1)
    assert {len(row) for row in terms} == {1, 2, 3, 4}
    seen = {term for row in terms for term in row}
    assert {"Mann", "der hier steht", "eine E-Mail", "京", "東京"} <= seen
    assert not any(set(term) & set(",:!") for term in seen)
    for row in terms:
        assert all(term in TEXT for term in row)
        assert sum(map(len, row)) <= len(TEXT)
    # In random order.
    both = [row for row in terms if {"Mann", "steht"} <= set(row)]
    assert {row.index("Mann") < row.index("steht") for row in both} == {True, False}


def test_a_word_is_in_one_term_only() -> None:
    rows = draw_terms(["a b c d e"] * 300, TermsConfig(probability=1.0, max_terms=5), seed=1)
    for row in rows:
        words = " ".join(row).split()
        assert len(words) == len(set(words))


def test_the_draw_is_a_function_of_the_seed() -> None:
    settings = TermsConfig()
    first = draw_terms([TEXT] * 1000, settings, seed=1)
    assert first == draw_terms([TEXT] * 1000, settings, seed=1)
    assert first != draw_terms([TEXT] * 1000, settings, seed=2)
    assert 0.45 < sum(map(bool, first)) / 1000 < 0.55
    assert draw_terms(["", "?!", "  "], TermsConfig(probability=1.0), seed=1) == [[], [], []]


def config_of(folder: Path, **keys: Any) -> Config:
    lines = [f"w{i % 7} x{i % 5} y{i % 3} z{i % 11}" for i in range(300)]
    for side in ("en", "de"):
        (folder / side).write_text("".join(f"{line} {side}\n" for line in lines), "utf-8")
    data = {
        **{"src_lang": "en", "tgt_lang": "de", "cache_dir": str(folder / "cache")},
        "train": {"src": str(folder / "en"), "tgt": str(folder / "de")},
        **{"terms": {"probability": 0.6}, "max_length": 40, **keys},
    }
    tokenizer = {"vocab_size": 60, "sampling_alpha": keys.pop("alpha", 0.0)}
    data.pop("alpha", None)
    train = {"batch_tokens": 300}
    return Config.model_validate({"data": data, "tokenizer": tokenizer, "train": train})


def epochs_of(config: Config) -> Any:
    tokenizers = with_symbols(train_tokenizers(config), [TERM])
    if config.data.streaming:
        return StreamedEpochs(tokenizers, config), tokenizers
    prepared = prepare(config, tokenizers, config.data.train, filtered=True)
    return Epochs(prepared, tokenizers, config), tokenizers


def terms_in(batch: Batch, tokenizer: Any) -> list[tuple[str, list[str], str]]:
    """Return the source, the terms and the target of each pair."""
    rows = []
    for src_ids, tgt_ids in zip(batch.src_BS.tolist(), batch.tgt_out_BT.tolist(), strict=True):
        parts: list[list[int]] = [[]]
        for token in src_ids:
            if token == tokenizer.control_symbols[TERM]:
                parts.append([])
            else:
                parts[-1].append(token)
        src, *terms = tokenizer.decode(parts)
        rows.append((src, terms, tokenizer.decode([tgt_ids])[0]))
    return rows


@pytest.mark.parametrize(
    "keys", [{}, {"alpha": 0.3}, {"streaming": True, "shuffle_buffer": 8192}], ids=str
)
def test_an_epoch_resumes_with_the_same_terms(tmp_path: Path, keys: dict[str, Any]) -> None:
    epochs, tokenizers = epochs_of(config_of(tmp_path, **keys))
    whole = [*epochs.batches(0)]
    assert equal([*epochs.batches(0)], whole)
    assert equal([*epochs.batches(0, whole[4].number + 1)], whole[5:])
    assert not equal([*epochs.batches(1)], whole)
    rows = [row for batch in whole for row in terms_in(batch, tokenizers.src)]
    assert len(rows) == 300
    for src, terms, tgt in rows:
        assert src == tgt[:-2] + "en"  # the source, then its terms
        assert all(f" {term} " in f" {tgt} " for term in terms)
    assert 0.5 < sum(bool(terms) for _, terms, _ in rows) / 300 < 0.7
    for batch in whole:
        assert batch.num_src_tokens == int((batch.src_BS != tokenizers.src.pad_id).sum())
        assert batch.src_BS.numel() <= 300


def test_a_source_stays_within_the_maximum_length(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    epochs, _ = epochs_of(config)
    longest = int(max(epochs.sample.src_lengths.max(), epochs.sample.tgt_lengths.max()))
    short = config_of(tmp_path, max_length=longest + 2)
    epochs, _ = epochs_of(short)
    assert max(batch.src_BS.shape[1] for batch in epochs.batches(0)) <= longest + 2


def test_the_plan_counts_terms(tmp_path: Path) -> None:
    with_terms, without = config_of(tmp_path), config_of(tmp_path, terms=None)
    epochs, tokenizers = epochs_of(with_terms)
    plans = [make_plan(one, tokenizers, epochs.sample) for one in (with_terms, without)]
    order = BatchOrder.of(epochs.sample, 300, 1)
    assert plans[1].batches_per_epoch == len(order.epoch(0)) < plans[0].batches_per_epoch
    real = len([*epochs.batches(0)])
    assert abs(plans[0].batches_per_epoch - real) <= 0.2 * real


def test_no_text_contains_the_symbol(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    before = train_tokenizers(config)
    after = with_symbols(before, [TERM])
    assert after.joint
    assert with_symbols(after, [TERM]) is after
    assert after.src.vocab_size == before.src.vocab_size + 1
    symbol = after.src.control_symbols[TERM]
    for text in (TERM, f"w1 {TERM} w2"):
        assert symbol not in after.src.encode([text])[0]
        assert after.src.encode([text]) == before.src.encode([text])
    assert num_without_terms([5, 6, symbol, 7, 8, 3], after.src) == 3
    assert num_without_terms([5, 6, 3], after.src) == num_without_terms([5, 6, 3], before.src) == 3


def test_terms_are_no_words_of_the_source_in_an_alignment(tmp_path: Path) -> None:
    epochs, tokenizers = epochs_of(config_of(tmp_path))
    parts, symbol = PieceParts(tokenizers.src), tokenizers.src.control_symbols[TERM]
    seen = 0
    for batch in epochs.batches(0):
        for ids in batch.src_BS.tolist():
            if symbol in ids:
                place = ids.index(symbol)
                [alone], [whole] = (parts(np.array([row])) for row in (ids[:place], ids))
                assert whole[:place].tolist() == alone.tolist()
                behind = whole[place:][whole[place:] != NO_PART]
                assert behind.min() > alone.max()
                seen += 1
    assert seen > 100


def test_validation_has_no_terms(tmp_path: Path) -> None:
    from nmt.training.validate import Validator

    config = config_of(tmp_path)
    tokenizers = with_symbols(train_tokenizers(config), [TERM])
    data = prepare(config, tokenizers, config.data.train, filtered=False)
    validator = Validator(config, tokenizers, data, torch.device("cpu"), print)
    assert validator.config.data.terms is None
