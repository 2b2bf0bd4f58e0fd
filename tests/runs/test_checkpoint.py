"""What is saved is whole or not there, and what is loaded is what was saved."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import sentencepiece
import torch
from torch import Tensor

import nmt
from nmt.device import choose_device
from nmt.errors import ConfigError, FileError
from nmt.model.build import copy_weights, make_network
from nmt.runs import average, checkpoint, layout, manifest, retention
from nmt.runs import model as trained_model


def tensors(value: float = 1.0) -> dict[str, dict[str, Tensor]]:
    return {"weights": {"a": torch.full((2, 3), value), "b": torch.arange(4.0)}}


def save(run: Path, step: int, value: float = 1.0, **scores: float) -> Path:
    path = layout.checkpoint_path(run, step)
    checkpoint.save_checkpoint(path, tensors(value), {"step": step, "scores": scores})
    return path


def steps(run: Path) -> list[int]:
    return [found.step for found in checkpoint.list_checkpoints(run)]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path, 5, 2.0, loss=1.5)


# ---------------------------------------------------------------- saving


def test_what_was_saved_is_loaded(saved: Path) -> None:
    manifest.verify(saved)
    loaded = checkpoint.load_tensors(saved, "weights")
    assert loaded.keys() == {"a", "b"}
    assert torch.equal(loaded["a"], torch.full((2, 3), 2.0))
    assert checkpoint.read_state(saved) == {"step": 5, "scores": {"loss": 1.5}}


def test_the_manifest_names_every_other_file(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text("utf-8"))
    there = {path.name for path in saved.iterdir()} - {"manifest.json"}
    assert manifest["files"].keys() == there == {"weights.safetensors", "state.json"}
    for name, entry in manifest["files"].items():
        assert entry["size"] == (saved / name).stat().st_size


def test_saving_replaces_what_is_there(saved: Path) -> None:
    (saved / "stale").write_text("x")
    checkpoint.save_checkpoint(saved, tensors(3.0), {"step": 5, "scores": {}})
    manifest.verify(saved)
    assert torch.equal(checkpoint.load_tensors(saved, "weights")["a"], torch.full((2, 3), 3.0))
    assert sorted(path.name for path in saved.parent.iterdir()) == ["step-00000005"]
    assert not (saved / "stale").exists()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), safetensors.SafetensorError("half-way")]
)
@pytest.mark.parametrize("step", [5, 6])
def test_a_save_that_fails_leaves_the_old_checkpoint_whole(
    saved: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, step: int
) -> None:
    def half(named: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(FileError, match=r"cannot save the checkpoint .*needs 0 MB") as caught:
        save(saved.parents[1], step)
    assert caught.value.exit_code == 4
    manifest.verify(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["step-00000005"]


@pytest.mark.parametrize("error", [RuntimeError("no memory"), KeyboardInterrupt()])
def test_whatever_ends_a_save_leaves_nothing_behind(saved: Path, error: BaseException) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        manifest.save_directory(saved, fill)
    manifest.verify(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["step-00000005"]


def test_the_manifest_says_what_wrote_it(saved: Path) -> None:
    written = manifest.read_manifest(saved)
    assert written["nmt"] == nmt.__version__
    assert written["torch"] == torch.__version__
    assert written["sentencepiece"] == sentencepiece.__version__
    assert written["python"] == ".".join(map(str, sys.version_info[:3]))


def test_scores_that_are_not_finite_are_null_in_the_file_and_never_best(tmp_path: Path) -> None:
    save(tmp_path, 1, loss=math.nan, ppl=math.inf, bleu=3.0)
    save(tmp_path, 2, loss=9.0)
    text = (layout.checkpoint_path(tmp_path, 1) / "state.json").read_text("utf-8")
    assert json.loads(text)["scores"] == {"loss": None, "ppl": None, "bleu": 3.0}
    found = checkpoint.list_checkpoints(tmp_path)
    assert math.isnan(found[0].scores["loss"])
    assert found[0].scores["bleu"] == 3.0
    assert [one.step for one in retention.best_first(found, "loss")] == [2]


def test_a_write_that_fails_after_the_tensors_leaves_the_old_checkpoint_whole(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = manifest.write_json

    def full(path: Path, value: object) -> None:
        if path.name == "manifest.json":
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(manifest, "write_json", full)
    with pytest.raises(FileError, match="No space left"):
        save(saved.parents[1], 5, 9.0)
    manifest.verify(saved)
    assert torch.equal(checkpoint.load_tensors(saved, "weights")["a"], torch.full((2, 3), 2.0))


@pytest.mark.parametrize("call", range(12))
def test_a_process_killed_while_it_saves_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Dying before the k-th fsync or rename of replacing a checkpoint, the only one."""
    save(tmp_path, 5, 2.0)
    calls = 0

    class KilledError(BaseException):
        pass

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def maybe(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > call:
                raise KilledError
            return function(*args, **kwargs)

        return maybe

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(Path, "rename", dying(Path.rename))
        patch.setattr(shutil, "rmtree", dying(shutil.rmtree))
        try:
            save(tmp_path, 5, 3.0)
        except KilledError:
            pass
        else:
            assert calls <= call
    layout.clean_up(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]
    found = checkpoint.newest_intact(tmp_path, pytest.fail)
    assert found is not None
    value = checkpoint.load_tensors(found.path, "weights")["a"][0, 0]
    assert value in (2.0, 3.0)


# ---------------------------------------------------------------- verifying


def test_any_flipped_byte_is_found(saved: Path) -> None:
    for name in ("weights.safetensors", "state.json"):
        whole = (saved / name).read_bytes()
        for place in (0, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[place] ^= 1
            (saved / name).write_bytes(damaged)
            with pytest.raises(FileError, match="damaged") as caught:
                manifest.verify(saved)
            assert str(saved / name) in str(caught.value)
        (saved / name).write_bytes(whole)
    manifest.verify(saved)


def test_a_truncated_file_is_found(saved: Path) -> None:
    path = saved / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileError, match=r"weights\.safetensors: damaged"):
        manifest.verify(saved)


def test_every_fault_is_named(saved: Path) -> None:
    assert list(manifest.problems(saved)) == []
    (saved / "state.json").unlink()
    (saved / "weights.safetensors").write_bytes(b"")
    assert [fault.split(":")[0] for fault in manifest.problems(saved)] == [
        str(saved / "state.json"),
        str(saved / "weights.safetensors"),
    ]


def test_a_missing_file_is_found(saved: Path) -> None:
    (saved / "state.json").unlink()
    with pytest.raises(FileError, match=r"state\.json: missing"):
        manifest.verify(saved)


def change_manifest(directory: Path, **changes: Any) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["files"] |= changes.pop("files", {})
    path.write_text(json.dumps(manifest | changes), "utf-8")


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/file", "..", "", "a\0b"])
def test_a_manifest_cannot_name_files_elsewhere(saved: Path, name: str) -> None:
    (saved.parent / "secret").write_text("x")
    (saved / "sub").mkdir()
    (saved / "sub" / "file").write_text("x")
    change_manifest(saved, files={name: {"size": 1, "sha256": "0"}})
    with pytest.raises(FileError, match="not a plain file of the model directory"):
        manifest.verify(saved)


def test_a_symbolic_link_is_refused_though_its_content_is_right(saved: Path) -> None:
    path = saved / "weights.safetensors"
    path.rename(saved.parent / "elsewhere")
    path.symlink_to(saved.parent / "elsewhere")
    with pytest.raises(FileError, match="not a plain file of the model directory"):
        manifest.verify(saved)


def test_a_manifest_must_name_the_weights(saved: Path) -> None:
    empty = {"format": manifest.FORMAT, "nmt": "0", "files": {}}
    (saved / "manifest.json").write_text(json.dumps(empty), "utf-8")
    with pytest.raises(FileError, match="does not list weights"):
        manifest.verify(saved)


def test_a_newer_format_is_refused(saved: Path) -> None:
    change_manifest(saved, format=manifest.FORMAT + 1, nmt="9.9")
    with pytest.raises(FileError, match=r"by nmt 9\.9, newer than this nmt .*upgrade"):
        manifest.verify(saved)


def test_a_name_longer_than_any_file_has_is_refused(saved: Path) -> None:
    change_manifest(saved, files={"x" * 300: {"size": 1, "sha256": "0"}})
    with pytest.raises(FileError, match="cannot be read: File name too long"):
        manifest.verify(saved)


@pytest.mark.parametrize(
    "state", [{}, {"step": 1}, {"step": "1", "scores": {}}, {"step": 1, "scores": {"loss": []}}]
)
def test_a_state_that_is_none_is_refused(saved: Path, state: dict[str, Any]) -> None:
    (saved / "state.json").write_text(json.dumps(state), "utf-8")
    with pytest.raises(FileError, match=r"state\.json: not the state of a checkpoint"):
        checkpoint.read_state(saved)
    assert checkpoint.list_checkpoints(saved.parents[1])[0].scores == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "1", "files": {}}', "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(saved: Path, text: str) -> None:
    (saved / "manifest.json").write_text(text, "utf-8")
    with pytest.raises(FileError, match=r"manifest\.json"):
        manifest.verify(saved)


