"""All that a report says of runs, read without changing them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import nmt
from nmt.config.schema import Config
from nmt.console import Console
from nmt.errors import ConfigError, NmtError
from nmt.progress import Advance, progress_bar
from nmt.report.curves import Curves, read_curves
from nmt.runs import checkpoint

if TYPE_CHECKING:
    import torch

    from nmt.evaluation.testsets import EvaluationData
    from nmt.report.quality import Quality


@dataclass(frozen=True)
class Text:
    """What the runs translate.

    Attributes:
        part: of each run's own configuration; without it data.test, or else data.valid.
        src: a file for all runs instead.
        refs: its references.
    """

    part: Literal["test", "valid"] | None = None
    src: Path | None = None
    refs: Sequence[Path] = ()


@dataclass(frozen=True)
class RunReport:
    """What a report says of a run.

    Attributes:
        name: tells it from the other runs of the report.
        path: as it was named.
        src_lang: code of the source language.
        tgt_lang: code of the target language.
        step: the last that was logged.
        max_steps: where training ends.
        finished: whether it has ended.
        parameters: of the network; None before the first checkpoint.
        metric: what the best checkpoint goes by.
        curves: the course of the training.
        config: the configuration, keys joined by dots.
        quality: of its translations; None if none were made.
        notes: what the reader should know.
    """

    name: str
    path: str
    src_lang: str
    tgt_lang: str
    step: int
    max_steps: int
    finished: bool
    parameters: int | None
    metric: str
    curves: Curves
    config: dict[str, Any]
    quality: Quality | None
    notes: list[str]


@dataclass(frozen=True)
class Report:
    """What a report says."""

    version: str
    """Of nmt."""
    made: str
    """Date and time, UTC, ISO 8601."""
    runs: list[RunReport]

    def to_json(self) -> str:
        """Write it as JSON; numbers that are not finite are null."""
        return json.dumps(_finite(asdict(self)), ensure_ascii=False, allow_nan=False)


def gather(
    paths: Sequence[Path],
    text: Text | None,
    console: Console,
    *,
    device: str = "auto",
) -> Report:
    """Read runs, and translate with those that have weights.

    A run whose text or weights cannot be used is reported without translations, and a note says
    why; files that were named for all runs must be there.

    Args:
        paths: run directories, or directories of weights in them.
        text: what to translate; None translates nothing.
        console: standard error, for the progress.
        device: what translates.

    Raises:
        ConfigError: there is no such device, or source and references do not go together.
        DataError, FileError: there is no model at a path, or a named file cannot be used.
    """
    paths = list({path.resolve(): path for path in paths}.values())
    names = _names(paths)
    runs = [_read_run(path, name) for path, name in zip(paths, names, strict=True)]
    if text is not None:
        from nmt.device import choose_device

        named = _named_data(text)
        chosen_device = choose_device(device)
        runs = [
            _translated(run, path, text, named, chosen_device, console)
            for run, path in zip(runs, paths, strict=True)
        ]
    for run in runs:
        for note in run.notes:
            console.say(f"{run.name}: {note}")
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Report(nmt.__version__, made, runs)


def _names(paths: Sequence[Path]) -> list[str]:
    """Name runs by the fewest last parts of their paths that tell all of them apart."""
    places = [path.resolve().parts for path in paths]
    runs = [checkpoint.find_run(path).resolve().parts for path in paths]
    names: list[str] = []
    for more in range(1, max(map(len, places)) + 1):
        names = [
            _shown("/".join(place[max(len(run) - more, 0) :]))
            for place, run in zip(places, runs, strict=True)
        ]
        if len(set(names)) == len(names):
            break
    return names


def _shown(path: object) -> str:
    """Write a path, whose bytes need not be UTF-8, as text that is."""
    return str(path).encode("utf-8", "replace").decode("utf-8")


def _read_run(path: Path, name: str) -> RunReport:
    run = checkpoint.find_run(path)
    config = checkpoint.load_run_config(run)
    curves, damaged = read_curves(run / "metrics.jsonl")
    notes = []
    if damaged:
        notes.append(f"lines of metrics.jsonl that are no metrics are left out: {damaged}")
    if not curves.last_step:
        notes.append("nothing was logged yet: there are no curves")
    elif not curves.valid["step"]:
        notes.append(
            "not validated yet" if config.data.valid else "there is no data.valid to validate on"
        )
    return RunReport(
        name=name,
        path=_shown(path),
        src_lang=config.data.src_lang,
        tgt_lang=config.data.tgt_lang,
        step=curves.last_step,
        max_steps=config.train.max_steps,
        finished=checkpoint.finished_step(run) >= max(curves.last_step, 1),
        parameters=_parameters(path, run, config),
        metric=config.train.metric,
        curves=curves,
        config=_flatten(config.model_dump(mode="json", exclude_none=True)),
        quality=None,
        notes=notes,
    )


def _weights(path: Path, run: Path, config: Config) -> Path:
    return path if path != run else checkpoint.choose_weights(run, config.train.metric)


def _parameters(path: Path, run: Path, config: Config) -> int | None:
    try:
        shapes = checkpoint.read_shapes(_weights(path, run, config), "weights")
    except NmtError:  # none yet, or damaged: who translates with them will say so
        return None
    return sum(math.prod(shape) for shape in shapes.values())


# ---------------------------------------------------------------- translations


def _named_data(text: Text) -> EvaluationData | None:
    """Read the files that all runs translate, if they were named."""
    if text.src is None and not text.refs:
        return None
    if text.src is None or not text.refs:
        raise ConfigError("--src and --ref go together: the text to translate and its translation")
    from nmt.evaluation.testsets import read_test_data

    return read_test_data(None, src=text.src, refs=text.refs)


def _translated(
    run: RunReport,
    path: Path,
    text: Text,
    named: EvaluationData | None,
    device: torch.device,
    console: Console,
) -> RunReport:
    """Add what the run's model makes of a text, or a note why there is nothing to add."""
    from nmt.report.quality import measure
    from nmt.runs.model import load_model

    notes = list(run.notes)
    tracked = _Tracked(run.name, console)
    quality = None
    try:
        model = load_model(path, device)
        if named is None:
            data, what = _own_data(model.config, text.part)
        else:
            data = replace(named, tgt_lang=run.tgt_lang)
            what = " + ".join(_shown(file.name) for file in (text.src, *text.refs) if file)
        quality = measure(model, data, what, tracked, notes.append)
    except NmtError as error:
        notes.append(f"no translations: {error}")
    return replace(run, quality=quality, notes=notes)


