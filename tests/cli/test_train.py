"""The commands train, config and average as a user types them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from nmt.cli import app
from nmt.config.load import load_config
from nmt.config.models import MODELS
from nmt.config.schema import Config
from nmt.runs import checkpoint, layout, manifest
from nmt.runs import model as trained_model

WORDS = ["ab", "bad", "cab", "dab", "fed", "gab", "head", "jade"]

CONFIG = """\
data:
  src_lang: en
  tgt_lang: xx
  train: {src: train.src, tgt: train.tgt}
  valid: {src: valid.src, tgt: valid.tgt}
  cache_dir: cache
tokenizer: {type: char, vocab_size: 40}
model: {d_model: 32, num_heads: 2, d_ff: 64, encoder_layers: 1, decoder_layers: 1}
train:
  max_steps: 4
  batch_tokens: 400
  warmup_steps: 10
  save_every: 2
  log_every: 1
  average: none
  valid_sentences: 5
  device: cpu
  threads: 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a configuration `tiny.yaml` and its text."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    for name, number in [("train", 200), ("valid", 10)]:
        rows = [" ".join(draw.choices(WORDS, k=draw.randint(1, 5))) for _ in range(number)]
        text = "".join(row + "\n" for row in rows)
        (tmp_path / f"{name}.src").write_text(text, "utf-8")
        (tmp_path / f"{name}.tgt").write_text(text, "utf-8")
    (tmp_path / "tiny.yaml").write_text(CONFIG, "utf-8")
    return tmp_path


@pytest.fixture
def nmt(folder: Path) -> Callable[..., Result]:
    """(arguments): the command in this process."""
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from nmt.cli import app; app()", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, text=True, env=environment, **pipes, **options)


# ---------------------------------------------------------------- train


def test_train_end_to_end_in_the_default_directory(folder: Path) -> None:
    """As a process of its own: nothing on stdout, no traceback, exit code 0."""
    trained = process("train", "tiny.yaml", "train.seed=7", cwd=folder)
    out, err = trained.communicate()
    assert trained.returncode == 0, err
    assert out == ""
    assert "train step      4  loss " in err
    assert "valid step      4  loss" in err
    assert "\x1b" not in err
    run = folder / "runs" / "tiny"
    assert load_config(run / "config.yaml").train.seed == 7
    assert [found.step for found in checkpoint.list_checkpoints(run)] == [2, 4]
    model = trained_model.load_model(run)
    assert model.weights.name == "step-00000004"


def test_a_directory_of_choice_and_a_second_call(nmt: Callable[..., Result], folder: Path) -> None:
    first = nmt("train", "tiny.yaml", "--run-dir", "here/run", "train.max_steps=2")
    assert first.exit_code == 0, first.output
    assert (folder / "here" / "run" / "checkpoints" / "step-00000002").is_dir()
    assert not (folder / "runs").exists()
    again = nmt("train", "tiny.yaml", "--run-dir", "here/run", "train.max_steps=2")
    assert again.exit_code == 0
    assert "is already trained: step 2 of train.max_steps 2; raise it to continue" in again.stderr
    longer = nmt("train", "tiny.yaml", "--run-dir", "here/run", "train.max_steps=3")
    assert longer.exit_code == 0
    assert "train step      3" in longer.stderr
    assert "train step      2" not in longer.stderr


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
def test_exit_codes(
    nmt: Callable[..., Result], arguments: list[str], code: int, expected: str
) -> None:
    result = nmt("train", *arguments)
    assert result.exit_code == code, result.output
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_another_configuration_in_a_run_is_refused(nmt: Callable[..., Result]) -> None:
    assert nmt("train", "tiny.yaml", "train.max_steps=1").exit_code == 0
    result = nmt("train", "tiny.yaml", "train.max_steps=2", "model.d_ff=96")
    assert result.exit_code == 2
    assert "model.d_ff: was 64, is now 96" in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_process_and_the_same_command_goes_on(
    folder: Path, nmt: Callable[..., Result], number: signal.Signals, code: int
) -> None:
    command = ["train", "tiny.yaml", "train.max_steps=100000", "train.save_every=100000"]
    training = process(*command, cwd=folder)
    assert training.stderr is not None
    try:
        for line in iter(training.stderr.readline, ""):
            if line.startswith("train step      3 "):
                training.send_signal(number)
                break
        _, err = training.communicate(timeout=60)
    finally:
        training.kill()
    assert training.returncode == code, err
    assert "Traceback" not in err
    run = folder / "runs" / "tiny"
    [saved] = checkpoint.list_checkpoints(run)
    manifest.verify(saved.path)
    assert f"nmt: stopped at step {saved.step}, saved in runs/tiny; the same command" in err
    end = saved.step + 2
    result = nmt("train", "tiny.yaml", f"train.max_steps={end}", "train.save_every=100000")
    assert result.exit_code == 0, result.output
    metrics = (run / "metrics.jsonl").read_text("utf-8").split("\n")
    steps = [json.loads(line)["step"] for line in metrics if '"train"' in line]
    assert steps == list(range(1, end + 1))


