"""The size of the model and the length of training: what the text supports and the time allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from nmt.config.models import TransformerConfig
from nmt.model.size import num_parameters

_Value = TypeVar("_Value")

SHARE_OF_TRAINING = 0.9
"""The rest of the time is for validation, averaging and tuning the search."""
R_DROP_COST = 2
"""R-Drop computes each batch twice."""
# In configs/, Tatoeba has 3.6 tokens per parameter and Multi30k 5.7; the paper's base model has 77.
# With fewer, a smaller model learns more in the same time.
_LEAST_TOKENS_PER_PARAMETER = 3
_LEAST_STEPS = 5000
_MAX_EPOCHS = ([30_000, 5_000_000], [100, 20])
"""Pairs, and the epochs after which more do not help. 100 are usual for a small corpus, and the
paper takes about 20 of 4.5 million pairs."""
_R_DROP_PAIRS = 1_000_000
"""With more pairs, a model hardly overfits."""


class Shape(NamedTuple):
    """The size of a Transformer."""

    d_model: int
    num_heads: int
    d_ff: int
    layers: int
    """Layers of the encoder, and of the decoder."""

    def parameters(self, vocab_size: int) -> int:
        """Return the number of parameters with one matrix for all embeddings."""
        config = TransformerConfig(
            d_model=self.d_model,
            num_heads=self.num_heads,
            d_ff=self.d_ff,
            encoder_layers=self.layers,
            decoder_layers=self.layers,
        )
        return num_parameters(config, vocab_size, vocab_size)


SHAPES = [
    (0, Shape(64, 2, 128, 2)),
    (50_000, Shape(128, 4, 512, 2)),  # configs/demo.yaml
    (500_000, Shape(256, 4, 512, 3)),  # configs/multi30k-en-de.yaml, with 0.9 million tokens
    (6_000_000, Shape(512, 4, 1024, 6)),  # fairseq's model for IWSLT'14, with 8 million
    (20_000_000, Shape(512, 8, 2048, 6)),  # the paper's base model
    (200_000_000, Shape(1024, 16, 4096, 6)),  # the paper's big model, with 270 million
]
"""The tokens of text, both sides together, from which on each shape is right."""

BATCHES = [(0, 2048), (200_000, 4096), (1_000_000, 8192), (4_000_000, 25_000)]
"""The pairs from which on each size of a batch is right (Sennrich and Zhang 2019: smaller batches
for less text); the last one is the paper's."""


@dataclass(frozen=True)
class Tokens:
    """Figures of the tokenized text.

    Attributes:
        pairs: number of pairs to train on.
        vocab_size: number of pieces.
        per_pair: mean tokens of a pair, both sides together, EOS included.
        longer: mean tokens that a pair takes up in a batch: those of its longer side, as training
            segments it, and padding.
        longest: 99th percentile of the tokens of the longer side, EOS included.
        ratio: 99th percentile of the tokens of the longer side divided by those of the shorter.
    """

    pairs: int
    vocab_size: int
    per_pair: float
    longer: float
    longest: int
    ratio: float


class Training(NamedTuple):
    """What to train, and for how long."""

    shape: Shape
    batch_tokens: int
    steps: int
    epochs: float
    r_drop: bool = False

    def work(self, tokens: Tokens) -> float:
        """Return what the time of a step without R-Drop is proportional to."""
        return self.shape.parameters(tokens.vocab_size) * self.batch_tokens


class Time(NamedTuple):
    """A time limit, and the speed of this machine, as measured."""

    seconds: float
    """Seconds for everything."""
    step_seconds: float
    """Seconds per step of the training that was measured, without R-Drop."""
    measured: Training

    def seconds_per_step(self, training: Training, tokens: Tokens) -> float:
        """Return the seconds per step without R-Drop, exact for the training measured."""
        return self.step_seconds * training.work(tokens) / self.measured.work(tokens)


def suitable(tokens: Tokens) -> Training:
    """Return the training that suits the text if time does not matter."""
    shape = _right(SHAPES, tokens.pairs * tokens.per_pair)
    return _with_steps(tokens, shape, _right(BATCHES, tokens.pairs))


def with_steps(tokens: Tokens, steps: int) -> Training:
    """Return the training that suits the text, with a given number of steps."""
    return _shortened(suitable(tokens), steps)


def within(tokens: Tokens, time: Time) -> Training:
    """Return the training that suits the text and the time.

    The largest model that still sees enough tokens in that time, and batches small enough for a
    few thousand steps. If there is time for twice as many epochs as help, R-Drop uses it.
    """
    best = suitable(tokens)
    shape = _affordable_shape(tokens, time, best)
    batch = _affordable_batch(tokens, time, best, shape)
    useful = _with_steps(tokens, shape, batch)
    possible = _steps_in(time, tokens, useful)
    if possible >= R_DROP_COST * useful.steps and tokens.pairs < _R_DROP_PAIRS:
        return useful._replace(r_drop=True)
    return _shortened(useful, max(1, min(useful.steps, _rounded_down(possible))))


def _affordable_shape(tokens: Tokens, time: Time, best: Training) -> Shape:
    """Return the largest shape, up to the best, that sees enough tokens; else the smallest."""
    shapes = [shape for _, shape in SHAPES if shape <= best.shape]
    for shape in reversed(shapes):
        training = best._replace(shape=shape)
        seen_per_step = best.batch_tokens * tokens.per_pair / tokens.longer
        seen = _steps_in(time, tokens, training) * seen_per_step
        if seen >= _LEAST_TOKENS_PER_PARAMETER * shape.parameters(tokens.vocab_size):
            return shape
    return shapes[0]


def _affordable_batch(tokens: Tokens, time: Time, best: Training, shape: Shape) -> int:
    """Return the largest batch, up to the best, that leaves enough steps; else the smallest."""
    batches = [batch for _, batch in BATCHES if batch <= best.batch_tokens]
    for batch in reversed(batches):
        training = best._replace(shape=shape, batch_tokens=batch)
        if _steps_in(time, tokens, training) >= _LEAST_STEPS:
            return batch
    return batches[0]


def _steps_in(time: Time, tokens: Tokens, training: Training) -> float:
    """Return the number of steps without R-Drop for which there is time."""
    return SHARE_OF_TRAINING * time.seconds / time.seconds_per_step(training, tokens)


def _with_steps(tokens: Tokens, shape: Shape, batch_tokens: int) -> Training:
    """Return what to train, with as many epochs as help."""
    pairs, epochs = _MAX_EPOCHS
    most = float(np.interp(np.log(tokens.pairs), np.log(pairs), epochs))
    steps_per_epoch = max(1.0, tokens.pairs * tokens.longer / batch_tokens)
    steps = max(1, _rounded_down(most * steps_per_epoch))
    return Training(shape, batch_tokens, steps, steps / steps_per_epoch)


def _shortened(training: Training, steps: int) -> Training:
    """Return the same with another number of steps."""
    return training._replace(steps=steps, epochs=training.epochs * steps / training.steps)


def _right(table: list[tuple[int, _Value]], amount: float) -> _Value:
    """Return the last entry of a table whose threshold is reached."""
    return [value for threshold, value in table if amount >= threshold][-1]


def _rounded_down(number: float) -> int:
    """Return a whole number with at most two significant digits."""
    unit: int = 10 ** max(0, len(str(int(number))) - 2)
    return int(number) // unit * unit
