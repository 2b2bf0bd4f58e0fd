"""Terms that translations must contain: their tokens, and checking translations for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from nmt.config.search import SearchOptions
from nmt.data.pieces import SPACE, begins_anywhere, text_of
from nmt.data.terms import behind_source
from nmt.data.tokenizer import Tokenizer
from nmt.errors import ConfigError, DataError
from nmt.search.term import Alternative, Term
from nmt.translate.engine import Model
from nmt.translate.glossary import Glossary, Variants


def check_search(options: SearchOptions) -> None:
    """Check that a search with these options can require terms.

    Raises:
        ConfigError: if it cannot.
    """
    reasons = [
        reason
        for reason, applies in (
            ("sampling", options.samples),
            ("decode.trees", options.trees),
            ("`beam_groups`", options.beam_groups > 1),
            ("`beam_size` 1", options.beam_size == 1),
        )
        if applies
    ]
    if reasons:
        raise ConfigError(
            f"required terms cannot be combined with {' or '.join(reasons)}: the beam is divided "
            "among hypotheses that have more and fewer of the terms, except with `terms` soft"
        )


def check_knows_terms(models: Sequence[Model], options: SearchOptions) -> None:
    """Check that models were trained with terms in their sources, as soft terms need.

    Raises:
        ConfigError: if one was not.
    """
    for model in models:
        if not model.config.data.terms:
            raise ConfigError(
                f"`terms` {options.terms}: {model.weights} was trained without terms in its "
                "sources; data.terms={} teaches them, also to a trained model (train.init_from), "
                "and `terms` hard requires terms of any model"
            )


def shown_terms(terms: Sequence[Variants], tokenizer: Tokenizer, room: int) -> list[int]:
    """Return the ids to append to a source so that the model sees the first form of each term.

    Args:
        terms: a repeated one is shown once.
        tokenizer: of the source side; soft terms take a joint vocabulary.
        room: the largest number of ids; terms that do not fit are left out.
    """
    shown: list[int] = []
    for ids in tokenizer.encode([variants[0] for variants in dict.fromkeys(terms)]):
        more = behind_source([ids], tokenizer)
        if len(shown) + len(more) <= room:
            shown += more
    return shown


class TermEncoder:
    """Turns terms into tokens.

    Each variant is tokenized by itself. In scripts without spaces, it may also occur without the
    space that the tokenizer puts in front.

    Args:
        tokenizer: of the target side.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        pieces = tokenizer.vocabulary()
        self._ids = {piece: token for token, piece in enumerate(pieces)}
        starts = [_starts_word(piece) for piece in pieces]
        for token in {*tokenizer.special_ids, *tokenizer.control_symbols.values()}:
            starts[token] = True
        self.starts_word = starts

    def encode(self, variants: Variants, where: str) -> Term:
        """Return the tokens of a term.

        Args:
            variants: its forms.
            where: the place to name in an error.

        Raises:
            DataError: if a form is empty, or contains characters that the vocabulary lacks.
        """
        alternatives = []
        for variant, ids in zip(variants, self._tokenizer.encode(variants), strict=True):
            if not ids:
                raise DataError(f"{where}: the term {variant!r} has no text")
            if self._tokenizer.unk_id in ids:
                raise DataError(
                    f"{where}: the term {variant!r} contains characters that the model's "
                    "vocabulary lacks"
                )
            text = self._tokenizer.decode([ids])[0]
            ends_anywhere = begins_anywhere(text[-1])
            alternatives.append(Alternative(tuple(ids), ends_anywhere))
            if begins_anywhere(text[0]) and (bare := self._without_space(ids)):
                alternatives.append(Alternative(bare, ends_anywhere))
        return alternatives

    def check(self, glossary: Glossary) -> None:
        """Raise a DataError if the terms of a glossary cannot be encoded."""
        for entry in glossary.entries:
            self.encode(entry.variants, entry.where)

    def missing(self, required: Sequence[Variants], text: str) -> list[str]:
        """Return the terms, by their first variant, that a translation does not contain."""
        return [variants[0] for variants in required if not self._has_any(variants, text)]

    def _has_any(self, variants: Variants, text: str) -> bool:
        # Also encoded and decoded, because the tokenizer may normalize characters.
        forms = [*variants, *self._tokenizer.decode(self._tokenizer.encode(variants))]
        return any(contains_words(text, form) for form in forms)

    def _without_space(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return tokens without the space in front; none if there are no such tokens."""
        [first] = self._tokenizer.pieces(ids[:1])
        if first == SPACE:
            return tuple(ids[1:])
        bare = self._ids.get(first.removeprefix(SPACE))
        return (bare, *ids[1:]) if bare is not None and first.startswith(SPACE) else ()


@lru_cache(maxsize=4)
def term_encoder(tokenizer: Tokenizer) -> TermEncoder:
    """Return the encoder for a tokenizer; cached, because it reads the whole vocabulary."""
    return TermEncoder(tokenizer)


def contains_words(text: str, words: str) -> bool:
    """Return whether a text contains words as whole words."""
    start = text.find(words)
    while start >= 0:
        end = start + len(words)
        begins = start == 0 or begins_anywhere(words[0]) or begins_anywhere(text[start - 1])
        ends = end == len(text) or begins_anywhere(words[-1]) or begins_anywhere(text[end])
        if begins and ends:
            return True
        start = text.find(words, start + 1)
    return False


def _starts_word(piece: str) -> bool:
    """Return whether a word may end before a piece."""
    text = text_of(piece)
    return not text or begins_anywhere(text[0])
