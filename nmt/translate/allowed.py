"""The tokens that the translations of a batch may contain, for searches with a shortlist.

Shapes: B sentences, C of their hypotheses, U tokens in the union over the sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nmt.model.int8 import Int8Projection
from nmt.model.network import Network
from nmt.search.hypothesis import Hypothesis


@dataclass(frozen=True)
class AllowedTokens:
    """A small vocabulary for one batch: the search sees its tokens as numbers from 0 to U - 1.

    The numbers have the order of the ids, so that ties are broken as in the whole vocabulary.

    Attributes:
        ids_U: ids of the tokens, int64, ascending; BOS is among them.
        not_BU: whether a sentence's translations may not contain a token.
    """

    ids_U: Tensor
    not_BU: Tensor

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {token: number for number, token in enumerate(self.ids_U.tolist())}

    @classmethod
    def of(
        cls, ids_of_sentences: Sequence[Sequence[int]], bos_id: int, device: torch.device
    ) -> AllowedTokens:
        """Return the tokens of a batch from the ids of each sentence."""
        ids_U = torch.tensor(sorted({bos_id}.union(*ids_of_sentences)))
        not_BU = torch.ones(len(ids_of_sentences), len(ids_U), dtype=torch.bool)
        for row, ids in zip(not_BU, ids_of_sentences, strict=True):
            row[torch.searchsorted(ids_U, torch.tensor(ids))] = False
        return cls(ids_U.to(device), not_BU.to(device))

    def numbers(self, ids: Iterable[int]) -> list[int]:
        """Return the numbers of those ids that are among the tokens."""
        return [self._numbers[token] for token in ids if token in self._numbers]

    def restored(self, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        """Return hypotheses of numbers as hypotheses of ids."""
        ids = self.ids_U.tolist()
        return [replace(best, ids=[ids[number] for number in best.ids]) for best in hypotheses]

    def select(self, sentences_N: Tensor) -> AllowedTokens:
        """Return the tokens of some of the sentences."""
        return replace(self, not_BU=self.not_BU[sentences_N])

    def mask(self, scores_CU: Tensor, first: int, width: int) -> Tensor:
        """Return scores with -inf for what a sentence's translations may not contain.

        Args:
            scores_CU: scores for C consecutive hypotheses.
            first: index of the first of these among all B * width hypotheses.
            width: hypotheses per sentence.
        """
        rows_C = torch.arange(first, first + len(scores_CU), device=scores_CU.device) // width
        return scores_CU.masked_fill(self.not_BU[rows_C], -torch.inf)

    def projection(self, network: Network[Any]) -> Callable[[Tensor], Tensor]:
        """Return a network's projection to the logits of these tokens."""
        if isinstance(network.projection, Int8Projection):
            return network.projection.rows(self.ids_U)
        return partial(functional.linear, weight=network.projection.weight[self.ids_U])
