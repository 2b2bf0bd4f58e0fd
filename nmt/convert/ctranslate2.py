"""Writing a trained model as a directory that CTranslate2 runs (extra `[export]`).

The directory is self-contained:

    model.bin, config.json     what CTranslate2 reads, with
    shared_vocabulary.json     the pieces in the order of their ids (source_ and
                               target_vocabulary.json when the vocabularies are separate)
    spm.model                  the SentencePiece model (src.model and tgt.model)
    config.yaml                the configuration of the run
    data.json                  how long translations are on average, if that is known
    manifest.json              sizes and checksums
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from nmt.config.load import dump_config
from nmt.errors import ConfigError, FileError
from nmt.model.attention import MultiHeadAttention
from nmt.model.transformer import DecoderLayer, EncoderLayer, FeedForward, Residual, Transformer
from nmt.runs.checkpoint import save_directory
from nmt.runs.exported import num_positions, vocabulary
from nmt.runs.model import TrainedModel
from nmt.translate.ct2_engine import require_ctranslate2


def export_ctranslate2(model: TrainedModel, output: Path, quantization: str | None) -> None:
    """Write a model for CTranslate2; the directory is there whole or not at all.

    Args:
        model: on the CPU, in float32.
        output: a directory that is not there yet, or is empty.
        quantization: how the weights are stored, one of CTranslate2's types; None is as they are.

    Raises:
        ConfigError: CTranslate2 is not installed or cannot express the model.
        FileError: the directory is not empty or cannot be written.
    """
    require_ctranslate2()
    spec = make_spec(model)
    spec.validate()
    spec.optimize(quantization=quantization)

    def fill(folder: Path) -> None:
        spec.save(str(folder))
        model.tokenizers.save(folder)
        (folder / "config.yaml").write_text(dump_config(model.config), encoding="utf-8")
        if model.lengths:
            described = json.dumps({"lengths": asdict(model.lengths)})
            (folder / "data.json").write_text(described, encoding="utf-8")

    try:
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise FileError(f"{output}: is there already: name a new directory")
        if output.is_dir():
            output.rmdir()
        save_directory(output, fill)
    except OSError as error:
        raise FileError(f"{output}: cannot be written: {error.strerror or error}") from error


def make_spec(model: TrainedModel) -> Any:
    """Describe a model to CTranslate2.

    Returns:
        a `ctranslate2.specs.TransformerSpec`.

    Raises:
        ConfigError: it cannot be described.
    """
    from ctranslate2.specs import TransformerSpec
    from ctranslate2.specs.common_spec import Activation

    config = model.config.model
    if config.kind != "transformer":
        raise ConfigError(
            f"CTranslate2 cannot express model.kind {config.kind}, only the Transformer: "
            "nmt translate runs it as it is"
        )
    network = model.transformer("CTranslate2")
    d_k, _, d_v = (
        width // config.num_heads for width in network.decoder_layers[0].self_attention.widths
    )
    if d_k != d_v:
        raise ConfigError(
            f"CTranslate2 cannot express model.d_k {d_k} beside model.d_v {d_v}: it has one width "
            "for the queries, keys and values of a head"
        )
    activations = {
        "relu": Activation.RELU,
        "gelu": Activation.GELU,
        "swiglu": Activation.SWISH,
    }
    spec = TransformerSpec.from_config(
        (config.encoder_layers, config.decoder_layers),
        config.num_heads,
        pre_norm=config.norm == "pre",
        activation=activations[config.activation],
        ffn_glu=config.activation == "swiglu",
    )
    _set_sides(spec, network, num_positions(model.config))
    for side, layers in (
        (spec.encoder, network.encoder_layers),
        (spec.decoder, network.decoder_layers),
    ):
        for layer_spec, layer in zip(side.layer, layers, strict=True):
            _set_layer(layer_spec, layer)
    [epsilon] = {norm.eps for norm in network.modules() if isinstance(norm, nn.LayerNorm)}
    spec.config.layer_norm_epsilon = epsilon
    _set_vocabularies(spec, model)
    return spec


def _set_sides(spec: Any, network: Transformer, length: int) -> None:
    """Set what surrounds the layers."""
    sides = [
        (spec.encoder, network.src_positions, network.encoder_norm),
        (spec.decoder, network.tgt_positions, network.decoder_norm),
    ]
    d_model = network.projection.in_features
    for side, positions, norm in sides:
        side.scale_embeddings = network.embedding_scale
        # Without a table CTranslate2 takes sinusoids of another layout that start at 1.
        # The further row is there for the last token, which scoring reads and nothing follows.
        table_MP = positions(0, length)
        # CTranslate2 adds positions. With zeros before them, and behind the embeddings, that is
        # the same as to concatenate them.
        before = d_model - table_MP.shape[1]
        side.position_encodings.encodings = F.pad(_copy(table_MP), (before, 0, 0, 1))
        if isinstance(norm, nn.LayerNorm):
            _set_norm(side.layer_norm, norm)
    behind = d_model - network.src_embedding.embedding_dim
    # Equal matrices become one when the specification is optimised.
    spec.encoder.embeddings[0].weight = F.pad(_copy(network.src_embedding.weight), (0, behind))
    spec.decoder.embeddings.weight = F.pad(_copy(network.tgt_embedding.weight), (0, behind))
    spec.decoder.projection.weight = _copy(network.projection.weight)


def _set_layer(spec: Any, layer: nn.Module) -> None:
    assert isinstance(layer, EncoderLayer | DecoderLayer)
    parts = [spec.self_attention, spec.ffn]
    _set_self_attention(spec.self_attention, layer.self_attention)
    if isinstance(layer, DecoderLayer):
        parts.insert(1, spec.attention)
        _set_cross_attention(spec.attention, layer.cross_attention)
    _set_feed_forward(spec.ffn, layer.feed_forward)
    for part, residual in zip(parts, layer.residuals, strict=True):
        assert isinstance(residual, Residual)
        _set_norm(part.layer_norm, residual.norm)


def _set_self_attention(spec: Any, attention: MultiHeadAttention) -> None:
    qkv, out = spec.linear
    qkv.weight = _copy(attention.qkv_weight)
    out.weight = _copy(attention.out_weight)
    spec.queries_scale = _queries_scale(attention)


def _set_cross_attention(spec: Any, attention: MultiHeadAttention) -> None:
    q, kv, out = spec.linear
    width = attention.widths[0]
    q.weight = _copy(attention.qkv_weight[:width])
    kv.weight = _copy(attention.qkv_weight[width:])
    out.weight = _copy(attention.out_weight)
    spec.queries_scale = _queries_scale(attention)


def _queries_scale(attention: MultiHeadAttention) -> float:
    """1 / sqrt(d_k), which CTranslate2 would else make of d_model / num_heads."""
    return float((attention.widths[0] // attention.num_heads) ** -0.5)


def _set_feed_forward(spec: Any, layer: FeedForward) -> None:
    if layer.gated:
        gate, linear = layer.inner.weight.chunk(2)
        spec.linear_0.weight = _copy(gate)
        spec.linear_0_noact.weight = _copy(linear)
    else:
        _set_linear(spec.linear_0, layer.inner)
    _set_linear(spec.linear_1, layer.outer)


def _set_linear(spec: Any, layer: nn.Linear) -> None:
    spec.weight = _copy(layer.weight)
    if layer.bias is not None:
        spec.bias = _copy(layer.bias)


def _set_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma = _copy(norm.weight)
    spec.beta = _copy(norm.bias)


def _copy(weights: Tensor) -> Tensor:
    """Copy weights: CTranslate2 quantises in place."""
    return weights.detach().clone()


def _set_vocabularies(spec: Any, model: TrainedModel) -> None:
    src, tgt = model.tokenizers
    for tokenizer in (src, tgt):
        if len(set(vocabulary(tokenizer))) < tokenizer.vocab_size:
            raise ConfigError(
                "CTranslate2 cannot tell pieces of the same name apart: the SentencePiece model "
                "has no padding, but a piece called <pad>"
            )
    unk, bos, eos = tgt.pieces([tgt.unk_id, tgt.bos_id, tgt.eos_id])
    if src.pieces([src.unk_id, src.eos_id]) != [unk, eos]:
        raise ConfigError(
            "CTranslate2 cannot express that the unknown token or the end mark has another name "
            f"in the source tokenizer than in that of the target, {unk} and {eos}"
        )
    spec.register_source_vocabulary(vocabulary(src))
    spec.register_target_vocabulary(vocabulary(tgt))
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = unk, bos, eos
    spec.config.decoder_start_token = bos
    spec.config.add_source_eos = True
