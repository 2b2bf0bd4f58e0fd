"""Which engine of a model does what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nmt.config.search import SearchOptions
from nmt.engines import OwnEngine
from nmt.errors import ConfigError
from nmt.runs.layout import find_run
from nmt.translate.ct2_engine import CTranslate2Engine
from nmt.translate.engine import Engine, WordAligner

if TYPE_CHECKING:  # these need torch, which takes a second to import
    from nmt.runs.model import TrainedModel
    from nmt.translate.align import Aligner


class EngineChoice:
    """The engine of a model, and nmt's own engine for what that one lacks.

    Args:
        engine: the engine that runs the model.
        own: nmt's own engine; None if there is no run, or another engine was requested.
    """

    def __init__(self, engine: Engine, own: OwnEngine | None) -> None:
        self._engine, self._own = engine, own

    def can_search(self, options: SearchOptions) -> bool:
        """Return whether one of the engines can follow these options."""
        return self._own is not None or self._engine.cannot(options) is None

    def for_search(
        self, options: SearchOptions, *, terms: bool, alignments: bool, alternatives: bool
    ) -> Engine:
        """Return the engine for a search.

        Args:
            options: of the search.
            terms: whether terms are required.
            alignments, alternatives: whether these are wanted.

        Raises:
            ConfigError: if CTranslate2 cannot do it, and there is no other engine.
            FileError: if the options ask for a shortlist that the run lacks, or that is damaged.
        """
        lacking = self._engine.cannot(options, terms=terms and not self._own)
        if isinstance(self._engine, CTranslate2Engine):
            if alignments and not self._engine.aligns:
                lacking = "`alignments` for exported models"
            if alternatives:
                lacking = "`token_alternatives`"
        if lacking and not self._own:
            raise ConfigError(f"CTranslate2 lacks {lacking}: name a run, for nmt's own engine")
        chosen = self._own.engine if lacking and self._own else self._engine
        if options.shortlist and self._own:
            self._check_shortlist()
        return chosen

    def _check_shortlist(self) -> None:
        """Fail now rather than in the first batch."""
        from nmt.runs.shortlist import load_shortlist

        model = self._engine.models[0]
        load_shortlist(find_run(model.weights), model.tokenizers)

    def for_terms(self, engine: Engine, options: SearchOptions) -> Callable[[], Engine] | None:
        """Return what loads the engine for required terms; None if `engine` can require them."""
        own = self._own
        if own is None or engine.cannot(options, terms=True) is None:
            return None
        return lambda: own.engine

    def aligner(self, engine: Engine) -> WordAligner:
        """Return what aligns the translations of an engine.

        Raises:
            ConfigError: if the model is exported, or not a Transformer.
        """
        return engine if isinstance(engine, CTranslate2Engine) else self.own_aligner()

    def own_aligner(self) -> Aligner:
        """Return what aligns given sentence pairs.

        Raises:
            ConfigError: if the model is exported, or not a Transformer.
        """
        if not self._own:
            raise ConfigError("alignment needs a run: it comes from nmt's own engine")
        from nmt.translate.align import Aligner

        return Aligner(self._own.models)

    def single_model(self) -> TrainedModel:
        """Return the one model, with its network.

        Raises:
            ConfigError: if it is an ensemble, or exported.
        """
        if not self._own or len(self._own.models) != 1:
            raise ConfigError("attention needs one run, not an ensemble or an exported model")
        return self._own.models[0]
