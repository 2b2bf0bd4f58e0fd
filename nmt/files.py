"""Bounded reading, atomic writing, locks, and checks that no output is also an input.

A file that the user names may be a symbolic link, which is followed. A file that nmt names (a
temporary file, FILE.partial, a file in a run directory) must not be one: someone else may have
put it there.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib
import io
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

from nmt.errors import ConfigError, FileError


def _imported(name: str) -> Any:
    """Return a module that only some systems have, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl, _msvcrt = _imported("fcntl"), _imported("msvcrt")
_LOCKED_BYTE = 1 << 40  # past the content, since Windows makes a locked byte unreadable

MAX_YAML_BYTES = 1 << 20
MAX_JSON_BYTES = 1 << 24
MAX_TOKENIZER_BYTES = 1 << 28
MAX_METRICS_BYTES = 1 << 29

_SAFE_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}

_NAME_KEPT = 60
"""Characters of a file's name kept in its temporary name; a name is limited to 255 bytes."""


@contextlib.contextmanager
def as_file_error(path: str | Path, problem: str = "cannot be written") -> Iterator[None]:
    """Turn an OSError into a FileError with the given path and problem."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: {problem}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return why something failed, without the path, which the caller names."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def is_standard(path: str | Path | None) -> bool:
    """Return whether a path means standard input or output: `-` or None."""
    return path is None or str(path) == "-"


# ---------------------------------------------------------------- reading


def open_plain(path: Path) -> BinaryIO:
    """Open a file of a model directory for reading.

    Links are not followed, and devices and named pipes are refused without blocking.

    Raises:
        FileError: if it is not a plain file.
        OSError: if it is missing or cannot be opened.
    """
    _refuse_special(path, path.lstat())
    return _open_checked(path, os.O_RDONLY | getattr(os, "O_BINARY", 0), "rb")


def open_lock(path: Path) -> BinaryIO:
    """Open a file for `lock`, creating it if it is missing.

    Raises:
        FileError: if it is not a plain file.
        OSError: if it cannot be opened.
    """
    return _open_checked(path, os.O_WRONLY | os.O_CREAT, "wb")


def _open_checked(path: Path, flags: int, mode: Literal["rb", "wb"]) -> BinaryIO:
    descriptor = os.open(path, flags | _SAFE_FLAGS, 0o666)
    try:
        _refuse_special(path, os.fstat(descriptor))  # it may have been replaced meanwhile
        return os.fdopen(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: Path, limit: int, *, plain: bool = True) -> bytes:
    """Return the content of a small file.

    Args:
        path: the file.
        limit: maximum size in bytes.
        plain: refuse anything but a plain file, as for the files of a model. Otherwise links are
            followed and pipes are read, as for files that the user has named.

    Raises:
        FileError: if it is missing, too large, not a plain file, or cannot be read.
    """
    try:
        with open_plain(path) if plain else path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
        raise FileError(f"{path}: cannot be read: {reason(error)}") from error
    if len(content) > limit:
        raise FileError(f"{path}: cannot be read: larger than {limit:,} bytes")
    return content


def measure(path: Path) -> dict[str, Any]:
    """Return the `size` in bytes and `sha256` of a plain file, in the form of a manifest.

    Raises:
        FileError: if it is not a plain file.
        OSError: if it cannot be read.
    """
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
        return {"size": file.tell(), "sha256": digest.hexdigest()}


def refuse_link(path: Path) -> None:
    """Check that a model directory is not a symbolic link; it may be missing.

    Raises:
        FileError: if it is one.
    """
    if path.is_symlink():
        raise FileError(f"{path}: a symbolic link, not a plain file of the model directory")


def _refuse_special(path: Path, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        name = _KINDS.get(kind, "a special file")
        raise FileError(f"{path}: {name}, not a plain file of the model directory")


# ---------------------------------------------------------------- writing


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces `path` if the block ends without an exception.

    If `path` is a link, the link itself is replaced.

    Raises:
        FileError: if it cannot be written; `path` is then unchanged.
    """
    temporary = temporary_name(path)
    # Closing the file can write to it and fail, so it is closed within `as_file_error`.
    with as_file_error(path), contextlib.ExitStack() as stack:
        file = open(temporary, "xb")  # noqa: SIM115  # closed before it is deleted
        stack.callback(temporary.unlink, missing_ok=True)
        stack.enter_context(file)
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()
        temporary.replace(path)


def temporary_name(path: Path) -> Path:
    """Return an unused name in the same directory: `.NAME.12345678.tmp`."""
    return path.with_name(f".{path.name[:_NAME_KEPT]}.{secrets.token_hex(4)}.tmp")


def clear_temporaries(path: Path) -> None:
    """Delete temporary files of `path` that `replacing` left when a process died.

    Only safe while no other process writes `path`.

    Raises:
        OSError: if a file cannot be deleted.
    """
    pattern = re.escape(f".{path.name[:_NAME_KEPT]}.") + r"[0-9a-f]{8}\.tmp"
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if re.fullmatch(pattern, entry.name)]
    for name in names:
        path.with_name(name).unlink(missing_ok=True)


