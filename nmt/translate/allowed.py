"""The tokens that the translations of a batch may contain, for searches with a shortlist.

Shapes: B sentences, C of their hypotheses, U tokens in the union over the sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nmt.model.int8 import Int8Projection
from nmt.model.network import Network
from nmt.runs.shortlist import Int32s
from nmt.search.hypothesis import Hypothesis


@dataclass(frozen=True)
class AllowedTokens:
    """A small vocabulary for one batch: the search sees its tokens as numbers from 0 to U - 1.

    The numbers have the order of the ids, so that ties are broken as in the whole vocabulary.

    Attributes:
        ids_U: ids of the tokens, int64, ascending; BOS is among them.
        mask_BU: 0 for the tokens that a sentence's translations may contain, otherwise -inf.
    """

    ids_U: Tensor
    mask_BU: Tensor

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {token: number for number, token in enumerate(self.ids_U.tolist())}

    @classmethod
    def of(cls, ids_of_sentences: Sequence[Int32s], bos_id: int, weights: Tensor) -> AllowedTokens:
        """Return the tokens of a batch.

        Args:
            ids_of_sentences: int32 ids for each sentence, ascending.
            bos_id: the first token passed to the model.
            weights: any of the model's, whose device and type the mask gets.
        """
        bos = np.array([bos_id], np.int32)
        ids = np.unique(np.concatenate([bos, *ids_of_sentences]))
        mask_BU = torch.full((len(ids_of_sentences), len(ids)), -torch.inf, dtype=weights.dtype)
        for row, own in zip(mask_BU, ids_of_sentences, strict=True):
            row[torch.from_numpy(np.searchsorted(ids, own))] = 0.0
        ids_U = torch.from_numpy(ids.astype(np.int64))
        return cls(ids_U.to(weights.device), mask_BU.to(weights.device))

    def numbers(self, ids: Iterable[int]) -> list[int]:
        """Return the numbers of those ids that are among the tokens."""
        return [self._numbers[token] for token in ids if token in self._numbers]

    def restored(self, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        """Return hypotheses of numbers as hypotheses of ids."""
        ids = self.ids_U.tolist()
        return [replace(best, ids=[ids[number] for number in best.ids]) for best in hypotheses]

    def select(self, sentences_N: Tensor) -> AllowedTokens:
        """Return the tokens of some of the sentences."""
        return replace(self, mask_BU=self.mask_BU[sentences_N])

    def mask(self, scores_CU: Tensor, first: int, width: int) -> Tensor:
        """Return scores with -inf for what a sentence's translations may not contain.

        Args:
            scores_CU: scores for C consecutive hypotheses, those of whole sentences; overwritten.
            first: index of the first of these among all B * width hypotheses.
            width: hypotheses per sentence.
        """
        sentences = slice(first // width, (first + len(scores_CU)) // width)
        # Adding takes a tenth of the time that masked_fill would.
        scores_CU.view(-1, width, len(self.ids_U)).add_(self.mask_BU[sentences, None])
        return scores_CU

    def projection(self, network: Network[Any]) -> Callable[[Tensor], Tensor]:
        """Return a network's projection to the logits of these tokens."""
        if isinstance(network.projection, Int8Projection):
            return network.projection.rows(self.ids_U)
        weight_VD, bias_V = network.projection.weight, network.projection.bias
        bias_U = None if bias_V is None else bias_V[self.ids_U]
        return partial(functional.linear, weight=weight_VD[self.ids_U], bias=bias_U)
