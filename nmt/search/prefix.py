"""Tokens that hypotheses must begin with.

Shapes: B sentences in the batch, K candidates per sentence, P tokens of the longest prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt.search.slots import Candidates


class Prefixes:
    """The prefix of each sentence, forced on the candidates of a search as CTranslate2 does it.

    A forced token has a log-probability of 0. At the first free token after a prefix, EOS counts
    only if it is the best candidate. If it is another one within the beam, the beam has one
    hypothesis less from then on.

    Args:
        prefixes: token ids for each sentence; some may be empty, but not all.
        eos_id: the token that ends a hypothesis.
        device: device of the candidates.
    """

    def __init__(
        self, prefixes: Sequence[Sequence[int]], eos_id: int, device: torch.device | str = "cpu"
    ) -> None:
        self._eos_id = eos_id
        self._longest = max(map(len, prefixes))
        rows = [[*row, *[eos_id] * (self._longest - len(row))] for row in prefixes]
        self._tokens_BP = torch.tensor(rows, dtype=torch.int64, device=device)
        self._lengths_B = torch.tensor([len(row) for row in prefixes], device=device)

    def force(
        self, best: Candidates, sentence_B: Tensor, length: int, beam_size: int
    ) -> Candidates:
        """Return the candidates with the prefixes forced on them.

        Args:
            best: candidates of each sentence.
            sentence_B: numbers of the sentences.
            length: tokens of each candidate's hypothesis, at least 1.
            beam_size: candidates that are kept.
        """
        if length > self._longest + 1:
            return best
        lengths_B1 = self._lengths_B[sentence_B][:, None]
        ranks_K = torch.arange(best.tokens_BK.shape[1], device=sentence_B.device)
        # One candidate of each forced sentence is left.
        forced_B1 = length <= lengths_B1
        only_first_K = torch.where(ranks_K == 0, 0.0, -torch.inf)
        scores_BK = torch.where(forced_B1, only_first_K, best.scores_BK)
        tokens_B1 = self._tokens_BP[sentence_B, min(length, self._longest) - 1][:, None]
        tokens_BK = torch.where(forced_B1, tokens_B1, best.tokens_BK)
        is_first_free_B1 = (lengths_B1 > 0) & (length == lengths_B1 + 1)
        ends_BK = is_first_free_B1 & (tokens_BK == self._eos_id) & (ranks_K > 0)
        has_gap_B1 = ends_BK[:, :beam_size].any(dim=1, keepdim=True)
        dropped_BK = ends_BK | (has_gap_B1 & (ranks_K >= beam_size))
        return Candidates(
            scores_BK.masked_fill(dropped_BK, -torch.inf),
            best.beams_BK.masked_fill(forced_B1, 0),
            tokens_BK,
            best.log_probs_BK.masked_fill(forced_B1, 0.0),
        )
