"""Minimum Bayes risk decoding: choose the candidate of highest expected utility.

Kumar and Byrne (2004) choose from an n-best list, Eikema and Aziz (2020) from samples. The
candidates are also the pseudo-references. Their n-grams are counted once, not once per pair, which
keeps the cost of the N * N utilities below that of finding the candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Utility = Literal["chrf", "bleu"]

_CHRF_ORDER, _CHRF_BETA = 6, 2
_BLEU_ORDER = 4
_DIGITS = 9  # candidates that differ by less are tied; rounding does not decide


class Chosen(NamedTuple):
    """A candidate."""

    place: int
    """Its place among the candidates; of equal texts, that of the first."""
    utility: float
    """Its expected utility, from 0 to 100."""


def best_candidates(
    texts: Sequence[str], weights: Sequence[float], utility: Utility
) -> list[Chosen]:
    """Return the distinct candidates, by decreasing expected utility.

    Args:
        texts: at least one; equal texts count as one with the sum of their weights.
        weights: of the texts as pseudo-references, at least 0, with a positive sum.
        utility: `chrf` or `bleu`, of sentences.
    """
    weight_of: dict[str, float] = {}
    first: dict[str, int] = {}
    for place, (text, weight) in enumerate(zip(texts, weights, strict=True)):
        weight_of[text] = weight_of.get(text, 0.0) + weight
        first.setdefault(text, place)
    matrix_NN = (chrf_matrix if utility == "chrf" else bleu_matrix)([*weight_of])
    weights_N = np.array([*weight_of.values()])
    expected_N = (matrix_NN * weights_N).sum(axis=1) / weights_N.sum()
    order = np.argsort(-expected_N.round(_DIGITS), kind="stable").tolist()
    places = [*first.values()]
    return [Chosen(places[i], float(expected_N[i])) for i in order]


def weights_of_list(log_probs: Sequence[float]) -> list[float]:
    """Return the probabilities of the hypotheses of an n-best list, normalized over the list."""
    highest = max(log_probs)
    return [math.exp(log_prob - highest) for log_prob in log_probs]


def chrf_matrix(texts: Sequence[str]) -> Floats:
    """Return chrF2 of each text [row] against each text [column].

    It equals `sacrebleu.sentence_chrf(row, [column]).score`: character n-grams up to 6 without
    white space, precision and recall averaged over the orders that both texts have (Popović 2015).
    """
    rows = ["".join(text.split()) for text in texts]
    shape = (len(rows), len(rows))
    precision_NN, recall_NN, orders_NN = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for matches_NN, totals_N in _matches([[*map(ord, row)] for row in rows], _CHRF_ORDER):
        both_NN = (totals_N[:, None] > 0) & (totals_N > 0)
        highest_N = np.maximum(totals_N, 1)
        precision_NN += matches_NN / highest_N[:, None]
        recall_NN += matches_NN / highest_N
        orders_NN += both_NN
    factor = _CHRF_BETA**2
    precision_NN /= np.maximum(orders_NN, 1)
    recall_NN /= np.maximum(orders_NN, 1)
    numerator_NN = (1 + factor) * precision_NN * recall_NN
    denominator_NN = factor * precision_NN + recall_NN
    return 100 * numerator_NN / np.where(denominator_NN > 0, denominator_NN, 1)


def bleu_matrix(texts: Sequence[str]) -> Floats:
    """Return BLEU of each text [row] against each text [column].

    It equals `sacrebleu.sentence_bleu(row, [column]).score`: tokenizer 13a, exponential smoothing,
    and only orders that the row has (Papineni et al. 2002; Chen and Cherry 2014, method 3).
    """
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenize: Callable[[str], str] = Tokenizer13a()  # type: ignore[no-untyped-call]
    ids: dict[str, int] = {}
    rows = [
        [ids.setdefault(word, len(ids)) for word in tokenize(text.rstrip()).split()]
        for text in texts
    ]
    shape = (len(rows), len(rows))
    logs_NN, halvings_NN, matched_NN = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    orders_N = np.zeros(len(rows))
    for matches_NN, totals_N in _matches(rows, _BLEU_ORDER):
        has_N1 = (totals_N > 0)[:, None]
        none_NN = has_N1 & (matches_NN == 0)
        halvings_NN += none_NN
        smoothed_NN = np.where(none_NN, 0.5**halvings_NN, matches_NN)
        precision_NN = smoothed_NN / np.maximum(totals_N, 1)[:, None]
        logs_NN += np.log(np.where(has_N1, precision_NN, 1))
        matched_NN |= matches_NN > 0
        orders_N += has_N1[:, 0]
    lengths_N = np.array([*map(len, rows)])
    shortness_NN = 1 - lengths_N / np.maximum(lengths_N, 1)[:, None]
    mean_NN = logs_NN / np.maximum(orders_N, 1)[:, None]
    return np.where(matched_NN, 100 * np.exp(mean_NN + np.minimum(shortness_NN, 0)), 0.0)


def _matches(rows: Sequence[Sequence[int]], highest_order: int) -> list[tuple[Floats, Ints]]:
    """Count the n-grams that sequences have in common.

    Args:
        rows: N sequences of ids.
        highest_order: the orders are 1 to this.

    Returns:
        For each order: the clipped matches of each pair [N, N], and the n-grams of each row [N].
    """
    lengths_N = np.array([*map(len, rows)])
    ids_L = np.array([each for row in rows for each in row], np.int64)
    row_L = np.repeat(np.arange(len(rows)), lengths_N)
    left_L = np.repeat(np.cumsum(lengths_N), lengths_N) - np.arange(len(ids_L))  # in its row
    _, first_L = np.unique(ids_L, return_inverse=True)
    places_P, code_P = np.arange(len(ids_L)), first_L
    found = []
    for order in range(1, highest_order + 1):
        if order > 1:  # an n-gram is the one before it and one more id
            fits_P = left_L[places_P] >= order
            places_P = places_P[fits_P]
            longer_P = code_P[fits_P] * (len(ids_L) + 1) + first_L[places_P + order - 1]
            _, code_P = np.unique(longer_P, return_inverse=True)
        matches_NN = _clipped(row_L[places_P], code_P, len(rows))
        found.append((matches_NN, np.maximum(lengths_N - order + 1, 0)))
    return found


def _clipped(row_P: Ints, code_P: Ints, num_rows: int) -> Floats:
    """Return the sum over codes of the lower of the two counts, for each pair of rows [N, N]."""
    num_codes = int(code_P.max()) + 1 if len(code_P) else 0
    counts_NC = np.bincount(row_P * num_codes + code_P, minlength=num_rows * num_codes)
    counts_NC = counts_NC.reshape(num_rows, num_codes)
    matches_NN = np.zeros((num_rows, num_rows))
    level = 1
    while counts_NC.size:  # min(a, b) is the number of levels that both reach
        reached_NC = (counts_NC >= level).astype(np.float32)  # exact below 2 ** 24
        matches_NN += reached_NC @ reached_NC.T
        level += 1
        counts_NC = counts_NC[:, counts_NC.max(axis=0) >= level]
    return matches_NN
