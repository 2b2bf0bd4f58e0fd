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
from nmt.data.context import span_of_context
from nmt.device import is_out_of_memory
from nmt.errors import ConfigError
from nmt.model.attention import MultiHeadAttention
from nmt.model.network import Network
from nmt.model.observe import recorded_weights
from nmt.runs.layout import find_run
from nmt.runs.model import TrainedModel
from nmt.runs.shortlist import Shortlist, load_shortlist
from nmt.search.beam import beam_search
from nmt.search.constraints import ConstrainedStepper
from nmt.search.coverage import Coverage
from nmt.search.diverse import diverse_beam_search
from nmt.search.hypothesis import Hypothesis
from nmt.search.sample import sample_search
from nmt.search.stepper import EnsembleStepper, Stepper, averaged
from nmt.search.term import Term
from nmt.search.topk import top
from nmt.translate.allowed import AllowedTokens
from nmt.translate.engine import Alternatives, free_scores, not_finite, output_limits
from nmt.translate.rules import Rules
from nmt.translate.words import LogProbs

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
        observed: a sub-layer of encoder-decoder attention to record.

    Attributes:
        attention_BWS: the weights of `observed` in the last step, averaged over its heads.
    """

    attention_BWS: Tensor

    def __init__(
        self,
        network: Network[Any],
        src_BS: Tensor,
        *,
        logits: bool = False,
        allowed: AllowedTokens | None = None,
        observed: MultiHeadAttention | None = None,
    ) -> None:
        self._network, self._logits, self._allowed = network, logits, allowed
        self._observed = observed
        self._project = allowed.projection(network) if allowed else network.project
        self._state = network.start_decoding(src_BS)

    def step(self, tokens_BW: Tensor) -> Iterator[Tensor]:
        """Yield log-probabilities, in float32 whatever the network computes in."""
        if self._allowed:
            tokens_BW = self._allowed.ids_U[tokens_BW]
        hidden_BWD = self._decode(tokens_BW)
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

    def _decode(self, tokens_BW: Tensor) -> Tensor:
        if self._observed is None:
            return self._network.decode_step(tokens_BW, self._state)
        with recorded_weights([self._observed]) as weights:
            hidden_BWD = self._network.decode_step(tokens_BW, self._state)
        [weights_BHWS] = weights
        self.attention_BWS = weights_BHWS.float().mean(dim=1)
        return hidden_BWD

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses in the state."""
        self._state.select(sentences_N, beams_NW)
        if self._allowed:
            self._allowed = self._allowed.select(sentences_N)


