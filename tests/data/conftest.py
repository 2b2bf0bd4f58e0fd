"""Helpers that make corpora and read them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import DataConfig
from nmt.data.corpus import read_pairs
from nmt.errors import DataError

PAIRS = [("a", "x"), ("b", "y")]


def corpus_of(**keys: Any) -> AnyCorpus:
    return TypeAdapter(AnyCorpus).validate_python(keys)


def write(path: Path, content: bytes | str) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def pairs_of(corpus: AnyCorpus, **data: Any) -> list[tuple[str, str]]:
    config = DataConfig(src_lang="en", tgt_lang="de", train=[corpus], **data)
    return [(pair.src, pair.tgt) for pair in read_pairs(corpus, config)]


def error_of(corpus: AnyCorpus, kind: type[Exception] = DataError) -> str:
    """Return the message of the error that reading a corpus raises."""
    with pytest.raises(kind) as caught:
        pairs_of(corpus)
    return str(caught.value)
