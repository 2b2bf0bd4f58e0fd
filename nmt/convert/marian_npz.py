"""Read a model in Marian's own format, as OPUS-MT distributes it.

Its matrices are [in, out]; here they get the names and the layout of MarianMT. Before the first
token, the decoder reads zeros in place of an embedding.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn.functional import pad

from nmt.convert.marian import (
    NEVER,
    OUTPUT_BIAS,
    PROJECTION,
    SRC_EMBEDDING,
    TGT_EMBEDDING,
    Marian,
    Side,
    Special,
)
from nmt.errors import ConfigError, FileError
from nmt.files import MAX_JSON_BYTES, MAX_TOKENIZER_BYTES, read_bounded, reason

_CONFIG = "special:model.yml"
_SPECIAL = Special("<unk>", "</s>", "<pad>")
# The values that nmt represents, Marian's default first. Its gelu is another approximation.
_OPTIONS: dict[str, tuple[Any, ...]] = {
    "type": ("transformer",),
    "transformer-ffn-activation": ("swish", "relu"),
    "transformer-decoder-autoreg": ("self-attention",),
    "transformer-no-projection": (False,),
    "transformer-preprocess": ("",),
    "transformer-postprocess": ("dan",),
    "transformer-postprocess-emb": ("d", ""),
    "transformer-postprocess-top": ("",),
    "transformer-train-position-embeddings": (False,),
    "transformer-ffn-depth": (2,),
    "transformer-tied-layers": ([],),
    "lemma-dim-emb": (0,),
}
_SIZES = {
    "d_model": "dim-emb",
    "num_heads": "transformer-heads",
    "d_ff": "transformer-dim-ffn",
    "encoder_layers": "enc-depth",
    "decoder_layers": "dec-depth",
}
_DROPOUT = {
    "dropout": "transformer-dropout",
    "attention_dropout": "transformer-dropout-attention",
    "activation_dropout": "transformer-dropout-ffn",
}
_ATTENTION = {"self_attn": "self", "encoder_attn": "context"}


def read_npz(directory: Path) -> Marian:
    """Read a directory of OPUS-MT.

    Args:
        directory: with decoder.yml, which names the weights (.npz) and the vocabularies (.yml), and
            with source.spm and target.spm.

    Raises:
        ConfigError: if nmt cannot represent the model; the message lists all reasons.
        FileError: if a file is missing or cannot be read.
    """
    decoder = _mapping(_content(directory / "decoder.yml"), directory / "decoder.yml")
    weights, vocabularies = _named_files(directory, decoder)
    arrays = _arrays(weights)
    config = _config(weights, arrays)
    if problems := list(_problems(directory, config, arrays)):
        raise ConfigError(f"{directory}: nmt cannot import this model", *problems)
    tensors = _tensors(weights, arrays, config)
    sides = []
    for name, path, embedding in zip(
        ("source", "target"), vocabularies, (SRC_EMBEDDING, TGT_EMBEDDING), strict=True
    ):
        pieces = _vocabulary(path, len(tensors[embedding]))
        spm = read_bounded(directory / f"{name}.spm", MAX_TOKENIZER_BYTES, plain=False)
        sides.append(Side(spm, [*pieces, _SPECIAL.pad]))
    return Marian(
        origin=directory,
        kind="Marian",
        model={
            **{ours: config[theirs] for ours, theirs in _SIZES.items()},
            **{ours: float(config.get(theirs) or 0.0) for ours, theirs in _DROPOUT.items()},
            "activation": config.get("transformer-ffn-activation", "swish"),
        },
        scaled=True,
        tensors=_with_padding(tensors),
        start_D=torch.zeros(tensors[TGT_EMBEDDING].shape[1]),
        src=sides[0],
        tgt=sides[1],
        special=_SPECIAL,
        decode=_decode(decoder),
    )


def _content(path: Path) -> bytes:
    return read_bounded(path, MAX_JSON_BYTES, plain=False)


def _mapping(content: bytes, path: Path, loader: Any = yaml.SafeLoader) -> dict[Any, Any]:
    """Return the mapping in a YAML file.

    Raises:
        FileError: if it is something else.
    """
    try:
        reader = loader(content.decode("utf-8"))
        try:
            value = reader.get_single_data()
        finally:
            reader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FileError(f"{path}: not valid YAML: {str(error).split(chr(10))[0]}") from error
    if not isinstance(value, dict):
        raise FileError(f"{path}: not a mapping in YAML")
    return value


def _named_files(directory: Path, decoder: dict[Any, Any]) -> tuple[Path, list[Path]]:
    """Return the weights and the vocabulary of each side that decoder.yml names."""
    path = directory / "decoder.yml"
    models, vocabularies = decoder.get("models"), decoder.get("vocabs")
    if not isinstance(models, list) or not isinstance(vocabularies, list):
        raise FileError(f"{path}: does not list `models` and `vocabs`")
    if len(models) != 1 or len(vocabularies) != 2:
        raise ConfigError(
            f"{path}: names {len(models)} models and {len(vocabularies)} vocabularies, but one run "
            "has one model and two vocabularies: leave one model in it and import the others apart"
        )
    return directory / str(models[0]), [directory / str(name) for name in vocabularies]


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays in an .npz file, which is an archive of .npy files.

    Raises:
        FileError: if it is missing, or damaged, or has Python objects, which could run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for name in archive.namelist():
                with archive.open(name) as file:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(file)
            return arrays
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        problem = reason(error)
        raise FileError(f"{path}: cannot be read: {problem}: download the model again") from error


def _config(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[Any, Any]:
    if _CONFIG not in arrays:
        raise FileError(f"{path}: has no {_CONFIG}: not a model of Marian")
    return _mapping(arrays[_CONFIG].tobytes().rstrip(b"\0"), path)


def _problems(
    directory: Path, config: dict[Any, Any], arrays: Mapping[str, object]
) -> Iterator[str]:
    """Yield a message for everything that nmt cannot represent, and for missing files."""
    for key, allowed in _OPTIONS.items():
        value = config.get(key, allowed[0])
        if value not in allowed:
            known = " or ".join(str(each) or "none" for each in allowed)
            yield f"{key}: {value}: only {known}"
    for key in _SIZES.values():
        if not isinstance(config.get(key), int):
            yield f"{key}: {config.get(key)}: must be a number"
    for key in _DROPOUT.values():
        if not isinstance(config.get(key) or 0.0, int | float):
            yield f"{key}: {config.get(key)}: must be a number"
    if "Wpos" in arrays:
        yield "Wpos: trained positions: only sinusoids"
    for name in ("source.spm", "target.spm"):
        if not (directory / name).is_file():
            yield f"{name}: missing: only models with SentencePiece can be imported"


def _tensors(
    path: Path, arrays: Mapping[str, np.ndarray[Any, Any]], config: dict[Any, Any]
) -> dict[str, Tensor]:
    """Return the weights by the names of MarianMT."""

    def get(*names: str) -> Tensor:
        for name in names:
            array = arrays.get(name)
            if array is not None and array.ndim == 2 and array.dtype.kind == "f":
                return torch.from_numpy(np.array(array, np.float32))
        raise FileError(
            f"{path}: the weight {names[-1]} is missing, or no matrix: download the model again"
        )

    tensors = {
        SRC_EMBEDDING: get("encoder_Wemb", "Wemb"),
        TGT_EMBEDDING: get("decoder_Wemb", "Wemb"),
        OUTPUT_BIAS: get("decoder_ff_logit_out_b").flatten(),
    }
    if "decoder_ff_logit_out_W" in arrays:
        tensors[PROJECTION] = get("decoder_ff_logit_out_W").t()
    elif "decoder_ff_logit_out_Wt" in arrays:
        tensors[PROJECTION] = get("decoder_ff_logit_out_Wt")
    for side, key in (("encoder", "enc-depth"), ("decoder", "dec-depth")):
        for layer in range(config[key]):
            theirs, ours = f"{side}_l{layer + 1}", f"{side}.layers.{layer}"
            for name, short in _names_in_layer(side == "decoder"):
                weight = get(f"{theirs}_{short}")
                is_matrix = name.endswith("weight") and not name.endswith("norm.weight")
                tensors[f"{ours}.{name}"] = weight.t() if is_matrix else weight.flatten()
    return tensors


def _names_in_layer(is_decoder: bool) -> Iterator[tuple[str, str]]:
    """Yield the name in MarianMT and the name in Marian of each weight of a layer."""
    for ours, theirs in _ATTENTION.items():
        if ours == "encoder_attn" and not is_decoder:
            continue
        for name, letter in (("q_proj", "q"), ("k_proj", "k"), ("v_proj", "v"), ("out_proj", "o")):
            yield f"{ours}.{name}.weight", f"{theirs}_W{letter}"
            yield f"{ours}.{name}.bias", f"{theirs}_b{letter}"
        yield f"{ours}_layer_norm.weight", f"{theirs}_Wo_ln_scale"
        yield f"{ours}_layer_norm.bias", f"{theirs}_Wo_ln_bias"
    for number in (1, 2):
        yield f"fc{number}.weight", f"ffn_W{number}"
        yield f"fc{number}.bias", f"ffn_b{number}"
    yield "final_layer_norm.weight", "ffn_ffn_ln_scale"
    yield "final_layer_norm.bias", "ffn_ffn_ln_bias"


def _with_padding(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add a row for padding, which Marian's vocabulary lacks: zeros, and no probability."""
    rows = {SRC_EMBEDDING, TGT_EMBEDDING, PROJECTION} & tensors.keys()
    padded = {name: pad(tensors[name], (0, 0, 0, 1)) for name in rows}
    return {**tensors, **padded, OUTPUT_BIAS: pad(tensors[OUTPUT_BIAS], (0, 1), value=NEVER)}


