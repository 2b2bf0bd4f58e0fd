"""The interface that training, search and scoring use, whatever the architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn

from nmt.config.models import ConvolutionalConfig, RecurrentConfig


class State(Protocol):
    """The state of incremental decoding: W hypotheses for each of B sentences."""

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep the given sentences, and for each the given hypotheses.

        Args:
            sentences_N: int64 indices of the sentences to keep, in this order.
            beams_NW: int64 indices of the hypotheses to continue in each; W may change.
        """


StateT = TypeVar("StateT", bound=State)


class Network(nn.Module, ABC, Generic[StateT]):
    """An encoder-decoder model of sentence pairs.

    Attributes:
        src_pad_id: padding id of the source vocabulary.
        max_length: largest number of tokens it has positions for; None means no limit.
        src_embedding, tgt_embedding: of tokens, without positions; may be the same.
        projection: maps decoder outputs to logits over the target vocabulary; few have a bias.
        arithmetic: the type of its products, if it is not that of its weights.
    """

    src_pad_id: int
    max_length: int | None
    src_embedding: nn.Embedding
    tgt_embedding: nn.Embedding
    projection: nn.Linear
    arithmetic: str | None = None

    def forward(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        """Compute the logits of each next target token from the source and the tokens before it.

        Args:
            src_BS: int64 source ids, padded with `src_pad_id`.
            tgt_in_BT: int64 target ids, BOS first; padding may follow, which no earlier position
                sees.

        Returns:
            Logits [B, T, V].
        """
        return self.project(self.hidden(src_BS, tgt_in_BT))

    def project(self, x_BTD: Tensor) -> Tensor:
        """Map decoder outputs [..., D] to logits over the target vocabulary [..., V]."""
        logits_BTV: Tensor = self.projection(x_BTD)
        return logits_BTV

    @abstractmethod
    def hidden(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        """Return the decoder outputs [B, T, D], which `forward` projects to logits."""

    @abstractmethod
    def start_decoding(self, src_BS: Tensor) -> StateT:
        """Encode the source and return a state with one hypothesis per sentence."""

    @abstractmethod
    def decode_step(self, tokens_BW: Tensor, state: StateT) -> Tensor:
        """Decode one position from the cached state; equals `hidden` on the whole prefix.

        Args:
            tokens_BW: int64, the newest token of each hypothesis; BOS in the first call.
            state: state of the same sentences and hypotheses; advanced by one position.

        Returns:
            Decoder outputs [B, W, D], for `project`.
        """


def make_embeddings(
    config: RecurrentConfig | ConvolutionalConfig,
    src_vocab_size: int,
    tgt_vocab_size: int,
    std: float,
) -> tuple[nn.Embedding, nn.Embedding, nn.Linear]:
    """Return the source embedding, target embedding and output projection, tied as configured.

    Args:
        config: sets the width, and which of the three share a matrix.
        src_vocab_size, tgt_vocab_size: numbers of rows.
        std: standard deviation of the initial weights.
    """

    def new_embedding(vocab_size: int) -> nn.Embedding:
        embedding = nn.Embedding(vocab_size, config.d_model)
        nn.init.normal_(embedding.weight, std=std)
        return embedding

    src = new_embedding(src_vocab_size)
    tgt = src if config.tie_embeddings == "all" else new_embedding(tgt_vocab_size)
    projection = nn.Linear(config.d_model, tgt_vocab_size, bias=False)
    if config.tie_embeddings == "none":
        nn.init.normal_(projection.weight, std=std)
    else:
        projection.weight = tgt.weight
    return src, tgt, projection
