"""Directories that are written whole or not at all, and checked before they are loaded.

Every directory of weights, and the tokenizer's, has a manifest with the size and SHA-256 of each
file. The manifest is written last, and the directory gets its name after that, so a directory with
a final name is complete.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from nmt.data import cache
from nmt.errors import FileError
from nmt.files import (
    MAX_JSON_BYTES,
    as_file_error,
    measure,
    read_bounded,
    reason,
    temporary_name,
)
from nmt.version import __version__

FORMAT = 1
"""Version of the layout; a newer one is refused."""

VERSIONS = ("nmt", "torch", "sentencepiece", "python")
"""The programs whose versions a manifest records."""

_WEIGHTS = frozenset({"weights.safetensors", "state.json"})
_TOKENIZERS = ({"spm.model"}, {"src.model", "tgt.model"})


def save_directory(directory: Path, fill: Callable[[Path], object]) -> None:
    """Write a directory of files and their manifest, whole or not at all.

    Args:
        directory: final name; an existing directory is replaced.
        fill: writes the files into the directory it is given. If it raises, nothing is left
            behind.

    Raises:
        OSError: if it cannot be written; the directory that existed before is unchanged.
    """
    temporary = temporary_name(directory)
    try:
        temporary.mkdir(parents=True)
        fill(temporary)
        files = {path.name: measure(path) for path in sorted(temporary.iterdir())}
        manifest = temporary / "manifest.json"
        write_json(manifest, {"format": FORMAT, **_versions(), "files": files})
        # safetensors creates files that only their owner can read, whatever the umask.
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


def delete_directory(directory: Path) -> None:
    """Delete a directory of weights; if interrupted, no incomplete directory keeps its name.

    Raises:
        FileError: if it cannot be deleted.
    """
    doomed = directory.with_name(directory.name + ".tmp")
    shutil.rmtree(doomed, ignore_errors=True)
    with as_file_error(directory, "cannot be deleted"):
        directory.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def problems(
    directory: Path,
    names: Collection[str] | None = None,
    measure: Callable[[Path], dict[str, Any]] = measure,
) -> Iterator[str]:
    """Compare a directory with its manifest.

    Args:
        directory: the directory.
        names: files to compare; by default all that the manifest lists.
        measure: returns size and checksum of a file.

    Yields:
        A message if the manifest cannot be used, or for each file that is missing, changed, or
        not a plain file in the directory itself.
    """
    try:
        files = read_manifest(directory)["files"]
    except FileError as error:
        yield str(error)
        return
    for name, expected in files.items():
        is_elsewhere = Path(name).name != name
        if names is not None and name not in names and not is_elsewhere:
            continue
        path = directory / name
        try:
            if is_elsewhere or path.is_symlink() or not path.is_file():
                yield f"{path}: missing, or not a plain file of the model directory"
            elif measure(path) != expected:
                yield (
                    f"{path}: damaged, it differs from its manifest: copy it again, "
                    "or name another checkpoint"
                )
        except OSError as error:
            yield f"{path}: cannot be read: {reason(error)}"


def verify(directory: Path, *, for_training: bool = True) -> None:
    """Check a directory of weights against its manifest.

    Args:
        directory: the directory.
        for_training: check the state of the optimizer, too, which is twice as large, and read all
            files. Otherwise, weights that have not changed since the last time are not read.

    Raises:
        FileError: if it has `problems` (the first is reported), or the manifest does not list the
            weights.
    """
    names, measured = (None, measure) if for_training else (_WEIGHTS, cache.measured)
    if not _verified_names(directory, names, measured) >= _WEIGHTS:
        raise FileError(
            f"{directory / 'manifest.json'}: does not list weights.safetensors and state.json"
        )


def verify_tokenizer(run: Path) -> None:
    """Check the tokenizer of a run against its manifest.

    Raises:
        FileError: if it has `problems` (the first is reported), or its models are not the ones
            that the manifest lists.
    """
    directory = run / "tokenizer"
    listed = _verified_names(directory)
    if listed not in _TOKENIZERS or listed != {path.name for path in directory.glob("*.model")}:
        raise FileError(f"{directory}: not the SentencePiece models that its manifest lists")


def _verified_names(
    directory: Path,
    names: Collection[str] | None = None,
    measure: Callable[[Path], dict[str, Any]] = measure,
) -> set[str]:
    """Return the names in a manifest; raise a FileError with the first problem, if any."""
    for problem in problems(directory, names, measure):
        raise FileError(problem)
    return set(read_manifest(directory)["files"])


def read_manifest(directory: Path) -> dict[str, Any]:
    """Return the content of manifest.json in a directory.

    Raises:
        FileError: if it is missing, not written by `save_directory`, or in a newer format.
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


def read_json(path: Path, *, plain: bool = True) -> dict[str, Any]:
    """Return the JSON object in a file.

    Args:
        path: the file.
        plain: refuse links; the cache of Hugging Face consists of them.

    Raises:
        FileError: if it is missing, not a plain file, not JSON, or not an object.
    """
    content = read_bounded(path, MAX_JSON_BYTES, plain=plain)
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise FileError(f"{path}: not a JSON object")
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON.

    Raises:
        OSError: if the file cannot be written.
        ValueError: if the value contains a number that is not finite.
    """
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    """Return the installed versions of `VERSIONS`."""
    libraries = {name: importlib.metadata.version(name) for name in ("torch", "sentencepiece")}
    return {"nmt": __version__, **libraries, "python": platform.python_version()}


def _replace_directory(temporary: Path, directory: Path) -> None:
    """Rename a complete directory to its final name, moving an existing one away first."""
    old = directory.with_name(directory.name + ".old.tmp")
    replaces = directory.exists()
    if replaces:
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
    temporary.rename(directory)
    if replaces:
        shutil.rmtree(old, ignore_errors=True)


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a directory
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
