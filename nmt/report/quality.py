"""Translation quality on a text: corpus scores, BLEU by source length, hardest sentences."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from nmt.api import Model
from nmt.errors import DataError
from nmt.evaluation.metrics import EvaluateOptions, Score, evaluate
from nmt.evaluation.testsets import EvaluationData
from nmt.progress import Advance
from nmt.translate.score import PairScore, Totals

SAMPLES = 20
"""Number of sentences to show: those with the largest loss."""

_BUCKET_LIMITS = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100)
"""Maximum lengths of the buckets; one more bucket holds longer sentences."""
# Languages written without spaces; their sentence length is counted in characters.
_UNSPACED = ("zh", "ja", "th", "lo", "km", "my")


class Track(Protocol):
    """Shows the progress of a task on `total` sentences; yields a function to advance it."""

    def __call__(self, task: str, total: int) -> AbstractContextManager[Advance]: ...


@dataclass(frozen=True)
class LengthScore:
    """BLEU of the sentences within a range of source lengths."""

    shortest: int
    longest: int | None
    sentences: int
    bleu: Score


@dataclass(frozen=True)
class Sample:
    """A sentence pair with a large loss.

    Attributes:
        line: number of the pair, from 1.
        src: the source sentence.
        reference: the reference translation.
        translation: the model's translation.
        loss: loss of the reference in nats per token, EOS included, without label smoothing.
        pieces: tokens of the reference, EOS included.
        losses: loss of each token in nats.
    """

    line: int
    src: str
    reference: str
    translation: str
    loss: float
    pieces: list[str]
    losses: list[float]


@dataclass(frozen=True)
class Quality:
    """Quality of a model's translations of a text.

    Attributes:
        text: name of the text.
        fingerprint: hash of source and references.
        weights: name of the weights directory used.
        search: search settings used.
        sentences: number of pairs.
        scores: corpus scores with confidence intervals.
        ppl: per-token perplexity of the first reference; None if it could not be scored.
        length_unit: unit of source lengths: words or characters.
        by_length: BLEU of each bucket of source lengths.
        samples: sentences with the largest loss per token, largest first.
    """

    text: str
    fingerprint: str
    weights: str
    search: str
    sentences: int
    scores: list[Score]
    ppl: float | None
    length_unit: str
    by_length: list[LengthScore]
    samples: list[Sample]


def measure(
    model: Model,
    data: EvaluationData,
    text: str,
    track: Track,
    warn: Callable[[str], None],
) -> Quality:
    """Translate a text with the search settings of the model's configuration, and score it.

    Args:
        model: the model.
        data: source and references.
        text: name of the text.
        track: shows progress.
        warn: called with each warning.

    Raises:
        DataError: if there is nothing to score, or a line does not fit into memory.
    """
    if not data.src:
        raise DataError(f"{text}: contains no sentences")
    translator = model.translator({}, warn=warn)
    with track("translating", len(data.src)) as advance:
        translated = translator.translate(
            data.src, languages=data.languages or None, contexts=data.contexts, advance=advance
        )
        hypotheses = [translation.text for translation in translated]
    if summary := translator.short.summary():
        warn(summary)
    options = EvaluateOptions(("bleu", "chrf"), tgt_lang=data.tgt_lang, confidence=True)
    losses, ppl = _losses(model, data, track, warn)
    unit = "characters" if model.config.data.src_lang.startswith(_UNSPACED) else "words"
    return Quality(
        text=text,
        fingerprint=_fingerprint(data),
        weights=model.weights.name,
        search=f"beam size {translator.options.beam_size}, "
        f"length penalty {translator.options.length_penalty:g}",
        sentences=len(data.src),
        scores=evaluate(hypotheses, data.refs, options),
        ppl=ppl,
        length_unit=unit,
        by_length=bleu_by_length(data, hypotheses, unit),
        samples=hardest(data, hypotheses, losses),
    )


def bleu_by_length(data: EvaluationData, hypotheses: Sequence[str], unit: str) -> list[LengthScore]:
    """Return corpus-level BLEU for each range of source lengths that has sentences.

    Args:
        data: source and references.
        hypotheses: translations of data.src.
        unit: unit of length: `words`, separated by white space, or `characters`.

    Returns:
        One score per non-empty range, shortest first.
    """
    buckets: dict[int, list[int]] = {}
    for index, line in enumerate(data.src):
        length = len(line.split() if unit == "words" else "".join(line.split()))
        buckets.setdefault(bisect.bisect_left(_BUCKET_LIMITS, length), []).append(index)
    options = EvaluateOptions(("bleu",), tgt_lang=data.tgt_lang, confidence=True)
    scores = []
    for bucket, indices in sorted(buckets.items()):
        refs = [[lines[index] for index in indices] for lines in data.refs]
        [bleu] = evaluate([hypotheses[index] for index in indices], refs, options)
        shortest = _BUCKET_LIMITS[bucket - 1] + 1 if bucket else 0
        longest = _BUCKET_LIMITS[bucket] if bucket < len(_BUCKET_LIMITS) else None
        scores.append(LengthScore(shortest, longest, len(indices), bleu))
    return scores


def hardest(
    data: EvaluationData, hypotheses: Sequence[str], scores: Sequence[PairScore]
) -> list[Sample]:
    """Return the `SAMPLES` pairs with the largest loss per token of the reference."""

    def loss(index: int) -> float:
        return -scores[index].log_prob / len(scores[index].token_log_probs)

    return [
        Sample(
            line=index + 1,
            src=data.src[index],
            reference=data.refs[0][index],
            translation=hypotheses[index],
            loss=loss(index),
            pieces=scores[index].pieces,
            losses=[-log_prob for log_prob in scores[index].token_log_probs],
        )
        for index in sorted(range(len(scores)), key=loss, reverse=True)[:SAMPLES]
    ]


def _losses(
    model: Model, data: EvaluationData, track: Track, warn: Callable[[str], None]
) -> tuple[list[PairScore], float | None]:
    """Return the scores and the perplexity of the references.

    Returns no scores, and None, if a reference has more tokens than the model has positions.
    """
    totals = Totals()
    scores = []
    try:
        with track("scoring the references", len(data.src)) as advance:
            languages = data.languages or None
            for score in model.score_stream(
                data.src, data.refs[0], languages=languages, advance=advance
            ):
                totals.add(score)
                scores.append(score)
    except DataError as error:
        warn(f"no per-sentence losses: {error}")
        return [], None
    return scores, totals.perplexity


def _fingerprint(data: EvaluationData) -> str:
    digest = hashlib.sha256()
    for lines in (data.src, *data.refs):
        digest.update("\n".join([*lines, ""]).encode("utf-8", "replace"))
        digest.update(b"\0")
    return digest.hexdigest()
