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

# Larger batches are divided, so that every thread has work; 32 to 64 is also where CTranslate2
# is fastest on a CPU.
_MAX_BATCH_SENTENCES = 64


@dataclass(frozen=True)
class ExportedModel:
    """What there is to know of an exported model."""

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

    It finds what nmt's own search finds and scores it the same, but for two cases. CTranslate2
    ranks by another length penalty; its whole beam is asked for and ranked anew, but of more
    hypotheses than the beam is wide it has dropped those that it likes least. And it cannot forbid
    tokens (unknown, padding, begin mark) without sharing out their probability among the others;
    so only a sentence where they come up is searched again without them. The scores are of a
    second pass in any case, which also gives those of each token.

    Args:
        directory: the exported model.
        device: where to compute.
        threads: CPU threads; without it, as many as torch takes.

    Attributes:
        num_parallel: 1; it divides batches among its threads by itself.
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
        # Threads of one search wait for each other by spinning, and lose more than they gain
        # when anything else runs on the machine; searches beside each other do not.
        beside = (threads or torch.get_num_threads()) if device.type == "cpu" else 1
        try:
            self._translator = ctranslate2.Translator(
                str(directory),
                device.type,
                device_index=device.index or 0,
                inter_threads=beside,
                intra_threads=1,
            )
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"{directory}: CTranslate2 cannot run it here: {error}") from error
        self.dtype = f"ctranslate2 {self._translator.compute_type}"
        self._src, self._tgt = model.tokenizers
        never = [self._tgt.pad_id, self._tgt.bos_id, self._tgt.unk_id]
        self._forbidden = frozenset(self._tgt.pieces(never))
        self._ids = {piece: token for token, piece in enumerate(vocabulary(self._tgt))}

    def search(
        self, sources: Sequence[list[int]], keys: Sequence[str], options: SearchOptions
    ) -> list[list[Hypothesis]]:
        """Search translations.

        Args:
            sources: source ids, each with its end mark.
            keys: not used: nothing is sampled.
            options: how to search.

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
        pieces = [self._src.pieces(ids[:-1]) for ids in sources]  # it adds the end mark itself
        limits = [min(len(ids) + options.max_extra_len, self.max_positions) for ids in sources]
        highest = max(limits)
        beams = self._beams(pieces, highest, options)
        for place, limit in enumerate(limits):
            # A batch has one limit. It was too high for a sentence only if the search came as far
            # as the sentence's own, which shows in the longest hypothesis.
            if limit < highest and max(map(len, beams[place])) >= limit:
                [beams[place]] = self._beams([pieces[place]], limit, options)
        return self._scored(pieces, [beam[: options.nbest] for beam in beams], options)

    def _beams(
        self, pieces: list[list[str]], limit: int, options: SearchOptions
    ) -> list[list[list[str]]]:
        """Search the hypotheses of each sentence: pieces with the end mark, best first."""
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
                raise FileError(
                    f"{self.models[0].weights}: the model's probabilities are not finite: "
                    "its weights are broken, or too large for its quantization"
                )
            found = zip(result.hypotheses, result.scores, strict=True)
            beams.append([hypothesis for hypothesis, _ in sorted(found, key=score, reverse=True)])
        return beams

    def _scored(
        self, pieces: list[list[str]], beams: list[list[list[str]]], options: SearchOptions
    ) -> list[list[Hypothesis]]:
        """Score hypotheses with the probabilities that the model gives them."""
        eos = self._tgt.pieces([self._tgt.eos_id])
        sources = [src for src, beam in zip(pieces, beams, strict=True) for _ in beam]
        hypotheses = [hypothesis for beam in beams for hypothesis in beam]
        results = iter(
            self._translator.score_batch(
                sources,
                [tgt[:-1] if tgt[-1:] == eos else tgt for tgt in hypotheses],
                max_batch_size=_MAX_BATCH_SENTENCES,
                max_input_length=0,
            )
        )
        scored = []
        for beam in beams:
            group = []
            for hypothesis in beam:
                # It scores an end mark after those too that the limit has ended.
                log_probs = next(results).log_probs[: len(hypothesis)]
                log_prob = sum(log_probs)
                score = normalized_score(log_prob, len(hypothesis), options.length_penalty)
                ids = [self._ids[piece] for piece in hypothesis if piece != eos[0]]
                group.append(Hypothesis(ids, score, log_prob, log_probs))
            scored.append(sorted(group, key=lambda h: -h.score))
        return scored
