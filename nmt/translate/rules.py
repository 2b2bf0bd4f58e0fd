"""The rules that the search options ask nmt's own search for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nmt.config.search import SearchOptions
from nmt.data.tokenizer import Tokenizers
from nmt.parsing.constraint import TreeConstraint, TreeGrammar
from nmt.search.constraints import (
    Constraint,
    Forbidden,
    MinLength,
    NoRepeatedNgrams,
    RepetitionPenalty,
)
from nmt.search.prefix import Prefixes
from nmt.search.required import RequiredTerms
from nmt.search.sample import Sampling
from nmt.search.stopping import EnoughFinished, NoneCanWin, StopRule
from nmt.search.term import Term
from nmt.translate.allowed import AllowedTokens
from nmt.translate.banned import BannedPhrases, banned_text
from nmt.translate.engine import never_output
from nmt.translate.terms import term_encoder


@dataclass(frozen=True)
class Rules:
    """Rules for one batch.

    Attributes:
        options: of the search.
        tokenizers: of the model.
        allowed: what the translations may contain, by default all tokens.
        device: device of the search.
    """

    options: SearchOptions
    tokenizers: Tokenizers
    allowed: AllowedTokens | None
    device: torch.device

    def numbers(self, ids: Sequence[int]) -> list[int]:
        """Return what the search calls these target tokens, without those it never chooses."""
        return self.allowed.numbers(ids) if self.allowed else [*ids]

    def reshaping(self) -> list[Constraint]:
        """Return the rules that change the probabilities, which are then normalized again."""
        options, tgt = self.options, self.tokenizers.tgt
        [eos_id] = self.numbers([tgt.eos_id])
        rules: list[Constraint] = [
            RepetitionPenalty(options.repetition_penalty),
            MinLength(options.min_length, eos_id),
            Forbidden(self.numbers(never_output(tgt)), self.device),
        ]
        if options.no_repeat_ngram_size:
            rules.append(NoRepeatedNgrams(options.no_repeat_ngram_size))
        return rules

    def excluding(self, sources: Sequence[list[int]]) -> list[Constraint]:
        """Return the rules that only exclude continuations; others keep their probabilities."""
        src, tgt = self.tokenizers
        forbidden = never_output(tgt)
        rules: list[Constraint] = []
        if self.options.trees:
            sentences = src.decode([ids[:-1] for ids in sources])
            rules.append(TreeConstraint(TreeGrammar(tgt), sentences))
            forbidden.remove(tgt.unk_id)  # it represents words only
        if self.options.banned:
            text = banned_text(tgt, tuple(self.options.banned))
            ids = self.allowed.ids_U if self.allowed else None
            rules.append(BannedPhrases(text, ids, self.device))
        return [*rules, Forbidden(self.numbers(forbidden), self.device)]

    def prefixes(self, prefixes: Sequence[list[int]]) -> Prefixes | None:
        """Return the beginnings of translations, for every draw or group of a sentence."""
        if not any(prefixes):
            return None
        options = self.options
        copies = options.candidates if options.samples else options.beam_groups
        forced = [self.numbers(prefix) for prefix in prefixes for _ in range(copies)]
        [eos_id] = self.numbers([self.tokenizers.tgt.eos_id])
        return Prefixes(forced, eos_id, self.device)

    def required(self, terms: Sequence[Sequence[Term]], limits: Sequence[int]) -> RequiredTerms:
        """Return the terms that translations must contain.

        Args:
            terms: those of each sentence.
            limits: maximum length of the translations of each sentence, EOS included.
        """
        numbered = [
            [[form._replace(tokens=(*self.numbers(form.tokens),)) for form in term] for term in row]
            for row in terms
        ]
        starts_word_V = torch.tensor(term_encoder(self.tokenizers.tgt).starts_word)
        if self.allowed:
            starts_word_V = starts_word_V[self.allowed.ids_U.cpu()]
        [eos_id] = self.numbers([self.tokenizers.tgt.eos_id])
        return RequiredTerms(numbered, starts_word_V, limits, eos_id, self.device)

    def stop(self) -> StopRule:
        """Return when the search for a sentence, or for a group of its beam, ends."""
        options = self.options
        if options.stop == "bound":
            return NoneCanWin(min(options.candidates, options.beam_size // options.beam_groups))
        return EnoughFinished(options.enough_finished)

    def sampling(self) -> Sampling:
        """Return how to draw."""
        options = self.options
        return Sampling(
            1.0 if options.temperature is None else options.temperature,
            options.top_k,
            options.top_p,
            1 if options.seed is None else options.seed,
        )
