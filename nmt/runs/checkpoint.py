"""The run directory: atomic saving, verified loading, averaging.

A run directory is the model, and can be moved or copied whole:

    config.yaml                the resolved configuration
    data.json                  the corpora: hashes, numbers of pairs, what was dropped
    tokenizer/                 SentencePiece models
    checkpoints/step-N/        weights, optimizer, random state, state.json
    averaged/                  averaged weights, where there are any
    metrics.jsonl
    finished                   after which step a training ended, averaging included

Every directory of weights, and the tokenizer's, has a manifest with the size and SHA-256 of each
file. It is written last, and the directory gets its name only then, so that whatever has a name
is whole. The configuration has none: it may be edited, is checked as strictly as the user's own,
and the weights must fit it. Tensors are safetensors and everything else is JSON or YAML: nothing
that is loaded can run code.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from nmt.config.load import load_model_config
from nmt.config.schema import Config
from nmt.data.corpus import files_of as corpus_files
from nmt.errors import ConfigError, FileError
from nmt.files import (
    MAX_JSON_BYTES,
    as_file_error,
    lock,
    measure,
    open_lock,
    open_plain,
    read_bounded,
    reason,
    refuse_link,
    temporary_name,
)
from nmt.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
"""Version of the layout; a loader refuses a newer one."""

VERSIONS = ("nmt", "torch", "sentencepiece", "python")
"""Whose versions a manifest has."""

_WEIGHTS = frozenset({"weights.safetensors", "state.json"})
_TOKENIZERS = ({"spm.model"}, {"src.model", "tgt.model"})
_OF_A_START = {"lock", "tokenizer", "config.yaml", "data.json"}
_TEMPORARY = re.compile(
    r"(?:tokenizer|averaged|step-\d+)(?:\.old)?\.tmp|"
    r"\.(?:tokenizer|averaged|step-\d+|config\.yaml|data\.json|finished|metrics\.jsonl)"
    r"\.[0-9a-f]{8}\.tmp"
)


@dataclass(frozen=True)
class Checkpoint:
    """A directory of weights and what its state says.

    Attributes:
        path: the directory.
        step: optimizer steps taken.
        scores: validation scores of these weights by name, empty if they were not validated.
        fault: why the state cannot be read; empty if it can.
        only_to_resume: whether it is there because training was interrupted, and so has no part
            in averages, the choice of weights or what `prune` keeps: a run that was interrupted
            must end like one that was not. Versions before this mark left none, and their
            checkpoints all count.
    """

    path: Path
    step: int
    scores: dict[str, float]
    fault: str = ""
    only_to_resume: bool = False


def save_directory(directory: Path, fill: Callable[[Path], object]) -> None:
    """Write a directory of files and their manifest so that it is there whole or not at all.

    Args:
        directory: its final name; one that is there already is replaced.
        fill: writes the files into the directory that it is given. What it raises leaves
            nothing half-made behind.

    Raises:
        OSError: it cannot be written; what was there before is whole.
    """
    temporary = temporary_name(directory)
    try:
        temporary.mkdir(parents=True)
        fill(temporary)
        files = {path.name: measure(path) for path in sorted(temporary.iterdir())}
        manifest = temporary / "manifest.json"
        _write_json(manifest, {"format": FORMAT, **_versions(), "files": files})
        # safetensors makes its files for the owner alone, whatever the umask says.
        mode = manifest.stat().st_mode
        for name in files:
            (temporary / name).chmod(mode)
            _fsync(temporary / name)
        _fsync(manifest)
        _fsync(temporary)
        _replace_directory(temporary, directory)
        _fsync(directory.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save_checkpoint(
    directory: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
) -> None:
    """Write a directory of weights as `save_directory` does.

    Args:
        directory: its final name; one that is there already is replaced.
        tensors: for each file, without its suffix, named tensors.
        state: what goes into state.json; `step` and `scores` at least. A score that is not
            finite becomes null, since JSON has no number for it.

    Raises:
        FileError: it cannot be written; what was there before is whole.
    """
    from safetensors.torch import save_file

    def fill(folder: Path) -> None:
        for name, named in tensors.items():
            save_file(dict(named), folder / f"{name}.safetensors")
        scores = {n: v if math.isfinite(v) else None for n, v in state["scores"].items()}
        _write_json(folder / "state.json", {**state, "scores": scores})

    try:
        save_directory(directory, fill)
    except (OSError, safetensors.SafetensorError) as error:
        size = sum(t.nbytes for named in tensors.values() for t in named.values())
        raise FileError(
            f"{directory}: cannot save the checkpoint ({reason(error)}); it needs "
            f"{size / 1e6:.0f} MB. Make room or choose another `run_dir`; the checkpoints saved "
            "before are whole and the same command goes on from them"
        ) from error


def checkpoints(run: Path) -> list[Checkpoint]:
    """List the checkpoints of a run, oldest first, unverified."""
    found = []
    for path in (run / "checkpoints").glob("step-*"):
        if not re.fullmatch(r"step-\d+", path.name):
            continue
        step = int(path.name.removeprefix("step-"))
        try:
            state = read_state(path)
        except FileError as error:
            if path.exists():  # else a training has just deleted it
                found.append(Checkpoint(path, step, {}, str(error)))
            continue
        only_to_resume = state.get("only_to_resume") is True
        found.append(Checkpoint(path, step, dict(state["scores"]), "", only_to_resume))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def checkpoint_path(run: Path, step: int) -> Path:
    """Name the directory of the checkpoint of a step."""
    return run / "checkpoints" / f"step-{step:08d}"


def lasting(found: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Leave out the checkpoints that are only there to resume from."""
    return [one for one in found if not one.only_to_resume]


