"""Translation into a file that survives whatever ends the process.

Until the output FILE is whole, there are beside it

    FILE.partial    the output so far, not compressed
    FILE.journal    JSON: what is being translated and how, and how far it is

The journal is replaced after each window of the translator, once the partial output has reached
the disk; what comes after the bytes that it vouches for is cut off when the work goes on. Within a
window, whose batches are not in the order of the lines, the journal holds what was found so far
and is replaced every second. The translator's memory of lines is not kept: it is made again from
the input and the partial output.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

import nmt
from nmt import files
from nmt.errors import ConfigError, DataError, FileError, Interrupted
from nmt.files import MAX_JSON_BYTES, read_bounded
from nmt.progress import Advance
from nmt.signals import hangup_signals
from nmt.translate.engine import Model
from nmt.translate.formats import Layout
from nmt.translate.streams import translate_windows
from nmt.translate.translator import ScoredText, Translator

_MAX_JOURNAL_BYTES = 1 << 30
_SECONDS_UNSAVED = 1.0
_NOTHING_SHA256 = hashlib.sha256().hexdigest()


class _Journal(BaseModel):
    """What is being translated and how, and how far it is."""

    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")

    job: dict[str, Any]
    lines: NonNegativeInt = 0
    """Of input, translated."""
    input_sha256: str = _NOTHING_SHA256
    """Of those lines."""
    size: NonNegativeInt = 0
    """Bytes of partial output that hold."""
    output_sha256: str = _NOTHING_SHA256
    """Of those bytes."""
    searched: dict[str, list[list[ScoredText]]] = Field(default_factory=dict)
    """What was found for batches of the lines that follow."""

    def done(self) -> str:
        """Say how far it is."""
        after = sum(map(len, self.searched.values()))
        return f"up to line {self.lines}" + (f" and {after} after it" if after else "")


def finished(path: Path) -> bool:
    """Say whether an output is there, and no unfinished work on it."""
    if not path.exists() or _partial(path).exists():
        return False
    _journal(path).unlink(missing_ok=True)  # of a process that was killed at the very end
    return True


def written_files(path: Path) -> list[Path]:
    """Name all the files that a translation into a file writes."""
    return [path, _partial(path), _journal(path)]


def translate_file(
    translator: Translator,
    lines: Iterable[str],
    layout: Layout,
    path: Path,
    *,
    resume: bool,
    say: Callable[[str], None],
    advance: Advance = lambda lines: None,
) -> None:
    """Translate lines into a file, which gets its name only when it is whole.

    Args:
        translator: what translates.
        lines: all of the input, read lazily.
        layout: of input and output.
        path: the output, or a link to it; gzip if it ends in .gz.
        resume: go on with what an earlier call has left behind; the output is then the same as
            without the interruption. Otherwise, and if there is nothing, start anew.
        say: tells the user where it begins, and when it is cut short.
        advance: called with a number of lines whenever so many more are done, those of an
            earlier call included.

    Raises:
        ConfigError: what is there was translated by another model or with other options.
        DataError: the input has changed, or cannot be translated.
        FileError: a file cannot be written, or has been changed.
        Interrupted: by SIGTERM, or because the terminal was closed.
    """
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: not a file; without --output the standard output is written")
    job = _job(translator, layout)
    with _terminable(), _locked(path) as file:
        journal = _read_journal(path) if resume else None
        if journal:
            _check_job(path, journal.job, job)
            say(f"{path}: going on after line {journal.lines}")
        else:
            journal = _Journal(job=job)
            if resume:
                say(f"{path}: nothing to go on with: starting with the first line")
        output = _Output(path, file, journal)
        source = _Source(lines, journal)
        try:
            _translate(translator, source, layout, output, advance)
            output.finish()
        except _SourceChanged:
            raise
        except BaseException:
            output.put_down(say)
            raise


def _translate(
    translator: Translator, source: _Source, layout: Layout, output: _Output, advance: Advance
) -> None:
    """Translate what is missing; what is there goes through the translator's memory alone."""
    num_known = output.journal.lines
    with output.lines() as lines:
        known = itertools.islice(layout.parsed(lines), num_known)
        done = 0
        windows = translate_windows(
            translator, source, layout, known=known, searched=output, advance=advance
        )
        for window in windows:
            new = window[max(0, num_known - done) :]
            done += len(window)
            if new:
                output.append(new, source)


