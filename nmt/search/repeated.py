"""Several searches for each sentence, which share its encoded source.

Shapes: B sentences, C copies of each, U = B * C copies, W hypotheses per copy, N selected sentences
or copies.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nmt.search.stepper import Stepper


class RepeatedStepper:
    """A stepper in which every sentence appears several times, in consecutive places.

    The stepper below it sees the hypotheses of all copies as those of one sentence, so it encodes
    each sentence once. The copies of a sentence must be selected together.

    Args:
        stepper: the model, with one hypothesis per sentence.
        copies: how often each sentence appears.
    """

    def __init__(self, stepper: Stepper, copies: int) -> None:
        self._stepper, self._copies = stepper, copies
        self._width: int | None = None  # of a copy; at first, the copies share a hypothesis

    def step(self, tokens_UW: Tensor) -> Iterator[Tensor]:
        """Yield the log-probabilities of all copies; see `Stepper.step`."""
        if self._width is None:
            for log_probs_CV in self._stepper.step(tokens_UW[:: self._copies]):
                yield log_probs_CV.repeat_interleave(self._copies, dim=0)
        else:
            yield from self._stepper.step(tokens_UW.reshape(-1, self._copies * self._width))

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep copies, which must be all those of some sentences, and hypotheses of each."""
        if self._width is not None:
            first_C = torch.arange(self._copies, device=beams_NW.device) * self._width
            beams_NW = beams_NW + first_C.repeat(len(beams_NW) // self._copies)[:, None]
        self._width = beams_NW.shape[1]
        sentences = sentences_N[:: self._copies] // self._copies
        self._stepper.select(sentences, beams_NW.reshape(len(sentences), -1))


def whole_sentences(lives_U: Tensor, copies: int) -> Tensor:
    """Return for each copy, bool [U], whether any copy of its sentence is alive."""
    if copies == 1:
        return lives_U
    return lives_U.view(-1, copies).any(dim=1).repeat_interleave(copies)
