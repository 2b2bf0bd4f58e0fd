"""The contents of a model directory as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nmt.config.models import TransformerConfig
from nmt.config.schema import Config
from nmt.errors import escape
from nmt.runs.decode_tuning import DecodeTuning
from nmt.runs.info import ModelInfo
from nmt.runs.int8 import Int8Scores

_MAX_CORPORA = 20
_LABEL_WIDTH = 12
_WIDTH = 80


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
    if data.context:
        plural = "s" if data.context > 1 else ""
        yield from _entry("context", f"up to {data.context} previous sentence{plural}")
    if data.terms:
        drawn = f"up to {data.terms.max_terms} behind {_percent(data.terms.probability)} of sources"
        yield from _entry("terms", drawn)
    yield from _entry("symbols for", ", ".join(data.placeholders))
    if data.augment:
        changed = ", ".join(f"{name} {_percent(rate)}" for name, rate in data.augment if rate)
        yield from _entry("augment", f"pairs changed in training: {changed}")
    if config.train.objective == "denoise":
        yield from _entry(
            "objective", "denoise: restores text; for train.init_from, not for translation"
        )
    if source := config.train.init_from:
        changes = ", with LoRA" if config.train.lora else ""
        changes += ", with a new tokenizer" if tokenizer.replace else ""
        yield from _entry("init from", f"{source}{changes}")
    yield from _entry("network", _network_line(config))
    kind = "an existing model" if tokenizer.model or tokenizer.src_model else tokenizer.type
    sides = ", joint" if tokenizer.joint else ", one per side"
    extended = ", extended" if tokenizer.extend else ""
    yield from _entry("tokenizer", f"{kind}{sides}{extended}")


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g}%"


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
