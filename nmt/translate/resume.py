"""Translation into a file that can be resumed after any interruption.

Until the output FILE is complete, there are two files next to it:

    FILE.partial    the output so far, uncompressed
    FILE.journal    JSON: the settings of the translation, and how far it has got

The journal is replaced after each window, once the partial output has been flushed to disk. On
resuming, the partial output is truncated to the size in the journal. The batches of a window are
not in line order, so within a window the journal holds the results of its batches; it is replaced
once per second. The translator's memo of repeated lines is not saved; it is rebuilt from the input
and the partial output.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from nmt import files
from nmt.errors import ConfigError, DataError, FileError, Interrupted
from nmt.files import MAX_JSON_BYTES, read_bounded
from nmt.progress import Advance
from nmt.signals import hangup_signals
from nmt.translate.engine import Model
from nmt.translate.formats import Layout
from nmt.translate.part_search import Peers
from nmt.translate.streams import translate_windows
from nmt.translate.translation import ScoredText, Translation
from nmt.translate.translator import Translator
from nmt.version import __version__

_MAX_JOURNAL_BYTES = 1 << 30
_SAVE_INTERVAL_SECONDS = 1.0
_EMPTY_SHA256 = hashlib.sha256().hexdigest()


class _Journal(BaseModel):
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
    if not path.exists() or _partial(path).exists():
        return False
    _journal(path).unlink(missing_ok=True)  # left if the process was killed at the very end
    return True


def written_files(path: Path) -> list[Path]:
    """Return all the files that a translation into a file writes."""
    return [path, _partial(path), _journal(path)]


def translate_file(
    translator: Translator,
    lines: Iterable[str],
    layout: Layout,
    output: Path,
    *,
    resume: bool,
    log: Callable[[str], None],
    advance: Advance = lambda lines: None,
    peers: Peers | None = None,
    render: Callable[[Iterator[str]], bytes] | None = None,
) -> None:
    """Translate lines into a file, which gets its final name only when it is complete.

    Args:
        translator: the translator.
        lines: the whole input, read lazily.
        layout: the format of input and output.
        output: the output file, or a link to it; gzip if it ends in .gz.
        resume: continue an interrupted call, with the same output as without the interruption.
            Otherwise, or if there is nothing to resume, start from the first line.
        log: called with messages for the user: where the translation starts, and what is kept
            if it is interrupted.
        advance: called with the number of lines finished since the last call; lines of earlier
            calls count too.
        peers: this process, number 0, and others, which call `follow_file`.
        render: makes the output of the translated lines, which by default are the output.

    Raises:
        ConfigError: if the partial output was translated with another model or other options.
        DataError: if the input has changed, or cannot be translated.
        FileError: if a file cannot be written, or has been changed.
        Interrupted: by SIGTERM, or when the terminal is closed.
    """
    if output.exists() and not output.is_file():
        raise FileError(f"{output}: not a file: leave out `output` to write to standard output")
    job = _job(translator, layout)
    with _signals_raise(), _locked_partial(output) as file:
        journal = _read_journal(output) if resume else None
        if journal:
            _check_job(output, journal.job, job)
            log(f"{output}: resuming after line {journal.lines}")
        else:
            journal = _Journal(job=job)
            if resume:
                log(f"{output}: nothing to resume: starting from the first line")
        partial = _PartialOutput(output, file, journal)
        source = _CheckedInput(lines, journal)
        if peers:
            for _ in range(2):  # the others read the journal
                peers.gather(None)
        try:
            _translate(translator, source, layout, partial, advance)
            partial.finish(render)
        except _InputChanged:
            raise
        except BaseException:
            partial.keep_or_delete(log)
            raise


def follow_file(
    translator: Translator, lines: Iterable[str], layout: Layout, output: Path, peers: Peers
) -> None:
    """Translate what process 0 translates into a file with `translate_file`, and write nothing.

    Args:
        translator, lines, layout, output: as in `translate_file`.
        peers: this process and the others, which all see the file.

    Raises:
        DataError: if the input cannot be translated.
        PeerError: if another process has failed.
    """
    peers.gather(None)  # process 0 has checked and locked the files
    journal = _read_journal(output)
    assert journal is not None
    with _signals_raise(), open(_partial(output), "rb") as file:
        peers.gather(None)  # all have read the journal
        texts = (line.removesuffix(b"\n").decode("utf-8") for line in file)
        known = _known(layout, texts, journal)
        searched = _SearchedBefore(journal)
        for _ in translate_windows(translator, lines, layout, known=known, searched=searched):
            pass


def _known(layout: Layout, texts: Iterable[str], journal: _Journal) -> Iterator[Translation]:
    """Read the translations of an earlier process, with their flags."""
    translations = itertools.islice(layout.read_output(texts), journal.lines)
    for number, translation in enumerate(translations, 1):
        yield replace(translation, flags=journal.flags.get(number, ()))


class _SearchedBefore:
    """The results of batches in a journal, for processes that do not write it."""

    def __init__(self, journal: _Journal) -> None:
        self._journal = journal

    def find(self, batch: str) -> list[list[ScoredText]] | None:
        return self._journal.searched.get(batch)

    def add(self, batch: str, found: list[list[ScoredText]]) -> None:
        pass


def _translate(
    translator: Translator,
    source: _CheckedInput,
    layout: Layout,
    partial: _PartialOutput,
    advance: Advance,
) -> None:
    """Translate the remaining lines; the known ones only fill the translator's memo."""
    num_known = partial.journal.lines
    with partial.lines() as lines:
        known = _known(layout, lines, partial.journal)
        num_done = 0
        windows = translate_windows(
            translator, source, layout, known=known, searched=partial, advance=advance
        )
        for window in windows:
            new = window[max(0, num_known - num_done) :]
            num_done += len(window)
            if new:
                partial.append(new, source, translator.flagged.by_line)


