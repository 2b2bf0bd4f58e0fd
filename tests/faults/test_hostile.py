"""Rows 30 to 33: models and configurations from untrusted sources."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from nmt.console import Console
from nmt.errors import FileError
from nmt.report.gather import Text, gather
from nmt.runs.info import ModelInfo, inspect
from nmt.runs.model import load_model
from nmt.training.average import average_checkpoints

from .conftest import Folder

WEIGHTS = "weights.safetensors"


class Marker:
    """Creates a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def model(folder: Folder, trained_run: Path) -> Path:
    """Copy the shared model to `model` in the folder."""
    return Path(shutil.copytree(trained_run, folder.path / "model"))


def checkpoint_of(model: Path) -> Path:
    [path] = (model / "checkpoints").iterdir()
    return path


def put(directory: Path, name: str, content: bytes) -> None:
    """Replace a file of the tokenizer or a checkpoint, and update its manifest entry."""
    (directory / name).write_bytes(content)
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_manifest(directory, name, entry)


def change_manifest(directory: Path, name: str, entry: dict[str, object]) -> None:
    manifest = json.loads((directory / "manifest.json").read_text("utf-8"))
    manifest["files"][name] = entry
    (directory / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def refused(folder: Folder, *parts: str) -> None:
    """Check that translating with the model fails with a message that contains all parts."""
    folder.nmt("translate", "model", text="the cat\n").refused(4, *parts)


def test_fault_30_pickle_in_place_of_a_model_file(folder: Folder, model: Path) -> None:
    marker = folder.path / "marker"
    bomb = pickle.dumps(Marker(marker))
    pickle.loads(bomb)
    marker.rmdir()  # unpickling works
    files = {
        checkpoint_of(model) / "state.json": "damaged",
        model / "tokenizer" / "manifest.json": "manifest.json: cannot be read",
        model / "config.yaml": "config.yaml: cannot be read",
    }
    for path, message in files.items():
        whole = path.read_bytes()
        path.write_bytes(bomb)
        refused(folder, message)
        path.write_bytes(whole)
    put(checkpoint_of(model), WEIGHTS, bomb)
    refused(folder, f"{WEIGHTS}: cannot be loaded")
    put(model / "tokenizer", "spm.model", bomb)
    refused(folder, "spm.model: not a SentencePiece model")
    assert not marker.exists()


def test_fault_30_pickle_in_place_of_the_optimizer(folder: Folder) -> None:
    folder.train("train.max_steps=1", run="model").succeeded()
    bomb = pickle.dumps(Marker(folder.path / "m"))
    put(checkpoint_of(folder.path / "model"), "optimizer.safetensors", bomb)
    folder.train(run="model").refused(4, "optimizer.safetensors: cannot be loaded")
    assert not (folder.path / "m").exists()


def test_fault_31_yaml(folder: Folder) -> None:
    text = (folder.path / "tiny.yaml").read_text("utf-8")
    folder.write("object.yaml", f"{text}\nextra: !!python/object/apply:os.mkdir [marker]\n")
    folder.nmt("config", "object.yaml").refused(
        2, "object.yaml:", "not valid YAML", "python/object"
    )
    assert not (folder.path / "marker").exists()
    folder.write("home.yaml", text.replace("cache_dir: cache", "cache_dir: ${HOME}/cache"))
    shown = folder.nmt("config", "home.yaml").succeeded()
    assert b"cache_dir: ${HOME}/cache" in shown.out
    folder.write("misspelt.yaml", text.replace("max_steps", "max_step"))
    folder.nmt("config", "misspelt.yaml").refused(
        2, "train.max_step: unknown key: did you mean max_steps?"
    )


@pytest.mark.parametrize("name", ["../../secret", "/etc/hostname"])
def test_fault_32_manifest_that_names_files_elsewhere(
    folder: Folder, model: Path, name: str
) -> None:
    (model / "secret").write_text("x")
    entry = {"size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    change_manifest(checkpoint_of(model), name, entry)
    refused(folder, "not a plain file of the model directory")


@pytest.mark.parametrize(
    "name", ["weights", "spm.model", "tokenizer", "config.yaml", "checkpoint", "checkpoints"]
)
def test_fault_32_symbolic_link_in_a_model(folder: Folder, model: Path, name: str) -> None:
    """A link is refused even if its target is valid."""
    checkpoint = checkpoint_of(model)
    path = {
        "weights": checkpoint / WEIGHTS,
        "spm.model": model / "tokenizer" / "spm.model",
        "checkpoint": checkpoint,
    }.get(name, model / name)
    path.rename(folder.path / "elsewhere")
    path.symlink_to(folder.path / "elsewhere")
    refused(folder, path.name, "not a plain file of the model directory")


def test_fault_32_training_does_not_write_through_links_in_a_run(folder: Folder) -> None:
    """A training run in an untrusted directory writes nowhere else."""
    outside = folder.path / "outside"
    outside.mkdir()
    folder.write("outside/file", "precious")
    run = folder.path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml.tmp", "config.yaml", "metrics.jsonl", "finished.tmp"):
        (run / name).symlink_to(outside / "file")
    folder.train().refused(4, "config.yaml: exists, but not as part of a training run")
    (run / "config.yaml").unlink()
    for name in ("tokenizer.tmp", "checkpoints/step-00000004.tmp"):
        (run / name).symlink_to(outside)
    folder.train().refused(4, "metrics.jsonl: a symbolic link, not a plain file")
    (run / "metrics.jsonl").unlink()
    folder.train().succeeded()
    assert (outside / "file").read_text() == "precious"
    assert [path.name for path in outside.iterdir()] == ["file"]


SPECIAL = {
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "directory": os.mkdir,
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_special_files_in_a_model_are_refused_before_they_are_read(
    folder: Folder, model: Path, kind: str
) -> None:
    """Neither an endless file nor a pipe without a writer blocks a command."""
    checkpoint = checkpoint_of(model)
    names = ["weights.safetensors", "state.json", "manifest.json"]
    files = [checkpoint / name for name in names]
    files += [model / "tokenizer" / name for name in ("spm.model", "manifest.json")]
    files += [model / name for name in ("config.yaml", "data.json", "metrics.jsonl", "finished")]
    used = {
        "load": lambda: load_model(model),
        "info": lambda: raise_faults(inspect(model)),
        "report": lambda: gather([model], Text(), Console(stderr=True), device="cpu"),
    }
    refusing = {
        "data.json": ["info"],
        "metrics.jsonl": ["report"],
        "finished": ["report"],
        "config.yaml": ["load", "info", "report"],
    }
    (model / "metrics.jsonl").touch()  # the training run was too short to log a line
    for path in files:
        path.rename(folder.path / "kept")
        SPECIAL[kind](path)
        for use in refusing.get(path.name, ["load", "info"]):
            with pytest.raises(FileError, match=f"{path.name}: .*not a plain file"):
                used[use]()
        path.rmdir() if kind == "directory" else path.unlink()
        (folder.path / "kept").rename(path)
    load_model(model)
    raise_faults(inspect(model))


def raise_faults(info: ModelInfo) -> None:
    """Raise a FileError for a damaged model, as `nmt info` does."""
    if info.faults:
        raise FileError("\n".join(info.faults))


def test_the_configuration_of_a_model_must_not_extend_another(folder: Folder, model: Path) -> None:
    folder.write("secret", "password: hunter2\n  - of somebody else")
    config = model / "config.yaml"
    config.write_text(f"extends: {folder.path / 'secret'}\n{config.read_text('utf-8')}", "utf-8")
    end = folder.nmt("translate", "model", text="the cat\n")
    end.refused(4, "config.yaml: extends: the configuration of a model cannot extend another file")
    assert "hunter2" not in end.err


def test_the_configuration_of_a_huge_network_is_refused_before_it_is_built(model: Path) -> None:
    config = model / "config.yaml"
    text = config.read_text("utf-8")
    config.write_text(text.replace("encoder_layers: 1", "encoder_layers: 300"), "utf-8")
    with pytest.raises(FileError, match="the weights do not fit the model"):
        load_model(model)


@pytest.mark.parametrize("damage", ["missing", "pipe", "link", "empty"])
def test_no_other_weights_replace_damaged_averaged_weights(
    folder: Folder, model: Path, damage: str
) -> None:
    checkpoint = checkpoint_of(model)
    average_checkpoints(model, "last", 1, Console(quiet=True))
    manifest = model / "averaged" / "manifest.json"
    manifest.rename(folder.path / "manifest.json")
    if damage == "pipe":
        os.mkfifo(manifest)
    elif damage == "link":
        manifest.symlink_to(folder.path / "manifest.json")
    elif damage == "empty":
        shutil.rmtree(model / "averaged")
        (model / "averaged").mkdir()
    advice = f"To choose another checkpoint, name it, as in {checkpoint}"
    with pytest.raises(FileError, match=r"averaged/manifest\.json") as error:
        load_model(model)
    assert advice in str(error.value)
    assert any("averaged/manifest.json" in fault for fault in inspect(model).faults)
    [run] = gather([model], Text(), Console(stderr=True), device="cpu").runs
    assert run.quality is None
    assert any("averaged/manifest.json" in note for note in run.notes)
    assert load_model(checkpoint).weights == checkpoint


def test_no_other_checkpoint_replaces_a_damaged_best_checkpoint(
    folder: Folder, model: Path
) -> None:
    checkpoint = checkpoint_of(model)
    other = checkpoint.with_name("step-00000061")
    shutil.copytree(checkpoint, other)
    state = json.loads((checkpoint / "state.json").read_text("utf-8"))
    put(checkpoint, "state.json", json.dumps(state | {"scores": {"loss": 1.0}}).encode())
    assert load_model(model).weights == checkpoint
    (checkpoint / WEIGHTS).rename(folder.path / "kept")
    with pytest.raises(FileError, match=f"{WEIGHTS}: missing") as error:
        load_model(model)
    assert f"name it, as in {other}" in str(error.value)
    (folder.path / "kept").rename(checkpoint / WEIGHTS)
    for content in (b"", None):
        (checkpoint / "state.json").unlink()
        if content is not None:
            (checkpoint / "state.json").write_bytes(content)
        with pytest.raises(FileError, match=r"00060/state\.json: .*it may be the best") as error:
            load_model(model)
        assert f"name it, as in {other}" in str(error.value)
        with pytest.raises(FileError, match="it may be one of the best"):
            average_checkpoints(model, "best", 1, Console(quiet=True))
        assert any("00060/state.json" in fault for fault in inspect(model).faults)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 8, (2**40).to_bytes(8, "little"), b"\x02" + bytes(7) + b"[]"],
    ids=["empty", "negative", "huge", "list"],
)
def test_fault_33_bad_safetensors_header(folder: Folder, model: Path, content: bytes) -> None:
    put(checkpoint_of(model), WEIGHTS, content)
    refused(folder, f"{WEIGHTS}: cannot be loaded")


EVERY_CUT = """
from pathlib import Path
from nmt.data.tokenizer import Tokenizer
from nmt.errors import FileError
whole = Path('model/tokenizer/spm.model').read_bytes()
for length in [*range(0, len(whole), 499), len(whole) - 1]:
    try:
        Tokenizer(whole[:length])
    except FileError:
        continue
    raise RuntimeError(f'took the first {length} bytes')
"""


def test_fault_33_sentencepiece_model_cut_short(folder: Folder, model: Path) -> None:
    folder.nmt("translate", "model", "--threads", "1", fault=EVERY_CUT, text="a\n").succeeded()
    whole = (model / "tokenizer" / "spm.model").read_bytes()
    put(model / "tokenizer", "spm.model", whole[: len(whole) // 2])
    refused(folder, "spm.model: not a SentencePiece model, or truncated")
