"""Build a network from its configuration, newly initialised or with given weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nmt.config.models import AnyModel
from nmt.errors import FileError
from nmt.model.convolutional import ConvolutionalNetwork
from nmt.model.kernels import cpu
from nmt.model.network import Network
from nmt.model.recurrent import RecurrentNetwork
from nmt.model.transformer import Transformer

_KINDS: dict[str, Any] = {
    "transformer": Transformer,
    "rnn": RecurrentNetwork,
    "conv": ConvolutionalNetwork,
}


def make_network(
    config: AnyModel, src_vocab_size: int, tgt_vocab_size: int, src_pad_id: int
) -> Network[Any]:
    """Return a newly initialised network.

    Args:
        config: kind and sizes.
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and of the output projection.
        src_pad_id: padding id of the source vocabulary.
    """
    cpu.tune_process()
    network: Network[Any] = _KINDS[config.kind](config, src_vocab_size, tgt_vocab_size, src_pad_id)
    return network


def network_with_weights(
    weights: Mapping[str, Tensor],
    origin: str,
    config: AnyModel,
    src_vocab_size: int,
    tgt_vocab_size: int,
    src_pad_id: int,
) -> Network[Any]:
    """Return a network that owns the given weights, without initialising it first.

    Args:
        weights: tensors by the names of `Network.named_parameters`.
        origin: where they come from, for error messages.
        config, src_vocab_size, tgt_vocab_size, src_pad_id: as in `make_network`.

    Raises:
        FileError: if the weights do not fit the network.
    """
    with torch.device("meta"):
        network = make_network(config, src_vocab_size, tgt_vocab_size, src_pad_id)
    check_shapes(network, weights, origin)
    # A shared matrix has several names in the network; `weights` has only the first.
    first_names: dict[nn.Parameter, str] = {}
    parameters = {name: nn.Parameter(weight) for name, weight in weights.items()}
    state = {
        name: parameters[first_names.setdefault(parameter, name)]
        for name, parameter in network.named_parameters(remove_duplicate=False)
    }
    network.load_state_dict(state, assign=True)
    return network


def check_shapes(network: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Check that weights fit the parameters of a network.

    Raises:
        FileError: if they do not; the message names `origin`.
    """
    expected = {name: parameter.shape for name, parameter in network.named_parameters()}
    actual = {name: weight.shape for name, weight in weights.items()}
    mismatched = [name for name in {*expected, *actual} if expected.get(name) != actual.get(name)]
    if mismatched:
        raise FileError(
            f"{origin}: the weights do not fit the model that config.yaml and the tokenizer "
            f"describe; {min(mismatched)} is the first of {len(mismatched)} that differ"
        )
