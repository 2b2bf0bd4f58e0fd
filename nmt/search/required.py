"""Beam search with required terms, by dynamic beam allocation.

Post and Vilar (2018, "Fast Lexically Constrained Decoding with Dynamic Beam Allocation for Neural
Machine Translation") divide the beam among banks: groups of hypotheses that have met the same
number of required tokens. Here a bank is the number of tokens that a hypothesis still needs,
because the alternatives of a term may differ in length. The banks take turns, the one that needs
the fewest tokens first. In each turn a bank adds its best remaining candidate to the beam. So all
banks get equal shares, and a bank that runs out of candidates leaves its slots to the others. As in
Hu et al. (2019, "Improved Lexically Constrained Decoding"), sorting does this for all sentences at
once.

The candidates are the most probable tokens of each hypothesis, and those that begin or continue a
term. The beam always keeps one of the hypotheses that need the fewest tokens, and one of its
candidates needs fewer still. So all terms occur, unless the maximum length comes first.

The number of tokens needed is an upper bound. It includes, for each term, one token that ends its
last word, although that token may also begin the next term. And it assumes that terms share no
tokens, except those at the end of a hypothesis. Say `a b` and `a b c` are required, where `c`
continues a word. A hypothesis that ends with `a b` can continue with `c`, but then `a b` is no
longer a whole word, and is needed once more.

Shapes: B sentences in the batch, W live hypotheses per sentence, R = B * W hypotheses, C
consecutive ones, N sentences that stay, M terms per sentence, A alternatives per term, L tokens per
alternative, X tokens that begin or continue a term, K candidates per hypothesis, P = W * K
candidates per sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nmt.search.slots import Beams, Candidates
from nmt.search.term import Term
from nmt.search.topk import top

_NEVER = 1 << 20  # more tokens than any hypothesis has


class _State(NamedTuple):
    """How far hypotheses are with their terms; the first dimensions are those of the hypotheses."""

    met_M: Tensor
    """bool, whether they contain a term. One at the very end does not count yet: its last word may
    continue."""
    matched_MAL: Tensor
    """bool, whether they end with the first l + 1 tokens of an alternative."""


class RequiredTerms:
    """A `Selection` that requires terms, and the `Constraint` that keeps its state.

    A term does not count if the next token continues its last word. Only hypotheses that contain
    all terms may end with EOS. At the maximum length, only those that need the fewest tokens are
    accepted.

    Args:
        terms: those of each sentence, at least one in the batch.
        starts_word_V: bool, whether a word may end before a token; true of EOS.
        max_lengths: as in `beam_search`.
        eos_id: the token that ends a hypothesis.
        device: device of the log-probabilities.
    """

    def __init__(
        self,
        terms: Sequence[Sequence[Term]],
        starts_word_V: Tensor,
        max_lengths: Sequence[int],
        eos_id: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self._eos_id = eos_id
        self._starts_word_V = starts_word_V.to(device)
        self._max_lengths_B = torch.tensor(max_lengths, device=device)
        every = [each for row in terms for term in row for each in term]
        shape = (
            len(terms),
            max(map(len, terms)),
            max(len(term) for row in terms for term in row),
            max(len(each.tokens) for each in every),
        )
        tokens_BMAL = torch.full(shape, -1)
        lengths_BMA = torch.full(shape[:3], _NEVER)
        ends_anywhere_BMA = torch.zeros(shape[:3], dtype=torch.bool)
        for number, row in enumerate(terms):
            for place, term in enumerate(row):
                for form, (tokens, ends_anywhere) in enumerate(term):
                    tokens_BMAL[number, place, form, : len(tokens)] = torch.tensor(tokens)
                    lengths_BMA[number, place, form] = len(tokens)
                    ends_anywhere_BMA[number, place, form] = ends_anywhere
        # The dimension of size 1 broadcasts over the hypotheses.
        self._tokens_B1MAL = tokens_BMAL[:, None].to(device)
        self._lengths_B1MA = lengths_BMA[:, None].to(device)
        self._ends_anywhere_B1MA = ends_anywhere_BMA[:, None].to(device)
        is_edge_BMAL = starts_word_V.cpu()[tokens_BMAL.clamp(min=0)]
        # bool, whether the token after the first l + 1 ones ends a word before it.
        self._next_is_edge_B1MAL = is_edge_BMAL.roll(-1, dims=-1)[:, None].to(device)
        self._state: _State | None = None

    def advance(self, tokens_BW: Tensor) -> None:
        """Take note of the newest token of each hypothesis."""
        if self._state is None:
            is_padding_B1M = (self._lengths_B1MA == _NEVER).all(dim=-1)
            self._state = _State(is_padding_B1M, torch.zeros_like(self._tokens_B1MAL).bool())
        else:
            self._state = self._after(self._state, tokens_BW)

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Exclude EOS where a term is missing."""
        needs_BW = self._needs(self._known)
        needs_C = needs_BW.flatten()[first : first + len(log_probs_CV)]
        log_probs_CV[:, self._eos_id].masked_fill_(needs_C > 0, -torch.inf)
        return log_probs_CV

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses."""
        self._state = _State(*(each[sentences_N[:, None], beams_NW] for each in self._known))
        self._tokens_B1MAL = self._tokens_B1MAL[sentences_N]
        self._lengths_B1MA = self._lengths_B1MA[sentences_N]
        self._ends_anywhere_B1MA = self._ends_anywhere_B1MA[sentences_N]
        self._next_is_edge_B1MAL = self._next_is_edge_B1MAL[sentences_N]

    def __call__(self, beams: Beams, log_probs: Iterable[Tensor], beam_size: int) -> Candidates:
        """Return candidates in the order in which the banks take turns; see `Selection`."""
        parts = []
        first = 0
        for log_probs_CV in log_probs:
            size = len(log_probs_CV)
            parts.append(self._continuations(log_probs_CV, first, 2 * beam_size))
            first += size
        log_probs_BWK, tokens_BWK = (
            torch.cat(each).view(*beams.scores_BW.shape, -1) for each in zip(*parts, strict=True)
        )
        scores_BWK = beams.scores_BW[..., None] + log_probs_BWK
        after = self._after(_State(*(each[:, :, None] for each in self._known)), tokens_BWK)
        needs_BWK = self._needs(after).masked_fill(scores_BWK.isneginf(), _NEVER)
        scores_BP, needs_BP = scores_BWK.flatten(1), needs_BWK.flatten(1)
        at_limit_B = self._max_lengths_B[beams.sentence_B] <= beams.tokens_BWT.shape[2] + 1
        lacking_BP = at_limit_B[:, None] & (needs_BP > needs_BP.amin(dim=1, keepdim=True))
        scores_BP = scores_BP.masked_fill(lacking_BP, -torch.inf)
        places_BK = in_turns(scores_BP, needs_BP.masked_fill(lacking_BP, _NEVER))
        places_BK = places_BK[:, : 2 * beam_size]
        return Candidates(
            scores_BP.gather(1, places_BK),
            places_BK // log_probs_BWK.shape[2],
            tokens_BWK.flatten(1).gather(1, places_BK),
            log_probs_BWK.flatten(1).gather(1, places_BK),
        )

    @property
    def _known(self) -> _State:
        assert self._state is not None
        return self._state

    def _aligned(self, each_B1: Tensor, like: Tensor, num_last: int) -> Tensor:
        """Return a tensor of the sentences that broadcasts over their hypotheses or candidates.

        Args:
            each_B1: [B, 1, ...].
            like: a tensor of the hypotheses [B, W, ...] or candidates [B, W, K, ...].
            num_last: number of last dimensions that the two have in common.
        """
        missing = like.dim() - each_B1.dim()
        last = each_B1.shape[each_B1.dim() - num_last :]
        return each_B1.view(len(each_B1), *[1] * (1 + missing), *last)

    def _ended(self, state: _State) -> Tensor:
        """Return the alternatives [..., M, A] that hypotheses end with."""
        lengths_1MA = self._aligned(self._lengths_B1MA, state.matched_MAL[..., 0], 2)
        last_1MA1 = (lengths_1MA.clamp(max=state.matched_MAL.shape[-1]) - 1)[..., None]
        index = last_1MA1.expand(*state.matched_MAL.shape[:-1], 1)
        return state.matched_MAL.gather(-1, index)[..., 0] & (lengths_1MA < _NEVER)

    def _after(self, state: _State, tokens: Tensor) -> _State:
        """Return the state of hypotheses after one more token of each.

        Args:
            state: its first dimensions broadcast with those of the tokens.
            tokens: int64 [B, W] or [B, W, K].
        """
        matched_MAL = state.matched_MAL
        ends_anywhere_MA = self._aligned(self._ends_anywhere_B1MA, matched_MAL[..., 0], 2)
        is_edge_11 = self._starts_word_V[tokens][..., None, None]
        met_M = state.met_M | (self._ended(state) & (is_edge_11 | ends_anywhere_MA)).any(dim=-1)
        before_MAL = torch.cat([torch.ones_like(matched_MAL[..., :1]), matched_MAL[..., :-1]], -1)
        tokens_MAL = self._aligned(self._tokens_B1MAL, matched_MAL, 3)
        return _State(met_M, before_MAL & (tokens_MAL == tokens[..., None, None, None]))

    def _needs(self, state: _State) -> Tensor:
        """Return how many tokens hypotheses need at most; 0 if they contain all terms.

        A hypothesis can either end its last word first, so that a loose term counts, or continue a
        term that has begun. The number is that of the shorter way. At least one of the tokens of
        `_wanted` makes it smaller.
        """
        costs_M, is_open_M, is_loose_M = self._costs_and_kinds(state)
        step_MA, _ = self._next_steps(state)
        total = (costs_M * is_open_M).sum(dim=-1)
        ending = is_loose_M.any(dim=-1).int()
        needs = total + torch.minimum(ending, step_MA.flatten(-2).amin(dim=-1))
        return needs.masked_fill(~is_open_M.any(dim=-1), 0)

    def _costs_and_kinds(self, state: _State) -> tuple[Tensor, Tensor, Tensor]:
        """Return what terms [..., M] cost, and which ones are open or loose.

        An open term is missing. A loose one is at the very end, and counts only if the next token
        does not continue its last word. The cost is the number of tokens of the shortest
        alternative, plus one that ends the last word.
        """
        lengths_MA = self._aligned(self._lengths_B1MA, state.matched_MAL[..., 0], 2)
        ends_anywhere_MA = self._aligned(self._ends_anywhere_B1MA, state.matched_MAL[..., 0], 2)
        ended_MA = self._ended(state)
        is_open_M = ~(state.met_M | ended_MA.any(dim=-1))
        is_loose_M = ~(state.met_M | is_open_M | (ended_MA & ends_anywhere_MA).any(dim=-1))
        return lengths_MA.amin(dim=-1) + 1, is_open_M, is_loose_M

    def _next_steps(self, state: _State) -> tuple[Tensor, Tensor]:
        """Return what each alternative [..., M, A] would save if hypotheses continued it.

        Returns:
            The change in the number of tokens needed, `_NEVER` if the alternative has not begun;
            and the index of its next token.
        """
        costs_M, is_open_M, is_loose_M = self._costs_and_kinds(state)
        lost = (costs_M * is_loose_M).sum(dim=-1)[..., None, None, None]
        lengths_MA1 = self._aligned(self._lengths_B1MA, state.matched_MAL[..., 0], 2)[..., None]
        counts_L = torch.arange(1, state.matched_MAL.shape[-1] + 1, device=lost.device)
        left_MAL = lengths_MA1 - counts_L
        is_edge_MAL = self._aligned(self._next_is_edge_B1MAL, state.matched_MAL, 3)
        changes_MAL = left_MAL + 1 - costs_M[..., None, None] + torch.where(is_edge_MAL, 0, lost)
        is_possible_MAL = state.matched_MAL & (left_MAL > 0) & is_open_M[..., None, None]
        best = changes_MAL.masked_fill(~is_possible_MAL, _NEVER).min(dim=-1)
        return best.values, best.indices + 1

    def _continuations(self, log_probs_CV: Tensor, first: int, count: int) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities and ids [C, K] of the next tokens that are considered.

        They are the `count` best, then those that begin or continue a term, and, after a loose
        term, the best one that ends its last word. A repeated token has a log-probability of -inf.
        """
        rows = slice(first, first + len(log_probs_CV))
        best_CK, best_tokens_CK = top(log_probs_CV, count)
        next_CX, is_ended_C = (each[rows] for each in self._wanted())
        edges_CV = log_probs_CV.masked_fill(~self._starts_word_V, -torch.inf)
        edge_C1 = edges_CV.argmax(dim=1, keepdim=True).masked_fill(~is_ended_C[:, None], -1)
        more_CX = torch.cat([next_CX, edge_C1], dim=1)
        known_CXX = (more_CX[:, :, None] == more_CX[:, None]).tril(-1)
        is_known_CX = known_CXX.any(dim=2) | (more_CX[:, :, None] == best_tokens_CK[:, None]).any(2)
        more_tokens_CX = more_CX.clamp(min=0)
        log_probs_CX = log_probs_CV.gather(1, more_tokens_CX)
        log_probs_CX = log_probs_CX.masked_fill(is_known_CX | (more_CX < 0), -torch.inf)
        return torch.cat([best_CK, log_probs_CX], 1), torch.cat([best_tokens_CK, more_tokens_CX], 1)

    def _wanted(self) -> tuple[Tensor, Tensor]:
        """Return what hypotheses need next.

        Returns:
            int64 [R, X], tokens that begin or continue a missing term, -1 for none; bool [R],
            whether a term at the end must be followed by a token that ends its last word.
        """
        state = self._known
        _, is_open_BWM, is_loose_BWM = self._costs_and_kinds(state)
        changes_BWMA, place_BWMA = self._next_steps(state)
        tokens_BWMAL = self._tokens_B1MAL.expand(*changes_BWMA.shape, -1)
        place_BWMA1 = place_BWMA.clamp(max=tokens_BWMAL.shape[-1] - 1)[..., None]
        next_BWMA = tokens_BWMAL.gather(-1, place_BWMA1)[..., 0]
        next_BWMA = next_BWMA.masked_fill(changes_BWMA == _NEVER, -1)
        first_BWMA = tokens_BWMAL[..., 0].masked_fill(~is_open_BWM[..., None], -1)
        next_RX = torch.cat([next_BWMA.flatten(2), first_BWMA.flatten(2)], dim=2).flatten(0, 1)
        return next_RX, is_loose_BWM.any(dim=-1).flatten()


def in_turns(scores_BP: Tensor, needs_BP: Tensor) -> Tensor:
    """Return the places of candidates [B, P] in the order in which their banks take turns.

    Args:
        scores_BP: higher ones come first within a bank; ties by place.
        needs_BP: the bank of each candidate, that is how many tokens it needs; `_NEVER` for places
            without a candidate, which come last.
    """
    order_BP = scores_BP.sort(dim=1, descending=True, stable=True).indices
    banks_BP, within_BP = needs_BP.gather(1, order_BP).sort(dim=1, stable=True)
    order_BP = order_BP.gather(1, within_BP)
    places_P = torch.arange(scores_BP.shape[1], device=scores_BP.device)
    is_new_BP = torch.ones_like(banks_BP, dtype=torch.bool)
    is_new_BP[:, 1:] = banks_BP[:, 1:] != banks_BP[:, :-1]
    ranks_BP = places_P - torch.where(is_new_BP, places_P, 0).cummax(dim=1).values
    # Stable: among candidates of the same rank, the most advanced bank comes first.
    turns_BP = ranks_BP.masked_fill(banks_BP == _NEVER, _NEVER).sort(dim=1, stable=True).indices
    return order_BP.gather(1, turns_BP)
