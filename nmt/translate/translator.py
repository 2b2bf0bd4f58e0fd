"""Text to text: lines in, translations out, in order and one for one."""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from nmt.config.languages import LanguagePair
from nmt.config.search import SearchOptions, search_options
from nmt.progress import Advance
from nmt.translate.context import with_previous
from nmt.translate.engine import Engine, WordAligner, check_lengths, sentence_length
from nmt.translate.flaws import FlaggedLines, MissingTerms, ShortLines
from nmt.translate.glossary import Glossary
from nmt.translate.memo import Memo
from nmt.translate.part_search import PartSearch, Peers, Searched
from nmt.translate.parts import Divider, Part
from nmt.translate.source import (
    Source,
    cleaned,
    with_constraints,
    with_contexts,
    with_languages,
    with_prefixes,
)
from nmt.translate.terms import term_encoder
from nmt.translate.translation import ScoredText, Translation, in_order, joined
from nmt.translate.windows import full_windows, prompt_windows

if TYPE_CHECKING:  # few translations are guarded or protected, and these take time to import
    from nmt.translate.guard.guard import Guard
    from nmt.translate.protect import Protector

_BATCHES_AHEAD = 16
_CHARACTERS_PER_TOKEN = 4
# In characters of source text; translations and probabilities included, about 100 MB.
_CHARACTERS_REMEMBERED = 8_000_000


