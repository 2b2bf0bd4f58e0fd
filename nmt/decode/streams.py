"""Files and streams of text in, files and streams of translations out."""

from __future__ import annotations

import collections
import contextlib
import gzip
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nmt.decode.translator import ScoredText, Translator
from nmt.errors import DataError, FileError


def translate_text(
    translator: Translator,
    lines: Iterable[str],
    *,
    interactive: bool = False,
    nbest: bool = False,
    scores: bool = False,
) -> Iterator[str]:
    """Translate plain lines to plain lines.

    Args:
        translator: what translates.
        lines: read lazily.
        interactive: as in `Translator.translate`.
        nbest: give all hypotheses, each as `line number TAB score TAB text`.
        scores: give `score TAB text`.
    """
    for number, translation in enumerate(translator.translate(lines, interactive=interactive), 1):
        if nbest:
            for best in translation.hypotheses:
                yield f"{number}\t{best.score:.6f}\t{best.text}"
        elif scores:
            yield f"{translation.hypotheses[0].score:.6f}\t{translation.text}"
        else:
            yield translation.text


def translate_jsonl(
    translator: Translator,
    lines: Iterable[str],
    key: str,
    *,
    interactive: bool = False,
    nbest: bool = False,
    scores: bool = False,
) -> Iterator[str]:
    """Translate JSON objects, one a line; blank lines stay blank.

    Args:
        translator: what translates.
        lines: each an object with a string under `key`; its other keys are passed through.
        key: where the source text is.
        interactive: as in `Translator.translate`.
        nbest: add `nbest`, a list of all hypotheses.
        scores: add `score` and `token_log_probs`.

    Yields:
        The objects with the key `translation`.

    Raises:
        DataError: a line that is no such object.
    """
    waiting: collections.deque[dict[str, Any] | None] = collections.deque()

    def sources() -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            record = _record(line, key, number) if line.strip() else None
            waiting.append(record)
            yield record[key] if record else ""

    for translation in translator.translate(sources(), interactive=interactive):
        record = waiting.popleft()
        if record is None:
            yield ""
            continue
        record |= _fields(translation.hypotheses[0], scores)
        if nbest:
            record["nbest"] = [_fields(best, True) for best in translation.hypotheses]
        yield _dumped(record)


def _record(line: str, key: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"line {number}: not valid JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get(key), str):
        raise DataError(
            f"line {number}: not an object with a string under {key!r}; "
            "--key names the key of the source text"
        )
    try:
        record[key].encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"line {number}: {key!r} is no valid text: {error.reason}") from error
    return record


def _fields(best: ScoredText, scores: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {"translation": best.text}
    if scores:
        fields |= {"score": best.score, "token_log_probs": best.token_log_probs}
    return fields


def _dumped(record: dict[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair in a key that is passed through
        return json.dumps(record)
    return text


def comes_slowly(path: Path | None) -> bool:
    """Say whether input may come line by line: a terminal or a pipe, not a file."""
    try:
        status = os.stat(path) if path else os.fstat(sys.stdin.fileno())
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(status.st_mode)


def write_lines(lines: Iterable[str], path: Path | None) -> None:
    """Write lines as UTF-8, each as soon as it is there.

    Args:
        lines: without line ends.
        path: a file, gzip if it ends in .gz, which gets its name only when it is whole; None is
            the standard output.

    Raises:
        FileError: the file cannot be written.
        BrokenPipeError: nobody reads the standard output any more.
    """
    if path is None:
        out = sys.stdout.buffer
        for line in lines:
            out.write(line.encode("utf-8") + b"\n")
            out.flush()
        return
    with _replacing(path) as file:
        for line in lines:
            data = line.encode("utf-8") + b"\n"
            with _as_file_error(path):
                file.write(data)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes a file's name when the block ends well."""
    temporary = path.with_name(path.name + ".tmp")
    with contextlib.ExitStack() as stack:
        stack.callback(temporary.unlink, missing_ok=True)
        with _as_file_error(path):
            raw = stack.enter_context(open(temporary, "wb"))
        zipped = path.suffix == ".gz"
        # Without a name and time in it, equal content makes equal files.
        file: Any = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if zipped else raw
        yield file
        with _as_file_error(path):
            if zipped:
                file.close()
            raw.flush()
            os.fsync(raw.fileno())
            temporary.replace(path)


@contextlib.contextmanager
def _as_file_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{path}: cannot write it: {error.strerror or error}") from error
