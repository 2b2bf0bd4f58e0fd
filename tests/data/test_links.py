"""Links between words become links between the pieces of a batch."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from nmt.data.links import (
    AFTER,
    BEFORE,
    NO_PART,
    PARTS,
    WORD,
    PieceParts,
    WordLinks,
    link_pieces,
    save_links,
)
from nmt.data.phrasebook import pairs
from nmt.data.tokenizer import Tokenizer
from nmt.errors import ConfigError
from nmt.training.word_alignment import part_numbers
from nmt.translate.words import split_words, word_numbers


def trained(**options: object) -> Tokenizer:
    lines = [pair.src for part in ("valid", "test") for pair in pairs(part)] + [
        '"No," (he) said... - it\'s well-known.'
    ] * 9
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=200,
        character_coverage=1.0,
        pad_id=3,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return Tokenizer(model.getvalue())


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return trained(model_type="bpe", control_symbols=["<2de>"])


def test_parts_of_words() -> None:
    def part(word: int, kind: int) -> int:
        return PARTS * word + kind

    assert part_numbers('"No," it\'s - 3.5.') == [
        *(part(0, kind) for kind in (BEFORE, WORD, AFTER)),
        part(1, WORD),
        part(2, WORD),
        part(3, WORD),
        part(3, AFTER),
    ]
    assert part_numbers("(a b)") == [part(0, BEFORE), part(0, WORD), part(1, WORD), part(1, AFTER)]
    assert part_numbers(" ") == []


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_pieces_belong_to_the_words_that_they_cover(tokenizer: Tokenizer, alpha: float) -> None:
    """`word_numbers` finds the same from the places of the pieces in the text."""
    texts = [pair.src for pair in pairs("test")[:60]]
    texts += ['"No," (he) said... - it\'s well-known.', "- - a", "...", "a", "it's \""]
    rows = tokenizer.sample(texts, alpha, -1, seed=1)
    tag = tokenizer.control_symbols["<2de>"]
    width = 2 + max(map(len, rows))
    padded_BL = np.full((len(rows), width), tokenizer.pad_id)
    for row_L, ids in zip(padded_BL, rows, strict=True):
        row_L[: len(ids) + 2] = [tag, *ids, tokenizer.eos_id]
    found_BL = PieceParts(tokenizer)(padded_BL)
    for text, ids, found in zip(texts, rows, found_BL.tolist(), strict=True):
        numbers, parts = word_numbers(text, tokenizer.decoded_tokens(ids)), part_numbers(text)
        assert len(parts) == len(split_words(text))
        assert found[1 : len(ids) + 1] == [parts[number] for number in numbers]
        assert {found[0], *found[len(ids) + 1 :]} == {NO_PART}


def test_pieces_that_span_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="whose pieces begin where words do; this one has"):
        PieceParts(trained(model_type="unigram", split_by_whitespace=False))


def test_linked_pieces_and_their_weights() -> None:
    # Two pairs. In the first, source word 0 has two pieces and word 1 one; target word 0 has two.
    src_BS = np.array([[NO_PART, 1, 1, 4, NO_PART], [NO_PART, 1, 4, 7, NO_PART]])
    tgt_BT = np.array([[NO_PART, 1, 1, 4], [NO_PART, 1, NO_PART, NO_PART]])
    links = [np.array([[1, 1], [4, 1], [4, 9]], np.int32), np.array([[7, 1]], np.int32)]
    found = link_pieces(src_BS, tgt_BT, links)
    rows = zip(found.places_N3.tolist(), found.weights_N.tolist(), strict=True)
    third = pytest.approx(1 / 3)
    assert sorted(rows) == [
        *(([0, t, s], third) for t in (1, 2) for s in (1, 2, 3)),
        ([1, 1, 3], 1.0),
    ]
    second = found.of_pairs(slice(1, None), 2)
    assert second.places_N3.tolist() == [[0, 1, 3]]
    assert second.weights_N.tolist() == [1.0]
    assert len(link_pieces(src_BS, tgt_BT, [links[0][:0]] * 2).weights_N) == 0


def test_links_are_kept(tmp_path: Path) -> None:
    rows = [[(1, 1), (4, 7)], [], [(3, 2)]]
    save_links([rows[:2], [], rows[2:]], tmp_path)
    links = WordLinks(tmp_path, "key")
    assert [each.tolist() for each in links.take(np.array([2, 0, 1]))] == [
        [[3, 2]],
        [[1, 1], [4, 7]],
        [],
    ]
    assert links.numbers().tolist() == [2, 0, 1]
