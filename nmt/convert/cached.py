"""Automatic conversion to CTranslate2, once per model, into the user's cache.

The cache key includes the checksums of weights and tokenizers, so changed weights are converted
again. The cache is never in the model's directory, which may be read-only, nor in one that the
model's configuration names, since a model may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nmt.config.schema import Config
from nmt.data import cache
from nmt.runs.layout import has_shortlist
from nmt.runs.manifest import read_manifest
from nmt.version import __version__

# Raise this when `make_spec` changes what it writes.
_FORMAT = 2


def converted(
    run: Path,
    config: Config,
    weights: Path,
    quantization: str,
    log: Callable[[str], object],
) -> Path:
    """Return the directory of a model for CTranslate2, after converting it if necessary.

    If two processes convert the same model, one of the results is used by both.

    Args:
        run: run directory.
        config: its configuration.
        weights: the weights to convert, verified.
        quantization: `float32` or `int8`.
        log: called with a message before a conversion.

    Raises:
        ConfigError: if CTranslate2 cannot represent the model.
        FileError: if the cache cannot be written.
    """

    def build(folder: Path) -> None:
        from nmt.convert.ctranslate2 import export_ctranslate2
        from nmt.runs.model import load_model
        from nmt.runs.shortlist import load_shortlist

        log(f"{weights}: converting to CTranslate2 {quantization}, once")
        model = load_model(weights)
        shortlist = load_shortlist(run, model.tokenizers) if has_shortlist(run) else None
        export_ctranslate2(model, folder, quantization, shortlist)

    name = f"ctranslate2-{quantization}-{_key(run, config, weights)}"
    return cache.entry(None, name, build, log)


def _key(run: Path, config: Config, weights: Path) -> str:
    files: dict[str, Any] = read_manifest(weights)["files"]
    return cache.key(
        weights=files["weights.safetensors"],
        tokenizer=read_manifest(run / "tokenizer")["files"],
        # The engine is given the settings of the search, which may change.
        config=config.model_dump(mode="json", exclude={"decode"}),
        nmt=__version__,
        format=_FORMAT,
        shortlist=read_manifest(run / "shortlist")["files"] if has_shortlist(run) else None,
    )