class Marker:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["weights", "optimizer"])
def test_a_pickle_in_place_of_tensors_runs_nothing(saved: Path, name: str) -> None:
    (saved / f"{name}.safetensors").write_bytes(pickle.dumps(Marker(saved / "marker")))
    with pytest.raises(FileError, match="cannot be loaded"):
        checkpoint.load_tensors(saved, name)
    assert not (saved / "marker").exists()


@pytest.mark.parametrize("content", [b"", b"x", (1 << 62).to_bytes(8, "little") + b"{}"])
def test_a_bad_safetensors_header_is_an_error(saved: Path, content: bytes) -> None:
    (saved / "weights.safetensors").write_bytes(content)
    with pytest.raises(FileError, match=r"weights\.safetensors: cannot be loaded"):
        checkpoint.load_tensors(saved, "weights")


# ---------------------------------------------------------------- which checkpoints


def test_checkpoints_are_listed_oldest_first_and_only_whole_names(tmp_path: Path) -> None:
    for step in (10, 9, 100_000_000):
        save(tmp_path, step)
    for name in ("step-00000011.tmp", "step-00000009.old.tmp", "step-x", "other"):
        (tmp_path / "checkpoints" / name).mkdir()
    assert steps(tmp_path) == [9, 10, 100_000_000]


