"""Training data that are read while training runs."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from nmt.config.schema import Config
from nmt.data import mixing
from nmt.data.batching import Batch
from nmt.data.corpus import Pair, read_pairs
from nmt.data.streaming import StreamedEpochs
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import DataError

from .conftest import SRC, TGT, MakeData
from .test_batching import equal, sampling

Made = tuple[Config, Tokenizers]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "CHUNK_PAIRS", 8)
    monkeypatch.setattr(mixing, "_OPEN_SHARDS", 2)


def stream(made: Made, **train: Any) -> StreamedEpochs:
    config, tokenizers = made
    values = {"batch_tokens": 60, **train}
    config = config.model_copy(update={"train": config.train.model_copy(update=values)})
    return StreamedEpochs(tokenizers, config)


def texts(batches: list[Batch]) -> list[str]:
    found = []
    for batch in batches:
        assert batch.source is not None
        src, tgt = batch.source.texts(batch.rows)
        found += [f"{one} = {other}" for one, other in zip(src, tgt, strict=True)]
    return found


PAIRS = [f"{src} = {tgt}" for src, tgt in zip(SRC, TGT, strict=True)]


def test_an_epoch_has_every_pair_once(make_data: MakeData) -> None:
    made = make_data(
        *((SRC[start::3], TGT[start::3]) for start in range(3)), streaming=True, shuffle_buffer=16
    )
    first, second = (texts(list(stream(made).batches(epoch))) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == sorted(PAIRS)
    assert first != second
    assert first == texts(list(stream(made).batches(0)))
    assert first != texts(list(stream(made, seed=2).batches(0)))


def test_shuffling_is_limited_to_a_window(make_data: MakeData) -> None:
    made = make_data((SRC, TGT), streaming=True, shuffle_buffer=16)
    read = texts(list(stream(made).batches(0)))
    windows = [read[start : start + 16] for start in range(0, 50, 16)]
    assert [sorted(window) for window in windows] == [
        sorted(PAIRS[start : start + 16]) for start in range(0, 50, 16)
    ]
    assert windows[0] != PAIRS[:16]


def test_a_few_shards_at_a_time_are_mixed(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large and a small shard end at about the same time, whatever their order."""
    monkeypatch.setattr(mixing, "CHUNK_PAIRS", 1)
    made = make_data((SRC, TGT), (SRC[:10], TGT[:10]), streaming=True)
    large, small = (corpus.src for corpus in made[0].data.train)  # type: ignore[union-attr]
    for epoch in range(5):
        read = [corpus.src for corpus, _ in mixing.mixed_chunks(made[0], epoch)]  # type: ignore[union-attr]
        assert (read.count(large), read.count(small)) == (50, 10)
        assert max(place for place, path in enumerate(read) if path == small) > 30
    made = make_data(*((SRC[n * 10 :][:10], TGT[n * 10 :][:10]) for n in range(5)), streaming=True)
    read = [corpus.src for corpus, _ in mixing.mixed_chunks(made[0], 0)]  # type: ignore[union-attr]
    third = [*dict.fromkeys(read)][2]
    assert read.index(third) >= 10  # two are open at a time


def test_repetitions_of_a_shard_follow_one_another(make_data: MakeData) -> None:
    made = make_data((SRC, TGT), streaming=True)
    [corpus] = made[0].data.train
    data = made[0].data.model_copy(update={"train": [corpus.model_copy(update={"weight": 3})]})
    chunks = mixing.mixed_chunks(made[0].model_copy(update={"data": data}), 0)
    assert [pair.src for _, chunk in chunks for pair in chunk] == SRC * 3


