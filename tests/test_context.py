"""Sentences before a source as its context: training, both engines, files, and what is refused."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt
from command import run_nmt
from nmt.api import Model
from nmt.config.load import load_config
from nmt.config.schema import Config
from nmt.config.search import search_options
from nmt.console import Console
from nmt.data.context import SEPARATOR, span_of_context
from nmt.data.validation_text import read_validation_text
from nmt.errors import ConfigError, DataError
from nmt.evaluation.testsets import read_corpora
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.runs.parts import load_tokenizers
from nmt.training.run import train
from nmt.translate.align import Aligner
from nmt.translate.engine import sentence_length
from nmt.translate.formats import JsonLayout, TextLayout
from nmt.translate.parts import Divider
from nmt.translate.resume import translate_file
from nmt.translate.source import Source
from nmt.translate.streams import translate_windows
from nmt.translate.words import NO_WORD

WORDS = ["the", "cat", "dog", "sat", "on", "mat", "ran", "home"]
LOUD = "loud"
LINES = ["cat sat loud", "dog ran", "dog ran", "home loud", "", "dog ran", "mat loud", "cat on"]
CONTEXTS = [[], LINES[:1], LINES[1:2], LINES[2:3], [], [], LINES[5:6], LINES[6:7]]


def text_of(rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def loud_after_loud(lines: list[str]) -> list[str]:
    """Return each line, in capitals if the one before it in the document has `loud`."""
    before = ["", *lines[:-1]]
    return [
        line.upper() if LOUD in last else line for line, last in zip(lines, before, strict=True)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that writes in capitals what follows a line with `loud`."""
    folder = tmp_path_factory.mktemp("context")
    draw = random.Random(1)
    lines = []
    for number in range(3000):
        words = draw.choices(WORDS, k=draw.randint(1, 3)) + [LOUD] * (draw.random() < 0.5)
        lines.append(" ".join(words) if number % 15 else "")
    lines[7] = "Cat sat on mat. Dog ran. Home. The cat."
    parts = {"train": lines, "valid": lines[:40], "test": LINES}
    for part, rows in parts.items():
        (folder / f"{part}.src").write_text(text_of(rows), "utf-8")
        (folder / f"{part}.tgt").write_text(text_of(loud_after_loud(rows)), "utf-8")
    corpora = {
        part: {"src": f"{folder}/{part}.src", "tgt": f"{folder}/{part}.tgt"} for part in parts
    }
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    config = Config.model_validate(
        {
            "data": {
                **{"src_lang": "en", "tgt_lang": "de", "max_length": 40, "context": 1},
                **{"cache_dir": str(folder / "cache"), **corpora},
            },
            "tokenizer": {"vocab_size": 90},
            "model": {"d_model": 64, "num_heads": 2, "d_ff": 64, "dropout": 0.0, **layers},
            "train": {
                **{"batch_tokens": 1500, "learning_rate": 0.01, "max_steps": 200},
                **{"warmup_steps": 20, "threads": 1, "average": "none", "device": "cpu"},
                **{"validate_every": 200, "save_every": 200},
            },
        }
    )
    train(config, folder / "run", Console(stderr=True))
    return folder / "run"


@pytest.fixture(params=["nmt", "ctranslate2"])
def model(request: pytest.FixtureRequest, run: Path) -> Model:
    return nmt.load(run, engine=request.param, threads=1)


@pytest.fixture
def own(run: Path) -> Model:
    return nmt.load(run, engine="nmt", threads=1)


def texts(translations: Any) -> list[str]:
    return [one.text for one in translations]


def one_by_one(model: Model) -> list[str]:
    """Return the translations of the lines alone, each with its context."""
    rows = zip(LINES, CONTEXTS, strict=True)
    return [model.translate(line, contexts=context).text for line, context in rows]


def test_lines_are_translated_with_those_before_them(model: Model) -> None:
    found = texts(model.translate(LINES))
    assert found == one_by_one(model)
    without = texts(model.translate(LINES, context=0))
    assert without == [model.translate(line).text for line in LINES]
    assert found != without
    # Of more sentences than the model was trained with, the last ones count.
    assert (
        texts(model.translate(["dog ran"] * 2, contexts=[["home", "loud"], ["loud"]]))
        == [model.translate("dog ran", contexts=["loud"]).text] * 2
    )