class _SourceChanged(DataError):
    """The input is not that of the journal."""


class _Source:
    """The lines of the input, which it counts and hashes, and compares with the journal.

    Attributes:
        count: lines read.
        digest: SHA-256 of them.
    """

    def __init__(self, lines: Iterable[str], journal: _Journal) -> None:
        self.count = 0
        self.digest = hashlib.sha256()
        self._lines = lines
        self._expected = (journal.lines, journal.input_sha256)

    def __iter__(self) -> Iterator[str]:
        num_expected, sha256 = self._expected
        for line in self._lines:
            self.digest.update(line.encode("utf-8") + b"\n")
            self.count += 1
            if self.count == num_expected and self.digest.hexdigest() != sha256:
                raise _SourceChanged(
                    f"the input has changed: its first {num_expected} lines are not those that "
                    "have been translated; leave out --resume to start anew"
                )
            yield line
        if self.count < num_expected:
            raise _SourceChanged(
                f"the input has changed: it ends after line {self.count}, but {num_expected} lines "
                "have been translated; leave out --resume to start anew"
            )


class _Output:
    """The partial output and its journal.

    Args:
        path: of the output when it is whole.
        file: the partial output, open for appending.
        journal: how far it is; what follows in the file is cut off.

    Raises:
        FileError: the file is not what the journal says, or it cannot be written.
    """

    def __init__(self, path: Path, file: io.FileIO, journal: _Journal) -> None:
        self.path, self.journal = path, journal
        self._file = file
        self._saved, self._saved_at = "", -math.inf
        self._translated = False
        with files.as_file_error(path):
            self._digest = _sha256(_partial(path), journal.size)
            if self._digest.hexdigest() != journal.output_sha256:
                raise FileError(
                    f"{_partial(path)}: not what {_journal(path)} says: it has been changed; "
                    "leave out --resume to start anew"
                )
            self._write_journal()
            self._saved_at = -math.inf  # the first batch counts, however soon the process is killed
            file.truncate(journal.size)

    @contextlib.contextmanager
    def lines(self) -> Iterator[Iterator[str]]:
        """Read the lines that are there."""
        with open(_partial(self.path), "rb") as file:
            yield (line.removesuffix(b"\n").decode("utf-8") for line in file)

    def find(self, batch: str) -> list[list[ScoredText]] | None:
        """Return what was found for a batch of the lines that are missing."""
        return self.journal.searched.get(batch)

    def add(self, batch: str, found: list[list[ScoredText]]) -> None:
        """Keep what was found for a batch; on the disk once a second."""
        if batch in self.journal.searched:
            return
        self.journal.searched[batch] = found
        if time.monotonic() - self._saved_at >= _SECONDS_UNSAVED:
            self._write_journal()

    def append(self, texts: Iterable[str], source: _Source) -> None:
        """Append what is written for the lines that the source has given since the last time."""
        data = "".join(f"{text}\n" for text in texts).encode("utf-8")
        with files.as_file_error(self.path):
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        self._digest.update(data)
        self.journal = _Journal(
            job=self.journal.job,
            lines=source.count,
            input_sha256=source.digest.hexdigest(),
            size=self.journal.size + len(data),
            output_sha256=self._digest.hexdigest(),
        )
        self._write_journal()

    def finish(self) -> None:
        """Give the output its name; the journal goes last."""
        self._translated = True
        partial = _partial(self.path)
        if self.path.suffix == ".gz":
            with files.writing(self.path) as zipped, open(partial, "rb") as file:
                shutil.copyfileobj(file, zipped)
        with files.as_file_error(self.path):
            if self.path.suffix == ".gz":
                partial.unlink()
            else:
                partial.replace(files.target_of(self.path))
            _journal(self.path).unlink()

    def put_down(self, say: Callable[[str], None]) -> None:
        """Keep what there is, if there is anything, and say so."""
        if self._translated:
            say(
                f"{self.path}: all {self.journal.lines} lines are translated and kept: the same "
                "command with --resume does the rest"
            )
            return
        if self.journal.searched:
            with contextlib.suppress(FileError):  # the disk is full: what is on it counts
                self._write_journal()
        if self._saved:
            say(
                f"{self.path}: what is translated, {self._saved}, is kept: "
                "the same command with --resume goes on"
            )
        else:
            _journal(self.path).unlink(missing_ok=True)
            _partial(self.path).unlink(missing_ok=True)

    def _write_journal(self) -> None:
        files.write_text(_journal(self.path), self.journal.model_dump_json() + "\n")
        has_any = self.journal.lines or self.journal.searched
        self._saved, self._saved_at = self.journal.done() if has_any else "", time.monotonic()


