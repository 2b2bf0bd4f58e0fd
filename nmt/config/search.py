"""The search options, defined once for YAML, the Python API and the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from nmt.config.decode import DecodeConfig
from nmt.errors import ConfigError
from nmt.limits import MAX_BEAM_SIZE, MAX_CONTEXT, MAX_LENGTH, MAX_SEED, MAX_VOCAB_SIZE

_SAMPLES = 32
_OF_THE_BEAM = {"coverage_penalty": 0.0, "stop": "beam", "patience": 1.0, "beam_groups": 1}


class SearchOptions(DecodeConfig):
    """The `decode` section of a configuration, and options of a single call."""

    nbest: int = Field(1, ge=1, le=MAX_BEAM_SIZE)
    """Number of translations per line: the best ones, at most beam_size, or independent samples."""
    temperature: float | None = Field(None, gt=0.0, allow_inf_nan=False)
    """Sample, with log-probabilities divided by this; values below 1 favour likely tokens."""
    top_k: int | None = Field(None, ge=1, le=MAX_VOCAB_SIZE)
    """Sample from this many of the most probable tokens (Fan et al. 2018)."""
    top_p: float | None = Field(None, gt=0.0, le=1.0)
    """Sample from the smallest set of most probable tokens with this total probability (Holtzman
    et al. 2020)."""
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    """Seed of sampling. Default: 1."""
    mbr: Literal["chrf", "bleu"] | None = None
    """Choose the candidate with the highest expected chrF or BLEU, the other candidates being the
    references (minimum Bayes risk, Kumar and Byrne 2004). Candidates are samples (Eikema and Aziz
    2020), or without sampling, the hypotheses of the beam, weighted by probability."""
    mbr_candidates: int | None = Field(None, ge=2, le=MAX_BEAM_SIZE)
    """Number of candidates for mbr. Default: 32 samples, or all hypotheses of the beam."""
    split_sentences: bool = False
    """Translate each sentence of a line separately and join the translations."""
    max_input_length: int | None = Field(None, ge=1, le=MAX_LENGTH)
    """Maximum length of the input in tokens, EOS included; longer input is split at sentence ends.
    Default: the maximum length in training."""
    context: int | None = Field(None, ge=0, le=MAX_CONTEXT)
    """Number of previous lines that the model sees with each line, for a model trained with
    data.context; a blank line begins a new document. Default: as many as in training."""
    tgt_lang: str | None = None
    """Language to translate into, for a model with data.tags (`nmt info` lists its languages).
    Default: as `data.tgt_lang`."""
    src_lang: str | None = None
    """Language of the source, for a model with data.tags: both. Default: as `data.src_lang`."""
    shortlist: bool = False
    """Choose from the likely target tokens of each sentence only, as learned by `nmt shortlist`.
    Faster with a large vocabulary; scores are of the probabilities within the shortlist."""

    @property
    def samples(self) -> bool:
        """Whether translations are sampled instead of searched for."""
        return (self.temperature, self.top_k, self.top_p) != (None, None, None)

    @property
    def candidates(self) -> int:
        """How many hypotheses an engine returns for a line: those mbr chooses from, or nbest."""
        if self.mbr is None:
            return self.nbest
        return self.mbr_candidates or (_SAMPLES if self.samples else self.most_of_the_beam)

    @property
    def most_of_the_beam(self) -> int:
        """How many hypotheses a beam search is sure to look for."""
        if self.stop == "bound":
            return self.beam_size
        return min(self.beam_size, self.enough_finished * self.beam_groups)

    def _conflicts(self) -> Iterator[str]:
        yield from super()._conflicts()
        if self.seed is not None and not self.samples:
            yield "`seed` needs sampling: `temperature`, `top_k` or `top_p`"
        yield from self._sampling_conflicts() if self.samples else self._beam_conflicts()
        yield from self._mbr_conflicts()
        if self.shortlist and self.trees:
            yield "`shortlist` cannot be combined with decode.trees: a tree has all source words"
        if self.shortlist and self.terms != "hard":
            yield (
                f"`shortlist` cannot be combined with `terms` {self.terms}: it is learned from "
                "sources without terms"
            )
        if self.split_sentences and self.trees:
            yield "`split_sentences` cannot be combined with decode.trees: a line has one tree"

    def _beam_conflicts(self) -> Iterator[str]:
        """Yield why a beam search cannot find as many hypotheses as are wanted."""
        name = "mbr_candidates" if self.mbr_candidates else "nbest"
        wanted = self.mbr_candidates or self.nbest
        if wanted > self.beam_size:
            yield f"`{name}` {wanted} is greater than `beam_size` {self.beam_size}"
        elif wanted > self.most_of_the_beam:
            yield (
                f"`{name}` {wanted} is more than the {self.most_of_the_beam} "
                "finished hypotheses that `stop` and `patience` ask for"
            )

    def _mbr_conflicts(self) -> Iterator[str]:
        if self.mbr is None:
            if self.mbr_candidates is not None:
                yield "`mbr_candidates` needs `mbr`: chrf or bleu"
            return
        if self.trees:
            yield "`mbr` cannot be combined with decode.trees: trees are not compared as text"
        if self.candidates == 1:
            yield (
                "`mbr` chooses among several candidates, but this search finds one: sample, for "
                "example with `temperature` 0.7, or search with a larger `beam_size`"
            )
        elif self.nbest > self.candidates and (self.samples or self.mbr_candidates):
            yield (
                f"`nbest` {self.nbest} is more than the {self.candidates} candidates of `mbr`: "
                "raise `mbr_candidates`"
            )

    def _sampling_conflicts(self) -> Iterator[str]:
        """Yield what sampling cannot be combined with: rules of the beam that change the result."""
        if self.nbest > 1 and self.trees:
            yield "`nbest` with sampling cannot be combined with decode.trees"
        for name, neutral in _OF_THE_BEAM.items():
            if (value := getattr(self, name)) != neutral:
                yield (
                    f"`{name}` {value} cannot be combined with sampling, which has no beam: leave "
                    f"it at {neutral}"
                )


def search_options(
    decode: DecodeConfig | None = None, options: Mapping[str, Any] | None = None
) -> SearchOptions:
    """Return a configuration's `decode` section, updated with the options of a call.

    Args:
        decode: the section. Default: its defaults.
        options: options by name; those that are None are ignored.

    Raises:
        ConfigError: if an option is unknown, out of range, or conflicts with another.
    """
    values = decode.model_dump() if decode else {}
    values |= {name: value for name, value in (options or {}).items() if value is not None}
    try:
        return SearchOptions.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(map(_explain, error.errors()))) from error


def _explain(error: Any) -> str:
    from nmt.config.explain import requirement

    message = requirement(error)
    if not error["loc"]:
        return message
    name = error["loc"][0]
    if error["type"] == "extra_forbidden":
        known = ", ".join(SearchOptions.model_fields)
        return f"unknown option `{name}`: known options are {known}"
    return f"`{name}`: {message}, but it is {error['input']!r}"
