"""The cache of prepared data, tokenizers and models: one directory per entry.

It also remembers the checksums of large files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import IO, Any

from nmt.config.data import DataConfig
from nmt.errors import FileError
from nmt.files import (
    MAX_JSON_BYTES,
    as_file_error,
    lock,
    measure,
    open_lock,
    read_bounded,
    reason,
    write_text,
)

Build = Callable[[Path], None]

_CHECKSUMS_FILE = "checksums.json"
_POLL_SECONDS = 0.2
_LARGE_BYTES = 1 << 20
# Time stamps are coarse: a file may change twice within one.
_SETTLED_SECONDS = 2


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


def measured(path: Path) -> dict[str, Any]:
    """Return what `measure` does, without reading a large file again that has not changed.

    Translation verifies its weights at every start, and reading 240 MB, as for a base model, takes
    tenths of a second. As in git's index, a file counts as changed if its inode, its size, or the
    time at which content or inode changed differs. Damage that changes none of them goes unnoticed
    here; `nmt info` reads the file again.

    Raises:
        FileError, OSError: as in `measure`.
    """
    status = path.lstat()
    if status.st_size < _LARGE_BYTES:
        return measure(path)
    times = [status.st_mtime_ns, status.st_ctime_ns]
    stamp = [status.st_dev, status.st_ino, status.st_size, *times]
    memory = directory(None) / "measured" / f"{key(path=str(path.absolute()))}.json"
    with contextlib.suppress(FileError, ValueError, KeyError, TypeError):
        remembered = json.loads(read_bounded(memory, MAX_JSON_BYTES))
        if remembered["stamp"] == stamp:
            return {"size": status.st_size, "sha256": str(remembered["sha256"])}
    found = measure(path)
    if time.time() - max(times) / 1e9 > _SETTLED_SECONDS:
        with contextlib.suppress(FileError, OSError):  # the cache may be read-only
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_text(memory, json.dumps({"stamp": stamp, "sha256": found["sha256"]}))
    return found


def entry(
    data: DataConfig | None,
    name: str,
    build: Build,
    warn: Callable[[str], object] | None = None,
    wait: Callable[[], object] | None = None,
) -> Path:
    """Return the directory of one cache entry; see `entries`."""
    return entries(data, {name: build}, warn, wait)[name]


def entries(
    data: DataConfig | None,
    builds: Mapping[str, Build],
    warn: Callable[[str], object] | None = None,
    wait: Callable[[], object] | None = None,
) -> dict[str, Path]:
    """Return the directories of cache entries, after building those that are missing or damaged.

    An entry appears complete or not at all: `build` fills a temporary directory, which is then
    renamed. Processes that share the cache share the work, also on several machines: each builds
    what no other is building, and waits for the rest. If one is killed, another takes over.

    Args:
        data: holds the location of the cache; without it, the user's.
        builds: for the name of each entry, which contains a hash of its inputs, a function that
            writes files into the directory that it is given, also in folders in it.
        warn: called with a message when a damaged entry is built again.
        wait: called several times per second while other processes build. It may raise an
            exception to end the wait.

    Raises:
        FileError: if the cache cannot be written.
    """
    folder = directory(data)
    targets = {name: folder / name for name in builds}
    missing = [name for name, target in targets.items() if not _is_intact(target, warn)]
    try:
        while missing:
            busy = [name for name in missing if not _build_unless_busy(targets[name], builds[name])]
            missing = [name for name in busy if not targets[name].is_dir()]
            if missing:
                if wait:
                    wait()
                time.sleep(_POLL_SECONDS)
    except OSError as error:
        raise FileError(
            f"{folder}: cannot write the cache: {reason(error)}; "
            f"set {'data.cache_dir' if data else 'NMT_CACHE_DIR'}=DIRECTORY to move it"
        ) from error
    return targets


def _is_intact(target: Path, warn: Callable[[str], object] | None) -> bool:
    """Return whether an entry exists and is not damaged; discard a damaged one."""
    if not target.is_dir():
        return False
    problem = _problem(target)
    if not problem:
        return True
    if warn:
        warn(f"warning: {problem}; building it again")
    with _locked(target) as state:
        # Another process may have built it again meanwhile.
        if state is not _Lock.BUSY and target.is_dir() and _problem(target):
            _discard(target)
    return False


def _build_unless_busy(target: Path, build: Build) -> bool:
    """Build an entry unless it exists by now; return False if another process is building it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target) as state:
        if state is _Lock.BUSY:
            return False
        if state is _Lock.HELD:
            _remove_unfinished(target)
        # On a file system without locks, two processes may do the same work.
        if not target.is_dir():
            _build(target, build)
    return True


class _Lock(Enum):
    """Whether this process may build an entry."""

    HELD = "held"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[_Lock]:
    """Lock an entry for this process, if no other has locked it."""
    path = target.with_name(f".{target.name}.lock")
    with open_lock(path) as file:
        try:
            lock(file)
        except BlockingIOError:
            yield _Lock.BUSY
            return
        except OSError:
            yield _Lock.UNAVAILABLE
            return
        if not _is_at(path, file):  # another process was faster, and has removed the file
            yield _Lock.BUSY
            return
        try:
            yield _Lock.HELD
        finally:
            with contextlib.suppress(OSError):  # Windows keeps open files
                path.unlink()


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Return whether an open file is still the one at a path."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _remove_unfinished(target: Path) -> None:
    """Remove what killed processes have left; the lock is held, so no other is alive."""
    for path in target.parent.glob(f".{target.name}.*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _build(target: Path, build: Build) -> None:
    work = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        work.mkdir()
        build(work)
        files = [path for path in sorted(work.rglob("*")) if not path.is_dir()]
        sums = {path.relative_to(work).as_posix(): measure(path) for path in files}
        (work / _CHECKSUMS_FILE).write_text(json.dumps(sums), "utf-8")
        for path in (*files, work / _CHECKSUMS_FILE):
            _sync(path)
        _rename(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _problem(directory: Path) -> str:
    """Return what is wrong with an entry according to its checksums, or an empty text."""
    try:
        sums = json.loads(read_bounded(directory / _CHECKSUMS_FILE, MAX_JSON_BYTES))
        for name, expected in sums.items():
            if measured(directory / name) != expected:
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
