"""The stages of a training run, each with the settings in effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nmt.config.finetuning import StageConfig
from nmt.config.schema import Config


@dataclass(frozen=True)
class Stage:
    """A stage with the settings in effect. A run without `train.stages` is a single one.

    Attributes:
        number: from 1.
        count: number of stages of the run.
        begin: steps of the run before the stage.
        end: its last step.
        config: the settings in effect, with `train.max_steps` as the end of the schedule.
        schedule_begin: steps of the run before the schedule.
        changes_data: whether its batches differ from those of the stage before.
    """

    number: int
    count: int
    begin: int
    end: int
    config: Config
    schedule_begin: int
    changes_data: bool

    @property
    def is_last(self) -> bool:
        """Whether no stage follows."""
        return self.number == self.count

    def describe(self) -> str:
        """Return the stage in words."""
        own = self.config.train
        corpora = ", ".join(
            f"{one.set or 'unnamed'} (weight {one.weight:g})" for one in self.config.data.train
        )
        frozen = f"; frozen: {', '.join(own.freeze)}" if own.freeze else ""
        steps = f"steps {self.begin + 1:,} to {self.end:,}"
        return f"stage {self.number} of {self.count}: {steps}; corpora: {corpora}{frozen}"


def stages_of(config: Config) -> list[Stage]:
    """Return the stages of a training run in order."""
    listed = config.train.stages or [StageConfig()]
    begin = 0
    found: list[Stage] = []
    for number, stage in enumerate(listed, start=1):
        is_last = number == len(listed)
        end = config.train.max_steps if is_last else begin + (stage.steps or 0)
        own = _in_effect(config, stage, end - begin)
        origin = begin if stage.has_schedule else 0
        changes_data = bool(found) and data_of(own) != data_of(found[-1].config)
        found.append(Stage(number, len(listed), begin, end, own, origin, changes_data))
        begin = end
    return found


def _in_effect(config: Config, stage: StageConfig, steps: int) -> Config:
    """Return the settings of a stage that takes a number of steps."""
    values = {
        name: getattr(stage, name)
        for name in StageConfig.model_fields
        if name not in ("steps", "corpora") and getattr(stage, name) is not None
    }
    values["stages"] = []
    if stage.has_schedule:
        values["max_steps"] = steps
    train = config.train.model_copy(update=values)
    data = config.data
    if stage.corpora is not None:
        data = data.model_copy(update={"train": _chosen(config, stage.corpora)})
    return config.model_copy(update={"train": train, "data": data})


def data_of(config: Config) -> tuple[object, int]:
    """Return the settings of a stage that its batches depend on."""
    return config.data.train, config.train.batch_tokens


def _chosen(config: Config, factors: Mapping[str, float]) -> list[object]:
    """Return the corpora of some sets, with factors for their weights."""
    return [
        corpus.model_copy(update={"weight": corpus.weight * factors[corpus.set or ""]})
        for corpus in config.data.train
        if corpus.set in factors
    ]
