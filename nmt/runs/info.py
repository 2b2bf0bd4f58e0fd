"""The contents of a model directory, read without changing it and without importing torch.

`nmt.runs.info_text` shows them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nmt.config.schema import Config
from nmt.errors import FileError
from nmt.runs import checkpoint, layout, manifest, retention
from nmt.runs.ctranslate2_file import read_variables
from nmt.runs.decode_tuning import read_tuning
from nmt.runs.hub_file import read_origin
from nmt.runs.int8 import read_int8_scores

_EMBEDDINGS = ("src_embedding", "tgt_embedding", "projection", "src_positions", "tgt_positions")
_COUNTS = ("pairs_read", "pairs_kept", "src_tokens", "tgt_tokens")

T = TypeVar("T")


@dataclass(frozen=True)
class Weights:
    """A directory of weights.

    Attributes:
        name: its path inside the run directory.
        step: optimizer steps taken; None if its state cannot be read.
        scores: validation scores; empty if the weights were not validated.
        signatures: sacreBLEU signatures by score.
        averaged_steps: steps of the averaged checkpoints; empty for a single checkpoint.
        bytes: size on disk.
        only_to_resume: as in `Checkpoint`.
        imported: what model they were imported from; empty if nmt trained them.
    """

    name: str
    step: int | None
    scores: dict[str, float]
    signatures: dict[str, str]
    averaged_steps: list[int]
    bytes: int
    only_to_resume: bool = False
    imported: str = ""


@dataclass
class ModelInfo:
    """The contents of a model directory; None or empty where unknown.

    Attributes:
        path: path as given by the user.
        run: the run directory.
        weights: weights that the model translates with.
        reason: why it uses these.
        config: the configuration.
        parameters: numbers of parameters: `embeddings`, `encoder`, `decoder` and `total`.
        vocabulary: vocabulary size of `src` and `tgt`.
        epoch: current epoch of the newest checkpoint, from 0.
        seconds: time spent in training steps up to that checkpoint.
        checkpoints: all checkpoints of the run, oldest first.
        data: descriptions of the corpora of `train` and `valid`, as in data.json.
        versions: versions of the programs that wrote the weights.
        int8: what int8 costs, if it was measured for these weights.
        decoding: how the search was tuned, if it was for these weights.
        hub: repository and commit, if the run was downloaded from the Hugging Face Hub.
        bytes: size of the run directory on disk.
        stored: for an export to CTranslate2, number of parameters by data type.
        files: for an export to CTranslate2, size of each file in bytes.
        verified: directories that match their manifests.
        faults: a message for each damaged file.
    """

    path: str
    run: str
    weights: Weights | None = None
    reason: str = ""
    config: Config | None = None
    parameters: dict[str, int] = field(default_factory=dict)
    vocabulary: dict[str, int] = field(default_factory=dict)
    epoch: int | None = None
    seconds: float | None = None
    checkpoints: list[Weights] = field(default_factory=list)
    data: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    int8: dict[str, Any] = field(default_factory=dict)
    decoding: dict[str, Any] = field(default_factory=dict)
    hub: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    verified: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the contents as JSON; scores that are not finite are null."""
        values = asdict(self)
        values["config"] = self.config and self.config.model_dump(mode="json")
        for weights in filter(None, (values["weights"], *values["checkpoints"])):
            scores = weights["scores"].items()
            weights["scores"] = {n: v if math.isfinite(v) else None for n, v in scores}
        return json.dumps(values, indent=1, allow_nan=False)


