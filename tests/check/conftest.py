"""Corpora for the tests of `nmt check`."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.check.subject import Subject
from nmt.config.load import load_config
from nmt.data.prepare import prepare
from nmt.data.tokenizer_training import train_tokenizers

Rows = list[tuple[str, str]]

_CONFIG = """\
data:
  src_lang: en
  tgt_lang: xx
  train: {src: train.en, tgt: train.xx}
  valid: {src: valid.en, tgt: valid.xx}
  test: {src: test.en, tgt: test.xx}
  cache_dir: cache
tokenizer: {type: char, vocab_size: 60}
model: {d_model: 16, num_heads: 2, d_ff: 16, encoder_layers: 1, decoder_layers: 1}
train: {max_steps: 100, warmup_steps: 10, batch_tokens: 2000, device: cpu, threads: 1}
"""


def sentences(number: int) -> Rows:
    """Return distinct pairs of 7 to 39 letters; targets are in capitals and slightly longer."""
    draw = random.Random(0)
    rows: dict[str, str] = {}
    while len(rows) < number:
        words = ["".join(draw.choices("abcdefgh", k=3)) for _ in range(draw.randint(2, 10))]
        rows[" ".join(words)] = " ".join(words).upper() + "!" * draw.randint(0, 3)
    return list(rows.items())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which has the configuration `clean.yaml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clean.yaml").write_text(_CONFIG, "utf-8")
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[..., None]:
    """Write text without problems; return a function (part, rows) that replaces a part of it."""

    def write(part: str, rows: Rows) -> None:
        for side, lang in enumerate(("en", "xx")):
            text = "".join(row[side] + "\n" for row in rows)
            (folder / f"{part}.{lang}").write_text(text, "utf-8")

    rows = sentences(1040)
    write("train", rows[:900])
    write("valid", rows[900:980])
    write("test", rows[980:])
    return write


@pytest.fixture
def subject(write: Callable[..., None]) -> Callable[..., Subject]:
    """Return a function (*overrides) that returns a subject to check, with the present text."""

    def subject(*overrides: str) -> Subject:
        config = load_config(Path("clean.yaml"), list(overrides))
        tokenizers = train_tokenizers(config)
        parts = {
            name: prepare(config, tokenizers, wanted, filtered=name == "train")
            for name in ("train", "valid", "test")
            if (wanted := getattr(config.data, name))
        }
        return Subject(config, tokenizers, parts)

    return subject
