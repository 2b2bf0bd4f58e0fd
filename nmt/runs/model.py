"""A trained model for translation: configuration, tokenizers and network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nmt.config.schema import Config
from nmt.data.lengths import LengthModel
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError
from nmt.model.build import network_with_weights
from nmt.model.network import Network
from nmt.model.transformer import Transformer
from nmt.runs.checkpoint import load_tensors
from nmt.runs.parts import find_weights, load_tokenizers, read_lengths


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
        ConfigError: if it was trained to restore text.
        FileError: if there is no model, or it is damaged.
    """
    run, config, weights = find_weights(Path(path))
    if config.train.objective == "denoise":
        raise ConfigError(
            f"{run}: not a translation model: it was trained to restore text (train.objective: "
            f"denoise); train one from it, with train.init_from={run}"
        )
    tokenizers = load_tokenizers(run)
    network = network_with_weights(
        load_tensors(weights, "weights"), str(weights), config.model, *tokenizers.sizes
    )
    network = network.to(device, dtype).eval()
    return TrainedModel(config, tokenizers, network, weights, read_lengths(run))
