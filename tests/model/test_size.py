"""The computed number of parameters against real networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from nmt.config.models import AnyModel
from nmt.model.size import num_parameters

from .conftest import CLASSES

LEARNED = {"kind": "learned", "max_length": 11}
SHAPES: dict[str, dict[str, Any]] = {
    "transformer": {"num_heads": 4, "d_ff": 24, "encoder_layers": 2, "decoder_layers": 3},
    "rnn": {"d_hidden": 10},
    "conv": {
        "d_hidden": 12,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "positions": {"max_length": 11},
    },
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_embeddings": "decoder"},
        {"tie_embeddings": "none"},
        {"norm": "pre"},
        {"decoder": "ssru"},
        {"activation": "gelu"},
        {"activation": "swiglu"},
        {"activation": "swish", "output_bias": True},
        {"attention_bias": True, "d_k": 5, "d_v": 2},
        {"attention_bias": True, "decoder": "ssru"},
        {"d_k": 3},
        {"d_v": 7},
        {"d_k": 5, "d_v": 2, "num_heads": 3},
        {"encoder_layers": 1, "decoder_layers": 4},
        {"positions": LEARNED},
        {"positions": {"kind": "none"}},
        {"positions": {"combine": "concat"}, "tie_embeddings": "none"},
        {
            "positions": {**LEARNED, "combine": "concat", "width": 5},
            "tie_embeddings": "none",
            "norm": "pre",
            "activation": "swiglu",
        },
        {"kind": "rnn"},
        {"kind": "rnn", "encoder_layers": 3},
        {"kind": "rnn", "cell": "lstm", "encoder_layers": 2, "tie_embeddings": "decoder"},
        {"kind": "rnn", "cell": "lstm", "tie_embeddings": "all"},
        {"kind": "conv"},
        {"kind": "conv", "tie_embeddings": "decoder"},
        {"kind": "conv", "tie_embeddings": "all", "kernel_size": 4, "encoder_layers": 5},
    ],
    ids=str,
)
def test_the_formula_equals_the_count(changes: dict[str, Any]) -> None:
    shape = SHAPES[changes.get("kind", "transformer")]
    config = TypeAdapter(AnyModel).validate_python({"d_model": 16, **shape, **changes})
    for src_vocab_size, tgt_vocab_size in {(19, 19), (19, 30)}:
        if config.tie_embeddings == "all" and src_vocab_size != tgt_vocab_size:
            continue
        with torch.device("meta"):
            network = CLASSES[config.kind](config, src_vocab_size, tgt_vocab_size, 0)
        counted = sum(parameter.numel() for parameter in network.parameters())
        assert num_parameters(config, src_vocab_size, tgt_vocab_size) == counted
