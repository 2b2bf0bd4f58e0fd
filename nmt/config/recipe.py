"""The section `recipe`: what a configuration is known to reach, on which data, scored how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from nmt.config.section import Section

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Lines = Annotated[int, Field(gt=0, le=10**12)]
Points = Annotated[float, Field(ge=0.0, le=1000.0)]


class TextConfig(Section):
    """A text file of a recipe."""

    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    """Its name in the directory that is given to `nmt reproduce`, without .gz."""
    sha256: Sha256 | None = None
    """Checksum of the text, decompressed: each line, without carriage return and byte-order mark,
    and a line feed. Without it, the text is not checked."""


class PairConfig(Section):
    """The parallel text of one corpus."""

    lines: Lines | None = None
    """Number of lines of each file."""
    src: TextConfig
    """Source side."""
    tgt: TextConfig
    """Target side."""
    ref: TextConfig | None = None
    """References to score with, in the same directory, if they are not the target side: trees with
    words and tags, for bracket-f1."""

    @property
    def sides(self) -> dict[str, TextConfig]:
        """The texts by their key."""
        found = {"src": self.src, "tgt": self.tgt, "ref": self.ref}
        return {key: text for key, text in found.items() if text is not None}


def _add_brackets(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Pairs = Annotated[list[PairConfig], BeforeValidator(_add_brackets)]


class RecipeDataConfig(Section):
    """The text of a recipe: one entry for each corpus of the section `data`, in the same order."""

    source: str
    """Where the text comes from."""
    train: Pairs = Field(default=[])
    """The text of data.train. If there is none, it is not checked."""
    valid: Pairs = Field(default=[])
    """The text of data.valid, set by set."""
    test: Pairs = Field(default=[])
    """The text of data.test."""


class ProtocolConfig(Section):
    """How a recipe is scored."""

    name: str
    """What the test set is called in publications."""
    test_set: str | None = None
    """A test set of sacreBLEU, such as wmt13. Default: data.test."""
    metric: Literal["bleu", "chrf", "ter", "bracket-f1"] = "bleu"
    """The metric."""
    lowercase: bool = False
    """Whether case is ignored."""
    tokenize: str | None = None
    """BLEU's tokenizer; `none` for text that is tokenised. Default: sacreBLEU's for the language.
    """
    signature: str
    """The signature of the score, without the version of the program."""


class ExpectedConfig(Section):
    """The score that a recipe reaches."""

    score: Points
    """The score; of several seeds, the mean."""
    low: Points
    """Lower end of the interval in which a run has to be."""
    high: Points
    """Upper end."""
    seeds: Annotated[int, Field(gt=0, le=10**6)]
    """Number of training runs, with different seeds, that the score comes from."""
    basis: Literal["seeds", "bootstrap", "tolerance"]
    """What the interval is based on: `seeds`, the interval in which a further run falls with 95 %
    probability, by Student's t; `bootstrap`, the 95 % interval of a single run, which is about the
    choice of sentences, not of seeds; or `tolerance`, a guess for want of measurements, wider than
    the known differences between runs of similar recipes."""

    def _conflicts(self) -> Iterator[str]:
        if not self.low <= self.score <= self.high:
            yield (
                f"`score` {self.score:g} is not between `low` {self.low:g} and `high` {self.high:g}"
            )
        if self.basis == "seeds" and self.seeds < 3:
            yield f"`basis: seeds` needs 3 seeds, not {self.seeds}: use bootstrap or tolerance"


class PublishedConfig(Section):
    """A published score of the same model and data."""

    score: Points
    """The score."""
    metric: str = "BLEU"
    """What it measures."""
    protocol: str
    """How it was scored, as far as it differs from `test`: scores of different protocols are not
    comparable."""
    source: str
    """The publication, with its table or section."""


class RecipeConfig(Section):
    """What a configuration is known to reach. Training ignores it, runs do not contain it, and
    `extends` does not inherit it; `nmt reproduce` proves it.
    """

    measured: bool
    """Whether it has been trained to the end with nmt."""
    teacher: str | None = None
    """For a student that is trained with nmt distill: the configuration of its teacher, a path
    relative to this file."""
    data: RecipeDataConfig
    """The text."""
    test: ProtocolConfig
    """How it is scored."""
    expected: ExpectedConfig | None = None
    """What it reached, if it has been measured."""
    published: list[PublishedConfig] = Field(default=[])
    """What others report."""
    time: str | None = None
    """How long training took."""
    machine: str | None = None
    """The machine that took this time."""

    def _conflicts(self) -> Iterator[str]:
        if self.measured and self.expected is None:
            yield "`measured: true` needs `expected`: the score that was measured"
        if not self.measured and self.expected is not None:
            yield "`expected` needs `measured: true`: put the scores of others into `published`"
        if (self.time is None) != (self.machine is None):
            yield "`time` and `machine` belong together"
