"""The commands train, config and average."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import yaml

import forked
from command import run_nmt
from nmt.config.load import load_config
from nmt.config.models import MODELS
from nmt.config.schema import Config
from nmt.runs import checkpoint, layout, manifest
from nmt.runs import model as trained_model
from tiny import config_text, write_corpus

CONFIG = config_text(
    data="  valid: {src: valid.src, tgt: valid.tgt}",
    train="  save_every: 2\n  valid_sentences: 5",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which has the configuration `tiny.yaml` and its text."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, train=200, valid=10)
    (tmp_path / "tiny.yaml").write_text(CONFIG, "utf-8")
    return tmp_path


# ---------------------------------------------------------------- train


def test_train_end_to_end_in_the_default_directory(folder: Path) -> None:
    """In another process: nothing on stdout, no traceback, exit code 0."""
    training = forked.run(forked.COMMAND, "train", "tiny.yaml", "train.seed=7")
    err = training.stderr
    assert training.returncode == 0, err
    assert training.stdout == ""
    assert "train step      4  loss " in err
    assert "valid step      4  loss" in err
    assert "\x1b" not in err
    run = folder / "runs" / "tiny"
    assert load_config(run / "config.yaml").train.seed == 7
    assert [entry.step for entry in checkpoint.list_checkpoints(run)] == [2, 4]
    model = trained_model.load_model(run)
    assert model.weights.name == "step-00000004"


def test_run_dir_replaces_the_default_directory(folder: Path) -> None:
    result = run_nmt("train", "tiny.yaml", "--run-dir", "here/run", "train.max_steps=2")
    assert result.exit_code == 0, result.output
    assert (folder / "here" / "run" / "checkpoints" / "step-00000002").is_dir()
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["tiny.yaml", "train.max_step=1"], 2, "train.max_step: unknown key: did you mean max_st"),
        (["tiny.yaml", "max_steps"], 2, "'max_steps': an override has the form"),
        (["tiny.yaml", "train.device=gpu"], 2, "device 'gpu': not available; use cpu"),
        (
            ["tiny.yaml", "tokenizer.type=bpe", "tokenizer.vocab_size=5"],
            2,
            "tokenizer.vocab_size: 5 is less than",
        ),
        (["tiny.yaml", "--bogus"], 2, "No such option"),
        ([], 2, "Missing argument"),
        (["tiny.yaml", "data.train.tgt=valid.tgt"], 3, "train.src"),
        (["tiny.yaml", "data.max_length=2"], 3, "no pairs are left after filtering"),
        (["missing.yaml"], 4, "missing.yaml: cannot be read"),
        (["tiny.yaml", "data.train.src=missing"], 4, "missing"),
        (["tiny.yaml", "--run-dir", "tiny.yaml/run"], 4, "tiny.yaml/run: cannot be written"),
        (
            ["tiny.yaml", "train.learning_rate=1e20", "train.warmup_steps=1"],
            5,
            "not finite",
        ),
    ],
)
def test_exit_codes(arguments: list[str], code: int, expected: str) -> None:
    result = run_nmt("train", *arguments)
    assert result.exit_code == code, result.output
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_same_command_resumes_after_a_signal(
    folder: Path, number: signal.Signals, code: int
) -> None:
    command = ["train", "tiny.yaml", "train.max_steps=100000", "train.save_every=100000"]
    training = forked.Process(forked.COMMAND, *command)
    assert training.stderr is not None
    try:
        for line in iter(training.stderr.readline, b""):
            if line.startswith(b"train step      3 "):
                training.send_signal(number)
                break
        err = training.communicate(timeout=60)[1].decode("utf-8")
    finally:
        training.kill()
    assert training.returncode == code, err
    assert "Traceback" not in err
    run = folder / "runs" / "tiny"
    [saved] = checkpoint.list_checkpoints(run)
    manifest.verify(saved.path)
    assert f"nmt: stopped at step {saved.step}, saved in runs/tiny; the same command" in err
    end = saved.step + 2
    result = run_nmt("train", "tiny.yaml", f"train.max_steps={end}", "train.save_every=100000")
    assert result.exit_code == 0, result.output
    metrics = (run / "metrics.jsonl").read_text("utf-8").split("\n")
    steps = [json.loads(line)["step"] for line in metrics if '"train"' in line]
    assert steps == list(range(1, end + 1))


# ---------------------------------------------------------------- config

BASE = [
    "model={d_model: 512, d_ff: 2048, encoder_layers: 6, decoder_layers: 6}",
    "tokenizer.vocab_size=37000",
]


def test_config_prints_the_resolved_configuration(folder: Path) -> None:
    result = run_nmt("config", "tiny.yaml", "train.seed=9", "data.train.weight=2")
    assert result.exit_code == 0
    (folder / "printed.yaml").write_text(result.stdout, "utf-8")
    printed = load_config(folder / "printed.yaml")
    assert printed == load_config("tiny.yaml", ["train.seed=9", "data.train.weight=2"])
    values = yaml.safe_load(result.stdout)
    assert values["train"]["seed"] == 9
    assert values["decode"]["beam_size"] == 4  # a default
    assert not (folder / "runs").exists()


def test_config_prints_the_number_of_parameters() -> None:
    result = run_nmt("config", "tiny.yaml", *BASE)
    # Computed by hand in tests/model/test_transformer.py.
    assert result.stdout.startswith("# 63,045,632 parameters with a vocabulary of 37,000\n")
    result = run_nmt("config", "tiny.yaml", *BASE, "tokenizer.model=spm.model")
    # Without 37,000 embeddings of 512 numbers.
    assert result.stdout.startswith("# 44,101,632 parameters, and the embeddings of the existing")


def test_the_json_schema_describes_every_field() -> None:
    result = run_nmt("config", "--schema")
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    assert schema["properties"].keys() == {*Config.model_fields, "extends"}
    assert schema["properties"]["extends"]["description"]
    names = ("data", "tokenizer", "train", "decode")
    for section in (*(Config.model_fields[name].annotation for name in names), *MODELS.values()):
        assert section is not None
        definition = schema["$defs"][section.__name__]
        assert definition["properties"].keys() == section.model_fields.keys()
        assert definition["additionalProperties"] is False
        assert all(field["description"] for field in definition["properties"].values())


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["config", "tiny.yaml", "model.d_model=33"], 2, "is not a multiple of num_heads"),
        (["config", "missing.yaml"], 4, "missing.yaml: cannot be read"),
        (["config"], 2, "name a configuration, or ask for --schema"),
        (["average", "missing", "--last", "2"], 4, "missing"),
        (["average", "missing"], 2, "either --last N or --best N"),
        (["average", "missing", "--last", "2", "--best", "2"], 2, "either --last N or --best N"),
        (["average", "missing", "--last", "0"], 2, "--last"),
        (["trian"], 2, "trian"),
    ],
)
def test_errors_of_config_and_average(arguments: list[str], code: int, expected: str) -> None:
    result = run_nmt(*arguments)
    assert result.exit_code == code, result.output
    assert expected in result.stderr
    assert result.stdout == ""


# ---------------------------------------------------------------- average


def test_the_last_or_the_best_checkpoints_are_averaged(folder: Path) -> None:
    done = run_nmt("train", "tiny.yaml", "train.max_steps=6", "train.validate_every=2")
    assert done.exit_code == 0, done.output
    run = folder / "runs" / "tiny"
    assert trained_model.load_model(run).weights.name.startswith("step-")

    result = run_nmt("average", "runs/tiny", "--last", "2")
    assert result.exit_code == 0, result.output
    assert "averaged the checkpoints of steps 4, 6" in result.stderr
    assert trained_model.load_model(run).weights.name == "averaged"
    paths = [layout.checkpoint_path(run, step) for step in (4, 6)]
    one, other, mean = (
        checkpoint.load_tensors(path, "weights") for path in (*paths, run / "averaged")
    )
    for name in mean:
        assert mean[name].tolist() == ((one[name] + other[name]) / 2).tolist()

    result = run_nmt("average", "runs/tiny", "--best", "3")
    assert result.exit_code == 0
    assert "averaged the checkpoints of steps 2, 4, 6" in result.stderr

    result = run_nmt("average", "runs/tiny", "--last", "4")
    assert result.exit_code == 4
    assert "4 checkpoints to average, but there are 3" in result.stderr
    assert checkpoint.read_state(run / "averaged")["averaged_steps"] == [2, 4, 6]
