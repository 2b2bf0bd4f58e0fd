"""Training runs in several languages."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nmt
from command import run_nmt
from nmt.config.load import make_config
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.balance import describe
from nmt.data.batching import BatchOrder
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.errors import ConfigError
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.runs.layout import load_run_config
from nmt.runs.model import load_model
from nmt.training.run import train
from nmt.training.shortlist import learn_run

Make = Callable[..., Any]


@pytest.fixture
def sections(corpus: Path, tmp_path: Path) -> dict[str, Any]:
    """Return a configuration with two directions of the same text, and validation of both."""
    parts: dict[str, Any] = {}
    for part in ("train", "valid"):
        files = {"src": str(corpus / f"{part}.src"), "tgt": str(corpus / f"{part}.tgt")}
        parts[part] = [files, {**files, "reversed": True}]
    return {
        "data": {
            **{"src_lang": "en", "tgt_lang": "xx", "tags": "both", **parts},
            "cache_dir": str(tmp_path / "cache"),
        },
        "tokenizer": {"vocab_size": 60, "sampling_alpha": 0.2},
        "model": {"d_model": 32, "num_heads": 2, "d_ff": 64}
        | {"encoder_layers": 1, "decoder_layers": 1},
        "train": {
            **{"max_steps": 12, "batch_tokens": 400, "warmup_steps": 10, "average": "none"},
            **{"learning_rate": 0.003, "log_every": 1, "save_every": 6, "validate_every": 6},
            **{"device": "cpu", "threads": 1},
        },
    }


def weights(run: Any) -> dict[str, torch.Tensor]:
    return dict(load_model(run.path).network.named_parameters())


@pytest.mark.parametrize("streaming", [False, True])
def test_a_run_in_several_languages_resumes_exactly(
    sections: dict[str, Any], tiny_run: Make, streaming: bool
) -> None:
    sections["data"] |= {"streaming": streaming, "shuffle_buffer": 1024}
    config = make_config(sections)
    straight = tiny_run("straight").train(config)
    steps = config.train.model_copy(update={"max_steps": 6})
    resumed = tiny_run("resumed").train(config.model_copy(update={"train": steps}))
    resumed.train(config)
    assert straight.losses() == resumed.losses()
    ours, theirs = weights(straight), weights(resumed)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    [first, last] = straight.metrics("valid")
    assert first.keys() == last.keys()
    names = {f"{metric} {pair}" for metric in ("bleu", "chrf") for pair in ("en-xx", "xx-en")}
    assert names < last.keys()
    assert "en-xx BLEU" in straight.log
    assert last == resumed.metrics("valid")[-1]
    if not streaming:
        assert "an epoch: en-xx 200 pairs, visited 1 times; xx-en 200 pairs" in straight.log


def test_one_language_pair_has_no_figures_of_its_own(make_config: Make, tiny_run: Make) -> None:
    run = tiny_run().train(make_config(valid=True, validate_every=12))
    [record] = run.metrics("valid")
    assert record.keys() == {"kind", "step", "loss", "ppl", "bleu", "chrf"}
    assert "an epoch:" not in run.log


def test_other_tags_make_another_run(sections: dict[str, Any], tiny_run: Make) -> None:
    run = tiny_run().train(make_config(sections))
    sections["data"]["tags"] = "target"
    with pytest.raises(ConfigError, match="another configuration") as caught:
        run.train(make_config(sections, ["train.max_steps=14"]))
    assert 'data.tags: was "both", is now "target"' in str(caught.value.args)


def test_fine_tuning_needs_the_tags(tagged_run: Path, tmp_path: Path) -> None:
    source = load_run_config(tagged_run)
    values = source.model_dump()
    [_, few] = values["data"]["train"]

    def fine_tune(name: str, *corpora: dict[str, Any], **data: Any) -> None:
        changed = {**values["data"], "train": list(corpora), "valid": [], "test": [], **data}
        steps = {**values["train"], "init_from": str(tagged_run), "max_steps": 1}
        config = make_config({**values, "data": changed, "train": steps})
        train(config, tmp_path / name, Console(file=io.StringIO()))

    fine_tune("good", few, tgt_lang="lo")
    tuned = nmt.load(tmp_path / "good", engine="nmt", threads=1)
    assert tuned.translate("the cat", tgt_lang="up").text.isupper()  # not in its own data
    with pytest.raises(ConfigError, match="does not fit the configuration") as caught:
        fine_tune("worse", few, tags="none")
    assert "data.tags: target there, none here" in caught.value.args


def test_a_language_may_be_added(tagged_run: Path, tmp_path: Path) -> None:
    values = load_run_config(tagged_run).model_dump()
    [many, few] = values["data"]["train"]
    settings = {**values["train"], "init_from": str(tagged_run), "max_steps": 1}

    def config(tags: str = "target", **changes: Any) -> Config:
        corpora = {
            "train": [many, {**few, "tgt_lang": "fr"}],
            "valid": [],
            "test": [],
            "tags": tags,
        }
        data = {**values["data"], **corpora}
        return make_config({**values, "data": data, "train": {**settings, **changes}})

    def weights(run: Path) -> torch.Tensor:
        return dict(load_model(run).network.named_parameters())["src_embedding.weight"]

    train(config(learning_rate=1e-30), tmp_path / "run", Console(file=io.StringIO()))
    own = nmt.load(tmp_path / "run", engine="nmt", threads=1)
    assert own.translate("the cat", tgt_lang="up").text.isupper()
    own.translate("the cat", tgt_lang="fr")
    with pytest.raises(ConfigError, match="does not know 'es'; it knows fr, lo, up"):
        own.translate("the cat", tgt_lang="es")
    had, got = weights(tagged_run), weights(tmp_path / "run")
    unknown = load_model(tagged_run).tokenizers.src.unk_id
    torch.testing.assert_close(got, torch.cat([had, had[unknown : unknown + 1]]), rtol=0, atol=1e-7)
    train(config("both"), tmp_path / "both", Console(file=io.StringIO()))
    for key, value in [("freeze", ["embeddings"]), ("lora", {})]:
        with pytest.raises(
            ConfigError, match=rf"train\.{key} would not train .* data\.tags, which"
        ):
            train(config(**{key: value}), tmp_path / key, Console(file=io.StringIO()))


def counts(rows: Prepared) -> list[int]:
    """Return how often an epoch visits each corpus."""
    order = BatchOrder.of(rows, 400, seed=1)
    visited = torch.tensor([int(row) for batch in order.epoch(0) for row in batch])
    ends = torch.tensor(rows.corpus_sizes).cumsum(0)
    return torch.bincount(torch.searchsorted(ends, visited, right=True)).tolist()


def test_the_temperature_visits_small_pairs_more_often(tagged_run: Path) -> None:
    config = load_run_config(tagged_run)
    tokenizers = load_model(tagged_run).tokenizers

    def rows(temperature: float, **weights: float) -> tuple[Prepared, Config]:
        data = config.data.model_copy(update={"sampling_temperature": temperature})
        changed = config.model_copy(update={"data": data})
        corpora = [c.model_copy(update={"weight": w}) for c, w in
                   zip(data.train, weights.values() or (1.0, 1.0), strict=True)]  # fmt: skip
        return prepare(changed, tokenizers, corpora, filtered=True), changed

    prepared, _ = rows(1)
    many, few = prepared.corpus_sizes
    assert prepared.weights == [1.0, 1.0]
    prepared, changed = rows(2)
    assert counts(prepared) == [many, round(few * (many / few) ** 0.5)]
    [line] = describe(prepared, changed.data)
    assert line.startswith(f"an epoch: en-up {many} pairs, visited 1 times; en-lo {few} pairs")
    # The largest is visited as its weights say, and equals the others at a high temperature.
    prepared, _ = rows(1000, many=2.0, few=1.0)
    visited = counts(prepared)
    assert visited[0] == 2 * many
    assert visited[1] == pytest.approx(2 * many, rel=0.02)


def test_streaming_cannot_count_the_pairs(sections: dict[str, Any]) -> None:
    sections["data"] |= {"streaming": True, "sampling_temperature": 5}
    with pytest.raises(ConfigError, match="with streaming, set the weight of each corpus"):
        make_config(sections)


def test_evaluate_prints_a_row_for_each_pair(tagged_run: Path) -> None:
    result = run_nmt("evaluate", tagged_run, "--engine", "nmt", "--threads", 1)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.rstrip("\n").split("\n")
    starts = ["BLEU|", "chrF2|", "en-up BLEU|", "en-up chrF2|", "en-lo BLEU|", "en-lo chrF2|"]
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 6
    valid = json.loads((tagged_run / "metrics.jsonl").read_text().strip().split("\n")[-1])
    assert {"bleu en-up", "bleu en-lo"} < valid.keys()
    scores = json.loads(run_nmt("evaluate", tagged_run, "--json", "--threads", 1).stdout)
    assert [score.get("languages") for score in scores] == [None] * 2 + ["en-up"] * 2 + [
        "en-lo"
    ] * 2


def test_evaluate_and_score_take_the_language(tagged_run: Path) -> None:
    folder = tagged_run.parent
    found = {}
    for lang in ("up", "lo"):
        files = ("--src", folder / "test.en", "--ref", folder / "test.lo", "--tgt-lang", lang)
        result = run_nmt("evaluate", tagged_run, *files, "--json", "--threads", 1)
        assert result.exit_code == 0, result.stderr
        found[lang] = json.loads(result.stdout)[1]["score"]
        files = ("--src", folder / "test.en", "--tgt", folder / "test.lo", "--tgt-lang", lang)
        scored = run_nmt("score", tagged_run, *files, "--json", "--threads", 1)
        assert scored.exit_code == 0, scored.stderr
        found[f"{lang} ppl"] = json.loads(scored.stdout.rstrip("\n").split("\n")[-1])["perplexity"]
    assert found["lo"] > found["up"]
    assert found["lo ppl"] < found["up ppl"]
    refused = run_nmt("evaluate", tagged_run, "--tgt-lang", "lo")
    assert refused.exit_code == 2
    assert "the corpora of data.test have their own languages" in refused.stderr
    unknown = run_nmt("translate", tagged_run, folder / "test.en", "--tgt-lang", "xx")
    assert unknown.exit_code == 2
    assert "it knows lo, up" in unknown.stderr


def test_a_resumed_translation_needs_the_same_language(tagged_run: Path, tmp_path: Path) -> None:
    from nmt.translate.formats import TextLayout
    from nmt.translate.resume import translate_file

    model = nmt.load(tagged_run, engine="nmt", threads=1)

    def stop() -> None:
        raise KeyboardInterrupt

    def job(lang: str, *, stopped: bool = False) -> None:
        polls = iter([lambda: None, stop] if stopped else [])
        translator = model.translator(
            {"tgt_lang": lang, "batch_tokens": 16}, poll=lambda: next(polls, lambda: None)()
        )
        lines = ["the cat sat", "a dog ran home", "the", "a mat", "on a mat"] * 2
        translate_file(translator, lines, TextLayout(), tmp_path / "out", resume=True, log=print)

    with pytest.raises(KeyboardInterrupt):
        job("lo", stopped=True)
    with pytest.raises(ConfigError, match=r"other settings \(tgt_lang\)"):
        job("up")
    job("lo")
    assert (tmp_path / "out").read_text().islower()


def test_the_information_shows_pairs_and_tags(tagged_run: Path) -> None:
    text = "\n".join(render(inspect(tagged_run)))
    assert "en → up, en → lo" in text
    assert "target: <2up> <2lo>" in text
    assert "bleu en-up" in text


def test_a_shortlist_knows_the_tags(tagged_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tagged_run, tmp_path / "run"))
    learn_run(run, load_model(run), 20, 20, Console(file=io.StringIO()))
    model = nmt.load(run, engine="nmt", threads=1)
    for lang in ("lo", "up"):
        text = model.translate("the cat sat", tgt_lang=lang, shortlist=True).text
        assert text == model.translate("the cat sat", tgt_lang=lang).text


def test_distillation_translates_each_pair(tagged_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "student"
    config = load_run_config(tagged_run)
    quick = ["train.max_steps=1", "data.valid=[]"]
    greedy: dict[str, Any] = {"candidates": 1, "beam_size": 1, "threads": 1}
    quiet = Console(file=io.StringIO())
    values = config.model_dump()
    nmt.distill(
        tagged_run, values, quick, run_dir=run, only_distilled=True, console=quiet, **greedy
    )
    for lang in ("up", "lo"):
        text = (tmp_path / f"student.distilled.en-{lang}.jsonl").read_text().rstrip("\n")
        rows = [json.loads(line) for line in text.split("\n")]
        right = [row["tgt"].isupper() == (lang == "up") for row in rows if row["tgt"]]
        assert sum(right) > 0.9 * len(rows)
    student = load_run_config(run)
    assert [str(pair) for pair in student.data.train_pairs] == ["en-up", "en-lo"]
    assert student.train.init_from == str(tagged_run)
