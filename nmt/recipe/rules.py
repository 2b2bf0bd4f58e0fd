"""The rules of a recipe: from figures of the text to settings, each with its reason."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from nmt.recipe.budget import Tokens, Training
from nmt.recipe.survey import Text

# configs/multi30k-en-de.yaml has 6,000 pieces for 29,000 pairs. 2,000 for 5,000 pairs are those of
# Sennrich and Zhang (2019), 32,000 for millions are usual since the paper.
_VOCABULARY = ([1000, 5000, 29_000, 2_000_000], [1000, 2000, 6000, 32_000])
_SHARED_SCRIPT = 0.5
# SentencePiece advises both for languages with many characters.
_MANY_CHARACTERS, _COVERAGE = 0.1, 0.9995
_SPECIAL_PIECES, _BYTE_PIECES = 4, 256
_SAMPLED_PAIRS = 300_000
_MOST_TOKENS = 512
_DROPOUT = ([50_000, 500_000], [0.3, 0.1])
_FEW_EPOCHS = 5
_MANY_DUPLICATES = 0.01
_VALIDATIONS = 15
_FEW_VALID_PAIRS = 200
_VALID_SENTENCES = (100, 2000)


class Choice(NamedTuple):
    """Settings of one section that have the same reason."""

    section: str
    values: dict[str, Any]
    reason: str


# ---------------------------------------------------------------- tokenizer


def is_joint(text: Text) -> bool:
    """Return whether both sides are written alike, so that they can share pieces."""
    return text.shared_script >= _SHARED_SCRIPT


def vocabulary_size(text: Text) -> int:
    """Return the number of pieces: grows with the logarithm of the pairs, as the text allows."""
    pairs, sizes = _VOCABULARY
    log_size = np.interp(math.log(text.usable), np.log(pairs), np.log(sizes))
    size = int(float(f"{math.exp(log_size) / (1 if is_joint(text) else 2):.1e}"))
    sides = [text.src, text.tgt]
    # Half of the distinct words is fewer than SentencePiece can make of them.
    words = sum(side.distinct_words for side in sides)
    words = words if is_joint(text) else min(side.distinct_words for side in sides)
    return max(min(size, words // 2), _required_pieces(text, size))


def _required_pieces(text: Text, size: int) -> int:
    """Return the least size that has room for the characters, a fifth more to be safe."""
    sides = [text.src, text.tgt]
    characters = [side.characters for side in sides]
    pieces = _SPECIAL_PIECES
    if has_many_characters(text, size):
        characters = [side.characters - side.rare_characters for side in sides]
        pieces += _BYTE_PIECES
    return pieces + math.ceil(1.2 * (sum(characters) if is_joint(text) else max(characters)))


def has_many_characters(text: Text, size: int) -> bool:
    """Return whether rare characters would take up too much of a vocabulary."""
    return max(text.src.characters, text.tgt.characters) > max(_MANY_CHARACTERS * size, 500)


def tokenizer_choices(text: Text) -> list[Choice]:
    """Return the section `tokenizer`."""
    size, joint = vocabulary_size(text), is_joint(text)
    scripts = f"{text.src.script} and {text.tgt.script} letters"
    choices = [
        Choice(
            "tokenizer",
            {"vocab_size": size},
            f"{'' if joint else 'For each language. '}The less text, the fewer pieces, because "
            "rare ones are hardly trained (Sennrich and Zhang 2019).",
        )
    ]
    if not joint:
        reason = f"{scripts}: the languages share few pieces, so each has its own vocabulary."
        choices.append(Choice("tokenizer", {"joint": False}, reason))
    if has_many_characters(text, size):
        choices.append(
            Choice(
                "tokenizer",
                {"character_coverage": _COVERAGE, "byte_fallback": True},
                f"{max(text.src.characters, text.tgt.characters):,} distinct characters: rare ones "
                "are encoded as bytes, to leave room for words.",
            )
        )
    if text.usable < _SAMPLED_PAIRS:
        choices.append(
            Choice(
                "tokenizer",
                {"sampling_alpha": 0.05},
                "BPE-dropout: each epoch segments some words in another way, against overfitting "
                "(Provilkov et al. 2020).",
            )
        )
    return choices


# ---------------------------------------------------------------- data


def length_choices(tokens: Tokens) -> list[Choice]:
    """Return the filters of the section `data` by length."""
    length = min(_MOST_TOKENS, max(64, math.ceil(1.5 * tokens.longest / 16) * 16))
    purpose = "Drops only outliers" if length > tokens.longest else "Longer ones take much memory"
    ratio = max(3.0, math.ceil(3 * tokens.ratio) / 2)
    return [
        Choice(
            "data",
            {"max_length": length},
            f"{purpose}: 99 % of the sentences have at most {tokens.longest} tokens.",
        ),
        Choice(
            "data",
            {"max_length_ratio": ratio},
            "Drops pairs that are hardly translations: in 99 % of all, the longer side has at most "
            f"{tokens.ratio:.1f} times the tokens of the other.",
        ),
    ]


def duplicate_choices(text: Text) -> list[Choice]:
    """Return the filter of the section `data` for repeated pairs, if it is worth its memory."""
    if text.duplicates <= _MANY_DUPLICATES * text.pairs:
        return []
    reason = f"{text.duplicates:,} pairs repeat an earlier one."
    return [Choice("data", {"drop_duplicates": True}, reason)]


# ---------------------------------------------------------------- model


def model_choices(text: Text, training: Training, best: Training) -> list[Choice]:
    """Return the section `model`.

    Args:
        text: figures of the text.
        training: the model to train, and for how long.
        best: the model that the text supports if time does not matter.
    """
    shape, rate = training.shape, dropout(text.usable, training.epochs)
    sizes = {
        "d_model": shape.d_model,
        "num_heads": shape.num_heads,
        "d_ff": shape.d_ff,
        "encoder_layers": shape.layers,
        "decoder_layers": shape.layers,
    }
    reason = "A size that suits the amount of text: a larger model would overfit."
    if shape != best.shape:
        reason = (
            f"The text is enough for a larger model (d_model {best.shape.d_model}, d_ff "
            f"{best.shape.d_ff}, {best.shape.layers} layers), but in the time given a small one "
            "learns more."
        )
    why = (
        "no sentence is seen often enough for overfitting."
        if training.epochs < _FEW_EPOCHS
        else "the less text, the more is needed against overfitting (Araabi and Monz 2020)."
    )
    choices = [
        Choice("model", sizes, reason),
        Choice("model", {"norm": "pre"}, "Pre-norm trains reliably at high learning rates."),
        Choice("model", {"dropout": rate}, f"Dropout: {why}"),
    ]
    if not is_joint(text):
        reason = "Separate vocabularies: only the target's embeddings and the output can be shared."
        choices.append(Choice("model", {"tie_embeddings": "decoder"}, reason))
    return choices


def dropout(pairs: int, epochs: float) -> float:
    """Return the rate of dropout, lower for more pairs and for few epochs."""
    if epochs < _FEW_EPOCHS:
        return _DROPOUT[1][-1]
    rate = np.interp(math.log(pairs), np.log(_DROPOUT[0]), _DROPOUT[1])
    return round(20 * float(rate)) / 20


# ---------------------------------------------------------------- training


def train_choices(training: Training, length: str) -> list[Choice]:
    """Return the section `train` without validation.

    Args:
        training: the model to train, and for how long.
        length: the reason for the number of steps.
    """
    rate = min(0.004, float(f"{0.5 / training.shape.d_model:.0e}"))
    warmup = max(1, min(4000, max(training.steps // 20, min(200, training.steps // 5))))
    choices = [
        Choice("train", {"max_steps": training.steps}, length),
        Choice(
            "train",
            {"batch_tokens": training.batch_tokens},
            "Tokens per step and side: small batches give more steps for the same text.",
        ),
        Choice(
            "train",
            {"schedule": "cosine", "learning_rate": rate, "warmup_steps": warmup},
            "The learning rate rises for the first steps, then falls to zero at the last one. Its "
            "peak is lower for wider models.",
        ),
        Choice("train", {"clip_norm": 1.0}, "Keeps an unusual batch from doing damage."),
        Choice("train", {"precision": "auto"}, "bf16 where the processor has it: faster."),
    ]
    if training.r_drop:
        choices.append(
            Choice(
                "train",
                {"r_drop": {}},
                "R-Drop (Liang et al. 2021) doubles the time of a step. There is time for it: more "
                "epochs alone would not help.",
            )
        )
    return choices


def validation_choices(training: Training, pairs: int, valid_pairs: int) -> list[Choice]:
    """Return what of the section `train` is about checkpoints and validation.

    Args:
        training: the model to train, and for how long.
        pairs: number of training pairs.
        valid_pairs: number of validation pairs; 0 if there are none.
    """
    save = _rounded(training.steps / _VALIDATIONS / 4)
    if not valid_pairs:
        reason = "Checkpoints, of which the last five are averaged. There is no validation."
        return [Choice("train", {"save_every": save}, reason)]
    validate = 4 * save
    choices = [
        Choice(
            "train",
            {"validate_every": validate, "save_every": save},
            f"Validations, about {max(1, training.steps // validate)} in all, and four times as "
            "many checkpoints, of which the last five are averaged.",
        )
    ]
    # A tenth of the pairs seen in training takes less than a tenth of the time: validation needs no
    # backward pass, but decodes token by token.
    least, most = _VALID_SENTENCES
    affordable = int(0.1 * training.epochs * pairs / (2 * _VALIDATIONS))
    sentences = max(least, min(most, affordable))
    if sentences < valid_pairs:
        reason = "Sentences that each validation translates, so that it stays fast."
        choices.append(Choice("train", {"valid_sentences": sentences}, reason))
    if valid_pairs >= _FEW_VALID_PAIRS:
        reason = "The best checkpoint is the one whose translations are best."
        choices.append(Choice("train", {"metric": "bleu"}, reason))
    return [
        *choices,
        Choice("train", {"patience": 5}, "Stops after five validations without a new best."),
        Choice(
            "train",
            {"tune_decode": {}},
            "At the end, tries length penalties on the validation text and keeps the best.",
        ),
    ]


def _rounded(number: float) -> int:
    """Return a round number of at least 1, such as 10, 15, 20 … 95, 100, 150."""
    number = max(1.0, number)
    unit = 10.0 ** math.floor(math.log10(number)) / 2
    return max(1, round(round(number / unit) * unit))
