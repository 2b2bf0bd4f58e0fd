"""Small networks of every kind, and batches for them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from nmt.config.models import AnyModel
from nmt.model.convolutional import ConvolutionalNetwork
from nmt.model.network import Network
from nmt.model.recurrent import RecurrentNetwork
from nmt.model.transformer import Transformer

PAD, BOS, VOCAB = 0, 2, 19
CLASSES = {"transformer": Transformer, "rnn": RecurrentNetwork, "conv": ConvolutionalNetwork}

SIZES: dict[str, dict[str, Any]] = {
    "transformer": {"num_heads": 4, "d_ff": 24, "encoder_layers": 2, "decoder_layers": 2},
    "rnn": {"d_hidden": 12},
    "conv": {
        "d_hidden": 12,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "positions": {"max_length": 32},
    },
}

NETWORKS = {
    "transformer-post": {"kind": "transformer"},
    "transformer-pre": {"kind": "transformer", "norm": "pre"},
    "transformer-ssru": {"kind": "transformer", "decoder": "ssru"},
    "rnn-gru": {"kind": "rnn"},
    "rnn-lstm": {"kind": "rnn", "cell": "lstm", "encoder_layers": 2},
    "conv-3": {"kind": "conv"},
    # An even window has one more input after the position than before it.
    "conv-4": {"kind": "conv", "kernel_size": 4, "d_hidden": 16},
    "conv-1": {"kind": "conv", "kernel_size": 1},
}
"""Settings of the networks that the tests of every kind run on, by name."""

every_network = pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)


def make_network(
    settings: dict[str, Any], sizes: tuple[int, int] = (VOCAB, VOCAB), **changes: Any
) -> Network[Any]:
    """Return a float64 network, so that comparisons are exact up to rounding."""
    shape = {"d_model": 16, "dropout": 0.0, **SIZES[settings["kind"]]}
    config = TypeAdapter(AnyModel).validate_python({**shape, **settings, **changes})
    return CLASSES[config.kind](config, *sizes, PAD).double().eval()


def sources() -> Tensor:
    return torch.tensor([[5, 6, 7, 8, 3], [9, 4, 3, PAD, PAD], [18, 17, 16, 3, PAD]])


def targets() -> Tensor:
    return torch.tensor([[BOS, 4, 5, 6, 7], [BOS, 8, 9, 10, 11], [BOS, 12, 13, 14, 15]])
