"""Knowledge distillation: the text that a student learns from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nmt
from nmt.config.load import dump_config
from nmt.config.schema import Config
from nmt.errors import ConfigError, DataError
from nmt.runs.layout import load_run_config
from nmt.training.distillation import (
    DistilledLayout,
    distill_corpora,
    start_from_teacher,
    student_config,
)
from nmt.translate.formats import Item
from nmt.translate.translation import ScoredText, Translation
from nmt.translate.translator import Translator


def translation(*texts: str) -> Translation:
    return Translation([ScoredText(text, 0.0) for text in texts])


def test_the_candidate_most_similar_to_the_reference_is_learnt() -> None:
    layout = DistilledLayout("de")
    item = Item("a", {"src": "a", "ref": "Die Katze schläft heute."})
    candidates = ["Ein Hund.", "Die Katze schläft jetzt.", "Die Katze lief heute."]
    record = json.loads(layout.write(1, item, translation(*candidates)))
    assert record == {**item.record, "candidates": candidates, "tgt": candidates[1]}
    # Neither shares a word with the reference.
    record = json.loads(layout.write(1, item, translation("x", "y")))
    assert record["tgt"] == "x"


def test_written_candidates_are_read_back() -> None:
    layout = DistilledLayout("de")
    line = layout.write(1, Item("a", {"src": "a", "ref": "b"}), translation("b", "c"))
    [again] = layout.read_output([line])
    assert [hypothesis.text for hypothesis in again.hypotheses] == ["b", "c"]


@pytest.fixture
def config(trained_run: Path) -> Config:
    return load_run_config(trained_run)


def teacher(run: Path, **options: Any) -> Translator:
    return nmt.load(run).translator({"beam_size": 3, "nbest": 3, **options})


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


def test_every_pair_gets_the_translations_of_the_teacher(
    trained_run: Path, config: Config, tmp_path: Path
) -> None:
    output, messages = tmp_path / "new" / "text.jsonl", []
    distill_corpora(lambda: teacher(trained_run), config, output, messages.append)
    rows = records(output)
    [corpus] = config.data.train
    sources = Path(corpus.src).read_text("utf-8").split("\n")[:-1]
    assert [row["src"] for row in rows] == sources
    expected = teacher(trained_run).translate(sources)
    for row, best in zip(rows, expected, strict=True):
        assert row["candidates"] == [each.text for each in best.hypotheses]
        assert row["tgt"] in row["candidates"]
    # A complete text is used as it is.
    distill_corpora(lambda: pytest.fail("loaded"), config, output, messages.append)
    assert records(output) == rows
    assert "already there" in messages[-1]


def test_context_ends_with_each_corpus(
    trained_run: Path, config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {"src": str(tmp_path / "part-*.src"), "tgt": str(tmp_path / "part-*.tgt")}
    for name in ("part-1.src", "part-1.tgt", "part-2.src", "part-2.tgt"):
        (tmp_path / name).write_text("the cat sat\nthe dog ran\n", "utf-8")
    [corpus] = config.data.train
    data = config.data.model_copy(update={"train": [corpus.model_copy(update=files)] * 2})
    config = config.model_copy(update={"data": data})
    distill_corpora(lambda: teacher(trained_run), config, tmp_path / "plain.jsonl", print)
    part = ["the cat sat", "the dog ran"]
    assert [row["src"] for row in records(tmp_path / "plain.jsonl")] == part * 4
    monkeypatch.setattr(Translator, "context", 1)
    distill_corpora(lambda: teacher(trained_run), config, tmp_path / "text.jsonl", print)
    expected = [*part, "", *part, "", *part, "", *part]
    assert [row["src"] for row in records(tmp_path / "text.jsonl")] == expected


def test_an_interrupted_text_is_continued(
    trained_run: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    small = {"batch_tokens": 100}
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    distill_corpora(lambda: teacher(trained_run, **small), config, whole, print)
    written = 0

    def fail(layout: DistilledLayout, number: int, *rest: Any) -> str:
        nonlocal written
        written += 1
        if written > 300:
            raise DataError("stopped")
        return original(layout, number, *rest)

    original = DistilledLayout.write
    with monkeypatch.context() as patch:
        patch.setattr(DistilledLayout, "write", fail)
        with pytest.raises(DataError, match="stopped"):
            distill_corpora(lambda: teacher(trained_run, **small), config, parts, print)
    assert not parts.exists()
    distill_corpora(lambda: teacher(trained_run, **small), config, parts, print)
    assert parts.read_bytes() == whole.read_bytes()


def test_a_student_learns_from_both_texts_or_one(config: Config, tmp_path: Path) -> None:
    both = student_config(config, tmp_path / "text.jsonl", only_distilled=False)
    one = student_config(config, tmp_path / "text.jsonl", only_distilled=True)
    assert both.data.train == [*config.data.train, *one.data.train]
    [corpus] = one.data.train
    assert corpus.model_dump()["jsonl"] == str(tmp_path / "text.jsonl")
    assert both.model_dump(exclude={"data"}) == config.model_dump(exclude={"data"})


def test_a_student_starts_from_its_teacher_if_it_can(trained_run: Path, config: Config) -> None:
    messages: list[str] = []
    new = Path("new")
    student = start_from_teacher(config, trained_run, new, messages.append)
    assert student.train.init_from == str(trained_run)
    assert start_from_teacher(student, Path("other"), new, messages.append) == student
    wide = config.model_copy(update={"model": config.model.model_copy(update={"d_ff": 65})})
    assert start_from_teacher(wide, trained_run, new, messages.append) == wide
    assert start_from_teacher(wide, Path("gone"), trained_run, print) == wide  # has begun
    assert "starts from the weights of" in messages[0]
    assert "random weights: model.d_ff: 64 there, 65 here" in messages[1]


def test_one_call_from_configurations_to_a_student(
    trained_run: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = dump_config(config)
    Path("student.yaml").write_text(text, encoding="utf-8")
    Path("teacher.yaml").write_text(text.replace("max_steps: 60", "max_steps: 3"), encoding="utf-8")
    overrides = ["train.max_steps=2", "data.max_length=50"]
    run = nmt.distill("teacher.yaml", "student.yaml", overrides)
    assert run == Path("runs/student")
    trained = load_run_config(Path("runs/teacher"))
    assert (trained.train.max_steps, trained.data.max_length) == (3, 50)
    student = load_run_config(run)
    assert (student.train.max_steps, student.train.init_from) == (2, "runs/teacher")
    assert [corpus.kind for corpus in student.data.train] == ["files", "jsonl"]
    assert len(records(Path("runs/student.distilled.jsonl"))) == 600
    assert nmt.load(run).translate("the cat").text is not None
    Path("runs/student.distilled.jsonl").unlink()
    with pytest.raises(ConfigError, match="another configuration"):  # before translating again
        nmt.distill("runs/teacher", "student.yaml", [*overrides, "train.batch_tokens=300"])
    assert not Path("runs/student.distilled.jsonl").exists()
