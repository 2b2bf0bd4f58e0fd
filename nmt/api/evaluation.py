"""Scores of translations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from nmt.translate.source import refuse_string

if TYPE_CHECKING:  # imported late, because it takes time
    from nmt.evaluation.metrics import Score


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    metrics: Sequence[str] = ("bleu", "chrf"),
    lowercase: bool = False,
    tokenize: str | None = None,
    tgt_lang: str = "",
    confidence: bool = False,
) -> list[Score]:
    """Score translations with sacreBLEU.

    Args:
        hypotheses: detokenized translations.
        references: a list with one reference per hypothesis, or several such lists.
        metrics: any of `bleu`, `chrf` and `ter`, or `bracket-f1` for parses.
        lowercase: ignore case in BLEU and chrF.
        tokenize: BLEU's tokenizer; by default sacreBLEU's for `tgt_lang`.
        tgt_lang: code of the target language; zh, ja and ko have their own tokenizers.
        confidence: estimate 95 % confidence intervals by bootstrap.

    Returns:
        One score per metric, with its signature.

    Raises:
        ConfigError: if a metric or setting is unknown.
        DataError: if the numbers of lines differ, or a string is given in place of a list.
    """
    refuse_string(hypotheses, "`hypotheses`", "lines")
    refuse_string(references, "`references`", "lines")
    from nmt.evaluation import metrics as scoring

    one = all(isinstance(lines, str) for lines in references)
    several = [references] if references and one else references
    options = scoring.EvaluateOptions(metrics, lowercase, tokenize, tgt_lang, confidence)
    return scoring.evaluate(hypotheses, cast(Sequence[Sequence[str]], several), options)
