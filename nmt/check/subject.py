"""The input of the checks: a configuration with its prepared data."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nmt.check.plan import Plan, make_plan
from nmt.config.languages import LanguagePair
from nmt.config.schema import Config
from nmt.data.corpus import corpus_name
from nmt.data.prepared import Prepared
from nmt.data.tokenizer import Tokenizers

_SAMPLED_PAIRS = 1000


@dataclass(frozen=True)
class Sample:
    """A sample of the text of one corpus.

    Attributes:
        about: configuration key of its part, such as `data.valid`.
        corpus: name of the corpus.
        size: number of pairs of the corpus.
        src: sampled lines of the source side, joined by newlines.
        tgt: the same for the target side.
    """

    about: str
    corpus: str
    size: int
    src: str
    tgt: str


@dataclass(frozen=True)
class Subject:
    """A training run before it starts.

    Attributes:
        config: configuration of the run.
        tokenizers: of both sides.
        parts: `train`, and `valid` (or `valid.NAME` for each named set) and `test` if configured.
    """

    config: Config
    tokenizers: Tokenizers
    parts: Mapping[str, Prepared]

    @functools.cached_property
    def plan(self) -> Plan:
        """How training divides the data into batches and epochs."""
        return make_plan(self.config, self.tokenizers, self.parts["train"])

    @functools.cached_property
    def samples(self) -> list[tuple[Sample, list[Sample]]]:
        """For each language pair, samples of its largest training corpus and of its others."""
        by_pair: dict[LanguagePair, list[Sample]] = {}
        for name in self.parts:
            for pair, sample in self._samples(name):
                by_pair.setdefault(pair, []).append(sample)
        found = []
        for samples in by_pair.values():
            in_train = [sample for sample in samples if sample.about == "data.train"]
            if in_train:
                largest = max(in_train, key=lambda sample: sample.size)
                found.append((largest, [sample for sample in samples if sample is not largest]))
        return found

    def _samples(self, name: str) -> Iterator[tuple[LanguagePair, Sample]]:
        """Yield the languages and a sample of each corpus of a part, evenly spaced."""
        prepared = self.parts[name]
        start = 0
        for corpus, size in zip(prepared.corpora, prepared.corpus_sizes, strict=True):
            rows = np.linspace(start, start + size - 1, min(size, _SAMPLED_PAIRS)).astype(int)
            src, tgt = ("\n".join(side) for side in prepared.texts(rows))
            sample = Sample(f"data.{name}", corpus_name(corpus), size, src, tgt)
            yield self.config.data.pair_of(corpus), sample
            start += size
