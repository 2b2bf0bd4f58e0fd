"""What training, search and scoring need of a network, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn

from nmt.config import ConvolutionalConfig, RecurrentConfig


class State(Protocol):
    """What decoding keeps between two steps: W hypotheses for each of B sentences."""

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep some sentences, and in place of their hypotheses continue others of them.

        Args:
            sentences_N: int64, the sentences to keep, in this order.
            beams_NW: int64, for each the hypotheses to go on from; W may change.
        """


StateT = TypeVar("StateT", bound=State)


class Network(nn.Module, ABC, Generic[StateT]):
    """An encoder-decoder model of sentence pairs.

    Attributes:
        src_pad_id: the source id that is padding.
        max_length: how many tokens of a sentence it has positions for; None is any number.
        projection: from decoder outputs to logits over the target vocabulary, without bias.
    """

    src_pad_id: int
    max_length: int | None
    projection: nn.Linear

    def forward(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        """Predict each next target token from the source and the target tokens before it.

        Args:
            src_BS: int64 source ids, padded with `src_pad_id`.
            tgt_in_BT: int64 target ids, shifted right by the start token; padding may follow,
                which no earlier position sees.

        Returns:
            logits, [B, T, V].
        """
        return self.project(self.hidden(src_BS, tgt_in_BT))

    def project(self, x_BTD: Tensor) -> Tensor:
        """Map decoder outputs [..., D] to logits over the target vocabulary [..., V]."""
        logits_BTV: Tensor = self.projection(x_BTD)
        return logits_BTV

    @abstractmethod
    def hidden(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        """Compute what `forward` projects: decoder outputs of all positions, [B, T, D]."""

    @abstractmethod
    def start_decoding(self, src_BS: Tensor) -> StateT:
        """Encode the source and prepare a state with one hypothesis a sentence."""

    @abstractmethod
    def decode_step(self, tokens_BW: Tensor, state: StateT) -> Tensor:
        """Decode one position from what the state keeps; equal to `hidden` on the whole prefix.

        Args:
            tokens_BW: int64, the newest token of each hypothesis (the start token first).
            state: of the same sentences and hypotheses; advanced by one position.

        Returns:
            decoder outputs [B, W, D], for `project`.
        """


def make_matrices(
    config: RecurrentConfig | ConvolutionalConfig,
    src_vocab_size: int,
    tgt_vocab_size: int,
    std: float,
) -> tuple[nn.Embedding, nn.Embedding, nn.Linear]:
    """Make source embedding, target embedding and projection, tied as the configuration says.

    Args:
        config: the width and which of them are one matrix.
        src_vocab_size, tgt_vocab_size: their rows.
        std: standard deviation of the initial weights.
    """

    def embedding(vocab_size: int) -> nn.Embedding:
        made = nn.Embedding(vocab_size, config.d_model)
        nn.init.normal_(made.weight, std=std)
        return made

    src = embedding(src_vocab_size)
    tgt = src if config.tie_embeddings == "all" else embedding(tgt_vocab_size)
    projection = nn.Linear(config.d_model, tgt_vocab_size, bias=False)
    if config.tie_embeddings == "none":
        nn.init.normal_(projection.weight, std=std)
    else:
        projection.weight = tgt.weight
    return src, tgt, projection
