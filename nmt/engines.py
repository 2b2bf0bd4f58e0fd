"""The engines that run a model: CTranslate2 where it can, and nmt's own.

torch is imported only if nmt's own engine is used, or a device must be chosen.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.errors import ConfigError, FileError
from nmt.limits import useful_threads
from nmt.runs.exported import cannot_represent, is_exported
from nmt.runs.int8 import read_int8_scores
from nmt.runs.manifest import verify_tokenizer
from nmt.runs.parts import find_weights
from nmt.translate.ct2_engine import CTranslate2Engine, require_ctranslate2
from nmt.translate.engine import Engine

if TYPE_CHECKING:
    from nmt.runs.model import TrainedModel

Log = Callable[[str], object]

ENGINES = ("auto", "nmt", "ctranslate2")
COMPUTE = ("auto", "float32", "bfloat16", "int8")


def check_choices(
    engine: str,
    compute: str,
    threads: int | None,
    parallel: int | None,
    weights: Sequence[float] | None,
    num_models: int,
) -> None:
    """Check arguments of `nmt.load`.

    Args:
        engine, compute, threads, parallel: as in `nmt.load`.
        weights: `ensemble_weights` of `nmt.load`.
        num_models: number of models that form the ensemble.

    Raises:
        ConfigError: if one is unknown or negative, or there is not one weight above 0 for each
            model.
    """
    for name, value, known in (("engine", engine, ENGINES), ("compute", compute, COMPUTE)):
        if value not in known:
            raise ConfigError(f"unknown `{name}` {value!r}: known are {', '.join(known)}")
    for name, number in (("threads", threads), ("parallel", parallel)):
        if number is not None and number < 0:
            raise ConfigError(f"`{name}` is {number}: it must be at least 1")
    if weights is None:
        return
    if len(weights) != num_models:
        raise ConfigError(
            f"`ensemble_weights` has {len(weights)} numbers for {num_models} models: give one for "
            "each, in the order of the models"
        )
    for weight in weights:
        if not 0 < weight < math.inf:
            raise ConfigError(f"`ensemble_weights`: {weight} is not a number above 0")


def open_engines(
    paths: list[Path],
    weights: Sequence[float] | None,
    engine: str,
    compute: str,
    device: str,
    threads: int | None,
    parallel: int | None,
    log: Log,
) -> tuple[Engine, OwnEngine | None]:
    """Return the engine that runs a model, and nmt's own engine for what CTranslate2 lacks.

    Args:
        paths: the model, and those that form an ensemble with it.
        weights: the weight of each model of an ensemble; None for equal ones.
        engine, compute, device, threads, parallel, log: as in `nmt.load`.

    Returns:
        The engine, and nmt's own; None if only CTranslate2 can run the model, or must.

    Raises:
        ConfigError: if the models do not go together, or cannot run with these choices.
        FileError: if there is no model, or it is damaged.
    """
    threads = useful_threads(threads or num_threads())
    parallel = useful_threads(parallel) if parallel else None
    if is_exported(paths[0]) and engine != "nmt":
        if len(paths) > 1:
            raise ConfigError("`ensemble` needs runs: CTranslate2 runs one exported model")
        device = "cpu" if _is_cpu(device) else str(torch_device(device))
        return _exported_engine(paths[0], compute, device, threads, parallel), None
    own = OwnEngine(paths, weights, compute, device, threads, parallel or 1)
    if engine == "nmt":
        return own.engine, own
    try:
        fast = _converted_engine(paths, compute, device, threads, parallel, log)
    except ConfigError as error:
        if engine == "ctranslate2":
            raise
        if not isinstance(error, _NotForCTranslate2):
            log(f"{paths[0]}: nmt's own engine runs it: {error}")
        return own.engine, own
    return fast, None if engine == "ctranslate2" else own


class _NotForCTranslate2(ConfigError):
    """CTranslate2 was never an option for the model, so no warning is needed."""


def num_threads() -> int:
    """Return how many CPU threads are used by default: one per core, or OMP_NUM_THREADS."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isascii() and named.isdecimal() and int(named):
        return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_cpu(device: str) -> bool:
    """Return whether a device is the CPU; imports torch only if CTranslate2 cannot tell."""
    if device != "auto":
        return device == "cpu"
    try:
        if not require_ctranslate2().get_cuda_device_count():
            return True
    except ConfigError:
        pass
    return str(torch_device(device)) == "cpu"


