"""The parts of a model that need no torch: where its weights are, tokenizers, lengths."""

from __future__ import annotations

from pathlib import Path

from nmt.config.schema import Config
from nmt.data.lengths import LengthModel
from nmt.data.tokenizer import Tokenizers
from nmt.errors import FileError
from nmt.runs.decode_tuning import with_tuning
from nmt.runs.layout import find_run, load_run_config
from nmt.runs.manifest import read_json, verify, verify_tokenizer
from nmt.runs.retention import choose_weights, choosing_advice


def find_weights(path: Path) -> tuple[Path, Config, Path]:
    """Return the run, its configuration, and the weights of a model directory.

    The section `decode` of the configuration has the values that were tuned for these weights.

    Args:
        path: a run directory, or one directory of weights in it (`RUN/checkpoints/step-N`).

    Raises:
        FileError: if there are none, or they are damaged. The message explains how to choose
            others: damaged weights are never replaced silently.
    """
    run = find_run(path)
    config = load_run_config(run)
    weights = choose_weights(run, config.train.metric) if run == path else path
    try:
        verify(weights, for_training=False)
    except FileError as error:
        raise FileError(str(error), choosing_advice(run, weights)) from error
    return run, with_tuning(run, config, weights), weights


def load_tokenizers(run: Path) -> Tokenizers:
    """Load the tokenizers of a run.

    Raises:
        FileError: if they are missing or damaged.
    """
    verify_tokenizer(run)
    return Tokenizers.load(run / "tokenizer")


def read_lengths(directory: Path) -> LengthModel | None:
    """Read from a model's data.json how long its translations should be.

    Returns:
        None if it is missing or damaged, or has no lengths: no translation depends on them, and
        `nmt info` reports the damage.
    """
    path = directory / "data.json"
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return LengthModel.from_description(read_json(path))
    except FileError:
        return None
