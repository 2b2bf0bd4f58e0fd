"""What the checks look at: a configuration, its prepared data, and what both amount to."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nmt.check.plan import Plan, make_plan
from nmt.config.schema import Config
from nmt.data.corpus import corpus_name
from nmt.data.prepare import Prepared
from nmt.data.tokenizer import Tokenizers

_SAMPLED_PAIRS = 1000


@dataclass(frozen=True)
class Sample:
    """Some text of one corpus.

    Attributes:
        about: the key of its part, such as `data.valid`.
        corpus: its name.
        size: pairs of the corpus.
        src: lines of the source side, joined.
        tgt: lines of the target side, joined.
    """

    about: str
    corpus: str
    size: int
    src: str
    tgt: str


@dataclass(frozen=True)
class Subject:
    """A training run that has not started.

    Attributes:
        config: of the run.
        tokenizers: of both sides.
        parts: `train`, and where they are given `valid` and `test`.
    """

    config: Config
    tokenizers: Tokenizers
    parts: Mapping[str, Prepared]

    @functools.cached_property
    def plan(self) -> Plan:
        """How training goes through the data."""
        return make_plan(self.config, self.tokenizers, self.parts["train"])

    @functools.cached_property
    def samples(self) -> tuple[Sample, list[Sample]]:
        """Text of the largest training corpus, and of every other corpus of any part."""
        drawn = [sample for name in self.parts for sample in self._samples(name)]
        largest = max((one for one in drawn if one.about == "data.train"), key=lambda one: one.size)
        return largest, [sample for sample in drawn if sample is not largest]

    def _samples(self, name: str) -> Iterator[Sample]:
        """Draw pairs of each corpus of a part, spread over it."""
        prepared = self.parts[name]
        start = 0
        for corpus, size in zip(prepared.corpora, prepared.corpus_sizes, strict=True):
            places = np.linspace(start, start + size - 1, min(size, _SAMPLED_PAIRS)).astype(int)
            src, tgt = ("\n".join(side) for side in prepared.texts(places))
            yield Sample(f"data.{name}", corpus_name(corpus), size, src, tgt)
            start += size
