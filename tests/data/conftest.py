"""Helpers that make corpora and read them back."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.config.schema import Config
from nmt.data.corpus import read_pairs
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import DataError

PAIRS = [("a", "x"), ("b", "y")]

MakeData = Callable[..., tuple[Config, Tokenizers]]

_RNG = random.Random(0)
SRC = [" ".join(_RNG.choices(["red", "green", "blue", "house"], k=6)) for _ in range(50)]
TGT = [" ".join(_RNG.choices(["rot", "grün", "blau", "haus"], k=5)) for _ in range(50)]


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


def write_lines(path: Path, lines: list[str] | bytes) -> str:
    content = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(content)
    return str(path)


@pytest.fixture
def make_data(tmp_path: Path) -> MakeData:
    """Return a function that makes a configuration with corpora of given lines.

    Its tokenizers are trained on clean text.
    """
    clean = {"src": write_lines(tmp_path / "s", SRC), "tgt": write_lines(tmp_path / "t", TGT)}

    def make(*sides: tuple[Any, Any], **data: Any) -> tuple[Config, Tokenizers]:
        base = {"src_lang": "en", "tgt_lang": "de", "cache_dir": str(tmp_path / "cache")}
        small = {"tokenizer": {"vocab_size": 60}}
        trained = train_tokenizers(
            Config.model_validate({"data": {**base, "train": clean}, **small})
        )
        corpora = [
            {
                "src": write_lines(tmp_path / f"{number}.en", src),
                "tgt": write_lines(tmp_path / f"{number}.de", tgt),
            }
            for number, (src, tgt) in enumerate(sides)
        ]
        values = {**base, "train": corpora or clean, **data}
        return Config.model_validate({"data": values, **small}), trained

    return make


def prepared(data: tuple[Config, Tokenizers], *, filtered: bool = True) -> Prepared:
    config, tokenizers = data
    return prepare(config, tokenizers, config.data.train, filtered=filtered)
