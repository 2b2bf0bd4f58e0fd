"""How to search for translations: the one definition behind YAML, Python API and command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError, model_validator

from nmt.config.decode import DecodeConfig
from nmt.errors import ConfigError
from nmt.limits import MAX_BEAM_SIZE, MAX_LENGTH, MAX_SEED, MAX_VOCAB_SIZE


class SearchOptions(DecodeConfig):
    """The `decode` section of a configuration, and what is chosen for each call."""

    nbest: int = Field(1, ge=1, le=MAX_BEAM_SIZE)
    """Translations to return for each line, at most beam_size."""
    temperature: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    """Sample, with log-probabilities divided by this: below 1, likely tokens get likelier."""
    top_k: int | None = Field(None, ge=1, le=MAX_VOCAB_SIZE)
    """Sample from this many of the most probable tokens (Fan et al. 2018)."""
    top_p: float | None = Field(None, gt=0.0, le=1.0)
    """Sample from the smallest set of most probable tokens with this total probability (Holtzman
    et al. 2020)."""
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    """Seed of the sampling; 1 if not given."""
    split_sentences: bool = False
    """Translate each sentence of a line separately and join the translations."""
    max_input_length: int | None = Field(None, ge=1, le=MAX_LENGTH)
    """Longest input in tokens, EOS included; longer input is split at sentence ends. Without it,
    the length that the model was trained on."""

    @property
    def samples(self) -> bool:
        """Whether translations are drawn instead of searched for."""
        return (self.temperature, self.top_k, self.top_p) != (None, None, None)

    @model_validator(mode="after")
    def _check_combinations(self) -> SearchOptions:
        if self.seed is not None and not self.samples:
            raise ValueError("`seed` needs sampling: `temperature`, `top_k` or `top_p`")
        if self.nbest > 1 and self.samples:
            raise ValueError("`nbest` does not go with sampling, which draws one translation")
        if self.nbest > self.beam_size:
            raise ValueError(
                f"`nbest` {self.nbest} needs a `beam_size` of at least that, but it is "
                f"{self.beam_size}"
            )
        if self.split_sentences and self.trees:
            raise ValueError("`split_sentences` does not go with decode.trees: a line has one tree")
        return self


def search_options(
    decode: DecodeConfig | None = None, given: Mapping[str, Any] | None = None
) -> SearchOptions:
    """Combine a configuration's `decode` section with options given for a call.

    Args:
        decode: the section; without it, its defaults.
        given: options by name; None means not given.

    Raises:
        ConfigError: an option is unknown, out of range, or does not go with another.
    """
    values = decode.model_dump() if decode else {}
    values |= {name: value for name, value in (given or {}).items() if value is not None}
    try:
        return SearchOptions.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(map(_explain, error.errors()))) from error


def _explain(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = error["loc"][0]
    if error["type"] == "extra_forbidden":
        known = ", ".join(SearchOptions.model_fields)
        return f"unknown option `{name}`: known are {known}"
    return f"`{name}`: {message[0].lower()}{message[1:]}, but it is {error['input']!r}"
