"""Translating lines: order, batches, windows, long input, ensembles."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from nmt.config.search import SearchOptions
from nmt.data.lengths import LengthModel
from nmt.data.tokenizer import Tokenizer
from nmt.errors import ConfigError, DataError, FileError
from nmt.runs.model import TrainedModel
from nmt.search.beam import beam_search
from nmt.search.hypothesis import normalized_score
from nmt.search.stepper import Stepper
from nmt.translate.part_search import length_batches
from nmt.translate.source import Source
from nmt.translate.split import split_line
from nmt.translate.torch_engine import Networks
from nmt.translate.translation import ScoredText, Translation
from nmt.translate.translator import Translator

MakeModel = Callable[..., TrainedModel]
TrainTokenizer = Callable[[list[str]], Tokenizer]

BLANK = Translation([ScoredText("", 0.0)])


def with_blanks(lines: list[str]) -> list[str]:
    """Insert a blank line after every third line, with different white space."""
    blanks = itertools.cycle(["", " ", "\u00a0 ", "\t"])
    return [
        text
        for place, line in enumerate(lines)
        for text in ([line, next(blanks)] if place % 3 == 0 else [line])
    ]


def translate(model: TrainedModel, lines: list[str], **options: object) -> list[Translation]:
    return list(Translator(Networks([model]), SearchOptions(**options)).translate(lines))


def texts(translations: list[Translation]) -> list[str]:
    return [translation.text for translation in translations]


def assert_same(actual: list[Translation], expected: list[Translation]) -> None:
    """Check that texts are equal, and scores up to the rounding of other batch shapes."""
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        assert [h.text for h in ours.hypotheses] == [h.text for h in theirs.hypotheses]
        assert [h.score for h in ours.hypotheses] == pytest.approx(
            [h.score for h in theirs.hypotheses], abs=1e-4
        )


def test_batched_and_single_lines_give_the_same(any_model: TrainedModel, lines: list[str]) -> None:
    together = translate(any_model, lines, nbest=4)
    alone = [translate(any_model, [line], nbest=4)[0] for line in lines]
    assert len(set(texts(together))) > 20
    assert_same(together, alone)


@pytest.mark.parametrize("batch_tokens", [1, 50, 100_000])
def test_blank_lines_and_order_are_kept_in_batches_of_any_size(
    model: TrainedModel, batch_tokens: int, lines: list[str]
) -> None:
    mixed = with_blanks(lines)
    translations = translate(model, mixed, batch_tokens=batch_tokens)
    not_blank = [t for t, line in zip(translations, mixed, strict=True) if line.strip()]
    assert_same(not_blank, translate(model, lines))
    for translation, line in zip(translations, mixed, strict=True):
        if not line.strip():
            assert translation.text == ""
            assert translation.hypotheses[0].score == 0.0


def test_translations_do_not_depend_on_the_window_size(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    expected = translate(model, lines)
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    monkeypatch.setattr("nmt.translate.translator._CHARACTERS_PER_TOKEN", 1)
    assert_same(translate(model, lines, batch_tokens=30), expected)


def test_reading_ahead_is_bounded(model: TrainedModel, lines: list[str]) -> None:
    read = 0
    options = SearchOptions(beam_size=1, max_extra_len=0, batch_tokens=20)

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield lines[read % len(lines)]

    translations = Translator(Networks([model]), options).translate(endless())
    for _ in range(3):
        next(translations)
    assert read < 20 * 16 * 4
    list(itertools.islice(translations, 60))
    assert read > 60


def test_greedy_search_by_hand_gives_the_same(any_model: TrainedModel, lines: list[str]) -> None:
    """By hand means without cache and batches."""
    tokenizer, network = any_model.tokenizers.tgt, any_model.network
    forbidden = [tokenizer.pad_id, tokenizer.bos_id, tokenizer.unk_id]
    for line, translation in zip(
        lines[:10], translate(any_model, lines[:10], beam_size=1), strict=True
    ):
        src = torch.tensor([[*tokenizer.encode([line])[0], tokenizer.eos_id]])
        ids = [tokenizer.bos_id]
        while len(ids) <= src.shape[1] + 50 and ids[-1] != tokenizer.eos_id:
            logits_V = network(src, torch.tensor([ids]))[0, -1]
            logits_V[forbidden] = -math.inf
            ids.append(int(logits_V.argmax()))
        assert translation.text == tokenizer.decode([ids])[0]


@pytest.mark.parametrize("max_extra_len", [0, 3])
def test_the_length_is_limited_by_the_source(
    model: TrainedModel, max_extra_len: int, lines: list[str]
) -> None:
    translations = translate(model, lines, nbest=4, max_extra_len=max_extra_len)
    lengths = [len(ids) + 1 for ids in model.tokenizers.src.encode(lines)]
    longest = [
        max(len(h.token_log_probs) for h in translation.hypotheses) for translation in translations
    ]
    assert all(ours <= n + max_extra_len for ours, n in zip(longest, lengths, strict=True))
    assert any(ours == n + max_extra_len for ours, n in zip(longest, lengths, strict=True))


def test_nbest(model: TrainedModel, lines: list[str]) -> None:
    best = translate(model, lines)
    for translation, single in zip(translate(model, lines, nbest=3), best, strict=True):
        assert len(translation.hypotheses) == 3
        scores = [h.score for h in translation.hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert translation.hypotheses[0] == single.hypotheses[0]
        assert len(single.hypotheses) == 1


def test_control_characters_count_as_spaces(model: TrainedModel) -> None:
    odd = ["the cat\x00sat\x07on\na mat.", "the\u2028cat\x85sat."]
    plain = ["the cat sat on a mat.", "the\u2028cat\x85sat."]
    assert texts(translate(model, odd)) == texts(translate(model, plain))


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0}, {"top_k": 3, "top_p": 0.5}])
def test_non_finite_weights_are_an_error(
    model: TrainedModel, lines: list[str], sampling: dict[str, float]
) -> None:
    broken = copy.deepcopy(model.network)
    with torch.no_grad():
        broken.projection.weight[7] = math.nan
    with pytest.raises(FileError, match=r"model-1: .*not finite"):
        translate(
            TrainedModel(model.config, model.tokenizers, broken, model.weights),
            lines,
            **sampling,
        )


def test_poll_may_stop_translation_before_any_batch(model: TrainedModel, lines: list[str]) -> None:
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls == 3:
            raise KeyboardInterrupt

    options = SearchOptions(batch_tokens=50, beam_size=1, max_extra_len=0)
    with pytest.raises(KeyboardInterrupt):
        list(Translator(Networks([model]), options, poll=poll).translate(lines))
    assert polls == 3


# ---------------------------------------------------------------- repeated lines


def count_searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each search adds its number of sentences."""
    searched: list[int] = []

    def counting(stepper: Stepper, max_lengths: list[int], **settings: object) -> object:
        searched.append(len(max_lengths))
        return beam_search(stepper, max_lengths, **settings)

    monkeypatch.setattr("nmt.translate.torch_engine.beam_search", counting)
    return searched


