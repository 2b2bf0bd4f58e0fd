"""Corpora of many files: a pattern such as `part-*.en.gz` stands for all files that match it."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from nmt.config.corpora import AnyCorpus, FilesCorpus
from nmt.errors import ConfigError, DataError, FileError

_PATH_KEYS = ("src", "tgt", "tsv", "jsonl", "parquet", "text")
_WILDCARD = re.compile(r"(\*|\?|\[[^]]+\])")


def shards(corpus: AnyCorpus) -> list[AnyCorpus]:
    """Return a corpus for each file, or pair of files, that a corpus is read from.

    The order is that of the numbers in the names: part-2 comes before part-10. The source and the
    target side of a shard have the same text in place of the wildcards.

    Raises:
        ConfigError: if only one side is a pattern.
        DataError: if a file of one side has no counterpart on the other.
        FileError: if no file matches a pattern.
    """
    paths = {key: path for key in _PATH_KEYS if (path := getattr(corpus, key, None))}
    patterns = {key: path for key, path in paths.items() if _is_pattern(path)}
    if not patterns:
        return [corpus]
    if len(patterns) < len(paths):
        [plain] = paths.keys() - patterns.keys()
        [pattern] = patterns.values()
        raise ConfigError(f"{pattern} is a pattern, but {paths[plain]} is not: both sides need one")
    found = {key: _matches(pattern) for key, pattern in patterns.items()}
    if isinstance(corpus, FilesCorpus):
        _check_counterparts(found["src"], found["tgt"], corpus.tgt)
        _check_counterparts(found["tgt"], found["src"], corpus.src)
    names = sorted(next(iter(found.values())), key=lambda name: (_natural(name), name))
    return [
        corpus.model_copy(update={key: files[name] for key, files in found.items()})
        for name in names
    ]


def _is_pattern(path: str) -> bool:
    return bool(_WILDCARD.search(path)) and not Path(path).exists()


def _matches(pattern: str) -> dict[tuple[str, ...], str]:
    """Map the texts in place of the wildcards to the files that match."""
    parts = _WILDCARD.split(pattern)
    expression = "".join(
        _group(part) if place % 2 else re.escape(part) for place, part in enumerate(parts)
    )
    found = {}
    for path in glob.iglob(pattern):
        if match := re.fullmatch(expression, path):
            found[match.groups()] = path
    if not found:
        raise FileError(
            f"{pattern}: cannot be read: there is no such file, and none matches it as a pattern"
        )
    return found


def _group(wildcard: str) -> str:
    """Return a regular expression for a wildcard, as a group."""
    if wildcard == "*":
        return "([^/]*)"
    if wildcard == "?":
        return "([^/])"
    return f"({wildcard.replace('[!', '[^', 1)})"


def _check_counterparts(
    files: dict[tuple[str, ...], str], others: dict[tuple[str, ...], str], pattern: str
) -> None:
    for name, path in files.items():
        if name not in others:
            raise DataError(f"{path}: has no counterpart among the files that match {pattern}")


def _natural(texts: tuple[str, ...]) -> list[list[tuple[int, str]]]:
    """Return a key that sorts numbers by value."""
    return [
        [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]
        for text in texts
    ]
