"""The cache of prepared data and tokenizers: one directory per entry, named after its inputs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nmt.config.schema import DataConfig
from nmt.errors import FileError
from nmt.files import MAX_JSON_BYTES, as_file_error, measure, read_bounded, reason

_CHECKSUMS_FILE = "checksums.json"


def directory(data: DataConfig | None) -> Path:
    """Return `data.cache_dir`, or `$NMT_CACHE_DIR`, or `nmt` in the user's cache directory."""
    if data and data.cache_dir is not None:
        return Path(data.cache_dir)
    if named := os.environ.get("NMT_CACHE_DIR"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nmt"


def key(**parts: Any) -> str:
    """Return a hash of JSON values."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def entry(
    data: DataConfig | None,
    name: str,
    build: Callable[[Path], None],
    warn: Callable[[str], object] | None = None,
) -> Path:
    """Return the directory of a cache entry, after building it if it is missing or damaged.

    An entry appears complete or not at all: `build` fills a temporary directory, which is then
    renamed. If two processes build the same entry, the one that finishes first wins, and the
    other uses its result.

    Args:
        data: holds the location of the cache; without it, the user's.
        name: name of the entry, which contains a hash of its inputs.
        build: writes files into the directory that it is given.
        warn: called with a message when a damaged entry is built again.

    Raises:
        FileError: if the cache cannot be written.
    """
    target = directory(data) / name
    if target.is_dir():
        problem = _problem(target)
        if not problem:
            return target
        if warn:
            warn(f"warning: {problem}; building it again")
        _discard(target)
    work = target.with_name(f".{name}.{secrets.token_hex(4)}")
    try:
        work.mkdir(parents=True)
        build(work)
        sums = {path.name: measure(path) for path in sorted(work.iterdir())}
        (work / _CHECKSUMS_FILE).write_text(json.dumps(sums), "utf-8")
        for path in work.iterdir():
            _sync(path)
        _rename(work, target)
    except OSError as error:
        raise FileError(
            f"{target.parent}: cannot write the cache: {reason(error)}; "
            f"set {'data.cache_dir' if data else 'NMT_CACHE_DIR'}=DIRECTORY to move it"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _problem(directory: Path) -> str:
    """Return what is wrong with an entry according to its checksums, or an empty text."""
    try:
        sums = json.loads(read_bounded(directory / _CHECKSUMS_FILE, MAX_JSON_BYTES))
        for name, expected in sums.items():
            if measure(directory / name) != expected:
                return f"{directory / name}: damaged: its checksum does not match"
    except OSError as error:
        return f"{error.filename}: cannot be read: {error.strerror}"
    except (FileError, ValueError, AttributeError) as error:
        return f"{directory}: damaged: {error}"
    return ""


def _discard(directory: Path) -> None:
    """Delete a damaged entry atomically, unless another process has already done so."""
    doomed = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    problem = "damaged, and cannot be deleted"
    with as_file_error(directory, problem), contextlib.suppress(FileNotFoundError):
        directory.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _rename(work: Path, target: Path) -> None:
    try:
        work.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another process was faster
            raise
