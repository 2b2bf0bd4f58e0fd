"""Translation into a file that can be resumed after any interruption.

What has been translated is in `nmt.translate.partial_output`. The translator's memo of repeated
lines is not saved; it is rebuilt from the input and the partial output.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from nmt.errors import ConfigError, FileError, Interrupted
from nmt.files import MAX_JSON_BYTES, read_bounded
from nmt.progress import Advance
from nmt.signals import hangup_signals
from nmt.translate.engine import Model
from nmt.translate.formats import Layout
from nmt.translate.part_search import Peers
from nmt.translate.partial_output import (
    CheckedInput,
    InputChanged,
    Journal,
    PartialOutput,
    journal_path,
    locked_partial,
    partial_lines,
    read_journal,
)
from nmt.translate.streams import translate_windows
from nmt.translate.translation import ScoredText, Translation
from nmt.translate.translator import Translator
from nmt.version import __version__


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
    with _signals_raise(), locked_partial(output) as file:
        journal = read_journal(output) if resume else None
        if journal:
            _check_job(output, journal.job, job)
            log(f"{output}: resuming after line {journal.lines}")
        else:
            journal = Journal(job=job)
            if resume:
                log(f"{output}: nothing to resume: starting from the first line")
        partial = PartialOutput(output, file, journal)
        source = CheckedInput(lines, journal)
        if peers:
            for _ in range(2):  # the others read the journal
                peers.gather(None)
        try:
            _translate(translator, source, layout, partial, advance)
            partial.finish(render)
        except InputChanged:
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
    journal = read_journal(output)
    assert journal is not None
    with _signals_raise(), partial_lines(output) as texts:
        peers.gather(None)  # all have read the journal
        known = _known(layout, texts, journal)
        searched = _SearchedBefore(journal)
        for _ in translate_windows(translator, lines, layout, known=known, searched=searched):
            pass


def _known(layout: Layout, texts: Iterable[str], journal: Journal) -> Iterator[Translation]:
    """Read the translations of an earlier process, with their flags."""
    translations = itertools.islice(layout.read_output(texts), journal.lines)
    for number, translation in enumerate(translations, 1):
        yield replace(translation, flags=journal.flags.get(number, ()))


class _SearchedBefore:
    """The results of batches in a journal, for processes that do not write it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def find(self, batch: str) -> list[list[ScoredText]] | None:
        return self._journal.searched.get(batch)

    def add(self, batch: str, found: list[list[ScoredText]]) -> None:
        pass


def _translate(
    translator: Translator,
    source: CheckedInput,
    layout: Layout,
    partial: PartialOutput,
    advance: Advance,
) -> None:
    """Translate the remaining lines; the known ones only fill the translator's memo."""
    num_known = partial.journal.lines
    with partial_lines(partial.path) as lines:
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
            f"{journal_path(path)}: the partial output was translated with other settings "
            f"({', '.join(names)}): use the same settings, or leave out `resume` to start again"
        )


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
