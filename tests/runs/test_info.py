"""`nmt info` describes runs and exported models, and names damaged files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from command import run_nmt
from nmt.errors import FileError
from nmt.model.size import num_parameters
from nmt.runs import average, checkpoint, layout, manifest
from nmt.runs import model as trained_model
from nmt.runs.info import inspect
from nmt.runs.info_text import render

STEP = "checkpoints/step-00000060"


def add_checkpoint(run: Path, step: int, **scores: float) -> Path:
    """Save the weights of the run as the checkpoint of another step."""
    path = layout.checkpoint_path(run, step)
    weights = checkpoint.load_tensors(run / STEP, "weights")
    checkpoint.save_checkpoint(path, {"weights": weights}, {"step": step, "scores": scores})
    return path


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_a_run_is_described_and_not_changed(run: Path) -> None:
    before = contents(run)
    info = inspect(run)
    assert contents(run) == before
    model = trained_model.load_model(run)
    network, size = model.network, sum(p.numel() for p in model.network.parameters())
    assert info.parameters["total"] == size
    assert size == num_parameters(model.config.model, *model.tokenizers.sizes[:2])
    assert info.parameters["embeddings"] == network.src_embedding.weight.numel()
    layers = (p.numel() for layer in network.encoder_layers for p in layer.parameters())
    assert info.parameters["encoder"] == sum(layers)
    assert size == sum(info.parameters[part] for part in ("embeddings", "encoder", "decoder"))
    assert set(info.vocabulary.values()) == {model.tokenizers.src.vocab_size}
    assert info.config == model.config
    assert info.weights is not None
    assert (info.weights.name, info.weights.step, info.reason) == (
        STEP,
        60,
        "the newest checkpoint",
    )
    assert info.versions["torch"] == torch.__version__
    data = json.loads((run / "data.json").read_text("utf-8"))
    for corpus in data["train"]:
        del corpus["files"]  # sizes and times, which only tell whether to read them again
    assert info.data == {part: data[part] for part in ("train", "valid")}
    assert info.bytes == sum(len(content) for content, _ in before.values())
    assert info.verified == ["tokenizer", "step-00000060"]
    assert info.faults == []


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ({}, "sinusoidal positions"),
        ({"kind": "none"}, "no positions"),
        ({"combine": "concat"}, "8 concatenated dimensions of sinusoidal positions"),
    ],
    ids=str,
)
def test_kinds_of_positions(run: Path, positions: dict[str, str], expected: str) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    config["model"] |= {"positions": positions, "tie_embeddings": "none"}
    (run / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    assert f", relu, {expected}, tied" in " ".join(" ".join(render(inspect(run))).split())


def test_small_rates_are_not_rounded_to_nothing(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    config["data"] |= {"augment": {"upper": 0.004, "typos": 0.07}, "terms": {"probability": 0.125}}
    (run / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    lines = list(render(inspect(run)))
    assert "augment     pairs changed in training: upper 0.4%, typos 7%" in lines
    assert any(line.endswith("behind 12.5% of sources") for line in lines)


def test_the_start_of_a_run_is_shown(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    config["train"]["init_from"] = "runs/general"
    config["tokenizer"]["replace"] = True
    (run / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    assert "init from   runs/general, with a new tokenizer" in render(inspect(run))


def test_separate_vocabularies_and_embeddings(run: Path) -> None:
    shapes = {"src_embedding.weight": (7, 4), "tgt_embedding.weight": (9, 4)}
    shapes |= {"projection.weight": (9, 4), "encoder_norm.bias": (4,), "decoder_norm.bias": (5,)}
    named = {name: torch.zeros(shape) for name, shape in shapes.items()}
    path = layout.checkpoint_path(run, 70)
    checkpoint.save_checkpoint(path, {"weights": named}, {"step": 70, "scores": {}})
    info = inspect(run)
    assert info.vocabulary == {"src": 7, "tgt": 9}
    assert info.parameters == {"total": 109, "embeddings": 100, "encoder": 4, "decoder": 5}


def test_the_choice_of_weights_is_explained(run: Path) -> None:
    add_checkpoint(run, 70, loss=2.0)
    add_checkpoint(run, 80, loss=float("nan"))
    info = inspect(run)
    assert info.weights is not None
    assert (info.weights.step, info.reason) == (70, "the checkpoint with the best loss")
    assert [entry.step for entry in info.checkpoints] == [60, 70, 80]
    weights = checkpoint.load_tensors(run / STEP, "weights")
    signatures = {"bleu": "nrefs:1|version:2.6.0"}
    average.save_average(run, weights, [70, 80], {"loss": 1.5, "bleu": 9.5}, signatures)
    lines = list(render(inspect(run)))
    assert "weights     averaged: the average of steps 70, 80" in lines
    assert "bleu        nrefs:1|version:2.6.0" in lines
    assert [line.split()[1:-2] for line in lines if line.startswith("* ")] == [
        ["averaged", "1.5", "9.5"]
    ]
    named = inspect(run / STEP)
    assert named.weights is not None
    assert (named.weights.name, named.weights.averaged_steps) == (STEP, [])


def test_a_relative_path_inside_a_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run / "checkpoints")
    info = inspect(Path("step-00000060"))
    assert info.weights is not None
    assert info.weights.name == STEP
    assert info.verified == ["tokenizer", "step-00000060"]


def test_lines_fit_80_columns_and_have_no_control_characters(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)  # a long path would not be wrapped, so that it can be copied
    data = json.loads((run / "data.json").read_text("utf-8"))
    data["train"][0]["name"] = "\x1b]0;owned\x07" + "many words " * 20
    (run / "data.json").write_text(json.dumps(data), "utf-8")
    lines = list(render(inspect(Path(run.name))))
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    assert any("]0;owned" in line for line in lines)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            {"kind": "rnn", "d_hidden": 64},
            "recurrent, gru, 1 + 1 layers, d_model 620, d_hidden 64, tied embeddings: none",
        ),
        (
            {"kind": "conv", "decoder_layers": 3, "positions": {"max_length": 300}},
            "convolutional, 20 + 3 layers, kernel 3, d_model 512, d_hidden 512, 300 positions, "
            "tied embeddings: none",
        ),
    ],
)
def test_other_kinds_of_networks(run: Path, model: dict[str, Any], expected: str) -> None:
    values = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    (run / "config.yaml").write_text(yaml.safe_dump({**values, "model": model}), "utf-8")
    lines = list(render(inspect(run)))
    assert f"network {expected}" in " ".join(" ".join(lines).split())


def test_json(run: Path) -> None:
    add_checkpoint(run, 70, loss=float("nan"))
    end = run_nmt("info", run, "--json")
    assert end.exit_code == 0
    values = json.loads(end.stdout, parse_constant=pytest.fail)
    assert values["checkpoints"][1]["scores"] == {"loss": None}
    assert values["config"]["data"]["src_lang"] == "en"
    assert values["parameters"]["total"] == inspect(run).parameters["total"]


def test_damaged_files_are_listed_after_all_other_information(run: Path) -> None:
    bad = add_checkpoint(run, 70)
    (bad / "weights.safetensors").write_bytes(b"")
    (bad / "state.json").unlink()
    (run / "tokenizer" / "spm.model").write_bytes(b"x")
    (run / "data.json").write_text("{}", "utf-8")
    end = run_nmt("info", run)
    assert end.exit_code == 4
    assert "damaged; the faults (4) are named above" in end.stderr
    shown = " ".join(end.stdout.split())
    for name in ("step-00000070/weights.safetensors: damaged", "step-00000070/state.json: missing"):
        assert name in shown
    assert "tokenizer/spm.model: damaged" in shown
    assert "data.json: not a description of corpora" in shown
    assert "verified step-00000060" in shown
    assert "languages en → de" in shown


def test_a_damaged_configuration_is_listed_too(run: Path) -> None:
    (run / "config.yaml").write_bytes(b"\xff")
    info = inspect(run)
    [fault] = info.faults
    assert "config.yaml: cannot be read: " in fault
    assert info.parameters["total"] > 0


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no config\.yaml"):
        inspect(tmp_path)
    assert run_nmt("info", tmp_path / "missing").exit_code == 4


def test_a_run_before_its_first_checkpoint(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    info = inspect(run)
    assert info.weights is None
    assert info.faults == []
    assert "weights     none yet" in list(render(info))


def test_a_checkpoint_deleted_meanwhile_is_not_reported(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training deletes old checkpoints, and need not be stopped."""
    add_checkpoint(run, 50)
    verify = manifest.verify

    def delete_and_verify(directory: Path) -> None:
        if directory.name == "step-00000050":
            shutil.rmtree(directory, ignore_errors=True)
        verify(directory)

    monkeypatch.setattr(manifest, "verify", delete_and_verify)
    with layout.locked(run):
        info = inspect(run)
    assert info.faults == []
    assert info.verified == ["tokenizer", "step-00000060"]


