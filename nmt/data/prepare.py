"""Tokenize corpora into files, cached by content, one for each corpus or shard."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import Config, DataConfig
from nmt.data import cache
from nmt.data.corpus import (
    INVALID_UTF8,
    content_key,
    corpus_name,
    files_of,
    fingerprint,
    read_pairs,
)
from nmt.data.encode import Encoder, chunked
from nmt.data.filters import CorpusReport
from nmt.data.prefetch import prefetch
from nmt.data.prepared import PAIRS_FILE, REPORT_FILE, SCHEMA, Prepared
from nmt.data.shards import shards
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import Progress

_CACHE_VERSION = 4
_CHUNKS_AHEAD = 2
_HELPER_BYTES = 1 << 25
"""Bytes of text for which another process pays: it takes a second to start."""


def prepare(
    config: Config,
    tokenizers: Tokenizers,
    corpora: Sequence[AnyCorpus],
    *,
    filtered: bool,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
) -> Prepared:
    """Tokenize corpora into the cache, unless they are in it already, and map the result.

    Each shard of a corpus has an entry of its own, so a preparation that was killed continues.
    Several processes may prepare the same corpora: they share the shards. If there is much to do
    and this process is not one of several that torchrun has started, it starts helpers itself.

    Args:
        config: `data` holds the filters and the location of the cache.
        tokenizers: the tokenizers of both sides.
        corpora: the corpora to read.
        filtered: apply the filters (for training). Otherwise every pair is kept, even one with an
            empty side (for validation and test).
        progress: called after every chunk with the name of the shard and the number of its pairs
            read so far. An exception that it raises ends the preparation and leaves no files,
            except finished shards.
        warn: called with a message when the cached data are damaged and prepared again.

    Raises:
        ConfigError, DataError: if the text cannot be used, or no pairs are left.
        FileError: if a corpus cannot be read or the cache cannot be written.
    """
    parts = [part for corpus in corpora for part in shards(corpus)]
    names = [_entry_name(config, tokenizers, part, filtered) for part in parts]
    folder = cache.directory(config.data)
    missing = [
        part for name, part in zip(names, parts, strict=True) if not (folder / name).is_dir()
    ]
    num_builders = _num_builders(missing)
    threads = max(1, (os.cpu_count() or 1) // num_builders)
    builder = _Builder(config.data, tokenizers, filtered, threads)
    builds = {name: partial(builder.build, part) for name, part in zip(names, parts, strict=True)}
    reporting = {name: partial(build, progress=progress) for name, build in builds.items()}
    wait = partial(progress, "waiting for another process", 0) if progress else None
    with _helpers(config.data, builds, num_builders - 1):
        directories = cache.entries(config.data, reporting, warn, wait)
    return Prepared.load(
        [directories[name] for name in names],
        parts,
        drop_duplicates=filtered and config.data.drop_duplicates,
    )


# ---------------------------------------------------------------- writing the files


def _entry_name(config: Config, tokenizers: Tokenizers, corpus: AnyCorpus, filtered: bool) -> str:
    settings = ["src_lang", "tgt_lang", "invalid_utf8"]
    if filtered:
        settings += ["max_length", "max_length_ratio", "drop_duplicates"]
    key = cache.key(
        version=_CACHE_VERSION,
        data={name: getattr(config.data, name) for name in settings},
        filtered=filtered,
        corpus=content_key(corpus),
        tokenizers=[hashlib.sha256(side.serialized()).hexdigest() for side in tokenizers],
    )
    return f"pairs-{key}"


@dataclass(frozen=True)
class _Builder:
    """Writes the files of a corpus; other processes get a copy.

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

    def build(self, corpus: AnyCorpus, directory: Path, progress: Progress | None = None) -> None:
        """Write the entry of a corpus; its name there is left empty."""
        encoder = Encoder(self.data, self.tokenizers, self.filtered, self.threads)
        report = CorpusReport("", fingerprint(corpus))
        path = str(directory / PAIRS_FILE)
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as writer:
            chunks = chunked(read_pairs(corpus, self.data, report.tallies))
            for chunk in prefetch(chunks, _CHUNKS_AHEAD):
                writer.write_batch(encoder.encode(chunk, report))
                if progress:
                    progress(corpus_name(corpus), report.read)
        report.read += report.tallies[INVALID_UTF8].count
        (directory / REPORT_FILE).write_text(report.to_json(), "utf-8")


# ---------------------------------------------------------------- several processes


def _num_builders(missing: Sequence[AnyCorpus]) -> int:
    """Return how many processes of this machine prepare corpora; one of them is this one."""
    if others := int(os.environ.get("LOCAL_WORLD_SIZE", 0)):  # set by torchrun
        return others
    sizes = [sum(map(_size, files_of(corpus))) for corpus in missing]
    return max(1, min(os.cpu_count() or 1, len(missing), sum(sizes) // _HELPER_BYTES))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextlib.contextmanager
def _helpers(data: DataConfig, builds: Mapping[str, cache.Build], count: int) -> Iterator[None]:
    """Let other processes build entries of the cache meanwhile."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        count = 0
    # The state of a forked process that has used torch may be inconsistent.
    context = multiprocessing.get_context("spawn")
    helpers = [
        context.Process(target=_help, args=(data, builds), daemon=True) for _ in range(count)
    ]
    for helper in helpers:
        helper.start()
    try:
        yield
    finally:
        for helper in helpers:
            helper.terminate()
            helper.join()


def _help(data: DataConfig, builds: Mapping[str, cache.Build]) -> None:
    """Build entries until all are there. After an error, the main process takes over and fails."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # tidies up
    with contextlib.suppress(Exception):
        cache.entries(data, builds)
