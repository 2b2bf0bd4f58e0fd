"""Trained models are loaded from anywhere, and damaged ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nmt.errors import FileError
from nmt.model.build import check_shapes, make_network
from nmt.runs import manifest
from nmt.runs import model as trained_model

from .conftest import change_manifest


def test_a_moved_run_loads_the_same_model(run: Path, trained_run: Path) -> None:
    here, there = trained_model.load_model(run), trained_model.load_model(trained_run)
    for (name, one), (_, other) in zip(
        here.network.named_parameters(), there.network.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name
    assert not here.network.training
    assert here.weights.is_relative_to(run)


def test_loading_draws_no_random_numbers(run: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    model = trained_model.load_model(run)
    assert torch.equal(torch.get_rng_state(), before)
    make_network(model.config.model, *model.tokenizers.sizes)
    assert not torch.equal(torch.get_rng_state(), before)


def test_a_relative_path_and_a_checkpoint_inside_a_run_can_be_loaded(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    assert trained_model.load_model(".").weights.name == "step-00000060"
    monkeypatch.chdir(run / "checkpoints")
    assert trained_model.load_model("step-00000060").weights == Path("step-00000060")


def test_the_network_has_the_requested_dtype(run: Path) -> None:
    model = trained_model.load_model(run, dtype=torch.bfloat16)
    assert {p.dtype for p in model.network.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("explicit", [True, False])
def test_a_damaged_model_is_refused(run: Path, explicit: bool) -> None:
    path = run / "checkpoints" / "step-00000060"
    with (path / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(FileError, match="damaged"):
        trained_model.load_model(path if explicit else run)


def test_a_damaged_tokenizer_is_refused(run: Path) -> None:
    model = run / "tokenizer" / "spm.model"
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(FileError, match=r"spm\.model: damaged"):
        trained_model.load_model(run)
    model.write_bytes(whole)
    (model.parent / "src.model").write_bytes(whole)
    with pytest.raises(FileError, match="not the SentencePiece models that its manifest lists"):
        trained_model.load_model(run)
    (model.parent / "src.model").unlink()
    trained_model.load_model(run)
    (model.parent / "manifest.json").unlink()
    with pytest.raises(FileError, match=r"tokenizer/manifest\.json: cannot be read: No such file"):
        trained_model.load_model(run)


def test_a_tokenizer_in_a_newer_format_is_refused(run: Path) -> None:
    change_manifest(run / "tokenizer", format=manifest.FORMAT + 1, nmt="9.9")
    with pytest.raises(FileError, match=r"tokenizer: .* by nmt 9\.9, newer than"):
        trained_model.load_model(run)


def test_a_directory_without_a_model_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such model directory"):
        trained_model.load_model(tmp_path / "missing")
    with pytest.raises(FileError, match=r"there is no config\.yaml"):
        trained_model.load_model(tmp_path)
    (run / "config.yaml").write_text("train: {}\n", "utf-8")
    with pytest.raises(FileError, match="its own configuration cannot be used"):
        trained_model.load_model(run)


def test_weights_of_another_shape_are_refused(run: Path) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text("utf-8").replace("d_ff: 64", "d_ff: 65"), "utf-8")
    with pytest.raises(FileError, match=r"inner\.bias is the first of 6 that differ"):
        trained_model.load_model(run)


def test_missing_and_unknown_weights_are_refused(run: Path) -> None:
    model = trained_model.load_model(run)
    weights = {name: p.detach() for name, p in model.network.named_parameters()}
    check_shapes(model.network, weights, "here")
    with pytest.raises(FileError, match=r"here: .*foreign is the first of 1 that differ"):
        check_shapes(model.network, weights | {"foreign": torch.zeros(1)}, "here")
    name = sorted(weights)[0]
    del weights[name]
    with pytest.raises(FileError, match=f"{name} is the first of 1 that differ"):
        check_shapes(model.network, weights, "here")
