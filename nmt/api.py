"""The Python API: load a model, translate, score, align; train and evaluate.

This module is the one place where configuration, weights, engine and translator are put together.
The command line, reports and scripts call it.

    import nmt

    model = nmt.load("runs/demo")
    print(model.translate("The boys are six years old.").text)

Errors are those of `nmt.errors`; their messages name parameters in backticks.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, overload

import torch

from nmt.check.checks import before_training
from nmt.config.load import load_config, make_config
from nmt.config.schema import Config
from nmt.config.search import search_options
from nmt.console import Console
from nmt.device import choose_device
from nmt.errors import ConfigError
from nmt.evaluation import metrics as scoring
from nmt.progress import Advance
from nmt.runs.exported import is_exported
from nmt.runs.model import TrainedModel, load_model
from nmt.training.run import train as train_run
from nmt.translate.align import Aligner, Links
from nmt.translate.attend import PairAttention, pair_attention
from nmt.translate.engine import Engine
from nmt.translate.score import PairScore, score_pairs
from nmt.translate.torch_engine import Networks
from nmt.translate.translator import Translation, Translator
from nmt.translate.workers import CAN_FORK, Workers

Warn = Callable[[str], object]


def load(
    path: str | Path,
    *,
    ensemble: Sequence[str | Path] = (),
    engine: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    threads: int | None = None,
    processes: int = 1,
) -> Model:
    """Load a model.

    Args:
        path: a run directory, one checkpoint in it (`RUN/checkpoints/step-N`), or a model exported
            to CTranslate2.
        ensemble: further runs with the same tokenizers; their probabilities are averaged.
        engine: `nmt` or `ctranslate2`; by default what the directory was made for.
        device: `cpu`, `cuda`, `cuda:1`, or `auto`: a GPU if there is one.
        dtype: arithmetic of nmt's engine: `float32` or `bfloat16`.
        threads: CPU threads; by default as many as torch uses.
        processes: with more than one, batches are searched in this many processes with one thread
            each, which is faster for many lines. nmt's engine on a CPU only, where processes can
            be forked.

    Raises:
        ConfigError: a parameter is wrong, or the models do not go together.
        FileError: there is no model, or it is damaged.
    """
    if engine not in (None, "nmt", "ctranslate2"):
        raise ConfigError(f"unknown `engine` {engine!r}: known are nmt and ctranslate2")
    if dtype not in ("float32", "bfloat16"):
        raise ConfigError(f"unknown `dtype` {dtype!r}: known are float32 and bfloat16")
    paths = [Path(path), *map(Path, ensemble)]
    if engine == "ctranslate2" or (engine is None and is_exported(paths[0])):
        return Model(_exported_engine(paths, device, dtype, threads))
    models = load_runs(paths, device=device, dtype=dtype, threads=threads)
    networks = Networks(models)
    processes = _useful(processes)
    if processes > 1 and CAN_FORK and choose_device(device).type == "cpu":
        torch.set_num_threads(1)
        return Model(Workers(networks, processes), models)
    return Model(networks, models)


def load_runs(
    paths: Sequence[Path], *, device: str = "auto", dtype: str = "float32", threads: int | None
) -> list[TrainedModel]:
    """Load the networks of runs, for what only nmt's own engine can do.

    Args:
        paths: run directories, or checkpoints in them.
        device, dtype, threads: as in `load`.

    Raises:
        ConfigError: one is an exported model, or there is no such device.
        FileError: there is no model, or it is damaged.
    """
    for path in paths:
        if is_exported(path):
            raise ConfigError(
                f"{path}: a model exported to CTranslate2, which can translate and score "
                "only; name the run that it was exported from"
            )
    if threads:
        torch.set_num_threads(threads)
    chosen = choose_device(device)
    return [load_model(path, chosen, getattr(torch, dtype)) for path in paths]


def num_threads() -> int:
    """Return how many CPU threads torch uses by default: one per core."""
    return torch.get_num_threads()


def _exported_engine(paths: list[Path], device: str, dtype: str, threads: int | None) -> Engine:
    from nmt.translate.ct2_engine import CTranslate2Engine

    if len(paths) > 1:
        raise ConfigError("`ensemble` needs runs: CTranslate2 runs one exported model")
    if dtype != "float32":
        raise ConfigError("`dtype` needs a run: CTranslate2 computes in what was exported")
    useful = _useful(threads) if threads else None
    return CTranslate2Engine(paths[0], choose_device(device), useful)


def _useful(number: int) -> int:
    """Return at most one thread or process per processor: more cost memory and gain nothing."""
    return min(number, os.cpu_count() or number)


class Model:
    """A model that is ready to use, or an ensemble; made by `nmt.load`.

    Args:
        engine: what runs it.
        models: its networks, where nmt's own engine runs them.

    Attributes:
        engine: what runs it.
        config: the configuration that it was trained with (the first one's of an ensemble).
    """

    def __init__(self, engine: Engine, models: Sequence[TrainedModel] = ()) -> None:
        self.engine = engine
        self.config: Config = engine.models[0].config
        self._models = models

    @property
    def weights(self) -> Path:
        """The directory that the weights came from (the first ones of an ensemble)."""
        return self.engine.models[0].weights

    def __repr__(self) -> str:
        names = ", ".join(str(model.weights) for model in self.engine.models)
        return f"<nmt.Model {names}>"

    @overload
    def translate(self, lines: str, *, alignments: bool = ..., **options: Any) -> Translation: ...

    @overload
    def translate(
        self, lines: Iterable[str], *, alignments: bool = ..., **options: Any
    ) -> list[Translation]: ...

    def translate(
        self, lines: str | Iterable[str], *, alignments: bool = False, **options: Any
    ) -> Translation | list[Translation]:
        """Translate text.

        Args:
            lines: one line, or several; blank ones stay blank.
            alignments: align the words of each translation with those of its source.
            options: the fields of `nmt.config.search.SearchOptions`, such as `beam_size`; those
                not given are as in `decode` of the model's configuration.

        Returns:
            A translation of the one line, or a list with one for each.

        Raises:
            ConfigError: an option is unknown, out of range, or not possible with this model.
            DataError: a line does not fit into memory even alone.
        """
        if isinstance(lines, str):
            return next(self.translate_stream([lines], alignments=alignments, **options))
        return list(self.translate_stream(lines, alignments=alignments, **options))

    def translate_stream(
        self, lines: Iterable[str], *, alignments: bool = False, **options: Any
    ) -> Iterator[Translation]:
        """Translate lines lazily, in order, reading ahead by a bounded number of them.

        Args:
            lines, alignments, options: as in `translate`.
        """
        return self.translator(options, alignments=alignments).translate(lines)

    def translator(
        self,
        options: Mapping[str, Any],
        *,
        alignments: bool = False,
        warn: Warn = warnings.warn,
        warn_short: Warn | None = None,
    ) -> Translator:
        """Return what translates lines with these options.

        Args:
            options: as in `translate`.
            alignments: align words.
            warn: called with what the user should know.
            warn_short: called for each translation that is suspiciously short.
        """
        if alignments and not self._models:
            raise ConfigError("`alignments` needs a run: they come from the attention of nmt's own")
        aligner = Aligner(self._models) if alignments else None
        chosen = search_options(self.config.decode, options)
        return Translator(self.engine, chosen, warn=warn, aligner=aligner, say_short=warn_short)

    @overload
    def score(  # type: ignore[overload-overlap]  # a str is an Iterable[str], too
        self, src: str, tgt: str, *, batch_tokens: int | None = ...
    ) -> PairScore: ...

    @overload
    def score(
        self, src: Iterable[str], tgt: Iterable[str], *, batch_tokens: int | None = ...
    ) -> list[PairScore]: ...

    def score(
        self,
        src: str | Iterable[str],
        tgt: str | Iterable[str],
        *,
        batch_tokens: int | None = None,
    ) -> PairScore | list[PairScore]:
        """Return how probable the model finds given translations.

        Args:
            src: the source line, or several.
            tgt: its translation, or theirs.
            batch_tokens: size of a batch on either side, in tokens with padding.

        Raises:
            DataError: one side has more lines, or a pair has more tokens than the model has
                positions.
        """
        if isinstance(src, str) and isinstance(tgt, str):
            return next(self.score_stream([src], [tgt], batch_tokens=batch_tokens))
        return list(self.score_stream(src, tgt, batch_tokens=batch_tokens))

    def score_stream(
        self,
        src: Iterable[str],
        tgt: Iterable[str],
        *,
        batch_tokens: int | None = None,
        advance: Advance = lambda pairs: None,
    ) -> Iterator[PairScore]:
        """Score pairs lazily, in order.

        Args:
            src, tgt, batch_tokens: as in `score`.
            advance: called with the number of pairs scored since the last call.
        """
        budget = batch_tokens or self.config.decode.batch_tokens
        return score_pairs(self.engine, src, tgt, budget, advance)

    def align(self, src: Sequence[str], tgt: Sequence[str]) -> list[Links]:
        """Align the words of sentence pairs.

        Args:
            src: source lines.
            tgt: their translations.

        Returns:
            For each pair the (source word, target word) numbers that belong together, from 0.

        Raises:
            ConfigError: the model is not a Transformer of nmt's own engine, or `src` and `tgt`
                differ in length.
        """
        if len(src) != len(tgt):
            raise ConfigError(f"`src` has {len(src)} lines, but `tgt` has {len(tgt)}")
        if not self._models:
            raise ConfigError("alignment needs a run: it comes from the attention of nmt's own")
        return list(Aligner(self._models).align(list(zip(src, tgt, strict=True))))

    def attend(self, src: str, tgt: str | None = None) -> PairAttention:
        """Return the attention weights of every layer and head for a sentence pair.

        Args:
            src: the source sentence.
            tgt: its translation; by default the model's own.

        Raises:
            ConfigError: the model is an ensemble, exported, or not a Transformer.
            DataError: a sentence has no text, or more tokens than the model has positions.
        """
        return pair_attention(self._network("attention"), src, tgt)

    def _network(self, purpose: str) -> TrainedModel:
        if len(self._models) != 1:
            raise ConfigError(f"{purpose} needs one run, not an ensemble or an exported model")
        return self._models[0]


def train(
    config: str | Path | Config | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    run_dir: str | Path | None = None,
    console: Console | None = None,
) -> Path:
    """Train a model, or continue a training run that was stopped.

    Args:
        config: a YAML file, or its content as a mapping or `Config`.
        overrides: changes to it, as `"train.max_steps=200"` or `{"train.max_steps": 200}`.
        run_dir: where the model goes. By default `runs/` and the name of the file.
        console: where progress is shown; by default the standard error.

    Returns:
        The run directory, for `nmt.load`.

    Raises:
        ConfigError: the configuration is wrong, or the directory holds another run.
        DataError: the corpora cannot be used.
        FileError: something cannot be read or written.
        TrainingError: the loss or the gradient is not finite.
        Interrupted: a signal stopped training; the state has been saved.
    """
    resolved = _resolve(config, overrides)
    if run_dir is None:
        if not isinstance(config, str | Path):
            raise ConfigError("`run_dir` is needed where the configuration is not a file")
        run_dir = Path("runs") / Path(config).stem
    run = Path(run_dir)
    train_run(resolved, run, console or Console(stderr=True), inspect=before_training)
    return run


def _resolve(
    config: str | Path | Config | Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any]
) -> Config:
    if isinstance(overrides, Mapping):
        overrides = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    if isinstance(config, str | Path):
        return load_config(config, overrides)
    values = config.model_dump() if isinstance(config, Config) else config
    return make_config(values, overrides)


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    metrics: Sequence[str] = ("bleu", "chrf"),
    lowercase: bool = False,
    tokenize: str | None = None,
    tgt_lang: str = "",
    confidence: bool = False,
) -> list[scoring.Score]:
    """Score translations with sacreBLEU.

    Args:
        hypotheses: detokenized translations.
        references: one reference for each, or several such lists.
        metrics: some of `bleu`, `chrf` and `ter`, or `bracket-f1` for parses.
        lowercase: ignore case in BLEU and chrF.
        tokenize: BLEU's tokenizer; by default sacreBLEU's for `tgt_lang`.
        tgt_lang: code of the target language; zh, ja and ko have tokenizers of their own.
        confidence: estimate 95 % confidence intervals by bootstrap.

    Returns:
        A score with its signature for each metric.

    Raises:
        ConfigError: a metric or setting is unknown.
        DataError: the numbers of lines differ.
    """
    one = all(isinstance(lines, str) for lines in references)
    several = [references] if references and one else references
    options = scoring.EvaluateOptions(metrics, lowercase, tokenize, tgt_lang, confidence)
    return scoring.evaluate(hypotheses, cast(Sequence[Sequence[str]], several), options)
