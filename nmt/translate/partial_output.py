"""The files of a translation that is not complete: the partial output, and its journal.

Until the output FILE is complete, there are two files next to it:

    FILE.partial    the output so far, uncompressed
    FILE.journal    JSON: the settings of the translation, and how far it has got

The journal is replaced after each window, once the partial output has been flushed to disk. On
resuming, the partial output is truncated to the size in the journal. The batches of a window are
not in line order, so within a window the journal holds the results of its batches; it is replaced
once per second.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from nmt import files
from nmt.errors import DataError, FileError
from nmt.translate.translation import ScoredText

_MAX_JOURNAL_BYTES = 1 << 30
_SAVE_INTERVAL_SECONDS = 1.0
_EMPTY_SHA256 = hashlib.sha256().hexdigest()


class Journal(BaseModel):
    """The settings of a translation, and how far it has got."""

    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")

    job: dict[str, Any]
    lines: NonNegativeInt = 0
    """Number of input lines translated."""
    input_sha256: str = _EMPTY_SHA256
    """Hash of those lines."""
    size: NonNegativeInt = 0
    """Valid bytes of the partial output."""
    output_sha256: str = _EMPTY_SHA256
    """Hash of those bytes."""
    flags: dict[int, tuple[str, ...]] = Field(default_factory=dict)
    """What may be wrong with the translations of those lines, where anything is."""
    searched: dict[str, list[list[ScoredText]]] = Field(default_factory=dict)
    """Results of batches of the current window."""

    def progress(self) -> str:
        """Return which lines are translated; empty if none are."""
        num_more = sum(map(len, self.searched.values()))
        if not self.lines and not num_more:
            return ""
        return f"up to line {self.lines}" + (f" and {num_more} more" if num_more else "")


def is_finished(path: Path) -> bool:
    """Return whether an output exists and no unfinished translation would replace it."""
    if not path.exists() or partial_path(path).exists():
        return False
    journal_path(path).unlink(missing_ok=True)  # left if the process was killed at the very end
    return True


def written_files(path: Path) -> list[Path]:
    """Return all the files that a translation into a file writes."""
    return [path, partial_path(path), journal_path(path)]


class InputChanged(DataError):
    """The input does not match the journal."""


class CheckedInput:
    """Yields the lines of the input, hashes them, and compares them with the journal.

    Attributes:
        count: number of lines read.
        digest: SHA-256 of the lines read.
    """

    def __init__(self, lines: Iterable[str], journal: Journal) -> None:
        self.count = 0
        self.digest = hashlib.sha256()
        self._lines = lines
        self._expected = (journal.lines, journal.input_sha256)

    def __iter__(self) -> Iterator[str]:
        """Yield the lines.

        Raises:
            InputChanged: if they are not those in the journal.
        """
        num_expected, sha256 = self._expected
        for line in self._lines:
            self.digest.update(line.encode("utf-8") + b"\n")
            self.count += 1
            if self.count == num_expected and self.digest.hexdigest() != sha256:
                raise InputChanged(
                    f"the input has changed: its first {num_expected} lines are not the ones "
                    "already translated; leave out `resume` to start again"
                )
            yield line
        if self.count < num_expected:
            raise InputChanged(
                f"the input has changed: it ends after line {self.count}, but {num_expected} lines "
                "are already translated; leave out `resume` to start again"
            )


class PartialOutput:
    """The partial output and its journal.

    Args:
        path: path of the final output.
        file: the partial output, open for appending; truncated to the size in the journal.
        journal: the progress so far.

    Raises:
        FileError: if the file does not match the journal, or cannot be written.
    """

    def __init__(self, path: Path, file: io.FileIO, journal: Journal) -> None:
        self.path, self.journal = path, journal
        self._file = file
        self._saved_progress, self._saved_at = "", -math.inf
        self._is_complete = False
        with files.as_file_error(path):
            self._digest = _sha256(partial_path(path), journal.size)
            if self._digest.hexdigest() != journal.output_sha256:
                raise FileError(
                    f"{partial_path(path)}: does not match {journal_path(path)}: it has been "
                    "changed; leave out `resume` to start again"
                )
            self._write_journal()
            self._saved_at = -math.inf  # save the first batch at once
            file.truncate(journal.size)

    def find(self, batch: str) -> list[list[ScoredText]] | None:
        """Return the results of a batch of the current window, if they are in the journal."""
        return self.journal.searched.get(batch)

    def add(self, batch: str, found: list[list[ScoredText]]) -> None:
        """Add the results of a batch to the journal, and write it at most once per second."""
        if batch in self.journal.searched:
            return
        self.journal.searched[batch] = found
        if time.monotonic() - self._saved_at >= _SAVE_INTERVAL_SECONDS:
            self._write_journal()

    def append(
        self, texts: Iterable[str], source: CheckedInput, flags: Mapping[int, tuple[str, ...]]
    ) -> None:
        """Append the output for the lines read from the source since the last call.

        Args:
            texts: the output.
            source: the input.
            flags: of all translations so far.
        """
        data = "".join(f"{text}\n" for text in texts).encode("utf-8")
        with files.as_file_error(self.path):
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[self._file.write(remaining) :]
            os.fsync(self._file.fileno())
        self._digest.update(data)
        self.journal = Journal(
            job=self.journal.job,
            lines=source.count,
            input_sha256=source.digest.hexdigest(),
            size=self.journal.size + len(data),
            output_sha256=self._digest.hexdigest(),
            flags=dict(flags),
        )
        self._write_journal()

    def finish(self, render: Callable[[Iterator[str]], bytes] | None) -> None:
        """Move the output to its final name, then delete the journal.

        Args:
            render: makes the output of the lines; None if they are the output.
        """
        self._is_complete = True
        partial, is_compressed = partial_path(self.path), self.path.suffix == ".gz"
        if render:
            with partial_lines(self.path) as lines:
                content = render(lines)
            with files.writing(self.path) as output:
                output.write(content)
        elif is_compressed:
            with files.writing(self.path) as output, open(partial, "rb") as file:
                shutil.copyfileobj(file, output)
        with files.as_file_error(self.path):
            if render or is_compressed:
                partial.unlink()
            else:
                partial.replace(files.target_of(self.path))
            journal_path(self.path).unlink()

    def keep_or_delete(self, log: Callable[[str], None]) -> None:
        """Log how to resume, or delete both files if nothing has been translated."""
        if self._is_complete:
            log(
                f"{self.path}: all {self.journal.lines} translations are kept: "
                "repeat the command with `resume` to finish"
            )
            return
        if self.journal.progress() != self._saved_progress:
            # If the disk is full, the journal written last remains.
            with contextlib.suppress(FileError):
                self._write_journal()
        if self._saved_progress:
            log(
                f"{self.path}: the translations {self._saved_progress} are kept: "
                "repeat the command with `resume` to continue"
            )
        else:
            journal_path(self.path).unlink(missing_ok=True)
            partial_path(self.path).unlink(missing_ok=True)

    def _write_journal(self) -> None:
        files.write_text(journal_path(self.path), self.journal.model_dump_json() + "\n")
        self._saved_progress, self._saved_at = self.journal.progress(), time.monotonic()


def read_journal(path: Path) -> Journal | None:
    """Read the journal of an output, if there is one.

    Raises:
        FileError: if it cannot be read or is not a journal.
    """
    journal = journal_path(path)
    if not os.path.lexists(journal):
        return None
    try:
        return Journal.model_validate_json(files.read_bounded(journal, _MAX_JOURNAL_BYTES))
    except (FileError, ValueError) as error:
        raise FileError(
            f"{journal}: cannot be read, or is not a journal of nmt: "
            "leave out `resume` to start again"
        ) from error


def _sha256(path: Path, size: int) -> hashlib._Hash:
    """Hash the first `size` bytes of a file, or all of it if it is shorter."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while size and (block := file.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
    return digest