class Networks:
    """nmt's own engine: networks in torch, of one model or averaged.

    Args:
        models: with the same tokenizers and on the same device.
        weights: of each model in the average, above 0; by default all count the same.

    Attributes:
        model_weights: of each model in the average; they sum to 1.

    Raises:
        ConfigError: if the models' tokenizers or tags differ.
    """

    num_parallel = 1

    def __init__(
        self, models: Sequence[TrainedModel], weights: Sequence[float] | None = None
    ) -> None:
        first = models[0]
        weights = weights or [1.0] * len(models)
        self.model_weights = [weight / sum(weights) for weight in weights]
        for model in models[1:]:
            _check_same_tokenizers(first, model)
        self.models = models
        self._src, self._tgt = first.tokenizers
        parameter = next(first.network.parameters())
        self._device = parameter.device
        self.dtype = first.network.arithmetic or str(parameter.dtype)
        self.max_positions = min(model.network.max_length or sys.maxsize for model in models)

    def __str__(self) -> str:
        return f"nmt {self.dtype.removeprefix('torch.')} on {self._device}"

    def cannot(self, options: SearchOptions, *, terms: bool = False) -> str | None:
        """Return None: it supports all options."""
        return None

    def search(
        self,
        sources: Sequence[list[int]],
        keys: Sequence[str],
        options: SearchOptions,
        *,
        prefixes: Sequence[list[int]] = (),
        terms: Sequence[Sequence[Term]] = (),
        token_scores: bool = True,
    ) -> list[list[Hypothesis]]:
        """Search a batch, or sample from it.

        The scores of tokens cost nothing extra, unless the options change the probabilities.
        """
        try:
            prefixes = prefixes or [[]] * len(sources)
            found = self._search(sources, keys, options, prefixes, terms)
            if not options.reshapes:
                return found
            found = [hypotheses[: options.candidates] for hypotheses in found]
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
        terms: Sequence[Sequence[Term]],
    ) -> list[list[Hypothesis]]:
        src_BS = padded(sources, self._src.pad_id).to(self._device)
        allowed = self._allowed(sources, prefixes, terms) if options.shortlist else None
        rules = Rules(options, self.models[0].tokenizers, allowed, self._device)
        models = self._steppers(src_BS, options, allowed)
        bos_id, eos_id = rules.numbers([self._tgt.bos_id, self._tgt.eos_id])
        limits = output_limits(sources, prefixes, options, self.max_positions, self._src)
        settings: dict[str, Any] = {
            "bos_id": bos_id,
            "eos_id": eos_id,
            "length_penalty": options.length_penalty,
            "constraints": rules.excluding(sources),
            "prefixes": rules.prefixes(prefixes),
            "device": self._device,
        }
        stepper = self._combined(models, rules)
        if options.samples:
            found = sample_search(
                stepper, limits, keys, rules.sampling(), draws=options.candidates, **settings
            )
        else:
            settings |= {"beam_size": options.beam_size, "stop": rules.stop()}
            if options.coverage_penalty:
                settings["coverage"] = self._coverage(models, sources, options.coverage_penalty)
            if options.beam_groups > 1:
                groups, diversity = options.beam_groups, options.diversity
                found = diverse_beam_search(
                    stepper, limits, groups=groups, diversity=diversity, **settings
                )
            else:
                if any(terms):
                    required = rules.required(terms, limits)
                    settings["constraints"] = [*settings["constraints"], required]
                    settings["selection"] = required
                found = beam_search(stepper, limits, **settings)
        if not all(found):
            raise not_finite(self.models[0])
        return [*map(allowed.restored, found)] if allowed else found

    @cached_property
    def _shortlist(self) -> Shortlist:
        return load_shortlist(find_run(self.models[0].weights), self.models[0].tokenizers)

    def _allowed(
        self,
        sources: Sequence[list[int]],
        prefixes: Sequence[list[int]],
        terms: Sequence[Sequence[Term]],
    ) -> AllowedTokens:
        of_terms = [
            [token for term in row for form in term for token in form.tokens]
            for row in terms or [[]] * len(sources)
        ]
        ids = [
            self._shortlist.of(src, [*prefix, *more])
            for src, prefix, more in zip(sources, prefixes, of_terms, strict=True)
        ]
        weights = next(self.models[0].network.parameters())
        return AllowedTokens.of(ids, self._tgt.bos_id, weights)

    def _steppers(
        self, src_BS: Tensor, options: SearchOptions, allowed: AllowedTokens | None
    ) -> list[ModelStepper]:
        """Return a stepper of each model, with the attention that the coverage penalty needs."""
        observed: list[MultiHeadAttention | None] = [None] * len(self.models)
        if options.coverage_penalty:
            networks = [model.transformer("decode.coverage_penalty") for model in self.models]
            observed = [network.decoder_layers[-1].cross_attention for network in networks]
        return [
            ModelStepper(
                model.network, src_BS, logits=options.reshapes, allowed=allowed, observed=attention
            )
            for model, attention in zip(self.models, observed, strict=True)
        ]

    def _combined(self, models: Sequence[ModelStepper], rules: Rules) -> Stepper:
        """Return the models as one, each with the rules that change its probabilities."""
        steppers: Sequence[Stepper] = models
        if rules.options.reshapes:
            steppers = [
                ConstrainedStepper(each, rules.reshaping(), normalize=True) for each in models
            ]
        return steppers[0] if len(models) == 1 else EnsembleStepper(steppers, self.model_weights)

    def _coverage(
        self, models: Sequence[ModelStepper], sources: Sequence[list[int]], beta: float
    ) -> Coverage:
        """Return the coverage penalty by the attention of the models' last decoder layers.

        A translation need not attend to the context of its source.
        """
        covered_BS = padded(sources, self._src.pad_id) != self._src.pad_id
        for row, ids in enumerate(sources):
            covered_BS[row, slice(*span_of_context(ids, self._src))] = False

        def attention() -> Tensor:
            pairs = zip(models, self.model_weights, strict=True)
            return torch.stack([model.attention_BWS * weight for model, weight in pairs]).sum(0)

        return Coverage(beta, attention, covered_BS.to(self._device))

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
        tgt_out_BT = padded(targets, self._tgt.pad_id).to(self._device)
        log_probs_of_models = []
        for logits_BTV in self._logits(sources, targets):
            chosen_BT = logits_BTV.gather(2, tgt_out_BT[:, :, None])[:, :, 0]
            log_probs_of_models.append(chosen_BT - logits_BTV.logsumexp(2))
        log_probs_BT = averaged(log_probs_of_models, self.model_weights)
        rows = zip(targets, log_probs_BT.tolist(), strict=True)
        scores: list[list[float]] = [row[: len(ids)] for ids, row in rows]
        if not all(math.isfinite(sum(row)) for row in scores):
            raise not_finite(self.models[0])
        return scores

    @torch.inference_mode()
    def alternatives(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]], count: int
    ) -> list[Alternatives]:
        """Return the most probable tokens at each position of given translations."""
        log_probs_BTV = averaged(
            [logits.log_softmax(-1) for logits in self._logits(sources, targets)],
            self.model_weights,
        )
        log_probs_NK, tokens_NK = top(log_probs_BTV.flatten(0, 1), count)
        pairs = [
            [*zip(*row, strict=True)]
            for row in zip(tokens_NK.tolist(), log_probs_NK.tolist(), strict=True)
        ]
        width = log_probs_BTV.shape[1]
        return [pairs[i * width : i * width + len(ids)] for i, ids in enumerate(targets)]

    @torch.inference_mode()
    def next_log_probs(self, src: list[int], prefix: list[int]) -> LogProbs:
        """Return the log-probabilities of all tokens after a prefix, float32 [V]."""
        logits = self._logits([src], [[*prefix, self._tgt.eos_id]])
        log_probs_V = averaged(
            [logits_BTV[0, -1].log_softmax(-1) for logits_BTV in logits], self.model_weights
        )
        if log_probs_V.isnan().any():
            raise not_finite(self.models[0])
        found: LogProbs = log_probs_V.cpu().numpy()
        return found

    def _logits(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]]
    ) -> Iterator[Tensor]:
        """Yield the logits [B, T, V] of each model at the positions of given translations."""
        src_BS = padded(sources, self._src.pad_id).to(self._device)
        tgt_in_BT = padded([[self._tgt.bos_id, *ids[:-1]] for ids in targets], self._tgt.pad_id)
        for model in self.models:
            yield model.network(src_BS, tgt_in_BT.to(self._device)).float()


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
