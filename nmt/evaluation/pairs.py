"""Scores of each language pair of a text in several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from nmt.config.languages import LanguagePair
from nmt.evaluation.metrics import EvaluateOptions, Score, evaluate


def numbers_by_pair(languages: Iterable[LanguagePair]) -> dict[LanguagePair, list[int]]:
    """Return the numbers of the sentences of each pair, from 0; empty if there is only one pair."""
    found: dict[LanguagePair, list[int]] = {}
    for number, pair in enumerate(languages):
        found.setdefault(pair, []).append(number)
    return found if len(found) > 1 else {}


def evaluate_pairs(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    languages: Iterable[LanguagePair],
    options: EvaluateOptions,
) -> Iterator[Score]:
    """Score the sentences of each language pair; BLEU tokenizes as for its target language.

    Args:
        hypotheses, references, options: as in `evaluate`.
        languages: those of each sentence.

    Yields:
        One score per pair and metric; none if all sentences are of one pair.

    Raises:
        ConfigError, DataError, FileError: as in `evaluate`.
    """
    for pair, numbers in numbers_by_pair(languages).items():
        refs = [[lines[number] for number in numbers] for lines in references]
        of_pair = replace(options, tgt_lang=pair.tgt)
        for score in evaluate([hypotheses[number] for number in numbers], refs, of_pair):
            yield replace(score, languages=str(pair))
