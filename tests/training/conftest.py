"""A small corpus, and trainings on it that take a second."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config.schema import Config
from nmt.console import Console
from nmt.training.run import train

torch.set_num_threads(1)  # tiny matrices, and other tests may run beside

LAYERS = {"encoder_layers": 1, "decoder_layers": 1}
SHAPES: dict[str, dict[str, Any]] = {
    "transformer": {"num_heads": 2, "d_ff": 64, **LAYERS},
    "rnn": {"d_hidden": 32, "tie_embeddings": "all"},
    "conv": {"d_hidden": 32, "tie_embeddings": "all", **LAYERS},
}
WORDS = ["ab", "bad", "cab", "dab", "fed", "gab", "head", "jade", "keg", "lab"]


@dataclass
class TinyRun:
    """A run directory, and what the training said on the standard error."""

    path: Path
    said: str = ""

    def train(self, config: Config) -> TinyRun:
        """Run `nmt train` without the command line."""
        out = io.StringIO()
        try:
            train(config, self.path, Console(file=out, width=300))
        finally:
            self.said += out.getvalue()
        return self

    def metrics(self, kind: str) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl of a kind."""
        text = (self.path / "metrics.jsonl").read_text("utf-8")
        records = [json.loads(line) for line in text.split("\n") if line]
        return [record for record in records if record["kind"] == kind]

    def losses(self) -> list[float]:
        """The training loss of every line of metrics."""
        return [record["loss"] for record in self.metrics("train")]

    def steps(self) -> list[int]:
        """The steps of the checkpoints."""
        return sorted(int(path.name[5:]) for path in self.path.glob("checkpoints/step-*"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train and valid text; a target is its source backwards."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(0)
    for name, number in [("train", 200), ("valid", 20)]:
        rows = [draw.choices(WORDS, k=draw.randint(1, 5)) for _ in range(number)]
        (folder / f"{name}.src").write_text("".join(" ".join(r) + "\n" for r in rows), "utf-8")
        (folder / f"{name}.tgt").write_text(
            "".join(" ".join(reversed(r)) + "\n" for r in rows), "utf-8"
        )
    return folder


@pytest.fixture(scope="session")
def make_config(corpus: Path) -> Callable[..., Config]:
    """(valid=False, **keys of the section train; model=…, data=… and tokenizer=… go there)"""

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
    """(name="run"): a run directory that is not there yet."""

    def make(name: str = "run") -> TinyRun:
        return TinyRun(tmp_path / name)

    return make
