"""A model that the command line trained, small enough to be there in seconds."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from browser import browser

__all__ = ["browser"]  # a fixture

WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "ran", "home", "über", "naïve", "café"]

# A shell that runs the tests in the background makes them ignore SIGINT, nohup makes them ignore
# SIGHUP, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# Conversions for CTranslate2 go there, not into the user's cache. Each pytest worker has its own.
os.environ["NMT_CACHE_DIR"] = tempfile.mkdtemp(prefix="nmt-tests-")
atexit.register(shutil.rmtree, os.environ["NMT_CACHE_DIR"], ignore_errors=True)

# Tests there train a model, or run commands that do.
_TRAIN = ("faults", "training", "check", "runs", "cli", "convert", "report", "scripts")
_TRAIN_FILES = ("test_readme", "test_scripts", "test_recipes", "test_platforms", "test_limits")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `scripts/check --fast` leaves out."""
    for item in items:
        place = item.path.relative_to(Path(__file__).parent)
        fixtures = getattr(item, "fixturenames", ())
        trains = place.parts[0] in _TRAIN or place.stem in _TRAIN_FILES
        if trains or {"trained_run", "any_model", "model"}.intersection(fixtures):
            item.add_marker("trains")


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory; its data.test is beside it in test.src and test.tgt."""
    from nmt.config.schema import Config
    from nmt.console import Console
    from nmt.training.run import train

    folder = tmp_path_factory.mktemp("trained")
    draw = random.Random(1)
    for name, number in [("train", 600), ("test", 30)]:
        lines = [" ".join(draw.choices(WORDS, k=draw.randint(1, 8))) + "." for _ in range(number)]
        text = "".join(line + "\n" for line in lines)
        (folder / f"{name}.src").write_bytes(text.encode())
        (folder / f"{name}.tgt").write_bytes(text.upper().encode())
    corpora = {
        name: {"src": str(folder / f"{name}.src"), "tgt": str(folder / f"{name}.tgt")}
        for name in ("train", "test")
    }
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    config = Config.model_validate(
        {
            "data": {
                "src_lang": "en",
                "tgt_lang": "de",
                "cache_dir": str(folder / "cache"),
                "max_length": 60,
                **corpora,
            },
            "tokenizer": {"vocab_size": 100},
            "model": {"d_model": 32, "num_heads": 2, "d_ff": 64, **layers},
            "train": {
                "max_steps": 60,
                "batch_tokens": 400,
                "warmup_steps": 20,
                "learning_rate": 0.01,
                "threads": 1,
                "average": "none",
            },
        }
    )
    train(config, folder / "run", Console(stderr=True))
    return folder / "run"