def test_batches_windows_and_repetitions_change_nothing(
    own: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = one_by_one(own)
    many = [*LINES, ""] * 4
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    for interactive in (False, True):
        translator = own.translator({"batch_tokens": 12})
        found = texts(translator.translate(many, interactive=interactive))
        assert found == [*expected, ""] * 4


def test_a_resumed_translation_is_the_same(
    own: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    many = LINES * 4
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    def translate(lines: Any, output: Path, *, resume: bool = False) -> None:
        translator = own.translator({"batch_tokens": 6})
        log = lambda message: None  # noqa: E731
        translate_file(translator, lines, TextLayout(), output, resume=resume, log=log)

    def stopping() -> Any:
        yield from many[:21]
        raise KeyboardInterrupt

    translate(many, whole)
    with pytest.raises(KeyboardInterrupt):
        translate(stopping(), parts)
    assert (tmp_path / "parts.partial").read_text("utf-8")
    translate(many, parts, resume=True)
    assert parts.read_text("utf-8") == whole.read_text("utf-8")


def divider(own: Model, **options: Any) -> Divider:
    search = search_options(own.config.decode, options)
    silent = lambda message: None  # noqa: E731
    return Divider(own.engine, lambda: own.engine, search, None, silent, with_words=True)


def shown(own: Model, source: Source, **options: Any) -> list[list[str]]:
    """Return the sentences that the parts of a line show the model, the line's own last."""
    divides, tokenizer = divider(own, **options), own.engine.models[0].tokenizers.src
    rows = []
    for part in divides.parts([(1, source)]):
        start, end = span_of_context(part.src_ids, tokenizer)
        assert set(part.words[start:end]) <= {NO_WORD}
        assert NO_WORD not in part.words[end:]
        assert len(part.src_ids) == len(part.words) + 1 <= divides.max_input
        ids = part.src_ids[:end], part.src_ids[end:-1]
        assert sentence_length(part.src_ids, tokenizer) == len(ids[1]) + 1
        rows.append(tokenizer.decode(ids))
    return rows


def test_earlier_sentences_of_a_line_are_context(own: Model) -> None:
    line = Source("Cat sat on mat. Dog ran.", context=("Home. The cat.",))
    assert shown(own, line) == [["Home. The cat.", line.text]]
    assert shown(own, line, split_sentences=True) == [
        ["The cat.", "Cat sat on mat."],
        ["Cat sat on mat.", "Dog ran."],
    ]
    # What does not fit in front of a line is left out.
    long = Source("dog ran", context=("cat sat on mat " * 20,))
    assert shown(own, long) == [["", "dog ran"]]
    assert shown(own, line, context=0) == [["", line.text]]


def test_context_need_not_be_covered(own: Model) -> None:
    source = Source("dog ran", context=("cat sat on mat",))
    translation = own.translate(source.text, contexts=source.context, coverage_penalty=1.0)
    [part] = divider(own).parts([(1, source)])
    [src, tgt] = own.engine.models[0].tokenizers
    [ids] = tgt.encode([translation.text])
    [weights_TS] = Aligner(own.engine.models).weights([part.src_ids], [[*ids, tgt.eos_id]])
    logs_S = np.log(np.minimum(weights_TS.sum(0), 1.0))
    _, end = span_of_context(part.src_ids, src)
    assert translation.hypotheses[0].coverage == pytest.approx(logs_S[end:].sum(), rel=1e-3)


def test_json_objects_may_have_their_own_context(own: Model) -> None:
    records: list[dict[str, Any]] = [
        *({"src": "cat loud"}, {"src": "dog ran"}, {"src": "dog ran", "context": ["loud"]}),
        {"src": "dog ran", "context": []},
    ]
    lines = [json.dumps(record) for record in records]
    [found] = translate_windows(own.translator({}), lines, JsonLayout("src"))
    contexts = [[], ["cat loud"], ["loud"], []]
    expected = own.translate([record["src"] for record in records], contexts=contexts)
    assert [json.loads(line)["translation"] for line in found] == texts(expected)
    for wrong in ("loud", [1], ["\ud800"]):
        lines = [json.dumps({"src": "dog ran", "context": wrong})]
        with pytest.raises(DataError, match="line 1: 'context' lists the sentences before"):
            [*translate_windows(own.translator({}), lines, JsonLayout("src"))]
        # A model that sees no context ignores the key.
        [[line]] = translate_windows(own.translator({"context": 0}), lines, JsonLayout("src"))
        assert json.loads(line)["context"] == wrong


def test_each_line_has_a_list_of_context(own: Model) -> None:
    for contexts in ([["loud"]], [["loud"]] * 3):
        with pytest.raises(DataError, match="one list of sentences of context"):
            own.translate(["dog ran"] * 2, contexts=contexts)


def test_corpora_have_the_context_of_their_documents(own: Model) -> None:
    [valid, test] = own.config.data.valid_corpora, own.config.data.test
    assert any(read_validation_text(own.config, valid).contexts)
    # The second corpus does not see the end of the first.
    data = read_corpora([*test, *test], own.config.data)
    assert data.contexts == [*map(tuple, CONTEXTS)] * 2


def test_the_command_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(text_of(LINES), "utf-8")
    path = str(tmp_path / "in.txt")
    model = nmt.load(run, threads=1)
    found = run_nmt("translate", str(run), path, "--threads", "1")
    assert found.stdout == text_of(texts(model.translate(LINES)))
    found = run_nmt("translate", str(run), path, "--context", "0", "--threads", "1")
    assert found.stdout == text_of(texts(model.translate(LINES, context=0)))
    refused = run_nmt("translate", str(run), path, "--context", "2")
    assert refused.exit_code == 2
    assert "was trained with data.context 1: choose 0 to 1" in refused.stderr


def test_a_sentence_model_learns_context_by_fine_tuning(run: Path, tmp_path: Path) -> None:
    def trained(name: str, *overrides: str) -> Path:
        config = load_config(run / "config.yaml", overrides)
        train(config, tmp_path / name, Console(file=io.StringIO()))
        return tmp_path / name

    before = trained("before", "data.context=0", "train.max_steps=20")
    after = trained("after", f"train.init_from={before}", "train.max_steps=300")
    own = nmt.load(after, engine="nmt", threads=1)
    assert own.translate("dog ran", contexts=["home loud"]).text.isupper()
    assert own.translate("dog ran", contexts=["home"]).text.islower()
    [had, has] = [load_tokenizers(path).src for path in (before, after)]
    assert {*has.control_symbols} - {*had.control_symbols} == {SEPARATOR}


def test_an_exported_model_has_the_context_if_nmt_runs_it(run: Path, tmp_path: Path) -> None:
    fast, foreign = tmp_path / "fast", tmp_path / "foreign"
    done = run_nmt("export", run, "--to", "ctranslate2", "-o", fast)
    assert (done.exit_code, "data.context" in done.stderr) == (0, False)
    exported, model = (nmt.load(path, threads=1) for path in (fast, run))
    assert texts(exported.translate(LINES)) == texts(model.translate(LINES))
    done = run_nmt("export", run, "--to", "huggingface", "-o", foreign)
    assert done.exit_code == 0
    assert "data.context 1 is left out" in done.stderr


def test_text_that_looks_like_the_separator_is_text(own: Model) -> None:
    tokenizer = own.engine.models[0].tokenizers.src
    ids = tokenizer.encode(["loud<sep>dog ran", "<sep>"])
    assert not {*tokenizer.control_symbols.values()} & {*ids[0], *ids[1]}


def test_info_shows_the_context(run: Path) -> None:
    assert "1 previous sentence" in "\n".join(render(inspect(run)))


def test_a_model_without_context_refuses_it(own: Model) -> None:
    for model in own.engine.models:
        data = model.config.data.model_copy(update={"context": 0})
        object.__setattr__(model, "config", model.config.model_copy(update={"data": data}))
    with pytest.raises(ConfigError, match=r"trained with data\.context 0, without context"):
        own.translate("a", context=1)
    plain = own.translate("dog ran").text
    assert own.translate("dog ran", contexts=["loud"]).text == plain


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"data": {"placeholders": ["urls"]}}, "data.placeholders"),
        ({"train": {"guided_alignment": {}}}, "train.guided_alignment"),
        ({"train": {"objective": "denoise"}}, "data.context is for translation"),
        ({"decode": {"trees": True}}, "data.context cannot be combined with decode.trees"),
        ({"data": {"context": 11}}, "less than or equal to 10"),
    ],
)
def test_what_cannot_be_combined(keys: dict[str, Any], named: str) -> None:
    corpus = {"src": "a", "tgt": "b"}
    data = {"src_lang": "en", "tgt_lang": "de", "train": corpus, "context": 1}
    with pytest.raises(ValueError, match=named):
        Config.model_validate({**keys, "data": data | keys.get("data", {})})
