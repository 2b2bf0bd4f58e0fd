"""Tokenize corpora into files, with the help of other processes if there is much to do."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
from pydantic import TypeAdapter

from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.data import cache
from nmt.data.chunks import chunked
from nmt.data.corpus import INVALID_UTF8, corpus_name, fingerprint, read_pairs
from nmt.data.encode import Encoder
from nmt.data.filters import CorpusReport
from nmt.data.prefetch import prefetch
from nmt.data.prepared import PAIRS_FILE, REPORT_FILE, schema_of
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.data.tokenizer_training import Progress

_CHUNKS_AHEAD = 2
_CORPORA: TypeAdapter[dict[str, AnyCorpus]] = TypeAdapter(dict[str, AnyCorpus])


@dataclass(frozen=True)
class Builder:
    """Tokenizes corpora into files.

    Attributes:
        data: the filters.
        tokenizers: of both sides.
        filtered: apply the filters.
        threads: that tokenize.
    """

    data: DataConfig
    tokenizers: Tokenizers
    filtered: bool
    threads: int

    def build(self, corpus: AnyCorpus, progress: Progress | None, directory: Path) -> None:
        """Write the files of a corpus into a directory of the cache.

        Args:
            corpus: its name is left out of the files.
            progress: called with its name and the number of its pairs read so far.
            directory: to write into.

        Raises:
            DataError, FileError: as in `read_pairs`.
        """
        encoder = Encoder(self.data, self.tokenizers, self.filtered, self.threads)
        report = CorpusReport("", fingerprint(corpus))
        path = str(directory / PAIRS_FILE)
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, schema_of(self.data)) as writer:
            chunks = chunked(read_pairs(corpus, self.data, report.tallies))
            for chunk in prefetch(chunks, _CHUNKS_AHEAD):
                writer.write_batch(encoder.encode(chunk, report, corpus))
                if progress:
                    progress(corpus_name(corpus), report.read)
        report.read += report.tallies[INVALID_UTF8].count
        (directory / REPORT_FILE).write_text(report.to_json(), "utf-8")


@contextmanager
def helpers(builder: Builder, corpora: Mapping[str, AnyCorpus], count: int) -> Iterator[None]:
    """Let other processes build entries of the cache while this one does.

    They are programs of their own, so that no script of the user runs twice.

    Args:
        builder: what they use.
        corpora: the corpora by the names of their entries.
        count: number of processes.
    """
    request = json.dumps(
        {
            "data": builder.data.model_dump(mode="json"),
            "tokenizers": [
                base64.b64encode(side.serialized()).decode() for side in builder.tokenizers
            ],
            "filtered": builder.filtered,
            "threads": builder.threads,
            "corpora": _CORPORA.dump_python(dict(corpora), mode="json"),
        }
    )
    # With the module path of this process: another one might find other modules.
    code = f"import sys; sys.path[:] = {sys.path!r}; import {__name__} as b; b.help_others()"
    processes: list[subprocess.Popen[bytes]] = []
    with suppress(OSError):  # without helpers it only takes longer
        for _ in range(count):
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
    # In threads: a request is larger than a pipe, and a helper reads it only once it has started.
    threads = [threading.Thread(target=_ask, args=(process, request)) for process in processes]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        for thread, process in zip(threads, processes, strict=True):
            thread.join()
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()  # ends it
        for process in processes:
            process.wait()


def _ask(process: subprocess.Popen[bytes], request: str) -> None:
    assert process.stdin is not None
    with suppress(OSError):  # it has failed; the main process does its work
        process.stdin.write(f"{request}\n".encode())
        process.stdin.flush()


def help_others() -> None:
    """Build the entries that the standard input describes, until all are there.

    After an error, the main process takes over, meets the same error and reports it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # tidies up
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_main_process, daemon=True).start()
    data = DataConfig.model_validate(request["data"])
    sides = [Tokenizer(base64.b64decode(model)) for model in request["tokenizers"]]
    builder = Builder(data, Tokenizers(*sides), request["filtered"], request["threads"])
    corpora = _CORPORA.validate_python(request["corpora"])
    builds = {name: partial(builder.build, corpus, None) for name, corpus in corpora.items()}
    with suppress(Exception):
        cache.entries(data, builds)


def _end_with_main_process() -> None:
    """End this process as soon as the main process closes its end of the pipe, or dies."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
