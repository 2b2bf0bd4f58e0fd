"""Extended tokenizers keep the old pieces, and segment old text as before."""

from __future__ import annotations

import io
from typing import Any

import pytest
import sentencepiece

from nmt.data import phrasebook
from nmt.data.model_file import PieceKind, check_complete, parse, with_pieces
from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer_extension import extend, row_origins
from nmt.errors import ConfigError

OLD = [text for pair in phrasebook.pairs("train")[:2000] for text in (pair.src, pair.tgt)]
NEW = [f"The myocardial infarction was treated with 500 mg é{n}." for n in range(5)] * 3
NEW += ["infarct 漢字 漢字, rare ß"] + ["infarct 漢字 漢字"] * 3
KINDS = ["bpe", "unigram", "char"]


def train(kind: str, **settings: Any) -> Tokenizer:
    model = io.BytesIO()
    settings = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, **settings}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(OLD),
        model_writer=model,
        model_type=kind,
        vocab_size=350,
        hard_vocab_limit=False,
        user_defined_symbols=["mg"],
        minloglevel=2,
        **settings,
    )
    return Tokenizer(model.getvalue())


def extended(old: Tokenizer, number: int = 30) -> Tokenizer:
    return extend(old, NEW, number, lambda: None)


def new_pieces(old: Tokenizer, new: Tokenizer) -> list[str]:
    count = len(parse(old.serialized()).pieces)
    return [piece.text for piece in parse(new.serialized()).pieces[count:]]


@pytest.mark.parametrize("byte_fallback", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_old_pieces_and_old_text_are_unchanged(kind: str, byte_fallback: bool) -> None:
    old = train(kind, byte_fallback=byte_fallback)
    new = extended(old)
    file, before = parse(new.serialized()), parse(old.serialized())
    assert file.pieces[: len(before.pieces)] == before.pieces
    assert file[1:] == before[1:]
    assert new.special_ids == old.special_ids
    added = set(new_pieces(old, new))
    assert 0 < len(added) <= 30
    assert not added & {piece.text for piece in before.pieces}
    unchanged = 0
    for was, now in zip(old.encode(OLD), new.encode(OLD), strict=True):
        if not added & {*new.pieces(now)}:
            assert now == was
            unchanged += 1
    assert unchanged > 100
    assert new.decode(new.encode(OLD[:50])) == old.decode(old.encode(OLD[:50]))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_frequent_words_become_pieces(kind: str) -> None:
    old = train(kind)
    new = extended(old, 60)
    assert "▁infarct" in new.pieces(new.encode(["infarct"])[0])
    sizes = [sum(map(len, one.encode(NEW))) for one in (old, new)]
    assert sizes[1] < 0.5 * sizes[0]
    # Pieces neither span words nor mix letters, digits and punctuation.
    for text in new_pieces(old, new):
        assert "▁" not in text[1:]
        assert len({char.isalpha() for char in text.lstrip("▁")}) == 1, text
    assert "mg" in new.pieces(new.encode(["500 mg"])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_characters_become_pieces_if_they_are_frequent(kind: str) -> None:
    old = train(kind)
    new = extended(old, 100)
    assert old.unk_id in old.encode(["漢字"])[0]
    assert old.unk_id not in new.encode(["漢字 é"])[0]
    assert new.decode(new.encode(["漢字 é"])) == ["漢字 é"]
    assert "ß" not in "".join(new_pieces(old, new))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_from_the_old_segmentation(kind: str) -> None:
    old = train(kind)
    new = extended(old)
    origins = row_origins(old, new)
    count = old.vocab_size
    assert origins[:count] == [[token] for token in range(count)]
    for ids, text in zip(origins[count:], new_pieces(old, new), strict=True):
        if old.unk_id not in ids:
            assert "".join(old.pieces(ids)) == text
    if kind != "char":
        place = new_pieces(old, new).index("▁infarct")
        assert origins[count + place] == old.encode(["infarct"])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_for_another_tokenizer_come_from_the_same_pieces(kind: str) -> None:
    old = train("unigram", pad_id=-1, unk_id=0, bos_id=1, eos_id=2)
    new = extended(train(kind, pad_id=3, unk_id=2, bos_id=1, eos_id=0))
    origins = row_origins(old, new)
    assert [origins[token] for token in new.special_ids] == [[one] for one in old.special_ids]
    known = {text: token for token, text in enumerate(old.pieces(range(old.vocab_size - 1)))}
    texts = new.pieces(range(new.vocab_size))
    for token in {*range(new.vocab_size)} - {*new.special_ids}:
        if texts[token] in known:
            assert origins[token] == [known[texts[token]]]
        elif old.unk_id not in origins[token]:
            assert "".join(old.pieces(origins[token])) == texts[token]
    assert {*map(len, origins)} > {1} or kind == "char"


def test_padding_that_is_not_a_piece_moves_to_the_end() -> None:
    old = train("bpe", pad_id=-1, unk_id=0, bos_id=1, eos_id=2)
    new = extended(old)
    assert (old.pad_id, new.pad_id) == (old.vocab_size - 1, new.vocab_size - 1)
    origins = row_origins(old, new)
    assert origins[new.pad_id] == [old.pad_id]
    assert old.pad_id not in {token for ids in origins[:-1] for token in ids}


def test_segmentations_can_be_sampled() -> None:
    old = train("bpe")
    new = extended(old)
    plain = new.encode(NEW[:1])[0]
    sampled = new.sample(NEW[:1], 0.5, -1, seed=1)[0]
    assert sampled != plain
    assert new.decode([sampled]) == new.decode([plain])
    assert new.sample(NEW[:1], 1e-9, -1, seed=1)[0] == plain


def test_the_result_is_a_function_of_the_arguments() -> None:
    old = train("unigram")
    assert extended(old).serialized() == extended(old).serialized()
    assert extended(old, 3).vocab_size == old.vocab_size + 3
    few = extend(old, ["ß"], 10, lambda: None)
    assert few.serialized() == old.serialized()


def test_a_written_model_can_be_checked() -> None:
    old = train("bpe")
    assert with_pieces(old.serialized(), []) == old.serialized()
    model = extended(old).serialized()
    check_complete(model)
    with pytest.raises(ValueError, match="truncated"):
        check_complete(model[: len(model) // 2])
    assert parse(model).pieces[-1].kind is PieceKind.NORMAL


def test_a_model_of_words_is_refused() -> None:
    with pytest.raises(ConfigError, match="whole words cannot be extended"):
        extended(train("word"))
