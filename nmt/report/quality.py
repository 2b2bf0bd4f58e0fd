"""How well a model translates a text: scores, by length of the source, and where it fails."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from nmt.errors import DataError
from nmt.evaluation.metrics import EvaluateOptions, Score, evaluate
from nmt.evaluation.testsets import EvaluationData
from nmt.progress import Advance
from nmt.runs.model import TrainedModel
from nmt.translate.score import PairScore, Totals, score_pairs
from nmt.translate.translator import Translator

SAMPLES = 20
"""Sentences of the largest loss that are shown."""

_LONGEST = (5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100)
"""Largest lengths of the buckets; a last one holds what is longer."""
# Languages written without spaces: their length is counted in characters.
_UNSPACED = ("zh", "ja", "th", "lo", "km", "my")


class Track(Protocol):
    """Shows the progress of work on so many sentences; gives what to call as they are done."""

    def __call__(self, what: str, total: int) -> AbstractContextManager[Advance]: ...


@dataclass(frozen=True)
class LengthScore:
    """The score of the sentences of a range of source lengths."""

    shortest: int
    longest: int | None
    sentences: int
    bleu: Score


@dataclass(frozen=True)
class Sample:
    """A sentence that the model finds hard."""

    line: int
    """Number of the pair, from 1."""
    src: str
    reference: str
    translation: str
    loss: float
    """Of the reference, nats a token, the end mark included; not smoothed."""
    pieces: list[str]
    """Tokens of the reference and the end mark."""
    losses: list[float]
    """Of each of them, in nats."""


@dataclass(frozen=True)
class Quality:
    """What a model makes of a text and its reference translations.

    Attributes:
        text: what it is called.
        fingerprint: equal for equal text and references.
        weights: name of the directory of weights that translated.
        search: how.
        sentences: number of pairs.
        scores: of all of them, with confidence intervals.
        ppl: perplexity of the first reference a token; None if it could not be scored.
        length_unit: what the length of a source sentence is counted in.
        by_length: BLEU of buckets of such lengths.
        samples: those of the largest loss a token, largest first.
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
    model: TrainedModel,
    data: EvaluationData,
    text: str,
    track: Track,
    warn: Callable[[str], None],
) -> Quality:
    """Translate a text as its configuration says, and score it whole.

    Args:
        model: what translates.
        data: source and references.
        text: what to call it.
        track: shows the progress.
        warn: called with what the user should know.

    Raises:
        DataError: there is nothing to score, or a line does not fit into memory.
    """
    if not data.src:
        raise DataError(f"{text}: there is no sentence in it")
    translator = Translator([model], warn=warn)
    with track("translating", len(data.src)) as advance:
        translated = translator.translate(data.src, advance=advance)
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
    """Score the sentences of each range of source lengths as a corpus.

    Args:
        data: source and references.
        hypotheses: their translations.
        unit: `words`, which spaces end, or `characters`.

    Returns:
        A score for each range that has sentences, shortest first.
    """
    buckets: dict[int, list[int]] = {}
    for place, line in enumerate(data.src):
        length = len(line.split() if unit == "words" else "".join(line.split()))
        buckets.setdefault(bisect.bisect_left(_LONGEST, length), []).append(place)
    options = EvaluateOptions(("bleu",), tgt_lang=data.tgt_lang, confidence=True)
    scores = []
    for number, places in sorted(buckets.items()):
        refs = [[lines[place] for place in places] for lines in data.refs]
        [bleu] = evaluate([hypotheses[place] for place in places], refs, options)
        shortest = _LONGEST[number - 1] + 1 if number else 0
        longest = _LONGEST[number] if number < len(_LONGEST) else None
        scores.append(LengthScore(shortest, longest, len(places), bleu))
    return scores


def hardest(
    data: EvaluationData, hypotheses: Sequence[str], scores: Sequence[PairScore]
) -> list[Sample]:
    """Choose the `SAMPLES` pairs whose reference has the largest loss a token."""

    def loss(place: int) -> float:
        return -scores[place].log_prob / len(scores[place].token_log_probs)

    places = sorted(range(len(scores)), key=loss, reverse=True)[:SAMPLES]
    return [
        Sample(
            line=place + 1,
            src=data.src[place],
            reference=data.refs[0][place],
            translation=hypotheses[place],
            loss=loss(place),
            pieces=scores[place].pieces,
            losses=[-log_prob for log_prob in scores[place].token_log_probs],
        )
        for place in places
    ]


def _losses(
    model: TrainedModel, data: EvaluationData, track: Track, warn: Callable[[str], None]
) -> tuple[list[PairScore], float | None]:
    """Score the references; without scores if one is too long for the model's positions."""
    budget = model.config.decode.batch_tokens
    totals = Totals()
    scores = []
    try:
        with track("scoring the references", len(data.src)) as advance:
            for score in score_pairs(model, data.src, data.refs[0], budget, advance):
                totals.add(score)
                scores.append(score)
    except DataError as error:
        warn(f"no losses of sentences: {error}")
        return [], None
    return scores, totals.perplexity


def _fingerprint(data: EvaluationData) -> str:
    digest = hashlib.sha256()
    for lines in (data.src, *data.refs):
        digest.update("\n".join([*lines, ""]).encode("utf-8", "replace"))
        digest.update(b"\0")
    return digest.hexdigest()
