"""Batches to hypotheses: what searches for a translator, in tokens."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from nmt.config.decode import DecodeConfig
from nmt.config.schema import Config
from nmt.data.lengths import LengthModel
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, FileError
from nmt.model.network import Network
from nmt.parsing.constraint import TreeConstraint, TreeGrammar
from nmt.runs.model import TrainedModel
from nmt.search.beam import beam_search
from nmt.search.constraints import Constraint, Forbidden
from nmt.search.hypothesis import Hypothesis
from nmt.search.sample import Sampling, sample_search
from nmt.search.stepper import EnsembleStepper, Stepper

# Rows whose log-probabilities are there at a time: of more, as many megabytes would be taken from
# the system and given back in every step.
_ROWS = 512

_MAX_LENGTH_PENALTY = 10  # above 1 to 2 it has no use; a power of hundreds overflows


@dataclass(frozen=True)
class TranslateOptions:
    """How to translate; the defaults are the paper's (section 6.1).

    Raises:
        ConfigError: the length penalty is out of its range, or nbest does not go with the other
            options.
    """

    beam_size: int = 4
    """Hypotheses kept at each step; 1 is greedy search."""
    length_penalty: float = 0.6
    """Alpha of Wu et al. (2016), from 0 to 10; see `nmt.search.beam.beam_search`."""
    max_extra_len: int = 50
    """A translation has at most so many tokens more than its source."""
    batch_tokens: int = 4096
    """Budget of a batch in source tokens, padding counted."""
    trees: bool = False
    """Write linearised trees over the words of the source; see `nmt.parsing.constraint`."""
    nbest: int = 1
    """Translations to give of each line, at most beam_size."""
    sampling: Sampling | None = None
    """Draw translations instead of searching the best."""
    split_sentences: bool = False
    """Translate each sentence of a line by itself."""
    max_input_length: int | None = None
    """Longest input in tokens, end mark included; a longer one is divided. Without it, what the
    models were trained on."""

    def __post_init__(self) -> None:
        if not 0 <= self.length_penalty <= _MAX_LENGTH_PENALTY:
            raise ConfigError(
                f"length_penalty must be from 0 to {_MAX_LENGTH_PENALTY}, but it is "
                f"{self.length_penalty}"
            )
        if self.split_sentences and self.trees:
            raise ConfigError(
                "--split-sentences does not go with decode.trees: a line has one parse"
            )
        if self.nbest > 1 and self.sampling:
            raise ConfigError("nbest and sampling do not go together: sampling draws one")
        if self.nbest > self.beam_size:
            raise ConfigError(
                f"nbest {self.nbest} needs a beam of at least that, but beam_size is "
                f"{self.beam_size}"
            )

    @classmethod
    def from_config(cls, config: DecodeConfig, **given: Any) -> TranslateOptions:
        """Take the options given; what is None or left out is as in a configuration."""
        chosen = {name: value for name, value in given.items() if value is not None}
        return cls(**config.model_dump() | chosen)


class ModelStepper:
    """A network as the search sees it."""

    def __init__(self, network: Network[Any], src_BS: Tensor) -> None:
        self._network = network
        self._state = network.start_decoding(src_BS)

    def step(self, tokens_BW: Tensor) -> Iterator[Tensor]:
        """Give log-probabilities in float32 whatever the network computes in."""
        hidden_BWD = self._network.decode_step(tokens_BW, self._state)
        for hidden_CD in torch.split(hidden_BWD.flatten(0, 1), _ROWS):
            yield self._network.project(hidden_CD).log_softmax(-1, dtype=torch.float32)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses of the state."""
        self._state.select(sentences_N, beams_NW)


class Model(Protocol):
    """What there is to know of a model, whatever runs it."""

    @property
    def config(self) -> Config:
        """The configuration it was trained with."""

    @property
    def tokenizers(self) -> Tokenizers:
        """Source and target side."""

    @property
    def weights(self) -> Path:
        """The directory that its weights came from."""

    @property
    def lengths(self) -> LengthModel | None:
        """How long its translations should be, if that is known."""


