"""Tokenize corpora into files, cached by content, one for each corpus or shard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import Config
from nmt.data import cache
from nmt.data.balance import balance
from nmt.data.builder import Builder, helpers
from nmt.data.corpus import content_key, files_of
from nmt.data.prepared import Prepared
from nmt.data.shards import shards
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import Progress
from nmt.torchrun import local_world_size

_CACHE_VERSION = 4
_HELPER_BYTES = 1 << 25
"""Bytes of text that are worth another process, which takes a second to start."""


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
    named = dict(zip(names, parts, strict=True))
    absent = {name: part for name, part in named.items() if not (folder / name).is_dir()}
    num_helpers = 0 if local_world_size() > 1 else _num_helpers([*absent.values()])
    threads = max(1, (os.cpu_count() or 1) // max(local_world_size(), 1 + num_helpers))
    builder = Builder(config.data, tokenizers, filtered, threads)
    builds = {name: partial(builder.build, part, progress) for name, part in named.items()}
    wait = partial(progress, "waiting for another process", 0) if progress else None
    with helpers(builder, absent, num_helpers):
        directories = cache.entries(config.data, builds, warn, wait)
    prepared = Prepared.load(
        [directories[name] for name in names],
        parts,
        drop_duplicates=filtered and config.data.drop_duplicates,
    )
    if filtered:
        balance(prepared, config.data)
    return prepared


def _entry_name(config: Config, tokenizers: Tokenizers, corpus: AnyCorpus, filtered: bool) -> str:
    settings = ["src_lang", "tgt_lang", "invalid_utf8"]
    if filtered:
        settings += ["max_length", "max_length_ratio", "drop_duplicates"]
        settings += ["placeholders"] if config.data.placeholders else []
    if config.data.context:
        settings += ["context", "max_length"]
    key = cache.key(
        version=_CACHE_VERSION,
        data={name: getattr(config.data, name) for name in settings},
        filtered=filtered,
        corpus=content_key(corpus),
        tokenizers=[hashlib.sha256(side.serialized()).hexdigest() for side in tokenizers],
        **({"tags": tags} if (tags := config.data.tags_of(config.data.pair_of(corpus))) else {}),
    )
    return f"pairs-{key}"


def _num_helpers(missing: Sequence[AnyCorpus]) -> int:
    """Return how many other processes are worth starting, to leave no core idle."""
    sizes = [sum(map(_size, files_of(corpus))) for corpus in missing]
    useful = min(os.cpu_count() or 1, len(missing), sum(sizes) // _HELPER_BYTES)
    return max(0, useful - 1)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