def torch_device(name: str) -> Any:
    """Return the `torch.device` of a name, such as auto; see `nmt.device.choose_device`."""
    from nmt.device import choose_device

    return choose_device(name)


def _exported_engine(
    path: Path, compute: str, device: str, threads: int, parallel: int | None
) -> Engine:
    precision = "default" if compute == "auto" else compute
    return CTranslate2Engine(path, device, threads, parallel=parallel, compute=precision)


def _converted_engine(
    paths: list[Path],
    compute: str,
    device: str,
    threads: int,
    parallel: int | None,
    log: Log,
) -> Engine:
    """Convert a run for CTranslate2 if necessary, and return CTranslate2's engine for it.

    Raises:
        ConfigError: if CTranslate2 cannot run it.
    """
    if len(paths) > 1:
        raise _NotForCTranslate2("`ensemble` needs nmt's own engine: CTranslate2 runs one model")
    if not _is_cpu(device):
        raise _NotForCTranslate2("on a GPU, CTranslate2 runs exported models only: `nmt export`")
    if compute == "bfloat16":
        raise _NotForCTranslate2("bfloat16 on a CPU needs nmt's own engine")
    run, config, weights = find_weights(paths[0])
    if reason := cannot_represent(config):
        raise _NotForCTranslate2(f"CTranslate2 cannot represent {reason}")
    verify_tokenizer(run)  # a damaged one must not pass because the conversion has a copy
    from nmt.convert.cached import converted

    require_ctranslate2()
    if compute == "auto":
        scores = read_int8_scores(run, weights)
        compute = "int8" if scores and scores.is_good else "float32"

    try:
        directory = converted(run, config, weights, compute, log)
    except FileError as error:
        raise ConfigError(str(error)) from error
    return CTranslate2Engine(
        directory, "cpu", threads, config=config, run=run, weights=weights, parallel=parallel
    )


def load_runs(
    paths: Sequence[Path], *, device: str = "auto", compute: str = "float32", threads: int | None
) -> list[TrainedModel]:
    """Load the networks of runs, for tasks that only nmt's own engine can do.

    Args:
        paths: run directories, or checkpoints in them.
        device, compute, threads: as in `load`.

    Raises:
        ConfigError: if one is an exported model, or there is no such device.
        FileError: if there is no model, or it is damaged.
    """
    for path in paths:
        if is_exported(path):
            raise ConfigError(
                f"{path}: a model exported to CTranslate2, which can translate and score only; "
                "name the run that it was exported from"
            )
    import torch

    from nmt.device import has_bf16
    from nmt.runs.model import load_model

    if threads:
        torch.set_num_threads(useful_threads(threads))
    chosen = torch_device(device)
    if compute == "auto" and chosen.type == "cuda" and has_bf16(chosen):
        compute = "bfloat16"
    dtype = torch.bfloat16 if compute == "bfloat16" else torch.float32
    models = [load_model(path, chosen, dtype) for path in paths]
    if compute == "int8":
        from nmt.model.int8 import quantise

        if chosen.type != "cpu":
            raise ConfigError("`compute` int8 is for CPUs: choose bfloat16 on a GPU")
        for model in models:
            quantise(model.transformer("`compute` int8"))
    return models


@dataclass
class OwnEngine:
    """nmt's own engine, loaded when it is first needed."""

    paths: Sequence[Path]
    weights: Sequence[float] | None
    compute: str
    device: str
    threads: int
    parallel: int

    @cached_property
    def models(self) -> list[TrainedModel]:
        return load_runs(self.paths, device=self.device, compute=self.compute, threads=self.threads)

    @cached_property
    def engine(self) -> Engine:
        import torch

        from nmt.translate.torch_engine import Networks
        from nmt.translate.workers import CAN_FORK, Workers

        networks = Networks(self.models, self.weights)
        if self.parallel > 1 and CAN_FORK and torch_device(self.device).type == "cpu":
            torch.set_num_threads(1)
            return Workers(networks, self.parallel)
        return networks
