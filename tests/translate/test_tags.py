"""Translation with a model that is told the target language by a tag."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import nmt
from nmt.config.languages import LanguagePair
from nmt.config.search import search_options
from nmt.errors import ConfigError, DataError
from nmt.runs.model import load_model
from nmt.translate.engine import never_output
from nmt.translate.formats import JsonLayout
from nmt.translate.source import Source
from nmt.translate.streams import translate_windows
from nmt.translate.torch_engine import Networks

LINES = ["the cat sat", "", "a dog ran home", "the cat sat"]


@pytest.fixture(scope="module", params=["nmt", "ctranslate2"])
def model(request: pytest.FixtureRequest, tagged_run: Path) -> nmt.Model:
    return nmt.load(tagged_run, engine=request.param, threads=1)


@pytest.fixture(scope="module")
def own(tagged_run: Path) -> nmt.Model:
    return nmt.load(tagged_run, engine="nmt", threads=1)


def texts(model: nmt.Model, lines: list[str], **options: object) -> list[str]:
    return [translation.text for translation in model.translate(lines, **options)]


def lang_of(text: str) -> str:
    """Return the target language of a translation by its capitals; empty if it is none."""
    return "lo" if text.islower() else "up" if text.isupper() else ""


def test_the_tag_chooses_the_language(model: nmt.Model) -> None:
    lower, upper = (texts(model, LINES, tgt_lang=lang) for lang in ("lo", "up"))
    assert [lang_of(text) for text in lower] == ["lo", "", "lo", "lo"]
    assert [lang_of(text) for text in upper] == ["up", "", "up", "up"]
    assert texts(model, LINES) == upper


def test_text_cannot_inject_a_tag(own: nmt.Model) -> None:
    tokenizer = own.engine.models[0].tokenizers.src
    tags = set(tokenizer.control_symbols.values())
    assert len(tags) == 2
    for text in ("<2lo> the cat sat", "<2lo>", "a<2up>", "<s> the"):
        assert tags.isdisjoint(tokenizer.encode([text])[0])
        assert tags.isdisjoint(tokenizer.sample([text], 0.3, -1, 1)[0])
    assert lang_of(own.translate("<2lo> the cat sat").text) == "up"


def test_each_line_may_have_its_languages(model: nmt.Model) -> None:
    translator = model.translator({})
    languages = [LanguagePair("en", lang) for lang in ("lo", "up", "up", "up")]
    found = translator.translate(LINES, languages=languages)
    # The repeated line has another language, so it is not the same line.
    assert [lang_of(translation.text) for translation in found] == ["lo", "", "up", "up"]


def test_json_lines_may_name_the_language(own: nmt.Model, trained_run: Path) -> None:
    rows = [{"src": "the cat", "tgt_lang": "lo"}, {"src": "the cat"}]
    lines = [json.dumps(row) for row in rows]
    layout = JsonLayout("src", alignments=True)
    translator = own.translator({}, alignments=True)
    windows = translate_windows(translator, lines, layout)
    out = [json.loads(text) for window in windows for text in window]
    assert [row["translation"] for row in out] == ["the cat", "THE CAT"]
    assert [row["src_words"] for row in out] == [["the", "cat"]] * 2
    assert all({src for src, _ in row["alignment"]} <= {0, 1} for row in out)
    with pytest.raises(DataError, match="line 1: `tgt_lang`: the model does not know 'xx'; it "):
        next(translate_windows(translator, ['{"src": "a", "tgt_lang": "xx"}'], layout))
    # To a model without tags, it is a key like any other.
    plain = nmt.load(trained_run, engine="nmt", threads=1).translator({})
    [[line]] = translate_windows(plain, ['{"src": "the", "tgt_lang": 3}'], JsonLayout("src"))
    assert json.loads(line)["tgt_lang"] == 3


def test_languages_that_are_refused(own: nmt.Model, trained_run: Path) -> None:
    plain = nmt.load(trained_run, engine="nmt", threads=1)
    for call in (
        lambda model, **langs: model.translate("a", **langs),
        lambda model, **langs: model.score("a", "b", **langs),
        lambda model, **langs: model.align(["a"], ["b"], **langs),
        lambda model, **langs: model.attend("a", "b", **langs),
    ):
        with pytest.raises(ConfigError, match="`tgt_lang`: the model does not know 'xx'; it knows "
                           "lo, up"):  # fmt: skip
            call(own, tgt_lang="xx")
        with pytest.raises(ConfigError, match="`src_lang`: this model is not told"):
            call(own, src_lang="en")
        with pytest.raises(ConfigError, match="`tgt_lang`: this model was trained without"):
            call(plain, tgt_lang="de")


def test_every_part_of_a_long_line_has_the_tag(model: nmt.Model) -> None:
    line = ". ".join(["the cat sat"] * 6) + "."
    with pytest.warns(UserWarning, match="more than the 18 that the model takes"):
        [split] = texts(model, [line], tgt_lang="lo")
    assert lang_of(split) == "lo"
    own = model.translator({"tgt_lang": "lo", "max_input_length": 5}, warn=lambda text: None)
    seen: list[list[int]] = []
    search = own.engine.search
    own.engine.search = lambda sources, *rest, **named: (  # type: ignore[method-assign]
        seen.extend(sources) or search(sources, *rest, **named)
    )
    try:
        list(own.translate([line]))
    finally:
        del own.engine.search
    tag = own.engine.models[0].tokenizers.src.control_symbols["<2lo>"]
    assert len(seen) > 6
    assert all(ids[0] == tag and ids.count(tag) == 1 and len(ids) <= 5 for ids in seen)


def test_scores_depend_on_the_language(model: nmt.Model) -> None:
    as_told, otherwise = (
        model.score("the cat sat", "the cat sat", tgt_lang=lang).log_prob for lang in ("lo", "up")
    )
    assert as_told > otherwise + 1
    best = model.translate("the cat sat", tgt_lang="lo", token_scores=True)
    assert as_told == pytest.approx(sum(best.token_log_probs), abs=1e-3)


def test_alignments_have_no_tag(own: nmt.Model) -> None:
    best = own.translate("the cat sat", tgt_lang="lo", alignments=True)
    assert own.align(["the cat sat"], [best.text], tgt_lang="lo") == [best.alignment]
    assert {src for src, _ in best.alignment} <= {0, 1, 2}
    assert [tgt for _, tgt in best.alignment] == [0, 1, 2] or len(best.alignment) == 3


def test_the_attention_shows_the_tag_as_a_token_of_no_word(own: nmt.Model) -> None:
    pair = own.attend("the cat", tgt_lang="lo")
    assert (pair.src, pair.tgt) == ("the cat", "the cat")
    assert pair.src_tokens[0] == "<2lo>"
    assert pair.src_words[0] == pair.src_words[-1] == -1
    assert len(pair.src_tokens) == len(pair.src_words) == len(pair.cross[0][0][0])


def test_translations_do_not_depend_on_the_batch(own: nmt.Model) -> None:
    together = texts(own, LINES * 5, tgt_lang="lo")
    assert together == texts(own, LINES * 5, tgt_lang="lo", batch_tokens=64)


def test_a_source_without_languages_has_those_of_the_options(own: nmt.Model) -> None:
    translator = own.translator({"tgt_lang": "lo"})
    [[first, second]] = translator.windows([Source("the cat"), Source("a dog", tgt_lang="up")])
    assert (first.text, second.text) == ("the cat", "A DOG")


def test_an_ensemble_is_told_in_one_way(tagged_run: Path) -> None:
    model = load_model(tagged_run)
    data = model.config.data.model_copy(update={"tags": "none"})
    untold = replace(model, config=model.config.model_copy(update={"data": data}))
    with pytest.raises(ConfigError, match=r"different data\.tags"):
        Networks([model, untold])


def test_no_translation_contains_a_tag(own: nmt.Model) -> None:
    tokenizer = own.engine.models[0].tokenizers.tgt
    tags = {*tokenizer.control_symbols.values()}
    assert tags < {*never_output(tokenizer)}
    options = search_options(own.config.decode, {"temperature": 5.0})
    sources = [[*tags, *tokenizer.encode(["the cat"])[0], tokenizer.eos_id]] * 20
    found = own.engine.search(sources, [str(key) for key in range(20)], options)
    assert all(tags.isdisjoint(hypothesis.ids) for [hypothesis] in found)