def test_repeated_lines_are_searched_once(
    model: TrainedModel, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = translate(model, lines, nbest=2, batch_tokens=30)
    searched = count_searched(monkeypatch)
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    repeated = [*lines[:20], *lines[::-1], "", *lines, *lines]
    translations = translate(model, repeated, nbest=2, batch_tokens=30)
    assert_same(translations, [*expected[:20], *expected[::-1], BLANK, *expected, *expected])
    assert sum(searched) == len(set(lines))


def test_lines_dropped_from_the_cache_are_searched_again(
    model: TrainedModel, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = translate(model, lines)
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    monkeypatch.setattr("nmt.translate.translator._CHARACTERS_REMEMBERED", 60)
    searched = count_searched(monkeypatch)
    assert_same(translate(model, lines * 2, batch_tokens=30), expected * 2)
    assert sum(searched) > 1.5 * len(lines)


def test_known_windows_are_not_searched(
    model: TrainedModel, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    options = SearchOptions(batch_tokens=30)
    windows = list(Translator(Networks([model]), options).windows(map(Source, lines)))
    assert len(windows) > 3
    assert len(windows[0]) > 2
    searched = count_searched(monkeypatch)
    known = [*windows[0], *windows[1]]
    # Scores are equal bit for bit, because the remaining lines are searched in the same batches.
    assert (
        list(Translator(Networks([model]), options).windows(map(Source, lines), known=known))
        == windows
    )
    assert sum(searched) == len(lines) - len(known)
    # The known lines may end inside a window.
    resumed = list(
        Translator(Networks([model]), options).windows(map(Source, lines), known=known[:-1])
    )
    assert [len(window) for window in resumed] == [len(window) for window in windows]
    flat = itertools.chain.from_iterable
    assert_same(list(flat(resumed)), list(flat(windows)))


# ---------------------------------------------------------------- memory


class Memory:
    """A search that runs out of memory if a batch has more than `fits` sentences.

    Attributes:
        fits: number of sentences that fit.
        batches: number of sentences of each search.
    """

    def __init__(self, fits: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fits = fits
        self.batches: list[int] = []
        self._failed: list[weakref.ref[Tensor]] = []
        monkeypatch.setattr("nmt.translate.torch_engine.beam_search", self.search)

    def search(self, stepper: Stepper, max_lengths: list[int], **settings: object) -> object:
        assert all(tensor() is None for tensor in self._failed), "the error keeps tensors alive"
        self.batches.append(len(max_lengths))
        if len(max_lengths) > self.fits:
            large = torch.zeros(1)
            self._failed.append(weakref.ref(large))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return beam_search(stepper, max_lengths, **settings)


def test_batches_that_do_not_fit_are_halved(
    model: TrainedModel, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = with_blanks(lines)
    expected = translate(model, mixed)
    memory = Memory(3, monkeypatch)
    messages: list[str] = []
    translator = Translator(Networks([model]), SearchOptions(batch_tokens=100), messages.append)
    assert_same(list(translator.translate(mixed)), expected)
    assert sum(size for size in memory.batches if size <= 3) == len(set(lines))
    assert max(memory.batches) > 6
    [message] = messages
    assert "memory" in message
    assert "`batch_tokens`" in message


def test_a_single_line_that_does_not_fit_is_an_error(
    model: TrainedModel, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Memory(0, monkeypatch)
    longest = max(range(40), key=lambda place: len(model.tokenizers.src.encode([lines[place]])[0]))
    messages: list[str] = []
    translator = Translator(Networks([model]), warn=messages.append)
    with pytest.raises(DataError, match=rf"^line {longest + 1}: .*`beam_size`"):
        list(translator.translate(lines))
    assert len(messages) == 1


def test_other_errors_are_not_mistaken_for_out_of_memory(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def broken(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("nmt.translate.torch_engine.beam_search", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        translate(model, ["the cat.", "a dog."])
    assert calls == 1


# ---------------------------------------------------------------- sampling


def test_samples_do_not_depend_on_batches(model: TrainedModel, lines: list[str]) -> None:
    options = {"temperature": 1.0, "seed": 3, "max_extra_len": 5}
    translations = translate(model, lines, **options)
    assert_same(translate(model, lines, batch_tokens=1, **options), translations)
    other = translate(model, lines, temperature=1.0, seed=4, max_extra_len=5)
    assert texts(other) != texts(translations)
    # Each repetition of a line is sampled again.
    assert len(set(texts(translate(model, lines[:1] * 10, **options)))) > 5


# ---------------------------------------------------------------- ensembles


def test_an_ensemble_of_one_model_twice_is_the_model(model: TrainedModel, lines: list[str]) -> None:
    twice = Translator(Networks([model, model]), SearchOptions(nbest=4)).translate(lines)
    assert_same(list(twice), translate(model, lines, nbest=4))


def test_an_ensemble_of_different_models(
    model: TrainedModel, other_model: TrainedModel, lines: list[str]
) -> None:
    both = list(Translator(Networks([model, other_model])).translate(lines))
    swapped = list(Translator(Networks([other_model, model])).translate(lines))
    assert_same(both, swapped)
    assert texts(both) != texts(translate(model, lines))


def test_an_ensemble_of_different_kinds(
    model: TrainedModel, any_model: TrainedModel, lines: list[str]
) -> None:
    both = list(Translator(Networks([model, any_model])).translate(lines))
    assert_same(both, list(Translator(Networks([any_model, model])).translate(lines)))


def test_an_ensemble_needs_the_same_tokenizers(
    model: TrainedModel, make_model: MakeModel, train_tokenizer: TrainTokenizer
) -> None:
    other = make_model(train_tokenizer(["a bat, a rat."] * 9), seed=3)
    with pytest.raises(ConfigError, match="model-1 and model-3 have different tokenizers"):
        Translator(Networks([model, other]))


# ---------------------------------------------------------------- long input


def test_long_lines_are_split_at_the_ends_of_sentences(
    model: TrainedModel, lines: list[str]
) -> None:
    # The model takes 40 tokens, EOS included: enough for each sentence, but not for all three.
    first, second, third = (f"{' '.join(['the cat sat on a mat'] * 3)}{mark}" for mark in ".!?")
    messages: list[str] = []
    options = SearchOptions(nbest=2)
    mixed = [lines[0], f"{first} {second}  {third}", lines[1]]
    translations = list(Translator(Networks([model]), options, messages.append).translate(mixed))
    [message] = messages
    assert message.startswith("line 2: ")
    assert "in 3 parts" in message
    parts = translate(model, [first, second, third], nbest=2)
    for place in range(2):
        joined = translations[1].hypotheses[place]
        of_parts = [part.hypotheses[place] for part in parts]
        assert joined.text == " ".join(h.text for h in of_parts)
        log_probs = [value for h in of_parts for value in h.token_log_probs]
        assert joined.token_log_probs == pytest.approx(log_probs, abs=1e-4)
        score = normalized_score(sum(log_probs), len(log_probs), 0.6)
        assert joined.score == pytest.approx(score, abs=1e-4)
    assert_same([translations[0], translations[2]], translate(model, lines[:2], nbest=2))


def test_max_input_length(model: TrainedModel) -> None:
    messages: list[str] = []
    options = SearchOptions(max_input_length=5)
    list(
        Translator(Networks([model]), options, messages.append).translate(
            ["the.", "the cat sat on."]
        )
    )
    assert [message[:7] for message in messages] == ["line 2:"]


def split_ids(text: str, tokenizer: Tokenizer, limit: int) -> list[list[int]]:
    """Split a text, and check that the tokens of its parts are in order and cover all words."""
    parts = split_line(text, tokenizer, limit, "en")
    tokens = [token for part in parts for token in part]
    assert all(left.end <= right.start for left, right in itertools.pairwise(tokens))
    # Only white space may lie between them.
    ends = [0, *(token.end for token in tokens)]
    starts = [*(token.start for token in tokens), len(text)]
    between = "".join(text[end:start] for end, start in zip(ends, starts, strict=True))
    assert between == "" or between.isspace()
    return [[token.id for token in part] for part in parts]


def test_parts_contain_as_many_sentences_as_fit(tokenizer: Tokenizer) -> None:
    sentences = ["the cat sat.", "the cat ran.", "the cat."]
    sizes = [len(ids) for ids in tokenizer.encode(sentences)]
    parts = split_ids(" ".join(sentences), tokenizer, sizes[0] + sizes[1])
    assert tokenizer.decode(parts) == ["the cat sat. the cat ran.", "the cat."]
    parts = split_ids(" ".join(sentences), tokenizer, sizes[0] + sizes[1] - 1)
    assert tokenizer.decode(parts) == ["the cat sat.", "the cat ran. the cat."]


def test_split_sentences(model: TrainedModel, tokenizer: Tokenizer) -> None:
    sentences = ["the cat sat.", "the dog ran home!", "a mat?"]
    lines = [" ".join(sentences), "", sentences[1]]
    options = {"nbest": 2, "split_sentences": True}
    translations = translate(model, lines, **options)
    alone = translate(model, sentences, nbest=2)
    for place in range(2):
        of_parts = [translation.hypotheses[place] for translation in alone]
        joined = translations[0].hypotheses[place]
        assert joined.text == " ".join(part.text for part in of_parts)
        log_probs = [value for part in of_parts for value in part.token_log_probs]
        assert joined.token_log_probs == pytest.approx(log_probs, abs=1e-4)
    assert translations[1] == BLANK
    assert_same([translations[2]], [alone[1]])


def test_sentences_that_are_too_long_are_split_with_a_message(model: TrainedModel) -> None:
    messages: list[str] = []
    options = SearchOptions(max_input_length=8, split_sentences=True)
    translator = Translator(Networks([model]), options, messages.append)
    short, long = "the cat. the cat. the cat.", "the cat. " + "the dog ran home " * 4
    list(translator.translate([short, long]))
    assert [message[:7] for message in messages] == ["line 2:"]


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "seed": 1}])
def test_suspiciously_short_translations_are_counted(
    model: TrainedModel, lines: list[str], sampling: dict[str, float]
) -> None:
    """One length model expects translations three times as long, the other of equal length."""
    strict = dataclasses.replace(model, lengths=LengthModel(ratio=3.0, deviation=0.5))
    warnings: list[str] = []
    translator = Translator(
        Networks([strict]), SearchOptions(**sampling), print, warn_short=warnings.append
    )
    mixed = ["a.", "", *lines[:3], lines[0]]
    translations = list(translator.translate(mixed))
    flags = [translation.is_short for translation in translations]
    assert flags[1] is False
    assert any(flags)
    assert len(warnings) == sum(flags)
    assert f"{sum(flags)} of {len(mixed)} translations" in translator.short.summary()
    usual = Translator(Networks([dataclasses.replace(model, lengths=LengthModel(1.0, 0.7))]))
    assert not any(translation.is_short for translation in usual.translate(lines))
    assert usual.short.summary() == ""


def test_progress_counts_every_line_once(model: TrainedModel, lines: list[str]) -> None:
    mixed = [*with_blanks(lines), *lines[:5], "the cat. the dog. a mat."]
    for options in (
        SearchOptions(batch_tokens=30, split_sentences=True),
        SearchOptions(batch_tokens=30, temperature=1.0, seed=1),
    ):
        done: list[int] = []
        list(Translator(Networks([model]), options).translate(mixed, advance=done.append))
        assert sum(done) == len(mixed)
        assert max(done) < len(mixed) / 2
        known = list(Translator(Networks([model]), options).translate(mixed))[:20]
        done.clear()
        windows = Translator(Networks([model]), options).windows(
            map(Source, mixed), known=known, advance=done.append
        )
        list(windows)
        assert sum(done) == len(mixed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('the cat." the dog. the mat', ['the cat."', "the dog.", "the mat"]),
        ("the cat... the dog?! the mat", ["the cat...", "the dog?!", "the mat"]),
        ("the .5 cat, the dog ran home, the mat", ["the .5 cat,", "the dog ran home,", "the mat"]),
        ("the cat the dog sat on a café", ["the cat the dog sat on", "a café"]),
    ],
)
def test_where_a_long_text_is_split(tokenizer: Tokenizer, text: str, expected: list[str]) -> None:
    limit = max(len(ids) for ids in tokenizer.encode(expected))
    parts = split_ids(text, tokenizer, limit)
    assert parts == tokenizer.encode(expected)


def test_chinese_sentences_are_split_without_spaces(train_tokenizer: TrainTokenizer) -> None:
    sentences = ["我们很好。", "他们走了。", "你们呢。"]
    tokenizer = train_tokenizer(["".join(sentences)] * 50)
    limit = max(len(ids) for ids in tokenizer.encode(sentences))
    assert tokenizer.decode(split_ids("".join(sentences), tokenizer, limit)) == sentences


@pytest.mark.parametrize("unit", ["t", ". ", "the ", "the, ", "...", '."', "cat sat. "])
def test_a_huge_line_is_split_completely(tokenizer: Tokenizer, unit: str) -> None:
    text = unit * (200_000 // len(unit))
    parts = split_ids(text, tokenizer, 39)
    assert max(map(len, parts)) <= 39
    assert min(map(len, parts)) > 0
    joined = "".join(tokenizer.decode(parts)).replace(" ", "")
    assert joined == "".join(tokenizer.decode(tokenizer.encode([text]))).replace(" ", "")


def test_a_huge_line_gives_one_line(model: TrainedModel) -> None:
    messages: list[str] = []
    translator = Translator(
        Networks([model]), SearchOptions(beam_size=1, max_extra_len=0), messages.append
    )
    translations = list(translator.translate(["the cat", "the cat sat on a mat. " * 100, "a dog."]))
    assert len(translations) == 3
    assert translations[1].text.count(" ") > 100
    assert len(messages) == 1


@pytest.mark.parametrize("combine", ["add", "concat"])
def test_learned_positions_limit_input_and_output(
    tokenizer: Tokenizer, make_model: MakeModel, combine: str
) -> None:
    positions = {"kind": "learned", "max_length": 44, "combine": combine}
    model = make_model(tokenizer, seed=1, positions=positions)
    messages: list[str] = []
    options = SearchOptions(max_input_length=60)
    translations = list(
        Translator(Networks([model]), options, messages.append).translate(["the " * 43, "a " * 44])
    )
    assert messages == [
        "line 2: 44 tokens are more than the 43 that the model takes: translated in 2 parts"
    ]
    assert all(translation.text for translation in translations)
    assert len(translations[0].hypotheses[0].token_log_probs) <= 44


@pytest.mark.parametrize(
    "positions",
    [
        {"kind": "none"},
        {"kind": "sinusoidal", "combine": "concat"},
        {"kind": "learned", "combine": "concat", "width": 5, "max_length": 90},
    ],
    ids=lambda positions: "-".join(map(str, positions.values())),
)
def test_positions_of_any_kind_do_not_depend_on_the_batch(
    tokenizer: Tokenizer, make_model: MakeModel, lines: list[str], positions: dict[str, object]
) -> None:
    model = make_model(tokenizer, seed=1, positions=positions)
    some = lines[:12]
    together = translate(model, some, nbest=2)
    assert len(set(texts(together))) > 8
    assert_same(together, [translate(model, [line], nbest=2)[0] for line in some])


# ---------------------------------------------------------------- interactive input


def test_interactive_input_is_translated_line_by_line(
    model: TrainedModel, lines: list[str]
) -> None:
    answered = [threading.Event() for _ in lines]
    seconds = 30

    def typed() -> Iterator[str]:
        for place, line in enumerate(lines[:5]):
            assert place == 0 or answered[place - 1].wait(seconds)
            yield line

    translations = []
    for place, translation in enumerate(
        Translator(Networks([model])).translate(typed(), interactive=True)
    ):
        translations.append(translation)
        answered[place].set()
    assert_same(translations, translate(model, lines[:5]))


def test_interactive_input_gives_the_same_and_raises_errors_of_the_input(
    model: TrainedModel, lines: list[str]
) -> None:
    def failing() -> Iterator[str]:
        yield from lines
        raise DataError("line 41 is broken")

    translations = Translator(Networks([model])).translate(failing(), interactive=True)
    first = list(itertools.islice(translations, len(lines)))
    assert_same(first, translate(model, lines))
    with pytest.raises(DataError, match="line 41"):
        next(translations)


# ---------------------------------------------------------------- batches


def test_length_batches_respect_the_budget() -> None:
    lengths = [3, 50, 7, 7, 1, 12, 3, 20, 5]
    batches = list(length_batches(lengths, 24))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert batches[0] == [1]  # alone over the budget
    assert all(max(lengths[i] for i in b) * len(b) <= 24 for b in batches[1:])
    assert len(batches) == 5
    assert list(length_batches([], 24)) == []


def test_the_same_line_with_another_prefix_is_another_line(model: TrainedModel) -> None:
    translator = Translator(Networks([model]))
    lines, prefixes = ["the cat."] * 5, ["", "dog", "", "mat", "dog"]
    first, dog, again, mat, dog_again = translator.translate(lines, prefixes)
    assert (first, dog) == (again, dog_again)
    assert len({first.text, dog.text, mat.text}) == 3
    assert (dog.text[:3], mat.text[:3]) == ("dog", "mat")


def test_a_prefix_begins_the_first_part_of_a_line(model: TrainedModel) -> None:
    translator = Translator(Networks([model]), SearchOptions(split_sentences=True))
    line = "the cat sat on a mat. the dog ran home."
    [free], [found] = translator.translate([line]), translator.translate([line], ["dog"])
    second = next(translator.translate(["the dog ran home."])).text
    assert found.text.startswith("dog")
    assert free.text.endswith(second)
    assert found.text.endswith(second)


def test_a_prefix_may_be_longer_than_the_usual_limit(model: TrainedModel) -> None:
    options = SearchOptions(max_extra_len=0, min_length=9)
    [found] = Translator(Networks([model]), options).translate(["a"], ["the cat sat on a mat."])
    assert found.text.startswith("the cat sat on a mat.")
    assert found.hypotheses[0].num_tokens >= 9


def test_prefixes_that_are_refused(model: TrainedModel) -> None:
    engine = Networks([model])
    engine.max_positions = 12  # type: ignore[misc]
    translator = Translator(engine)
    with pytest.raises(DataError, match=r"line 2: the prefix has \d+ tokens, but .* for 12, EOS"):
        list(translator.translate(["a", "a"], ["", "the cat " * 6]))
    trees = Translator(Networks([model]), SearchOptions(trees=True))
    with pytest.raises(
        ConfigError, match=r"line 1: a prefix cannot be combined with decode\.trees"
    ):
        list(trees.translate(["a"], ["the"]))
