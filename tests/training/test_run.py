"""Run directories: what is written, when training resumes, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt.config.load import load_config
from nmt.config.schema import Config
from nmt.data import corpus
from nmt.data.corpus import fingerprint
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, DataError, FileError
from nmt.runs import layout, manifest
from nmt.runs import model as trained_model
from nmt.training import continuing
from nmt.training import data as data_module
from tiny import write_corpus

from .conftest import TinyRun

MakeConfig = Callable[..., Config]
MakeRun = Callable[..., TinyRun]


def test_a_run_directory_contains_everything_about_the_model(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    config = make_config(max_steps=2)
    run = tiny_run("a/b/run").train(config)
    assert {path.name for path in run.path.iterdir()} == {
        "config.yaml",
        "data.json",
        "tokenizer",
        "checkpoints",
        "metrics.jsonl",
        "finished",
        "lock",
    }
    assert load_config(run.path / "config.yaml") == config
    manifest.verify(layout.checkpoint_path(run.path, 2))
    assert trained_model.load_model(run.path).config == config


def test_the_data_is_described(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    config = make_config(max_steps=2, valid=True, data={"drop_duplicates": True})
    runs = [tiny_run(name).train(config) for name in ("one", "from-cache")]
    data, again = (json.loads((run.path / "data.json").read_text("utf-8")) for run in runs)
    assert data == again
    [train], [valid] = data["train"], data["valid"]
    lengths = data["lengths"]  # each target is its source backwards
    assert lengths["ratio"] == pytest.approx(1)
    assert lengths["deviation"] == pytest.approx(0, abs=1e-6)
    assert train["sha256"] == fingerprint(config.data.train[0]) != valid["sha256"]
    assert (train["name"], train["pairs_read"]) == ("train.src + train.tgt", 200)
    assert train["pairs_kept"] + sum(train["dropped"].values()) == 200
    assert train["src_tokens"] >= train["pairs_kept"] > 0
    assert (valid["pairs_read"], valid["pairs_kept"], valid["dropped"]) == (20, 20, {})


def test_with_a_full_cache_each_corpus_is_hashed_once_per_cache_key(
    make_config: MakeConfig, tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(max_steps=1, valid=True)
    tiny_run("one").train(config)
    digest, hashed = corpus._file_digest, []
    monkeypatch.setattr(corpus, "_file_digest", lambda path: hashed.append(path) or digest(path))
    tiny_run("two").train(config)
    names = sorted(path.name for path in hashed)
    # For the key of the tokenizer and for that of the pairs; validation text is in the second only.
    assert names == ["train.src"] * 2 + ["train.tgt"] * 2 + ["valid.src", "valid.tgt"]


@pytest.mark.parametrize("name", ["manifest.json", "spm.model"])
def test_a_run_with_a_damaged_tokenizer_is_not_resumed(
    make_config: MakeConfig, tiny_run: MakeRun, name: str
) -> None:
    run = tiny_run().train(make_config(max_steps=2))
    (run.path / "tokenizer" / name).unlink()
    with pytest.raises(FileError, match=f"{name}: .*(missing|No such file)"):
        run.train(make_config(max_steps=4))


def test_corpora_and_scores_are_reported(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    run = tiny_run().train(make_config(max_steps=2, valid=True))
    assert "train.src + train.tgt │  200 │  200 │" in run.log
    assert "\ntrain step      1  loss 3." in run.log
    assert "\nvalid step      2  loss " in run.log


@pytest.mark.parametrize("max_steps", [2, 1])
def test_a_finished_run_is_left_alone_with_a_message(
    make_config: MakeConfig, tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch, max_steps: int
) -> None:
    run = tiny_run("[run]").train(make_config(max_steps=2))
    before = (run.path / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(data_module, "prepare", pytest.fail)
    run.log = ""
    run.train(make_config(max_steps=max_steps))
    assert (
        f"{run.path} is already trained: step 2 of train.max_steps {max_steps}; raise it" in run.log
    )
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_a_finished_run_notices_other_training_text(
    make_config: MakeConfig, tiny_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(tmp_path, train=50)
    source = tmp_path / "train.src"
    config = make_config(
        max_steps=1, data={"train": {"src": str(source), "tgt": str(tmp_path / "train.tgt")}}
    )
    run = tiny_run().train(config)
    with monkeypatch.context() as patch:  # its files are not read as long as they are the same
        patch.setattr(corpus, "_file_digest", pytest.fail)
        run.train(config)
    text = source.read_bytes()
    os.utime(source)
    run.train(config)
    source.write_bytes(text.replace(b"ab", b"ba", 1))
    with pytest.raises(ConfigError, match=r"data\.train: the text of .*train\.src .* `run_dir`"):
        run.train(config)
    source.unlink()
    run.train(config)
    assert run.log.count("is already trained") == 3
    assert run.steps() == [1]


@pytest.mark.parametrize(
    ("keys", "changed"),
    [
        ({"seed": 2}, "train.seed: was 1, is now 2"),
        ({"batch_tokens": 500}, "train.batch_tokens: was 400, is now 500"),
        ({"model": {"d_ff": 96}}, "model.d_ff: was 64, is now 96"),
        ({"tokenizer": {"vocab_size": 30}}, "tokenizer.vocab_size: was 40, is now 30"),
        ({"data": {"max_length": 20}}, "data.max_length: was 256, is now 20"),
        ({"weight_decay": 0.1}, "train.weight_decay: was 0.0, is now 0.1"),
        ({"betas": [0.9, 0.99]}, "train.betas.1: was 0.98, is now 0.99"),
        ({"label_smoothing": 0.2}, "train.label_smoothing: was 0.1, is now 0.2"),
        ({"precision": "bf16"}, 'train.precision: was null, is now "bf16"'),
        ({"tf32": True}, "train.tf32: was false, is now true"),
    ],
)
def test_a_changed_configuration_is_refused_naming_the_key(
    make_config: MakeConfig, tiny_run: MakeRun, keys: dict[str, Any], changed: str
) -> None:
    run = tiny_run().train(make_config(max_steps=2))
    config = (run.path / "config.yaml").read_bytes()
    with pytest.raises(ConfigError) as caught:
        run.train(make_config(max_steps=4, **keys))
    assert f"\n  {changed}" in str(caught.value)
    assert "max_steps" not in str(caught.value)
    assert "another `run_dir`" in str(caught.value)
    assert run.steps() == [2]
    assert (run.path / "config.yaml").read_bytes() == config


def test_the_weight_of_a_corpus_may_not_change(
    make_config: MakeConfig, tiny_run: MakeRun, corpus: Path
) -> None:
    files = {"src": str(corpus / "train.src"), "tgt": str(corpus / "train.tgt")}
    run = tiny_run().train(make_config(max_steps=2))
    with pytest.raises(ConfigError, match=r"data\.train\.0\.weight: was 1\.0, is now 2\.0"):
        run.train(make_config(max_steps=4, data={"train": {**files, "weight": 2}}))


def test_a_run_whose_corpora_have_no_kind_is_resumed(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run().train(make_config(max_steps=2))
    for path in run.path.rglob("config.yaml"):  # as older versions wrote them
        text = path.read_text("utf-8")
        assert "  - kind: files\n    weight:" in text
        path.write_text(text.replace("  - kind: files\n    weight:", "  - weight:"), "utf-8")
    run.train(make_config(max_steps=3))
    assert run.steps()[-1] == 3


def test_a_run_is_resumed_after_its_text_has_moved(
    make_config: MakeConfig, tiny_run: MakeRun, corpus: Path, tmp_path: Path
) -> None:
    run = tiny_run().train(make_config(max_steps=2))
    moved = {}
    for side in ("src", "tgt"):
        moved[side] = str(tmp_path / f"moved.{side}")
        Path(moved[side]).write_bytes((corpus / f"train.{side}").read_bytes())
    run.train(make_config(max_steps=4, data={"train": moved}))
    assert run.steps()[-1] == 4


def test_settings_that_do_not_affect_the_weights_may_change(
    make_config: MakeConfig, tiny_run: MakeRun, tmp_path: Path
) -> None:
    run = tiny_run().train(make_config(max_steps=2, valid=True))
    changed = make_config(
        max_steps=4,
        valid=True,
        save_every=2,
        validate_every=3,
        keep_last=2,
        log_every=2,
        valid_beam_size=0,
        average="last",
        average_count=2,
        data={"cache_dir": str(tmp_path / "cache"), "test": [{"demo": "test"}]},
    )
    run.train(changed)
    assert run.steps() == [3, 4]  # the only one validated, and the newest
    assert load_config(run.path / "config.yaml") == changed


def test_changed_settings_and_their_effect_on_the_learning_rate_are_reported(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    keys = {"schedule": "cosine", "warmup_steps": 2, "learning_rate": 0.01}
    run = tiny_run().train(make_config(max_steps=4, **keys))
    assert "changed settings" not in run.log
    run.train(make_config(max_steps=8, keep_last=9, **keys))
    assert "continuing with changed settings: train.max_steps 4 → 8, train.keep_last 5 → 9" in (
        run.log
    )
    assert "the learning rate goes from 0 at step 4 to 0.005 at step 5" in run.log
    assert run.metrics("train")[4]["lr"] == pytest.approx(0.005)
    run.log = ""
    run.train(make_config(max_steps=9, keep_last=9, **(keys | {"learning_rate": 0.001})))
    assert "train.learning_rate 0.01 → 0.001" in run.log
    run.log = ""
    run.train(make_config(max_steps=9, keep_last=9, **(keys | {"learning_rate": 0.001})))
    assert "changed settings" not in run.log


def test_an_unchanged_learning_rate_is_not_reported(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run().train(make_config(max_steps=2)).train(make_config(max_steps=3))
    assert "train.max_steps 2 → 3" in run.log
    assert "learning rate goes" not in run.log


def test_the_warm_up_may_change_before_it_ends(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    run = tiny_run().train(make_config(max_steps=3, warmup_steps=5))
    run.train(make_config(max_steps=6, warmup_steps=6))
    assert "train.warmup_steps 5 → 6" in run.log
    assert "the learning rate goes from 0.0018 at step 3 to 0.002 at step 4" in run.log
    for other in (4, 20):
        with pytest.raises(ConfigError) as caught:
            run.train(make_config(max_steps=12, warmup_steps=other))
        assert f"train.warmup_steps: was 6, is now {other}, but the warm-up is over" in str(
            caught.value
        )


def test_settings_behind_the_best_bleu_may_not_change(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run().train(make_config(valid=True, metric="bleu", max_steps=1))
    with pytest.raises(ConfigError, match="valid_beam_size: was 1, is now 2, but the best bleu"):
        run.train(make_config(valid=True, metric="bleu", max_steps=2, valid_beam_size=2))


@pytest.mark.parametrize("gone", [True, False])
def test_changed_validation_text_is_refused(
    make_config: MakeConfig, tiny_run: MakeRun, corpus: Path, tmp_path: Path, gone: bool
) -> None:
    files = {side: str(tmp_path / f"valid.{side}") for side in ("src", "tgt")}
    for path in files.values():
        Path(path).write_bytes((corpus / Path(path).name).read_bytes())
    run = tiny_run().train(make_config(valid=True, max_steps=1))
    run.train(make_config(max_steps=2, data={"valid": files}))  # moved
    with Path(files["tgt"]).open("r+b") as file:
        file.write(b"keg")
    with pytest.raises(ConfigError, match=r"data\.valid: its text has changed since"):
        run.train(make_config(max_steps=3, data={"valid": [] if gone else files}))
    assert run.steps()[-1] == 2


def test_validation_may_be_added_later(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    run = tiny_run().train(make_config(max_steps=1)).train(make_config(max_steps=2, valid=True))
    assert [record["step"] for record in run.metrics("valid")] == [2]


def test_a_failed_start_leaves_no_directory(
    make_config: MakeConfig, tiny_run: MakeRun, tmp_path: Path
) -> None:
    with pytest.raises(DataError):
        tiny_run("a/b/run").train(make_config(data={"max_length": 2}))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError):
        tiny_run("mine").train(make_config(data={"max_length": 2}))
    assert (tmp_path / "mine").is_dir()


def test_all_changeable_keys_exist(make_config: MakeConfig) -> None:
    def keys(section: Any, prefix: str) -> set[str]:
        names = type(section).model_fields
        return {prefix + name for name in names}

    config = make_config()
    known = keys(config, "") | keys(config.train, "train.") | keys(config.data, "data.")
    assert known >= continuing.CHANGEABLE


def test_a_failed_start_does_not_fix_the_configuration(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    """The user must be able to follow the advice of the error message."""
    run = tiny_run()
    with pytest.raises(DataError, match=r"no pairs are left .*data\.max_length"):
        run.train(make_config(max_steps=2, data={"max_length": 2}))
    run.train(make_config(max_steps=2, tokenizer={"vocab_size": 20}))
    assert run.steps() == [2]
    vocabulary = Tokenizers.load(run.path / "tokenizer").src.vocab_size
    assert vocabulary == Tokenizers.load(tiny_run().path / "tokenizer").src.vocab_size <= 20


def test_the_tokenizer_of_a_failed_start_is_not_used(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    other, run = tiny_run("other"), tiny_run()
    bpe = {"type": "bpe", "vocab_size": 60}
    other.train(make_config(max_steps=1, tokenizer=bpe))
    run.path.mkdir()
    (other.path / "tokenizer").rename(run.path / "tokenizer")
    run.train(make_config(max_steps=1))
    char = Tokenizers.load(run.path / "tokenizer").src
    assert char.encode(["ab bad"]) != []
    assert char.vocab_size < 25


def test_a_model_without_checkpoints_is_not_overwritten(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    keys = {"save_every": 1, "average": "last", "average_count": 2}
    run = tiny_run().train(make_config(max_steps=2, **keys))
    for name in ("finished", "checkpoints"):  # translation does not need these
        (run.path / name).rename(run.path.with_name(name))
    with pytest.raises(ConfigError, match=r"train\.seed"):
        run.train(make_config(max_steps=2, seed=3, **keys))


def test_an_unavailable_device_is_refused_before_a_directory_is_created(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run()
    with pytest.raises(ConfigError, match="device 'cuda:99': "):
        run.train(make_config(device="cuda:99"))
    assert not run.path.exists()


def test_two_training_runs_cannot_share_a_directory(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run()
    with (
        layout.locked(run.path),
        pytest.raises(FileError, match="another process is training"),
    ):
        run.train(make_config(max_steps=1))
    run.train(make_config(max_steps=1))


def test_files_left_by_a_killed_process_are_removed(
    make_config: MakeConfig, tiny_run: MakeRun
) -> None:
    run = tiny_run().train(make_config(max_steps=2))
    folder = run.path / "checkpoints"
    (folder / "step-00000009.tmp").mkdir()
    (folder / "step-00000009.tmp" / "weights.safetensors").write_bytes(b"half")
    (folder / "step-00000002").rename(folder / "step-00000002.old.tmp")
    run.train(make_config(max_steps=3))
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000002", "step-00000003"]
    assert len(run.losses()) == 3


def test_the_users_own_files_are_not_touched(make_config: MakeConfig, tiny_run: MakeRun) -> None:
    run = tiny_run()
    kept = ["notes.tmp", "checkpoints/x.tmp", "tokenizer/spm.model", "config.yaml"]
    for name in kept:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_text("mine")
    for unrelated in ("tokenizer", "config.yaml"):
        with pytest.raises(
            FileError, match=f"{unrelated}: exists, but not as part of a training run"
        ):
            run.train(make_config(max_steps=1))
        assert {(run.path / name).read_text() for name in kept} == {"mine"}
        kept = [name for name in kept if not name.startswith(unrelated)]
        (run.path / unrelated).rename(run.path.with_name(unrelated))
    run.train(make_config(max_steps=1))
    assert {(run.path / name).read_text() for name in kept} == {"mine"}
    assert len(run.losses()) == 1
