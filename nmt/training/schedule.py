"""The learning rate as a function of the step, so that resuming needs no state."""

from __future__ import annotations

import math

from nmt.config.schema import Config
from nmt.config.stages import Stage, stages_of
from nmt.config.train import TrainConfig


def learning_rate(step: int, config: TrainConfig, d_model: int) -> float:
    """Return the learning rate of a step.

    All schedules rise linearly to the peak over `warmup_steps`. Without `learning_rate` the peak is
    the paper's, so that schedule `paper` is equation 3 of the paper,
    d_model^-0.5 * min(step^-0.5, step * warmup_steps^-1.5).

    Args:
        step: number of the step, from 1.
        config: schedule, peak, warm-up and number of steps.
        d_model: width of the model.
    """
    assert step >= 1, "steps count from 1"
    warmup = config.warmup_steps
    peak = config.learning_rate or 1.0 / math.sqrt(d_model * warmup)
    if step <= warmup:
        return peak * step / warmup
    if config.schedule == "paper":
        return peak * math.sqrt(warmup / step)
    if config.schedule == "constant":
        return peak
    left = max(0.0, (config.max_steps - step) / max(1, config.max_steps - warmup))
    if config.schedule == "linear":
        return peak * left
    return peak * 0.5 * (1.0 + math.cos(math.pi * (1.0 - left)))


def rate_in_stage(step: int, stage: Stage) -> float:
    """Return the learning rate of a step of a run, from 1, in one of its stages."""
    config = stage.config
    return learning_rate(step - stage.schedule_begin, config.train, config.model.d_model)


def rate_of_run(step: int, config: Config) -> float:
    """Return the learning rate of a step of a run, from 1; of later ones, as in its last stage."""
    stages = stages_of(config)
    return rate_in_stage(step, next((one for one in stages if step <= one.end), stages[-1]))