def inspect(path: Path) -> ModelInfo:
    """Return the contents of a model directory, and verify its files.

    A training run may be writing to it: directories deleted or replaced meanwhile are not damage.

    Args:
        path: a run directory, one directory of weights in it (`RUN/checkpoints/step-N`), or an
            export to CTranslate2.

    Raises:
        FileError: if it is not a model. Damage is reported in `faults` instead.
    """
    run = layout.find_run(path)
    info = ModelInfo(str(path), str(run))
    try:
        info.config = layout.load_run_config(run)
    except FileError as error:
        info.faults.append(": ".join(error.args))
    if (path / "model.bin").is_file():
        _describe_export(info, path)
        return info
    metric = info.config.train.metric if info.config else "loss"
    checkpoints = checkpoint.list_checkpoints(run)
    info.checkpoints = [_weights(one.path, run) for one in checkpoints]
    newest = checkpoints[-1].path if checkpoints else None
    if run != path:
        newest = path
        _describe_weights(info, run, path, "named explicitly")
    elif checkpoints or (run / "averaged").is_dir():
        _describe_choice(info, run, metric, checkpoints)
    if info.weights and (scores := read_int8_scores(run, run / info.weights.name)):
        info.int8 = scores.model_dump()
    _describe_decoding(info, run)
    info.hub = read_origin(run)
    _describe_training(info, newest)
    _describe_data(info, run / "data.json")
    info.bytes = _size(run)
    _verify(info, run, path)
    return info


def _describe_decoding(info: ModelInfo, run: Path) -> None:
    if info.config is None or info.weights is None:
        return
    try:
        tuning = read_tuning(run, info.config, run / info.weights.name)
    except FileError as error:
        info.faults.append(": ".join(error.args))
    else:
        info.decoding = tuning.model_dump() if tuning else {}


def _describe_choice(
    info: ModelInfo, run: Path, metric: str, checkpoints: list[checkpoint.Checkpoint]
) -> None:
    try:
        chosen = retention.choose_weights(run, metric)
    except FileError:
        info.reason = "unknown, because a checkpoint is damaged"  # `_verify` reports which
        return
    scored = any(one.path == chosen and one.scores for one in checkpoints)
    best = f"the checkpoint with the best {metric}" if scored else "the newest checkpoint"
    _describe_weights(info, run, chosen, "averaged" if chosen.name == "averaged" else best)


def _weights(directory: Path, run: Path) -> Weights:
    state = _state(directory)
    signatures, steps = state.get("signatures"), state.get("averaged_steps")
    return Weights(
        str(directory.absolute().relative_to(run.absolute())),
        state.get("step"),
        state.get("scores", {}),
        _only(str, signatures) if isinstance(signatures, dict) else {},
        [step for step in steps if isinstance(step, int)] if isinstance(steps, list) else [],
        _size(directory),
        state.get("only_to_resume") is True,
        str(state.get("imported", "")),
    )


def _only(kind: type[T], values: Mapping[str, Any]) -> dict[str, T]:
    return {name: value for name, value in values.items() if isinstance(value, kind)}


def _state(directory: Path) -> dict[str, Any]:
    """Return the state of a checkpoint; empty if it is damaged, which `_verify` reports."""
    try:
        return checkpoint.read_state(directory)
    except FileError:
        return {}


def _describe_weights(info: ModelInfo, run: Path, directory: Path, reason: str) -> None:
    info.weights = _weights(directory, run)
    info.reason = reason
    try:
        info.versions = _versions(manifest.read_manifest(directory))
        shapes = checkpoint.read_shapes(directory, "weights")
    except FileError:
        return  # `_verify` reports it
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    info.parameters = {"total": sum(sizes.values()), "embeddings": 0, "encoder": 0, "decoder": 0}
    for name, size in sizes.items():
        part = "embeddings" if name.startswith(_EMBEDDINGS) else name.partition("_")[0]
        info.parameters[part] = info.parameters.get(part, 0) + size
    src = shapes.get("src_embedding.weight")
    tgt = shapes.get("tgt_embedding.weight", src)  # stored once if shared
    info.vocabulary = {s: shape[0] for s, shape in (("src", src), ("tgt", tgt)) if shape}


def _versions(recorded: dict[str, Any]) -> dict[str, str]:
    versions = _only(str, recorded)
    return {name: versions[name] for name in manifest.VERSIONS if name in versions}