def test_weights(make_data: MakeData) -> None:
    made = make_data((SRC, TGT), (TGT, SRC), streaming=True)
    corpora = [
        corpus.model_copy(update={"weight": weight})
        for corpus, weight in zip(made[0].data.train, (2.5, 0.5), strict=True)
    ]
    data = made[0].data.model_copy(update={"train": corpora})
    made = made[0].model_copy(update={"data": data}), made[1]
    counts = [collections.Counter(texts(list(stream(made).batches(n)))) for n in range(2)]
    for count in counts:
        often = [count[pair] for pair in PAIRS]
        assert set(often) == {2, 3}
        assert 10 < often.count(3) < 40
        assert 110 < sum(often) < sum(count.values()) < 185
    assert counts[0] != counts[1]


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_resuming_is_exact(make_data: MakeData, alpha: float) -> None:
    config, tokenizers = make_data((SRC[:30], TGT[:30]), (SRC[30:], TGT[30:]), streaming=True)
    data = config.data.model_copy(update={"shuffle_buffer": 16})
    made = sampling(config.model_copy(update={"data": data}), alpha), tokenizers
    whole = list(stream(made).batches(1))
    assert len({batch.number for batch in whole}) == len(whole) > 8
    assert [batch.number for batch in whole] == sorted(batch.number for batch in whole)
    for place, batch in enumerate(whole):
        assert equal(list(stream(made).batches(1, batch.number)), whole[place:])
        rest = list(stream(made).batches(1, batch.number + 1))
        assert equal(rest, whole[place + 1 :])
        assert [one.number for one in rest] == [one.number for one in whole[place + 1 :]]


def test_a_pair_knows_where_it_comes_from(make_data: MakeData) -> None:
    made = make_data((SRC[:20], TGT[:20]), (SRC[20:], TGT[20:]), streaming=True)
    origins = chain.from_iterable(batch.origins() for batch in stream(made).batches(0))
    files = [corpus.src for corpus in made[0].data.train]  # type: ignore[union-attr]
    lines = [
        f"{path}:{n}"
        for path, count in zip(files, (20, 30), strict=True)
        for n in range(1, count + 1)
    ]
    assert sorted(origins) == sorted(lines)


def test_filters_and_errors(make_data: MakeData) -> None:
    made = make_data((["", *SRC[1:]], TGT), streaming=True, shuffle_buffer=8)
    epochs = stream(made)
    assert len(texts(list(epochs.batches(0)))) == 49
    assert epochs.sample.report.corpora[0].tallies["empty side"].count == 1
    with pytest.raises(DataError, match="no pairs are left"):
        stream(make_data((["", ""], ["a", "b"]), streaming=True))
    broken = stream(make_data((SRC, TGT[:49]), streaming=True, shuffle_buffer=8))
    with pytest.raises(DataError, match=r"has 50 lines, but .* has 49"):
        list(broken.batches(0))
    with pytest.raises(ValueError, match=r"data\.drop_duplicates needs prepared data"):
        make_data((SRC, TGT), streaming=True, drop_duplicates=True)


def test_a_window_of_which_nothing_is_left_is_skipped(make_data: MakeData) -> None:
    blank = [*SRC[:16], *[""] * 16, *SRC[32:]]
    made = make_data((blank, TGT), streaming=True, shuffle_buffer=8)
    assert sorted(texts(list(stream(made).batches(0)))) == sorted(PAIRS[:16] + PAIRS[32:])


def test_a_dataset_is_streamed(make_data: MakeData, tmp_path: Path) -> None:
    import datasets

    table = datasets.Dataset.from_dict({"en": SRC, "de": TGT, "id": [*range(50)]})
    (tmp_path / "folder").mkdir()
    table.to_parquet(str(tmp_path / "folder" / "train.parquet"))
    table.save_to_disk(str(tmp_path / "saved"))
    config, tokenizers = make_data((SRC, TGT))
    for name in ("folder", "saved"):
        data = {**config.data.model_dump(), "train": {"dataset": str(tmp_path / name)}}
        made = Config.model_validate({"data": {**data, "streaming": True}}), tokenizers
        assert sorted(texts(list(stream(made).batches(0)))) == sorted(PAIRS)
        assert stream(made).key.startswith("stream-")


def test_the_tokenizer_reads_only_as_much_as_it_needs(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_data((SRC, TGT), streaming=True)
    tokenizer = made[0].tokenizer.model_copy(update={"train_sentences": 20})
    config = made[0].model_copy(update={"tokenizer": tokenizer})
    read: list[Pair] = []

    def noted(*args: Any) -> Iterator[Pair]:
        for pair in read_pairs(*args):
            read.append(pair)
            yield pair

    monkeypatch.setattr(mixing, "read_pairs", noted)
    train_tokenizers(config)
    assert len(read) == 16
