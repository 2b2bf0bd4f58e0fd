"""Files: read with bounds, written whole or not at all, and never read and written at once.

One rule holds for all outputs. A file that the user names is written through a link to the link's
target. A file that nmt names (a temporary one, FILE.partial, those of a run directory) never
leads through a link: somebody else may have put it there.
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
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from nmt.errors import ConfigError, FileError


def _imported(name: str) -> Any:
    """Import a module that only some systems have; without it, None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl, _msvcrt = _imported("fcntl"), _imported("msvcrt")
_LOCKED_BYTE = 1 << 40  # Windows keeps others from reading a byte that is locked

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

_NAME_KEPT = 60
"""Characters of a file's name that its temporary name has: no name may have over 255 bytes."""


@contextlib.contextmanager
def as_file_error(path: str | Path, what: str = "cannot be written") -> Iterator[None]:
    """Turn errors of the system into a FileError about a file."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: {what}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Say why something failed, without the path that the caller names anyway."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def is_standard(path: Path | None) -> bool:
    """Tell whether a path stands for the standard input or output: `-`, or none at all."""
    return path is None or str(path) == "-"


# ---------------------------------------------------------------- reading what others may have made


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


# ---------------------------------------------------------------- writing


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the name of a path when the block ends well.

    A link of that name is replaced, not followed.

    Raises:
        FileError: it cannot be written; what was there before is untouched.
    """
    temporary = temporary_name(path)
    # Closing a file may write to it, so all of it is in here.
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
    """Make up a name beside a path that no file has: `.NAME.12345678.tmp`."""
    return path.with_name(f".{path.name[:_NAME_KEPT]}.{secrets.token_hex(4)}.tmp")


def clear_temporaries(path: Path) -> None:
    """Delete what `replacing` left when the process died; for the only process that writes there.

    Raises:
        OSError: a file cannot be deleted.
    """
    pattern = re.escape(f".{path.name[:_NAME_KEPT]}.") + r"[0-9a-f]{8}\.tmp"
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if re.fullmatch(pattern, entry.name)]
    for name in names:
        path.with_name(name).unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a small text file whole, as `replacing` does.

    Raises:
        FileError: it cannot be written.
    """
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


@contextlib.contextmanager
def writing(path: Path | None) -> Iterator[BinaryIO]:
    """Open an output that the user has named.

    The file gets its name only when it is whole. What is there and is no file, a pipe for
    instance, is written as the data comes.

    Args:
        path: a file, or a link to one; the data is compressed if the name ends in .gz. None and
            `-` are the standard output.

    Raises:
        FileError: the file cannot be written.
        OSError: the standard output cannot be written.
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
        # Without a name and time in it, equal content makes equal files.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
            yield zipped  # type: ignore[misc]  # it has all that a BinaryIO needs


def write_lines(lines: Iterable[str], path: Path | None) -> None:
    """Write lines as UTF-8; to the standard output, a pipe or a terminal each at once.

    Args:
        lines: without line ends.
        path: as for `writing`.

    Raises:
        FileError: the file cannot be written.
        OSError: the standard output cannot be written.
    """
    with writing(path) as file:
        for line in lines:
            file.write(line.encode("utf-8") + b"\n")
            if is_standard(path):
                file.flush()


def target_of(path: Path) -> Path:
    """Follow a link to what it leads to, there or not; any other path stays as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def open_own(path: Path) -> io.FileIO:
    """Open a file whose name nmt has chosen, for appending; it is made if it is not there.

    Raises:
        FileError: something is in the way: a link, a pipe, or a second name of another file.
        OSError: it cannot be opened.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | _SAFELY
    if not path.is_symlink():

        def opened(name: str, _: int) -> int:
            return os.open(name, flags, 0o666)

        file = open(path, "ab", buffering=0, opener=opened)  # noqa: SIM115
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            return file
        file.close()
    raise FileError(f"{path}: a link, or not a file: delete it, or choose another --output")


def lock(file: IO[Any] | io.RawIOBase) -> None:
    """Lock an open file for this process until it is closed, by the end of the process if need be.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file cannot be locked.
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


# ---------------------------------------------------------------- outputs that are read


def refuse_inputs(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse to write a file that is read, by whatever path or link it is named.

    Args:
        outputs: files that will be written; None and `-` are the standard output.
        inputs: files that are read; None and `-` are the standard input.

    Raises:
        ConfigError: an output is an input.
    """
    read = [(path, _identity(path, sys.stdin)) for path in inputs]
    for output in outputs:
        identity = _identity(output, sys.stdout)
        for path, other in read:
            if identity is not None and identity == other:
                written = "the standard output" if is_standard(output) else output
                source = "the standard input" if is_standard(path) else path
                raise ConfigError(
                    f"{written}: the same file as {source}, which is read: choose another output"
                )


def refuse_inside(output: Path, folder: Path) -> None:
    """Refuse an output in a folder that is read, or the folder itself.

    Raises:
        ConfigError: it is there.
    """
    if not folder.is_dir():
        return
    place = Path(os.path.realpath(output))
    if any(above.exists() and above.samefile(folder) for above in (place, *place.parents)):
        raise ConfigError(f"{output}: inside of {folder}, which is read: choose another output")


def _identity(path: Path | None, standard: Any) -> tuple[int, int] | str | None:
    """Tell a file from others: by what the system knows it by, or by its path if it is not there.

    Nothing tells pipes, terminals and devices apart, which may be read and written at once.
    """
    try:
        status = os.fstat(standard.fileno()) if path is None or is_standard(path) else path.stat()
    except (OSError, ValueError, AttributeError):
        return None if path is None or is_standard(path) else os.path.realpath(path)
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
