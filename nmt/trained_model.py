"""A trained model as translation needs it: configuration, tokenizers and network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nmt.checkpoint import (
    choose_weights,
    find_run,
    load_run_config,
    load_tensors,
    verify,
    verify_tokenizer,
)
from nmt.config import Config
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, FileError
from nmt.model.convolutional import ConvolutionalNetwork
from nmt.model.cpu_products import use_the_faster_exact_library
from nmt.model.memory import keep_freed_memory
from nmt.model.network import Network
from nmt.model.recurrent import RecurrentNetwork
from nmt.model.transformer import Transformer


@dataclass(frozen=True)
class TrainedModel:
    """Everything that translation needs.

    Attributes:
        config: the run's configuration.
        tokenizers: source and target side.
        network: in evaluation mode, on its device.
        weights: the directory that the weights came from.
    """

    config: Config
    tokenizers: Tokenizers
    network: Network[Any]
    weights: Path

    def transformer(self, purpose: str) -> Transformer:
        """Give the network to what looks into its layers.

        Args:
            purpose: what that is, for the message.

        Raises:
            ConfigError: the network is no Transformer.
        """
        if not isinstance(self.network, Transformer):
            raise ConfigError(
                f"{self.weights}: {purpose} needs a model trained with model.kind: transformer; "
                f"this one is of kind {self.config.model.kind}"
            )
        return self.network


def choose_device(name: str) -> torch.device:
    """Turn a device's name, or `auto`, into a device that is there.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).tolist()  # which fails on torch's device without memory
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r}: not here; use cpu, cuda, cuda:1 or auto") from error
    return device


def load_model(
    path: str | Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> TrainedModel:
    """Load a model for translation.

    Args:
        path: a run directory, or one directory of weights in it (`RUN/checkpoints/step-N`).
        device: where the network goes.
        dtype: of its weights.

    Raises:
        FileError: there is no model, or it is damaged.
    """
    path = Path(path)
    run = find_run(path)
    _refuse_links([run / "config.yaml", run / "tokenizer", *(run / "tokenizer").glob("*")])
    config = load_run_config(run)
    weights = path
    if run == path:
        weights = choose_weights(run, config.train.metric)
        _refuse_links([weights, *(parent for parent in weights.parents if run in parent.parents)])
    verify(weights)
    tokenizers = load_tokenizers(run)
    with _NoRandomNumbers():
        network = make_network(config, tokenizers)
    load_weights(network, weights)
    return TrainedModel(config, tokenizers, network.to(device, dtype).eval(), weights)


_DRAWING = (
    *(Tensor.normal_, Tensor.uniform_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_),  # what modules begin with
)


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves new weights as they are in memory: for a large network to draw them takes a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _refuse_links(parts: Iterable[Path]) -> None:
    """Refuse parts of a model that are symbolic links: a model is what its directory holds."""
    for part in parts:
        if part.is_symlink():
            raise FileError(f"{part}: a symbolic link, not a plain file of the model directory")


def load_tokenizers(run: Path) -> Tokenizers:
    """Load the tokenizers of a run.

    Raises:
        FileError: they are missing or damaged.
    """
    verify_tokenizer(run)
    return Tokenizers.load(run / "tokenizer")


def make_network(config: Config, tokenizers: Tokenizers) -> Network[Any]:
    """Make the network that a configuration and its vocabularies describe, newly initialised."""
    use_the_faster_exact_library()
    keep_freed_memory()
    src, tgt = tokenizers.src, tokenizers.tgt
    sizes = src.vocab_size, tgt.vocab_size, src.pad_id
    if config.model.kind == "rnn":
        return RecurrentNetwork(config.model, *sizes)
    if config.model.kind == "conv":
        return ConvolutionalNetwork(config.model, *sizes)
    return Transformer(config.model, *sizes)


def load_weights(network: Network[Any], directory: Path) -> None:
    """Put the weights of a verified directory into a network.

    Raises:
        FileError: they are not of this network's shape.
    """
    assign_weights(network, load_tensors(directory, "weights"), str(directory))


def assign_weights(network: Network[Any], weights: Mapping[str, Tensor], origin: str) -> None:
    """Copy named weights into a network.

    Raises:
        FileError: they are not of this network's shape; the message names `origin`.
    """
    parameters = dict(network.named_parameters())
    wrong = [
        name
        for name in {*weights, *parameters}
        if name not in weights
        or name not in parameters
        or weights[name].shape != parameters[name].shape
    ]
    if wrong:
        raise FileError(
            f"{origin}: the weights are not of the model that config.yaml and the tokenizer "
            f"describe; {min(wrong)} is the first of {len(wrong)} that differ"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
