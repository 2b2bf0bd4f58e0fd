"""Translations with their scores, and how those of a line's parts become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nmt.search.hypothesis import length_factor
from nmt.translate.words import Links, split_words

FLAGS = (
    *("short", "long", "repetition", "copied", "language"),
    *("numbers", "addresses", "placeholders", "omission", "confidence"),
)
"""What may be wrong with a translation; see `nmt.translate.guard`."""


@dataclass(frozen=True)
class ScoredText:
    """A translation with its scores."""

    text: str
    score: float
    """Length-normalized log-probability, by which hypotheses are ranked; 0 for a blank line."""
    log_prob: float = 0.0
    """Natural logarithm of the probability."""
    num_tokens: int = 0
    """Target tokens, EOS included (for each part of a split line)."""
    token_log_probs: list[float] = field(default_factory=list)
    """Natural logarithms, one per target token, if they were asked for."""
    alignment: Links = field(default_factory=list)
    """Word alignment, if there is an aligner."""
    length_factor: float = 1.0
    """What log_prob is divided by; score = log_prob / length_factor + coverage."""
    coverage: float = 0.0
    """The coverage penalty, at most 0."""
    tokens: list[str] = field(default_factory=list)
    """The pieces, EOS included, if alternatives were asked for."""
    alternatives: list[list[tuple[str, float]]] = field(default_factory=list)
    """For each token, the most probable pieces at its position and their log-probabilities, if
    they were asked for."""
    utility: float | None = None
    """With mbr, the expected utility, from 0 to 100; of a split line, the mean of its parts'."""

    @property
    def log_prob_per_token(self) -> float:
        """Natural logarithm of the probability, divided by the number of tokens."""
        return self.log_prob / max(1, self.num_tokens)


@dataclass(frozen=True)
class Translation:
    """The translation of a line."""

    hypotheses: list[ScoredText]
    """Up to `nbest`: the best ones, best first; or samples, in the order of drawing; or with mbr,
    distinct ones by decreasing utility. At least one, and fewer than `nbest` only if the model, the
    diverse groups or mbr have no more distinct ones."""
    flags: tuple[str, ...] = ()
    """Why the best one may be bad: some of `FLAGS`, in that order. Without a guard, only lengths
    are checked."""
    confidence: float | None = None
    """With a guard, the probability that the best one is acceptable, if the run is calibrated."""
    missing: list[str] = field(default_factory=list)
    """The required terms that the best one lacks, by their first form."""

    @property
    def text(self) -> str:
        """The best translation, or the first sample."""
        return self.hypotheses[0].text

    @property
    def score(self) -> float:
        """The score of the best translation."""
        return self.hypotheses[0].score

    @property
    def is_short(self) -> bool:
        """Whether the best translation, or a part of it, is suspiciously short for its source."""
        return "short" in self.flags

    @property
    def token_log_probs(self) -> list[float]:
        """The log-probabilities of the tokens of the best translation, if they were asked for."""
        return self.hypotheses[0].token_log_probs

    @property
    def alignment(self) -> Links:
        """The word alignment of the best translation, if it was asked for."""
        return self.hypotheses[0].alignment


_BLANK = Translation([ScoredText("", 0.0)])


def in_order(flags: Iterable[str]) -> tuple[str, ...]:
    """Return flags in the order of `FLAGS`, each once."""
    given = set(flags)
    return tuple(flag for flag in FLAGS if flag in given)


def joined(
    parts: Sequence[list[ScoredText]], length_penalty: float, flags: tuple[str, ...]
) -> Translation:
    """Join the n-th best translations of a line's parts to the line's n-th best.

    Args:
        parts: the translations of each part, best first; none for a blank line.
        length_penalty: as in the search; it determines the score of the whole line.
        flags: what may be wrong with a part.
    """
    if len(parts) < 2:
        return Translation(parts[0], flags) if parts else _BLANK
    lines = []
    for hypotheses in zip(*parts, strict=False):
        log_prob = sum(h.log_prob for h in hypotheses)
        num_tokens = sum(h.num_tokens for h in hypotheses)
        factor = length_factor(num_tokens, length_penalty)
        coverage = sum(h.coverage for h in hypotheses)
        lines.append(
            ScoredText(
                " ".join(h.text for h in hypotheses if h.text),
                log_prob / factor + coverage,
                log_prob,
                num_tokens,
                [log_prob for h in hypotheses for log_prob in h.token_log_probs],
                _joined_links(hypotheses),
                factor,
                coverage,
                [token for h in hypotheses for token in h.tokens],
                [row for h in hypotheses for row in h.alternatives],
                _mean_utility(hypotheses),
            )
        )
    return Translation(lines, flags)


def _mean_utility(parts: Sequence[ScoredText]) -> float | None:
    utilities = [part.utility for part in parts if part.utility is not None]
    return sum(utilities) / len(utilities) if utilities else None


def _joined_links(parts: Sequence[ScoredText]) -> Links:
    """Join the alignments of parts, counting target words over all of them."""
    links = []
    words_before = 0
    for part in parts:
        links += [(src, tgt + words_before) for src, tgt in part.alignment]
        words_before += len(split_words(part.text))
    return sorted(links)
