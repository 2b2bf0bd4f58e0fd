"""The base class of the configuration's sections, and types that several of them use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from nmt.limits import MAX_BATCH_TOKENS, MAX_LENGTH, MAX_STEPS

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]

Steps = Annotated[int, Field(gt=0, le=MAX_STEPS)]
MaybeSteps = Annotated[int, Field(ge=0, le=MAX_STEPS)]
BatchTokens = Annotated[int, Field(gt=0, le=MAX_BATCH_TOKENS)]
Length = Annotated[int, Field(gt=0, le=MAX_LENGTH)]


def refuse(*checks: tuple[bool, str]) -> None:
    """Raise one error that says all that is broken, for pydantic to report."""
    faults = [message for broken, message in checks if broken]
    if faults:
        raise ValueError("; ".join(faults))


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values cannot be changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
