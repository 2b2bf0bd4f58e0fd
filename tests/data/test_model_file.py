"""Writing the pieces of SentencePiece models."""

from __future__ import annotations

import io
import random

import pytest
import sentencepiece

from nmt.data import phrasebook
from nmt.data.model_file import Piece, PieceKind, parse, replace_pieces
from nmt.data.tokenizer import Tokenizer

LINES = [pair.src for pair in phrasebook.pairs("train")][:200]
SPECIAL = ("<unk>", "<s>", "</s>", "<none>")


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_pieces_in_another_order_segment_text_as_before(kind: str) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        model_type=kind,
        vocab_size=150,
        minloglevel=2,
    )
    before = Tokenizer(model.getvalue())
    pieces = [*parse(model.getvalue()).pieces, Piece("<none>", 0.0, PieceKind.CONTROL)]
    # BPE merges unused pieces, too, and divides them again: harmless after all other merges.
    pieces.append(Piece("▁The▁", -1000.0, PieceKind.UNUSED))
    random.Random(1).shuffle(pieces)
    written = replace_pieces(model.getvalue(), pieces, SPECIAL)
    assert parse(written).pieces == pieces
    after = Tokenizer(written)
    for line in [*LINES, "  ☃ x"]:
        [old], [new] = before.encode([line]), after.encode([line])
        assert after.pieces(new) == before.pieces(old)
        assert after.decode([new]) == before.decode([old])
    ids = [after.unk_id, after.bos_id, after.eos_id, after.pad_id]
    assert [pieces[number].text for number in ids] == [*SPECIAL]


def test_a_truncated_model_is_refused() -> None:
    with pytest.raises(ValueError, match="truncated"):
        replace_pieces(b"\x0a\x7f", [], ())
