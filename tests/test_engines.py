"""Which engine runs a model by default, and the conversions that it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import nmt
from nmt.api import compare_int8
from nmt.convert.int8 import measure_int8
from nmt.errors import FileError
from nmt.runs import int8
from nmt.runs.int8 import Int8Scores, read_int8_scores
from nmt.runs.parts import find_weights
from nmt.translate.translation import Translation

TEXT = ["the cat sat.", "", "a dog ran home on a mat.", "café über naïve."]

_TRANSLATE = """
import sys
from nmt.cli import make_app
arguments = ["translate", *sys.argv[1:], "--threads", "1"]
make_app(["translate"])(arguments, standalone_mode=False)
slow = {"torch", "numpy", "pyarrow", "sentencex", "sacrebleu", "rich"}
slow |= {"nmt.api.training", "nmt.api.evaluation", "nmt.config.explain"}
slow |= {"nmt.translate.guard.guard", "nmt.data.placeholders"}
print(sorted(slow & sys.modules.keys()), file=sys.stderr)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NMT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def texts(model: nmt.Model, **options: object) -> list[str]:
    return [translation.text for translation in model.translate(TEXT, **options)]


def test_the_default_gives_what_nmts_own_engine_gives(trained_run: Path) -> None:
    fast, own = nmt.load(trained_run, threads=1), nmt.load(trained_run, engine="nmt", threads=1)
    assert str(fast.engine) == "CTranslate2 float32 on cpu"
    assert str(own.engine) == "nmt float32 on cpu"
    assert texts(fast) == texts(own)


def test_a_model_is_converted_once(trained_run: Path, cache: Path) -> None:
    messages: list[str] = []
    for _ in range(2):
        nmt.load(trained_run, log=messages.append)
    [message] = messages
    assert message.endswith("converting to CTranslate2 float32, once")
    [entry] = cache.iterdir()
    (entry / "model.bin").write_bytes(b"damaged")
    messages.clear()
    assert texts(nmt.load(trained_run, log=messages.append))
    assert [("damaged" in message, message.endswith("once")) for message in messages] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("damage", ["link", "changed"])
def test_a_damaged_tokenizer_is_refused_although_the_conversion_has_a_copy(
    trained_run: Path, cache: Path, tmp_path: Path, damage: str
) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    nmt.load(run)  # converts it
    model = run / "tokenizer" / "spm.model"
    if damage == "link":
        model.rename(tmp_path / "elsewhere")
        model.symlink_to(tmp_path / "elsewhere")
    else:
        model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(FileError, match=r"spm\.model: "):
        nmt.load(run)


def test_two_may_convert_at_the_same_time(trained_run: Path, cache: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        models = list(threads.map(lambda _: nmt.load(trained_run, threads=1), range(2)))
    assert texts(models[0]) == texts(models[1])
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("options", [(), ("--alignments", "--scores"), ("--min-length", "3")])
def test_translation_needs_no_torch(
    trained_run: Path, cache: Path, options: tuple[str, ...]
) -> None:
    nmt.load(trained_run)  # converts it, which does
    done = subprocess.run(
        [sys.executable, "-c", _TRANSLATE, str(trained_run), *options],
        input="the cat sat.\n",
        capture_output=True,
        text=True,
        env=os.environ,
    )
    heavy = ["numpy"] if "--alignments" in options else []
    assert done.stderr == f"engine: CTranslate2 float32 on cpu\n{heavy}\n"
    assert done.stdout.endswith("\n")


@pytest.mark.parametrize(
    "options",
    [{"temperature": 1.0, "seed": 3}, {"temperature": 1.0, "alignments": True}, {"top_k": 2}],
)
def test_what_ctranslate2_lacks_runs_in_nmts_own(
    trained_run: Path, options: dict[str, object]
) -> None:
    fast, own = nmt.load(trained_run, threads=1), nmt.load(trained_run, engine="nmt", threads=1)
    assert fast.translate(TEXT, **options) == own.translate(TEXT, **options)
    with pytest.raises(nmt.errors.ConfigError, match="CTranslate2 lacks"):
        nmt.load(trained_run, engine="ctranslate2").translate(TEXT, **options)


RESHAPING: list[dict[str, object]] = [
    {"min_length": 12},
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 2, "beam_size": 1},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.8, "length_penalty": 0.0},
    {"min_length": 6, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3, "nbest": 4},
    {"min_length": 70, "max_extra_len": 0},  # beyond the usual limit
]


