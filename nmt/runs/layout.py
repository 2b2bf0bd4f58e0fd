"""The run directory: its files, its lock, and cleaning up after interruptions.

A run directory is the model, and can be moved or copied as a whole:

    config.yaml                the resolved configuration
    data.json                  the corpora: hashes, sizes, numbers of pairs, pairs dropped
    tokenizer/                 SentencePiece models
    checkpoints/step-N/        weights, optimizer, state.json
    averaged/                  averaged weights, if any, or those of an imported model
    shortlist/                 likely target tokens of each source token, if `nmt shortlist` ran
    metrics.jsonl              training and validation metrics
    int8.json                  BLEU in float32 and int8
    decode.json                length penalty and beam size, if they were tuned
    confidence.json            how far translations can be trusted, if that was calibrated
    finished                   the step at which training ended, averaging included
    hub.json                   repository and commit, if it was downloaded from the Hugging Face Hub

The directories of weights and of the tokenizer have manifests (see `manifest`). The configuration
has none: users may edit it, it is validated like any other configuration, and the weights must fit
it. Tensors are safetensors and everything else is JSON or YAML: nothing that is loaded can run
code.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nmt.config.load import load_model_config
from nmt.config.schema import Config
from nmt.data.corpus import files_of as corpus_files
from nmt.errors import ConfigError, FileError, NmtError
from nmt.files import as_file_error, lock, open_lock, read_bounded, reason, refuse_link
from nmt.runs.manifest import read_manifest

_MAX_LISTED_RUNS = 20
_BEFORE_TRAINING = {"lock", "tokenizer", "config.yaml", "data.json"}
_TEMPORARY = re.compile(
    r"(?:tokenizer|averaged|shortlist|step-\d+)(?:\.old)?\.tmp|"
    r"\.(?:tokenizer|averaged|shortlist|step-\d+|config\.yaml|data\.json|finished|metrics\.jsonl|"
    r"int8\.json|decode\.json|confidence\.json)"
    r"\.[0-9a-f]{8}\.tmp"
)


def checkpoint_path(run: Path, step: int) -> Path:
    """Return the directory of the checkpoint of a step."""
    return run / "checkpoints" / f"step-{step:08d}"


def has_shortlist(run: Path) -> bool:
    """Return whether a run has a shortlist."""
    return (run / "shortlist").is_dir()


def find_run(path: Path) -> Path:
    """Return the run directory of a model.

    Args:
        path: a run directory, or a directory of weights in it (`RUN/checkpoints/step-N`).

    Raises:
        FileError: if there is no model, or a directory in it is a symbolic link.
    """
    if not os.path.isdir(path):  # False for a name that is too long, too
        on_hub = str(path).startswith("hf:")
        advice = [f"`nmt pull {path} -o RUN` makes a run of it, to write in"] if on_hub else []
        raise FileError(f"{path}: no such model directory", *advice)
    for folder in (path, *path.absolute().parents[:2]):
        if os.path.lexists(folder / "config.yaml"):
            refuse_links(folder)
            return folder
    runs = sorted(file.parent for file in path.glob("*/config.yaml"))
    if runs:
        num_others = len(runs) - _MAX_LISTED_RUNS
        raise FileError(
            f"{path}: a directory of models, not one; name one of those in it",
            *map(str, runs[:_MAX_LISTED_RUNS]),
            *([f"and {num_others} more"] if num_others > 0 else []),
        )
    marian = any((path / name).is_file() for name in ("config.json", "decoder.yml"))
    advice = [f"`nmt import {path} -o RUN` makes one of a MarianMT model"] if marian else []
    raise FileError(f"{path}: not a model: there is no config.yaml in it", *advice)


def load_run_config(run: Path) -> Config:
    """Return the configuration in a run directory.

    Raises:
        FileError: if it is missing or invalid.
    """
    try:
        return load_model_config(run / "config.yaml")
    except ConfigError as error:
        message, *details = error.args
        raise FileError(
            f"{run}: its own configuration cannot be used: {message}", *details
        ) from error


def finished_step(run: Path) -> int:
    """Return the step at which training ended, averaging included; 0 if it has not ended.

    Raises:
        FileError: if the file `finished` is not a plain file or cannot be read.
    """
    path = run / "finished"
    if not os.path.lexists(path):
        return 0
    try:
        return int(read_bounded(path, 100))
    except ValueError:
        return 0


def files_of(model: Path) -> list[Path]:
    """Return the files of a trained or exported model and of its corpora.

    No output may overwrite them. Files that cannot be determined are omitted.
    """
    try:
        run = find_run(model)
    except FileError:
        return []
    files = [run / name for name in ("config.yaml", "data.json", "metrics.jsonl", "finished")]
    files += [run / name for name in ("int8.json", "decode.json", "confidence.json", "hub.json")]
    folders = [run / "tokenizer", run / "averaged", run / "shortlist"]
    folders += [*(run / "checkpoints").glob("*")]
    files += [path for folder in folders for path in folder.glob("*")]
    with suppress(FileError):  # only an exported model has a manifest next to its configuration
        files += [run / "manifest.json", *(run / name for name in read_manifest(run)["files"])]
    with suppress(FileError):
        data = load_run_config(run).data
        for corpus in (*data.train, *data.valid_corpora, *(data.test or [])):
            with suppress(NmtError):
                files += corpus_files(corpus)
    return files


def refuse_links(run: Path) -> None:
    """Check that no directory of a run is a symbolic link.

    Raises:
        FileError: if one is.
    """
    for name in ("tokenizer", "averaged", "shortlist", "checkpoints"):
        refuse_link(run / name)
    for path in (run / "checkpoints").glob("step-*"):
        if not path.name.endswith(".tmp"):  # temporary ones are deleted, not followed
            refuse_link(path)


@contextmanager
def locked(run: Path, advice: str = "wait for it or choose another `run_dir`") -> Iterator[None]:
    """Lock the run directory for one training process.

    The operating system releases the lock when the process dies.

    Args:
        run: run directory; created if it does not exist.
        advice: what to do if another process holds the lock.

    Raises:
        FileError: if another process holds the lock, or the directory cannot be written or locked.
    """
    with as_file_error(run):
        run.mkdir(parents=True, exist_ok=True)
        for folder in (run, run / "checkpoints"):
            if folder.is_dir():  # fail now rather than at the first checkpoint
                tempfile.TemporaryFile(dir=folder).close()
        file = open_lock(run / "lock")
    with file:
        try:
            lock(file)
        except BlockingIOError as error:
            raise FileError(f"{run}: another process is training in it; {advice}") from error
        except OSError as error:
            raise FileError(
                f"{run}: cannot be locked: {reason(error)}; choose a directory on another disk"
            ) from error
        yield


@contextmanager
def removed_on_early_error(run: Path) -> Iterator[None]:
    """Remove a run directory created in this context if an error ends it early.

    Early means before the directory contains a checkpoint or a line of metrics.
    """
    created = [path for path in (run, *run.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        if created and run.is_dir() and {path.name for path in run.iterdir()} <= _BEFORE_TRAINING:
            shutil.rmtree(run, ignore_errors=True)
            with suppress(OSError):  # another process uses one of the parents by now
                for path in created[1:]:
                    path.rmdir()
        raise


def clean_up(run: Path) -> None:
    """Undo or complete the unfinished save of a process that died; the caller holds the lock.

    Raises:
        FileError: if something cannot be renamed or deleted.
    """
    with as_file_error(run, "cannot be cleaned up"):
        for path in [*run.glob("*.tmp"), *run.glob("checkpoints/*.tmp")]:
            if not _TEMPORARY.fullmatch(path.name):
                continue  # a file of the user
            directory = path.with_name(path.name.removesuffix(".old.tmp"))
            if path.name.endswith(".old.tmp") and not directory.exists():
                path.rename(directory)  # died between the renames that replace a directory
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:  # a link must not be followed
                path.unlink()


def remove_failed_start(run: Path) -> None:
    """Delete the files of a training run that ended before its first checkpoint.

    Raises:
        FileError: if there are files of these names that no training run has written.
    """
    tokenizer = run / "tokenizer"
    texts = [run / "config.yaml", run / "data.json"]
    for path in (tokenizer, *texts):
        if path.exists() and not (tokenizer / "manifest.json").is_file():
            raise FileError(
                f"{path}: exists, but not as part of a training run; choose another `run_dir`"
            )
    with as_file_error(run, "cannot be cleaned up"):
        for path in texts:
            path.unlink(missing_ok=True)
        # Renamed first: without its manifest, a partly deleted one would be refused above.
        if tokenizer.exists():
            shutil.rmtree(tokenizer.rename(run / "tokenizer.tmp"))
