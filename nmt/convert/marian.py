"""The Transformer of Marian: the names and the layout of its weights, there and in nmt.

Marian (Junczys-Dowmunt et al. 2018) trained the OPUS-MT models, which Hugging Face distributes as
MarianMT. The names here are those of MarianMT. Both compute the same function as nmt's post-norm
Transformer with biases, except that their position encodings are [sines | cosines], where nmt
interleaves them. Nothing else depends on the order of the d_model dimensions, so permuting these in
all weights makes up for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nmt.config.models import TransformerConfig
from nmt.errors import FileError

SRC_EMBEDDING = "encoder.embed_tokens.weight"
TGT_EMBEDDING = "decoder.embed_tokens.weight"
PROJECTION = "lm_head.weight"
OUTPUT_BIAS = "final_logits_bias"

NEVER = -1e4
"""The output bias of pieces that must have no probability.

Its exponential is 0. A larger one would exceed float16, and dominate a loss with label smoothing,
which spreads some probability over all pieces.
"""


class Special(NamedTuple):
    """The texts of the special pieces, on both sides."""

    unk: str = "<unk>"
    eos: str = "</s>"
    pad: str = "<pad>"


class Side(NamedTuple):
    """The pieces of one side.

    Attributes:
        spm: the serialized SentencePiece model, which segments text; its ids mean nothing.
        pieces: the pieces in the order of the rows of the embedding; "" for a row without one.
    """

    spm: bytes
    pieces: list[str]


@dataclass(frozen=True)
class Marian:
    """A Marian model as its files describe it.

    Attributes:
        origin: where it comes from, for messages.
        kind: the kind of model, for users.
        model: keys of the section `model`, all but `tie_embeddings` and those that Marian implies.
        scaled: whether embeddings are multiplied by sqrt(d_model).
        tensors: weights by name, in Marian's layout; without `PROJECTION` if the target embedding
            is the output projection.
        start_D: what the decoder reads in place of an embedding before the first token, float32.
        src, tgt: the pieces of each side.
        special: the texts of the special pieces.
        start: the piece whose embedding `start_D` is, if it serves no other purpose.
        languages: codes of source and target; None if unknown.
        max_length: most tokens of a sentence.
        decode: keys of the section `decode`.
    """

    origin: Path
    kind: str
    model: dict[str, Any]
    scaled: bool
    tensors: Mapping[str, Tensor]
    start_D: Tensor
    src: Side
    tgt: Side
    special: Special
    start: str | None = None
    languages: tuple[str | None, str | None] = (None, None)
    max_length: int = 512
    decode: dict[str, Any] = field(default_factory=dict)

    @property
    def tie_embeddings(self) -> str:
        """The key of the section `model`: nmt scales all embeddings, but no projection."""
        return "decoder" if self.scaled and PROJECTION not in self.tensors else "none"


class Part(NamedTuple):
    """A weight of a layer.

    Attributes:
        ours: its name in nmt.
        theirs: its names in Marian; nmt joins several along their first dimension.
        dims: a letter for each dimension: D for d_model, H for all heads, F for d_ff.
    """

    ours: str
    theirs: list[str]
    dims: str


def parts(config: TransformerConfig) -> Iterator[Part]:
    """Yield the weights of all layers."""
    for side, count in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for layer in range(count):
            ours, theirs = f"{side}_layers.{layer}", f"{side}.layers.{layer}"
            for part in _parts_of_layer(side == "decoder"):
                names = [f"{theirs}.{name}" for name in part.theirs]
                yield Part(f"{ours}.{part.ours}", names, part.dims)


def _parts_of_layer(is_decoder: bool) -> Iterator[Part]:
    norms = ["self_attn_layer_norm", "final_layer_norm"]
    yield from _parts_of_attention("self_attention", "self_attn")
    if is_decoder:
        norms.insert(1, "encoder_attn_layer_norm")
        yield from _parts_of_attention("cross_attention", "encoder_attn")
    for ours, theirs, dims in (("inner", "fc1", "FD"), ("outer", "fc2", "DF")):
        yield Part(f"feed_forward.{ours}.weight", [f"{theirs}.weight"], dims)
        yield Part(f"feed_forward.{ours}.bias", [f"{theirs}.bias"], dims[0])
    for number, norm in enumerate(norms):
        for kind in ("weight", "bias"):
            yield Part(f"residuals.{number}.norm.{kind}", [f"{norm}.{kind}"], "D")


def _parts_of_attention(ours: str, theirs: str) -> Iterator[Part]:
    for kind, dims in (("weight", "HD"), ("bias", "H")):
        yield Part(f"{ours}.qkv_{kind}", [f"{theirs}.{name}_proj.{kind}" for name in "qkv"], dims)
    yield Part(f"{ours}.out_weight", [f"{theirs}.out_proj.weight"], "DH")
    yield Part(f"{ours}.out_bias", [f"{theirs}.out_proj.bias"], "D")


def order_of(d_model: int) -> Tensor:
    """Return which of Marian's dimensions each of nmt's is, int64 [d_model]."""
    return torch.arange(d_model).view(2, d_model // 2).t().flatten()


def weights_in_nmt(marian: Marian, config: TransformerConfig) -> dict[str, Tensor]:
    """Return the weights of the layers by nmt's names, in its layout.

    Args:
        marian: the model.
        config: its configuration in nmt.

    Raises:
        FileError: if weights are missing or of another shape; the message names the first.
    """
    order_D = order_of(config.d_model)
    sizes = {"D": config.d_model, "H": config.d_model, "F": config.d_ff}
    weights = {}
    for part in parts(config):
        shape = [sizes[letter] for letter in part.dims]
        weight = torch.cat([tensor_of(marian, name, shape) for name in part.theirs])
        axis = part.dims.find("D")
        weights[part.ours] = weight if axis < 0 else weight.index_select(axis, order_D)
    return {name: weight.contiguous() for name, weight in weights.items()}


def tensor_of(marian: Marian, name: str, shape: list[int]) -> Tensor:
    """Return a weight in float32.

    Raises:
        FileError: if it is missing or has another shape.
    """
    tensor = marian.tensors.get(name)
    if tensor is None or list(tensor.shape) != shape:
        found = "missing" if tensor is None else f"of shape {list(tensor.shape)}"
        raise FileError(
            f"{marian.origin}: the weight {name} is {found}, but its configuration and vocabulary "
            f"describe one of shape {shape}: download the whole model again"
        )
    return tensor.float()


def embeddings_in_nmt(
    marian: Marian, config: TransformerConfig, added: tuple[int, int]
) -> dict[str, Tensor]:
    """Return the embeddings, the projection and its bias, with rows for pieces that nmt adds.

    These are pieces of a SentencePiece model that Marian's vocabulary lacks, so that it reads them
    as the unknown token, and then BOS, unless the vocabulary has a piece for it.

    Args:
        marian: the model.
        config: its configuration in nmt.
        added: number of such pieces of source and target, BOS excluded.

    Returns:
        Tensors by nmt's names.
    """
    d_model, order_D = config.d_model, order_of(config.d_model)
    src_size, tgt_size = len(marian.src.pieces), len(marian.tgt.pieces)
    src_VD = tensor_of(marian, SRC_EMBEDDING, [src_size, d_model])
    tgt_VD = tensor_of(marian, TGT_EMBEDDING, [tgt_size, d_model])
    bias_V = tensor_of(marian, OUTPUT_BIAS, [tgt_size])
    src_unk, tgt_unk = (side.pieces.index(marian.special.unk) for side in (marian.src, marian.tgt))
    src_bos, tgt_bos = (int(marian.start not in side.pieces) for side in (marian.src, marian.tgt))
    start_1D = marian.start_D[None].float()
    src_VD = torch.cat([src_VD, src_VD[[src_unk] * (added[0] + src_bos)]])
    full_VD = torch.cat([tgt_VD, tgt_VD[[tgt_unk] * added[1]], start_1D[:tgt_bos]])
    bias_V = torch.cat([bias_V, torch.full((added[1] + tgt_bos,), NEVER)])
    # nmt always scales embeddings.
    scale = 1.0 if marian.scaled else math.sqrt(d_model)
    weights = {
        "src_embedding.weight": src_VD[:, order_D] / scale,
        "tgt_embedding.weight": full_VD[:, order_D] / scale,
        "projection.bias": bias_V,
    }
    if config.tie_embeddings == "none":
        out_VD = tgt_VD
        if PROJECTION in marian.tensors:
            out_VD = tensor_of(marian, PROJECTION, [tgt_size, d_model])
        out_VD = torch.cat([out_VD, out_VD[[tgt_unk] * (added[1] + tgt_bos)]])
        weights["projection.weight"] = out_VD[:, order_D]
    return {name: weight.contiguous() for name, weight in weights.items()}
