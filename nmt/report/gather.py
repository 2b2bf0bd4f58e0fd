"""Collect the contents of a report from run directories, without changing them."""

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
from nmt.config.changes import flatten
from nmt.config.schema import Config
from nmt.console import Console
from nmt.errors import ConfigError, NmtError
from nmt.progress import Advance, progress_bar
from nmt.report.curves import Curves, read_curves, with_average
from nmt.report.seeds import seed_groups
from nmt.runs import checkpoint, layout, retention

if TYPE_CHECKING:
    from nmt.evaluation.testsets import EvaluationData
    from nmt.report.quality import Quality


@dataclass(frozen=True)
class Text:
    """The text that the runs translate.

    Attributes:
        part: part of each run's own configuration: data.test or data.valid. By default data.test,
            or data.valid if there is no data.test.
        src: file with a source text for all runs, instead of part.
        refs: files with its reference translations.
    """

    part: Literal["test", "valid"] | None = None
    src: Path | None = None
    refs: Sequence[Path] = ()


@dataclass(frozen=True)
class RunReport:
    """The part of a report about one run.

    Attributes:
        name: unique within the report.
        path: as given by the user.
        src_lang: code of the source language.
        tgt_lang: code of the target language.
        step: last logged step.
        max_steps: number of steps at which training ends.
        finished: whether training has ended.
        parameters: number of parameters; None before the first checkpoint.
        metric: metric that selects the best checkpoint.
        curves: training and validation figures.
        config: the configuration as a flat dictionary, with dots in its keys.
        quality: quality of its translations; None if it translated nothing.
        notes: remarks and warnings for the reader.
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
    """A report on one or more runs.

    Attributes:
        version: version of nmt.
        made: date and time of creation (UTC, ISO 8601).
        runs: the runs, in the order given.
    """

    version: str
    made: str
    runs: list[RunReport]

    @property
    def groups(self) -> list[list[int]]:
        """The places of runs that differ in `train.seed` alone; see `seed_groups`."""
        return seed_groups([run.config for run in self.runs])

    def to_json(self) -> str:
        """Return the report as JSON, with null for numbers that are not finite."""
        values = _replace_non_finite(asdict(self) | {"groups": self.groups})
        return json.dumps(values, ensure_ascii=False, allow_nan=False)


def gather(
    paths: Sequence[Path],
    text: Text | None,
    console: Console,
    *,
    device: str = "auto",
    threads: int | None = None,
) -> Report:
    """Read runs, and translate with those that have weights.

    If the text or weights of a run cannot be used, its report has no translations and a note says
    why. Errors in text.src and text.refs are raised.

    Args:
        paths: run directories, or weights directories within them.
        text: text to translate; None to translate nothing.
        console: standard error, for progress.
        device, threads: as in `nmt.api.load`.

    Raises:
        ConfigError: if there is no such device, or only one of text.src and text.refs is given.
        DataError: if text.src and text.refs differ in length or contain invalid text.
        FileError: if there is no model at a path, or a given file cannot be read.
    """
    paths = list({path.resolve(): path for path in paths}.values())
    names = _names(paths)
    runs = [_read_run(path, name) for path, name in zip(paths, names, strict=True)]
    if text is not None:
        from nmt.device import choose_device

        shared_data = _read_shared_data(text)
        choose_device(device)  # an error of the command, not of each run
        runs = [
            _add_quality(run, path, text, shared_data, console, device=device, threads=threads)
            for run, path in zip(runs, paths, strict=True)
        ]
    for run in runs:
        for note in run.notes:
            console.print_line(f"{run.name}: {note}")
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Report(nmt.__version__, made, runs)


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that are distinct, as names of the runs."""
    places = [path.resolve().parts for path in paths]
    runs = [layout.find_run(path).resolve().parts for path in paths]
    names: list[str] = []
    for num_parts in range(1, max(map(len, places)) + 1):
        names = [
            _printable("/".join(place[max(len(run) - num_parts, 0) :]))
            for place, run in zip(places, runs, strict=True)
        ]
        if len(set(names)) == len(names):
            break
    return names


def _printable(path: object) -> str:
    """Return a path as valid UTF-8, with replacements for bytes that are not."""
    return str(path).encode("utf-8", "replace").decode("utf-8")


