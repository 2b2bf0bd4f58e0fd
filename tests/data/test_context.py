"""The sentences before a source as its context, in training data."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.check.plan import make_plan
from nmt.config.schema import Config
from nmt.data.batching import Epochs
from nmt.data.context import SEPARATOR, before_source, span_of_context
from nmt.data.corpus import read_pairs
from nmt.data.history import History
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.streaming import StreamedEpochs
from nmt.data.symbols import with_symbols
from nmt.data.terms import TERM
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import train_tokenizers
from nmt.training.initial import initial_tokenizers

from .test_batching import equal

LINES = ["a b", "c", "", "d e", "f", "g"]


def test_a_blank_sentence_ends_a_document() -> None:
    history = History(2)
    found = [history.before(line) for line in ["a", "b", "c", "d", " ", "e", "f"]]
    assert found == [(), ("a",), ("a", "b"), ("b", "c"), (), (), ("e",)]
    assert [History(0).before(line) for line in "abc"] == [(), (), ()]


def config_of(folder: Path, lines: list[str], **keys: Any) -> Config:
    for side in ("en", "de"):
        text = "".join(f"{line}\n" if line else "\n" for line in lines)
        (folder / f"t.{side}").write_text(text, "utf-8")
    alpha, batch_tokens = keys.pop("alpha", 0.0), keys.pop("batch_tokens", 300)
    data = {
        **{"src_lang": "en", "tgt_lang": "de", "cache_dir": str(folder / "cache")},
        "train": {"src": str(folder / "t.en"), "tgt": str(folder / "t.de")},
        **{"context": 2, "max_length": 40, **keys},
    }
    tokenizer = {"vocab_size": 60, "sampling_alpha": alpha}
    train = {"batch_tokens": batch_tokens}
    return Config.model_validate({"data": data, "tokenizer": tokenizer, "train": train})


def prepared_of(config: Config, *, filtered: bool = True) -> tuple[Prepared, Tokenizers]:
    tokenizers = initial_tokenizers(config)
    return prepare(config, tokenizers, config.data.train, filtered=filtered), tokenizers


def sentences(ids: Any, tokenizers: Tokenizers) -> list[str]:
    """Return the texts between the separators of a source."""
    separator = tokenizers.src.control_symbols[SEPARATOR]
    rows: list[list[int]] = [[]]
    for token in map(int, ids):
        if token == separator:
            rows.append([])
        else:
            rows[-1].append(token)
    return tokenizers.src.decode(rows)


def sources(prepared: Prepared, tokenizers: Tokenizers) -> list[list[str]]:
    return [sentences(ids, tokenizers) for ids in prepared.rows(range(len(prepared)))[0]]


def test_a_source_has_the_sentences_before_it(tmp_path: Path) -> None:
    prepared, tokenizers = prepared_of(config_of(tmp_path, LINES))
    found = sources(prepared, tokenizers)
    assert found == [["a b"], ["a b", "c"], ["d e"], ["d e", "f"], ["d e", "f", "g"]]
    assert prepared.texts(range(5))[0] == ["a b", "c", "d e", "f", "g"]
    assert prepared.tgt_lengths.tolist() == prepared.src_lengths.tolist()
    [report] = prepared.report.corpora
    assert report.src_tokens == report.tgt_tokens
    lengths = [len(ids) + 1 for ids in prepared.rows(range(5))[0]]
    assert prepared.input_lengths.tolist() == lengths


def test_context_begins_with_each_file_and_crosses_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.data.chunks._PAIRS_PER_CHUNK", 2)
    config = config_of(tmp_path, LINES)
    [one] = config.data.train
    config = config.model_copy(
        update={"data": config.data.model_copy(update={"train": [one, one]})}
    )
    prepared, tokenizers = prepared_of(config)
    found = sources(prepared, tokenizers)
    assert (
        found[:5]
        == found[5:]
        == [
            *([["a b"], ["a b", "c"]]),
            *([["d e"], ["d e", "f"], ["d e", "f", "g"]]),
        ]
    )


def test_lines_that_are_dropped_are_context(tmp_path: Path) -> None:
    lines = ["a", " ".join("bcdefghijklmnopqrstuvw"), "c", "a", "e"]
    config = config_of(tmp_path, lines, max_length=20, drop_duplicates=True)
    prepared, tokenizers = prepared_of(config)
    # The second line is too long as a pair, and as context; the fourth is a duplicate.
    assert sources(prepared, tokenizers) == [["a"], ["c"], ["c", "a", "e"]]


def test_the_oldest_sentences_are_left_out_if_they_do_not_fit(tmp_path: Path) -> None:
    tokenizers = with_symbols(train_tokenizers(config_of(tmp_path, LINES)), [SEPARATOR])
    separator = tokenizers.src.control_symbols[SEPARATOR]
    rows = [[7, 8], [], [9]]
    both = [7, 8, separator, 9, separator]
    assert before_source(rows, 5, tokenizers.src) == both
    assert before_source(rows, 4, tokenizers.src) == both[3:]
    assert before_source(rows, 1, tokenizers.src) == []
    assert span_of_context([*both, 7], tokenizers.src) == (0, 5)
    assert span_of_context([7], tokenizers.src) == (0, 0)
    prepared, _ = prepared_of(config_of(tmp_path, ["a b c d"] * 9, max_length=12))
    assert len(prepared) == 9
    assert prepared.input_lengths.max() <= 12


LONG = [f"w{i % 7} x{i % 5} y{i % 3} z{i % 11}" if i % 50 else "" for i in range(300)]


def epochs_of(config: Config) -> tuple[Any, Tokenizers]:
    prepared, tokenizers = prepared_of(config)
    if config.data.streaming:
        return StreamedEpochs(tokenizers, config), tokenizers
    return Epochs(prepared, tokenizers, config), tokenizers


@pytest.mark.parametrize("more", [{}, {"streaming": True, "shuffle_buffer": 100}])
def test_each_epoch_draws_how_many_sentences_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    monkeypatch.setattr("nmt.data.mixing.CHUNK_PAIRS", 30)
    config = config_of(tmp_path, LONG, alpha=0.3, **more)
    epochs, tokenizers = epochs_of(config)
    first, second = ([*epochs.batches(epoch)] for epoch in range(2))
    counts = np.zeros(3, np.int64)
    for batch in first:
        for ids, row in zip(batch.src_BS.tolist(), batch.rows, strict=True):
            ids = ids[: ids.index(tokenizers.src.eos_id)]
            found = sentences(ids, tokenizers)
            full = sentences(batch.source.rows([row])[0][0], tokenizers)
            assert found == full[-len(found) :]
            counts[len(found) - 1] += 1
            assert len(ids) < config.data.max_length
    assert counts.sum() == 294
    assert (counts > 75).all()
    assert not equal(first, second)
    # Resuming within an epoch continues with the same batches.
    rest = first[len(first) // 2 :]
    assert equal([*epochs.batches(0, rest[0].number)], rest)


def test_tags_come_first_and_terms_last(tmp_path: Path) -> None:
    config = config_of(tmp_path, LONG, tags="both", terms={"probability": 1.0}, alpha=0.3)
    epochs, tokenizers = epochs_of(config)
    symbols = tokenizers.src.control_symbols
    for batch in epochs.batches(0):
        for ids in batch.src_BS.tolist():
            assert ids[:2] == [symbols["<en>"], symbols["<2de>"]]
            start, end = span_of_context(ids, tokenizers.src)
            assert start == 2
            assert symbols[TERM] not in ids[:end]


def test_the_plan_and_the_cache_know_the_context(tmp_path: Path) -> None:
    config = config_of(tmp_path, LONG)
    prepared, tokenizers = prepared_of(config)
    plan = make_plan(config, tokenizers, prepared)
    made = sum(1 for _ in Epochs(prepared, tokenizers, config).batches(0))
    assert abs(plan.batches_per_epoch - made) <= 1 + made // 10
    again = config.model_copy(update={"data": config.data.model_copy(update={"context": 1})})
    assert prepare(again, tokenizers, config.data.train, filtered=True).key != prepared.key
    [unfiltered] = [prepare(config, tokenizers, config.data.train, filtered=False)]
    assert len(unfiltered) == 300


def test_pairs_of_any_corpus_have_context(tmp_path: Path) -> None:
    config = config_of(tmp_path, LINES)
    with gzip.open(tmp_path / "c.jsonl.gz", "wt") as file:
        file.writelines(f'{{"en": "{line}", "de": "x"}}\n' for line in LINES)
    corpora = [{"jsonl": str(tmp_path / "c.jsonl.gz")}]
    data = {**config.data.model_dump(), "train": corpora, "context": 1}
    config = Config.model_validate({"data": data})
    found = [pair.context for pair in read_pairs(config.data.train[0], config.data)]
    assert found == [(), ("a b",), (), (), ("d e",), ("f",)]