def best_first(found: Iterable[Checkpoint], metric: str) -> list[Checkpoint]:
    """Sort the checkpoints that have a finite score by it, best first; the older wins a tie."""
    scored = [one for one in found if math.isfinite(one.scores.get(metric, math.nan))]
    sign = 1.0 if metric == "loss" else -1.0
    return sorted(scored, key=lambda checkpoint: sign * checkpoint.scores[metric])


def faults(directory: Path) -> Iterator[str]:
    """Compare a directory with its manifest.

    Yields:
        what is wrong: that the manifest cannot be used, or each file that is missing, changed,
        or not a plain file of the directory itself.
    """
    try:
        files = read_manifest(directory)["files"]
    except FileError as error:
        yield str(error)
        return
    for name, expected in files.items():
        path = directory / name
        try:
            if Path(name).name != name or path.is_symlink() or not path.is_file():
                yield f"{path}: missing, or not a plain file of the model directory"
            elif measure(path) != expected:
                yield (
                    f"{path}: damaged, it differs from its manifest: copy it again, "
                    "or name another checkpoint"
                )
        except OSError as error:
            yield f"{path}: cannot be read: {reason(error)}"


def verify(directory: Path) -> None:
    """Check a directory of weights against its manifest.

    Raises:
        FileError: of the first of its `faults`, or the manifest does not name the weights.
    """
    for fault in faults(directory):
        raise FileError(fault)
    if not read_manifest(directory)["files"].keys() >= _WEIGHTS:
        raise FileError(f"{directory / 'manifest.json'}: does not name the weights and their state")


