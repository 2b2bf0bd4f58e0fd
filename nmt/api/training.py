"""Train a model; also a student, or with monolingual text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.api.measuring import compare_int8, tune_decode_once
from nmt.api.model import load
from nmt.config.load import load_config, make_config
from nmt.config.schema import Config
from nmt.errors import ConfigError
from nmt.hub.models import find_model, pin
from nmt.translate.translator import Translator

if TYPE_CHECKING:  # imported late, because it takes time
    from nmt.console import Console
    from nmt.data.synthetic import SyntheticOptions


def train(
    config: str | Path | Config | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    run_dir: str | Path | None = None,
    console: Console | None = None,
) -> Path:
    """Train a model, or continue a training run that was stopped.

    Under torchrun, all processes train one model together.

    Args:
        config: a YAML file, or its content as a mapping or `Config`.
        overrides: changes to it, as `"train.max_steps=200"` or `{"train.max_steps": 200}`.
        run_dir: the directory of the model. By default `runs/` and the name of the file.
        console: shows progress; by default on standard error.

    Returns:
        The run directory, for `nmt.load`.

    Raises:
        ConfigError: if the configuration is wrong, or the directory holds another run.
        DataError: if the corpora cannot be used.
        FileError: if something cannot be read or written.
        TrainingError: if the loss or the gradient is not finite.
        PeerError: under torchrun, if another process has failed.
        Interrupted: if a signal stopped training; the state has been saved.
    """
    resolved = _resolve(config, overrides)
    run = _run_directory(config, run_dir)
    from nmt.check.checks import before_training
    from nmt.console import Console
    from nmt.distributed import World
    from nmt.training.run import train as train_run

    shown = console or Console(stderr=True)
    with World.join(resolved.train.device, resolved.train.peer_timeout) as world:
        if not world.leads:
            shown = Console(quiet=True)
        train_run(resolved, run, shown, inspect=before_training, world=world)
    if world.leads:
        if resolved.train.tune_decode:
            tune_decode_once(run, resolved.train.tune_decode, shown.print_line)
        compare_int8(run, shown.print_line)
    return run


def distill(
    teacher: str | Path,
    config: str | Path | Config | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    run_dir: str | Path | None = None,
    text: str | Path | None = None,
    candidates: int = 4,
    beam_size: int | None = None,
    only_distilled: bool = False,
    console: Console | None = None,
    **computing: Any,
) -> Path:
    """Train a student on the translations of a teacher, or continue where this was stopped.

    The student learns from the original pairs and the teacher's translations of their sources. It
    starts from the teacher's weights if only the number of layers and the dropout differ.

    Args:
        teacher: a model as in `load`, or a YAML configuration, from which it is trained first, with
            those overrides that change `data`.
        config, overrides, run_dir: of the student, as in `train`.
        text: where the translations go, by default `RUN.distilled.jsonl`; one per language pair.
        candidates: translations of each source to choose from, by sentence BLEU.
        beam_size: of the teacher; by default as in its `decode`, or `candidates` if that is more.
        only_distilled: train on the translations alone.
        console: as in `train`.
        computing: `engine`, `compute`, `device` and `threads` of the teacher, as in `load`.

    Returns:
        The run directory of the student, for `load`.

    Raises:
        ConfigError, DataError, FileError, TrainingError, Interrupted: as in `train`.
    """
    overrides = _as_strings(overrides)
    resolved, run = _resolve(config, overrides), _run_directory(config, run_dir)
    from nmt.console import Console
    from nmt.training.continuing import check_settings
    from nmt.training.distillation import distill_corpora, start_from_teacher, student_config
    from nmt.training.run import is_begun

    shown = console or Console(stderr=True)
    teacher = pin(teacher, shown.print_line)
    if Path(teacher).is_file():
        of_data = [change for change in overrides if change.startswith("data.")]
        teacher = train(teacher, of_data, console=shown)
    output = Path(text) if text else run.with_name(f"{run.name}.distilled.jsonl")

    def load_teacher() -> Translator:
        model = load(teacher, log=shown.print_line, **computing)
        width = beam_size or max(model.config.decode.beam_size, candidates)
        return model.translator({"nbest": candidates, "beam_size": width}, warn=shown.print_line)

    student = student_config(resolved, output, only_distilled=only_distilled)
    student = start_from_teacher(student, teacher, run, shown.print_line)
    if is_begun(run):
        check_settings(student, run)  # now rather than after hours of translation
    distill_corpora(load_teacher, resolved, output, shown.print_line)
    return train(student, run_dir=run, console=shown)


def backtranslate(
    config: str | Path | Config | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    mono: Sequence[str | Path],
    src_mono: Sequence[str | Path] = (),
    rounds: int = 1,
    reverse: str | Path | None = None,
    run_dir: str | Path | None = None,
    output: str | Path | None = None,
    synthetic: SyntheticOptions | None = None,
    search: Mapping[str, Any] | None = None,
    console: Console | None = None,
    **computing: Any,
) -> Path:
    """Train with monolingual text by back-translation, or continue where this was stopped.

    Args:
        config, overrides: of the model, as in `train`; of the reverse model with exchanged sides.
        mono, src_mono: files of text in the target language, and in the source language for
            `rounds` above 1.
        rounds: how many times to train a reverse and a forward model, in turn.
        reverse: the first reverse model, as in `load`, instead of training it.
        run_dir: of the model; by default `runs/`, the name of the configuration and `-bt`.
        output: write the last synthetic pairs there, as JSON lines, and train no model on them.
        synthetic: which synthetic pairs to keep, and how to mix them with real ones.
        search: options of the translations, as in `Model.translate`.
        console: as in `train`.
        computing: `engine`, `compute`, `device` and `threads`, as in `load`.

    Returns:
        `output`, or the run directory of the model, for `load`.

    Raises:
        NmtError: as in `train`, and `nmt.training.backtranslation.backtranslate`.
    """
    resolved, run = _resolve(config, overrides), _run_directory(config, run_dir)
    from nmt.console import Console
    from nmt.data.synthetic import SyntheticOptions
    from nmt.training import backtranslation as stages

    shown = console or Console(stderr=True)
    job = stages.BackTranslation(
        config=resolved,
        run=run if run_dir else run.with_name(f"{run.name}-bt"),
        mono=[Path(path) for path in mono],
        src_mono=[Path(path) for path in src_mono],
        rounds=rounds,
        reverse=find_model(pin(reverse, shown.print_line), shown.print_line) if reverse else None,
        output=Path(output) if output else None,
        synthetic=synthetic or SyntheticOptions(),
        search=search or {},
    )

    def load_translator(model: Path, options: Mapping[str, Any]) -> Translator:
        loaded = load(model, log=shown.print_line, **computing)
        return loaded.translator(options, warn=shown.print_line)

    stages.backtranslate(job, partial(train, console=shown), load_translator, shown)
    return job.output or job.run


def _run_directory(
    config: str | Path | Config | Mapping[str, Any], run_dir: str | Path | None
) -> Path:
    if run_dir is not None:
        return Path(run_dir)
    if isinstance(config, str | Path):
        return Path("runs") / Path(config).stem
    raise ConfigError("`run_dir` is needed where the configuration is not a file")


def _as_strings(overrides: Sequence[str] | Mapping[str, Any]) -> Sequence[str]:
    if isinstance(overrides, Mapping):
        return [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    return overrides


def _resolve(
    config: str | Path | Config | Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any]
) -> Config:
    overrides = _as_strings(overrides)
    if isinstance(config, str | Path):
        return load_config(config, overrides)
    values = config.model_dump() if isinstance(config, Config) else config
    return make_config(values, overrides)