class Translator:
    """Translates lines with a model or an ensemble.

    Args:
        engine: what runs the model.
        options: of the search; by default those of the first model's configuration.
        warn: called with a message for each line that is too long, and when memory runs out for
            the first time.
        poll: called before each batch; an exception that it raises ends the translation, as a
            signal does.
        aligner: of the same models; adds the alignments.
        token_scores: add the log-probability of each token.
        token_alternatives: how many of the most probable tokens to add at each position.
        warn_short: called with a message for each translation that is suspiciously short.
        peers: processes that call the same methods with the same lines. They share the batches, and
            all get all translations.
        glossary: required translations of terms.
        engine_for_terms: returns the engine for lines with required terms; by default `engine`.
        guard: checks the translations.
        protector: replaces spans that a translation copies by symbols.

    Attributes:
        short: counts suspiciously short translations.
        flagged: counts translations that may be bad, and has their flags.
        missing: counts translations that lack required terms.
        glossary: required translations of terms.
        guard, protector: as above; None if there is none.
        aligns: whether translations have alignments.
        engine: what runs the model.
        config: of the first model.
        options: of the search.
    """

    def __init__(
        self,
        engine: Engine,
        options: SearchOptions | None = None,
        warn: Callable[[str], object] = warnings.warn,
        poll: Callable[[], None] = lambda: None,
        aligner: WordAligner | None = None,
        warn_short: Callable[[str], object] | None = None,
        token_scores: bool = False,
        token_alternatives: int = 0,
        peers: Peers | None = None,
        glossary: Glossary | None = None,
        engine_for_terms: Callable[[], Engine] | None = None,
        guard: Guard | None = None,
        protector: Protector | None = None,
    ) -> None:
        self.engine, self.guard, self.protector = engine, guard, protector
        self.aligns = aligner is not None
        model = engine.models[0]
        self.config = model.config
        self.options = options or search_options(self.config.decode)
        check_lengths(self.options, engine)
        self._src, self._tgt = model.tokenizers
        self._lengths, self.glossary = model.lengths, glossary
        self.short, self.missing = ShortLines(warn_short), MissingTerms()
        self.flagged = FlaggedLines()
        with_terms = engine_for_terms or (lambda: engine)
        self._divider = Divider(
            engine, with_terms, self.options, glossary, warn, with_words=self.aligns
        )
        self._search = PartSearch(
            engine,
            with_terms,
            self.options,
            aligner=aligner,
            token_scores=token_scores,
            token_alternatives=token_alternatives,
            peers=peers,
            poll=poll,
            warn=warn,
        )

    @property
    def max_input(self) -> int:
        """The most tokens of an input, EOS included; longer ones are split."""
        return self._divider.max_input

    @property
    def context(self) -> int:
        """The largest number of sentences that the model sees before each line."""
        return self._divider.context

    def encoded(self, source: Source) -> tuple[list[int], list[int]]:
        """Return the ids of a line and of its prefix, as in `Divider.encoded`."""
        return self._divider.encoded(source)

    def translate(
        self,
        lines: Iterable[str],
        prefixes: Iterable[str] | None = None,
        *,
        constraints: Iterable[Iterable[str | Iterable[str]]] | None = None,
        languages: Iterable[LanguagePair] | None = None,
        contexts: Iterable[Iterable[str]] | None = None,
        interactive: bool = False,
        advance: Advance = lambda lines: None,
    ) -> Iterator[Translation]:
        """Translate lines lazily, reading a few batches ahead.

        Blank lines stay blank. Lines that are too long are split at sentence ends, or else between
        clauses, words or tokens, and the translations of the parts are joined by spaces. A repeated
        line is searched once, unless its first occurrence was long ago or translations are sampled.

        Args:
            lines: text without line ends; read lazily.
            prefixes: the beginning of each translation, which may be empty. Their tokens are
                forced; the next token may continue the last word. The translation of a line that
                is split begins with the prefix; that of a blank line is blank.
            constraints: the terms that the translation of each line must contain, each a string or
                several forms.
            languages: those of each line; by default as in the options. Only a model with tags is
                told them.
            contexts: the sentences before each line, oldest first; by default the lines before it,
                up to a blank one. Only a model trained with `data.context` sees them.
            interactive: read `lines` in a background thread and translate those that have
                arrived, instead of waiting for more: somebody may be typing them.
            advance: called with the number of lines done since the last call, before they are
                yielded.

        Yields:
            One translation per line, in order.

        Raises:
            ConfigError: if there are prefixes, and the options include `trees`; or if the model
                does not know a language.
            DataError: if a line is not valid text, or does not fit into memory even alone; or if
                the prefixes are fewer or more than the lines, too long, or contain unknown
                characters.
        """
        sources = map(Source, lines) if prefixes is None else with_prefixes(lines, prefixes)
        if constraints is not None:
            sources = with_constraints(sources, constraints)
        if languages is not None:
            sources = map(with_languages, sources, languages)
        if contexts is not None:
            sources = with_contexts(sources, contexts)
        windows = self.windows(sources, interactive=interactive, advance=advance)
        return itertools.chain.from_iterable(windows)

    def windows(
        self,
        sources: Iterable[Source],
        *,
        interactive: bool = False,
        known: Iterable[Translation] = (),
        searched: Searched | None = None,
        advance: Advance = lambda lines: None,
    ) -> Iterator[list[Translation]]:
        """Translate like `translate`, a window of lines at a time.

        Args:
            sources: lines and their prefixes; read lazily.
            interactive: as in `translate`.
            known: translations of the first lines, from an earlier process. If they end with a
                window, the others are translated exactly as in that process: batches, and with
                them rounding, depend on the preceding lines.
            searched: keeps the results of batches, and has those of an earlier process.
            advance: called with the number of lines done since the last call.

        Yields:
            The translations of the lines read since the last window.
        """
        window_size = _BATCHES_AHEAD * self.options.batch_tokens * _CHARACTERS_PER_TOKEN
        memo: Memo[Translation] = Memo(_CHARACTERS_REMEMBERED // self.options.nbest)
        known = iter(known)
        number = 1
        sources = with_previous(sources, self._divider.context)
        for window in (prompt_windows if interactive else full_windows)(sources, window_size):
            numbered = [(n, cleaned(source, n)) for n, source in enumerate(window, number)]
            found = list(itertools.islice(known, len(numbered)))
            if self.options.samples:  # every line draws its own
                advance(len(found))
                translations = found + self._translate_lines(
                    numbered[len(found) :], searched, advance
                )
            else:
                translations = self._translate_new(numbered, found, memo, searched, advance)
            for place, translation in enumerate(translations, number):
                self.short.add(place, translation.is_short)
                self.flagged.add(place, translation.flags)
            yield [*itertools.starmap(self._with_missing, zip(numbered, translations, strict=True))]
            number += len(numbered)

    def _with_missing(self, line: tuple[int, Source], translation: Translation) -> Translation:
        """Return the translation of a numbered line, with its missing terms filled in."""
        number, source = line
        terms = [*source.constraints]
        if self.glossary:
            terms += [found.variants for found in self.glossary.find(source.text)]
        if not terms:
            return translation
        missing = term_encoder(self._tgt).missing([*dict.fromkeys(terms)], translation.text)
        self.missing.add(number, missing)
        return replace(translation, missing=missing)

    def _translate_new(
        self,
        lines: list[tuple[int, Source]],
        known: list[Translation],
        memo: Memo[Translation],
        searched: Searched | None,
        advance: Advance,
    ) -> list[Translation]:
        """Translate lines, reusing what is known or repeated."""
        sources = [source for _, source in lines]
        found = memo.find(sources) | dict(zip(sources, known, strict=False))
        new: dict[Source, int] = {}
        for number, source in lines:
            if source not in found:
                new.setdefault(source, number)
        advance(len(lines) - len(new))
        translations = self._translate_lines(
            [(number, source) for source, number in new.items()], searched, advance
        )
        found |= zip(new, translations, strict=True)
        memo.use({source: found[source] for source in sources})
        return [found[source] for source in sources]

    def _translate_lines(
        self, lines: list[tuple[int, Source]], searched: Searched | None, advance: Advance
    ) -> list[Translation]:
        """Translate numbered lines, with symbols for what is protected, and under guard."""
        protector = self.protector
        if protector is None:
            return self._checked(lines, self._search_lines(lines, searched, advance))
        protected = [protector.protect(source) for _, source in lines]
        numbers, spans = [number for number, _ in lines], [each for _, each in protected]
        lines = [*zip(numbers, (source for source, _ in protected), strict=True)]
        found = self._checked(lines, self._search_lines(lines, searched, advance))
        return [*map(protector.restore, found, spans)]

    def _checked(
        self, lines: list[tuple[int, Source]], translations: list[Translation]
    ) -> list[Translation]:
        """Return translations with their flags, or those that the guard has found instead."""
        sources = [source for _, source in lines]
        if self.guard:
            return self.guard(sources, translations)
        if self.protector:
            return [*map(self.protector.checked, sources, translations)]
        return translations

    def _search_lines(
        self, lines: list[tuple[int, Source]], searched: Searched | None, advance: Advance
    ) -> list[Translation]:
        """Translate numbered lines in batches of similar length."""
        parts = self._divider.parts(lines)
        batches = self._search.batches(parts)
        texts_of_batches = self._search.search(
            [[parts[place] for place in batch] for batch in batches], searched
        )
        found: list[list[ScoredText]] = [[] for _ in parts]
        left = Counter(part.line for part in parts)
        advance(len(lines) - len(left))  # the blank ones
        for batch, texts_of_batch in zip(batches, texts_of_batches, strict=True):
            left.subtract(parts[place].line for place in batch)
            advance(len({parts[place].line for place in batch if not left[parts[place].line]}))
            for place, texts in zip(batch, texts_of_batch, strict=True):
                found[place] = texts
        parts_of_line: dict[int, list[list[ScoredText]]] = {number: [] for number, _ in lines}
        flags: dict[int, list[str]] = {number: [] for number, _ in lines}
        for part, texts in zip(parts, found, strict=True):
            parts_of_line[part.line].append(texts)
            flags[part.line] += self._length_flags(part, texts[0])
        alpha = self.options.length_penalty
        return [
            joined(texts, alpha, in_order(flags[number])) for number, texts in parts_of_line.items()
        ]

    def _length_flags(self, part: Part, best: ScoredText) -> list[str]:
        if self._lengths is None:
            return []
        lengths = sentence_length(part.src_ids, self._src), best.num_tokens
        found = {"short": self._lengths.is_short(*lengths), "long": self._lengths.is_long(*lengths)}
        return [flag for flag, is_so in found.items() if is_so]