class _InputChanged(DataError):
    """The input does not match the journal."""


class _CheckedInput:
    """Yields the lines of the input, hashes them, and compares them with the journal.

    Attributes:
        count: number of lines read.
        digest: SHA-256 of the lines read.
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
                raise _InputChanged(
                    f"the input has changed: its first {num_expected} lines are not the ones "
                    "already translated; leave out `resume` to start again"
                )
            yield line
        if self.count < num_expected:
            raise _InputChanged(
                f"the input has changed: it ends after line {self.count}, but {num_expected} lines "
                "are already translated; leave out `resume` to start again"
            )


class _PartialOutput:
    """The partial output and its journal.

    Args:
        path: path of the final output.
        file: the partial output, open for appending; truncated to the size in the journal.
        journal: the progress so far.

    Raises:
        FileError: if the file does not match the journal, or cannot be written.
    """

    def __init__(self, path: Path, file: io.FileIO, journal: _Journal) -> None:
        self.path, self.journal = path, journal
        self._file = file
        self._saved_progress, self._saved_at = "", -math.inf
        self._is_complete = False
        with files.as_file_error(path):
            self._digest = _sha256(_partial(path), journal.size)
            if self._digest.hexdigest() != journal.output_sha256:
                raise FileError(
                    f"{_partial(path)}: does not match {_journal(path)}: it has been changed; "
                    "leave out `resume` to start again"
                )
            self._write_journal()
            self._saved_at = -math.inf  # save the first batch at once
            file.truncate(journal.size)

    @contextlib.contextmanager
    def lines(self) -> Iterator[Iterator[str]]:
        """Open the partial output and iterate over its lines."""
        with open(_partial(self.path), "rb") as file:
            yield (line.removesuffix(b"\n").decode("utf-8") for line in file)

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
        self, texts: Iterable[str], source: _CheckedInput, flags: Mapping[int, tuple[str, ...]]
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
        self.journal = _Journal(
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
        partial, is_compressed = _partial(self.path), self.path.suffix == ".gz"
        if render:
            with self.lines() as lines:
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
            _journal(self.path).unlink()

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
            _journal(self.path).unlink(missing_ok=True)
            _partial(self.path).unlink(missing_ok=True)

    def _write_journal(self) -> None:
        files.write_text(_journal(self.path), self.journal.model_dump_json() + "\n")
        self._saved_progress, self._saved_at = self.journal.progress(), time.monotonic()


def _read_journal(path: Path) -> _Journal | None:
    """Read the journal of an output, if there is one.

    Raises:
        FileError: if it cannot be read or is not a journal.
    """
    journal = _journal(path)
    if not os.path.lexists(journal):
        return None
    try:
        return _Journal.model_validate_json(files.read_bounded(journal, _MAX_JOURNAL_BYTES))
    except (FileError, ValueError) as error:
        raise FileError(
            f"{journal}: cannot be read, or is not a journal of nmt: "
            "leave out `resume` to start again"
        ) from error


def _job(translator: Translator, layout: Layout) -> dict[str, Any]:
    """Return all settings that affect the output, apart from the input and the device."""
    return {
        "nmt": __version__,
        "models": [_fingerprint(model) for model in translator.engine.models],
        "model_weights": [*translator.engine.model_weights],
        "dtype": translator.engine.dtype,
        "max_input": translator.max_input,
        "output": repr(layout),
        "glossary": translator.glossary.sha256 if translator.glossary else None,
        "guard": repr(translator.guard) if translator.guard else None,
        "protect": [*translator.protector.kinds] if translator.protector else None,
        **translator.options.model_dump(),
    }


def _fingerprint(model: Model) -> str:
    """Hash the weights, architecture and tokenizers of a model."""
    digest = hashlib.sha256(read_bounded(model.weights / "manifest.json", MAX_JSON_BYTES))
    digest.update(model.config.model.model_dump_json().encode("utf-8"))
    for tokenizer in model.tokenizers:
        digest.update(tokenizer.serialized())
    return digest.hexdigest()


def _check_job(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    names = [name for name in {**now, **before} if now.get(name) != before.get(name)]
    if names:
        raise ConfigError(
            f"{_journal(path)}: the partial output was translated with other settings "
            f"({', '.join(names)}): use the same settings, or leave out `resume` to start again"
        )


def _sha256(path: Path, size: int) -> hashlib._Hash:
    """Hash the first `size` bytes of a file, or all of it if it is shorter."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while size and (block := file.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
    return digest


def _partial(path: Path) -> Path:
    return _sibling(path, "partial")


def _journal(path: Path) -> Path:
    return _sibling(path, "journal")


def _sibling(path: Path, suffix: str) -> Path:
    target = files.target_of(path)  # so that the final rename stays on one file system
    return target.with_name(f"{target.name}.{suffix}")


@contextlib.contextmanager
def _locked_partial(path: Path) -> Iterator[io.FileIO]:
    """Open and lock the partial output.

    Raises:
        FileError: if another process has locked it, or it cannot be written.
    """
    partial = _partial(path)
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
            for own in (files.target_of(path), _journal(path)):
                files.clear_temporaries(own)
        yield file


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise an exception, as Ctrl-C does."""

    def terminate(signum: int, frame: FrameType | None) -> None:
        raise Interrupted("terminated", signum)

    numbers = (signal.SIGTERM, *hangup_signals())
    before = {number: signal.signal(number, terminate) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
