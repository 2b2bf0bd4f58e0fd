"""Record the attention weights of a network while it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from nmt.model.attention import MultiHeadAttention
from nmt.model.transformer import EncoderLayer, Transformer


@contextlib.contextmanager
def recorded_weights(sublayers: Iterable[MultiHeadAttention]) -> Iterator[list[Tensor]]:
    """Record the weights of attention sub-layers while the block runs.

    The weights are computed a second time, before each forward pass, so that the sub-layers need
    not keep them and compute the same as without recording. Calls in other threads are not
    recorded.

    Args:
        sublayers: sub-layers that will each be called once, in this order, without `past`.

    Yields:
        A list to which the weights [B, H, L, M] are appended.
    """
    weights: list[Tensor] = []
    own_thread = threading.get_ident()

    def record(sublayer: MultiHeadAttention, args: Any, kwargs: Any) -> None:
        if threading.get_ident() != own_thread:
            return
        assert kwargs.get("past") is None
        weights.append(sublayer.weights(*args, memory=kwargs.get("memory")))

    with contextlib.ExitStack() as stack:
        for sublayer in sublayers:
            hook = sublayer.register_forward_pre_hook(record, with_kwargs=True)
            stack.callback(hook.remove)
        yield weights


@dataclass(frozen=True)
class Attention:
    """The attention weights of a forced pass over sentence pairs, one tensor per layer.

    Attributes:
        encoder: [B, H, S, S].
        decoder: [B, H, T, T]; position t reads target token t and predicts the next one. There is
            none if the decoder is recurrent.
        cross: [B, H, T, S], encoder-decoder attention.
    """

    encoder: list[Tensor]
    decoder: list[Tensor]
    cross: list[Tensor]


def forced_attention(network: Transformer, src_BS: Tensor, tgt_in_BT: Tensor) -> Attention:
    """Run a network over sentence pairs and return its attention weights.

    Args:
        network: in evaluation mode.
        src_BS, tgt_in_BT: as for `Transformer.forward`.
    """
    decoding = [one.self_attention for one in network.decoder_layers if one.self_attention]
    encoder_layers = cast("list[EncoderLayer]", network.encoder_layers)  # ModuleList is untyped
    with (
        recorded_weights(layer.self_attention for layer in encoder_layers) as encoder,
        recorded_weights(decoding) as decoder,
        recorded_weights(layer.cross_attention for layer in network.decoder_layers) as cross,
    ):
        network.decode(tgt_in_BT, *network.encode(src_BS))
    return Attention(encoder, decoder, cross)
