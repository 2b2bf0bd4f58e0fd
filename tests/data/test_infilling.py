"""Text infilling: how much is replaced, what stays, and the symbol for it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config.denoise import MASK, DenoiseConfig
from nmt.config.schema import Config
from nmt.data.batching import Epochs
from nmt.data.infilling import infilled
from nmt.data.prepare import prepare
from nmt.data.streaming import StreamedEpochs
from nmt.data.symbols import with_symbols
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import ConfigError
from tiny import write_corpus

MASK_ID = -7


def kept(noisy: list[int]) -> list[int]:
    return [token for token in noisy if token != MASK_ID]


def config_of(folder: Path, **sections: Any) -> Config:
    write_corpus(folder, train=200)
    corpora = [{"text": str(folder / f"train.{side}"), "lang": side} for side in ("src", "tgt")]
    data = {"src_lang": "src", "tgt_lang": "tgt", "cache_dir": str(folder / "cache")}
    train = {"objective": "denoise", "batch_tokens": 300}
    return Config.model_validate(
        {
            "data": {**data, "train": corpora, **sections.get("data", {})},
            "tokenizer": {"vocab_size": 60, **sections.get("tokenizer", {})},
            "train": {**train, **sections.get("train", {})},
        }
    )


def tokenizers_of(config: Config) -> Tokenizers:
    return with_symbols(train_tokenizers(config), [MASK])


def epochs_of(config: Config, tokenizers: Tokenizers) -> Epochs:
    return Epochs(prepare(config, tokenizers, config.data.train, filtered=True), tokenizers, config)


@pytest.mark.parametrize("rate", [0.15, 0.35, 0.9])
@pytest.mark.parametrize("length", [2, 40])
def test_a_fraction_of_the_tokens_is_replaced(rate: float, length: int) -> None:
    rows = [list(range(length))] * 4000
    noisy = infilled(rows, DenoiseConfig(rate=rate), MASK_ID, seed=1)
    left = np.mean([len(kept(ids)) for ids in noisy]) / length
    assert left == pytest.approx(1 - rate, abs=0.02)
    for ids in noisy:  # the others stay, in order
        assert kept(ids) == sorted(set(kept(ids)))


def test_spans_have_the_mean_length_and_may_insert() -> None:
    rows = [list(range(200))] * 500
    noisy = infilled(rows, DenoiseConfig(rate=0.3, span=3.0), MASK_ID, seed=1)
    spans = sum(ids.count(MASK_ID) for ids in noisy)
    assert 500 * 60 / spans == pytest.approx(3.0, abs=0.1)
    inserted = 0
    for ids in noisy:
        ids = [-1, *ids, 200]
        for before, symbol, after in zip(ids, ids[1:], ids[2:], strict=False):
            inserted += symbol == MASK_ID and after == before + 1
    assert inserted / spans == pytest.approx(np.exp(-3.0), abs=0.02)


def test_spans_may_be_anywhere() -> None:
    """Tokens at the ends are part of fewer spans."""
    rows = [list(range(10))] * 20_000
    noisy = infilled(rows, DenoiseConfig(rate=0.3, span=1.0), MASK_ID, seed=1)
    counts = np.bincount([token for ids in noisy for token in kept(ids)])
    assert counts == pytest.approx(counts[::-1], rel=0.02)
    assert counts / 20_000 == pytest.approx(np.full(10, 0.7), abs=0.08)


def test_empty_texts_are_possible() -> None:
    noisy = infilled([[], [1]] * 300, DenoiseConfig(rate=0.9), MASK_ID, seed=1)
    assert noisy[::2] == [[]] * 300
    assert all(isinstance(token, int) for token in noisy[1])


@pytest.mark.parametrize("sampling", [0.0, 0.2])
def test_the_tags_of_languages_and_corpora_stay(tmp_path: Path, sampling: float) -> None:
    config = config_of(tmp_path, tokenizer={"sampling_alpha": sampling}, data={"tags": "target"})
    data = config.data
    tagged = [corpus.model_copy(update={"tag": "web"}) for corpus in data.train]
    config = config.model_copy(update={"data": data.model_copy(update={"train": tagged})})
    tokenizers = with_symbols(train_tokenizers(config), ["<web>", MASK])
    symbols = tokenizers.src.control_symbols
    for batch in epochs_of(config, tokenizers).batches(0):
        assert set(batch.src_BS[:, 0].tolist()) == {symbols["<web>"]}
        assert set(batch.src_BS[:, 1].tolist()) <= {symbols["<2src>"], symbols["<2tgt>"]}


def test_noise_is_a_function_of_the_seed() -> None:
    rows = [list(range(20))] * 50
    one, same, other = (infilled(rows, DenoiseConfig(), MASK_ID, seed) for seed in (1, 1, 2))
    assert one == same != other
    assert len({tuple(ids) for ids in one}) > 40


@pytest.mark.parametrize("sampling", [0.0, 0.2])
def test_batches_have_noise_on_the_source_only(tmp_path: Path, sampling: float) -> None:
    config = config_of(tmp_path, tokenizer={"sampling_alpha": sampling}, data={"tags": "target"})
    tokenizers = tokenizers_of(config)
    tokenizer, mask = tokenizers.src, tokenizers.src.control_symbols[MASK]
    epochs = epochs_of(config, tokenizers)
    texts = {line for name in ("src", "tgt") for line in _lines(tmp_path / f"train.{name}")}
    runs = []
    for batch in epochs.batches(0):
        assert not (batch.tgt_in_BT == mask).any()
        assert texts >= set(tokenizer.decode(batch.tgt_in_BT.tolist()))
        assert set(batch.src_BS[:, 0].tolist()) <= {
            tokenizer.control_symbols[tag] for tag in ("<2src>", "<2tgt>")
        }
        runs += [
            len([*group])
            for ids in batch.src_BS.tolist()
            for symbol, group in groupby(ids)
            if symbol == mask
        ]
    assert len(runs) > 200
    assert np.mean(runs) < 1.5  # one symbol for each span


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").split("\n")


@pytest.mark.parametrize("streaming", [False, True])
def test_later_batches_do_not_depend_on_earlier_ones(tmp_path: Path, streaming: bool) -> None:
    config = config_of(tmp_path, data={"streaming": streaming})
    tokenizers = tokenizers_of(config)
    epochs = StreamedEpochs(tokenizers, config) if streaming else epochs_of(config, tokenizers)
    whole = [*epochs.batches(1)]
    for one, other in zip(whole[2:], epochs.batches(1, whole[1].number + 1), strict=True):
        assert one.src_BS.tolist() == other.src_BS.tolist()
    first = [ids for batch in epochs.batches(0) for ids in batch.src_BS.tolist()]
    assert sorted(first) != sorted(ids for batch in whole for ids in batch.src_BS.tolist())


def test_a_source_never_becomes_too_long(tmp_path: Path) -> None:
    noise = {"denoise": {"rate": 0.1, "span": 1.0}}  # a third of the spans insert a symbol
    config = config_of(tmp_path, data={"max_length": 6}, train=noise)
    tokenizers = tokenizers_of(config)
    widths = {batch.src_BS.shape[1] for batch in epochs_of(config, tokenizers).batches(0)}
    assert max(widths) == 6


def test_text_with_the_symbol_is_ordinary_text(tmp_path: Path) -> None:
    tokenizers = tokenizers_of(config_of(tmp_path))
    symbol = tokenizers.src.control_symbols[MASK]
    for text in (MASK, f"ab {MASK} bad"):
        assert symbol not in tokenizers.src.encode([text])[0]
        assert symbol not in tokenizers.src.sample([text], 0.5, -1, 1)[0]


def test_a_vocabulary_whose_text_may_contain_the_symbol_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    settings = config.tokenizer.model_copy(update={"user_defined_symbols": [MASK]})
    tokenizers = train_tokenizers(config.model_copy(update={"tokenizer": settings}))
    with pytest.raises(ConfigError, match="<mask> as a piece that text can contain"):
        with_symbols(tokenizers, [MASK])
