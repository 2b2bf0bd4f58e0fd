"""Read a MarianMT model in the format of Hugging Face."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from nmt.convert.marian import (
    OUTPUT_BIAS,
    PROJECTION,
    SRC_EMBEDDING,
    TGT_EMBEDDING,
    Marian,
    Side,
    Special,
    order_of,
)
from nmt.errors import ConfigError, FileError
from nmt.files import MAX_TOKENIZER_BYTES, read_bounded, reason
from nmt.limits import MAX_VOCAB_SIZE
from nmt.model.positions import sinusoids
from nmt.runs.manifest import read_json

# What transformers assumes for keys that are missing from config.json.
_DEFAULTS: dict[str, Any] = {
    "activation_function": "gelu",
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "d_model": 1024,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 4096,
    "decoder_layers": 12,
    "decoder_start_token_id": 58100,
    "dropout": 0.1,
    "encoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "encoder_layers": 12,
    "eos_token_id": 0,
    "max_position_embeddings": 1024,
    "pad_token_id": 58100,
    "scale_embedding": False,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "vocab_size": 58101,
}
_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "swish": "swish", "silu": "swish"}
_FILES = ("model.safetensors", "source.spm", "target.spm", "vocab.json")
_POSITIONS = "embed_positions.weight"


def read_huggingface(directory: Path) -> Marian:
    """Read a directory that `save_pretrained` of transformers has written.

    Args:
        directory: with config.json, model.safetensors, source.spm, target.spm and vocab.json;
            generation_config.json, tokenizer_config.json and target_vocab.json if there are any.

    Raises:
        ConfigError: if nmt cannot represent the model; the message lists all reasons.
        FileError: if a file is missing or cannot be read.
    """
    config = {**_DEFAULTS, **read_json(directory / "config.json", plain=False)}
    generation = _optional(directory / "generation_config.json")
    tokenizer = _optional(directory / "tokenizer_config.json")
    for key in ("decoder_start_token_id", "eos_token_id", "pad_token_id"):
        config[key] = generation.get(key, config[key])
    separate = tokenizer.get("separate_vocabs") is True
    if problems := list(_problems(directory, config, separate)):
        raise ConfigError(f"{directory}: nmt cannot import this model", *problems)
    unk = tokenizer.get("unk_token", "<unk>")
    special = Special(unk.get("content", "") if isinstance(unk, dict) else str(unk))
    src_size = config["vocab_size"]
    tgt_size = config.get("decoder_vocab_size") or src_size
    src_pieces = _vocabulary(directory / "vocab.json", src_size)
    tgt_pieces = _vocabulary(directory / "target_vocab.json", tgt_size) if separate else src_pieces
    eos, pad, start = (
        _piece(directory, tgt_pieces, config, key)
        for key in ("eos_token_id", "pad_token_id", "decoder_start_token_id")
    )
    special = special._replace(eos=eos, pad=pad)
    check_special(directory, src_pieces, tgt_pieces, special)
    tensors = _tensors(directory, config, [tgt_size, config["d_model"]])
    return Marian(
        origin=directory,
        kind="MarianMT",
        model=_model(config),
        scaled=config["scale_embedding"],
        tensors=tensors,
        start_D=tensors[TGT_EMBEDDING][config["decoder_start_token_id"]],
        start=None if start in special else start,
        src=Side(_spm(directory / "source.spm"), src_pieces),
        tgt=Side(_spm(directory / "target.spm"), tgt_pieces),
        special=special,
        languages=(tokenizer.get("source_lang"), tokenizer.get("target_lang")),
        max_length=config["max_position_embeddings"],
        decode=_decode(config, generation),
    )


def check_special(
    directory: Path, src_pieces: list[str], tgt_pieces: list[str], special: Special
) -> None:
    """Check that both vocabularies have the special pieces.

    Raises:
        FileError: if one is missing.
    """
    for side, pieces in (("source", src_pieces), ("target", tgt_pieces)):
        if missing := [text for text in special if text not in pieces]:
            raise FileError(f"{directory}: the {side} vocabulary lacks {', '.join(missing)}")


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path, plain=False) if path.exists() else {}


def _problems(directory: Path, config: dict[str, Any], separate: bool) -> Iterator[str]:
    """Yield a message for everything that nmt cannot represent, and for missing files."""
    kind = config.get("model_type")
    if kind != "marian":
        yield f"config.json: model_type {kind}: only marian can be imported"
        return  # the other keys have other names
    for ours, keys in (
        ("num_heads", ("encoder_attention_heads", "decoder_attention_heads")),
        ("d_ff", ("encoder_ffn_dim", "decoder_ffn_dim")),
    ):
        if config[keys[0]] != config[keys[1]]:
            yield (
                f"config.json: {keys[0]} {config[keys[0]]} and {keys[1]} {config[keys[1]]}: "
                f"both sides of an nmt model have the same model.{ours}"
            )
    if config["activation_function"] not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        yield (
            f"config.json: activation_function {config['activation_function']}: known are {known}"
        )
    for key, value in _DEFAULTS.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        number = int | float if isinstance(value, float) else int
        if is_number and not (isinstance(config[key], number) and config[key] >= 0):
            yield f"config.json: {key} {config[key]}: must be a number"
    for key in ("vocab_size", "decoder_vocab_size"):
        size = config.get(key) or 0
        if not isinstance(size, int) or size > MAX_VOCAB_SIZE:
            yield f"config.json: {key} {size}: must be a number, at most {MAX_VOCAB_SIZE:,}"
    if isinstance(config["d_model"], int) and config["d_model"] % 2:
        yield f"config.json: d_model {config['d_model']}: sinusoidal positions need it even"
    for name in (*_FILES, *(["target_vocab.json"] if separate else [])):
        if not (directory / name).is_file():
            yield f"{name}: missing{_way_out(directory, name)}"


def _way_out(directory: Path, name: str) -> str:
    if name != "model.safetensors":
        return ": download the whole model"
    if (directory / "model.safetensors.index.json").is_file():
        return (
            ": the weights are in several files; join them with transformers: "
            "MarianMTModel.from_pretrained(DIR).save_pretrained(NEW, max_shard_size='100GB')"
        )
    if (directory / "pytorch_model.bin").is_file():
        return (
            ": pytorch_model.bin may contain code, so nmt does not read it; convert it with "
            "transformers: MarianMTModel.from_pretrained(DIR).save_pretrained(NEW), and save the "
            "tokenizer there, too: MarianTokenizer.from_pretrained(DIR).save_pretrained(NEW)"
        )
    return ": download the whole model"


def _model(config: dict[str, Any]) -> dict[str, Any]:
    same = ("d_model", "encoder_layers", "decoder_layers", "dropout")
    return {
        **{key: config[key] for key in (*same, "attention_dropout", "activation_dropout")},
        "num_heads": config["encoder_attention_heads"],
        "d_ff": config["encoder_ffn_dim"],
        "activation": _ACTIVATIONS[config["activation_function"]],
    }


def _decode(config: dict[str, Any], generation: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of the section `decode`.

    The length penalty is only similar: transformers divides by length ** alpha, nmt by
    ((5 + length) / 6) ** alpha, which depends less on the length of short translations.
    """
    settings = {**config, **generation}
    beams, alpha = settings.get("num_beams"), settings.get("length_penalty")
    decode: dict[str, Any] = {"length_penalty": 1.0, "beam_size": 1}
    if isinstance(beams, int) and beams > 0:
        decode["beam_size"] = beams
    if isinstance(alpha, int | float):
        decode["length_penalty"] = min(max(float(alpha), 0.0), 10.0)
    return decode


