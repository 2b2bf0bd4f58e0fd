"""A small corpus, and training runs on it that take a second."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config.schema import Config
from nmt.console import Console
from nmt.training.run import train
from tiny import write_corpus

torch.set_num_threads(1)  # the matrices are tiny, and other tests may run in parallel

LAYERS = {"encoder_layers": 1, "decoder_layers": 1}
SHAPES: dict[str, dict[str, Any]] = {
    "transformer": {"num_heads": 2, "d_ff": 64, **LAYERS},
    "rnn": {"d_hidden": 32, "tie_embeddings": "all"},
    "conv": {"d_hidden": 32, "tie_embeddings": "all", **LAYERS},
}


@dataclass
class TinyRun:
    """A run directory, and what its training runs wrote to standard error."""

    path: Path
    log: str = ""

    def train(self, config: Config) -> TinyRun:
        """Train as `nmt train` does, without the command line."""
        out = io.StringIO()
        try:
            train(config, self.path, Console(file=out, width=300))
        finally:
            self.log += out.getvalue()
        return self

    def metrics(self, kind: str) -> list[dict[str, Any]]:
        """Return the records of one kind in metrics.jsonl."""
        text = (self.path / "metrics.jsonl").read_text("utf-8")
        records = [json.loads(line) for line in text.split("\n") if line]
        return [record for record in records if record["kind"] == kind]

    def losses(self) -> list[float]:
        """Return the training loss of each record."""
        return [record["loss"] for record in self.metrics("train")]

    def steps(self) -> list[int]:
        """Return the steps of the checkpoints."""
        return sorted(int(path.name[5:]) for path in self.path.glob("checkpoints/step-*"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with training and validation text; each target is its source backwards."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, train=200, valid=20)
    return folder


@pytest.fixture(scope="session")
def make_config(corpus: Path) -> Callable[..., Config]:
    """Return a function (valid=False, **keys of the section train) that makes a configuration.

    Its arguments `data`, `tokenizer` and `model` are keys of these sections.
    """

    def make(valid: bool = False, **train_keys: Any) -> Config:
        sections = {name: train_keys.pop(name, {}) for name in ("data", "tokenizer", "model")}

        def files(name: str) -> dict[str, str]:
            return {"src": str(corpus / f"{name}.src"), "tgt": str(corpus / f"{name}.tgt")}

        return Config.model_validate(
            {
                "data": {
                    "src_lang": "en",
                    "tgt_lang": "xx",
                    "train": files("train"),
                    "valid": files("valid") if valid else [],
                    "cache_dir": str(corpus / "cache"),
                    **sections["data"],
                },
                "tokenizer": {"type": "char", "vocab_size": 40, **sections["tokenizer"]},
                "model": {
                    "d_model": 32,
                    **SHAPES[sections["model"].get("kind", "transformer")],
                    **sections["model"],
                },
                "train": {
                    "max_steps": 12,
                    "batch_tokens": 400,
                    "warmup_steps": 10,
                    "learning_rate": 0.003,
                    "log_every": 1,
                    "average": "none",
                    "device": "cpu",
                    "threads": 1,
                    **train_keys,
                },
            }
        )

    return make


@pytest.fixture
def tiny_run(tmp_path: Path) -> Callable[..., TinyRun]:
    """Return a function (name="run") that returns a run directory, which does not exist yet."""

    def make(name: str = "run") -> TinyRun:
        return TinyRun(tmp_path / name)

    return make
