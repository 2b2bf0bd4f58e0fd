"""Reading files that somebody else may have made."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from nmt.errors import FileError

MAX_YAML_BYTES = 1 << 20
MAX_JSON_BYTES = 1 << 24
MAX_TOKENIZER_BYTES = 1 << 28
MAX_METRICS_BYTES = 1 << 29

_SAFELY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}


def open_plain(path: Path) -> BinaryIO:
    """Open a file of a model for reading.

    A link is not followed, a device is not opened, and a named pipe does not make us wait.

    Raises:
        FileError: it is not a plain file.
        OSError: it is missing or cannot be opened.
    """
    _refuse_special(path, path.lstat())
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | _SAFELY)
    try:
        _refuse_special(path, os.fstat(descriptor))  # it may have been exchanged meanwhile
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_lock(path: Path) -> BinaryIO:
    """Open a file to lock it, and make it if it is not there.

    Raises:
        FileError: it is not a plain file.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | _SAFELY, 0o666)
    try:
        _refuse_special(path, os.fstat(descriptor))
        return os.fdopen(descriptor, "wb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: Path, limit: int, *, plain: bool = True) -> bytes:
    """Read a small file whole.

    Args:
        path: the file.
        limit: bytes that it may have.
        plain: refuse everything but a plain file, as for the files of a model. Without it, links
            are followed and pipes are read, as for a file that the user has named.

    Raises:
        FileError: it is missing, too large, not a plain file, or cannot be read.
    """
    try:
        with open_plain(path) if plain else path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: the path holds a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise FileError(f"{path}: cannot be read: {reason}") from error
    if len(content) > limit:
        raise FileError(f"{path}: cannot be read: it has more than {limit:,} bytes")
    return content


def measure(path: Path) -> dict[str, Any]:
    """Return the size and the SHA-256 of a plain file, as a manifest has them.

    Raises:
        FileError: it is not a plain file.
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open_plain(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
        return {"size": file.tell(), "sha256": digest.hexdigest()}


def refuse_link(path: Path) -> None:
    """Check that a directory of a model is not a symbolic link.

    Raises:
        FileError: it is one. One that is missing is not.
    """
    if path.is_symlink():
        raise FileError(f"{path}: a symbolic link, not a plain file of the model directory")


def _refuse_special(path: Path, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "something else")
        raise FileError(f"{path}: {what}, not a plain file of the model directory")