def test_pruning_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    for step, loss in enumerate([5.0, 1.0, 3.0, 2.0, 4.0, 6.0], 1):
        save(tmp_path, step, loss=loss, bleu=loss)
    save(tmp_path, 7)
    retention.prune(tmp_path, keep_last=2, keep_best=2, metric="loss")
    assert steps(tmp_path) == [2, 4, 6, 7]
    retention.prune(tmp_path, keep_last=1, keep_best=1, metric="bleu")
    assert steps(tmp_path) == [6, 7]
    retention.prune(tmp_path, keep_last=1, keep_best=0, metric="bleu")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000007"]


def test_the_older_of_two_that_are_as_good_is_the_best(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step, loss=1.0, chrf=float(step > 1))
    found = checkpoint.list_checkpoints(tmp_path)
    assert retention.best_first(found, "loss")[0].step == 1
    assert retention.best_first(found, "chrf")[0].step == 2
    assert retention.best_first(found, "bleu") == []


def test_a_damaged_newest_checkpoint_falls_back_with_a_warning(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    (tmp_path / "checkpoints" / "step-00000003" / "weights.safetensors").write_bytes(b"")
    (tmp_path / "checkpoints" / "step-00000002" / "manifest.json").unlink()
    warnings: list[str] = []
    found = checkpoint.newest_intact(tmp_path, warnings.append)
    assert found is not None
    assert found.step == 1
    assert len(warnings) == 2
    assert "step-00000003/weights.safetensors: damaged" in warnings[0]
    assert "step-00000002/manifest.json" in warnings[1]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_what_cannot_be_deleted_is_an_error_with_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for step in (1, 2):
        save(tmp_path, step)
    (tmp_path / "averaged.old.tmp").mkdir()

    def refuse(path: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(FileError, match="step-00000001: cannot be deleted: "):
        retention.prune(tmp_path, keep_last=1, keep_best=0, metric="loss")
    with pytest.raises(FileError, match="cannot be cleaned up: "):
        layout.clean_up(tmp_path)


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert checkpoint.newest_intact(tmp_path, pytest.fail) is None
    assert checkpoint.list_checkpoints(tmp_path) == []


def test_the_averaged_weights_are_chosen_then_the_best_then_the_newest(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no checkpoint in it yet"):
        retention.choose_weights(tmp_path, "loss")
    save(tmp_path, 1)
    save(tmp_path, 2)
    assert retention.choose_weights(tmp_path, "loss").name == "step-00000002"
    save(tmp_path, 1, loss=1.0)
    assert retention.choose_weights(tmp_path, "loss").name == "step-00000001"
    assert retention.choose_weights(tmp_path, "bleu").name == "step-00000002"
    average.save_average(tmp_path, tensors()["weights"], [1, 2], {})
    assert retention.choose_weights(tmp_path, "loss").name == "averaged"
    average.delete_average(tmp_path)
    assert retention.choose_weights(tmp_path, "loss").name == "step-00000001"
    assert not (tmp_path / "averaged.tmp").exists()


# ---------------------------------------------------------------- averaging


def test_the_average_is_the_mean_of_every_element(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(1)
    weights = [
        {"a": torch.randn(3, 2, generator=draw), "b": torch.tensor([k])} for k in (1.0, 2.0, 6.0)
    ]
    paths = []
    for step, named in enumerate(weights):
        paths.append(layout.checkpoint_path(tmp_path, step))
        checkpoint.save_checkpoint(paths[-1], {"weights": named}, {"step": step, "scores": {}})
    mean = average.average_weights(paths)
    assert mean["b"].tolist() == [3.0]
    assert mean["a"].dtype == torch.float32
    expected = [sum(w["a"].flatten()[i].item() for w in weights) / 3 for i in range(6)]
    assert mean["a"].flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_the_average_of_one_is_itself(saved: Path) -> None:
    assert torch.equal(average.average_weights([saved])["a"], tensors(2.0)["weights"]["a"])


def test_a_damaged_checkpoint_is_not_averaged(tmp_path: Path) -> None:
    paths = [save(tmp_path, step) for step in (1, 2)]
    with (paths[1] / "weights.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(FileError, match="step-00000002"):
        average.average_weights(paths)


def test_checkpoints_of_different_models_are_not_averaged(tmp_path: Path, saved: Path) -> None:
    other = layout.checkpoint_path(tmp_path, 6)
    named = {"weights": {"a": torch.zeros(3, 2), "b": torch.arange(4.0)}}
    checkpoint.save_checkpoint(other, named, {"step": 6, "scores": {}})
    with pytest.raises(FileError, match="not of the same model"):
        average.average_weights([saved, other])


def test_the_last_or_the_best_are_averaged(tmp_path: Path) -> None:
    for step, loss in enumerate([1.0, 4.0, 2.0, 3.0], 1):
        save(tmp_path, step, loss=loss)

    def chosen(which: str, count: int) -> list[int]:
        return [c.step for c in retention.choose_to_average(tmp_path, which, count, "loss")]

    assert chosen("last", 2) == [3, 4]
    assert chosen("best", 2) == [1, 3]
    assert chosen("best", 9) == [1, 2, 3, 4]


# ---------------------------------------------------------------- the lock

_HOLD = """
import sys, time
from pathlib import Path
from nmt.runs.layout import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_is_held_by_one_process_and_freed_when_it_dies(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(run)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FileError, match="another training run is running"), layout.locked(run):
            pytest.fail("held twice")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with layout.locked(run):
        pass


def test_a_disk_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(FileError, match="cannot be locked: No locks available; choose"),
        layout.locked(tmp_path),
    ):
        pytest.fail("locked")


def test_a_run_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(FileError, match="cannot be written"),
        layout.locked(tmp_path / "file" / "run"),
    ):
        pytest.fail("made a directory in a file")


# ---------------------------------------------------------------- whole models


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run, elsewhere than it was trained."""
    return Path(shutil.copytree(trained_run, tmp_path / "moved" / "run"))


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


@pytest.mark.parametrize("name", ["meta", "x", "gpu", ""])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"device '{name}': not available; use cpu,"):
        choose_device(name)


@pytest.mark.parametrize(
    ("build", "count", "said"),
    [
        (None, 0, "this build of torch is for CPUs only"),
        ("12.6", 0, "no CUDA device found"),
        ("12.6", 1, "not available, only cuda:0"),
        ("12.6", 2, "not available, only cuda:0 to cuda:1"),
    ],
)
def test_why_there_is_no_cuda(
    monkeypatch: pytest.MonkeyPatch, build: str | None, count: int, said: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(torch, "empty", fail)
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ConfigError) as caught:
        choose_device("cuda:9")
    assert said in str(caught.value)
    assert "use cuda" not in str(caught.value)


def test_a_directory_of_runs_names_them(run: Path) -> None:
    with pytest.raises(FileError, match="a directory of models, not one") as caught:
        layout.find_run(run.parent)
    assert f"\n  {run}" in str(caught.value)


def test_a_relative_path_and_a_checkpoint_inside_a_run_load(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    assert trained_model.load_model(".").weights.name == "step-00000060"
    monkeypatch.chdir(run / "checkpoints")
    assert trained_model.load_model("step-00000060").weights == Path("step-00000060")


def test_the_dtype_is_as_asked(run: Path) -> None:
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


def test_a_tokenizer_of_a_newer_format_is_refused(run: Path) -> None:
    change_manifest(run / "tokenizer", format=manifest.FORMAT + 1, nmt="9.9")
    with pytest.raises(FileError, match=r"tokenizer: .* by nmt 9\.9, newer than"):
        trained_model.load_model(run)


def test_what_is_no_model_is_refused(run: Path, tmp_path: Path) -> None:
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


def test_missing_and_foreign_weights_are_refused(run: Path) -> None:
    model = trained_model.load_model(run)
    weights = {name: p.detach() for name, p in model.network.named_parameters()}
    copy_weights(model.network, weights, "here")
    with pytest.raises(FileError, match=r"here: .*foreign is the first of 1 that differ"):
        copy_weights(model.network, weights | {"foreign": torch.zeros(1)}, "here")
    name = sorted(weights)[0]
    del weights[name]
    with pytest.raises(FileError, match=f"{name} is the first of 1 that differ"):
        copy_weights(model.network, weights, "here")


def test_files_have_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = save(tmp_path, 1)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in path.iterdir()} == {0o640}
