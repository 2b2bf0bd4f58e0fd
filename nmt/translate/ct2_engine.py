"""Translating with an exported model, by CTranslate2 (extra `[export]`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch

from nmt.config.schema import Config
from nmt.config.search import SearchOptions
from nmt.data.lengths import LengthModel
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, FileError
from nmt.runs.exported import is_exported, num_positions, vocabulary
from nmt.runs.layout import load_run_config
from nmt.runs.manifest import problems
from nmt.runs.model import read_lengths
from nmt.search.hypothesis import Hypothesis, normalized_score
from nmt.translate.engine import never_output, not_finite, output_limits

# Larger batches are divided, so that every thread has work; 32 to 64 is also where CTranslate2
# is fastest on a CPU.
_MAX_BATCH_SENTENCES = 64


@dataclass(frozen=True)
class ExportedModel:
    """An exported model."""

    config: Config
    tokenizers: Tokenizers
    weights: Path
    lengths: LengthModel | None


def require_ctranslate2() -> ModuleType:
    """Import CTranslate2.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import ctranslate2
    except ImportError as error:
        raise ConfigError(
            f'CTranslate2 is not installed ({error}): pip install ".[export]" in a checkout of nmt'
        ) from error
    module: ModuleType = ctranslate2
    return module


class CTranslate2Engine:
    """Runs what `export_ctranslate2` wrote, as the engine of a `Translator`.

    It finds what nmt's own search finds, with the same scores, except in two cases. CTranslate2
    ranks by another length penalty; its whole beam is ranked again here, but when more hypotheses
    finish than the beam holds, it has dropped those that rank lowest for it. And it cannot forbid
    tokens (unknown, padding, BOS) without redistributing their probability, so only a sentence with
    such a token in its hypotheses is searched again without them. Scores come from a second pass,
    which also gives those of each token.

    Args:
        directory: the exported model.
        device: where to compute.
        threads: CPU threads; without it, as many as torch uses.

    Attributes:
        num_parallel: 1; it distributes a batch over its threads itself.
        models: the one model.
        dtype: what CTranslate2 computes in.
        max_positions: tokens that the model has positions for.

    Raises:
        ConfigError: CTranslate2 is not installed, or cannot compute there.
        FileError: there is no exported model, or it is damaged.
    """

    num_parallel = 1

    def __init__(self, directory: Path, device: torch.device, threads: int | None = None) -> None:
        ctranslate2 = require_ctranslate2()
        if not directory.is_dir():
            raise FileError(f"{directory}: no such model directory")
        if not is_exported(directory):
            raise FileError(
                f"{directory}: not a model for CTranslate2; `nmt export` makes one from a run"
            )
        for problem in problems(directory):
            raise FileError(problem)
        model = ExportedModel(
            load_run_config(directory),
            Tokenizers.load(directory),
            weights=directory,
            lengths=read_lengths(directory),
        )
        self.models = [model]
        self.max_positions = num_positions(model.config)
        # Threads of one search busy-wait for each other, which costs more than it gains when
        # anything else runs on the machine. Independent searches do not.
        parallel = (threads or torch.get_num_threads()) if device.type == "cpu" else 1
        try:
            self._translator = ctranslate2.Translator(
                str(directory),
                device.type,
                device_index=device.index or 0,
                inter_threads=parallel,
                intra_threads=1,
            )
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"{directory}: CTranslate2 cannot run it here: {error}") from error
        self.dtype = f"ctranslate2 {self._translator.compute_type}"
        self._src, self._tgt = model.tokenizers
        self._forbidden = frozenset(self._tgt.pieces(never_output(self._tgt)))
        self._ids = {piece: token for token, piece in enumerate(vocabulary(self._tgt))}

    def search(
        self, sources: Sequence[list[int]], keys: Sequence[str], options: SearchOptions
    ) -> list[list[Hypothesis]]:
        """Search translations.

        Args:
            sources: source ids, each with its EOS.
            keys: unused, since it does not sample.
            options: of the search.

        Returns:
            For each source the `options.nbest` best hypotheses, best first.

        Raises:
            ConfigError: the options ask for sampling.
            FileError: the model's probabilities are not finite.
        """
        if options.trees:
            raise ConfigError("decode.trees needs a run: CTranslate2 cannot hold to trees")
        if options.samples:
            raise ConfigError("CTranslate2 does not sample here: use the run that was exported")
        pieces = [self._src.pieces(ids[:-1]) for ids in sources]  # it adds EOS itself
        limits = output_limits(sources, options, self.max_positions)
        highest = max(limits)
        beams = self._beams(pieces, highest, options)
        for place, limit in enumerate(limits):
            # A batch has one limit. It was too high for a sentence only if the longest hypothesis
            # reached the sentence's own limit.
            if limit < highest and max(map(len, beams[place])) >= limit:
                [beams[place]] = self._beams([pieces[place]], limit, options)
        return self._scored(pieces, [beam[: options.nbest] for beam in beams], options)

    def score(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]]
    ) -> list[list[float]]:
        """Return the log-probability of each token of given translations."""
        scores = self._log_probs(
            [self._src.pieces(ids[:-1]) for ids in sources],
            [self._tgt.pieces(ids[:-1]) for ids in targets],
        )
        if not all(math.isfinite(sum(row)) for row in scores):
            raise not_finite(self.models[0])
        return scores

    def _log_probs(
        self, sources: Sequence[list[str]], targets: Sequence[list[str]]
    ) -> list[list[float]]:
        """Score pieces without their EOS; each row includes the EOS that CTranslate2 adds."""
        results = self._translator.score_batch(
            sources, targets, max_batch_size=_MAX_BATCH_SENTENCES, max_input_length=0
        )
        return [result.log_probs for result in results]

    def _beams(
        self, pieces: list[list[str]], limit: int, options: SearchOptions
    ) -> list[list[list[str]]]:
        """Return the hypotheses of each sentence: pieces with EOS, best first."""
        beams = self._unchecked_beams(pieces, limit, options, forbidden=[])
        again = [
            place
            for place, beam in enumerate(beams)
            if any(self._forbidden.intersection(hypothesis) for hypothesis in beam)
        ]
        if again:
            without = [[piece] for piece in sorted(self._forbidden)]
            found = self._unchecked_beams([pieces[i] for i in again], limit, options, without)
            for place, beam in zip(again, found, strict=True):
                beams[place] = beam
        return beams

    def _unchecked_beams(
        self,
        pieces: list[list[str]],
        limit: int,
        options: SearchOptions,
        forbidden: list[list[str]],
    ) -> list[list[list[str]]]:
        # It ranks by log_prob / length ** penalty, and drops those beyond the beam that finish in
        # its last step. At a length of 15 this penalty grows as ours does, so that what it drops
        # we would as well. With 0 it would stop as soon as the best hypothesis has finished.
        penalty = 0.75 * options.length_penalty or 1e-6
        results = self._translator.translate_batch(
            pieces,
            max_batch_size=_MAX_BATCH_SENTENCES,
            beam_size=options.beam_size,
            num_hypotheses=options.beam_size,
            length_penalty=penalty,
            suppress_sequences=forbidden or None,
            return_scores=True,
            return_end_token=True,
            max_input_length=0,
            max_decoding_length=limit,
            min_decoding_length=0,
        )

        def score(found: tuple[list[str], float]) -> float:
            hypothesis, its_score = found
            length = len(hypothesis)
            return normalized_score(its_score * length**penalty, length, options.length_penalty)

        beams = []
        for result in results:
            if not all(map(math.isfinite, result.scores)):
                raise not_finite(self.models[0])
            found = zip(result.hypotheses, result.scores, strict=True)
            beams.append([hypothesis for hypothesis, _ in sorted(found, key=score, reverse=True)])
        return beams

    def _scored(
        self, pieces: list[list[str]], beams: list[list[list[str]]], options: SearchOptions
    ) -> list[list[Hypothesis]]:
        """Return hypotheses with the scores that the model gives them."""
        eos = self._tgt.pieces([self._tgt.eos_id])
        sources = [src for src, beam in zip(pieces, beams, strict=True) for _ in beam]
        hypotheses = [hypothesis for beam in beams for hypothesis in beam]
        targets = [tgt[:-1] if tgt[-1:] == eos else tgt for tgt in hypotheses]
        results = iter(self._log_probs(sources, targets))
        scored = []
        for beam in beams:
            group = []
            for hypothesis in beam:
                # It also scores an EOS after hypotheses that the limit cut off.
                log_probs = next(results)[: len(hypothesis)]
                log_prob = sum(log_probs)
                score = normalized_score(log_prob, len(hypothesis), options.length_penalty)
                ids = [self._ids[piece] for piece in hypothesis if piece != eos[0]]
                group.append(Hypothesis(ids, score, log_prob, log_probs))
            scored.append(sorted(group, key=lambda h: -h.score))
        return scored
