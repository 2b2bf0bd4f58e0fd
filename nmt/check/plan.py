"""How training will divide the data into batches and epochs, computed without a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmt.config.schema import Config
from nmt.data.batching import BatchOrder
from nmt.data.drawing import Seeds, drawn, is_drawn
from nmt.data.prepared import Int64s, Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.model.size import num_parameters

_SAMPLED_PAIRS = 1000


@dataclass(frozen=True)
class Plan:
    """How the training pairs are divided into batches and epochs.

    Attributes:
        parameters: number of parameters of the model; shared ones count once.
        tokens: number of tokens of the training pairs, both sides together, EOS included.
        batches_per_epoch: an estimate, because each epoch is divided differently, and random
            segmentations, terms, noise and `data.augment` change the lengths.
        epochs: number of epochs in `train.max_steps`.
        padding: fraction of padding in the batches, both sides together.
        padded_tokens: mean tokens per batch, both sides together, padding included.
        largest_batch: number of pairs, and the source and target lengths after padding.
    """

    parameters: int
    tokens: int
    batches_per_epoch: int
    epochs: float
    padding: float
    padded_tokens: float
    largest_batch: tuple[int, int, int]


def make_plan(config: Config, tokenizers: Tokenizers, prepared: Prepared) -> Plan:
    """Return the plan of training, based on the batches of the first epoch."""
    epoch = BatchOrder.of(prepared, config.train.batch_tokens, config.train.seed).epoch(0)
    shapes = [shape(prepared, rows) for rows in epoch]
    padded = sum(pairs * (src + tgt) for pairs, src, tgt in shapes)
    rows = np.concatenate(epoch)
    tokens = int(prepared.input_lengths[rows].sum() + prepared.tgt_lengths[rows].sum())
    num_batches = max(1, round(len(epoch) * _growth(config, tokenizers, prepared, rows)))
    return Plan(
        parameters=num_parameters(
            config.model, tokenizers.src.vocab_size, tokenizers.tgt.vocab_size
        ),
        tokens=int(prepared.input_lengths.sum() + prepared.tgt_lengths.sum()),
        batches_per_epoch=num_batches,
        epochs=config.train.max_steps * config.train.accumulate / num_batches,
        padding=1 - tokens / padded,
        padded_tokens=padded / len(epoch),
        largest_batch=max(shapes, key=lambda shape: shape[0] * (shape[1] + shape[2])),
    )


def shape(prepared: Prepared, rows: Int64s) -> tuple[int, int, int]:
    """Return the number of pairs of a batch, and its source and target length after padding."""
    return len(rows), int(prepared.input_lengths[rows].max()), int(prepared.tgt_lengths[rows].max())


def _growth(config: Config, tokenizers: Tokenizers, prepared: Prepared, rows_N: Int64s) -> float:
    """Estimate the factor by which what is drawn in each epoch makes pairs longer."""
    if not is_drawn(config):
        return 1.0
    rows_N = np.random.default_rng(config.train.seed).choice(rows_N, _SAMPLED_PAIRS)
    sides = drawn(prepared, rows_N, tokenizers, config, Seeds(*[0] * len(Seeds._fields)))
    made = [np.array([len(ids) + 1 for ids in side]) for side in sides]  # with EOS
    plain = prepared.input_lengths[rows_N], prepared.tgt_lengths[rows_N]
    return float(np.maximum(*made).sum() / np.maximum(*plain).sum())
