"""Searches over tables of hand-made or random probabilities."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from nmt.search.beam import beam_search
from nmt.search.constraints import Forbidden
from nmt.search.hypothesis import Hypothesis

BOS, EOS, A, B = 0, 1, 2, 3


class TableStepper:
    """Probabilities that depend on the sentence and on the last `order` tokens.

    tables: one per sentence, indexed by a context of `order` tokens (BOS first).
    """

    def __init__(self, tables: list[Tensor], order: int = 1) -> None:
        self.tables = torch.stack(tables)
        self.sentence_B = torch.arange(len(tables))
        self.contexts_BW: list[list[tuple[int, ...]]] = [[()] for _ in tables]
        self.order = order
        self.sizes: list[tuple[int, int]] = []

    def step(self, tokens_BW: Tensor) -> list[Tensor]:
        assert tokens_BW.shape == (len(self.sentence_B), len(self.contexts_BW[0]))
        self.sizes.append((tokens_BW.shape[0], tokens_BW.shape[1]))
        self.contexts_BW = [
            [(*old, token)[-self.order :] for old, token in zip(contexts, tokens, strict=True)]
            for contexts, tokens in zip(self.contexts_BW, tokens_BW.tolist(), strict=True)
        ]
        return [  # one part per sentence
            torch.stack([self.tables[(number, *self.padded(old))] for old in contexts])
            for number, contexts in zip(self.sentence_B, self.contexts_BW, strict=True)
        ]

    def padded(self, context: tuple[int, ...]) -> tuple[int, ...]:
        return (0,) * (self.order - len(context)) + context

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        self.sentence_B = self.sentence_B[sentences_N]
        self.contexts_BW = [
            [self.contexts_BW[sentence][beam] for beam in beams]
            for sentence, beams in zip(sentences_N.tolist(), beams_NW.tolist(), strict=True)
        ]


def markov(**probabilities: dict[int, float]) -> Tensor:
    """Return log-probabilities (4, 4) of the next token given the last; 0 where not given."""
    table = torch.zeros(4, 4)
    for last, following in probabilities.items():
        for token, probability in following.items():
            table[["bos", "eos", "a", "b"].index(last), token] = probability
    return table.log()


def random_tables(number: int, vocab_size: int, order: int = 1, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (number,) + (vocab_size,) * (order + 1)
    return list((2 * torch.randn(shape, generator=generator)).log_softmax(-1))


def search(tables: list[Tensor], max_lengths: list[int], order: int = 1, **options: object):
    options = {"beam_size": 1, "length_penalty": 0.0, "constraints": [Forbidden([BOS])]} | options
    stepper = TableStepper(tables, order)
    return beam_search(stepper, max_lengths, bos_id=BOS, eos_id=EOS, **options)


def enumerate_all(table: Tensor, order: int, max_length: int, alpha: float) -> list[Hypothesis]:
    """Return all sequences that end within max_length or reach it unfinished, best first."""
    hypotheses = []
    words = [token for token in range(len(table)) if token not in (BOS, EOS)]
    for length in range(max_length + 1):
        for ids in itertools.product(words, repeat=length):
            tokens = [*ids] if length == max_length else [*ids, EOS]
            context = [0] * (order - 1) + [BOS, *tokens]
            log_probs = [
                float(table[tuple(context[i : i + order])][token]) for i, token in enumerate(tokens)
            ]
            score = sum(log_probs) / ((5 + len(tokens)) / 6) ** alpha
            hypotheses.append(
                Hypothesis(list(ids), score, sum(log_probs), len(log_probs), log_probs)
            )
    return sorted(hypotheses, key=lambda h: -h.score)
