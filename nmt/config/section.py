"""The base class of the configuration's sections, and types that several sections use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nmt.limits import MAX_BATCH_TOKENS, MAX_LENGTH, MAX_STEPS

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]

Steps = Annotated[int, Field(gt=0, le=MAX_STEPS)]
MaybeSteps = Annotated[int, Field(ge=0, le=MAX_STEPS)]
BatchTokens = Annotated[int, Field(gt=0, le=MAX_BATCH_TOKENS)]
Length = Annotated[int, Field(gt=0, le=MAX_LENGTH)]


class Section(BaseModel):
    """A section of the configuration. Unknown keys are refused and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def _conflicts(self) -> Iterator[str]:
        """Yield a message for each combination of values that is not allowed."""
        yield from ()

    @model_validator(mode="after")
    def _check(self) -> Section:
        if conflicts := list(self._conflicts()):
            raise ValueError("; ".join(conflicts))
        return self