def test_a_checkpoint_replaced_meanwhile_is_not_reported(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    measure = manifest.measure

    def fail_first(path: Path) -> dict[str, Any]:
        calls.append(path)
        measured = measure(path)
        return measured if len(calls) > 1 else {**measured, "size": 0}

    monkeypatch.setattr(manifest, "measure", fail_first)
    assert inspect(run).faults == []


def test_torch_is_not_imported(run: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nmt.runs.info import inspect;"
        "from nmt.runs.info_text import render;"
        "print(*render(inspect(Path(sys.argv[1]))));"
        "print(sorted({'torch', 'sentencepiece', 'datasets'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "languages" in done.stdout
    assert done.stdout.endswith("\n[]\n")


def test_an_exported_model(trained_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    from nmt.convert.ctranslate2 import export_ctranslate2

    path = tmp_path / "ct2"
    export_ctranslate2(trained_model.load_model(trained_run), path, "int8")
    info = inspect(path)
    assert (info.faults, info.verified) == ([], ["ct2"])
    assert info.config == inspect(trained_run).config
    assert info.files == {file.name: file.stat().st_size for file in path.iterdir()}
    assert info.bytes == sum(info.files.values())
    original = inspect(trained_run)
    assert info.parameters == original.parameters
    assert info.vocabulary == original.vocabulary
    assert sum(info.stored.values()) == info.parameters["total"]
    assert info.stored.keys() == {"int8", "float32"}
    assert info.stored["int8"] > info.stored["float32"]  # only norms and biases are float32
    end = run_nmt("info", path)
    assert end.exit_code == 0
    assert "0.0 MB" not in end.stdout
    assert "weights exported to CTranslate2 " in " ".join(end.stdout.split())
    (path / "model.bin").write_bytes((path / "model.bin").read_bytes()[:-1])
    end = run_nmt("info", path)
    assert end.exit_code == 4
    shown = " ".join(end.stdout.split())
    assert "model.bin: damaged" in shown
    assert "verified nothing" in shown


def test_of_many_corpora_only_some_are_listed(run: Path) -> None:
    path = run / "data.json"
    data = json.loads(path.read_text("utf-8"))
    [corpus] = data["train"]
    streamed = {**corpus, "name": "streamed", "sha256": ""}
    data["train"] = [
        streamed,
        *[{**corpus, "pairs_kept": 7, "name": f"part-{n}"} for n in range(29)],
    ]
    path.write_text(json.dumps(data), "utf-8")
    text = "\n".join(render(inspect(run)))
    assert "streamed: these are the first pairs only" in text
    assert "part-18" in text
    assert "part-19" not in text
    assert "10 other corpora: 70 pairs kept" in text
