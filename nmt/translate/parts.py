"""Lines as parts: what the search takes."""

from __future__ import annotations

import itertools
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from nmt.config.languages import LanguagePair
from nmt.config.search import SearchOptions
from nmt.data.context import before_source
from nmt.data.tags import Tagger
from nmt.data.terms import without_terms
from nmt.data.tokenizer import Token
from nmt.errors import ConfigError, DataError
from nmt.search.term import Term
from nmt.translate.context import ContextEncoder, context_size
from nmt.translate.engine import Engine
from nmt.translate.glossary import Glossary, Variants
from nmt.translate.sentences import sentence_starts
from nmt.translate.source import Source, cleaned
from nmt.translate.split import split_line
from nmt.translate.terms import check_knows_terms, check_search, shown_terms, term_encoder
from nmt.translate.words import NO_WORD, word_numbers


class Part(NamedTuple):
    """A line, or a part of a split line, ready for the search."""

    line: int
    """Number of the line in the input."""
    part: int
    src_ids: list[int]
    """With tags, context, the terms that are shown to the model, and EOS."""
    words: list[int]
    """The number of its word in the line for each token, except those of terms; empty without an
    aligner."""
    prefix: list[int]
    """Target ids that its translations begin with."""
    terms: list[Term]
    """The terms that the search puts into its translations."""

    @property
    def key(self) -> str:
        """Determines, with the seed, what is sampled for it."""
        return f"{self.line}.{self.part}"


