"""Validation during training."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nmt.config.schema import Config
from nmt.config.search import search_options
from nmt.data.batching import BatchOrder, batches
from nmt.data.history import History
from nmt.data.prepared import Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.device import autocast
from nmt.distributed import World
from nmt.errors import DataError
from nmt.evaluation.metrics import EvaluateOptions, evaluate
from nmt.evaluation.pairs import evaluate_pairs
from nmt.model.network import Network
from nmt.runs.model import TrainedModel
from nmt.signals import StopFlag
from nmt.training.loss import batch_loss
from nmt.translate.score import perplexity
from nmt.translate.torch_engine import Networks
from nmt.translate.translator import Translator


class Validator:
    """Computes validation loss and perplexity, and BLEU and chrF of detokenized translations.

    Args:
        config: configuration of the run.
        tokenizers: of the run.
        data: validation pairs.
        device: device of the network.
        log: called with messages for the user, once with each.
        world: processes that share the work; by default, this one does it all.

    Raises:
        DataError: if a pair is longer than the model has positions.
    """

    signatures: dict[str, str]
    """sacreBLEU's signatures of `bleu` and `chrf` in the last validation."""

    def __init__(
        self,
        config: Config,
        tokenizers: Tokenizers,
        data: Prepared,
        device: torch.device,
        log: Callable[[str], object],
        world: World | None = None,
    ) -> None:
        self.world = world or World()
        _check_positions(config, data)
        # Validation uses the best segmentation of the text as it is, all of its context, and no
        # terms. The noise of denoising is that of the first epoch, so each validation has the same.
        plain = config.tokenizer.model_copy(update={"sampling_alpha": 0.0})
        undrawn = {"terms": None, "augment": None, "context": 0}
        data_config = config.data.model_copy(update=undrawn)
        self.config = config.model_copy(update={"tokenizer": plain, "data": data_config})
        self._run_config = config
        self.tokenizers = tokenizers
        self.data, self.device = data, device
        self.log = functools.cache(log)  # every validation translates the same sentences
        self.signatures = {}
        self.scoring = EvaluateOptions(metrics=("bleu", "chrf"), tgt_lang=config.data.tgt_lang)
        self.languages = data.languages(config.data)
        self.order = BatchOrder(
            data.input_lengths,
            data.tgt_lengths,
            corpus_sizes=data.corpus_sizes,
            weights=[1.0] * len(data.corpus_sizes),  # every pair once
            batch_tokens=config.train.batch_tokens,
            seed=config.train.seed,
        )

    def __call__(self, network: Network[Any], stop: StopFlag) -> dict[str, float]:
        """Return the scores of a network, and leave it in evaluation mode.

        Returns:
            `loss` (nats per token, not smoothed), `ppl` (its exponential) and, unless
            `train.valid_beam_size` is 0 or `train.objective` is denoise, `bleu` and `chrf`; with
            several language pairs also those of each, as `bleu en-de`. Empty if `stop` is set
            meanwhile, in any of the processes.
        """
        network.eval()
        loss = self._loss(network, stop)
        train = self.config.train
        translates = train.valid_beam_size and train.objective == "translate"
        texts = self._translations(network, stop) if translates else []
        losses, stopped, parts = zip(*self.world.gather((loss, bool(stop), texts)), strict=True)
        if any(stopped):
            return {}
        nll, tokens = map(sum, zip(*losses, strict=True))
        scores = {"loss": nll / max(tokens, 1), "ppl": perplexity(nll / max(tokens, 1))}
        return scores | (self._translation_scores(parts) if any(parts) else {})

    @torch.inference_mode()
    def _loss(self, network: Network[Any], stop: StopFlag) -> tuple[float, int]:
        """Return the negative log-likelihood of this process's batches, and their tokens."""
        nll_sum, tokens = 0.0, 0
        for batch in batches(self.data, self.tokenizers, self.order, self.config, epoch=0):
            if stop:
                break
            if batch.number % self.world.size != self.world.rank:
                continue
            with autocast(self.config.train.precision, self.device):
                _, nll = batch_loss(network, batch.to(self.device), smoothing=0.0)
            nll_sum += float(nll)
            tokens += batch.num_tgt_tokens
        return nll_sum, tokens

    def _translations(self, network: Network[Any], stop: StopFlag) -> list[str]:
        """Return the translations of this process's share of the sentences."""
        train, decode = self.config.train, self.config.decode
        sources, _ = self._pairs()
        share = sources[self.world.rank :: self.world.size]
        languages = self.languages[self.world.rank :: self.world.size]
        contexts = self._contexts(sources)[self.world.rank :: self.world.size]
        width = {"beam_size": train.valid_beam_size, "beam_groups": 1}
        options = search_options(decode, width)
        model = TrainedModel(self._run_config, self.tokenizers, network, weights=Path())
        translator = Translator(Networks([model]), options, self.log, poll=lambda: _raise_if(stop))
        try:
            found = translator.translate(share, languages=languages, contexts=contexts)
            return [translation.text for translation in found]
        except _Stopped:
            return []

    def _translation_scores(self, parts: Sequence[list[str]]) -> dict[str, float]:
        _, references = self._pairs()
        hypotheses = [""] * len(references)
        for rank, texts in enumerate(parts):
            hypotheses[rank :: len(parts)] = texts
        scores = evaluate(hypotheses, [references], self.scoring)
        self.signatures = {score.metric: score.signature for score in scores}
        named = {score.metric: score.score for score in scores}
        languages = self.languages[: len(references)]
        by_pair = evaluate_pairs(hypotheses, [references], languages, self.scoring)
        return named | {f"{score.metric} {score.languages}": score.score for score in by_pair}

    def _contexts(self, sources: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the previous sentences of each source, in the same corpus."""
        history = History(self._run_config.data.context)
        starts = {*itertools.accumulate(self.data.corpus_sizes)}
        contexts = []
        for row, source in enumerate(sources):
            if row in starts:
                history.clear()
            contexts.append(history.before(source))
        return contexts

    def _pairs(self) -> tuple[list[str], list[str]]:
        count = min(len(self.data), self.config.train.valid_sentences or len(self.data))
        return self.data.texts(range(count))


class SetsValidator:
    """Computes the scores of each set of `data.valid`.

    Args:
        config, tokenizers, device, log, world: as for `Validator`.
        data: validation pairs by the name of their set; it is empty for a set without one.

    Raises:
        DataError: as for `Validator`.
    """

    signatures: dict[str, str]
    """As in `Validator`; they are the same for all sets."""

    def __init__(
        self,
        config: Config,
        tokenizers: Tokenizers,
        data: Mapping[str, Prepared],
        device: torch.device,
        log: Callable[[str], object],
        world: World | None = None,
    ) -> None:
        self.signatures = {}
        self.validators = {
            name: Validator(config, tokenizers, pairs, device, log, world)
            for name, pairs in data.items()
        }

    def __call__(self, network: Network[Any], stop: StopFlag) -> dict[str, float]:
        """Return the scores of a network, and leave it in evaluation mode.

        Returns:
            The scores of the first set as `Validator` does, and those of each named set as
            `NAME/loss` and so on. Empty if `stop` is set meanwhile, in any of the processes.
        """
        scores: dict[str, float] = {}
        for name, validator in self.validators.items():
            found = validator(network, stop)
            if not found:
                return {}
            if not scores:
                scores |= found
                self.signatures = validator.signatures
            if name:
                scores |= {f"{name}/{figure}": score for figure, score in found.items()}
        return scores


class _Stopped(Exception):
    """Ends a translation after a signal."""


def _raise_if(stop: StopFlag) -> None:
    if stop:
        raise _Stopped


def _check_positions(config: Config, data: Prepared) -> None:
    """Raise a DataError for a pair that is too long, as validation pairs are not filtered."""
    limit = config.model.max_positions
    lengths = np.maximum(data.input_lengths, data.tgt_lengths)
    longest = int(lengths.argmax())
    if limit is not None and lengths[longest] > limit:
        raise DataError(
            f"{data.origin(longest)}: a validation pair of {lengths[longest]} tokens is longer "
            f"than model.positions.max_length {limit}; remove the pair or raise the limit"
        )