def refuse_existing(output: Path) -> None:
    """Check that an output directory is new or empty.

    Raises:
        FileError: if it is not.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileError(f"{output}: already exists; name a new directory")


@contextlib.contextmanager
def new_directory(output: Path) -> Iterator[Path]:
    """Yield a directory to fill, which becomes `output` when the block ends, or disappears.

    Args:
        output: to be created; see `refuse_existing`.

    Raises:
        FileError: if it cannot be written.
    """
    temporary = temporary_name(output)
    with as_file_error(output):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if output.is_dir():
                output.rmdir()
            temporary.rename(output)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 text file atomically, as `replacing` does.

    Raises:
        FileError: if it cannot be written.
    """
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


@contextlib.contextmanager
def writing(path: Path | None) -> Iterator[BinaryIO]:
    """Open an output that the user has named.

    A file is replaced only when the block ends without an exception. A pipe or a device is
    written directly.

    Args:
        path: a file or a link to one, compressed if the name ends in .gz. None and `-` mean
            standard output.

    Raises:
        FileError: if the file cannot be written.
        OSError: if standard output cannot be written.
    """
    if path is None or is_standard(path):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = target_of(path)
    if target.exists() and not target.is_file():
        with as_file_error(path), open(target, "wb") as pipe:
            yield pipe
        return
    with as_file_error(path), replacing(target) as file:
        if path.suffix != ".gz":
            yield file
            return
        # Without a name and a time in the header, the same content gives the same bytes.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
            yield zipped  # type: ignore[misc]  # it has every method of a BinaryIO


def write_lines(lines: Iterable[str], path: Path | None) -> None:
    """Write lines as UTF-8, flushing standard output after each line.

    Args:
        lines: lines without line ends.
        path: as for `writing`.

    Raises:
        FileError: if the file cannot be written.
        OSError: if standard output cannot be written.
    """
    with writing(path) as file:
        for line in lines:
            file.write(line.encode("utf-8") + b"\n")
            if is_standard(path):
                file.flush()


def target_of(path: Path) -> Path:
    """Return the target of a link, existing or not, and any other path unchanged."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def open_own(path: Path) -> io.FileIO:
    """Open a file for appending whose name nmt has chosen, creating it if it is missing.

    Raises:
        FileError: if the path is a symbolic link, a hard link to another file, or not a file.
        OSError: if it cannot be opened.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | _SAFE_FLAGS
    if not path.is_symlink():
        file = open(  # noqa: SIM115
            path, "ab", buffering=0, opener=lambda name, _: os.open(name, flags, 0o666)
        )
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            return file
        file.close()
    raise FileError(f"{path}: a link or not a file; delete it, or choose another `output`")


def lock(file: IO[Any] | io.RawIOBase) -> None:
    """Lock an open file for this process until it is closed or the process ends.

    Raises:
        BlockingIOError: if another process holds the lock.
        OSError: if the file cannot be locked.
    """
    if _fcntl is not None:
        _fcntl.flock(file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    elif _msvcrt is not None:
        position = file.tell()
        file.seek(_LOCKED_BYTE)
        try:
            _msvcrt.locking(file.fileno(), _msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from error
        finally:
            file.seek(position)


# ---------------------------------------------------------------- outputs that are also inputs


def refuse_inputs(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Check that no output is the same file as an input, through any path or link.

    Args:
        outputs: files to be written; None and `-` mean standard output.
        inputs: files to be read; None and `-` mean standard input.

    Raises:
        ConfigError: if an output is an input.
    """
    read = [(path, _identity(path, sys.stdin)) for path in inputs]
    for output in outputs:
        identity = _identity(output, sys.stdout)
        for path, other in read:
            if identity is not None and identity == other:
                written = "standard output" if is_standard(output) else output
                source = "standard input" if is_standard(path) else path
                raise ConfigError(
                    f"{written}: the same file as {source}, which is an input; "
                    "choose another output"
                )


def refuse_inside(output: Path, folder: Path) -> None:
    """Check that an output is neither an input directory nor inside it.

    Raises:
        ConfigError: if it is.
    """
    if not folder.is_dir():
        return
    target = Path(os.path.realpath(output))
    if any(path.exists() and path.samefile(folder) for path in (target, *target.parents)):
        raise ConfigError(f"{output}: inside {folder}, which is an input; choose another output")


def _identity(path: Path | None, standard: Any) -> tuple[int, int] | str | None:
    """Return a file's identity: device and inode, or the real path if it does not exist.

    Returns:
        None for pipes, terminals and devices, which may be input and output at once.
    """
    try:
        status = os.fstat(standard.fileno()) if path is None or is_standard(path) else path.stat()
    except (OSError, ValueError, AttributeError):
        return None if path is None or is_standard(path) else os.path.realpath(path)
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
