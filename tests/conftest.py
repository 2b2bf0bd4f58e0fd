"""A tiny trained model for all tests, and the marker of tests that train."""

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

# In the background of a shell the tests would ignore SIGINT, and under nohup SIGHUP. Processes that
# they start would inherit this.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# Conversions for CTranslate2 go there, not into the user's cache. Each pytest worker has its own.
os.environ["NMT_CACHE_DIR"] = tempfile.mkdtemp(prefix="nmt-tests-")
atexit.register(shutil.rmtree, os.environ["NMT_CACHE_DIR"], ignore_errors=True)

# Tests in these folders and files train a model, or run commands that do.
_TRAIN = ("faults", "training", "check", "runs", "cli", "convert", "report", "scripts", "recipe")
_TRAIN_FILES = ("test_readme", "test_scripts", "test_recipes", "test_platforms", "test_limits")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `scripts/check --fast` leaves out."""
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        fixtures = getattr(item, "fixturenames", ())
        trains = path.parts[0] in _TRAIN or path.stem in _TRAIN_FILES
        if trains or {"trained_run", "tagged_run", "any_model", "model"}.intersection(fixtures):
            item.add_marker("trains")


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory; next to it, test.src and test.tgt are its data.test."""
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


@pytest.fixture(scope="session")
def tagged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that knows two target languages: `up` is the source in capitals, `lo` a copy.

    There are four times as many training pairs of `up`. Next to the run are test.en, test.up and
    test.lo, its data.valid and data.test.
    """
    from nmt.config.schema import Config
    from nmt.console import Console
    from nmt.training.run import train

    folder = tmp_path_factory.mktemp("tagged")
    draw = random.Random(1)
    for name, number in [("few", 200), ("many", 800), ("test", 20)]:
        lines = [" ".join(draw.choices(WORDS, k=draw.randint(1, 4))) + "\n" for _ in range(number)]
        for lang, text in [("en", "".join(lines)), ("up", "".join(lines).upper())]:
            (folder / f"{name}.{lang}").write_bytes(text.encode())
        shutil.copy(folder / f"{name}.en", folder / f"{name}.lo")

    def corpora(**names: str) -> list[dict[str, str]]:
        return [
            {"src": f"{folder}/{name}.en", "tgt": f"{folder}/{name}.{lang}", "tgt_lang": lang}
            for lang, name in names.items()
        ]

    data = {"train": corpora(up="many", lo="few"), "valid": corpora(up="test", lo="test")}
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    steps = {"max_steps": 250, "warmup_steps": 20, "validate_every": 250, "save_every": 250}
    config = Config.model_validate(
        {
            "data": {
                **{"src_lang": "en", "tgt_lang": "up", "tags": "target", "max_length": 20},
                **{"cache_dir": str(folder / "cache"), **data, "test": data["valid"]},
            },
            "tokenizer": {"vocab_size": 100},
            "model": {"d_model": 64, "num_heads": 2, "d_ff": 64, "dropout": 0.0, **layers},
            "train": {
                **{"batch_tokens": 1500, "learning_rate": 0.01, "threads": 1, "average": "none"},
                **{"device": "cpu", **steps},
            },
        }
    )
    train(config, folder / "run", Console(stderr=True))
    return folder / "run"
