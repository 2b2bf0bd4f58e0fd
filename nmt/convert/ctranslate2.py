"""Export of trained models to CTranslate2.

The exported directory is self-contained:

    model.bin, config.json     the model as CTranslate2 reads it
    shared_vocabulary.json     its pieces in the order of their ids (source_ and
                               target_vocabulary.json if the vocabularies are separate)
    spm.model                  the SentencePiece model (src.model and tgt.model)
    config.yaml                the configuration of the training run
    data.json                  length statistics of the training pairs, if known
    vmap.txt                   the shortlist, if the run has one
    manifest.json              sizes and checksums
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from nmt.config.guided_alignment import guided_layer
from nmt.config.load import dump_config
from nmt.config.models import TransformerConfig
from nmt.errors import ConfigError
from nmt.files import as_file_error, refuse_existing
from nmt.model.attention import MultiHeadAttention
from nmt.model.transformer import DecoderLayer, EncoderLayer, FeedForward, Residual, Transformer
from nmt.runs.exported import cannot_represent, num_positions
from nmt.runs.manifest import save_directory
from nmt.runs.model import TrainedModel
from nmt.runs.shortlist import Shortlist
from nmt.translate.ct2_engine import require_ctranslate2


def export_ctranslate2(
    model: TrainedModel,
    output: Path,
    quantization: str | None,
    shortlist: Shortlist | None = None,
) -> None:
    """Export a model to CTranslate2. On failure no output is left behind.

    Args:
        model: model on the CPU, in float32.
        output: directory to create; may exist if it is empty.
        quantization: CTranslate2 type in which to store the weights; None keeps float32.
        shortlist: the run's, if it has one.

    Raises:
        ConfigError: if CTranslate2 is not installed or cannot represent the model.
        FileError: if the directory is not empty or cannot be written.
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
        if shortlist:
            vmap = shortlist.vmap(model.tokenizers)
            (folder / "vmap.txt").write_bytes(vmap.encode("utf-8"))

    with as_file_error(output):
        refuse_existing(output)
        if output.is_dir():
            output.rmdir()
        save_directory(output, fill)


def make_spec(model: TrainedModel) -> Any:
    """Convert a model to a `ctranslate2.specs.TransformerSpec`.

    Raises:
        ConfigError: if CTranslate2 cannot represent the model.
    """
    from ctranslate2.specs import TransformerSpec
    from ctranslate2.specs.common_spec import Activation

    if reason := cannot_represent(model.config):
        raise ConfigError(
            f"CTranslate2 cannot represent {reason}; nmt's own engine runs the model as it is"
        )
    config = model.config.model
    assert isinstance(config, TransformerConfig)
    guided = model.config.train.guided_alignment
    network = model.transformer("CTranslate2")
    activations = {
        "relu": Activation.RELU,
        "gelu": Activation.GELU,
        "swish": Activation.SWISH,
        "swiglu": Activation.SWISH,
    }
    spec = TransformerSpec.from_config(
        (config.encoder_layers, config.decoder_layers),
        config.num_heads,
        pre_norm=config.norm == "pre",
        activation=activations[config.activation],
        ffn_glu=config.activation == "swiglu",
        # The attention that it returns is that of nmt.translate.align: the first head's that was
        # taught alignment, or the last layer's, averaged over all heads.
        alignment_layer=guided_layer(guided, config.decoder_layers) if guided else -1,
        alignment_heads=1 if guided else 0,
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
    """Set the embeddings, position encodings, final norms and output projection."""
    sides = [
        (spec.encoder, network.src_positions, network.encoder_norm),
        (spec.decoder, network.tgt_positions, network.decoder_norm),
    ]
    d_model = network.projection.in_features
    for side, positions, norm in sides:
        side.scale_embeddings = network.embedding_scale
        # Without a table, CTranslate2 computes sinusoids in a different layout, starting at 1.
        # The extra row is for scoring, which also feeds the last token to the decoder.
        table_MP = positions(0, length)
        # CTranslate2 can only add positions to embeddings. Padding the former on the left and the
        # latter on the right with zeros makes adding equal to concatenating.
        left_padding = d_model - table_MP.shape[1]
        side.position_encodings.encodings = F.pad(_copy(table_MP), (left_padding, 0, 0, 1))
        if isinstance(norm, nn.LayerNorm):
            _set_norm(side.layer_norm, norm)
    right_padding = (0, d_model - network.src_embedding.embedding_dim)
    # spec.optimize() merges equal matrices.
    spec.encoder.embeddings[0].weight = F.pad(_copy(network.src_embedding.weight), right_padding)
    spec.decoder.embeddings.weight = F.pad(_copy(network.tgt_embedding.weight), right_padding)
    _set_linear(spec.decoder.projection, network.projection)


def _set_layer(spec: Any, layer: nn.Module) -> None:
    assert isinstance(layer, EncoderLayer | DecoderLayer)
    parts = [spec.self_attention, spec.ffn]
    assert layer.self_attention is not None  # `cannot_represent` refuses recurrent decoders
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
    _set(qkv, attention.qkv_weight, attention.qkv_bias)
    _set(out, attention.out_weight, attention.out_bias)
    spec.queries_scale = _queries_scale(attention)


def _set_cross_attention(spec: Any, attention: MultiHeadAttention) -> None:
    q, kv, out = spec.linear
    width = attention.widths[0]
    weight, bias = attention.qkv_weight, attention.qkv_bias
    _set(q, weight[:width], None if bias is None else bias[:width])
    _set(kv, weight[width:], None if bias is None else bias[width:])
    _set(out, attention.out_weight, attention.out_bias)
    spec.queries_scale = _queries_scale(attention)


def _queries_scale(attention: MultiHeadAttention) -> float:
    """Return 1 / sqrt(d_k); CTranslate2 would assume d_k = d_model / num_heads."""
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
    _set(spec, layer.weight, layer.bias)


def _set(spec: Any, weight: Tensor, bias: Tensor | None) -> None:
    spec.weight = _copy(weight)
    if bias is not None:
        spec.bias = _copy(bias)


def _set_norm(spec: Any, norm: nn.LayerNorm) -> None:
    spec.gamma = _copy(norm.weight)
    spec.beta = _copy(norm.bias)


def _copy(weights: Tensor) -> Tensor:
    """Return a copy, because CTranslate2 quantises in place."""
    return weights.detach().clone()


def _set_vocabularies(spec: Any, model: TrainedModel) -> None:
    src, tgt = model.tokenizers
    for tokenizer in (src, tgt):
        if len(set(tokenizer.vocabulary())) < tokenizer.vocab_size:
            raise ConfigError(
                "CTranslate2 cannot tell apart pieces of the same name: the SentencePiece model "
                "has no padding token, but a piece called <pad>"
            )
    unk, bos, eos = tgt.pieces([tgt.unk_id, tgt.bos_id, tgt.eos_id])
    if src.pieces([src.unk_id, src.eos_id]) != [unk, eos]:
        raise ConfigError(
            "CTranslate2 cannot represent source and target tokenizers whose unknown tokens or "
            f"EOS have different names; those of the target are {unk} and {eos}"
        )
    spec.register_source_vocabulary(src.vocabulary())
    spec.register_target_vocabulary(tgt.vocabulary())
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = unk, bos, eos
    spec.config.decoder_start_token = bos
    spec.config.add_source_eos = True
