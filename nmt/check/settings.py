"""Checks of the settings against the data and each other, without a training step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nmt.check.finding import Finding, share
from nmt.check.subject import Subject
from nmt.config.models import TransformerConfig
from nmt.config.stages import stages_of
from nmt.config.train import TrainConfig
from nmt.model.size import num_parameters

# Rule of thumb: 100 epochs are usual for a small corpus, and a model overfits long before 300.
_MANY_EPOCHS, _USUAL_EPOCHS = 300, 100

# Rule of thumb: on little text, smaller models translate better (Sennrich and Zhang 2019; Araabi
# and Monz 2020). The recipes in configs/ have 2 to 6 parameters per token.
_MANY_PARAMETERS_PER_TOKEN, _USUAL_PARAMETERS_PER_TOKEN = 40, 10
_SMALLER_MODELS = [
    {"d_model": 256, "num_heads": 4, "d_ff": 512, "encoder_layers": 3, "decoder_layers": 3},
    {"d_model": 128, "num_heads": 4, "d_ff": 256, "encoder_layers": 2, "decoder_layers": 2},
    {"d_model": 64, "num_heads": 2, "d_ff": 128, "encoder_layers": 2, "decoder_layers": 2},
]

# The paper warms up for 4 % of its steps, the recipes in configs/ for 4 to 25 %.
_USUAL_WARM_UP = 10  # training steps per warm-up step

# Rule of thumb: the smaller the text, the smaller the vocabulary, since rare pieces are hardly
# trained (Sennrich and Zhang 2019; Gowda and May 2020).
_UNREACHED = 0.95
_USUAL_VOCABULARY = 8000
# Multi30k uses 98 % of 6,000 pieces and 58 % of 50,000, few of those five times; the demo corpus
# uses 79 % of its 2,000. An existing model may have pieces for other text.
_USED_OF_TRAINED, _USED_OF_EXISTING = 0.7, 0.5
_COUNTED_PAIRS = 100_000  # enough to contain all but very rare pieces


def same_language(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if both sides have the same language."""
    for pair in subject.config.data.train_pairs:
        if pair.src.casefold() == pair.tgt.casefold():
            yield Finding(
                "warning",
                "same-language",
                "data.tgt_lang",
                f"is {pair.tgt}, the same as data.src_lang: correct for paraphrases or "
                "corrections, otherwise one of them is wrong; corpora without explicit keys read "
                "the same text twice",
            )


