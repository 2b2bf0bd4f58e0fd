"""Word alignment from attention: hand-made weights, and alignments of translations."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

import nmt
from nmt.config.search import SearchOptions
from nmt.data.tokenizer import Token, Tokenizer
from nmt.errors import ConfigError, DataError
from nmt.runs.model import TrainedModel
from nmt.translate.align import Aligner
from nmt.translate.formats import Item, JsonLayout, Layout, TextLayout
from nmt.translate.split import split_line
from nmt.translate.torch_engine import Networks
from nmt.translate.translation import ScoredText, Translation
from nmt.translate.translator import Translator
from nmt.translate.words import (
    NO_WORD,
    format_pharaoh,
    link_words,
    parse_pharaoh,
    split_words,
    word_numbers,
)


def test_links_from_hand_made_weights() -> None:
    # Source tokens: "re" "ad" "it" EOS; target tokens: "l" "es" "das".
    # The two tokens of "les" attend to "read" with 0.3 + 0.1 + 0.1 + 0.2 = 0.7, and to "it" with
    # 0.25 + 0.3 = 0.55. "it" has the largest single weight of a word, and EOS the largest of
    # all, but neither must win.
    weights = np.array([[0.3, 0.1, 0.25, 0.35], [0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.3, 0.5]])
    assert link_words(weights, [0, 0, 1], [0, 0, 1]) == [(0, 0), (1, 1)]
    # Links are sorted by source word. A source word may have several links, or none.
    swapped = np.array([[0.1, 0.9], [0.9, 0.1], [0.2, 0.8]])
    assert link_words(swapped, [0, 1], [0, 1, 2]) == [(0, 1), (1, 0), (1, 2)]
    # If the source is a part of a longer line, its words keep their numbers in that line.
    assert link_words(swapped, [7, 8], [0, 1, 2]) == [(7, 1), (8, 0), (8, 2)]


def test_tokens_without_a_word_are_not_linked() -> None:
    weights = np.array([[0.1, 0.9], [0.9, 0.1]])
    assert link_words(weights, [0, NO_WORD], [0, NO_WORD]) == [(0, 0)]
    assert link_words(weights, [NO_WORD, NO_WORD], [0, 0]) == []
    assert link_words(weights[:0], [0, 1], []) == []


def test_word_numbers_of_tokens() -> None:
    text = "ab  c d "
    tokens = [Token(0, *span) for span in [(0, 1), (1, 2), (2, 3), (3, 5), (5, 7), (7, 8), (8, 8)]]
    #            "a"       "b"       " "       " c"      " d"      " "       ""
    assert word_numbers(text, tokens) == [0, 0, 1, 1, 2, NO_WORD, NO_WORD]
    assert word_numbers("   ", [Token(0, 0, 3)]) == [NO_WORD]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hat er gestern gekocht?", ["Hat", "er", "gestern", "gekocht", "?"]),
        ('"No," it\'s 3.5.', ['"', "No", ',"', "it's", "3.5", "."]),
        (
            "»Gut« (well-known)... ¿qué?",
            ["»", "Gut", "«", "(", "well-known", ")...", "¿", "qué", "?"],
        ),
        ("a - b \u2013 -- c", ["a", "-", "b", "\u2013", "--", "c"]),
        ("$5 C++ 🙂 <b>", ["$5", "C++", "🙂", "<b>"]),  # symbols are not punctuation
        ("यह हिन्दी है।", ["यह", "हिन्दी", "है", "।"]),  # vowel signs belong to their word
        (" \t ", []),
    ],
)
def test_punctuation_at_the_ends_of_words_is_separate(text: str, expected: list[str]) -> None:
    assert split_words(text) == expected
    characters = [Token(0, place, place + 1) for place in range(len(text))]
    words = [""] * len(expected)
    for token, number in zip(characters, word_numbers(text, characters), strict=True):
        if number != NO_WORD:
            words[number] += text[token.start : token.end]
    assert [word.strip() for word in words] == expected


@pytest.mark.parametrize("byte_fallback", [False, True])
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_tokens_cover_every_character_of_a_text(kind: str, byte_fallback: bool) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on a mat", "a fine dog ran home"] * 20),
        model_writer=model,
        model_type=kind,
        vocab_size=300,
        hard_vocab_limit=False,
        byte_fallback=byte_fallback,
        minloglevel=2,
    )
    tokenizer = Tokenizer(model.getvalue())
    # A ligature and full-width letters, which are normalized; unknown characters of 2 to 4 bytes.
    for text in ["the  cat\u3000ﬁne", " naïve 日本 🙂x", "ａ ½ cat", "", "cat"]:  # noqa: RUF001
        tokens = tokenizer.tokens(text)
        assert [token.id for token in tokens] == tokenizer.encode([text])[0]
        covered = "".join(text[token.start : token.end] for token in tokens)
        assert covered.split() == text.split()
        words = split_words(text)
        assert {n for n in word_numbers(text, tokens) if n != NO_WORD} == set(range(len(words)))
        ids = [token.id for token in tokens]
        [decoded] = tokenizer.decode([ids])
        decoded_tokens = tokenizer.decoded_tokens(ids)
        assert [token.id for token in decoded_tokens] == ids
        assert "".join(decoded[token.start : token.end] for token in decoded_tokens) == decoded


def test_bytes_that_are_not_valid_text_have_a_word_number() -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on a mat"] * 20),
        model_writer=model,
        vocab_size=300,
        hard_vocab_limit=False,
        byte_fallback=True,
        minloglevel=2,
    )
    tokenizer = Tokenizer(model.getvalue())
    id_of_piece = {piece: token for token, piece in enumerate(tokenizer.pieces(range(258 + 3)))}
    # Two bytes of a three-byte character; a line feed, which becomes a space.
    ids = [id_of_piece[f"<0x{byte}>"] for byte in ("E6", "97", "41", "0A", "42")]
    [decoded] = tokenizer.decode([ids])
    numbers = word_numbers(decoded, tokenizer.decoded_tokens(ids))
    assert decoded.split()[-1] == "B"
    assert (numbers[2], numbers[4]) == (len(decoded.split()) - 2, len(decoded.split()) - 1)


def test_pharaoh_format() -> None:
    assert format_pharaoh([(0, 0), (1, 12)]) == "0-0 1-12"
    assert parse_pharaoh("0-0 1-12") == [(0, 0), (1, 12)]
    assert parse_pharaoh(format_pharaoh([])) == []


def translate(
    models: list[TrainedModel], lines: list[str], aligned: bool = True, **options: int
) -> list[Translation]:
    aligner = Aligner(models) if aligned else None
    translator = Translator(
        Networks(models), SearchOptions(**options), lambda message: None, aligner=aligner
    )
    return list(translator.translate(lines))


def check_links(line: str, translation: ScoredText) -> None:
    """Check that every target word has exactly one link, to an existing source word."""
    links = translation.alignment
    num_words = len(split_words(translation.text))
    assert sorted(tgt for _, tgt in links) == list(range(num_words))
    assert all(0 <= src < len(split_words(line)) for src, _ in links)
    assert links == sorted(links)


def test_translations_come_with_their_alignment(model: TrainedModel, lines: list[str]) -> None:
    some = [*lines[:8], "", lines[0], " \t "]
    plain = translate([model], some, aligned=False, nbest=2)
    aligned = translate([model], some, nbest=2)
    for line, with_links, without in zip(some, aligned, plain, strict=True):
        for ours, theirs in zip(with_links.hypotheses, without.hypotheses, strict=True):
            assert (ours.text, ours.score) == (theirs.text, theirs.score)
            assert theirs.alignment == []
            check_links(line, ours)
    assert aligned[0] == aligned[9]


def test_alignment_of_a_split_line_refers_to_the_whole_line(
    model: TrainedModel, lines: list[str]
) -> None:
    whole = " ".join(lines[:3])
    source = model.tokenizers.src
    tokens = split_line(whole, source, 8, "en")
    parts = [whole[part[0].start : part[-1].end].strip() for part in tokens]
    assert len(parts) > 1
    assert source.encode(parts) == [[token.id for token in part] for part in tokens]
    [joined] = translate([model], [whole], max_input_length=9)  # EOS included
    check_links(whole, joined.hypotheses[0])
    alone = [translation.hypotheses[0] for translation in translate([model], parts)]
    assert joined.text == " ".join(best.text for best in alone)
    expected, src_words, tgt_words = [], 0, 0
    for part, best in zip(parts, alone, strict=True):
        expected += [(src + src_words, tgt + tgt_words) for src, tgt in best.alignment]
        src_words += len(split_words(part))
        tgt_words += len(split_words(best.text))
    assert joined.hypotheses[0].alignment == sorted(expected)
    # A very long word is split between tokens, but all of it is word 0; "cat" and "." are 1 and 2.
    [long_word] = translate([model], ["the" * 40 + " cat."], max_input_length=20, max_extra_len=2)
    assert {src for src, _ in long_word.hypotheses[0].alignment} <= {0, 1, 2}


def test_an_ensemble_averages_its_models(model: TrainedModel, other_model: TrainedModel) -> None:
    [[*ids]] = model.tokenizers.src.encode(["the cat sat."])
    source, target = [[*ids, model.tokenizers.src.eos_id]], [ids]
    one, other, both = (
        Aligner(models).weights(source, target)[0]
        for models in ([model], [other_model], [model, other_model])
    )
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-5)
    assert both.shape == (len(ids), len(ids) + 1)
    np.testing.assert_allclose(both.sum(1), np.ones(len(ids)), rtol=1e-5)


def test_padding_does_not_change_links(model: TrainedModel, lines: list[str]) -> None:
    pairs = [(line, line) for line in lines[:4]]
    together = list(Aligner([model]).align(pairs))
    assert together == [links for pair in pairs for links in Aligner([model]).align([pair])]


def test_learned_positions_suffice_for_alignment(
    tokenizer: Tokenizer, make_model: Callable[..., TrainedModel]
) -> None:
    """A translation cut off at the last position can be aligned."""
    learned = make_model(tokenizer, 3, positions={"kind": "learned", "max_length": 40})
    [weights] = Aligner([learned]).weights([[5] * 40], [[5] * 40])
    assert weights.shape == (40, 40)


def test_sentences_beyond_the_learned_positions_are_refused(
    tokenizer: Tokenizer, make_model: Callable[..., TrainedModel]
) -> None:
    learned = make_model(tokenizer, 3, positions={"kind": "learned", "max_length": 40})
    for pair in (("the " * 40, "the"), ("the", "the " * 41)):
        with pytest.raises(DataError, match=r"^line 2: 41 tokens, but .* only 40 positions"):
            list(Aligner([learned]).align([("a", "a"), pair]))


def test_a_missing_layer_is_refused(model: TrainedModel) -> None:
    for layer in (0, 3):
        with pytest.raises(ConfigError, match=f"`layer` is {layer}, but the decoder has 2"):
            Aligner([model], layer)


def test_models_of_other_kinds_are_refused(model: TrainedModel, any_model: TrainedModel) -> None:
    kind = any_model.config.model.kind
    if kind == "transformer":
        return
    expected = rf"`alignments`\) needs .* model.kind: transformer; this one is of kind {kind}"
    for models in ([any_model], [model, any_model]):
        with pytest.raises(ConfigError, match=expected):
            Aligner(models)


SCORED = [
    ScoredText("ein Haus", -0.5, -1.0, 2, [-0.25, -0.75], [(0, 1), (1, 0)]),
    ScoredText("", -1.5, -1.5, 1, [-1.5], []),
]


@pytest.mark.parametrize("nbest", [False, True])
@pytest.mark.parametrize("scores", [False, True])
def test_layouts_read_back_their_output(nbest: bool, scores: bool) -> None:
    translation = Translation(SCORED if nbest else SCORED[:1])
    layouts: list[tuple[Layout, Item]] = [
        (TextLayout(nbest, scores, alignments=True), Item("x")),
        (JsonLayout("src", nbest, scores, alignments=True), Item("x", {"src": "x"})),
    ]
    for layout, item in layouts:
        lines = layout.write(1, item, translation).split("\n")
        [back] = layout.read_output(lines)
        assert layout.write(1, item, back).split("\n") == lines
        assert [best.alignment for best in back.hypotheses] == [
            best.alignment for best in translation.hypotheses
        ]


def test_output_with_alignments() -> None:
    translation, item = Translation(SCORED), Item("a\x01b?", {"src": "a\x01b?"})
    assert TextLayout(alignments=True).write(1, item, translation) == "ein Haus\t0-1 1-0"
    row = TextLayout(scores=True, alignments=True).write(1, item, translation)
    assert row == "-0.500000\tein Haus\t0-1 1-0"
    rows = TextLayout(nbest=True, alignments=True).write(7, item, translation)
    assert rows == "7\t-0.500000\tein Haus\t0-1 1-0\n7\t-1.500000\t\t"
    record = json.loads(JsonLayout("src", nbest=True, alignments=True).write(1, item, translation))
    assert record["alignment"] == record["nbest"][0]["alignment"] == [[0, 1], [1, 0]]
    assert record["nbest"][1]["alignment"] == record["nbest"][1]["tgt_words"] == []
    # The words of the text as the translator reads it, without control characters.
    assert record["src_words"] == ["a", "b", "?"]
    assert record["tgt_words"] == record["nbest"][0]["tgt_words"] == ["ein", "Haus"]


def test_the_words_of_a_divided_line_are_found_once(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = []

    def counted(line: str, tokens: Sequence[Token]) -> list[int]:
        lines.append(line)
        return word_numbers(line, tokens)

    monkeypatch.setattr("nmt.translate.parts.word_numbers", counted)
    line = "the cat sat. the dog ran home. a cat sat on a mat."
    translation = nmt.load(trained_run, engine="nmt", threads=1).translate(
        line, alignments=True, max_input_length=6
    )
    assert lines == [line]
    assert max(src for src, _ in translation.alignment) > 10
