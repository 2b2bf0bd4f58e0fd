"""What a new training run starts with: its tokenizers, and the weights of `train.init_from`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt.config.denoise import MASK
from nmt.config.models import TransformerConfig
from nmt.config.schema import Config
from nmt.data.context import SEPARATOR
from nmt.data.placeholders import has_placeholder_symbols, with_placeholder_symbols
from nmt.data.symbols import with_symbols
from nmt.data.tags import check_tags
from nmt.data.terms import TERM
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_extension import extend_tokenizers, row_origins
from nmt.data.tokenizer_training import Progress, train_tokenizers
from nmt.errors import ConfigError, FileError
from nmt.hub.models import find_source, is_foreign, pin
from nmt.hub.names import is_hub_name, parse_name
from nmt.model.network import Network
from nmt.runs.checkpoint import load_tensors
from nmt.runs.layout import find_run, load_run_config
from nmt.runs.parts import find_weights, load_tokenizers
from nmt.training.freezing import trains_embeddings
from nmt.training.lora import ordinary_parameters

_FREE = {"sampling_alpha", "sampling_nbest", "extend", "replace"}
_VOCABULARIES = {
    "src_embedding.weight": 0,
    "tgt_embedding.weight": 1,
    "projection.weight": 1,
    "projection.bias": 1,
}
"""The parameters with a row for each piece, and the side of the tokenizer."""
_LAYER = re.compile(r"(encoder|decoder)_layers\.(\d+)\.(.+)")


def pinned_source(config: Config, run: Path, log: Callable[[str], object]) -> str | None:
    """Return `train.init_from` with the commit, if it is on the Hub, so that it always means one.

    A run that has been started already keeps its commit, unless the configuration names another
    revision.

    Args:
        config: as the user wrote it.
        run: the run directory, which may not exist yet.
        log: called with the commit of a new run.

    Raises:
        ConfigError, FileError: as in `nmt.hub.models.pin`.
    """
    source = config.train.init_from
    if not source or not is_hub_name(source):
        return source
    if (run / "config.yaml").exists():
        before = load_run_config(run).train.init_from
        if before and is_hub_name(before) and str(parse_name(before).at(None)) == source:
            return before
    with _named():
        return str(pin(source, log))


def _source(config: Config) -> Path:
    """Return the directory of `train.init_from`, which may be downloaded or imported for it."""
    data = config.data
    return find_source(config.train.init_from or "", (data.src_lang, data.tgt_lang))


def initial_tokenizers(
    config: Config,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
) -> Tokenizers:
    """Return the tokenizers of `train.init_from`, or else load or train them as configured.

    Those of `train.init_from` are extended if configured. All get the symbols that the languages
    and tags of corpora, `data.terms`, `data.context`, `data.placeholders` and `train.objective:
    denoise` need.

    Args:
        config: of the new run.
        progress, warn: as in `train_tokenizers`.

    Raises:
        ConfigError, DataError, FileError: as in `train_tokenizers` and `extend_tokenizers`.
        ConfigError: if they lack tags that only validation needs, or symbols that would not be
            trained.
        FileError: if those of `train.init_from` are missing or damaged.
    """
    if config.train.init_from and not config.tokenizer.replace:
        tokenizers = load_tokenizers(find_run(_source(config)))
        _check_new_symbols(config, tokenizers)
        if config.tokenizer.extend:
            tokenizers = extend_tokenizers(config, tokenizers, progress, warn)
    else:
        tokenizers = train_tokenizers(config, progress, warn)
    tokenizers = with_symbols(tokenizers, [*itertools.chain(*_symbols(config).values())])
    if config.data.placeholders:
        tokenizers = with_placeholder_symbols(tokenizers)
    check_tags(config, tokenizers.src)
    return tokenizers


def _symbols(config: Config) -> dict[str, Sequence[str]]:
    """Return the control symbols that settings need, by the names of the settings."""
    data = config.data
    return {
        "data.terms": [TERM] if data.terms else [],
        "data.tags": data.train_tags,
        "the tags of data.train": data.corpus_tags,
        "train.objective: denoise": [MASK] if config.train.objective == "denoise" else [],
        "data.context": [SEPARATOR] if data.context else [],
    }


def _check_new_symbols(config: Config, tokenizers: Tokenizers) -> None:
    """Refuse symbols that are new to a model if no stage trains their embeddings.

    Args:
        config: of the new run.
        tokenizers: of `train.init_from`.

    Raises:
        ConfigError: if there are any.
    """
    known = tokenizers.src.control_symbols
    names = [name for name, symbols in _symbols(config).items() if {*symbols} - {*known}]
    sides = ["src"]
    if config.data.placeholders and not has_placeholder_symbols(tokenizers):
        names.append("data.placeholders")
        sides.append("tgt")
    if names and not trains_embeddings(config, sides):
        key = "train.lora" if config.train.lora else "train.freeze"
        raise ConfigError(
            f"{key} would not train the embeddings of the symbols for {' and '.join(names)}, which "
            f"{config.train.init_from} lacks: leave out {key}, or start from a model trained with "
            "them"
        )


def check_initial_model(config: Config) -> None:
    """Check whether `train.init_from` fits the configuration, before hours of preparation.

    Raises:
        ConfigError: if it does not; the message lists all settings that differ.
        FileError: if it is missing or damaged.
    """
    source = config.train.init_from
    if not source:
        return
    with _named():
        problems = differences(source, config)
    if problems:
        vocabulary = ("tokenizer.", "data.src_lang", "data.tgt_lang")
        replaceable = any(problem.startswith(vocabulary) for problem in problems)
        raise ConfigError(
            f"train.init_from: {source} does not fit the configuration; only the number of "
            "layers, dropout, and the sampling of the tokenizer may differ",
            *problems,
            _way_out(source),
            *(["with tokenizer.replace: true, tokenizer and languages may differ"] * replaceable),
        )


@contextmanager
def _named() -> Iterator[None]:
    """Make errors name the key."""
    try:
        yield
    except (ConfigError, FileError) as error:
        message, *details = error.args
        raise type(error)(f"train.init_from: {message}", *details) from error


def _way_out(source: str) -> str:
    """Return a sentence that says how to get a configuration that fits."""
    fitting = "a configuration that begins with `extends: RUN/config.yaml` fits"
    if is_hub_name(source):
        return f"`nmt pull {source} -o RUN` makes a run of it; {fitting}"
    if is_foreign(Path(source)):
        return f"`nmt import {source} -o RUN` makes a run of it; {fitting}"
    return fitting.replace("RUN", str(find_run(Path(source))))


def differences(source: str, config: Config) -> list[str]:
    """Describe the settings of a model that rule out starting from its weights; empty if none do.

    Args:
        source: as in `train.init_from`.
        config: of the new run.

    Raises:
        ConfigError: if nmt cannot represent the model.
        FileError: if there is no intact model.
    """
    start = config.train.model_copy(update={"init_from": source})
    _, before, _ = find_weights(_source(config.model_copy(update={"train": start})))
    return list(_differences(before, config))


def initial_weights(
    config: Config, network: Network[Any], tokenizers: Tokenizers
) -> dict[str, Tensor]:
    """Return the weights of `train.init_from`, for a network that may have another depth.

    If it has M layers and the network has N, layer i is copied from layer floor(i M / N). Evenly
    spaced layers are a good start for a shallower network (Shleifer and Rush 2020). With
    `tokenizer.extend` or `replace`, the row of a new piece is the mean of those of the pieces it
    replaces. The symbols of languages, terms, context, corpora and missing text get the row of the
    unknown token, which is never a translation either.

    Args:
        config: of the new run, with `train.init_from`.
        network: the network to be initialised.
        tokenizers: of the new run.

    Raises:
        FileError: if the model is missing or damaged.
    """
    path = _source(config)
    _, source, directory = find_weights(path)
    available = load_tensors(directory, "weights")
    old = load_tokenizers(find_run(path))
    if any(one.serialized() != new.serialized() for one, new in zip(old, tokenizers, strict=True)):
        available |= _carried_over(available, old, tokenizers)
    origin = _origins(source.model, config.model)
    names = ordinary_parameters(network)
    return {name: available[origin(name)] for name in names if origin(name) in available}


def _carried_over(
    weights: Mapping[str, Tensor], old: Tokenizers, new: Tokenizers
) -> dict[str, Tensor]:
    """Return the parameters with rows for pieces, [V, D] or [V], for another vocabulary."""
    origins = [row_origins(*pair) for pair in zip(old, new, strict=True)]
    return {
        name: torch.stack([weights[name][ids].mean(dim=0) for ids in origins[side]])
        for name, side in _VOCABULARIES.items()
        if name in weights
    }


def _differences(source: Config, config: Config) -> Iterator[str]:
    """Describe the differences in settings on which the weights depend."""
    if source.data.num_tags > config.data.num_tags:
        yield _difference("data.tags", source.data.tags, config.data.tags)
    # With tags, those of the tokenizer decide which languages may be added. Denoising has no
    # direction of translation. A new vocabulary is for any languages.
    keeps_vocabulary = not config.tokenizer.replace
    is_translation = config.data.tags == "none" and source.train.objective == "translate"
    has_direction = is_translation and keeps_vocabulary
    for side in ("src_lang", "tgt_lang") if has_direction else ():
        languages = [getattr(one.data, side) for one in (source, config)]
        if languages[0] != languages[1]:
            yield _difference(f"data.{side}", *languages)
    tokenizers = [one.tokenizer.model_dump(exclude=_FREE) for one in (source, config)]
    for key, was in tokenizers[0].items() if keeps_vocabulary else ():
        if was != tokenizers[1][key]:
            yield _difference(f"tokenizer.{key}", was, tokenizers[1][key])
    before, now = (one.model.model_dump() for one in (source, config))
    free = {"encoder_layers", "decoder_layers"} if source.model.kind == "transformer" else set()
    for key in [*before, *(now.keys() - before.keys())]:
        if before.get(key) != now.get(key) and key not in free and not key.endswith("dropout"):
            yield _difference(f"model.{key}", before.get(key), now.get(key))


def _difference(key: str, there: Any, here: Any) -> str:
    return f"{key}: {there} there, {here} here"


def _origins(source: Any, model: Any) -> Callable[[str], str]:
    """Return a function from the name of a parameter to the one it is copied from."""
    if not isinstance(source, TransformerConfig) or not isinstance(model, TransformerConfig):
        return lambda name: name

    depths = {
        "encoder": (source.encoder_layers, model.encoder_layers),
        "decoder": (source.decoder_layers, model.decoder_layers),
    }

    def rename(name: str) -> str:
        if not (match := _LAYER.fullmatch(name)):
            return name
        side, layer, rest = match.groups()
        there, here = depths[side]
        return f"{side}_layers.{int(layer) * there // here}.{rest}"

    return rename
