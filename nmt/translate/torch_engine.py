"""nmt's own engine: the search of nmt.search over networks in torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nmt.config.search import SearchOptions
from nmt.device import is_out_of_memory
from nmt.errors import ConfigError
from nmt.model.network import Network
from nmt.parsing.constraint import TreeConstraint, TreeGrammar
from nmt.runs.layout import find_run
from nmt.runs.model import TrainedModel
from nmt.runs.shortlist import Shortlist, load_shortlist
from nmt.search.beam import beam_search
from nmt.search.constraints import (
    ConstrainedStepper,
    Constraint,
    Forbidden,
    MinLength,
    NoRepeatedNgrams,
    RepetitionPenalty,
)
from nmt.search.hypothesis import Hypothesis
from nmt.search.prefix import Prefixes
from nmt.search.sample import Sampling, sample_search
from nmt.search.stepper import EnsembleStepper, Stepper
from nmt.translate.allowed import AllowedTokens
from nmt.translate.engine import free_scores, never_output, not_finite, output_limits

# Log-probabilities are computed for this many rows at a time. With more, as many megabytes would be
# taken from the system and given back in every step.
_ROWS = 512


class ModelStepper:
    """A network as a `Stepper` for the search.

    Args:
        network: the network.
        src_BS: source ids.
        logits: yield logits instead of log-probabilities.
        allowed: what translations of the sentences may contain, by default all tokens. The search
            then uses the numbers of these tokens in place of their ids.
    """

    def __init__(
        self,
        network: Network[Any],
        src_BS: Tensor,
        *,
        logits: bool = False,
        allowed: AllowedTokens | None = None,
    ) -> None:
        self._network, self._logits, self._allowed = network, logits, allowed
        self._project = allowed.projection(network) if allowed else network.project
        self._state = network.start_decoding(src_BS)

    def step(self, tokens_BW: Tensor) -> Iterator[Tensor]:
        """Yield log-probabilities, in float32 whatever the network computes in."""
        if self._allowed:
            tokens_BW = self._allowed.ids_U[tokens_BW]
        hidden_BWD = self._network.decode_step(tokens_BW, self._state)
        first, width = 0, hidden_BWD.shape[1]
        whole_sentences = max(_ROWS // width, 1) * width
        for hidden_CD in torch.split(hidden_BWD.flatten(0, 1), whole_sentences):
            scores_CV = self._project(hidden_CD)
            if self._allowed:
                scores_CV = self._allowed.mask(scores_CV, first, width)
            if self._logits:
                yield scores_CV.float()
            else:
                yield scores_CV.log_softmax(-1, dtype=torch.float32)
            first += len(hidden_CD)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses in the state."""
        self._state.select(sentences_N, beams_NW)
        if self._allowed:
            self._allowed = self._allowed.select(sentences_N)