def _vocabulary(path: Path, size: int) -> list[str]:
    """Return the pieces of a vocabulary in the order of their ids; "" for an id without one."""
    pieces = [""] * size
    for piece, number in read_json(path, plain=False).items():
        if not isinstance(number, int) or not 0 <= number < size or pieces[number]:
            raise FileError(
                f"{path}: piece {piece!r}: its id {number!r} is not a number below {size:,}, the "
                "size in config.json, or another piece has it, too"
            )
        pieces[number] = piece
    return pieces


def _piece(directory: Path, pieces: list[str], config: dict[str, Any], key: str) -> str:
    number = config[key]
    if not isinstance(number, int) or not 0 <= number < len(pieces) or not pieces[number]:
        raise FileError(f"{directory}: {key} {number}: not a piece of the target vocabulary")
    return pieces[number]


def _spm(path: Path) -> bytes:
    return read_bounded(path, MAX_TOKENIZER_BYTES, plain=False)


def _tensors(directory: Path, config: dict[str, Any], tgt_shape: list[int]) -> dict[str, Tensor]:
    """Return the weights by name, without positions and weights that are tied to others."""
    path = directory / "model.safetensors"
    try:
        loaded = load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise FileError(f"{path}: cannot be loaded: {reason(error)}") from error
    tensors = {name.removeprefix("model."): tensor for name, tensor in loaded.items()}
    if "shared.weight" in tensors and config["share_encoder_decoder_embeddings"]:
        tensors |= dict.fromkeys((SRC_EMBEDDING, TGT_EMBEDDING), tensors["shared.weight"])
    if config["tie_word_embeddings"]:
        tensors.pop(PROJECTION, None)
    elif PROJECTION not in tensors:
        raise FileError(f"{path}: the weight {PROJECTION} is missing: download the model again")
    if TGT_EMBEDDING not in tensors or list(tensors[TGT_EMBEDDING].shape) != tgt_shape:
        raise FileError(
            f"{path}: the weight {TGT_EMBEDDING} is missing, or its shape is not {tgt_shape}: "
            "download the model again"
        )
    if OUTPUT_BIAS in tensors:
        tensors[OUTPUT_BIAS] = tensors[OUTPUT_BIAS].flatten()
    for side in ("encoder", "decoder"):
        _check_positions(path, tensors.pop(f"{side}.{_POSITIONS}", None))
    return tensors


def _check_positions(path: Path, table_MD: Tensor | None) -> None:
    """Raise a ConfigError if positions are not the sinusoids that Marian computes."""
    if table_MD is None:
        return
    try:
        num_positions, d_model = table_MD.shape
        order_D, expected_MD = order_of(d_model), sinusoids(0, num_positions, d_model)
        assert_close(table_MD.float()[:, order_D], expected_MD, rtol=0.0, atol=0.01)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{path}: its {_POSITIONS} are not sinusoids: nmt cannot import this model"
        ) from error
