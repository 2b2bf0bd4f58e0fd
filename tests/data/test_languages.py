"""Corpora in several languages, and the tags of their sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config.data import DataConfig
from nmt.config.languages import LanguagePair
from nmt.config.load import make_config
from nmt.config.schema import Config
from nmt.data.batching import Epochs
from nmt.data.corpus import content_key, origin
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.streaming import StreamedEpochs
from nmt.data.tags import Tagger
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import ConfigError
from nmt.training.initial import initial_tokenizers

from .conftest import SRC, TGT, corpus_of, pairs_of, write_lines

SMALL: dict[str, Any] = {"vocab_size": 60}


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    """Return a configuration of two directions: en-de, and the same text from de to en."""
    files = {"src": write_lines(tmp_path / "en", SRC), "tgt": write_lines(tmp_path / "de", TGT)}
    data = {
        **{"src_lang": "en", "tgt_lang": "de", "tags": "target"},
        **{"train": [files, {**files, "reversed": True}], "cache_dir": str(tmp_path / "cache")},
    }
    return {"data": data, "tokenizer": SMALL, "train": {"batch_tokens": 60}}


def made(sections: dict[str, Any], **data: Any) -> tuple[Config, Tokenizers, Prepared]:
    config = make_config({**sections, "data": {**sections["data"], **data}})
    tokenizers = train_tokenizers(config)
    return config, tokenizers, prepare(config, tokenizers, config.data.train, filtered=True)


def tags_and_rest(rows: Prepared, tokenizers: Tokenizers, num_tags: int) -> list[list[str]]:
    """Return the tags of each row, after checking that the text follows them."""
    every = range(len(rows))
    ids = [row.tolist() for row in rows.rows(every)[0]]
    assert [row[num_tags:] for row in ids] == tokenizers.src.encode(rows.texts(every)[0])
    return [tokenizers.src.pieces(row[:num_tags]) for row in ids]


def test_a_reversed_corpus_has_its_sides_and_languages_swapped(tmp_path: Path) -> None:
    record = tmp_path / "a.jsonl"
    record.write_text(json.dumps({"nl": "x", "fr": "y"}) + "\n")
    corpus = corpus_of(jsonl=str(record), src_lang="nl", tgt_lang="fr", reversed=True)
    assert pairs_of(corpus) == [("y", "x")]
    data = DataConfig(src_lang="en", tgt_lang="de", train=[corpus])
    assert data.train_pairs == [LanguagePair("fr", "nl")]
    files = corpus_of(src="a", tgt="b", reversed=True)
    assert (origin(files, 3), origin(files, 3, 1)) == ("b:3", "a:3")
    assert data.pair_of(files) == ("de", "en")


def test_languages_are_the_default_keys_of_records(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"en": "a", "fr": "b", "x": "c"}) + "\n")
    assert pairs_of(corpus_of(jsonl=str(path), tgt_lang="fr")) == [("a", "b")]
    assert pairs_of(corpus_of(jsonl=str(path), tgt_lang="fr", src_key="x")) == [("c", "b")]


def test_corpora_without_languages_keep_their_cache_key(tmp_path: Path) -> None:
    plain = corpus_of(src=write_lines(tmp_path / "a", ["a"]), tgt=str(tmp_path / "a"))
    assert content_key(plain).keys() == {"fingerprint", "kind"}
    other = plain.model_copy(update={"tgt_lang": "fr"})
    assert content_key(other).keys() == {"fingerprint", "kind", "tgt_lang"}


def test_the_source_begins_with_the_tag(sections: dict[str, Any]) -> None:
    _, tokenizers, rows = made(sections)
    tags = tags_and_rest(rows, tokenizers, 1)
    assert tags == [["<2de>"]] * 50 + [["<2en>"]] * 50
    assert rows.texts([0, 50]) == ([SRC[0], TGT[0]], [TGT[0], SRC[0]])
    assert rows.src_lengths[0] == len(tokenizers.src.encode([SRC[0]])[0]) + 2
    assert sorted(tokenizers.src.control_symbols) == ["<2de>", "<2en>"]


def test_both_tags_and_separate_vocabularies(sections: dict[str, Any]) -> None:
    sections["tokenizer"] = {**SMALL, "joint": False}
    sections["model"] = {"tie_embeddings": "decoder"}
    _, tokenizers, rows = made(sections, tags="both")
    assert tags_and_rest(rows, tokenizers, 2) == [["<en>", "<2de>"]] * 50 + [["<de>", "<2en>"]] * 50
    assert tokenizers.tgt.control_symbols == {}


def test_without_tags_nothing_is_added(sections: dict[str, Any]) -> None:
    _, tokenizers, rows = made(sections, tags="none")
    assert tags_and_rest(rows, tokenizers, 0) == [[]] * 100
    assert tokenizers.src.control_symbols == {}


def test_tags_count_for_the_longest_length_but_not_for_the_ratio(sections: dict[str, Any]) -> None:
    files = sections["data"]["train"][0]
    _, tokenizers, rows = made(sections)
    longest = int(max(rows.src_lengths.max(), rows.tgt_lengths.max()))
    _, _, fewer = made(sections, max_length=longest - 1)
    assert len(fewer) < len(rows)
    assert max(fewer.src_lengths.max(), fewer.tgt_lengths.max()) == longest - 1
    write_lines(Path(files["src"]), ["red"] * 9)
    write_lines(Path(files["tgt"]), ["rot"] * 9)
    config = make_config({**sections, "data": {**sections["data"], "max_length_ratio": 1.4}})
    ids = [side.encode([text])[0] for side, text in zip(tokenizers, ("red", "rot"), strict=True)]
    assert len(ids[0]) == len(ids[1])
    assert len(prepare(config, tokenizers, config.data.train, filtered=True)) == 18


def test_equal_text_in_other_languages_is_no_duplicate(sections: dict[str, Any]) -> None:
    [files, _] = sections["data"]["train"]
    train = [files, {**files, "tgt_lang": "nl"}, files]
    _, _, rows = made(sections, train=train, drop_duplicates=True)
    assert len(rows) == 2 * len(set(zip(SRC, TGT, strict=True)))
    _, _, rows = made(sections, train=train, drop_duplicates=True, tags="none")
    assert len(rows) == len(set(zip(SRC, TGT, strict=True)))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_every_batch_has_the_tags(sections: dict[str, Any], streaming: bool, alpha: float) -> None:
    sections["tokenizer"] = {**SMALL, "sampling_alpha": alpha}
    config, tokenizers, rows = made(sections)
    if streaming:
        data = config.data.model_copy(update={"streaming": True, "shuffle_buffer": 4096})
        config = config.model_copy(update={"data": data})
    known = tokenizers.src.control_symbols

    def seen(start: int) -> Iterator[tuple[int, list[int], str]]:
        made = StreamedEpochs(tokenizers, config) if streaming else Epochs(rows, tokenizers, config)
        for batch in made.batches(0, start):
            assert batch.source is not None
            texts = batch.source.texts(batch.rows)[1]
            yield from zip([batch.number] * len(texts), batch.src_BS.tolist(), texts, strict=True)

    every = list(seen(0))
    assert len(every) == 100
    for _, ids, target in every:
        assert ids[0] == known["<2de>" if target in TGT else "<2en>"]
        assert not {*known.values()}.intersection(ids[1:])
    # A resumed run continues with the same batches.
    assert list(seen(every[-1][0])) == [row for row in every if row[0] == every[-1][0]]


def test_a_vocabulary_without_tags_gets_them(sections: dict[str, Any], tmp_path: Path) -> None:
    _, plain, _ = made(sections, tags="none")
    plain.save(tmp_path)
    sections["tokenizer"] = {"model": str(tmp_path / "spm.model")}
    added = initial_tokenizers(make_config(sections))
    assert list(added.src.control_symbols) == ["<2de>", "<2en>"]
    data = {**sections["data"], "valid": {**sections["data"]["train"][0], "tgt_lang": "fr"}}
    with pytest.raises(ConfigError, match=r"no corpus of data\.train needs <2fr>, nor does the"):
        initial_tokenizers(make_config({**sections, "data": data}))


def test_an_unknown_language_lists_those_that_are_known(sections: dict[str, Any]) -> None:
    config, tokenizers, _ = made(sections, tags="both")
    tagger = Tagger(config.data, tokenizers.src)
    assert tagger.chosen(None, "en") == ("en", "en")
    with pytest.raises(
        ConfigError, match="`tgt_lang`: the model does not know 'fr'; it knows de, "
    ):
        tagger.ids(LanguagePair("en", "fr"))
    with pytest.raises(
        ConfigError, match="`src_lang`: the model does not know 'fr'; it knows de, "
    ):
        tagger.ids(LanguagePair("fr", "de"))


def test_configurations_that_are_refused(sections: dict[str, Any]) -> None:
    [files, _] = sections["data"]["train"]
    for changes, message in [
        ({"tgt_lang": "d e"}, "tags cannot name the language 'd e'"),
        ({"tags": "both", "src_lang": "pad"}, "tags cannot name the language 'pad'"),
        ({"valid": {**files, "tgt_lang": "fr"}}, "data.valid needs <2fr>, but the corpora of"),
        ({"test": {**files, "src_lang": "fr"}, "tags": "both"}, "data.test needs <fr>, but"),
    ]:
        with pytest.raises(ConfigError, match=message):
            make_config({**sections, "data": {**sections["data"], **changes}})
    made(sections, valid={**files, "src_lang": "fr"})  # the model is not told


def test_tokenizers_are_trained_again_for_other_tags(sections: dict[str, Any]) -> None:
    first, second = (made(sections, tags=tags)[1] for tags in ("none", "both"))
    assert first.src.serialized() != second.src.serialized()
    assert np.isin([4, 5, 6, 7], list(second.src.control_symbols.values())).all()
