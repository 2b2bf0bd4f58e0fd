"""Verify that training resumes exactly."""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.console import Console
from nmt.distributed import World
from nmt.errors import ConfigError, Interrupted, NmtError, TrainingError
from nmt.runs import checkpoint, layout, retention
from nmt.signals import StopFlag, exit_with_parent
from nmt.training.run import train

_POLL_SECONDS = 0.1


def verify_resume(config: Config, steps: int, console: Console) -> str:
    """Train without interruption, then again with two stops and a new process after each.

    Both runs are complete: they validate, keep the last and best checkpoints, and average. To save
    time they validate rarely and by the loss only, and keep few checkpoints; all else is as
    configured. They are written to a temporary directory.

    Args:
        config: configuration of the training run.
        steps: number of steps, at least 3.
        console: standard error.

    Returns:
        A line that lists what was compared and found bit-identical.

    Raises:
        ConfigError: if `steps` is below 3 or above `train.max_steps`.
        TrainingError: if something differs; the message names the first difference.
        Interrupted: if a signal arrives; the temporary directory is deleted.
        NmtError: if one of the runs fails.
    """
    if not 3 <= steps <= config.train.max_steps:
        raise ConfigError(
            f"`verify_resume` {steps}: must be from 3 to train.max_steps {config.train.max_steps}"
        )
    config = _shortened(config, steps)
    with (
        StopFlag() as stop,
        World.join(None, config.train.peer_timeout, "verify") as world,
        _shared_directory(world) as folder,
    ):
        difference = _train_twice(config, steps, folder, world, console, stop)
    if difference:
        raise TrainingError(
            f"resuming is not exact: {steps} uninterrupted steps and {steps} stopped after steps "
            f"{steps // 3} and {2 * steps // 3} differ: {difference}"
        )
    return (
        f"identical: {steps} uninterrupted steps, and {steps} stopped after steps {steps // 3} and "
        f"{2 * steps // 3} and continued in new processes: every loss, all weights and the "
        "optimizer state, the checkpoints kept, and the weights used for translation"
    )


@contextmanager
def _shared_directory(world: World) -> Iterator[Path]:
    """Create a temporary directory that all processes use."""
    if world.leads:
        with tempfile.TemporaryDirectory(prefix="nmt-verify-resume-") as folder:
            yield Path(world.decide(lambda: folder))
            world.gather(None)  # the others no longer use it
    else:
        yield Path(world.decide(str))
        world.gather(None)


def _train_twice(
    config: Config, steps: int, folder: Path, world: World, console: Console, stop: StopFlag
) -> str | None:
    """Train without and with stops; return the first difference, if there is one."""
    straight, resumed = folder / "straight", folder / "resumed"
    for run, stops in ((straight, ()), (resumed, (steps // 3, 2 * steps // 3))):
        for stop_after in (*stops, None):
            console.print_line(f"training {run.name}, to step {stop_after or steps}")
            _in_new_process(config, run, stop_after, stop)
            world.gather(None)
    return world.decide(lambda: _first_difference(straight, resumed, steps))


def _shortened(config: Config, steps: int) -> Config:
    """Return a configuration with less validation and fewer checkpoints."""
    values = config.model_dump()
    for stage in values["train"]["stages"][:-1]:
        stage["steps"] = max(1, stage["steps"] * steps // config.train.max_steps)
    for stage in values["train"]["stages"][-1:]:
        stage["steps"] = None
    values["train"] |= {
        "max_steps": steps,
        "log_every": 1,
        # Between the stops: a checkpoint of the second stop, if it counted, would replace this one.
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
    """Train until a step in a new process, without progress messages."""
    # Spawned, not forked: the new process must not inherit any state.
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_train, args=(config, run, stop_after), daemon=True)
    process.start()
    try:
        while process.is_alive() and not stop:
            process.join(_POLL_SECONDS)
    finally:  # the directory is removed next: nothing may still write there
        process.terminate()
        process.join()
    if stop.signum:
        raise Interrupted("`verify_resume`: stopped; the runs are deleted", stop.signum)
    assert process.exitcode is not None
    if process.exitcode != (128 + signal.SIGTERM if stop_after else 0):
        error = NmtError(f"`verify_resume`: the training run {run.name} failed")
        killed_by = -process.exitcode
        error.exit_code = 128 + killed_by if killed_by > 0 else process.exitcode or error.exit_code
        raise error


def _train(config: Config, run: Path, stop_after: int | None) -> None:
    exit_with_parent()
    device, timeout = config.train.device, config.train.peer_timeout
    try:
        with World.join(device, timeout, f"{run.name}-{stop_after}") as world:
            train(config, run, Console(quiet=True), stop_after=stop_after, world=world)
    except NmtError as error:
        if not isinstance(error, Interrupted):
            print(f"nmt: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _first_difference(straight: Path, resumed: Path, steps: int) -> str | None:
    """Return a description of the first difference between two runs, or None."""
    for (step, one), (_, other) in zip(_losses(straight), _losses(resumed), strict=True):
        if one != other:
            return f"the loss of step {step} is {one!r} and {other!r}"
    last = [layout.checkpoint_path(run, steps) for run in (straight, resumed)]
    for file in sorted(path.stem for path in last[0].glob("*.safetensors")):
        if difference := _first_different_tensor(file, *last):
            return difference
    kept = [_kept(run) for run in (straight, resumed)]
    if kept[0] != kept[1]:
        return f"the checkpoints kept and their scores are {kept[0]} and {kept[1]}"
    chosen = [retention.choose_weights(run, "loss") for run in (straight, resumed)]
    if chosen[0].name != chosen[1].name:
        return f"the weights used for translation are {chosen[0].name} and {chosen[1].name}"
    return _first_different_tensor("weights", *chosen)


def _kept(run: Path) -> dict[str, dict[str, float]]:
    """Return the scores of all weights of a run, by directory name."""
    directories = [one.path for one in checkpoint.list_checkpoints(run)]
    directories += [folder for folder in (run / "averaged",) if folder.is_dir()]
    return {folder.name: checkpoint.read_state(folder)["scores"] for folder in directories}


def _first_different_tensor(file: str, one: Path, other: Path) -> str | None:
    tensors, others = (checkpoint.load_tensors(directory, file) for directory in (one, other))
    for name in sorted(tensors.keys() | others.keys()):
        if name not in tensors or name not in others:
            return f"{file}: {name} is in only one of them"
        if not torch.equal(tensors[name], others[name]):
            return f"{file} of {one.name}: {name} {_distance(tensors[name], others[name])}"
    return None


def _losses(run: Path) -> list[tuple[int, float]]:
    """Return step and loss of each training line of metrics.jsonl."""
    lines = (run / "metrics.jsonl").read_text("utf-8").split("\n")
    records = [json.loads(line) for line in lines if line]
    return [(record["step"], record["loss"]) for record in records if record["kind"] == "train"]


def _distance(one: Tensor, other: Tensor) -> str:
    if one.shape != other.shape:
        return f"has the shapes {tuple(one.shape)} and {tuple(other.shape)}"
    different = int((one != other).sum())
    distance = float((one.double() - other.double()).abs().max())
    return f"differs in {different} of {one.numel()} elements, by at most {distance:.3g}"
