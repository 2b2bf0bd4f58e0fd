"""Named sets of validation corpora, and the metrics on them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from nmt.config.corpora import SET_NAME, Corpora, is_named

FIGURES = ("loss", "bleu", "chrf")
"""The figures that may choose the best checkpoint."""

TAGS = ("corpora", "sets")
"""The two forms of `data.valid`; pydantic's locations contain one of them."""


def is_loss(metric: str) -> bool:
    """Return whether a metric is a loss, which is better if it is lower."""
    return metric.rpartition("/")[2] == "loss"


def set_of(metric: str) -> str:
    """Return the name of the set that a metric is about; empty for the first set."""
    return metric.rpartition("/")[0]


def _tag(value: Any) -> str:
    return "sets" if is_named(value) else "corpora"


def _check_names(value: Any) -> Any:
    for name in value:
        if not isinstance(name, str) or not re.fullmatch(SET_NAME, name):
            raise ValueError(
                f"{name!r} cannot be the name of a set: use a letter, then letters, digits, "
                "- and _, at most 32 in all"
            )
    return value


def _check_metric(value: Any) -> Any:
    if not re.fullmatch(f"({SET_NAME}/)?({'|'.join(FIGURES)})", str(value)):
        raise ValueError(
            "must be loss, bleu or chrf, or one of them on a set of data.valid, as in domain/bleu"
        )
    return value


_Sets = Annotated[dict[str, Annotated[Corpora, Field(min_length=1)]], BeforeValidator(_check_names)]

ValidCorpora = Annotated[
    Annotated[Corpora, Tag("corpora")] | Annotated[_Sets, Tag("sets")], Discriminator(_tag)
]

Metric = Annotated[
    str,
    BeforeValidator(_check_metric),
    Field(json_schema_extra={"pattern": f"^({SET_NAME}/)?({'|'.join(FIGURES)})$"}),
]
