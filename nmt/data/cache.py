"""Things made once and kept: one directory each, named after what it was made from."""

from __future__ import annotations

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
from nmt.files import MAX_JSON_BYTES, measure, read_bounded

_CHECKSUMS_FILE = "checksums.json"


def directory(data: DataConfig) -> Path:
    """Where cached things are kept: `data.cache_dir`, else `nmt` in the user's cache directory."""
    if data.cache_dir is not None:
        return Path(data.cache_dir)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nmt"


def key(**parts: Any) -> str:
    """Hash JSON values into a name that changes when any of them does."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def entry(
    data: DataConfig,
    name: str,
    build: Callable[[Path], None],
    warn: Callable[[str], object] | None = None,
) -> Path:
    """Return the directory of a cached thing, after making it if it is not there or is damaged.

    It appears under its name at once and complete, or not at all: `build` fills a directory
    beside it, which is renamed. Of two processes that make the same thing, the one that ends
    first wins and the other takes over its work.

    Args:
        data: says where the cache is.
        name: name of the directory, which holds the key of its content.
        build: writes files into the directory that it is given.
        warn: told of what is damaged and made again.

    Raises:
        FileError: the cache cannot be written.
    """
    target = directory(data) / name
    if target.is_dir():
        fault = _fault(target)
        if not fault:
            return target
        if warn:
            warn(f"warning: {fault}; it is made again")
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
            f"{target.parent}: cannot write the cache: {error.strerror or error}; "
            "data.cache_dir=DIRECTORY puts it elsewhere"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _fault(directory: Path) -> str:
    """Compare the files of a cached thing with their checksums; say what is wrong, if anything."""
    try:
        sums = json.loads(read_bounded(directory / _CHECKSUMS_FILE, MAX_JSON_BYTES))
        for name, expected in sums.items():
            if measure(directory / name) != expected:
                return f"{directory / name}: damaged, it differs from its checksum"
    except OSError as error:
        return f"{error.filename}: cannot be read: {error.strerror}"
    except (FileError, ValueError, AttributeError) as error:
        return f"{directory}: damaged: {error}"
    return ""


def _discard(directory: Path) -> None:
    """Delete a damaged thing at once, unless another process has done so."""
    doomed = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    try:
        directory.rename(doomed)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileError(f"{directory}: damaged, and cannot be removed: {error.strerror}") from error
    shutil.rmtree(doomed, ignore_errors=True)


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _rename(work: Path, target: Path) -> None:
    try:
        work.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster
            raise
