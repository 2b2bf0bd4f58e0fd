"""Export to the format of Hugging Face, as a MarianMT model.

config.json, model.safetensors     the model
generation_config.json             the defaults of its search
source.spm, target.spm             the SentencePiece models, which segment text
vocab.json                         the pieces and their ids (target_vocab.json for the target,
                                   if the vocabularies are separate)
tokenizer_config.json              the languages and special pieces
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt.config.models import TransformerConfig
from nmt.config.schema import Config
from nmt.convert.marian import (
    OUTPUT_BIAS,
    PROJECTION,
    SRC_EMBEDDING,
    TGT_EMBEDDING,
    order_of,
    parts,
)
from nmt.convert.marian_pieces import as_in_vocabulary
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.errors import ConfigError
from nmt.files import new_directory, refuse_existing
from nmt.model.positions import sinusoids
from nmt.runs.exported import num_positions
from nmt.runs.manifest import write_json
from nmt.runs.model import TrainedModel
from nmt.translate.engine import never_output


def export_huggingface(model: TrainedModel, output: Path) -> None:
    """Export a model as MarianMT. On failure no output is left behind.

    Args:
        model: model on the CPU, in float32.
        output: directory to create; may exist if it is empty.

    Raises:
        ConfigError: if Marian cannot represent the model; the message lists all reasons.
        FileError: if the directory is not empty or cannot be written.
    """
    from safetensors.torch import save_file

    if problems := [*reasons(model.config), *_reasons_of_tokenizers(model.tokenizers)]:
        raise ConfigError(
            "Hugging Face runs the model as Marian, which cannot represent it", *problems
        )
    refuse_existing(output)
    with new_directory(output) as folder:
        save_file(_tensors(model), folder / "model.safetensors", {"format": "pt"})
        for name, value in _descriptions(model).items():
            write_json(folder / name, value)
        for name, tokenizer in zip(("source", "target"), model.tokenizers, strict=True):
            tokenizer.save(folder / f"{name}.spm")
        # safetensors creates files that only their owner can read, whatever the umask.
        mode = (folder / "config.json").stat().st_mode
        (folder / "model.safetensors").chmod(mode)


def reasons(config: Config) -> Iterator[str]:
    """Yield why Marian cannot represent a model of this configuration."""
    model = config.model
    if config.data.tags != "none":
        yield f"data.tags {config.data.tags}: MarianTokenizer cannot put the tags before a source"
    if model.kind != "transformer":
        yield f"model.kind {model.kind}: only transformer"
        return
    if model.norm != "post":
        yield f"model.norm {model.norm}: only post"
    if model.decoder != "attention":
        yield f"model.decoder {model.decoder}: only attention"
    if model.activation == "swiglu":
        yield "model.activation swiglu: only relu, gelu or swish"
    if model.positions.kind != "sinusoidal":
        yield f"model.positions.kind {model.positions.kind}: only sinusoidal"
    if model.positions.combine != "add":
        yield f"model.positions.combine {model.positions.combine}: only add"
    width = model.d_model // model.num_heads
    for name, value in (("d_k", model.d_k), ("d_v", model.d_v)):
        if (value or width) * model.num_heads != model.d_model:
            yield f"model.{name} {value or width}: only d_model / num_heads"


def _reasons_of_tokenizers(tokenizers: Tokenizers) -> Iterator[str]:
    src, tgt = tokenizers
    names = [_special(tokenizer) for tokenizer in tokenizers]
    if names[0] != names[1]:
        yield f"the special pieces of source and target differ: {names[0]} and {names[1]}"
    for side, tokenizer in (("source", src), ("target", tgt)):
        if len(_vocabulary(tokenizer)) < tokenizer.vocab_size:
            yield (
                f"the {side} tokenizer has no padding token, but a piece called <pad>: Marian "
                "cannot tell apart pieces of the same name"
            )


def _special(tokenizer: Tokenizer) -> dict[str, str]:
    ids = {"unk": tokenizer.unk_id, "eos": tokenizer.eos_id, "pad": tokenizer.pad_id}
    return dict(zip(ids, tokenizer.pieces([*ids.values()]), strict=True))


def _vocabulary(tokenizer: Tokenizer) -> dict[str, int]:
    return {as_in_vocabulary(piece): i for i, piece in enumerate(tokenizer.vocabulary())}


def _tensors(model: TrainedModel) -> dict[str, Tensor]:
    """Return the weights by Marian's names, in its layout."""
    network, config = model.transformer("the export"), model.config.model
    assert isinstance(config, TransformerConfig)
    weights = network.state_dict()
    order_D = order_of(config.d_model).argsort()
    embeddings = {SRC_EMBEDDING: "src_embedding", TGT_EMBEDDING: "tgt_embedding"}
    if config.tie_embeddings == "all":
        embeddings = {"shared.weight": "src_embedding"}
    elif config.tie_embeddings == "none":
        embeddings[PROJECTION] = "projection"
    tensors = {name: weights[f"{ours}.weight"][:, order_D] for name, ours in embeddings.items()}
    for part in parts(config):
        # Biases that nmt's attention lacks are 0.
        sizes = [config.d_model * len(part.theirs)]
        weight = weights.get(part.ours, torch.zeros(sizes))
        axis = part.dims.find("D")
        weight = weight if axis < 0 else weight.index_select(axis, order_D)
        tensors |= dict(zip(part.theirs, weight.chunk(len(part.theirs)), strict=True))
    table_MD = sinusoids(0, num_positions(model.config), config.d_model)[:, order_D]
    tensors |= {f"{side}.embed_positions.weight": table_MD for side in ("encoder", "decoder")}
    named = {
        name if name == PROJECTION else f"model.{name}": tensor.detach().clone().contiguous()
        for name, tensor in tensors.items()
    }
    size = model.tokenizers.tgt.vocab_size
    named[OUTPUT_BIAS] = weights.get("projection.bias", torch.zeros(size)).detach().clone()[None]
    return named


