"""The contents of a model directory, read without changing it and without importing torch."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nmt.config.models import TransformerConfig
from nmt.config.schema import Config
from nmt.errors import FileError, escape
from nmt.runs import checkpoint, layout, manifest, retention
from nmt.runs.ctranslate2_file import read_variables
from nmt.runs.decode_tuning import DecodeTuning, read_tuning
from nmt.runs.hub_file import read_origin
from nmt.runs.int8 import Int8Scores, read_int8_scores

_MAX_CORPORA = 20
_EMBEDDINGS = ("src_embedding", "tgt_embedding", "projection", "src_positions", "tgt_positions")
_COUNTS = ("pairs_read", "pairs_kept", "src_tokens", "tgt_tokens")
_LABEL_WIDTH = 12
_WIDTH = 80

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


def render(info: ModelInfo) -> Iterator[str]:
    """Yield the contents of a model directory as lines for a terminal of 80 columns."""
    yield from _entry("model", info.path)
    yield from _entry("Hub", ", commit ".join(info.hub.values()))
    yield from _entry("weights", _weights_line(info))
    if info.config:
        yield from _settings(info.config)
    if info.vocabulary:
        sizes = [f"{size:,}" for size in info.vocabulary.values()]
        joint = info.config is not None and info.config.tokenizer.joint
        yield from _entry("vocabulary", sizes[0] if joint else " + ".join(sizes))
    if info.parameters:
        parts = (f"{part} {size:,}" for part, size in info.parameters.items() if part != "total")
        yield from _entry("parameters", f"{info.parameters['total']:,}: {', '.join(parts)}")
    stored = sorted(info.stored.items(), key=lambda item: -item[1])
    yield from _entry("stored as", ", ".join(f"{n} {size:,}" for n, size in stored))
    yield from _entry("training", _training_line(info))
    yield from _entry("versions", ", ".join(f"{n} {v}" for n, v in info.versions.items()))
    yield from _measured(info)
    yield from _entry("size", _size_text(info.bytes))
    yield from _entry("files", ", ".join(f"{n} {_size_text(v)}" for n, v in info.files.items()))
    if info.checkpoints:
        yield ""
        yield from _checkpoint_table(info)
    to_resume = ", ".join(row.name for row in info.checkpoints if row.only_to_resume)
    yield from _entry("to resume", f"{to_resume}: saved when interrupted" if to_resume else "")
    scores = info.weights.scores if info.weights else {}
    by_pair = (f"{name} {score:.4g}" for name, score in scores.items() if " " in name)
    yield from _entry("pairs", ", ".join(by_pair))
    for name, signature in info.weights.signatures.items() if info.weights else ():
        yield from _entry(name, signature)
    yield ""
    for part, corpora in info.data.items():
        for corpus in corpora[:_MAX_CORPORA]:
            label = f"{part}.{corpus['set']}" if "set" in corpus else part
            yield from _entry(label, f"{' ' * (len(label) >= _LABEL_WIDTH)}{_corpus_line(corpus)}")
            digest = corpus["sha256"]
            origin = f"sha256 {digest}" if digest else "streamed: these are the first pairs only"
            yield from _entry("", origin, indent=_WIDTH - 71)
        if others := corpora[_MAX_CORPORA:]:
            kept = sum(corpus["pairs_kept"] for corpus in others)
            yield from _entry(part, f"{len(others):,} other corpora: {kept:,} pairs kept")
    yield ""
    yield from _entry("verified", ", ".join(info.verified) or "nothing")
    for fault in info.faults:
        yield from _entry("DAMAGED", fault)


def _settings(config: Config) -> Iterator[str]:
    data, tokenizer = config.data, config.tokenizer
    pairs = ", ".join(f"{pair.src} → {pair.tgt}" for pair in data.train_pairs)
    yield from _entry("languages", pairs)
    tags = " ".join(data.train_tags)
    yield from _entry("tags", f"{data.tags}: {tags}" if tags else "")
    yield from _entry("corpus tags", " ".join(data.corpus_tags))
    if data.terms:
        drawn = f"up to {data.terms.max_terms} behind {data.terms.probability:.0%} of sources"
        yield from _entry("terms", drawn)
    if config.train.objective == "denoise":
        yield from _entry(
            "objective", "denoise: restores text; for train.init_from, not for translation"
        )
    yield from _entry("network", _network_line(config))
    kind = "an existing model" if tokenizer.model or tokenizer.src_model else tokenizer.type
    sides = ", joint" if tokenizer.joint else ", one per side"
    extended = ", extended" if tokenizer.extend else ""
    yield from _entry("tokenizer", f"{kind}{sides}{extended}")


def _entry(label: str, text: str, indent: int = _LABEL_WIDTH) -> Iterator[str]:
    if text:
        yield from textwrap.wrap(
            escape(text),  # names come from the model, which may be somebody else's
            _WIDTH,
            initial_indent=escape(label).ljust(indent),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _measured(info: ModelInfo) -> Iterator[str]:
    if info.int8:
        yield from _entry("int8", str(Int8Scores(**info.int8)))
    if info.decoding:
        yield from _entry("decoding", str(DecodeTuning.model_validate(info.decoding)))


def _weights_line(info: ModelInfo) -> str:
    if info.files:
        return "exported to CTranslate2"
    if info.weights is None:
        return info.reason or "none yet"
    if info.weights.imported:
        return f"{info.weights.name}: imported from the {info.weights.imported}"
    steps = ", ".join(map(str, info.weights.averaged_steps))
    reason = f"the average of steps {steps}" if steps else info.reason
    if steps and not info.weights.scores:
        reason += "; not validated"
    return f"{info.weights.name}: {reason}"


def _network_line(config: Config) -> str:
    model = config.model
    if model.kind == "rnn":
        return (
            f"recurrent, {model.cell}, {model.encoder_layers} + 1 layers, "
            f"d_model {model.d_model}, d_hidden {model.d_hidden}, "
            f"tied embeddings: {model.tie_embeddings}"
        )
    if model.kind == "conv":
        return (
            f"convolutional, {model.encoder_layers} + {model.decoder_layers} layers, "
            f"kernel {model.kernel_size}, d_model {model.d_model}, d_hidden {model.d_hidden}, "
            f"{model.positions.max_length} positions, tied embeddings: {model.tie_embeddings}"
        )
    return (
        f"Transformer, {model.norm}-norm, {model.encoder_layers} + {model.decoder_layers} layers, "
        f"d_model {model.d_model}, {model.num_heads} heads, d_ff {model.d_ff}, "
        f"{model.activation}, {_positions(model)}, {_biases(model)}"
        f"tied embeddings: {model.tie_embeddings}"
    )


def _biases(model: TransformerConfig) -> str:
    named = {"attention": model.attention_bias, "output": model.output_bias}
    return "".join(f"{name} bias, " for name, has_it in named.items() if has_it)


def _positions(model: TransformerConfig) -> str:
    kind = model.positions.kind
    if kind == "none":
        return "no positions"
    if model.positions.combine == "add":
        return f"{kind} positions"
    return f"{model.position_width} concatenated dimensions of {kind} positions"


def _training_line(info: ModelInfo) -> str:
    parts = []
    if info.weights and info.weights.step is not None and not info.weights.imported:
        parts.append(f"{info.weights.step:,} steps")
    if info.epoch is not None:
        parts.append(f"epoch {info.epoch}")
    if info.seconds is not None:
        minutes, seconds = divmod(round(info.seconds), 60)
        parts.append(f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}")
    return ", ".join(parts)


def _checkpoint_table(info: ModelInfo) -> Iterator[str]:
    rows = {row.name: row for row in info.checkpoints}
    used = info.weights.name if info.weights else None
    if info.weights:
        rows[info.weights.name] = info.weights
    every = list(dict.fromkeys(name for row in rows.values() for name in row.scores))
    every = [name for name in every if " " not in name]  # those of language pairs are listed below
    names = [name for name in every if "/" not in name]
    sets = list(dict.fromkeys(name.partition("/")[0] for name in every if "/" in name))
    yield f"  {'':<26}" + "".join(f"{escape(name):>9.8}" for name in names) + f"{'size':>11}"
    for row in rows.values():
        mark = "*" if row.name == used else " "
        cells = _cells(row.scores, names)
        yield f"{mark} {escape(row.name):<26}{cells}{_size_text(row.bytes):>11}"
        for one in sets if row.scores else []:
            cells = _cells(row.scores, [f"{one}/{name}" for name in names])
            yield f"    {escape(one):<24.23}{cells}".rstrip()


def _cells(scores: Mapping[str, float], names: Iterable[str]) -> str:
    return "".join(f"{scores[n]:9.4g}" if n in scores else " " * 9 for n in names)


def _corpus_line(corpus: dict[str, Any]) -> str:
    dropped = "".join(f", {reason} {count}" for reason, count in corpus["dropped"].items())
    return (
        f"{corpus['name']}: {corpus['pairs_read']:,} pairs read{dropped}, "
        f"{corpus['pairs_kept']:,} kept; "
        f"{corpus['src_tokens']:,} + {corpus['tgt_tokens']:,} tokens"
    )


def _size_text(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
