"""Translating with CTranslate2. Nothing here imports torch, which takes a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from nmt.config.schema import Config
from nmt.config.search import SearchOptions
from nmt.data import cache
from nmt.data.lengths import LengthModel
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, FileError
from nmt.runs.exported import is_exported, num_positions
from nmt.runs.layout import load_run_config
from nmt.runs.manifest import problems
from nmt.runs.parts import read_lengths
from nmt.search.hypothesis import Hypothesis
from nmt.search.term import Term
from nmt.translate.ct2_beam import MAX_BATCH_SENTENCES, BeamSearch, Input
from nmt.translate.engine import Alternatives, not_finite, output_limits
from nmt.translate.words import LogProbs, Weights


@dataclass(frozen=True)
class ExportedModel:
    """An exported model.

    Attributes:
        weights: the directory that the user knows it by.
    """

    config: Config
    tokenizers: Tokenizers
    weights: Path
    lengths: LengthModel | None


def require_ctranslate2() -> ModuleType:
    """Import CTranslate2.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        import ctranslate2
    except ImportError as error:
        raise ConfigError(
            f"CTranslate2 cannot be imported ({error}): pip install ctranslate2"
        ) from error
    module: ModuleType = ctranslate2
    return module


def _verify(directory: Path) -> None:
    """Raise a FileError if a directory is not an exported model, or is damaged."""
    if not directory.is_dir():
        raise FileError(f"{directory}: no such model directory")
    if not is_exported(directory):
        raise FileError(
            f"{directory}: not a model for CTranslate2; `nmt export` makes one from a run"
        )
    for problem in problems(directory, measure=cache.measured):
        raise FileError(problem)


