"""Corpora with a tag: a symbol in front of their sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from nmt.config.load import make_config
from nmt.config.schema import Config
from nmt.data.batching import Epochs
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.streaming import StreamedEpochs
from nmt.data.tags import Tagger
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError
from nmt.training.initial import initial_tokenizers

from .conftest import SRC, TGT, write_lines

SMALL: dict[str, Any] = {"vocab_size": 60}


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    """Return a configuration with a real corpus and a tagged one, the same text from de to en."""
    files = {"src": write_lines(tmp_path / "en", SRC), "tgt": write_lines(tmp_path / "de", TGT)}
    tagged = {**files, "reversed": True, "tag": "bt"}
    data = {"src_lang": "en", "tgt_lang": "de", "train": [files, tagged]}
    return {
        "data": {**data, "cache_dir": str(tmp_path / "cache")},
        "tokenizer": SMALL,
        "train": {"batch_tokens": 60},
    }


def made(sections: dict[str, Any], **data: Any) -> tuple[Config, Tokenizers, Prepared]:
    config = make_config({**sections, "data": {**sections["data"], **data}})
    tokenizers = initial_tokenizers(config)
    return config, tokenizers, prepare(config, tokenizers, config.data.train, filtered=True)


def first_pieces(rows: Prepared, tokenizers: Tokenizers, number: int) -> list[list[str]]:
    """Return the first pieces of each source, after checking that its text follows them."""
    every = range(len(rows))
    ids = [row.tolist() for row in rows.rows(every)[0]]
    texts = tokenizers.src.encode(rows.texts(every)[0])
    for row, text in zip(ids, texts, strict=True):
        assert row[len(row) - len(text) :] == text
    return [tokenizers.src.pieces(row[: len(row) - len(text)])[:number]
            for row, text in zip(ids, texts, strict=True)]  # fmt: skip


def test_the_sources_of_a_tagged_corpus_begin_with_its_symbol(sections: dict[str, Any]) -> None:
    _, tokenizers, rows = made(sections)
    assert first_pieces(rows, tokenizers, 9) == [[]] * 50 + [["<bt>"]] * 50
    assert tokenizers.src.control_symbols == {"<bt>": tokenizers.src.vocab_size - 1}
    assert rows.src_lengths[50] == len(tokenizers.src.encode([TGT[0]])[0]) + 2


@pytest.mark.parametrize("tags", ["target", "both"])
def test_it_comes_before_the_tags_of_languages(sections: dict[str, Any], tags: str) -> None:
    config, tokenizers, rows = made(sections, tags=tags)
    languages = [["<en>", "<2de>"], ["<de>", "<2en>"]] if tags == "both" else [["<2de>"], ["<2en>"]]
    expected = [languages[0]] * 50 + [["<bt>", *languages[1]]] * 50
    assert first_pieces(rows, tokenizers, 9) == expected
    with pytest.raises(ConfigError, match=r"it knows de, en$"):
        Tagger(config.data, tokenizers.src).ids(config.data.train_pairs[0]._replace(tgt="fr"))


def test_no_message_lists_it_as_a_language(sections: dict[str, Any]) -> None:
    config, tokenizers, _ = made(sections, tags="both")
    later = config.data.model_copy(update={"train": config.data.train[:1]})  # train.init_from
    with pytest.raises(ConfigError, match=r"`src_lang`: .* it knows de, en$"):
        Tagger(later, tokenizers.src).ids(config.data.train_pairs[0]._replace(src="fr"))


def test_separate_vocabularies_have_it_on_the_source_side(sections: dict[str, Any]) -> None:
    sections["tokenizer"] = {**SMALL, "joint": False}
    sections["model"] = {"tie_embeddings": "decoder"}
    _, tokenizers, rows = made(sections)
    assert (*tokenizers.src.control_symbols,) == ("<bt>",)
    assert not tokenizers.tgt.control_symbols
    assert first_pieces(rows, tokenizers, 9)[50:] == [["<bt>"]] * 50


def test_text_cannot_pass_for_the_symbol(sections: dict[str, Any]) -> None:
    _, tokenizers, _ = made(sections)
    [ids] = tokenizers.src.encode(["<bt> <bt>"])
    assert tokenizers.src.control_symbols["<bt>"] not in ids
    assert tokenizers.src.decode([[tokenizers.src.control_symbols["<bt>"], *ids]])[0].count("b") < 3


@pytest.mark.parametrize("kind", ["tsv", "jsonl", "parquet", "dataset", "demo"])
def test_every_kind_of_corpus_may_have_a_tag(tmp_path: Path, kind: str) -> None:
    records = [{"en": en, "de": de} for en, de in zip(SRC, TGT, strict=True)]
    path, saved = tmp_path / f"text.{kind}", Dataset.from_list(records)
    corpus: dict[str, Any] = {kind: "valid" if kind == "demo" else str(path), "tag": "bt"}
    if kind == "tsv":
        write_lines(path, [f"{row['en']}\t{row['de']}" for row in records])
    elif kind == "jsonl":
        write_lines(path, [json.dumps(row) for row in records])
    elif kind == "parquet":
        saved.to_parquet(str(path))
    elif kind == "dataset":
        saved.save_to_disk(str(path))
    data = {"src_lang": "en", "tgt_lang": "de", "train": corpus, "cache_dir": str(tmp_path / "c")}
    _, tokenizers, rows = made({"data": data, "tokenizer": {"vocab_size": 120}})
    assert first_pieces(rows, tokenizers, 9) == [["<bt>"]] * len(rows)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("streaming", [False, True])
def test_every_batch_has_it(sections: dict[str, Any], streaming: bool, alpha: float) -> None:
    sections["tokenizer"] = {**SMALL, "sampling_alpha": alpha}
    config, tokenizers, rows = made(sections, tags="target")
    symbols = {number: name for name, number in tokenizers.src.control_symbols.items()}
    if streaming:
        data = config.data.model_copy(update={"streaming": True, "shuffle_buffer": 4096})
        config = config.model_copy(update={"data": data})

    def seen(start: int = 0) -> list[tuple[int, list[str]]]:
        made = StreamedEpochs(tokenizers, config) if streaming else Epochs(rows, tokenizers, config)
        return [
            (batch.number, [symbols[token] for token in ids if token in symbols])
            for batch in made.batches(0, start)
            for ids in batch.src_BS.tolist()
        ]

    everything = seen()
    tags = [tags for _, tags in everything]
    assert tags.count(["<2de>"]) == tags.count(["<bt>", "<2en>"]) == 50
    third = sorted({number for number, _ in everything})[2]
    assert seen(third) == [one for one in everything if one[0] >= third]


def test_another_tag_is_other_data(sections: dict[str, Any]) -> None:
    config, tokenizers, rows = made(sections)
    [real, tagged] = config.data.train
    plain = [real, tagged.model_copy(update={"tag": None})]
    assert prepare(config, tokenizers, plain, filtered=True).key != rows.key
    stream = config.data.model_copy(update={"streaming": True})
    other = config.data.model_copy(update={"streaming": True, "train": plain})
    keys = [
        StreamedEpochs(tokenizers, config.model_copy(update={"data": data})).key
        for data in (stream, other)
    ]
    assert keys[0] != keys[1]
    foreign = [real, tagged.model_copy(update={"tag": "web"})]
    with pytest.raises(ConfigError, match="lacks <web>: it began without a corpus with tag: web"):
        prepare(config, tokenizers, foreign, filtered=True)


def test_duplicates_are_found_whatever_their_tag(sections: dict[str, Any]) -> None:
    [files, _] = sections["data"]["train"]
    train = [files, {**files, "tag": "bt"}]
    _, tokenizers, rows = made(sections, train=train, drop_duplicates=True)
    assert len(rows) == len(set(zip(SRC, TGT, strict=True)))
    assert first_pieces(rows, tokenizers, 9) == [[]] * len(rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": [{"demo": "train", "tag": "<bt>"}]}, "tag: string should match pattern"),
        ({"train": [{"demo": "train", "tag": "unk"}]}, "the tag unk: <unk> is another symbol"),
        (
            {"train": [{"demo": "train", "tag": "en"}], "tags": "both"},
            "en is the tag of a corpus and a language",
        ),
        ({"valid": {"demo": "valid", "tag": "bt"}}, "valid: remove tag: bt: translation has none"),
        ({"test": {"demo": "test", "tag": "bt"}}, "test: remove tag: bt"),
    ],
)
def test_wrong_tags_are_refused(
    sections: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        made(sections, **changes)
