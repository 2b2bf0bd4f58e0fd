"""A trained model for translation: configuration, tokenizers and network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nmt.config.schema import Config
from nmt.data.lengths import LengthModel
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, FileError
from nmt.model.build import network_with_weights
from nmt.model.network import Network
from nmt.model.transformer import Transformer
from nmt.runs.checkpoint import load_tensors
from nmt.runs.layout import find_run, load_run_config
from nmt.runs.manifest import read_json, verify, verify_tokenizer
from nmt.runs.retention import choose_weights, choosing_advice


@dataclass(frozen=True)
class TrainedModel:
    """Everything that translation needs.

    Attributes:
        config: the run's configuration.
        tokenizers: source and target side.
        network: in evaluation mode, on its device.
        weights: the directory that the weights came from.
        lengths: predicts lengths of translations; None if unknown.
    """

    config: Config
    tokenizers: Tokenizers
    network: Network[Any]
    weights: Path
    lengths: LengthModel | None = None

    def transformer(self, purpose: str) -> Transformer:
        """Return the network as a Transformer, for code that inspects its layers.

        Args:
            purpose: what needs it, for the error message.

        Raises:
            ConfigError: if the network is not a Transformer.
        """
        if not isinstance(self.network, Transformer):
            raise ConfigError(
                f"{self.weights}: {purpose} needs a model trained with model.kind: transformer; "
                f"this one is of kind {self.config.model.kind}"
            )
        return self.network


def load_model(
    path: str | Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> TrainedModel:
    """Load a model for translation.

    Args:
        path: a run directory, or one directory of weights in it (`RUN/checkpoints/step-N`).
        device: device of the network.
        dtype: dtype of its weights.

    Raises:
        FileError: if there is no model, or it is damaged.
    """
    path = Path(path)
    run = find_run(path)
    config = load_run_config(run)
    weights = path
    if run == path:
        weights = choose_weights(run, config.train.metric)
    _verify(weights, run)
    tokenizers = load_tokenizers(run)
    network = network_with_weights(
        load_tensors(weights, "weights"), str(weights), config.model, *tokenizers.sizes
    )
    network = network.to(device, dtype).eval()
    return TrainedModel(config, tokenizers, network, weights, read_lengths(run))


def read_lengths(directory: Path) -> LengthModel | None:
    """Read from a model's data.json how long its translations should be.

    Returns:
        None if it does not say, or is missing or damaged: no translation depends on it, and
        `nmt info` names the damage.
    """
    path = directory / "data.json"
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return LengthModel.from_description(read_json(path))
    except FileError:
        return None


def _verify(weights: Path, run: Path) -> None:
    """Check weights; the error tells how to choose others, as none replace them silently."""
    try:
        verify(weights)
    except FileError as error:
        raise FileError(str(error), choosing_advice(run, weights)) from error


def load_tokenizers(run: Path) -> Tokenizers:
    """Load the tokenizers of a run.

    Raises:
        FileError: if they are missing or damaged.
    """
    verify_tokenizer(run)
    return Tokenizers.load(run / "tokenizer")
