"""Validation during training."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nmt.config.schema import Config
from nmt.config.search import search_options
from nmt.data.batching import BatchOrder, batches
from nmt.data.prepare import Prepared
from nmt.data.tokenizer import Tokenizers
from nmt.device import autocast
from nmt.errors import DataError
from nmt.evaluation.metrics import EvaluateOptions, evaluate
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
    ) -> None:
        _check_positions(config, data)
        # Validation uses the best segmentation.
        plain = config.tokenizer.model_copy(update={"sampling_alpha": 0.0})
        self.config = config.model_copy(update={"tokenizer": plain})
        self.tokenizers = tokenizers
        self.data, self.device = data, device
        self.log = functools.cache(log)  # every validation translates the same sentences
        self.signatures = {}
        self.scoring = EvaluateOptions(metrics=("bleu", "chrf"), tgt_lang=config.data.tgt_lang)
        self.order = BatchOrder(
            data.src_lengths,
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
            `train.valid_beam_size` is 0, `bleu` and `chrf`. Empty if `stop` is set meanwhile.
        """
        network.eval()
        loss = self._loss(network, stop)
        scores = {"loss": loss, "ppl": perplexity(loss)}
        if self.config.train.valid_beam_size:
            scores |= self._translation_scores(network, stop)
        return {} if stop else scores

    @torch.inference_mode()
    def _loss(self, network: Network[Any], stop: StopFlag) -> float:
        nll_sum, tokens = 0.0, 0
        for batch in batches(self.data, self.tokenizers, self.order, self.config, epoch=0):
            if stop:
                break
            with autocast(self.config.train.precision, self.device):
                _, nll = batch_loss(
                    network, batch.to(self.device), self.tokenizers.tgt.pad_id, smoothing=0.0
                )
            nll_sum += float(nll)
            tokens += batch.num_tgt_tokens
        return nll_sum / max(tokens, 1)

    def _translation_scores(self, network: Network[Any], stop: StopFlag) -> dict[str, float]:
        train, decode = self.config.train, self.config.decode
        count = min(len(self.data), train.valid_sentences or len(self.data))
        sources, references = self.data.texts(range(count))
        options = search_options(decode, {"beam_size": train.valid_beam_size})
        model = TrainedModel(self.config, self.tokenizers, network, weights=Path())
        translator = Translator(Networks([model]), options, self.log, poll=lambda: _raise_if(stop))
        try:
            hypotheses = [translation.text for translation in translator.translate(sources)]
        except _Stopped:
            return {}
        scores = evaluate(hypotheses, [references], self.scoring)
        self.signatures = {score.metric: score.signature for score in scores}
        return {score.metric: score.score for score in scores}


class _Stopped(Exception):
    """Ends a translation after a signal."""


def _raise_if(stop: StopFlag) -> None:
    if stop:
        raise _Stopped


def _check_positions(config: Config, data: Prepared) -> None:
    """Raise a DataError for a pair that is too long, as validation pairs are not filtered."""
    limit = config.model.max_positions
    lengths = np.maximum(data.src_lengths, data.tgt_lengths)
    longest = int(lengths.argmax())
    if limit is not None and lengths[longest] > limit:
        raise DataError(
            f"{data.origin(longest)}: a validation pair of {lengths[longest]} tokens is longer "
            f"than model.positions.max_length {limit}; remove the pair or raise the limit"
        )