def verify_tokenizer(run: Path) -> None:
    """Check the tokenizer of a run against its manifest.

    Raises:
        FileError: of the first of its `faults`, or there are other models than it names.
    """
    directory = run / "tokenizer"
    for fault in faults(directory):
        raise FileError(fault)
    named = read_manifest(directory)["files"].keys()
    if named not in _TOKENIZERS or named != {path.name for path in directory.glob("*.model")}:
        raise FileError(f"{directory}: not the SentencePiece models that its manifest names")


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read manifest.json of a directory.

    Raises:
        FileError: it is missing, not what `save_directory` writes, or of a newer format.
    """
    path = directory / "manifest.json"
    manifest = read_json(path)
    if not isinstance(manifest.get("format"), int) or not isinstance(manifest.get("files"), dict):
        raise FileError(f"{path}: not a manifest of nmt")
    if manifest["format"] > FORMAT:
        raise FileError(
            f"{directory}: written in format {manifest['format']} by nmt {manifest.get('nmt')}, "
            f"newer than this nmt {__version__} reads ({FORMAT}): upgrade nmt"
        )
    return manifest


def load_tensors(directory: Path, name: str) -> dict[str, Tensor]:
    """Load one file of named tensors, to the CPU.

    Raises:
        FileError: it is missing or not safetensors.
    """
    from safetensors.torch import load_file

    path = directory / f"{name}.safetensors"
    try:
        open_plain(path).close()
        return load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise FileError(f"{path}: cannot be loaded: {reason(error)}") from error


def read_shapes(directory: Path, name: str) -> dict[str, list[int]]:
    """Read the shapes in one file of named tensors, without the tensors.

    Raises:
        FileError: it is missing or not safetensors.
    """
    path = directory / f"{name}.safetensors"
    try:
        open_plain(path).close()
        with safetensors.safe_open(path, "np") as file:
            return {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise FileError(f"{path}: cannot be loaded: {reason(error)}") from error


def read_state(directory: Path) -> dict[str, Any]:
    """Read state.json of a directory of weights; scores that were not finite are NaN.

    Raises:
        FileError: it is missing or not what `save_checkpoint` writes.
    """
    state = read_json(directory / "state.json")
    try:
        read = {n: math.nan if v is None else float(v) for n, v in state["scores"].items()}
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError):
        read = None
    if read is None or not isinstance(state.get("step"), int):
        raise FileError(f"{directory / 'state.json'}: not the state of a checkpoint")
    return state | {"scores": read}


def average_weights(directories: list[Path]) -> dict[str, Tensor]:
    """Average the weights of checkpoints, element by element (paper, section 6.1).

    Raises:
        FileError: one is damaged, or they are not of one model.
    """
    total: dict[str, Tensor] = {}
    for directory in directories:
        verify(directory)
        weights = load_tensors(directory, "weights")
        if not total:
            total = {name: tensor.double() for name, tensor in weights.items()}
            continue
        shapes = {name: tensor.shape for name, tensor in weights.items()}
        if shapes != {name: tensor.shape for name, tensor in total.items()}:
            raise FileError(f"{directory}: not of the same model as {directories[0]}")
        for name, tensor in weights.items():
            total[name] += tensor
    return {name: (tensor / len(directories)).float() for name, tensor in total.items()}


def choose_to_average(run: Path, which: str, count: int, metric: str) -> list[Checkpoint]:
    """Name the `last` or the `best` checkpoints, at most `count`, oldest first.

    Raises:
        FileError: which are the best cannot be told, as the state of one cannot be read.
    """
    found = lasting(checkpoints(run))
    if which == "best":
        _refuse_faults(found, "it may be one of the best. Copy it again, or delete it")
    chosen = found[-count:] if which == "last" else best_first(found, metric)[:count]
    return sorted(chosen, key=lambda checkpoint: checkpoint.step)


def save_average(
    run: Path,
    weights: Mapping[str, Tensor],
    steps: list[int],
    scores: Mapping[str, float],
    signatures: Mapping[str, str] | None = None,
) -> Path:
    """Save averaged weights in `averaged/`: from then on the run translates with them.

    Args:
        run: the run directory.
        weights: the average.
        steps: those of the checkpoints that were averaged.
        scores: of the average, empty if it was not validated.
        signatures: of those scores that sacreBLEU gave.

    Raises:
        FileError: they cannot be written.
    """
    state = {
        "step": max(steps),
        "averaged_steps": steps,
        "scores": dict(scores),
        "signatures": dict(signatures or {}),
    }
    save_checkpoint(run / "averaged", {"weights": weights}, state)
    return run / "averaged"


def drop_average(run: Path) -> None:
    """Delete averaged weights, if there are any: the run translates with a checkpoint again.

    Raises:
        FileError: they cannot be deleted.
    """
    if (run / "averaged").is_dir():
        _delete(run / "averaged")


def load_run_config(run: Path) -> Config:
    """Read the configuration in a run directory.

    Raises:
        FileError: it is missing, or cannot be used.
    """
    try:
        return load_model_config(run / "config.yaml")
    except ConfigError as error:
        message, *faults = error.args
        raise FileError(
            f"{run}: its own configuration cannot be used: {message}", *faults
        ) from error


def prune(run: Path, keep_last: int, keep_best: int, metric: str) -> None:
    """Delete all checkpoints but the newest and, by `metric`, the best.

    One that is only there to resume from goes as soon as there is a newer one.

    Raises:
        FileError: one cannot be deleted.
    """
    found = checkpoints(run)
    counted = lasting(found)
    kept = found[-1:] + counted[-keep_last:] + best_first(counted, metric)[:keep_best]
    for checkpoint in found:
        if checkpoint not in kept:
            _delete(checkpoint.path)


def clear_up(run: Path) -> None:
    """Undo what a process that died while it saved has left; for the holder of the lock.

    Raises:
        FileError: it cannot be renamed or deleted.
    """
    with as_file_error(run, "cannot be cleared up"):
        for path in [*run.glob("*.tmp"), *run.glob("checkpoints/*.tmp")]:
            if not _TEMPORARY.fullmatch(path.name):
                continue  # the user's
            directory = path.with_name(path.name.removesuffix(".old.tmp"))
            if path.name.endswith(".old.tmp") and not directory.exists():
                path.rename(directory)  # it died between the renames of _replace_directory
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:  # to write through a link would be to write elsewhere
                path.unlink()


def clear_failed_start(run: Path) -> None:
    """Delete what a start that ended before its first checkpoint has left.

    Raises:
        FileError: there is something of the same name that no training has made.
    """
    tokenizer = run / "tokenizer"
    texts = [run / "config.yaml", run / "data.json"]
    for path in (tokenizer, *texts):
        if path.exists() and not (tokenizer / "manifest.json").is_file():
            raise FileError(f"{path}: is in the way, and of no training; choose another `run_dir`")
    with as_file_error(run, "cannot be cleared up"):
        for path in texts:
            path.unlink(missing_ok=True)
        # Renamed first: half of it would be of no training.
        if tokenizer.exists():
            shutil.rmtree(tokenizer.rename(run / "tokenizer.tmp"))


def newest_whole(run: Path, warn: Callable[[str], object]) -> Checkpoint | None:
    """Find the newest checkpoint that its manifest confirms, warning of damaged newer ones."""
    for checkpoint in reversed(checkpoints(run)):
        try:
            verify(checkpoint.path)
        except FileError as error:
            warn(f"warning: {error}; falling back to the checkpoint before")
            continue
        return checkpoint
    return None


@contextmanager
def kept_if_used(run: Path) -> Iterator[None]:
    """Remove a run directory that is made in this context when an error ends it too soon.

    That is, before there is a checkpoint or a line of metrics in it.
    """
    made = [path for path in (run, *run.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        if made and run.is_dir() and {path.name for path in run.iterdir()} <= _OF_A_START:
            shutil.rmtree(run, ignore_errors=True)
            with suppress(OSError):  # somebody uses one of them by now
                for path in made[1:]:
                    path.rmdir()
        raise


@contextmanager
def locked(run: Path, advice: str = "wait for it or choose another `run_dir`") -> Iterator[None]:
    """Hold the run directory for one training; the system frees it when the process dies.

    Args:
        run: made if it is not there.
        advice: what to do when another training holds it.

    Raises:
        FileError: another training holds it, or it cannot be written or locked.
    """
    with as_file_error(run):
        run.mkdir(parents=True, exist_ok=True)
        for folder in (run, run / "checkpoints"):
            if folder.is_dir():  # refused now, not when there is something to save
                tempfile.TemporaryFile(dir=folder).close()
        file = open_lock(run / "lock")
    with file:
        try:
            lock(file)
        except BlockingIOError as error:
            raise FileError(f"{run}: another training is running in it; {advice}") from error
        except OSError as error:
            raise FileError(
                f"{run}: cannot be locked: {reason(error)}; choose a directory on another disk"
            ) from error
        yield


def find_run(path: Path) -> Path:
    """Find the run directory that a model's path is, or is in.

    Args:
        path: a run directory, or one directory of weights in it (`RUN/checkpoints/step-N`).

    Raises:
        FileError: there is no model, or a directory in it is a symbolic link.
    """
    if not path.is_dir():
        raise FileError(f"{path}: no such model directory")
    for folder in (path, *path.absolute().parents[:2]):
        if os.path.lexists(folder / "config.yaml"):
            refuse_links(folder)
            return folder
    runs = sorted(file.parent for file in path.glob("*/config.yaml"))
    if runs:
        listed, others = runs[:20], len(runs) - 20
        raise FileError(
            f"{path}: a directory of models, not one; name one of those in it",
            *map(str, listed),
            *([f"and {others} more"] if others > 0 else []),
        )
    raise FileError(f"{path}: not a model: there is no config.yaml in it")


def refuse_links(run: Path) -> None:
    """Check that none of the directories of a run is a symbolic link.

    Raises:
        FileError: one is.
    """
    for name in ("tokenizer", "averaged", "checkpoints"):
        refuse_link(run / name)
    for path in (run / "checkpoints").glob("step-*"):
        if not path.name.endswith(".tmp"):  # those are deleted, whatever they are
            refuse_link(path)


def files_of(model: Path) -> list[Path]:
    """List the files that make a model, trained or exported, and those it was trained on.

    No output may take their place. What cannot be read is left out.
    """
    try:
        run = find_run(model)
    except FileError:
        return []
    found = [run / name for name in ("config.yaml", "data.json", "metrics.jsonl", "finished")]
    folders = [run / "tokenizer", run / "averaged", *(run / "checkpoints").glob("*")]
    found += [path for folder in folders for path in folder.glob("*")]
    with suppress(FileError):  # an exported model's manifest is beside its configuration
        found += [run / "manifest.json", *(run / name for name in read_manifest(run)["files"])]
    with suppress(FileError):
        data = load_run_config(run).data
        corpora = [*data.train, *(data.valid or []), *(data.test or [])]
        found += [path for corpus in corpora for path in corpus_files(corpus)]
    return found


def choose_weights(run: Path, metric: str) -> Path:
    """Name the weights that a run translates with.

    The averaged ones if there are any, else the checkpoint that validated best, else the newest;
    one that an interruption made only if there is no other. Damage changes nothing about the
    choice: no other weights take the place of damaged ones.

    Raises:
        FileError: the run has no weights, or which are the best cannot be told, as the state of
            a checkpoint cannot be read.
    """
    if os.path.lexists(run / "averaged"):
        return run / "averaged"
    found = checkpoints(run)
    if not found:
        raise FileError(f"{run}: no checkpoint in it yet")
    found = lasting(found) or found
    if len(found) > 1:
        _refuse_faults(found, f"it may be the best. {choosing_advice(run)}")
    return (best_first(found, metric) or found[::-1])[0].path


def choosing_advice(run: Path, damaged: Path | None = None) -> str:
    """Say how to translate with weights that one chooses oneself.

    Args:
        run: the run directory.
        damaged: weights that cannot be chosen.
    """
    others = [one.path for one in checkpoints(run) if not one.fault and one.path != damaged]
    if not others:
        return "There is no other checkpoint"
    return f"To choose another checkpoint, name it, as in {others[-1]}"


def _refuse_faults(found: Iterable[Checkpoint], consequence: str) -> None:
    for one in found:
        if one.fault:
            raise FileError(f"{one.fault}; {consequence}")


def finished_step(run: Path) -> int:
    """Read after which step a training ended, averaging included; 0 if none did.

    Raises:
        FileError: the file that says it is not a plain file, or cannot be read.
    """
    path = run / "finished"
    if not os.path.lexists(path):
        return 0
    try:
        return int(read_bounded(path, 100))
    except ValueError:
        return 0


def _versions() -> dict[str, str]:
    """Name the `VERSIONS` at work."""
    libraries = {name: importlib.metadata.version(name) for name in ("torch", "sentencepiece")}
    return {"nmt": __version__, **libraries, "python": platform.python_version()}


def _replace_directory(temporary: Path, directory: Path) -> None:
    """Give a complete directory its name; a directory of that name makes way first."""
    old = directory.with_name(directory.name + ".old.tmp")
    replaces = directory.exists()
    if replaces:
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
    temporary.rename(directory)
    if replaces:
        shutil.rmtree(old, ignore_errors=True)


def _delete(directory: Path) -> None:
    """Delete a directory of weights; cut short, it leaves nothing that looks like one."""
    doomed = directory.with_name(directory.name + ".tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    with as_file_error(directory, "cannot be deleted"):
        directory.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileError: it is missing, not a plain file, no JSON, or no object.
    """
    content = read_bounded(path, MAX_JSON_BYTES)
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise FileError(f"{path}: not a JSON object")
    return value


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # which Windows does not open
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