def untold_languages(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each language with several target languages that nothing tells apart.

    If each has one target language, the text itself tells, as in both directions of one pair.
    """
    data = subject.config.data
    targets: dict[str, list[str]] = {}
    for pair in data.train_pairs:
        targets.setdefault(pair.src, []).append(pair.tgt)
    for src, wanted in targets.items() if data.tags == "none" else ():
        if len(wanted) > 1:
            yield Finding(
                "warning",
                "untold-languages",
                "data.tags",
                f"is none, but the corpora translate {src} into {', '.join(wanted)}: the model "
                "cannot know which is wanted; data.tags=target tells it",
            )


def epochs(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if training takes too many epochs."""
    train, plan = subject.config.train, subject.plan
    if plan.epochs <= _MANY_EPOCHS or train.patience is not None or train.stages:
        return
    usual = max(1, round(train.max_steps * _USUAL_EPOCHS / plan.epochs))
    early_stopping = (
        ", or train.patience=5 stops early"
        if subject.config.data.valid
        else "; with data.valid, train.patience stops early"
    )
    yield Finding(
        "warning",
        "epochs",
        "train.max_steps",
        f"{train.max_steps:,} steps are {plan.epochs:,.0f} epochs: the model will overfit long "
        f"before; train.max_steps={usual} is {_USUAL_EPOCHS} epochs{early_stopping}",
    )


def warm_up(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each schedule whose warm-up lasts until it ends."""
    config = subject.config
    yield from _warm_up(config.train, "train", "training")
    for number, stage in enumerate(config.train.stages):
        if stage.has_schedule:
            train = stages_of(config)[number].config.train
            yield from _warm_up(train, f"train.stages.{number}", "the stage")


def _warm_up(train: TrainConfig, section: str, whole: str) -> Iterator[Finding]:
    if train.warmup_steps < train.max_steps:
        return
    usual = max(1, train.max_steps // _USUAL_WARM_UP)
    reached = 100 * train.max_steps / train.warmup_steps
    yield Finding(
        "warning",
        "warm-up",
        f"{section}.warmup_steps",
        f"the warm-up takes {train.warmup_steps:,} steps, but {whole} ends after "
        f"{train.max_steps:,}: the learning rate rises to {reached:.0f} % of its peak and never "
        f"decays; a tenth of the steps is usual, {section}.warmup_steps={usual}",
    )


def parameters(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the model is far too large for the data."""
    plan = subject.plan
    per_token = plan.parameters / plan.tokens
    if per_token <= _MANY_PARAMETERS_PER_TOKEN:
        return
    yield Finding(
        "warning",
        "parameters",
        "model",
        f"{plan.parameters / 1e6:.1f} million parameters for {plan.tokens:,} tokens of text, "
        f"{per_token:,.0f} per token: a smaller model will translate better and faster; try "
        f"{_smaller_model(subject)}, or add text",
    )


def _smaller_model(subject: Subject) -> str:
    """Return the overrides for a model that suits the data."""
    model, tokenizers = subject.config.model, subject.tokenizers
    if not isinstance(model, TransformerConfig):
        return "a lower model.d_model and model.d_hidden, and fewer layers"
    sizes = tokenizers.src.vocab_size, tokenizers.tgt.vocab_size
    for values in _SMALLER_MODELS:
        smaller = model.model_copy(update={"d_k": None, "d_v": None, **values})
        if num_parameters(smaller, *sizes) <= _USUAL_PARAMETERS_PER_TOKEN * subject.plan.tokens:
            break
    advice = [f"model.{key}={value}" for key, value in values.items()]
    return " ".join([*advice, f"model.dropout={max(model.dropout, 0.3)}"])


def unreached_vocabulary(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the vocabulary is smaller than configured, because the text is small."""
    settings, tokenizers = subject.config.tokenizer, subject.tokenizers
    if settings.model or settings.src_model or settings.type == "char":
        return
    # One side may have a small vocabulary by nature, such as linearised trees.
    made = max(tokenizers.src.vocab_size, tokenizers.tgt.vocab_size)
    if made >= _UNREACHED * settings.vocab_size:
        return
    yield Finding(
        "warning",
        "unreached-vocabulary",
        "tokenizer.vocab_size",
        f"the tokenizer has only {made:,} pieces instead of {settings.vocab_size:,}: the text is "
        "too small, and most pieces are whole words that occur once or twice; lower it, for "
        f"example to tokenizer.vocab_size={_smaller_vocabulary(made)}",
    )


def unused_pieces(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the training pairs use too few pieces of the vocabulary."""
    settings, tokenizers = subject.config.tokenizer, subject.tokenizers
    sides = [_used(subject, side) for side in (0, 1)]
    if tokenizers.joint:
        sides = [sides[0] | sides[1]]
    used, pieces = sum(int(side.sum()) for side in sides), sum(map(len, sides))
    existing = settings.model or settings.src_model
    if used >= (_USED_OF_EXISTING if existing else _USED_OF_TRAINED) * pieces:
        return
    smaller = _smaller_vocabulary(used // len(sides))
    way_out = (
        "use a model for this text, or leave out tokenizer.model to train one"
        if existing
        else f"lower it, for example to tokenizer.vocab_size={smaller}"
    )
    yield Finding(
        "warning",
        "vocabulary",
        "tokenizer" if existing else "tokenizer.vocab_size",
        f"data.train uses only {share(used, pieces)} pieces, so the others are not trained; "
        f"{way_out}",
    )


def _used(subject: Subject, side: int) -> npt.NDArray[np.bool_]:
    """Return for each piece of a side that is not special whether the training pairs use it."""
    train, tokenizer = subject.parts["train"], subject.tokenizers[side]
    rows = np.linspace(0, len(train) - 1, min(len(train), _COUNTED_PAIRS)).astype(int)
    used = np.zeros(tokenizer.vocab_size, np.bool_)
    used[np.concatenate(train.rows(rows)[side])] = True
    return np.delete(used, tokenizer.special_ids)


def _smaller_vocabulary(pieces: int) -> int:
    """Return a round size well below a number of pieces."""
    size = min(_USUAL_VOCABULARY, pieces // 2)
    return int(size - size % 10 ** (len(str(size)) - 1))
