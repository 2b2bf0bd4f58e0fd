"""Settings that do not suit the data or each other, told without taking a step of training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nmt.check.finding import Finding, share
from nmt.check.subject import Subject
from nmt.config.models import TransformerConfig
from nmt.model.size import num_parameters

# Supervised baselines on small corpora end after about 100 epochs (Guzmán et al. 2019, 564,000
# pairs), the Transformer-Tiny of Wu et al. (2021) on Multi30k after about 150. Beyond twice that,
# a model only learns its pairs by heart.
_MANY_EPOCHS, _USUAL_EPOCHS = 300, 100

# The base model on a tenth of IWSLT14 (1.3 million words) has about 40 parameters a token, and
# Araabi and Monz (2020) gain up to 7.3 BLEU there and below with smaller settings; Sennrich and
# Zhang (2019) find the same for recurrent models. What is known to work stays below: the paper's
# parsing model has about 30 (section 6.3, 40,000 trees), the recipes in configs/ have 2 to 6.
_MANY_PARAMETERS_PER_TOKEN, _USUAL_PARAMETERS_PER_TOKEN = 40, 10
_SMALLER_MODELS = [
    {"d_model": 256, "num_heads": 4, "d_ff": 512, "encoder_layers": 3, "decoder_layers": 3},
    {"d_model": 128, "num_heads": 4, "d_ff": 256, "encoder_layers": 2, "decoder_layers": 2},
    {"d_model": 64, "num_heads": 2, "d_ff": 128, "encoder_layers": 2, "decoder_layers": 2},
]

# The paper warms up for 4 % of its steps, the recipes in configs/ for 4 to 25 %.
_USUAL_WARM_UP = 10  # steps of training for one of the warm-up

# The pieces stop where the words end. Rare ones are hardly learnt: Sennrich and Zhang (2019) take
# 2,000 for 100,000 words, Gowda and May (2020) as many as are seen a hundred times.
_UNREACHED = 0.95
_USUAL_VOCABULARY = 8000
# Multi30k uses 98 % of 6,000 pieces and 58 % of 50,000, few of these five times; the demo corpus
# uses 79 % of its 2,000. An existing model may have pieces for other text.
_USED_OF_TRAINED, _USED_OF_EXISTING = 0.7, 0.5
_COUNTED_PAIRS = 100_000  # so many show nearly every piece that is not very rare


def same_language(subject: Subject) -> Iterator[Finding]:
    """Say that both sides are of one language."""
    data = subject.config.data
    if data.src_lang.casefold() == data.tgt_lang.casefold():
        yield Finding(
            "warning",
            "same-language",
            "data.tgt_lang",
            f"is {data.tgt_lang}, as data.src_lang is: right for paraphrases or corrections, "
            "otherwise one of them is wrong; corpora that name no keys read the same text twice",
        )


def epochs(subject: Subject) -> Iterator[Finding]:
    """Say that training goes through the data too often."""
    train, plan = subject.config.train, subject.plan
    if plan.epochs <= _MANY_EPOCHS or train.patience is not None:
        return
    usual = max(1, round(train.max_steps * _USUAL_EPOCHS / plan.epochs))
    watched = (
        ", or train.patience=5, so that validation ends it"
        if subject.config.data.valid
        else "; with data.valid, train.patience ends it in time"
    )
    yield Finding(
        "warning",
        "epochs",
        "train.max_steps",
        f"{train.max_steps:,} steps are {plan.epochs:,.0f} epochs: the model will know the pairs "
        f"by heart long before; train.max_steps={usual} is {_USUAL_EPOCHS} epochs{watched}",
    )


def warm_up(subject: Subject) -> Iterator[Finding]:
    """Say that the learning rate rises until the end."""
    train = subject.config.train
    if train.warmup_steps < train.max_steps:
        return
    usual = max(1, train.max_steps // _USUAL_WARM_UP)
    reached = 100 * train.max_steps / train.warmup_steps
    yield Finding(
        "warning",
        "warm-up",
        "train.warmup_steps",
        f"the warm-up of {train.warmup_steps:,} steps is longer than training, which has "
        f"{train.max_steps:,}: the learning rate rises to {reached:.0f} % of its peak and never "
        f"falls; take a tenth, train.warmup_steps={usual}",
    )


def parameters(subject: Subject) -> Iterator[Finding]:
    """Say that the model is far too large for the data."""
    plan = subject.plan
    per_token = plan.parameters / plan.tokens
    if per_token <= _MANY_PARAMETERS_PER_TOKEN:
        return
    yield Finding(
        "warning",
        "parameters",
        "model",
        f"{plan.parameters / 1e6:.1f} million parameters for {plan.tokens:,} tokens of text, "
        f"{per_token:,.0f} a token: a smaller model will translate better and is faster; try "
        f"{_smaller_model(subject)}, or take more text",
    )


def _smaller_model(subject: Subject) -> str:
    """Write the overrides of a model that suits the data."""
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
    """Say that the text has fewer pieces than were asked for."""
    settings, tokenizers = subject.config.tokenizer, subject.tokenizers
    if settings.model or settings.src_model or settings.type == "char":
        return
    # The smaller side may well be one of few words, as linearised trees are.
    made = max(tokenizers.src.vocab_size, tokenizers.tgt.vocab_size)
    if made >= _UNREACHED * settings.vocab_size:
        return
    yield Finding(
        "warning",
        "unreached-vocabulary",
        "tokenizer.vocab_size",
        f"training made {made:,} pieces of {settings.vocab_size:,}: the text has no more, and most "
        "are whole words that it has once or twice; lower it, "
        f"tokenizer.vocab_size={_smaller_vocabulary(made)} say",
    )


def unused_pieces(subject: Subject) -> Iterator[Finding]:
    """Say that the training pairs use too few pieces of the vocabulary."""
    settings, tokenizers = subject.config.tokenizer, subject.tokenizers
    sides = [_used(subject, side) for side in (0, 1)]
    if tokenizers.joint:
        sides = [sides[0] | sides[1]]
    used, pieces = sum(int(side.sum()) for side in sides), sum(map(len, sides))
    existing = settings.model or settings.src_model
    if used >= (_USED_OF_EXISTING if existing else _USED_OF_TRAINED) * pieces:
        return
    way_out = (
        "take a model for this text, or train one by leaving out tokenizer.model"
        if existing
        else f"lower it, tokenizer.vocab_size={_smaller_vocabulary(used // len(sides))} say"
    )
    yield Finding(
        "warning",
        "vocabulary",
        "tokenizer" if existing else "tokenizer.vocab_size",
        f"data.train uses only {share(used, pieces)} pieces, and nothing is learnt about the rest; "
        f"{way_out}",
    )


def _used(subject: Subject, side: int) -> npt.NDArray[np.bool_]:
    """Tell of each piece of a side that is not special whether training pairs have it."""
    train, tokenizer = subject.parts["train"], subject.tokenizers[side]
    places = np.linspace(0, len(train) - 1, min(len(train), _COUNTED_PAIRS)).astype(int)
    used = np.zeros(tokenizer.vocab_size, np.bool_)
    used[np.concatenate(train.rows(places)[side])] = True
    special = [tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id]
    return np.delete(used, special)


def _smaller_vocabulary(pieces: int) -> int:
    """Choose a round size well below a number of pieces."""
    size = min(_USUAL_VOCABULARY, pieces // 2)
    return int(size - size % 10 ** (len(str(size)) - 1))
