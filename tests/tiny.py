"""Corpora, and a model for training runs that take a second."""

from __future__ import annotations

import random
from pathlib import Path

from nmt.data import phrasebook

WORDS = ["ab", "bad", "cab", "dab", "fed", "gab", "head", "jade", "keg", "lab"]


def write_corpus(folder: Path, **sizes: int) -> None:
    """Write sentences of up to five words, with their reversals as translations.

    Args:
        folder: directory for the files `{part}.src` and `{part}.tgt`.
        sizes: number of pairs of each part.
    """
    draw = random.Random(0)
    for part, size in sizes.items():
        rows = [draw.choices(WORDS, k=draw.randint(1, 5)) for _ in range(size)]
        for side, step in (("src", 1), ("tgt", -1)):
            text = "".join(" ".join(row[::step]) + "\n" for row in rows)
            (folder / f"{part}.{side}").write_text(text, "utf-8")


def write_phrasebook(stem: Path, split: str, size: int) -> None:
    """Write the first pairs of a split of the demo corpus to `{stem}.en` and `{stem}.de`."""
    pairs = phrasebook.pairs(split)[:size]
    stem.with_name(f"{stem.name}.en").write_text("".join(f"{p.src}\n" for p in pairs), "utf-8")
    stem.with_name(f"{stem.name}.de").write_text("".join(f"{p.tgt}\n" for p in pairs), "utf-8")


def config_text(data: str = "", train: str = "") -> str:
    """Return a configuration for the training corpus in the current directory.

    Args:
        data: further lines of the section, indented by two spaces.
        train: likewise.
    """
    return f"""\
data:
  src_lang: en
  tgt_lang: xx
  train: {{src: train.src, tgt: train.tgt}}
  cache_dir: cache
{data}
tokenizer: {{type: char, vocab_size: 40}}
model: {{d_model: 32, num_heads: 2, d_ff: 64, encoder_layers: 1, decoder_layers: 1}}
train:
  max_steps: 4
  batch_tokens: 400
  warmup_steps: 10
  learning_rate: 0.003
  log_every: 1
  average: none
  device: cpu
  threads: 1
{train}
"""