# ---------------------------------------------------------------- config

BASE = [
    "model={d_model: 512, d_ff: 2048, encoder_layers: 6, decoder_layers: 6}",
    "tokenizer.vocab_size=37000",
]


def test_config_prints_the_resolved_configuration(nmt: Callable[..., Result], folder: Path) -> None:
    result = nmt("config", "tiny.yaml", "train.seed=9", "data.train.weight=2")
    assert result.exit_code == 0
    (folder / "printed.yaml").write_text(result.stdout, "utf-8")
    printed = load_config(folder / "printed.yaml")
    assert printed == load_config("tiny.yaml", ["train.seed=9", "data.train.weight=2"])
    values = yaml.safe_load(result.stdout)
    assert values["train"]["seed"] == 9
    assert values["decode"]["beam_size"] == 4  # a default
    assert not (folder / "runs").exists()


def test_config_says_how_many_parameters_the_model_has(nmt: Callable[..., Result]) -> None:
    result = nmt("config", "tiny.yaml", *BASE)
    # V 37,000 and 6 + 6 layers, see tests/model/test_transformer.py.
    assert result.stdout.startswith("# 63,045,632 parameters with a vocabulary of 37,000\n")
    result = nmt("config", "tiny.yaml", *BASE, "tokenizer.model=spm.model")
    # The same without 37,000 rows of 512.
    assert result.stdout.startswith("# 44,101,632 parameters, and the embeddings of the existing")


def test_the_schema_is_json_with_every_field_described(nmt: Callable[..., Result]) -> None:
    result = nmt("config", "--schema")
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
def test_errors_of_the_small_commands(
    nmt: Callable[..., Result], arguments: list[str], code: int, expected: str
) -> None:
    result = nmt(*arguments)
    assert result.exit_code == code, result.output
    assert expected in result.stderr
    assert result.stdout == ""


# ---------------------------------------------------------------- average


def test_average_of_the_last_and_of_the_best(nmt: Callable[..., Result], folder: Path) -> None:
    done = nmt("train", "tiny.yaml", "train.max_steps=6", "train.validate_every=2")
    assert done.exit_code == 0, done.output
    run = folder / "runs" / "tiny"
    assert trained_model.load_model(run).weights.name.startswith("step-")

    result = nmt("average", "runs/tiny", "--last", "2")
    assert result.exit_code == 0, result.output
    assert "averaged the checkpoints of steps 4, 6" in result.stderr
    assert trained_model.load_model(run).weights.name == "averaged"
    paths = [layout.checkpoint_path(run, step) for step in (4, 6)]
    one, other, mean = (
        checkpoint.load_tensors(path, "weights") for path in (*paths, run / "averaged")
    )
    for name in mean:
        assert mean[name].tolist() == ((one[name] + other[name]) / 2).tolist()

    result = nmt("average", "runs/tiny", "--best", "3")
    assert result.exit_code == 0
    assert "averaged the checkpoints of steps 2, 4, 6" in result.stderr

    result = nmt("average", "runs/tiny", "--last", "4")
    assert result.exit_code == 4
    assert "4 checkpoints to average, but there are 3" in result.stderr
    assert checkpoint.read_state(run / "averaged")["averaged_steps"] == [2, 4, 6]