class Networks:
    """nmt's own engine: networks in torch, of one model or averaged.

    Args:
        models: with the same tokenizers and on the same device.

    Raises:
        ConfigError: if the models' tokenizers or tags differ.
    """

    num_parallel = 1

    def __init__(self, models: Sequence[TrainedModel]) -> None:
        first = models[0]
        for model in models[1:]:
            _check_same_tokenizers(first, model)
        self.models = models
        self._src, self._tgt = first.tokenizers
        weights = next(first.network.parameters())
        self._device = weights.device
        self.dtype = first.network.arithmetic or str(weights.dtype)
        self.max_positions = min(model.network.max_length or sys.maxsize for model in models)

    def __str__(self) -> str:
        return f"nmt {self.dtype.removeprefix('torch.')} on {self._device}"

    def cannot(self, options: SearchOptions) -> str | None:
        """Return None: it supports all options."""
        return None

    def search(
        self,
        sources: Sequence[list[int]],
        keys: Sequence[str],
        options: SearchOptions,
        *,
        prefixes: Sequence[list[int]] = (),
        token_scores: bool = True,
    ) -> list[list[Hypothesis]]:
        """Search a batch, or sample from it.

        The scores of tokens cost nothing extra, unless the options change the probabilities.
        """
        try:
            prefixes = prefixes or [[]] * len(sources)
            found = self._search(sources, keys, options, prefixes)
            if not options.reshapes:
                return found
            found = [hypotheses[: options.nbest] for hypotheses in found]
            return self._with_token_scores(sources, prefixes, found, token_scores)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler: the traceback, which holds tensors, is gone.
        torch.cuda.empty_cache()
        raise MemoryError

    @torch.inference_mode()
    def _search(
        self,
        sources: Sequence[list[int]],
        keys: Sequence[str],
        options: SearchOptions,
        prefixes: Sequence[list[int]],
    ) -> list[list[Hypothesis]]:
        src_BS = padded(sources, self._src.pad_id).to(self._device)
        allowed = self._allowed(sources, prefixes) if options.shortlist else None
        steppers = [self._stepper(model.network, src_BS, options, allowed) for model in self.models]
        stepper: Stepper = steppers[0] if len(steppers) == 1 else EnsembleStepper(steppers)
        forbidden = never_output(self._tgt)
        constraints: list[Constraint] = []
        if options.trees:
            sentences = self._src.decode([ids[:-1] for ids in sources])
            constraints.append(TreeConstraint(TreeGrammar(self._tgt), sentences))
            forbidden.remove(self._tgt.unk_id)  # it represents words only
        numbers = allowed.numbers if allowed else list
        constraints.append(Forbidden(numbers(forbidden), self._device))
        max_lengths = output_limits(sources, prefixes, options, self.max_positions)
        bos_id, eos_id = numbers([self._tgt.bos_id, self._tgt.eos_id])
        settings: dict[str, Any] = {
            "bos_id": bos_id,
            "eos_id": eos_id,
            "length_penalty": options.length_penalty,
            "constraints": constraints,
            "device": self._device,
        }
        if any(prefixes):
            forced = [numbers(prefix) for prefix in prefixes]
            settings["prefixes"] = Prefixes(forced, eos_id, self._device)
        if options.samples:
            hypotheses = sample_search(stepper, max_lengths, keys, _sampling(options), **settings)
        else:
            hypotheses = beam_search(stepper, max_lengths, beam_size=options.beam_size, **settings)
        if not all(hypotheses):
            raise not_finite(self.models[0])
        return [*map(allowed.restored, hypotheses)] if allowed else hypotheses

    @cached_property
    def _shortlist(self) -> Shortlist:
        return load_shortlist(find_run(self.models[0].weights), self.models[0].tokenizers)

    def _allowed(
        self, sources: Sequence[list[int]], prefixes: Sequence[list[int]]
    ) -> AllowedTokens:
        ids = [self._shortlist.of(*pair) for pair in zip(sources, prefixes, strict=True)]
        weights = next(self.models[0].network.parameters())
        return AllowedTokens.of(ids, self._tgt.bos_id, weights)

    def _stepper(
        self,
        network: Network[Any],
        src_BS: Tensor,
        options: SearchOptions,
        allowed: AllowedTokens | None,
    ) -> Stepper:
        """Return a stepper of one model, with the options that change its probabilities."""
        if not options.reshapes:
            return ModelStepper(network, src_BS, allowed=allowed)
        numbers = allowed.numbers if allowed else list
        [eos_id] = numbers([self._tgt.eos_id])
        constraints: list[Constraint] = [
            RepetitionPenalty(options.repetition_penalty),
            MinLength(options.min_length, eos_id),
            Forbidden(numbers(never_output(self._tgt)), self._device),
        ]
        if options.no_repeat_ngram_size:
            constraints.append(NoRepeatedNgrams(options.no_repeat_ngram_size))
        stepper = ModelStepper(network, src_BS, logits=True, allowed=allowed)
        return ConstrainedStepper(stepper, constraints, normalize=True)

    def _with_token_scores(
        self,
        sources: Sequence[list[int]],
        prefixes: Sequence[list[int]],
        found: list[list[Hypothesis]],
        token_scores: bool,
    ) -> list[list[Hypothesis]]:
        """Return hypotheses with the model's own log-probabilities of tokens, if wanted."""
        if not token_scores:
            return [[replace(best, token_log_probs=[]) for best in group] for group in found]
        pairs = [(src, best) for src, group in zip(sources, found, strict=True) for best in group]
        rows: list[list[float]] = []
        for start in range(0, len(pairs), len(sources)):
            some = pairs[start : start + len(sources)]
            targets = [[*best.ids, self._tgt.eos_id] for _, best in some]
            rows += self.score([src for src, _ in some], targets)
        remaining = iter(rows)
        return [
            [
                replace(best, token_log_probs=free_scores(next(remaining), prefix, best.num_tokens))
                for best in group
            ]
            for group, prefix in zip(found, prefixes, strict=True)
        ]

    @torch.inference_mode()
    def score(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]]
    ) -> list[list[float]]:
        """Return the log-probability of each token of given translations.

        An ensemble averages the probabilities of its models.
        """
        src_BS = padded(sources, self._src.pad_id).to(self._device)
        tgt_in_BT = padded([[self._tgt.bos_id, *ids[:-1]] for ids in targets], self._tgt.pad_id)
        tgt_out_BT = padded(targets, self._tgt.pad_id).to(self._device)
        log_probs_of_models = []
        for model in self.models:
            logits_BTV = model.network(src_BS, tgt_in_BT.to(self._device)).float()
            chosen_BT = logits_BTV.gather(2, tgt_out_BT[:, :, None])[:, :, 0]
            log_probs_of_models.append(chosen_BT - logits_BTV.logsumexp(2))
        log_probs_BT = torch.stack(log_probs_of_models).logsumexp(0) - math.log(
            len(log_probs_of_models)
        )
        rows = zip(targets, log_probs_BT.tolist(), strict=True)
        scores: list[list[float]] = [row[: len(ids)] for ids, row in rows]
        if not all(math.isfinite(sum(row)) for row in scores):
            raise not_finite(self.models[0])
        return scores


def _sampling(options: SearchOptions) -> Sampling:
    return Sampling(
        1.0 if options.temperature is None else options.temperature,
        options.top_k,
        options.top_p,
        1 if options.seed is None else options.seed,
    )


def _check_same_tokenizers(first: TrainedModel, other: TrainedModel) -> None:
    for ours, theirs in zip(first.tokenizers, other.tokenizers, strict=True):
        if ours.serialized() != theirs.serialized():
            raise ConfigError(
                f"{first.weights} and {other.weights} have different tokenizers: "
                "an ensemble needs models that were trained with the same"
            )
    if first.config.data.tags != other.config.data.tags:
        raise ConfigError(
            f"{first.weights} and {other.weights} have different data.tags: an ensemble needs "
            "models that are told the languages in the same way"
        )


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Return rows of ids as one int64 tensor, padded at their ends."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows])
