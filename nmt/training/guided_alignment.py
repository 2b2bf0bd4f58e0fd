"""The loss of an attention head that learns word alignment (Garg et al. 2019, section 4.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nmt.config.guided_alignment import GuidedAlignmentConfig, guided_layer
from nmt.data.batching import Batch
from nmt.model.attention import MultiHeadAttention
from nmt.model.network import Network
from nmt.model.transformer import Transformer


class GuidedHead:
    """Computes the loss of the first head of a decoder layer, from the forward pass of training.

    A position that predicts a token has not read it, and can only guess which source word it will
    translate. Garg et al. therefore run the decoder once more for the alignment, with the whole
    target sentence. Here the token's alignment is instead that of the position which reads it, one
    later (SHIFT-ATT, Chen et al. 2020). This position knows the token and those before it, in
    the pass that there is anyway.

    Args:
        attention: the encoder-decoder attention of the layer.
        weight: of the loss.
    """

    def __init__(self, attention: MultiHeadAttention, weight: float) -> None:
        self._weight = weight
        self._log_weights_BTS: Tensor | None = None
        # It stays, because activation checkpointing must repeat the same operations.
        attention.register_forward_pre_hook(self._record, with_kwargs=True)

    @classmethod
    def of(cls, network: Network[Any], config: GuidedAlignmentConfig | None) -> GuidedHead | None:
        """Return the head of a network that a configuration asks for."""
        if config is None:
            return None
        assert isinstance(network, Transformer)
        layers = network.decoder_layers
        return cls(layers[guided_layer(config, len(layers))].cross_attention, config.weight)

    def _record(self, attention: MultiHeadAttention, args: Any, kwargs: Any) -> None:
        if attention.training and torch.is_grad_enabled():
            x_BTD, mask = args
            self._log_weights_BTS = attention.first_head_log_weights(
                x_BTD, mask, memory=kwargs["memory"]
            )

    def forget(self) -> None:
        """Free what a forward pass has left, if it ran out of memory before `loss`."""
        self._log_weights_BTS = None

    def loss(self, batch: Batch) -> Tensor:
        """Return the weighted cross-entropy of the last forward pass.

        It is summed over the aligned target pieces, each with the uniform distribution over the
        source pieces that it is linked to. So it is divided by the number of all target tokens
        later, as the loss of the translation is.

        Args:
            batch: of that pass, on the device of the network.

        Returns:
            A float32 scalar, in nats.
        """
        assert batch.links is not None
        assert self._log_weights_BTS is not None
        log_weights_BTS, self._log_weights_BTS = self._log_weights_BTS, None
        _, length, width = log_weights_BTS.shape
        pair_N, tgt_N, src_N = batch.links.places_N3.unbind(1)
        places_N = (pair_N * length + tgt_N) * width + src_N
        found_N = log_weights_BTS.flatten().index_select(0, places_N)
        return -self._weight * (found_N * batch.links.weights_N).sum()
