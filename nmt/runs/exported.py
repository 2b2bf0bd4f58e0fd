"""Properties of a model exported to CTranslate2."""

from __future__ import annotations

import os
from pathlib import Path

from nmt.config.schema import Config

_MIN_POSITIONS = 1024


def is_exported(directory: Path) -> bool:
    """Return whether a directory is an exported CTranslate2 model rather than a run."""
    return os.path.isfile(directory / "model.bin")  # False for a name that is too long, too


def num_positions(config: Config) -> int:
    """Return the number of positions in an exported model.

    CTranslate2 cannot compute our sinusoids, so the export contains a table of them.
    """
    return config.model.max_positions or max(_MIN_POSITIONS, 4 * config.data.max_length)


def cannot_represent(config: Config) -> str | None:
    """Return why CTranslate2 cannot represent a model of this configuration; None if it can.

    The export checks the weights and the tokenizers.
    """
    model = config.model
    if config.train.objective == "denoise":
        return "train.objective denoise, only translation"
    if model.kind != "transformer":
        return f"model.kind {model.kind}, only the Transformer"
    if model.decoder == "ssru":
        return "model.decoder ssru, only attention"
    d_k, d_v = (width or model.d_model // model.num_heads for width in (model.d_k, model.d_v))
    if d_k != d_v:
        return (
            f"model.d_k {d_k} with model.d_v {d_v}: it has one width per head for queries, keys "
            "and values"
        )
    return None
