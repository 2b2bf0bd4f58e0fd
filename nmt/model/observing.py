"""Looking at the attention of a network while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from nmt.model.attention import MultiHeadAttention
from nmt.model.transformer import EncoderLayer, Transformer


@contextlib.contextmanager
def observed(sublayers: Iterable[MultiHeadAttention]) -> Iterator[list[Tensor]]:
    """Collect the weights by which attention sub-layers attend while the block runs.

    They are computed a second time, beside the sub-layer, so that it does not have to keep them
    and computes as always.

    Args:
        sublayers: each to be called once, in this order, without `past`.

    Yields:
        a list that the weights [B, H, L, M] are put into.
    """
    weights: list[Tensor] = []

    def look(sublayer: MultiHeadAttention, args: Any, kwargs: Any) -> None:
        assert kwargs.get("past") is None
        weights.append(sublayer.weights(*args, memory=kwargs.get("memory")))

    with contextlib.ExitStack() as stack:
        for sublayer in sublayers:
            hook = sublayer.register_forward_pre_hook(look, with_kwargs=True)
            stack.callback(hook.remove)
        yield weights


@dataclass(frozen=True)
class Attention:
    """The weights of a forced pass over sentence pairs, one tensor a layer, the first one first.

    Attributes:
        encoder: [B, H, S, S].
        decoder: [B, H, T, T]; position t reads target token t and writes the one after it.
        cross: [B, H, T, S], of encoder-decoder attention.
    """

    encoder: list[Tensor]
    decoder: list[Tensor]
    cross: list[Tensor]


def forced_attention(network: Transformer, src_BS: Tensor, tgt_in_BT: Tensor) -> Attention:
    """Run a network over given sentence pairs and look at its attention.

    Args:
        network: in evaluation mode.
        src_BS, tgt_in_BT: as for `Transformer.forward`.
    """
    encoder_layers = cast("list[EncoderLayer]", network.encoder_layers)  # ModuleList is untyped
    with (
        observed(layer.self_attention for layer in encoder_layers) as encoder,
        observed(layer.self_attention for layer in network.decoder_layers) as decoder,
        observed(layer.cross_attention for layer in network.decoder_layers) as cross,
    ):
        network.decode(tgt_in_BT, *network.encode(src_BS))
    return Attention(encoder, decoder, cross)
