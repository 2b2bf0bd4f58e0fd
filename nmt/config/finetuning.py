"""Sections of the configuration for fine-tuning, and for training in stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from nmt.config.section import BatchTokens, Probability, Section, Steps, Weight
from nmt.limits import MAX_VOCAB_SIZE


class ExtendConfig(Section):
    """Add pieces to the tokenizer of another run."""

    pieces: Annotated[int, Field(gt=0, le=MAX_VOCAB_SIZE)]
    """Maximum number of new pieces, per side if the vocabularies are separate. Only what occurs
    more than once becomes a piece."""


class LoraConfig(Section):
    """Train low-rank changes of matrices, and nothing else (LoRA, Hu et al. 2021)."""

    rank: Annotated[int, Field(gt=0, le=4096)] = 8
    """Rank of the change of each matrix."""
    alpha: Annotated[float, Field(gt=0.0, le=1e6)] = 16.0
    """The change is multiplied by alpha / rank, so that another rank needs no other learning
    rate."""
    targets: list[Literal["attention", "feed_forward"]] = Field(
        default=["attention", "feed_forward"], min_length=1
    )
    """The sub-layers whose matrices change: all four projections of `attention`, including that to
    the encoder, and both layers of `feed_forward`."""


class StageConfig(Section):
    """A part of a training run. Keys that are left out are those of `data` and `train`."""

    steps: Steps | None = None
    """Optimizer steps; left out in the last stage, which lasts until `train.max_steps`."""
    corpora: Annotated[dict[str, Weight], Field(min_length=1)] | None = None
    """The sets of `data.train` to train on, each with a factor for the weights of its corpora:
    `{general: 0.2, domain: 1}`. Default: all of `data.train`."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1e30)] | None = None
    """Peak learning rate. With this, `warmup_steps` or `schedule`, the stage has a schedule of its
    own, from its first step to its last. Otherwise the schedule of the run goes on."""
    warmup_steps: Steps | None = None
    """Steps of linear warm-up, from the first step of the stage."""
    schedule: Literal["paper", "linear", "cosine", "constant"] | None = None
    """Learning rate after the warm-up."""
    freeze: list[str] | None = None
    """Parameters that keep their weights; `[]` trains all."""
    batch_tokens: BatchTokens | None = None
    """Maximum size of a batch in tokens."""
    label_smoothing: Probability | None = None
    """Probability mass distributed over the vocabulary."""

    @property
    def has_schedule(self) -> bool:
        """Whether it has a schedule of its own."""
        return (self.learning_rate, self.warmup_steps, self.schedule) != (None, None, None)


def stage_conflicts(
    stages: Sequence[StageConfig], max_steps: int, sets: Sequence[str]
) -> Iterator[str]:
    """Yield a message for each problem with `train.stages`.

    Args:
        stages: at least one.
        max_steps: `train.max_steps`.
        sets: the names of the sets of `data.train`.
    """
    *others, last = stages
    for number, stage in enumerate(stages):
        if stage.steps is None and stage is not last:
            yield f"train.stages.{number}.steps: required: only the last stage may leave it out"
            return
        for name in [name for name in stage.corpora or {} if name not in sets]:
            yield (
                f"train.stages.{number}.corpora: data.train has no set {name}; "
                f"it has {', '.join(sets) or 'no named sets'}: write data.train as "
                f"{{{name}: {{src: FILE, …}}, …}}"
            )
    before = sum(stage.steps or 0 for stage in others)
    left = max_steps - before
    if left <= 0:
        yield (
            f"train.stages: those before the last take {before} steps, so train.max_steps "
            f"{max_steps} leaves none for the last one"
        )
    elif last.steps not in (None, left):
        yield (
            f"train.stages.{len(others)}.steps {last.steps}: the last stage lasts until "
            f"train.max_steps {max_steps}, which makes {left}; leave it out"
        )
