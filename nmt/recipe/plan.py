"""The settings for a text and a limit of time or steps, with a trial on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nmt.recipe import rules
from nmt.recipe.budget import R_DROP_COST, Time, Tokens, Training, suitable, with_steps, within
from nmt.recipe.rules import Choice
from nmt.recipe.survey import Text
from nmt.recipe.trial import Trial

if TYPE_CHECKING:
    from nmt.check.training import Measured

_MEASUREMENTS = 2
_ENDS_EARLY = 0.75
_BUSY = 1.2  # running processes per core


@dataclass(frozen=True)
class Hours:
    """A time limit."""

    hours: float


@dataclass(frozen=True)
class Steps:
    """A number of training steps."""

    steps: int


Limit = Hours | Steps


@dataclass(frozen=True)
class Planner:
    """Chooses the settings for a text.

    Attributes:
        text: figures of the text.
        pairs: number of its pairs that are for training.
        valid_pairs: number of validation pairs; 0 if there are none.
        limit: of the training.
        trial: a sample of the text.
        say: called with what was measured.
    """

    text: Text
    pairs: int
    valid_pairs: int
    limit: Limit
    trial: Trial
    say: Callable[[str], object]

    def choices(self) -> list[Choice]:
        """Return the settings, without the corpora.

        Raises:
            ConfigError, TrainingError: if the model does not fit into memory.
            DataError: if all sentences are too long.
        """
        tokens = self.trial.tokens(self.pairs)
        kept = self.trial.kept(rules.length_choices(tokens))
        self.say(
            f"tokens: {tokens.per_pair:.1f} per pair; the filters keep {100 * kept:.1f} % of pairs"
        )
        tokens = replace(tokens, pairs=max(1, round(kept * self.pairs)))
        if isinstance(self.limit, Steps):
            training = with_steps(tokens, self.limit.steps)
            reason = f"As asked: {_epochs(training)}."
        else:
            training, time = self._measured(tokens, self.limit.hours * 3600)
            reason = _reason(tokens, training, time)
        return [
            *self._settings(tokens, training, reason),
            *rules.validation_choices(training, tokens.pairs, self.valid_pairs),
        ]

    def _measured(self, tokens: Tokens, seconds: float) -> tuple[Training, Time]:
        """Return the training for a time, and the time with the speed measured."""
        training = suitable(tokens)
        for _ in range(_MEASUREMENTS):
            measured = self.trial.measure(self._settings(tokens, training))
            self.say(_measurement(measured, training))
            time = Time(seconds, measured.step_seconds, training)
            found = within(tokens, time)
            if (found.shape, found.batch_tokens) == (training.shape, training.batch_tokens):
                break
            training = found._replace(r_drop=False)
        return found, time

    def _settings(self, tokens: Tokens, training: Training, reason: str = "") -> list[Choice]:
        """Return the settings that do not depend on the validation text.

        Args:
            tokens: figures of the text.
            training: what to train.
            reason: for the number of steps.
        """
        return [
            *rules.length_choices(tokens),
            *rules.duplicate_choices(self.text),
            *rules.tokenizer_choices(self.text),
            *rules.model_choices(self.text, training, suitable(tokens)),
            *rules.train_choices(training, reason),
        ]


def _measurement(measured: Measured, training: Training) -> str:
    text = (
        f"measured on {measured.device}: {measured.step_seconds:.2g} seconds per step of "
        f"{training.batch_tokens:,} tokens with d_model {training.shape.d_model}"
    )
    if measured.device == "cpu" and measured.load > _BUSY:
        text += (
            f"; other programs keep the machine busy ({measured.load:.1f} processes per core): "
            "measure again when it is idle"
        )
    return text


def _epochs(training: Training) -> str:
    return f"about {training.epochs:{'.0f' if training.epochs >= 10 else '.2g'}} epochs"


def _reason(tokens: Tokens, training: Training, time: Time) -> str:
    """Return the reason for the number of steps within a time."""
    per_step = time.seconds_per_step(training, tokens) * (R_DROP_COST if training.r_drop else 1)
    hours, given = training.steps * per_step / 3600, time.seconds / 3600
    rest = (
        "more epochs would hardly help"
        if hours < _ENDS_EARLY * given
        else "the rest is for validation"
    )
    return (
        f"{_epochs(training).capitalize()}: {hours:.2g} of {given:g} hours on this machine, at "
        f"{per_step:.2g} seconds per step; {rest}."
    )
