"""The beam search of CTranslate2, with hypotheses and scores as those of nmt's own engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from nmt.config.search import SearchOptions
from nmt.search.hypothesis import Hypothesis, normalized_score
from nmt.translate.engine import Model, free_scores, never_output, not_finite

# Larger batches are divided, so that every thread has work. On two cores, 16 to 64 sentences were
# about as fast in float32, and 16 or 32 in int8.
MAX_BATCH_SENTENCES = 32
# A batch gets the shortlists of all its sentences, so small ones have less to compute.
_MAX_LISTED_SENTENCES = 16


class Input(NamedTuple):
    """A sentence as CTranslate2 reads it, in pieces."""

    src: list[str]
    """Without EOS."""
    prefix: list[str]


class _Found(NamedTuple):
    """A hypothesis as CTranslate2 returns it."""

    pieces: list[str]
    """With EOS, unless the limit cut it off."""
    log_prob: float
    log_probs: Sequence[float] = ()
    """Of each piece, if asked for."""


class BeamSearch:
    """Searches batches with CTranslate2.

    It finds what nmt's own search finds, with the same scores, except in two cases. CTranslate2
    ranks by another length penalty; its whole beam is ranked again here, but when more hypotheses
    finish than the beam holds, it has dropped those that rank lowest for it. And it cannot forbid
    tokens (unknown, padding, BOS) without redistributing their probability, so only a sentence with
    such a token in its hypotheses is searched again without them. The scores of tokens come from a
    second pass.

    With options that change the probabilities (`SearchOptions.reshapes`), those tokens are
    forbidden from the start, and log_prob and score are those of the changed probabilities, here as
    in nmt's own engine. The scores of tokens remain the model's own.

    Args:
        translator: a `ctranslate2.Translator`.
        model: the model that it runs.
    """

    def __init__(self, translator: Any, model: Model) -> None:
        self._translator, self._model = translator, model
        tgt = model.tokenizers.tgt
        [self._eos] = tgt.pieces([tgt.eos_id])
        self._forbidden = frozenset(tgt.pieces(never_output(tgt)))
        self._ids = {piece: token for token, piece in enumerate(tgt.vocabulary())}

    def search(
        self,
        inputs: list[Input],
        limits: Sequence[int],
        options: SearchOptions,
        *,
        token_scores: bool,
    ) -> list[list[Hypothesis]]:
        """Search a batch.

        Args:
            inputs: the sentences.
            limits: the largest number of tokens of the translations of each, EOS included.
            options: of the search.
            token_scores: compute the log-probability of each token.

        Returns:
            For each sentence the `options.candidates` best hypotheses, best first.

        Raises:
            FileError: if the model's probabilities are not finite.
        """
        highest = max(limits)
        beams = self._beams(inputs, highest, options)
        for place, limit in enumerate(limits):
            # A batch has one limit. It was too high for a sentence only if the longest hypothesis
            # reached the sentence's own limit.
            if limit < highest and max(len(found.pieces) for found in beams[place]) >= limit:
                [beams[place]] = self._beams([inputs[place]], limit, options)
        best = [beam[: options.candidates] for beam in beams]
        if token_scores:
            best = self._with_token_scores(inputs, best, options)
        return [[self._hypothesis(*found, options) for found in beam] for beam in best]

    def _beams(self, inputs: list[Input], limit: int, options: SearchOptions) -> list[list[_Found]]:
        """Return the hypotheses of each sentence, best first."""
        without = [[piece] for piece in sorted(self._forbidden)]
        if options.reshapes:  # probabilities are redistributed in any case
            return self._unchecked_beams(inputs, limit, options, without)
        beams = self._unchecked_beams(inputs, limit, options, forbidden=[])
        again = [
            place
            for place, beam in enumerate(beams)
            if any(not self._forbidden.isdisjoint(found.pieces) for found in beam)
        ]
        if again:
            some = [inputs[i] for i in again]
            others = self._unchecked_beams(some, limit, options, without)
            rescored = self._with_token_scores(some, others, options)
            for place, beam in zip(again, rescored, strict=True):
                beams[place] = beam
        return beams

    def _unchecked_beams(
        self,
        inputs: list[Input],
        limit: int,
        options: SearchOptions,
        forbidden: list[list[str]],
    ) -> list[list[_Found]]:
        # Where one sentence of a batch has a prefix, it searches differently for all of them.
        beams: dict[int, list[_Found]] = {}
        for has_prefix in (False, True):
            places = [i for i, each in enumerate(inputs) if bool(each.prefix) is has_prefix]
            if places:
                some = [inputs[i] for i in places]
                found = self._translate(some, limit, options, forbidden)
                beams |= zip(places, found, strict=True)
        return [beams[place] for place in range(len(inputs))]

    def _translate(
        self,
        inputs: list[Input],
        limit: int,
        options: SearchOptions,
        forbidden: list[list[str]],
    ) -> list[list[_Found]]:
        # It ranks by log_prob / length ** penalty, and drops those beyond the beam that finish in
        # its last step. At a length of 15 this penalty grows as ours does, so that what it drops
        # we would as well. With 0 it would stop as soon as the best hypothesis has finished.
        penalty = 0.75 * options.length_penalty or 1e-6
        sources, prefixes = zip(*inputs, strict=True)
        results = self._translator.translate_batch(
            sources,
            prefixes,
            max_batch_size=_MAX_LISTED_SENTENCES if options.shortlist else MAX_BATCH_SENTENCES,
            beam_size=options.beam_size,
            patience=options.enough_finished / options.beam_size,
            num_hypotheses=options.enough_finished,
            length_penalty=penalty,
            suppress_sequences=forbidden or None,
            return_scores=True,
            return_end_token=True,
            max_input_length=0,
            max_decoding_length=limit,
            min_decoding_length=options.min_length,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            repetition_penalty=options.repetition_penalty,
            use_vmap=options.shortlist,
        )

        beams = []
        for result in results:
            if not all(map(math.isfinite, result.scores)):
                raise not_finite(self._model)
            beam = [
                _Found(pieces, score * len(pieces) ** penalty)
                for pieces, score in zip(result.hypotheses, result.scores, strict=True)
            ]
            # While it forces a prefix, it gives a score of -1e10 to the beam's empty places.
            beam = [found for found in beam if found.log_prob > -1e9]
            beams.append(_best_first(beam, options))
        return beams

    def _with_token_scores(
        self, inputs: list[Input], beams: list[list[_Found]], options: SearchOptions
    ) -> list[list[_Found]]:
        """Return hypotheses with the scores that the model gives to each token.

        They replace those of the search, unless the options change what it ranks by.
        """
        sources = [each.src for each, beam in zip(inputs, beams, strict=True) for _ in beam]
        targets = [self._without_eos(found.pieces) for beam in beams for found in beam]
        rows = iter(self.log_probs(sources, targets))
        # It also scores an EOS after hypotheses that the limit cut off.
        scored = [
            [
                found._replace(log_probs=free_scores(next(rows), prefix, len(found.pieces)))
                for found in beam
            ]
            for (_, prefix), beam in zip(inputs, beams, strict=True)
        ]
        if options.reshapes:
            return scored
        return [
            _best_first([each._replace(log_prob=sum(each.log_probs)) for each in beam], options)
            for beam in scored
        ]

    def _without_eos(self, pieces: list[str]) -> list[str]:
        return pieces[:-1] if pieces[-1] == self._eos else pieces

    def _hypothesis(
        self, pieces: list[str], log_prob: float, log_probs: Sequence[float], options: SearchOptions
    ) -> Hypothesis:
        ids = [self._ids[piece] for piece in self._without_eos(pieces)]
        score = normalized_score(log_prob, len(pieces), options.length_penalty)
        return Hypothesis(ids, score, log_prob, len(pieces), list(log_probs))

    def log_probs(
        self, sources: Sequence[list[str]], targets: Sequence[list[str]]
    ) -> list[list[float]]:
        """Return the log-probability of each piece of given translations, and of their EOS.

        Args:
            sources: pieces of each source, without EOS.
            targets: pieces of each translation, without EOS, which CTranslate2 adds.
        """
        results = self._translator.score_batch(
            sources, targets, max_batch_size=MAX_BATCH_SENTENCES, max_input_length=0
        )
        return [result.log_probs for result in results]


def _best_first(beam: list[_Found], options: SearchOptions) -> list[_Found]:
    def score(found: _Found) -> float:
        return normalized_score(found.log_prob, len(found.pieces), options.length_penalty)

    return sorted(beam, key=score, reverse=True)