@pytest.mark.parametrize("options", RESHAPING, ids=str)
def test_options_that_change_probabilities_do_the_same_in_both_engines(
    trained_run: Path, options: dict[str, object]
) -> None:
    fast, own = nmt.load(trained_run, threads=1), nmt.load(trained_run, engine="nmt", threads=1)
    lines = [*TEXT, "the cat sat on the mat on the mat. café", "dog ☃ ran.", "home"]
    theirs, ours = (model.translate(lines, token_scores=True, **options) for model in (fast, own))
    assert_same(ours, theirs)
    assert_same(ours, [own.translate(line, token_scores=True, **options) for line in lines])
    assert_same(ours, [fast.translate(line, token_scores=True, **options) for line in lines])
    assert [t.text for t in ours] != [t.text for t in own.translate(lines)]
    quick = fast.translate(lines, **options)
    assert [t.text for t in quick] == [t.text for t in ours]
    assert [t.score for t in quick] == pytest.approx([t.score for t in ours], abs=1e-4)


def assert_same(ours: list[Translation], theirs: list[Translation]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert [h.text for h in one.hypotheses] == [h.text for h in other.hypotheses]
        for a, b in zip(one.hypotheses, other.hypotheses, strict=True):
            assert a.num_tokens == b.num_tokens
            assert (a.score, a.log_prob) == pytest.approx((b.score, b.log_prob), abs=1e-4)
            assert a.token_log_probs == pytest.approx(b.token_log_probs, abs=1e-4)


@pytest.mark.parametrize("engine", ["ctranslate2", "nmt"])
def test_what_the_options_promise(trained_run: Path, engine: str) -> None:
    model = nmt.load(trained_run, engine=engine, threads=1)
    found = model.translate(TEXT, min_length=15, no_repeat_ngram_size=1, nbest=4)
    for hypothesis in [
        h for translation in found if translation.text for h in translation.hypotheses
    ]:
        assert hypothesis.num_tokens >= 15
        words = hypothesis.text.split()
        assert len(words) == len(set(words))
    with pytest.raises(nmt.errors.ConfigError, match=r"`min_length` 100 with .* only 96 tokens"):
        model.translate(TEXT, min_length=100, no_repeat_ngram_size=2)


@pytest.mark.parametrize("engine", ["ctranslate2", "nmt"])
def test_a_minimum_length_beyond_the_positions_is_refused(trained_run: Path, engine: str) -> None:
    model = nmt.load(trained_run, engine=engine, threads=1)
    model.engine.max_positions = 40
    with pytest.raises(nmt.errors.ConfigError, match=r"`min_length` is 40, but .* for 40 tokens"):
        model.translate(TEXT, min_length=40)


@pytest.mark.parametrize(
    "options",
    [
        {"nbest": 2},
        {"beam_size": 1},
        {"beam_size": 8, "nbest": 1, "length_penalty": 0.0},
        {"max_extra_len": 0},
        {"min_length": 6, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3, "nbest": 3},
    ],
    ids=str,
)
def test_prefixes_do_the_same_in_both_engines(
    trained_run: Path, options: dict[str, object]
) -> None:
    fast, own = nmt.load(trained_run, threads=1), nmt.load(trained_run, engine="nmt", threads=1)
    lines, prefixes = prefixed(own)
    theirs, ours = (
        model.translate(lines, prefixes, token_scores=True, **options) for model in (fast, own)
    )
    assert_same(ours, theirs)
    for model in (fast, own):
        one_by_one = zip(lines, prefixes, strict=True)
        alone = [model.translate(*pair, token_scores=True, **options) for pair in one_by_one]
        assert_same(ours, alone)
    encode = own.engine.models[0].tokenizers.tgt.encode
    for translation, prefix, ids in zip(ours, prefixes, encode(prefixes), strict=True):
        for hypothesis in translation.hypotheses if translation.text else []:
            assert hypothesis.text.startswith(prefix)
            assert hypothesis.num_tokens >= len(ids)
            assert hypothesis.token_log_probs[: len(ids)] == [0.0] * len(ids)
    assert [t.text for t in fast.translate(lines, prefixes, **options)] == [t.text for t in ours]
    assert sum(len(translation.hypotheses) for translation in ours) > len(ours) * 0.9


@pytest.mark.filterwarnings("ignore:line .* translated in")
def test_alignments_are_the_same_in_both_engines(trained_run: Path) -> None:
    fast, own = nmt.load(trained_run, threads=1), nmt.load(trained_run, engine="nmt", threads=1)
    lines = [*TEXT, *(trained_run.parent / "test.src").read_text("utf-8").split("\n")[:-1]]
    lines.append("the cat sat. " * 30)  # is split
    options = {"alignments": True, "nbest": 3}
    for prefixes in (None, ["CAT ON", ""] * (len(lines) // 2) + ["DOG"] * (len(lines) % 2)):
        ours, theirs = (model.translate(lines, prefixes, **options) for model in (own, fast))
        assert_same_links(ours, theirs)
    assert all(t.alignment for t in ours if t.text)
    assert sum(len(translation.alignment) for translation in ours) > 60
    only = nmt.load(trained_run, engine="ctranslate2", threads=1)
    [line] = own.translate(lines[:1], alignments=True)
    assert only.translate(lines[0], alignments=True).alignment == line.alignment


def assert_same_links(ours: list[Translation], theirs: list[Translation]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        links = {h.text: h.alignment for h in other.hypotheses}
        assert one.text == other.text
        for hypothesis in one.hypotheses:  # further down, the engines may rank differently
            assert links.get(hypothesis.text, hypothesis.alignment) == hypothesis.alignment


def test_weights_are_those_of_nmts_own_engine(trained_run: Path) -> None:
    """Of targets of any length in one batch, and with source padding."""
    from nmt.runs.model import load_model
    from nmt.translate.align import Aligner

    own = load_model(trained_run)
    fast = nmt.load(trained_run, threads=1).engine
    src, tgt = own.tokenizers
    lines = ["the cat sat on a mat.", "home", "café über naïve.", "dog ran", "the the the a on"]
    texts = ["HOME", "THE CAT SAT ON A MAT. " * 4, "", "CAFÉ", "DOG RAN HOME."]
    sources = [[*ids, src.eos_id] for ids in src.encode(lines)]
    targets = tgt.encode(texts)
    ours = Aligner([own]).weights(sources, targets)
    for mine, its in zip(ours, fast.weights(sources, targets), strict=True):
        assert its == pytest.approx(mine[:, :-1], abs=1e-5)


def prefixed(model: nmt.Model) -> tuple[list[str], list[str]]:
    """Return lines and beginnings of their translations: none, half, all, more, and others."""
    lines = ["the cat sat on a mat.", "a dog ran home on the mat.", "café über naïve."]
    pairs = [(line, model.translate(line).text) for line in lines]
    found = [("", "HOME"), ("home", "DOG " * 60)]
    for line, text in pairs:
        words = text.split()
        beginnings = [words[: len(words) * share // 4] for share in range(5)]
        found += [(line, " ".join(beginning)) for beginning in beginnings]
        found += [(line, text + " CAT"), (line, "CA"), (line, "MAT MAT MAT")]
    return [line for line, _ in found], [prefix.strip() for _, prefix in found]


def test_without_a_cache_nmts_own_engine_runs(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NMT_CACHE_DIR", str(tmp_path / "file"))
    messages: list[str] = []
    assert str(nmt.load(trained_run, log=messages.append).engine).startswith("nmt float32")
    assert "NMT_CACHE_DIR" in messages[-1]


def test_int8_is_the_default_where_it_costs_nothing(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config, weights = find_weights(trained_run)
    data = config.data.model_copy(update={"valid": config.data.test})
    config = config.model_copy(update={"data": data})
    messages: list[str] = []
    scores = measure_int8(run, config, weights, 1, messages.append)
    try:
        assert scores == read_int8_scores(run, weights)
        assert messages == [str(scores)]
        monkeypatch.setattr(int8, "MAX_LOSS", 100.0)
        assert "int8" in str(nmt.load(trained_run).engine)
        monkeypatch.setattr(int8, "MAX_LOSS", -100.0)
        assert "float32" in str(nmt.load(trained_run).engine)
    finally:
        (run / "int8.json").unlink()


def test_training_succeeds_if_int8_cannot_be_measured(tmp_path: Path) -> None:
    messages: list[str] = []
    compare_int8(tmp_path / "gone", messages.append)
    [message] = messages
    assert message.startswith("int8 was not measured: ")
    assert "gone: no such model directory" in message


def test_scores_of_other_weights_do_not_count(tmp_path: Path, trained_run: Path) -> None:
    weights = find_weights(trained_run)[2]
    scores = Int8Scores(weights="0" * 64, sentences=3, float32=1.0, int8=1.0)
    (tmp_path / "int8.json").write_text(scores.model_dump_json())
    assert read_int8_scores(tmp_path, weights) is None
    (tmp_path / "int8.json").write_text("{")
    assert read_int8_scores(tmp_path, weights) is None
