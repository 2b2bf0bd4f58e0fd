"""`train.objective: denoise`: learning to fill in text, exact resuming, and fine-tuning from it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nmt
from command import run_nmt
from nmt.check.run import check
from nmt.config.denoise import MASK
from nmt.config.load import dump_config
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, Interrupted
from nmt.runs.checkpoint import load_tensors
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.runs.layout import checkpoint_path
from nmt.runs.model import load_model
from nmt.training.run import train
from nmt.training.verify_resume import verify_resume

from .conftest import TinyRun

Make = Callable[..., Config]
Run = Callable[..., TinyRun]


@pytest.fixture
def denoising(make_config: Make, corpus: Path) -> Make:
    """Return `make_config` for denoising both sides of the corpus."""

    def texts(part: str) -> list[dict[str, str]]:
        names = {"en": f"{part}.src", "xx": f"{part}.tgt"}
        return [{"text": str(corpus / name), "lang": lang} for lang, name in names.items()]

    def make(**keys: Any) -> Config:
        data = {"train": texts("train"), "valid": texts("valid"), **keys.pop("data", {})}
        return make_config(objective="denoise", data=data, **keys)

    return make


def test_it_learns_to_fill_in_text(denoising: Make, tiny_run: Run, tmp_path: Path) -> None:
    """What is missing follows from the rest, except for the words at the ends of a line."""
    letters = "abcdefghijklmnopqrst"
    lines = [letters[n : n + 8] for n in range(12)]
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in lines * 4), "utf-8")
    data = {part: {"text": str(tmp_path / "text"), "lang": "en"} for part in ("train", "valid")}
    keys = {
        "max_steps": 120,
        "validate_every": 20,
        "keep_best": 0,
        "learning_rate": 0.01,
        "log_every": 50,
    }
    run = tiny_run().train(denoising(data=data, model={"dropout": 0.0}, **keys))
    losses = [record["loss"] for record in run.metrics("valid")]
    assert losses[-1] < 0.25 * losses[0], losses
    assert {"bleu", "chrf"}.isdisjoint(run.metrics("valid")[-1])
    assert "fine-tuning starts from" in run.log


def test_validations_have_the_same_noise(denoising: Make, tiny_run: Run) -> None:
    keys = {"learning_rate": 1e-30, "max_steps": 4, "validate_every": 2, "accumulate": 2}
    records = tiny_run().train(denoising(**keys)).metrics("valid")
    assert records[0]["loss"] == records[1]["loss"]


def test_training_resumes_exactly(denoising: Make, tiny_run: Run) -> None:
    tokenizer = {"type": "bpe", "vocab_size": 60, "sampling_alpha": 0.2}
    config = denoising(tokenizer=tokenizer, max_steps=6, accumulate=2, data={"tags": "target"})
    straight, resumed = tiny_run("straight").train(config), tiny_run("resumed")
    with pytest.raises(Interrupted):
        train(config, resumed.path, Console(quiet=True), stop_after=3)
    resumed.train(config)
    assert straight.losses() == resumed.losses()
    ours, theirs = (
        load_tensors(checkpoint_path(run.path, 6), "weights") for run in (straight, resumed)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_training_resumes_exactly_in_new_processes(denoising: Make) -> None:
    line = verify_resume(denoising(max_steps=6), 6, Console(file=io.StringIO()))
    assert line.startswith("identical: 6 uninterrupted steps")


def test_accumulation_is_one_large_batch(denoising: Make, tiny_run: Run) -> None:
    """The noise is that of the pairs, whatever the step they belong to."""
    keys = {"model": {"dropout": 0.0}, "max_steps": 2, "learning_rate": 1e-30}
    apart = tiny_run("apart").train(denoising(**keys | {"max_steps": 4})).metrics("train")
    joined = tiny_run("joined").train(denoising(**keys, accumulate=2)).losses()
    for place, loss in enumerate(joined):
        low, high = sorted(record["loss"] for record in apart[2 * place : 2 * place + 2])
        assert low < loss < high


# ---------------------------------------------------------------- fine-tuning


def test_translation_starts_from_it(denoising: Make, make_config: Make, tiny_run: Run) -> None:
    source = tiny_run("source").train(denoising(max_steps=3))
    quiet = {"max_steps": 1, "learning_rate": 1e-30, "init_from": str(source.path)}
    run = tiny_run("tuned").train(make_config(valid=True, **quiet))
    before = load_tensors(checkpoint_path(source.path, 3), "weights")
    after = load_tensors(checkpoint_path(run.path, 1), "weights")
    assert all(torch.equal(before[name], after[name]) for name in before)
    ours, theirs = (Tokenizers.load(each.path / "tokenizer").src for each in (source, run))
    assert ours.serialized() == theirs.serialized()
    assert "bleu" in run.metrics("valid")[-1]
    assert nmt.load(run.path, threads=1, engine="nmt").translate(f"ab {MASK} bad").text
    # It has no direction of translation.
    back = make_config(data={"src_lang": "xx", "tgt_lang": "en"}, **quiet)
    tiny_run("back").train(back)
    with pytest.raises(ConfigError, match=r"data\.src_lang: en there, xx here"):
        tiny_run("third").train(
            make_config(
                data={"src_lang": "xx", "tgt_lang": "en"}, **quiet | {"init_from": str(run.path)}
            )
        )


def test_it_starts_from_a_translation_model(
    denoising: Make, make_config: Make, tiny_run: Run
) -> None:
    source = tiny_run("source").train(make_config(max_steps=2))
    run = tiny_run().train(denoising(max_steps=1, learning_rate=1e-30, init_from=str(source.path)))
    weights = load_tensors(checkpoint_path(run.path, 1), "weights")["src_embedding.weight"]
    tokenizer = Tokenizers.load(run.path / "tokenizer").src
    symbol = tokenizer.control_symbols[MASK]
    assert symbol == load_model(source.path).tokenizers.src.vocab_size
    torch.testing.assert_close(weights[symbol], weights[tokenizer.unk_id])


# ---------------------------------------------------------------- other commands


def test_it_does_not_translate(denoising: Make, tiny_run: Run, tmp_path: Path) -> None:
    run = tiny_run().train(denoising(max_steps=2)).path
    for arguments in (
        ("translate", run, run / "config.yaml"),
        ("evaluate", run),
        ("export", run, "--to", "ctranslate2", "-o", tmp_path / "exported"),
    ):
        done = run_nmt(*arguments)
        assert done.exit_code == 2, done.stderr
        assert "not a translation model: it was trained to restore text" in done.stderr
    lines = "\n".join(render(inspect(run)))
    assert "objective   denoise: restores text; for train.init_from" in lines


def test_check_knows_that_both_sides_are_the_same(denoising: Make, tmp_path: Path) -> None:
    config = denoising(max_steps=100, data={"tags": "none"})
    report = check(config, Console(file=io.StringIO()))
    kinds = {finding.kind for finding in report.findings}
    assert kinds.isdisjoint({"copies", "same-language", "untold-languages", "misaligned"})
    assert report.measured
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), "utf-8")
    done = run_nmt("check", path)
    assert "source tokens" in done.stdout
