"""The Python API."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt
from nmt.errors import ConfigError, DataError, FileError


@pytest.fixture(scope="module")
def model(trained_run: Path) -> nmt.Model:
    return nmt.load(trained_run, threads=1)


def test_importing_nmt_does_not_import_torch() -> None:
    code = "import sys, nmt; print('torch' in sys.modules, nmt.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", nmt.__version__]


def test_a_string_gives_a_translation_and_a_list_gives_a_list(model: nmt.Model) -> None:
    one = model.translate("the cat sat.")
    assert isinstance(one, nmt.Translation)
    several = model.translate(["the cat sat.", "", "a dog ran."], beam_size=2, nbest=2)
    assert [len(translation.hypotheses) for translation in several] == [2, 1, 2]
    assert several[1].text == ""
    assert several[0].score == several[0].hypotheses[0].score
    assert several[0].token_log_probs == several[0].hypotheses[0].token_log_probs


def test_a_stream_is_read_lazily(model: nmt.Model) -> None:
    """The first translation of an endless input is returned."""
    read = 0

    def lines() -> object:
        nonlocal read
        while True:
            read += 1
            yield "the cat sat."

    first = next(model.translate_stream(lines()))  # type: ignore[arg-type]
    assert first.text == model.translate("the cat sat.").text
    assert read < 100_000


HALF = "the \ud800 cat"  # half of a character, as json.loads makes of "\\ud800"


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.translate(["a dog", HALF]),
        lambda model: model.translate(["a dog", "the cat"], ["", HALF]),
        lambda model: model.translate(["a dog", "the cat"], constraints=[[], [HALF]]),
        lambda model: model.score(["a dog", "the cat"], ["A DOG", HALF]),
        lambda model: model.score(["a dog", HALF], ["A DOG", "THE CAT"]),
        lambda model: model.align(["a dog", "the cat"], ["A DOG", HALF]),
        lambda model: model.align(["a dog", HALF], ["A DOG", "THE CAT"]),
        lambda model: model.alternatives(HALF),
        lambda model: model.alternatives("the cat", HALF),
    ],
)
def test_half_a_character_is_refused_by_line(
    model: nmt.Model, call: Callable[[nmt.Model], object]
) -> None:
    with pytest.raises(DataError, match=r"^line [12]: not valid text: surrogates not allowed"):
        call(model)


@pytest.mark.parametrize("name", ["threads", "parallel"])
def test_a_negative_number_of_threads_is_refused(trained_run: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}` is -1: it must be at least 1"):
        nmt.load(trained_run, **{name: -1})  # type: ignore[arg-type]


def test_a_name_that_is_too_long_is_an_error_of_nmt() -> None:
    with pytest.raises(FileError, match="no such model directory"):
        nmt.load("a" * 300)


def test_forced_scores_equal_search_scores(model: nmt.Model) -> None:
    best = model.translate("the cat sat.", alignments=True, token_scores=True)
    score = model.score("the cat sat.", best.text)
    assert score.log_prob == pytest.approx(sum(best.token_log_probs), abs=1e-3)
    assert model.score(["the cat sat."], [best.text]) == [score]
    assert model.align(["the cat sat."], [best.text]) == [best.alignment]
    assert model.attend("the cat sat.", best.text).tgt == best.text


def test_errors_name_the_parameter(model: nmt.Model, trained_run: Path) -> None:
    with pytest.raises(ConfigError, match="unknown option `beam`: known options are beam_size"):
        model.translate("the cat", beam=3)
    with pytest.raises(ConfigError, match=r"`beam_size`: .*but it is 0"):
        model.translate("the cat", beam_size=0)
    with pytest.raises(ConfigError, match="unknown `compute` 'int3'"):
        nmt.load(trained_run, compute="int3")
    with pytest.raises(ConfigError, match="unknown `engine` 'marian'"):
        nmt.load(trained_run, engine="marian")
    with pytest.raises(ConfigError, match="`src` has 1 lines, but `tgt` has 2"):
        model.align(["the"], ["a", "b"])
    ensemble = nmt.load(trained_run, ensemble=[trained_run], threads=1)
    assert ensemble.translate("the cat").text == model.translate("the cat").text
    expected = pytest.approx(model.score("the", "cat").log_prob, abs=1e-5)
    assert ensemble.score("the", "cat").log_prob == expected


@pytest.mark.parametrize(
    ("method", "arguments", "options", "message"),
    [
        ("translate", (["the"] * 2,), {"constraints": ["a b", []]}, "`constraints` of line 1 is"),
        ("translate", (["the"] * 2,), {"constraints": [[], "a b"]}, "`constraints` of line 2 is"),
        ("translate", (["the"] * 3,), {"constraints": "a b"}, "`constraints` of line 1 is"),
        ("translate", ("the",), {"constraints": "a b"}, r"is the string 'a b': .* as \['a b'\]"),
        ("translate", (["the"] * 2,), {"contexts": [[], "a b"]}, "`contexts` of line 2 is"),
        ("translate", ("the",), {"contexts": "a b"}, r"is the string 'a b': .* as \['a b'\]"),
        ("translate_stream", ("the",), {}, r"`lines` is the string 'the': .* as \['the'\]"),
        ("translate_stream", (["the"], "a"), {}, "`prefixes` is the string 'a'"),
        ("score", ("the", ["a", "b", "c"]), {}, "`src` is the string 'the'"),
        ("score", (["a", "b", "c"], "the"), {}, "`tgt` is the string 'the'"),
        ("align", ("the", ["a", "b", "c"]), {}, "`src` is the string 'the'"),
        ("align", (["a", "b", "c"], "the"), {}, "`tgt` is the string 'the'"),
    ],
)
def test_a_string_is_no_list_of_characters(
    model: nmt.Model, method: str, arguments: Any, options: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list(getattr(model, method)(*arguments, **options))


def test_a_configuration_is_trained_from_a_mapping(trained_run: Path, tmp_path: Path) -> None:
    config = nmt.load(trained_run).config
    changes = {"train.max_steps": 2, "train.warmup_steps": 1, "data.test": []}
    with pytest.raises(ConfigError, match="`run_dir` is needed"):
        nmt.train(config, changes)
    run = nmt.train(config.model_dump(), changes, run_dir=tmp_path / "run")
    assert nmt.load(run).config.train.max_steps == 2
    with pytest.raises(ConfigError, match=r"train\.steps: unknown key"):
        nmt.train(config, ["train.steps=2"], run_dir=tmp_path / "other")


def test_evaluation_takes_one_reference_or_several() -> None:
    hypotheses = ["the cat sat on the mat .", "a dog ran home today ."]
    [bleu, chrf] = nmt.evaluate(hypotheses, hypotheses)
    assert (bleu.metric, round(bleu.score)) == ("bleu", 100)
    assert chrf.metric == "chrf"
    [other] = nmt.evaluate(hypotheses, [["x y", "z"], hypotheses], metrics=["bleu"])
    assert round(other.score) == 100
    assert "nrefs:2" in other.signature


def test_evaluation_takes_no_string_as_a_list() -> None:
    for given in (("a", ["a"]), (["a"], "a")):
        with pytest.raises(DataError, match="is the string 'a': give a list of lines, such as"):
            nmt.evaluate(*given)


def test_unknown_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nmt.nothing  # noqa: B018


def test_a_model_is_pickled_by_reference(model: nmt.Model, trained_run: Path) -> None:
    small = nmt.load(trained_run, engine="nmt", compute="float32")
    data = pickle.dumps(small)
    assert len(data) < 2000
    one, other = pickle.loads(data), pickle.loads(data)
    assert one is other  # loaded once per process
    assert str(one.engine) == str(small.engine)
    assert one.translate("the cat sat").text == model.translate("the cat sat").text


def test_a_column_of_a_batch_is_translated(model: nmt.Model) -> None:
    batch = {"id": [1, 2, 3], "src": np.array(["the cat", None, "home."], dtype=object)}
    done = model(batch)
    assert list(done) == ["id", "src", "translation"]
    cat, home = (t.text for t in model.translate(["the cat", "home."]))
    assert done["translation"] == [cat, None, home]
    with pytest.raises(DataError, match="no column 'text', only 'id', 'src'"):
        model(batch, key="text")


def test_hugging_face_datasets(model: nmt.Model, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    lines = ["the cat sat.", "home.", "a dog ran home."]
    path = tmp_path / "in.parquet"
    datasets.Dataset.from_dict({"text": lines}).to_parquet(path)
    data = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    done = data.map(model, batched=True, batch_size=2, fn_kwargs={"key": "text"})
    assert done["translation"][:] == [t.text for t in model.translate(lines)]


def test_ray_data(model: nmt.Model, trained_run: Path) -> None:
    ray = pytest.importorskip("ray")
    lines = ["the cat sat.", "home.", "a dog ran home."] * 4
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        data = ray.data.from_items([{"id": i, "src": line} for i, line in enumerate(lines)])
        done = data.map_batches(nmt.load(trained_run), batch_size=3, concurrency=2)
        rows = sorted(done.take_all(), key=lambda row: row["id"])
    finally:
        ray.shutdown()
    assert [row["translation"] for row in rows] == [t.text for t in model.translate(lines)]
