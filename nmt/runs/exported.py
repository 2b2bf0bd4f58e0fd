"""What a model exported to CTranslate2 has in common with the run it came from."""

from __future__ import annotations

from pathlib import Path

from nmt.config.schema import Config
from nmt.data.tokenizer import Tokenizer

_MIN_POSITIONS = 1024


def is_exported(directory: Path) -> bool:
    """Tell whether a directory is what `export_ctranslate2` writes, rather than a run."""
    return (directory / "model.bin").is_file()


def num_positions(config: Config) -> int:
    """How many positions an exported model has: CTranslate2 cannot make sinusoids of ours."""
    return config.model.max_positions or max(_MIN_POSITIONS, 4 * config.data.max_length)


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """List the pieces of a tokenizer in the order of their ids."""
    return tokenizer.pieces(range(tokenizer.vocab_size))
