"""Hypotheses and their scores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """A translation as token ids."""

    ids: list[int]
    """Token ids without BOS and EOS."""
    score: float
    """log_prob divided by the length penalty, plus the coverage penalty; hypotheses are ranked by
    it."""
    log_prob: float
    """Natural logarithm of the probability."""
    num_tokens: int
    """Number of tokens, with EOS unless the maximum length cut the hypothesis off."""
    token_log_probs: list[float]
    """One per token, EOS included; empty if they were not asked for. They sum to log_prob, unless
    options of the search changed the model's probabilities."""
    coverage: float = 0.0
    """The coverage penalty, at most 0."""

    @classmethod
    def from_tokens(
        cls,
        ids: list[int],
        token_log_probs: list[float],
        eos_id: int,
        length_penalty: float,
        coverage: float = 0.0,
    ) -> Hypothesis:
        """Return the hypothesis with these tokens, the last of which may be EOS."""
        log_prob = sum(token_log_probs)
        score = normalized_score(log_prob, len(ids), length_penalty) + coverage
        if ids[-1] == eos_id:
            ids = ids[:-1]
        return cls(ids, score, log_prob, len(token_log_probs), token_log_probs, coverage)


def length_factor(length: int, length_penalty: float) -> float:
    """Return ((5 + length) / 6) ** length_penalty, by which log_prob is divided.

    Args:
        length: number of tokens, EOS included.
        length_penalty: alpha (Wu et al. 2016, eq. 14).
    """
    return float(((5 + length) / 6) ** length_penalty)


def normalized_score(log_prob: float, length: int, length_penalty: float) -> float:
    """Return log_prob / ((5 + length) / 6) ** length_penalty (Wu et al. 2016, eq. 14).

    Args:
        log_prob: sum over all tokens.
        length: number of tokens, EOS included.
        length_penalty: alpha; 0 leaves log_prob unchanged.
    """
    return log_prob / length_factor(length, length_penalty)