def _read_run(path: Path, name: str) -> RunReport:
    run = layout.find_run(path)
    config = layout.load_run_config(run)
    curves, damaged = read_curves(run / "metrics.jsonl")
    step, scores = _average(run)
    curves = with_average(curves, step, scores)
    notes = []
    if step and not scores:
        notes.append("the averaged weights are not validated")
    if damaged:
        notes.append(f"invalid lines of metrics.jsonl skipped: {damaged}")
    if not curves.last_step:
        notes.append("nothing logged yet, so there are no curves")
    elif not curves.valid["step"]:
        notes.append(
            "not validated yet" if config.data.valid else "no validation: no data.valid configured"
        )
    return RunReport(
        name=name,
        path=_printable(path),
        src_lang=config.data.src_lang,
        tgt_lang=config.data.tgt_lang,
        step=curves.last_step,
        max_steps=config.train.max_steps,
        finished=layout.finished_step(run) >= max(curves.last_step, 1),
        parameters=_count_parameters(path, run, config),
        metric=config.train.metric,
        curves=curves,
        config=flatten(config.model_dump(mode="json", exclude_none=True), lists=False),
        quality=None,
        notes=notes,
    )


def _average(run: Path) -> tuple[int, dict[str, float]]:
    """Read step and scores of the averaged weights; step 0 if there are none."""
    try:
        state = checkpoint.read_state(run / "averaged")
    except NmtError:  # missing or damaged; loading the model reports why
        return 0, {}
    return state["step"], state["scores"]


def _find_weights(path: Path, run: Path, config: Config) -> Path:
    return path if path != run else retention.choose_weights(run, config.train.metric)


def _count_parameters(path: Path, run: Path, config: Config) -> int | None:
    try:
        shapes = checkpoint.read_shapes(_find_weights(path, run, config), "weights")
    except NmtError:  # missing or damaged; loading the model reports why
        return None
    return sum(math.prod(shape) for shape in shapes.values())


# ---------------------------------------------------------------- translations


def _read_shared_data(text: Text) -> EvaluationData | None:
    """Read the files that all runs translate, if any were given."""
    if text.src is None and not text.refs:
        return None
    if text.src is None or not text.refs:
        raise ConfigError("`src` and `ref` must be given together")
    from nmt.evaluation.testsets import read_test_data

    return read_test_data(None, src=text.src, refs=text.refs)


def _add_quality(
    run: RunReport,
    path: Path,
    text: Text,
    shared_data: EvaluationData | None,
    console: Console,
    *,
    device: str,
    threads: int | None,
) -> RunReport:
    """Add the quality of the run's translations, or a note saying why there are none."""
    from nmt import api
    from nmt.report.quality import measure

    notes = list(run.notes)
    track = _ProgressTracker(run.name, console)
    quality = None
    try:
        model = api.load(path, compute="float32", device=device, threads=threads)
        if shared_data is None:
            data, name = _read_own_data(model.config, text.part)
        else:
            data = replace(shared_data, tgt_lang=run.tgt_lang)
            name = " + ".join(_printable(file.name) for file in (text.src, *text.refs) if file)
        quality = measure(model, data, name, track, notes.append)
    except NmtError as error:
        notes.append(f"no translations: {error}")
    return replace(run, quality=quality, notes=notes)


def _read_own_data(config: Config, part: str | None) -> tuple[EvaluationData, str]:
    """Read a part of the configuration's data; return it and its display name.

    Raises:
        ConfigError: if the configuration has no such part.
    """
    from nmt.data.corpus import corpus_name
    from nmt.evaluation.testsets import read_corpora

    part = part or ("test" if config.data.test else "valid")
    corpora = config.data.test if part == "test" else config.data.valid_corpora
    if not corpora:
        raise ConfigError(f"the configuration has no data.{part}: give `src` and `ref`")
    name = f"data.{part}: {', '.join(map(corpus_name, corpora))}"
    return read_corpora(corpora, config.data), name


@dataclass(frozen=True)
class _ProgressTracker:
    """Shows progress as a bar on a terminal, or else as a single line."""

    name: str
    console: Console

    def __call__(self, task: str, total: int) -> AbstractContextManager[Advance]:
        label = f"{self.name}: {task}"
        if not self.console.is_terminal:
            self.console.print_line(f"{label}, {total:,} sentences")
        return progress_bar(label, total, self.console)


# ---------------------------------------------------------------- values


def _replace_non_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _replace_non_finite(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_non_finite(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
