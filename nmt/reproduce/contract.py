"""A recipe as a contract: settings and text that have to reach a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.config.changes import changes, is_among
from nmt.config.data import DataConfig
from nmt.config.load import load_config
from nmt.config.recipe import RecipeConfig
from nmt.config.schema import Config
from nmt.errors import ConfigError
from nmt.evaluation.metrics import EvaluateOptions, Score, evaluate
from nmt.evaluation.testsets import read_test_data
from nmt.progress import progress_bar
from nmt.reproduce.find import find_recipe
from nmt.reproduce.places import scored_files, text_in
from nmt.reproduce.result import Result

_NEUTRAL = {
    "data.cache_dir",
    "data.test",
    "train.activation_checkpointing",
    "train.device",
    "train.log_every",
    "train.peer_timeout",
    "train.precision",
    "train.seed",
    "train.shard",
    "train.threads",
}
"""Keys that may change: the score stays in the interval, or the text is checked instead."""

_PARTS = {"data.train": "train", "data.valid": "valid_corpora", "data.test": "test"}

Log = Callable[[str], object]


@dataclass(frozen=True)
class Contract:
    """A recipe and the configuration that is to keep it.

    Attributes:
        path: the file of the recipe.
        original: its configuration.
        overrides: changes to it.
        config: the changed configuration.
    """

    path: Path
    original: Config
    overrides: Sequence[str]
    config: Config

    @classmethod
    def open(cls, name: str, overrides: Sequence[str] = (), folder: Path | None = None) -> Contract:
        """Find a recipe and read it.

        Args:
            name: as in `find_recipe`.
            overrides: changes to its configuration, as in `load_config`.
            folder: a directory with its text.

        Raises:
            ConfigError: if there is no such recipe, its configuration is wrong, or a change is
                about the recipe itself.
            FileError: if it cannot be read.
        """
        path = find_recipe(name)
        if any(is_among(each.partition("=")[0], ["recipe"]) for each in overrides):
            raise ConfigError(f"{path}: recipe: a contract cannot be changed; edit a copy of it")
        original = load_config(path)
        if original.recipe is None:
            raise ConfigError(
                f"{path}: has no section `recipe`, which says what it reaches: use `nmt train`"
            )
        config = load_config(path, overrides)
        if folder is not None:
            overrides = [*overrides, *text_in(folder, config)]
            config = load_config(path, overrides)
        return cls(path, original, overrides, config)

    @property
    def recipe(self) -> RecipeConfig:
        """What the recipe says."""
        assert self.original.recipe is not None
        return self.original.recipe

    def broken_by(self, config: Config) -> dict[str, tuple[Any, Any]]:
        """Return the values, old and new, that differ in a configuration and void the contract."""
        neutral = _NEUTRAL
        if self.recipe.teacher:  # `nmt distill` adds a corpus, and weights to start from
            neutral = neutral | {"data.train", "train.init_from"}
        settings = {
            key: values
            for key, values in changes(self.original, config).items()
            if not is_among(key, neutral)
        }
        return settings | _other_uses(self.original.data, config.data)

    def train(self, run_dir: Path | None) -> Path:
        """Train as the recipe says, or continue; return the run directory.

        Raises:
            NmtError: as in `nmt.api.train` and `nmt.api.distill`.
        """
        from nmt import api

        if self.recipe.teacher is None:
            return api.train(self.path, self.overrides, run_dir=run_dir)
        teacher = self.path.parent / self.recipe.teacher
        return api.distill(teacher, self.path, self.overrides, run_dir=run_dir)

    def judge(self, run: Path, log: Log) -> Result:
        """Translate the test set with a run, and compare its score with what is expected.

        Args:
            run: the run directory.
            log: called with messages.

        Raises:
            NmtError: if the run cannot be loaded, or the test set cannot be read.
        """
        from nmt.runs.layout import load_run_config
        from nmt.training.continuing import changed_corpora

        broken = self.broken_by(self.config) | self.broken_by(load_run_config(run))
        if changed_corpora(self.config, run):
            broken["data.train"] = ("the text of the recipe", "other files")
        return Result(str(self.path), str(run), self.recipe, self._score(run, log), broken)

    def _score(self, run: Path, log: Log) -> Score:
        from nmt import api
        from nmt.engines import num_threads

        test, settings = self.recipe.test, self.config.train
        src, refs = scored_files(self.config)
        data = read_test_data(self.config, src=src, refs=refs, test_set=test.test_set)
        threads = settings.threads or num_threads()
        # Without int8, even if its validation allows it: it may cost some of the score.
        model = api.load(
            run,
            compute="float32",
            device=settings.device,
            threads=threads,
            parallel=threads,
            log=log,
        )
        search = {} if settings.tune_decode else self.config.decode.model_dump()
        translator = model.translator(search, warn=log)
        with progress_bar("translating", len(data.src)) as advance:
            found = translator.translate(
                data.src,
                languages=data.languages or None,
                contexts=data.contexts,
                advance=advance,
            )
            texts = [translation.text for translation in found]
        [score] = evaluate(
            texts,
            data.refs,
            EvaluateOptions([test.metric], test.lowercase, test.tokenize, data.tgt_lang),
        )
        return score


def _other_uses(before: DataConfig, now: DataConfig) -> dict[str, tuple[Any, Any]]:
    """Return how corpora are used differently; checksums cannot tell, and `changes` leaves it out.

    Corpora that only one of them has are ignored.
    """
    used = [
        {
            f"{key}.{number}.{name}": value
            for key, part in _PARTS.items()
            for number, corpus in enumerate(getattr(data, part))
            for name, value in (
                ("languages", str(data.pair_of(corpus))),
                ("reversed", corpus.reversed),
                ("tag", corpus.tag),
            )
        }
        for data in (before, now)
    ]
    return {
        key: (used[0][key], value)
        for key, value in used[1].items()
        if value != used[0].get(key, value)
    }
