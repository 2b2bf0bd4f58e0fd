"""The coverage penalty (Wu et al. 2016, "Google's Neural Machine Translation System", eq. 14).

Shapes: B sentences in the batch, W live hypotheses per sentence, S source tokens, N sentences that
stay, R rows of attention.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nmt.device import widest_float


class Coverage:
    """Sums up the attention that the tokens of a hypothesis pay to each token of the source.

    The penalty is cp = beta * sum over source tokens i of log(min(sum over target tokens j of p_ij,
    1)), where p_ij is the attention of target token j, EOS included, to source token i, EOS and
    tags included. It is added to the scores of finished hypotheses, as in the paper; the live ones
    of a beam are ranked without it.

    It is a `Constraint` that leaves the log-probabilities as they are, so that it follows the
    hypotheses through the search.

    Args:
        beta: strength of the penalty.
        attention: returns the attention [B, W, S] of the position that the stepper has decoded
            last. In the first step W may be 1 for several copies of a sentence.
        src_mask_BS: bool, True at the tokens to be covered, False at others and padding.
    """

    def __init__(self, beta: float, attention: Callable[[], Tensor], src_mask_BS: Tensor) -> None:
        self._beta, self._attention = beta, attention
        self._mask_BS = src_mask_BS
        self._sums_BWS: Tensor | None = None
        self._shape = (0, 0)

    def advance(self, tokens_BW: Tensor) -> None:
        """Note how many hypotheses there are."""
        self._shape = (tokens_BW.shape[0], tokens_BW.shape[1])

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Add the attention of all hypotheses, once in each step."""
        if first == 0:
            attention_RS = self._attention().flatten(0, 1)
            attention_RS = attention_RS.to(widest_float(attention_RS.device))
            num_sentences, width = self._shape
            copies = num_sentences * width // len(attention_RS)
            new_BWS = attention_RS.repeat_interleave(copies, dim=0).view(*self._shape, -1)
            self._sums_BWS = new_BWS if self._sums_BWS is None else self._sums_BWS + new_BWS
            if len(self._mask_BS) < num_sentences:
                copies = num_sentences // len(self._mask_BS)
                self._mask_BS = self._mask_BS.repeat_interleave(copies, dim=0)
        return log_probs_CV

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses."""
        assert self._sums_BWS is not None
        self._sums_BWS = self._sums_BWS[sentences_N[:, None], beams_NW]
        self._mask_BS = self._mask_BS[sentences_N]

    def penalties(self) -> Tensor:
        """Return the penalty of each hypothesis [B, W], the newest token's attention included."""
        assert self._sums_BWS is not None
        tiny = torch.finfo(self._sums_BWS.dtype).tiny  # attention may round to 0
        logs_BWS = self._sums_BWS.clamp(min=tiny, max=1.0).log()
        return self._beta * logs_BWS.masked_fill(~self._mask_BS[:, None], 0.0).sum(dim=-1)
