"""Batches to hypotheses: what searches for a translator, in tokens."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.config.search import SearchOptions
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
        self, sources: Sequence[list[int]], keys: Sequence[str], options: SearchOptions
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
        self, sources: Sequence[list[int]], keys: Sequence[str], options: SearchOptions
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
        if options.samples:
            found = sample_search(stepper, max_lengths, keys, _sampling(options), **settings)
        else:
            found = beam_search(stepper, max_lengths, beam_size=options.beam_size, **settings)
        if not all(found):
            raise not_finite(self.models[0].weights)
        return found


def _sampling(options: SearchOptions) -> Sampling:
    return Sampling(
        1.0 if options.temperature is None else options.temperature,
        options.top_k,
        options.top_p,
        1 if options.seed is None else options.seed,
    )


def not_finite(weights: Path) -> FileError:
    """Make the error about a model that computes NaN or infinity."""
    return FileError(
        f"{weights}: the model's probabilities are not finite: "
        "its weights are broken, or too large for this `dtype`"
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