def _describe_export(info: ModelInfo, directory: Path) -> None:
    info.bytes = _size(directory)
    info.files = {path.name: path.lstat().st_size for path in sorted(directory.iterdir())}
    info.faults += manifest.problems(directory)
    if not info.faults:
        info.versions = _versions(manifest.read_manifest(directory))
        info.verified.append(directory.absolute().name)
        _describe_stored(info, directory / "model.bin")


def _describe_stored(info: ModelInfo, path: Path) -> None:
    """Count the parameters of an export by part and by data type."""
    try:
        variables = read_variables(path)
    except FileError as error:
        info.faults.append(": ".join(error.args))
        return
    sizes: dict[str, int] = {}
    info.parameters = {"total": 0, "embeddings": 0, "encoder": 0, "decoder": 0}
    for variable in variables:
        side, _, rest = variable.name.partition("/")
        # The scales of quantised weights and the tables of positions are not parameters.
        if variable.shape and not rest.endswith(("_scale", "position_encodings/encodings")):
            size = math.prod(variable.shape)
            part = "embeddings" if rest.startswith(("embeddings", "projection")) else side
            info.parameters["total"] += size
            info.parameters[part] = info.parameters.get(part, 0) + size
            info.stored[variable.type] = info.stored.get(variable.type, 0) + size
        if rest.startswith(("embeddings", "projection")) and rest.endswith("/weight"):
            sizes["src" if side == "encoder" else "tgt"] = variable.shape[0]
    # A shared embedding is stored once.
    info.vocabulary = {"src": sizes.get("src", sizes.get("tgt", 0)), "tgt": sizes.get("tgt", 0)}


def _describe_training(info: ModelInfo, newest: Path | None) -> None:
    state = _state(newest) if newest else {}
    epoch, seconds = state.get("epoch"), state.get("seconds")
    info.epoch = epoch if isinstance(epoch, int) else None
    finite = isinstance(seconds, float) and math.isfinite(seconds)
    info.seconds = seconds if finite else None


def _describe_data(info: ModelInfo, path: Path) -> None:
    try:
        data = manifest.read_json(path)
    except FileError as error:
        info.faults.append(": ".join(error.args))
        return
    try:
        info.data = {part: [_corpus(value) for value in data[part]] for part in ("train", "valid")}
    except (KeyError, TypeError, ValueError):
        info.faults.append(f"{path}: not a description of corpora")


def _corpus(value: dict[str, Any]) -> dict[str, Any]:
    corpus: dict[str, Any] = {name: str(value[name]) for name in ("name", "sha256")}
    corpus |= {name: int(value[name]) for name in _COUNTS}
    if "set" in value:
        corpus["set"] = str(value["set"])
    return corpus | {"dropped": {reason: int(n) for reason, n in dict(value["dropped"]).items()}}


def _verify(info: ModelInfo, run: Path, path: Path) -> None:
    """Verify the tokenizer and all weights of a run, and those at `path`."""
    tokenizer = run / "tokenizer"
    weights = [one.path for one in checkpoint.list_checkpoints(run)]
    weights += [folder for folder in (run / "averaged",) if folder.is_dir()]
    if layout.has_shortlist(run):
        faults = list(manifest.problems(run / "shortlist"))
        info.faults += faults
        info.verified += [] if faults else ["shortlist"]
    if path.absolute() not in {folder.absolute() for folder in (run, *weights)}:
        weights.append(path)
    for directory in (tokenizer, *weights):
        faults = _faults(directory, is_tokenizer=directory == tokenizer)
        if not faults:
            info.verified.append(directory.absolute().name)
        elif directory == tokenizer or directory.is_dir():  # else a training run has deleted it
            info.faults += faults


def _faults(directory: Path, is_tokenizer: bool) -> list[str]:
    for _ in range(2):  # a training run may replace the directory during the first attempt
        try:
            if is_tokenizer:
                manifest.verify_tokenizer(directory.parent)
            else:
                manifest.verify(directory)
        except FileError as error:
            fault = ": ".join(error.args)
        else:
            return []
    return list(manifest.problems(directory)) or [fault]


def _size(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:  # a training run has deleted it meanwhile
            continue
    return total
