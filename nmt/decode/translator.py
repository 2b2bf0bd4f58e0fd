"""Text to text: lines in, translations out, in order and one for one."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nmt.config import DecodeConfig
from nmt.data.corpus import replace_controls
from nmt.decode.lines import full_windows, prompt_windows, split_ids
from nmt.decode.search import (
    Hypothesis,
    Sampling,
    Stepper,
    beam_search,
    normalised,
    sample_search,
)
from nmt.errors import ConfigError, FileError
from nmt.model.transformer import Transformer
from nmt.trained_model import TrainedModel

_BATCHES_AHEAD = 16
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class TranslateOptions:
    """How to translate; the defaults are the paper's (section 6.1).

    Raises:
        ConfigError: nbest does not go with the other options.
    """

    beam_size: int = 4
    """Hypotheses kept at each step; 1 is greedy search."""
    length_penalty: float = 0.6
    """Alpha of Wu et al. (2016); see `nmt.decode.search.beam_search`."""
    max_extra_len: int = 50
    """A translation has at most so many tokens more than its source."""
    batch_tokens: int = 4096
    """Budget of a batch in source tokens, padding counted."""
    nbest: int = 1
    """Translations to give of each line, at most beam_size."""
    sampling: Sampling | None = None
    """Draw translations instead of searching the best."""
    max_input_length: int | None = None
    """Longest input in tokens, end mark included; a longer one is divided. Without it, what the
    models were trained on."""

    def __post_init__(self) -> None:
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


@dataclass(frozen=True)
class ScoredText:
    """A translation and what the model thinks of it."""

    text: str
    score: float
    """Length-normalised log-probability, what hypotheses are ranked by; 0 for a blank line."""
    token_log_probs: list[float]
    """Natural logarithms, of the target tokens and the end mark (of each part of a divided
    line)."""


@dataclass(frozen=True)
class Translation:
    """What became of a line."""

    hypotheses: list[ScoredText]
    """The nbest best, best first: at least one, and fewer only if the model has no more."""

    @property
    def text(self) -> str:
        """The best translation."""
        return self.hypotheses[0].text


_BLANK = Translation([ScoredText("", 0.0, [])])


class ModelStepper:
    """A network as the search sees it."""

    def __init__(self, network: Transformer, src_BS: Tensor) -> None:
        self._network = network
        self._state = network.start_decoding(src_BS)

    def step(self, tokens_R: Tensor) -> Tensor:
        """Give log_probs_RV in float32 whatever the network computes in."""
        logits_RV = self._network.decode_step(tokens_R, self._state)
        return logits_RV.log_softmax(-1, dtype=torch.float32)

    def select(self, rows_N: Tensor) -> None:
        """Keep these rows of the state."""
        self._state.select(rows_N)


class EnsembleStepper:
    """Several models as one: the average of their probabilities."""

    def __init__(self, steppers: Sequence[Stepper]) -> None:
        self._steppers = steppers

    def step(self, tokens_R: Tensor) -> Tensor:
        """Give the logarithm of the averaged probabilities."""
        log_probs = torch.stack([stepper.step(tokens_R) for stepper in self._steppers])
        return log_probs.logsumexp(0) - math.log(len(self._steppers))

    def select(self, rows_N: Tensor) -> None:
        """Keep these rows of every model."""
        for stepper in self._steppers:
            stepper.select(rows_N)


class Translator:
    """Translates lines with a model, or with the average of several.

    Args:
        models: with the same tokenizers and on the same device.
        options: without them, those of the first model's configuration.
        warn: called with a message for each line that has to be divided.
        poll: called before each batch; an exception that it raises ends the work, which is how
            a signal gets through.

    Attributes:
        config: of the first model.
        options: in use.

    Raises:
        ConfigError: the models' tokenizers differ.
    """

    def __init__(
        self,
        models: Sequence[TrainedModel],
        options: TranslateOptions | None = None,
        warn: Callable[[str], None] = warnings.warn,
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        first = models[0]
        for model in models[1:]:
            _check_same_tokenizers(first, model)
        self.config = first.config
        self.options = options or TranslateOptions.from_config(first.config.decode)
        self._models = models
        self._src, self._tgt = first.tokenizers
        self._warn, self._poll = warn, poll
        self._device = next(first.network.parameters()).device
        self._max_positions = min(model.network.max_length or sys.maxsize for model in models)
        trained_on = min(model.config.data.max_length for model in models)
        self._max_input = min(self.options.max_input_length or trained_on, self._max_positions)

    def translate(
        self, lines: Iterable[str], *, interactive: bool = False
    ) -> Iterator[Translation]:
        """Translate lines, reading ahead no more than some batches' worth of them.

        A line that has no text gives a blank translation. One that is too long is divided at
        sentence ends, or if need be between clauses, words or tokens, and its translated parts
        are joined by spaces.

        Args:
            lines: text without line ends; read lazily.
            interactive: `lines` may come slowly (somebody types them): read them in a background
                thread and translate what is there, instead of waiting for more.

        Yields:
            A translation a line, in order.
        """
        window_size = _BATCHES_AHEAD * self.options.batch_tokens * _CHARACTERS_PER_TOKEN
        number = 1
        for window in (prompt_windows if interactive else full_windows)(lines, window_size):
            yield from self._translate_window(window, number)
            number += len(window)

    def _translate_window(self, lines: list[str], first_number: int) -> list[Translation]:
        """Translate a window's lines in batches of similar length."""
        lines = [replace_controls(line)[0] for line in lines]
        parts = [
            (number, part, ids)
            for number, ids_of_line in enumerate(self._src.encode(lines))
            for part, ids in enumerate(
                self._divided(lines[number], ids_of_line, first_number + number)
            )
        ]
        sources = [[*ids, self._src.eos_id] for _, _, ids in parts]
        keys = [f"{first_number + number}.{part}" for number, part, _ in parts]
        found: list[list[Hypothesis]] = [[] for _ in parts]
        for batch in length_batches(list(map(len, sources)), self.options.batch_tokens):
            self._poll()
            hypotheses = self._search([sources[i] for i in batch], [keys[i] for i in batch])
            for place, best in zip(batch, hypotheses, strict=True):
                found[place] = best[: self.options.nbest]
        parts_of_line: list[list[list[ScoredText]]] = [[] for _ in lines]
        for (number, _, _), texts in zip(parts, self._texts(found), strict=True):
            parts_of_line[number].append(texts)
        return [self._joined(texts) for texts in parts_of_line]

    @torch.inference_mode()
    def _search(self, sources: list[list[int]], keys: list[str]) -> list[list[Hypothesis]]:
        options = self.options
        src_BS = padded(sources, self._src.pad_id).to(self._device)
        steppers = [ModelStepper(model.network, src_BS) for model in self._models]
        stepper: Stepper = steppers[0] if len(steppers) == 1 else EnsembleStepper(steppers)
        max_lengths = [
            min(len(ids) + options.max_extra_len, self._max_positions) for ids in sources
        ]
        settings: dict[str, Any] = {
            "bos_id": self._tgt.bos_id,
            "eos_id": self._tgt.eos_id,
            "length_penalty": options.length_penalty,
            "forbidden_ids": [self._tgt.pad_id, self._tgt.bos_id, self._tgt.unk_id],
            "device": self._device,
        }
        if options.sampling:
            drawn = sample_search(stepper, max_lengths, keys, options.sampling, **settings)
            return [[hypothesis] for hypothesis in drawn]
        found = beam_search(stepper, max_lengths, beam_size=options.beam_size, **settings)
        if not all(found):
            raise FileError(
                f"{self._models[0].weights}: the model's probabilities are not finite: "
                "its weights are broken, or too large for this --dtype"
            )
        return found

    def _divided(self, line: str, ids: list[int], number: int) -> list[list[int]]:
        """Give the ids of a line's parts: none if it is blank, one unless it is too long."""
        limit = max(1, self._max_input - 1)
        if len(ids) <= limit:
            return [ids] if ids else []
        parts = split_ids(line, self._src, limit)
        self._warn(
            f"line {number}: {len(ids)} tokens are more than the {limit} that the model takes: "
            f"translated in {len(parts)} parts"
        )
        return parts

    def _texts(self, found: list[list[Hypothesis]]) -> Iterator[list[ScoredText]]:
        """Detokenize the hypotheses of all parts at once."""
        texts = iter(self._tgt.decode([h.ids for hypotheses in found for h in hypotheses]))
        for hypotheses in found:
            yield [ScoredText(next(texts), h.score, h.token_log_probs) for h in hypotheses]

    def _joined(self, parts: list[list[ScoredText]]) -> Translation:
        """Join the n-th best translations of a line's parts to the line's n-th best."""
        if len(parts) < 2:
            return Translation(parts[0]) if parts else _BLANK
        joined = []
        for hypotheses in zip(*parts, strict=False):
            log_probs = [log_prob for h in hypotheses for log_prob in h.token_log_probs]
            score = normalised(sum(log_probs), len(log_probs), self.options.length_penalty)
            text = " ".join(h.text for h in hypotheses if h.text)
            joined.append(ScoredText(text, score, log_probs))
        return Translation(joined)


def _check_same_tokenizers(first: TrainedModel, other: TrainedModel) -> None:
    for ours, theirs in zip(first.tokenizers, other.tokenizers, strict=True):
        if ours.serialized() != theirs.serialized():
            raise ConfigError(
                f"{first.weights} and {other.weights} have different tokenizers: "
                "an ensemble needs models that were trained with the same"
            )


def length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Group items of similar length, longest first.

    Args:
        lengths: tokens of each item.
        batch_tokens: largest number of items times the longest of them; an item longer than
            that is a batch alone.

    Yields:
        Places in `lengths`; all of them together are each place once.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Make an int64 tensor of rows of ids, filled up with padding at their ends."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows])
