"""The base class of the configuration's sections, and types that several sections use."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nmt.limits import MAX_BATCH_TOKENS, MAX_LENGTH, MAX_STEPS

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]

Steps = Annotated[int, Field(gt=0, le=MAX_STEPS)]
MaybeSteps = Annotated[int, Field(ge=0, le=MAX_STEPS)]
BatchTokens = Annotated[int, Field(gt=0, le=MAX_BATCH_TOKENS)]
Weight = Annotated[float, Field(gt=0.0, le=1000.0)]
Length = Annotated[int, Field(gt=0, le=MAX_LENGTH)]


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """Return the classes in the source of a module.

    `inspect.getsource` of a class takes three times as long, at every start of `nmt translate`.
    """
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


class Section(BaseModel):
    """A section of the configuration. Unknown keys are refused and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def documentation(cls) -> dict[str, str]:
        """Return the docstring below each field.

        pydantic can read them, too, but for all sections, at every start of the program.
        """
        found: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            if issubclass(base, Section):
                for field, text in pairwise(_classes(base.__module__)[base.__name__].body):
                    match field, text:
                        case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(doc))):
                            found[name] = inspect.cleandoc(doc)
        return found

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """Return the JSON schema with a description of each field."""
        result = handler(schema)
        properties = handler.resolve_ref_schema(result)["properties"]
        for name, text in cls.documentation().items():
            properties[name].setdefault("description", text)
        return result

    def _conflicts(self) -> Iterator[str]:
        """Yield a message for each combination of values that is not allowed."""
        yield from ()

    @model_validator(mode="after")
    def _check(self) -> Section:
        if conflicts := list(self._conflicts()):
            raise ValueError("; ".join(conflicts))
        return self
