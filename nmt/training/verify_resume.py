"""The proof that a training resumes exactly: `nmt train … `verify_resume` N`."""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.console import Console
from nmt.errors import ConfigError, Interrupted, NmtError, TrainingError
from nmt.runs import checkpoint, layout, retention
from nmt.signals import StopFlag
from nmt.training.run import train

_POLL_SECONDS = 0.1
_FILES = ("weights", "optimizer", "random")


def verify_resume(config: Config, steps: int, console: Console) -> str:
    """Train some steps straight, and again with two stops and a new process after each.

    Both trainings are in a temporary directory and are complete: they validate, keep the last and
    the best checkpoints, and average. To be done in little time they validate by the loss alone,
    a few times, and keep few checkpoints; all else is as the configuration says.

    Args:
        config: of the training.
        steps: how many, at least 3.
        console: standard error.

    Returns:
        What was compared, all of it identical to the bit.

    Raises:
        ConfigError: `steps` is below 3, or more than `train.max_steps`.
        TrainingError: something differs; the message names the first thing that does.
        Interrupted: a signal came; nothing is left behind.
        NmtError: whatever ended one of the trainings.
    """
    if not 3 <= steps <= config.train.max_steps:
        raise ConfigError(
            f"`verify_resume` {steps}: must be from 3 to train.max_steps {config.train.max_steps}"
        )
    config = _shortened(config, steps)
    cuts = (steps // 3, 2 * steps // 3)
    with StopFlag() as stop, tempfile.TemporaryDirectory(prefix="nmt-verify-resume-") as folder:
        straight, resumed = Path(folder) / "straight", Path(folder) / "resumed"
        for run, stops in ((straight, ()), (resumed, cuts)):
            for stop_after in (*stops, None):
                console.say(f"training {run.name}, to step {stop_after or steps}")
                _in_new_process(config, run, stop_after, stop)
        difference = _first_difference(straight, resumed, steps)
    if difference:
        raise TrainingError(
            f"resuming is not exact: {steps} steps straight and {steps} with stops after steps "
            f"{cuts[0]} and {cuts[1]} differ: {difference}"
        )
    return (
        f"identical: {steps} steps straight, and {steps} in new processes after steps {cuts[0]} "
        f"and {cuts[1]}: every loss, all weights, optimizer and random state, the checkpoints "
        "that are kept, and the weights that translate"
    )


def _shortened(config: Config, steps: int) -> Config:
    """Have a training do all that it does, but with less validation and fewer checkpoints."""
    values = config.model_dump()
    values["train"] |= {
        "max_steps": steps,
        "log_every": 1,
        # Between the stops: a checkpoint of the second stop that counted would push this one out.
        "validate_every": (steps + 1) // 2,
        "save_every": (steps + 1) // 2,
        "keep_last": 2,
        "keep_best": min(config.train.keep_best, 2),
        "average_count": min(config.train.average_count, 2),
        "metric": "loss",
        "valid_beam_size": 0,
        "patience": None,
    }
    return Config.model_validate(values)


def _in_new_process(config: Config, run: Path, stop_after: int | None, stop: StopFlag) -> None:
    """Train until a step, with whatever is said on the standard error left out."""
    # Spawned, not forked: nothing of this process must reach the other.
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_train, args=(config, run, stop_after), daemon=True)
    process.start()
    try:
        while process.is_alive() and not stop:
            process.join(_POLL_SECONDS)
    finally:  # it must not go on, nor save into a directory that is being removed
        process.terminate()
        process.join()
    if stop.signum:
        raise Interrupted("`verify_resume`: stopped; nothing of it is left", stop.signum)
    assert process.exitcode is not None
    if process.exitcode != (128 + signal.SIGTERM if stop_after else 0):
        error = NmtError(f"`verify_resume`: the training in {run.name} could not be done")
        killed_by = -process.exitcode
        error.exit_code = 128 + killed_by if killed_by > 0 else process.exitcode or error.exit_code
        raise error


def _train(config: Config, run: Path, stop_after: int | None) -> None:
    try:
        train(config, run, Console(quiet=True), stop_after=stop_after)
    except NmtError as error:
        if not isinstance(error, Interrupted):
            print(f"nmt: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _first_difference(straight: Path, resumed: Path, steps: int) -> str | None:
    """Describe the first loss, else the first tensor, that two runs do not have in common."""
    for (step, one), (_, other) in zip(_losses(straight), _losses(resumed), strict=True):
        if one != other:
            return f"the loss of step {step} is {one!r} and {other!r}"
    last = [layout.checkpoint_path(run, steps) for run in (straight, resumed)]
    for file in _FILES:
        if difference := _first_different_tensor(file, *last):
            return difference
    kept = [_kept(run) for run in (straight, resumed)]
    if kept[0] != kept[1]:
        return f"the checkpoints kept and their scores are {kept[0]} and {kept[1]}"
    chosen = [retention.choose_weights(run, "loss") for run in (straight, resumed)]
    if chosen[0].name != chosen[1].name:
        return f"the weights that translate are {chosen[0].name} and {chosen[1].name}"
    return _first_different_tensor("weights", *chosen)


def _kept(run: Path) -> dict[str, dict[str, float]]:
    """Read the names and scores of all weights of a run."""
    directories = [one.path for one in checkpoint.list_checkpoints(run)]
    directories += [folder for folder in (run / "averaged",) if folder.is_dir()]
    return {folder.name: checkpoint.read_state(folder)["scores"] for folder in directories}


def _first_different_tensor(file: str, one: Path, other: Path) -> str | None:
    tensors, others = (checkpoint.load_tensors(directory, file) for directory in (one, other))
    for name in sorted(tensors.keys() | others.keys()):
        if name not in tensors or name not in others:
            return f"{file}: {name} is in one of them only"
        if not torch.equal(tensors[name], others[name]):
            return f"{file} of {one.name}: {name} {_distance(tensors[name], others[name])}"
    return None


def _losses(run: Path) -> list[tuple[int, float]]:
    """Read step and loss of each line of metrics."""
    lines = (run / "metrics.jsonl").read_text("utf-8").split("\n")
    records = [json.loads(line) for line in lines if line]
    return [(record["step"], record["loss"]) for record in records if record["kind"] == "train"]


def _distance(one: Tensor, other: Tensor) -> str:
    if one.shape != other.shape:
        return f"has the shapes {tuple(one.shape)} and {tuple(other.shape)}"
    different = int((one != other).sum())
    distance = float((one.double() - other.double()).abs().max())
    return f"differs in {different} of {one.numel()} elements, by at most {distance:.3g}"
