"""Forced scoring: the probabilities that a model assigns to given translations."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from nmt.config.languages import LanguagePair
from nmt.data.lines import check_text, replace_controls
from nmt.data.tags import Tagger
from nmt.errors import DataError
from nmt.progress import Advance
from nmt.translate.engine import Engine, check_positions
from nmt.translate.part_search import length_batches

_WINDOW_PAIRS = 2000


def perplexity(loss: float) -> float:
    """Return the perplexity for a loss in nats per token, limited to avoid overflow."""
    return math.exp(min(loss, 700.0))


@dataclass(frozen=True)
class PairScore:
    """The probability of a target sentence given its source."""

    log_prob: float
    """Natural logarithm; the sum of token_log_probs."""
    token_log_probs: list[float]
    """One per target token, EOS included."""
    pieces: list[str]
    """The target tokens as text, EOS included."""


def score_pairs(
    engine: Engine,
    src_lines: Iterable[str],
    tgt_lines: Iterable[str],
    batch_tokens: int,
    advance: Advance = lambda pairs: None,
    languages: Iterable[LanguagePair] | None = None,
) -> Iterator[PairScore]:
    """Score each target line as a translation of its source line.

    No pair is split or dropped: pairs longer than the training data are scored as they are, and
    a blank line is a sentence without tokens.

    Args:
        engine: what runs the model.
        src_lines: source text, read lazily.
        tgt_lines: target text, read lazily.
        batch_tokens: maximum tokens per batch on either side, padding included.
        advance: called with the number of pairs scored since the last call.
        languages: those of each pair, which a model with tags is told; by default the model's.

    Yields:
        The score of each pair, in order.

    Raises:
        ConfigError: if the model does not know a language.
        DataError: if one side has more lines than the other, or a pair is not valid text or has
            more tokens than the model has positions.
        FileError: if the model's probabilities are not finite.
    """
    tokenizers = engine.models[0].tokenizers
    tagger = Tagger(engine.models[0].config.data, tokenizers.src)
    tags = map(tagger.ids, itertools.repeat(tagger.default) if languages is None else languages)
    first_number = 1
    pairs = _paired(src_lines, tgt_lines)
    while window := list(itertools.islice(pairs, _WINDOW_PAIRS)):
        sources, targets = (
            [[*ids, tokenizer.eos_id] for ids in tokenizer.encode(lines)]
            for tokenizer, lines in zip(tokenizers, zip(*window, strict=True), strict=True)
        )
        sources = [next(tags) + ids for ids in sources]
        lengths = [max(map(len, pair)) for pair in zip(sources, targets, strict=True)]
        check_positions(lengths, first_number, engine.max_positions)
        scores: dict[int, PairScore] = {}
        for batch in length_batches(lengths, batch_tokens):
            of_batch = engine.score([sources[i] for i in batch], [targets[i] for i in batch])
            for i, log_probs in zip(batch, of_batch, strict=True):
                pieces = tokenizers.tgt.pieces(targets[i])
                scores[i] = PairScore(sum(log_probs), log_probs, pieces)
            advance(len(batch))
        yield from (scores[place] for place in range(len(window)))
        first_number += len(window)


@dataclass
class Totals:
    """Sums over the pairs of a text."""

    pairs: int = 0
    tokens: int = 0
    """Target tokens, EOS included."""
    log_prob: float = 0.0

    @property
    def perplexity(self) -> float:
        """Perplexity per target token; NaN without pairs."""
        return perplexity(-self.log_prob / self.tokens) if self.tokens else math.nan

    def add(self, score: PairScore) -> None:
        """Add a pair."""
        self.pairs += 1
        self.tokens += len(score.token_log_probs)
        self.log_prob += score.log_prob

    def __str__(self) -> str:
        return f"perplexity {self.perplexity:.4f} ({self.pairs} pairs, {self.tokens} tokens)"


def render(scores: Iterable[PairScore], totals: Totals, as_json: bool) -> Iterator[str]:
    """Yield one output line per score: its log_prob, or a JSON object with all its fields.

    Args:
        scores: scores of pairs.
        totals: updated with each score; the last line of JSON contains it.
        as_json: whether to write JSON. Without pairs, the perplexity is null.
    """
    for score in scores:
        totals.add(score)
        yield json.dumps(asdict(score), ensure_ascii=False) if as_json else f"{score.log_prob:.6f}"
    if as_json:
        figures = {**asdict(totals), "perplexity": totals.perplexity if totals.tokens else None}
        yield json.dumps(figures, allow_nan=False)


def _paired(src_lines: Iterable[str], tgt_lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    lines = itertools.zip_longest(src_lines, tgt_lines)
    for number, (src, tgt) in enumerate(lines, 1):
        if src is None or tgt is None:
            raise DataError(
                f"the {'target' if tgt is None else 'source'} side ends after line {number - 1}, "
                "but the other side continues: line n of one side must be the translation of "
                "line n of the other"
            )
        for text in (src, tgt):
            check_text(text, f"line {number}")
        yield replace_controls(src)[0], replace_controls(tgt)[0]