class Engine(Protocol):
    """What finds the translations of a `Translator`, in tokens."""

    @property
    def models(self) -> Sequence[Model]:
        """The model that it runs, or several as one."""

    @property
    def dtype(self) -> str:
        """What it computes in."""

    @property
    def max_positions(self) -> int:
        """How many tokens it takes and gives at most, end mark included."""

    @property
    def num_parallel(self) -> int:
        """How many batches it searches beside each other, when threads ask it to."""

    def search(
        self, sources: Sequence[list[int]], keys: Sequence[str], options: TranslateOptions
    ) -> list[list[Hypothesis]]:
        """Search a batch.

        Args:
            sources: source ids, each with its end mark.
            keys: what each is sampled by.
            options: how to search.

        Returns:
            For each source at least one hypothesis, best first.

        Raises:
            ConfigError: it cannot do what the options ask for.
            FileError: the model's probabilities are not finite.
            RuntimeError, MemoryError: the batch does not fit into memory.
        """


class Networks:
    """The engine of nmt: networks in torch, of one model or averaged.

    Args:
        models: with the same tokenizers and on the same device.

    Raises:
        ConfigError: the models' tokenizers differ.
    """

    num_parallel = 1

    def __init__(self, models: Sequence[TrainedModel]) -> None:
        first = models[0]
        for model in models[1:]:
            _check_same_tokenizers(first, model)
        self.models = models
        self._src, self._tgt = first.tokenizers
        weights = next(first.network.parameters())
        self._device, self.dtype = weights.device, str(weights.dtype)
        self.max_positions = min(model.network.max_length or sys.maxsize for model in models)

    @torch.inference_mode()
    def search(
        self, sources: Sequence[list[int]], keys: Sequence[str], options: TranslateOptions
    ) -> list[list[Hypothesis]]:
        """Search a batch, or sample from it."""
        src_BS = padded(sources, self._src.pad_id).to(self._device)
        steppers = [ModelStepper(model.network, src_BS) for model in self.models]
        stepper: Stepper = steppers[0] if len(steppers) == 1 else EnsembleStepper(steppers)
        forbidden = [self._tgt.pad_id, self._tgt.bos_id, self._tgt.unk_id]
        constraints: list[Constraint] = []
        if options.trees:
            sentences = self._src.decode([ids[:-1] for ids in sources])
            constraints.append(TreeConstraint(TreeGrammar(self._tgt), sentences))
            forbidden.remove(self._tgt.unk_id)  # which only stands for a word
        constraints.append(Forbidden(forbidden, self._device))
        max_lengths = [min(len(ids) + options.max_extra_len, self.max_positions) for ids in sources]
        settings: dict[str, Any] = {
            "bos_id": self._tgt.bos_id,
            "eos_id": self._tgt.eos_id,
            "length_penalty": options.length_penalty,
            "constraints": constraints,
            "device": self._device,
        }
        if options.sampling:
            found = sample_search(stepper, max_lengths, keys, options.sampling, **settings)
        else:
            found = beam_search(stepper, max_lengths, beam_size=options.beam_size, **settings)
        if not all(found):
            raise not_finite(self.models[0].weights)
        return found


def not_finite(weights: Path) -> FileError:
    """Make the error about a model that computes NaN or infinity."""
    return FileError(
        f"{weights}: the model's probabilities are not finite: "
        "its weights are broken, or too large for this --dtype"
    )


def _check_same_tokenizers(first: TrainedModel, other: TrainedModel) -> None:
    for ours, theirs in zip(first.tokenizers, other.tokenizers, strict=True):
        if ours.serialized() != theirs.serialized():
            raise ConfigError(
                f"{first.weights} and {other.weights} have different tokenizers: "
                "an ensemble needs models that were trained with the same"
            )


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Make an int64 tensor of rows of ids, filled up with padding at their ends."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows])