def _own_data(config: Config, part: str | None) -> tuple[EvaluationData, str]:
    """Read the text of a part of the configuration, and name it.

    Raises:
        ConfigError: the configuration has none.
    """
    from nmt.data.corpus import corpus_name, read_pairs
    from nmt.evaluation.testsets import EvaluationData

    part = part or ("test" if config.data.test else "valid")
    corpora = config.data.test if part == "test" else config.data.valid
    if not corpora:
        raise ConfigError(f"the configuration has no data.{part}: give --src and --ref")
    pairs = [pair for corpus in corpora for pair in read_pairs(corpus, config.data)]
    data = EvaluationData(
        [pair.src for pair in pairs], [[pair.tgt for pair in pairs]], config.data.tgt_lang
    )
    return data, f"data.{part}: {', '.join(map(corpus_name, corpora))}"


@dataclass(frozen=True)
class _Tracked:
    """Shows progress: a bar on a terminal, otherwise a line."""

    name: str
    console: Console

    def __call__(self, what: str, total: int) -> AbstractContextManager[Advance]:
        said = f"{self.name}: {what}"
        if not self.console.is_terminal:
            self.console.say(f"{said}, {total:,} sentences")
        return progress_bar(said, total, self.console)


# ---------------------------------------------------------------- values


def _flatten(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested sections by dots; lists, of corpora for one, stay whole."""
    flat: dict[str, Any] = {}
    for name, value in section.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