def _descriptions(model: TrainedModel) -> dict[str, dict[str, Any]]:
    """Return the content of all JSON files by name."""
    src, tgt = model.tokenizers
    vocabularies = [_vocabulary(src), _vocabulary(tgt)]
    separate = vocabularies[0] != vocabularies[1]
    special = _special(tgt)
    data = model.config.data
    files: dict[str, dict[str, Any]] = {
        "config.json": _config(model),
        "generation_config.json": _generation(model),
        "vocab.json": vocabularies[0],
        "tokenizer_config.json": {
            "tokenizer_class": "MarianTokenizer",
            "source_lang": data.src_lang,
            "target_lang": data.tgt_lang,
            "separate_vocabs": separate,
            "model_max_length": num_positions(model.config),
            **{f"{name}_token": piece for name, piece in special.items()},
        },
    }
    if separate:
        files["target_vocab.json"] = vocabularies[1]
    return files


def _config(model: TrainedModel) -> dict[str, Any]:
    config = model.config.model
    assert isinstance(config, TransformerConfig)
    src, tgt = model.tokenizers
    both = {
        "attention_heads": config.num_heads,
        "ffn_dim": config.d_ff,
    }
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "is_encoder_decoder": True,
        "d_model": config.d_model,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        **{f"{side}_{key}": both[key] for side in ("encoder", "decoder") for key in both},
        "activation_function": config.activation,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "scale_embedding": True,
        "static_position_embeddings": True,
        "max_position_embeddings": num_positions(model.config),
        "vocab_size": src.vocab_size,
        "decoder_vocab_size": tgt.vocab_size,
        "share_encoder_decoder_embeddings": config.tie_embeddings == "all",
        "tie_word_embeddings": config.tie_embeddings != "none",
        **_ids(tgt),
    }


def _ids(tgt: Tokenizer) -> dict[str, int]:
    return {
        "decoder_start_token_id": tgt.bos_id,
        "eos_token_id": tgt.eos_id,
        "forced_eos_token_id": tgt.eos_id,
        "pad_token_id": tgt.pad_id,
    }


def _generation(model: TrainedModel) -> dict[str, Any]:
    """Return the defaults of the search.

    The length penalty is only similar: transformers divides by length ** alpha, nmt by
    ((5 + length) / 6) ** alpha, which depends less on the length of short translations.
    """
    decode = model.config.decode
    settings: dict[str, Any] = {
        **_ids(model.tokenizers.tgt),
        "bad_words_ids": [[token] for token in sorted(never_output(model.tokenizers.tgt))],
        "max_length": min(512, num_positions(model.config)),
        "num_beams": decode.beam_size,
    }
    if decode.beam_size > 1:
        settings |= {"length_penalty": decode.length_penalty, "early_stopping": True}
    return settings