@contextlib.contextmanager
def partial_lines(path: Path) -> Iterator[Iterator[str]]:
    """Open the partial output of an output, and iterate over its lines.

    Raises:
        OSError: if it cannot be read.
    """
    with open(partial_path(path), "rb") as file:
        yield (line.removesuffix(b"\n").decode("utf-8") for line in file)


def partial_path(path: Path) -> Path:
    """Return the partial output of an output."""
    return _sibling(path, "partial")


def journal_path(path: Path) -> Path:
    """Return the journal of an output."""
    return _sibling(path, "journal")


def _sibling(path: Path, suffix: str) -> Path:
    target = files.target_of(path)  # so that the final rename stays on one file system
    return target.with_name(f"{target.name}.{suffix}")


@contextlib.contextmanager
def locked_partial(path: Path) -> Iterator[io.FileIO]:
    """Open and lock the partial output.

    Raises:
        FileError: if another process has locked it, or it cannot be written.
    """
    partial = partial_path(path)
    with contextlib.ExitStack() as stack:
        with files.as_file_error(path):
            try:
                while True:
                    file = stack.enter_context(files.open_own(partial))
                    files.lock(file)
                    # Before the lock was free, its owner may have renamed the file.
                    if partial.exists() and os.path.samestat(
                        os.fstat(file.fileno()), partial.lstat()
                    ):
                        break
            except BlockingIOError as error:
                raise FileError(
                    f"{path}: another process is translating into this file: wait for it, "
                    "or choose another `output`"
                ) from error
            for own in (files.target_of(path), journal_path(path)):
                files.clear_temporaries(own)
        yield file