class Divider:
    """Turns lines into parts: encodes them, and divides those that are too long.

    Args:
        engine: what will search the parts.
        engine_for_terms: returns what will search those with required terms.
        options: of the search.
        glossary: required translations of terms.
        warn: called with a message for each line that is too long.
        with_words: number the words, for alignments.

    Attributes:
        max_input: most tokens of an input, EOS included; longer ones are split.
        context: largest number of sentences before an input, as its context.

    Raises:
        ConfigError: if the model does not know a language of the options, cannot be shown terms, or
            was trained with less context.
        DataError: if the glossary has translations that the vocabulary lacks.
    """

    def __init__(
        self,
        engine: Engine,
        engine_for_terms: Callable[[], Engine],
        options: SearchOptions,
        glossary: Glossary | None,
        warn: Callable[[str], object],
        *,
        with_words: bool,
    ) -> None:
        self._max_positions = engine.max_positions
        self._engine_for_terms = engine_for_terms
        self._options, self._glossary, self._warn = options, glossary, warn
        self._with_words = with_words
        models = engine.models
        self._src, self._tgt = models[0].tokenizers
        self._tagger = Tagger(models[0].config.data, self._src)
        self._languages = self._tagger.chosen(options.src_lang, options.tgt_lang)
        if options.src_lang or options.tgt_lang:
            self._tagger.ids(self._languages)  # fail now rather than at the first line
        self._shows_terms = options.terms != "hard"
        self._requires_terms = options.terms != "soft"
        if self._shows_terms:
            check_knows_terms(models, options)
        if glossary:
            if self._requires_terms:
                check_search(options)
            term_encoder(self._tgt).check(glossary)
        trained_on = min(model.config.data.max_length for model in models)
        self.max_input = min(options.max_input_length or trained_on, self._max_positions)
        self.context = context_size(models, options)
        self._context_encoder = ContextEncoder(self._src, each_sentence=options.split_sentences)

    def parts(self, lines: list[tuple[int, Source]]) -> list[Part]:
        """Return the parts of numbered lines, in order; a blank line has none.

        Raises:
            ConfigError: if the model does not know a language, or the options forbid prefixes or
                terms.
            DataError: if a prefix or constraints cannot be used.
        """
        sources = [source for _, source in lines]
        encoded = self._src.encode([source.text for source in sources])
        contexts = self._context_encoder.encode(sources, self._languages.src)
        rows = zip(lines, encoded, contexts, self._prefixes(lines), strict=True)
        return [part for row in rows for part in self._parts_of(*row)]

    def _parts_of(
        self,
        line: tuple[int, Source],
        ids_of_line: list[int],
        context: list[list[int]],
        prefix: list[int],
    ) -> Iterator[Part]:
        """Yield the parts of a numbered line. Earlier parts are context of later ones."""
        number, source = line
        tags = self._tags(number, source)
        sentences = deque(context, self.context)  # the last ones
        for place, (ids, words, terms) in enumerate(self._divided(source, ids_of_line, number)):
            room = self.max_input - 1 - len(tags) - len(ids)
            before = before_source(sentences, room, self._src)
            yield Part(
                number,
                place,
                [*tags, *before, *ids, self._src.eos_id],
                [NO_WORD] * len(before) + words if words else [],
                [] if place else prefix,
                terms,
            )
            sentences.append(without_terms(ids, self._src))

    def encoded(self, source: Source) -> tuple[list[int], list[int]]:
        """Return the ids of a line as the search takes them, and those of its prefix.

        Returns:
            Source ids, with tags and EOS, or [] if the line is blank; and target ids.

        Raises:
            ConfigError: if the model does not know a language.
            DataError: if the line is not valid text, or has too many tokens to be searched in one
                part, or the prefix cannot be used.
        """
        clean = cleaned(source, 1)
        [ids] = self._src.encode([clean.text])
        [prefix] = self._prefixes([(1, clean)])
        if not ids:
            return [], prefix
        src_ids = [*self._tags(1, clean), *ids, self._src.eos_id]
        if len(src_ids) > self.max_input:
            raise DataError(
                f"line 1: {len(src_ids)} tokens are more than the {self.max_input} that the model "
                "takes at a time: give it one sentence"
            )
        return src_ids, prefix

    def _tags(self, number: int, source: Source) -> list[int]:
        """Return the source ids that tell the model the languages of a numbered line."""
        src, tgt = source.src_lang, source.tgt_lang
        default = self._languages
        try:
            return self._tagger.ids(LanguagePair(src or default.src, tgt or default.tgt))
        except ConfigError as error:
            if src is None and tgt is None:
                raise
            raise DataError(f"line {number}: {error}") from error

    def _prefixes(self, lines: list[tuple[int, Source]]) -> list[list[int]]:
        """Return the target ids of the prefixes of numbered lines."""
        found = self._tgt.encode([source.prefix for _, source in lines])
        for (number, source), ids in zip(lines, found, strict=True):
            if ids and self._options.trees:
                raise ConfigError(f"line {number}: a prefix cannot be combined with decode.trees")
            if self._tgt.unk_id in ids:
                raise DataError(
                    f"line {number}: the prefix {source.prefix!r} contains characters that the "
                    "model's vocabulary lacks"
                )
            if len(ids) >= self._max_positions:
                raise DataError(
                    f"line {number}: the prefix has {len(ids)} tokens, but the model has positions "
                    f"for {self._max_positions}, EOS included"
                )
        return found

    def _divided(
        self, source: Source, ids: list[int], number: int
    ) -> list[tuple[list[int], list[int], list[Term]]]:
        """Return the ids, words and terms of each part of a line; none if it is blank.

        A line with constraints is not divided at sentences: they do not say where they belong. The
        terms that are shown to the model take at most half of its longest input.
        """
        line = source.text
        found = [*self._glossary.find(line)] if self._glossary else []
        given = [*source.constraints]
        terms_of_line = [*given, *(each.variants for each in found)]
        if terms_of_line and self._requires_terms:
            self._check_terms(number)
        limit = max(1, self.max_input - 1 - self._tagger.num_tags)  # each part has the tags
        limit -= len(self._shown(terms_of_line, limit // 2))
        each_sentence = self._options.split_sentences and not given
        lang = source.src_lang or self._languages.src
        num_sentences = 1 + len(sentence_starts(line, lang)) if each_sentence else 1
        if len(ids) <= limit and num_sentences == 1:
            [words] = self._words(line, [self._src.tokens(line)]) if self._with_words else [[]]
            return [self._with_terms(ids, words, terms_of_line, number)] if ids else []
        if given:
            raise DataError(
                f"line {number}: {len(ids)} tokens are more than the {limit} that the model takes, "
                "and its constraints do not say to which part they belong: divide the line"
            )
        parts = split_line(line, self._src, limit, lang, each_sentence=each_sentence)
        if len(parts) > num_sentences or not each_sentence:
            self._warn_of_division(number, len(ids), limit, len(parts))
        words_of_parts = self._words(line, parts) if self._with_words else [[]] * len(parts)
        starts = [part[0].start for part in parts]
        places = [bisect(starts, each.start) - 1 for each in found]
        return [
            self._with_terms(
                [token.id for token in part],
                words,
                [t.variants for t, p in zip(found, places, strict=True) if p == place],
                number,
            )
            for place, (part, words) in enumerate(zip(parts, words_of_parts, strict=True))
        ]

    def _with_terms(
        self, ids: list[int], words: list[int], terms: Sequence[Variants], number: int
    ) -> tuple[list[int], list[int], list[Term]]:
        """Return the ids, words and terms of a part, with the terms that it shows and requires."""
        if not terms:
            return ids, words, []
        encoder = term_encoder(self._tgt)
        encoded = [encoder.encode(variants, f"line {number}") for variants in dict.fromkeys(terms)]
        room = self.max_input - 1 - self._tagger.num_tags - len(ids)
        return [*ids, *self._shown(terms, room)], words, encoded if self._requires_terms else []

    def _shown(self, terms: Sequence[Variants], room: int) -> list[int]:
        """Return the ids to append to a source to show the model its terms, as many as fit."""
        return shown_terms(terms, self._src, room) if terms and self._shows_terms else []

    def _check_terms(self, number: int) -> None:
        """Raise a ConfigError if terms cannot be required."""
        try:
            check_search(self._options)
            lacking = self._engine_for_terms().cannot(self._options, terms=True)
            if lacking:
                raise ConfigError(f"CTranslate2 lacks {lacking}: name a run, for nmt's own engine")
        except ConfigError as error:
            raise ConfigError(f"line {number}: {error}") from error

    def _words(self, line: str, parts: Sequence[Sequence[Token]]) -> list[list[int]]:
        """Return the word number of each source id of each part; tags belong to no word."""
        # Of all parts at once: a line may have thousands.
        numbers = iter(word_numbers(line, [*itertools.chain.from_iterable(parts)]))
        tags = [NO_WORD] * self._tagger.num_tags
        return [[*tags, *itertools.islice(numbers, len(part))] for part in parts]

    def _warn_of_division(self, number: int, num_tokens: int, limit: int, num_parts: int) -> None:
        self._warn(
            f"line {number}: {num_tokens} tokens are more than the {limit} that the model takes: "
            f"translated in {num_parts} parts"
        )