def _vocabulary(path: Path, size: int) -> list[str]:
    """Return the pieces of a vocabulary in the order of their ids; "" for an id without one."""
    # Everything is text for this loader, also `yes`, `1` and `<<`.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    pieces = [""] * size
    for piece, text in _mapping(_content(path), path, loader).items():
        number = int(text) if isinstance(text, str) and text.isdecimal() else -1
        if not isinstance(piece, str) or not 0 <= number < size or pieces[number]:
            raise FileError(
                f"{path}: piece {piece!r}: its id {text!r} is not a number below {size:,}, the "
                "rows of the embedding, or another piece has it, too"
            )
        pieces[number] = piece
    if missing := [text for text in _SPECIAL[:2] if text not in pieces]:
        raise FileError(f"{path}: lacks the pieces {', '.join(missing)}")
    if _SPECIAL.pad in pieces:  # an ordinary piece, which nothing can produce
        pieces[pieces.index(_SPECIAL.pad)] = ""
    return pieces


def _decode(decoder: dict[Any, Any]) -> dict[str, Any]:
    """Return the keys of the section `decode`.

    The length penalty is only similar: Marian divides by length ** alpha, nmt by
    ((5 + length) / 6) ** alpha, which depends less on the length of short translations.
    """
    decode: dict[str, Any] = {}
    if isinstance(beams := decoder.get("beam-size"), int) and beams > 0:
        decode["beam_size"] = beams
    if isinstance(alpha := decoder.get("normalize") or 0.0, int | float):
        decode["length_penalty"] = min(max(float(alpha), 0.0), 10.0)
    return decode
