"""Learning and using lexical shortlists."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nmt
from nmt.console import Console
from nmt.errors import ConfigError, FileError
from nmt.runs.info import inspect
from nmt.runs.model import load_model
from nmt.runs.shortlist import Shortlist, load_shortlist, save_shortlist
from nmt.training.shortlist import learn_run

LINES = ["the cat sat on a mat.", "home.", "a dog ran home the naïve café.", "über the dog"]


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def save_full(run: Path) -> None:
    src_size, tgt_size, _ = load_model(run).tokenizers.sizes
    everything = np.arange(tgt_size, dtype=np.int32)
    save_shortlist(Shortlist(everything, np.full((src_size, 1), -1, np.int32)), run)


@pytest.mark.parametrize(
    ("engine", "compute"), [("nmt", "float32"), ("nmt", "int8"), ("ctranslate2", "float32")]
)
def test_a_full_shortlist_changes_nothing(run: Path, engine: str, compute: str) -> None:
    plain = nmt.load(run, engine=engine, compute=compute).translate(LINES)
    save_full(run)
    model = nmt.load(run, engine=engine, compute=compute)
    listed = model.translate(LINES, shortlist=True)
    assert [t.text for t in model.translate(LINES)] == [t.text for t in plain]
    assert [t.text for t in listed] == [t.text for t in plain]
    assert [t.score for t in listed] == pytest.approx([t.score for t in plain], abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"repetition_penalty": 1.1}, {"top_k": 5}])
def test_translations_stay_within_the_list_of_their_sentence(
    run: Path, options: dict[str, float]
) -> None:
    learn_run(run, load_model(run), 2, 3, Console(stderr=True))
    model = nmt.load(run, engine="nmt")
    src, tgt = model.engine.models[0].tokenizers
    shortlist = load_shortlist(run, model.engine.models[0].tokenizers)
    engine = model.translator({"shortlist": True, **options}).engine
    sources = [[*ids, src.eos_id] for ids in src.encode(LINES)]
    chosen = model.translator({"shortlist": True, **options}).options
    found = engine.search(sources, ["1.0", "2.0", "3.0", "4.0"], chosen)
    for source, hypotheses in zip(sources, found, strict=True):
        allowed = set(shortlist.of(source).tolist())
        assert len(allowed) < tgt.vocab_size
        assert all(allowed.issuperset(hypothesis.ids) for hypothesis in hypotheses)
    for place, source in enumerate(sources):
        [alone] = engine.search([source], [f"{place + 1}.0"], chosen)
        assert [h.ids for h in alone] == [h.ids for h in found[place]]


def test_a_prefix_is_allowed(run: Path) -> None:
    learn_run(run, load_model(run), 1, 0, Console(stderr=True))
    model = nmt.load(run, engine="nmt")
    assert model.translate("the cat", "CAFÉ HOME", shortlist=True).text.startswith("CAFÉ HOME")


def test_rules_on_tokens_hold_within_the_list(run: Path) -> None:
    learn_run(run, load_model(run), 5, 20, Console(stderr=True))
    model = nmt.load(run, engine="nmt")
    src = model.engine.models[0].tokenizers.src
    translator = model.translator({"shortlist": True, "min_length": 12, "no_repeat_ngram_size": 1})
    sources = [[*ids, src.eos_id] for ids in src.encode(LINES)]
    found = translator.engine.search(sources, ["1", "2", "3", "4"], translator.options)
    for [best, *_] in found:
        assert len(best.ids) >= 12
        assert len(set(best.ids)) == len(best.ids)


def test_learning_reports_coverage(run: Path) -> None:
    model = load_model(run)
    data = model.config.data.model_copy(update={"valid": model.config.data.test})
    model = replace(model, config=model.config.model_copy(update={"data": data}))
    few = learn_run(run, model, 1, 1, Console(stderr=True))
    many = learn_run(run, model, 50, 100, Console(stderr=True))
    assert few is not None
    assert many is not None
    assert few.covered < many.covered
    assert many.covered > 0.95
    assert few.mean_size < many.mean_size
    assert "shortlist" in inspect(run).verified


def test_a_run_without_shortlist(run: Path) -> None:
    with pytest.raises(FileError, match="nmt shortlist"):
        nmt.load(run).translate("the cat", shortlist=True)


def test_a_damaged_shortlist(run: Path) -> None:
    learn_run(run, load_model(run), 2, 3, Console(stderr=True))
    path = run / "shortlist" / "table.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileError, match="damaged") as error:
        nmt.load(run).translate("the cat", shortlist=True)
    assert "nmt shortlist" in str(error.value)
    assert any("damaged" in fault for fault in inspect(run).faults)


def test_ids_out_of_range(run: Path) -> None:
    tokenizers = load_model(run).tokenizers
    always = np.array([tokenizers.tgt.eos_id, 10_000], np.int32)
    likely = np.full((tokenizers.src.vocab_size, 1), -1, np.int32)
    save_shortlist(Shortlist(always, likely), run)
    with pytest.raises(FileError, match="not a shortlist for the tokenizers"):
        load_shortlist(run, tokenizers)


def test_a_checkpoint_has_no_shortlist_of_its_own(run: Path) -> None:
    [checkpoint, *_] = sorted((run / "checkpoints").iterdir())
    with pytest.raises(ConfigError, match="name the run directory"):
        learn_run(checkpoint, load_model(checkpoint), 2, 3, Console(stderr=True))


def test_ctranslate2_stays_within_the_list_of_a_sentence(run: Path) -> None:
    learn_run(run, load_model(run), 1, 1, Console(stderr=True))
    model = nmt.load(run, engine="ctranslate2")
    tokenizers = model.engine.models[0].tokenizers
    shortlist = load_shortlist(run, tokenizers)
    translator = model.translator({"shortlist": True})
    assert translator.engine is model.engine
    for [ids] in map(tokenizers.src.encode, [[line] for line in LINES]):
        source = [*ids, tokenizers.src.eos_id]
        [hypotheses] = translator.engine.search([source], ["1.0"], translator.options)
        allowed = set(shortlist.of(source).tolist())
        assert all(allowed.issuperset(hypothesis.ids) for hypothesis in hypotheses)