class CTranslate2Engine:
    """Runs what `export_ctranslate2` wrote, as the engine of a `Translator`.

    `BeamSearch` says where its translations differ from those of nmt's own engine.

    Args:
        directory: the exported model.
        device: `cpu`, `cuda` or `cuda:1`.
        threads: CPU threads.
        config: the configuration of the run that the model was exported from; by default the
            copy in the exported model.
        run: the run, if it is known.
        weights: the weights of the run.
        parallel: how many batches to search at the same time, dividing the threads among them. By
            default as many as threads.
        compute: a compute type of CTranslate2; `default` is what the model was exported for.

    Attributes:
        num_parallel: one more than it searches at the same time, so that its threads have work
            while results are detokenized.
        models: the one model.
        model_weights: 1, since there is one model.
        dtype: what CTranslate2 computes in.
        max_positions: tokens that the model has positions for.
        aligns: whether `weights` returns the attention of the right heads: earlier versions
            exported models that do not, but a conversion of the run is by this version.

    Raises:
        ConfigError: if CTranslate2 is not installed, or cannot compute there.
        FileError: if there is no exported model, or it is damaged.
    """

    def __init__(
        self,
        directory: Path,
        device: str,
        threads: int,
        *,
        config: Config | None = None,
        run: Path | None = None,
        weights: Path | None = None,
        parallel: int | None = None,
        compute: str = "default",
    ) -> None:
        ctranslate2 = require_ctranslate2()
        if run is None:  # the cache has verified the conversion of a run
            _verify(directory)
        model = ExportedModel(
            config or load_run_config(directory),
            Tokenizers.load(directory),
            weights=weights or directory,
            lengths=read_lengths(run or directory),
        )
        self.models = [model]
        self.model_weights = [1.0]
        self.aligns = run is not None
        self.max_positions = num_positions(model.config)
        kind, _, index = device.partition(":")
        # Threads of one search busy-wait for each other, which costs more than it gains when
        # anything else runs on the machine. Independent searches do not.
        searches = (parallel or threads) if kind == "cpu" else 1
        self.num_parallel = searches + 1 if searches > 1 else 1

        def load(threads_per_search: int) -> Any:
            return ctranslate2.Translator(
                str(directory),
                kind,
                device_index=int(index or 0),
                inter_threads=searches,
                intra_threads=threads_per_search,
                compute_type=compute,
            )

        threads_per_search = max(1, threads // searches)
        try:
            self._translator = load(threads_per_search)
            # On the machines that were tried, a search in int8 takes ten times as long with two
            # threads as with one.
            if threads_per_search > 1 and self._translator.compute_type.startswith("int8"):
                self._translator = load(1)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"{directory}: CTranslate2 cannot run it here: {error}") from error
        self.dtype = f"ctranslate2 {self._translator.compute_type}"
        self._has_shortlist = (directory / "vmap.txt").is_file()
        self._src, self._tgt = model.tokenizers
        self._beam = BeamSearch(self._translator, model)

    def __str__(self) -> str:
        return f"CTranslate2 {self._translator.compute_type} on {self._translator.device}"

    def cannot(self, options: SearchOptions, *, terms: bool = False) -> str | None:
        """Return which of the options it cannot follow.

        It can sample, but what it draws for a sentence would depend on the rest of the batch, as
        its coverage penalty does, because it counts the attention to padding.
        """
        if terms:
            return "required terms"
        if options.samples:
            return "sampling"
        if options.coverage_penalty:
            return "`coverage_penalty`: its own depends on the other sentences of a batch"
        if options.banned:  # it bans sequences of tokens; a word can be divided in many ways
            return "`banned`"
        if options.stop == "bound":
            return "`stop` bound"
        if options.beam_groups > 1:
            return "`beam_groups`"
        if options.shortlist and not self._has_shortlist:
            return "`shortlist`: the model was exported without one"
        return "decode.trees" if options.trees else None

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
        """Search translations.

        Args:
            sources: source ids, each with its EOS.
            keys: unused, since it does not sample.
            options: of the search.
            prefixes: target ids that the translations of each source begin with.
            terms: must be empty: it cannot require terms.
            token_scores: compute the log-probability of each token.

        Returns:
            For each source the `options.candidates` best hypotheses, best first.

        Raises:
            ConfigError: if it cannot follow the options.
            FileError: if the model's probabilities are not finite.
        """
        if lacking := self.cannot(options, terms=any(terms)):
            raise ConfigError(f"CTranslate2 lacks {lacking}: use nmt's own engine on a run")
        prefixes = prefixes or [[]] * len(sources)
        inputs = [
            Input(self._src.pieces(ids[:-1]), self._tgt.pieces(prefix))  # it adds EOS itself
            for ids, prefix in zip(sources, prefixes, strict=True)
        ]
        limits = output_limits(sources, prefixes, options, self.max_positions, self._src)
        return self._beam.search(inputs, limits, options, token_scores=token_scores)

    def score(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]]
    ) -> list[list[float]]:
        """Return the log-probability of each token of given translations."""
        scores = self._beam.log_probs(
            [self._src.pieces(ids[:-1]) for ids in sources],
            [self._tgt.pieces(ids[:-1]) for ids in targets],
        )
        if not all(math.isfinite(sum(row)) for row in scores):
            raise not_finite(self.models[0])
        return scores

    def alternatives(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]], count: int
    ) -> list[Alternatives]:
        """Raise a ConfigError: CTranslate2 does not return them."""
        raise ConfigError("CTranslate2 lacks `token_alternatives`: use nmt's own engine on a run")

    def next_log_probs(self, src: list[int], prefix: list[int]) -> LogProbs:
        """Return the log-probabilities of all tokens after a prefix, float32 [V]."""
        import numpy as np  # here, because translation does not need it

        [result] = self._translator.translate_batch(
            [self._src.pieces(src[:-1])],
            [self._tgt.pieces(prefix)],
            beam_size=1,
            return_logits_vocab=True,
            return_end_token=True,
            max_input_length=0,
            max_decoding_length=len(prefix) + 1,
            min_decoding_length=0,
        )
        logits_V = np.array(result.logits[0][-1], np.float32)
        highest = logits_V.max()
        found: LogProbs = logits_V - highest - np.log(np.exp(logits_V - highest).sum())
        if np.isnan(found).any():
            raise not_finite(self.models[0])
        return found

    def weights(self, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> list[Weights]:
        """Return the attention of given target tokens to source tokens; see `WordAligner`.

        Args:
            sources: source ids, each with its EOS; the weights do not include it.
            targets: target ids, each without its EOS.
        """
        import numpy as np  # here, because translation without links does not need it

        # The attention that a beam search returns is wrong for all but the longest source of a
        # batch. Greedy search with the targets as prefixes returns what nmt's own engine computes.
        # A head that was taught alignment shows it one position later, which reads the token.
        shift = int(self.models[0].config.train.guided_alignment is not None)
        results = self._translator.translate_batch(
            [self._src.pieces(ids[:-1]) for ids in sources],
            [self._tgt.pieces(ids) for ids in targets],
            max_batch_size=MAX_BATCH_SENTENCES,
            beam_size=1,
            return_attention=True,
            return_end_token=True,
            max_input_length=0,
            max_decoding_length=shift + max(1, *map(len, targets)),
            min_decoding_length=0,
        )
        return [
            np.array(result.attention[0][shift : shift + len(ids)], np.float32).reshape(
                len(ids), len(src) - 1
            )
            for result, src, ids in zip(results, sources, targets, strict=True)
        ]