def _read_journal(path: Path) -> _Journal | None:
    """Read the journal of an output, if there is one.

    Raises:
        FileError: it cannot be used.
    """
    journal = _journal(path)
    if not os.path.lexists(journal):
        return None
    try:
        return _Journal.model_validate_json(files.read_bounded(journal, _MAX_JOURNAL_BYTES))
    except (FileError, ValueError) as error:
        raise FileError(
            f"{journal}: cannot be read, or is no journal of nmt: leave out --resume to start anew"
        ) from error


def _job(translator: Translator, layout: Layout) -> dict[str, Any]:
    """Describe all that decides what is written, but for the input and the device."""
    return {
        "nmt": nmt.__version__,
        "models": [_fingerprint(model) for model in translator.engine.models],
        "dtype": translator.engine.dtype,
        "max_input": translator.max_input,
        "output": repr(layout),
        **asdict(translator.options),
    }


def _fingerprint(model: Model) -> str:
    """Hash what makes a model."""
    digest = hashlib.sha256(read_bounded(model.weights / "manifest.json", MAX_JSON_BYTES))
    digest.update(model.config.model.model_dump_json().encode("utf-8"))
    for tokenizer in model.tokenizers:
        digest.update(tokenizer.serialized())
    return digest.hexdigest()


def _check_job(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    names = [name for name in {**now, **before} if now.get(name) != before.get(name)]
    if names:
        raise ConfigError(
            f"{_journal(path)}: what is there was translated with other settings "
            f"({', '.join(names)}): give the same, or leave out --resume to start anew"
        )


def _sha256(path: Path, size: int) -> hashlib._Hash:
    """Hash the first bytes of a file, as many as there are."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while size and (block := file.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
    return digest


def _partial(path: Path) -> Path:
    return _beside(path, "partial")


def _journal(path: Path) -> Path:
    return _beside(path, "journal")


def _beside(path: Path, end: str) -> Path:
    target = files.target_of(path)  # what a rename cannot reach would have to be copied
    return target.with_name(f"{target.name}.{end}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[io.FileIO]:
    """Open the partial output for this process alone.

    Raises:
        FileError: another process has it, or it cannot be written.
    """
    partial = _partial(path)
    with contextlib.ExitStack() as stack:
        with files.as_file_error(path):
            try:
                while True:
                    file = stack.enter_context(files.open_own(partial))
                    files.lock(file)
                    # Meanwhile the process that had it may have given it its final name.
                    if partial.exists() and os.path.samestat(
                        os.fstat(file.fileno()), partial.lstat()
                    ):
                        break
            except BlockingIOError as error:
                raise FileError(
                    f"{path}: another process is translating into it: wait for it, "
                    "or choose another --output"
                ) from error
            for own in (files.target_of(path), _journal(path)):
                files.clear_temporaries(own)
        yield file


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end the work as Ctrl-C does: by an exception."""

    def terminate(signum: int, frame: FrameType | None) -> None:
        raise Interrupted("terminated", signum)

    numbers = (signal.SIGTERM, *hangup_signals())
    before = {number: signal.signal(number, terminate) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
