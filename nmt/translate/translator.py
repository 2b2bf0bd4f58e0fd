"""Text to text: lines in, translations out, in order and one for one."""

from __future__ import annotations

import hashlib
import itertools
import warnings
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pydantic import ConfigDict, TypeAdapter

from nmt.config.languages import LanguagePair
from nmt.config.search import SearchOptions, search_options
from nmt.data.lines import replace_controls
from nmt.data.tags import Tagger
from nmt.data.terms import num_without_terms
from nmt.data.tokenizer import Token
from nmt.errors import ConfigError, DataError
from nmt.progress import Advance
from nmt.search.hypothesis import Hypothesis, length_factor
from nmt.search.term import Term
from nmt.translate.engine import Alternatives, Engine, WordAligner, check_lengths
from nmt.translate.glossary import Glossary, Variants
from nmt.translate.memo import Memo
from nmt.translate.short import MissingTerms, ShortLines
from nmt.translate.source import Source, with_constraints, with_languages, with_prefixes
from nmt.translate.split import full_windows, prompt_windows, sentence_starts, split_line
from nmt.translate.terms import check_knows_terms, check_search, shown_terms, term_encoder
from nmt.translate.words import NO_WORD, Links, link_words, split_words, word_numbers

if TYPE_CHECKING:
    from nmt.translate.mbr import Utility

_BATCHES_AHEAD = 16
_CHARACTERS_PER_TOKEN = 4
# In characters of source text; translations and probabilities included, about 100 MB.
_CHARACTERS_REMEMBERED = 8_000_000


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


@dataclass(frozen=True)
class Translation:
    """The translation of a line."""

    hypotheses: list[ScoredText]
    """Up to `nbest`: the best ones, best first; or samples, in the order of drawing; or with mbr,
    distinct ones by decreasing utility. At least one, and fewer than `nbest` only if the model, the
    diverse groups or mbr have no more distinct ones."""
    is_short: bool = False
    """Whether the best one, or a part of it, is suspiciously short for its source."""
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
    def token_log_probs(self) -> list[float]:
        """The log-probabilities of the tokens of the best translation, if they were asked for."""
        return self.hypotheses[0].token_log_probs

    @property
    def alignment(self) -> Links:
        """The word alignment of the best translation, if it was asked for."""
        return self.hypotheses[0].alignment


_BLANK = Translation([ScoredText("", 0.0)])


class _Part(NamedTuple):
    """A line, or a part of a split line, ready for the search."""

    line: int
    """Number of the line in the input."""
    part: int
    src_ids: list[int]
    """With tags, the terms that are shown to the model, and EOS."""
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


@cache
def _texts_of_batches() -> TypeAdapter[list[list[list[ScoredText]]]]:
    """Return what converts results of batches to and from JSON."""
    return TypeAdapter(
        list[list[list[ScoredText]]], config=ConfigDict(ser_json_inf_nan="constants")
    )


class Searched(Protocol):
    """Keeps the results of batches, so that a later process can continue."""

    def find(self, batch: str) -> list[list[ScoredText]] | None:
        """Return the results of a batch, if known. Called from several threads."""
        ...

    def add(self, batch: str, found: list[list[ScoredText]]) -> None:
        """Keep the results of a batch."""
        ...


class Peers(Protocol):
    """The processes that share the batches; `nmt.distributed.World` is one."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""

    @property
    def size(self) -> int:
        """The number of processes."""

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes by rank; they are values of JSON."""


class Alone:
    """This process alone."""

    rank = 0
    size = 1

    def gather(self, value: Any) -> list[Any]:
        """Return the only value."""
        return [value]


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
        say_short: called with a message for each translation that is suspiciously short.
        peers: processes that call the same methods with the same lines. They share the batches, and
            all get all translations.
        glossary: required translations of terms.
        engine_for_terms: returns the engine for lines with required terms; by default `engine`.

    Attributes:
        short: counts suspiciously short translations.
        missing: counts translations that lack required terms.
        glossary: required translations of terms.
        engine: what runs the model.
        config: of the first model.
        options: of the search.
        max_input: most tokens of an input, EOS included; longer ones are split.
    """

    def __init__(
        self,
        engine: Engine,
        options: SearchOptions | None = None,
        warn: Callable[[str], object] = warnings.warn,
        poll: Callable[[], None] = lambda: None,
        aligner: WordAligner | None = None,
        say_short: Callable[[str], object] | None = None,
        token_scores: bool = False,
        token_alternatives: int = 0,
        peers: Peers | None = None,
        glossary: Glossary | None = None,
        engine_for_terms: Callable[[], Engine] | None = None,
    ) -> None:
        self._peers = peers or Alone()
        self.engine = engine
        models = engine.models
        self.config = models[0].config
        self.options = options or search_options(self.config.decode)
        check_lengths(self.options, engine)
        self._src, self._tgt = models[0].tokenizers
        self._tagger = Tagger(self.config.data, self._src)
        self._languages = self._tagger.chosen(self.options.src_lang, self.options.tgt_lang)
        if self.options.src_lang or self.options.tgt_lang:
            self._tagger.ids(self._languages)  # fail now rather than at the first line
        self._warn, self._poll, self._aligner = warn, poll, aligner
        self._lengths, self._token_scores = models[0].lengths, token_scores
        self._num_alternatives = token_alternatives
        self.short, self.missing = ShortLines(say_short), MissingTerms()
        self.glossary, self._engine_for_terms = glossary, engine_for_terms
        self._shows_terms = self.options.terms != "hard"
        self._requires_terms = self.options.terms != "soft"
        if self._shows_terms:
            check_knows_terms(models, self.options)
        if glossary:
            if self._requires_terms:
                check_search(self.options)
            term_encoder(self._tgt).check(glossary)
        trained_on = min(model.config.data.max_length for model in models)
        max_input = self.options.max_input_length or trained_on
        self.max_input = min(max_input, self.engine.max_positions)
        self._memory_ran_out = False

    def translate(
        self,
        lines: Iterable[str],
        prefixes: Iterable[str] | None = None,
        *,
        constraints: Iterable[Iterable[str | Iterable[str]]] | None = None,
        languages: Iterable[LanguagePair] | None = None,
        interactive: bool = False,
        advance: Advance = lambda lines: None,
    ) -> Iterator[Translation]:
        """Translate lines lazily, reading a few batches ahead.

        Blank lines stay blank. Lines that are too long are split at sentence ends, or else between
        clauses, words or tokens, and the translations of the parts are joined by spaces. A repeated
        line is searched once, unless its first occurrence was long ago or translations are sampled.

        Args:
            lines: text without line ends; read lazily.
            prefixes: the beginning of each translation, which may be empty. They are forced as
                tokens, to which the first word after them may add. The translation of a line that
                is split begins with the prefix; that of a blank line is blank.
            constraints: the terms that the translation of each line must contain, each a string or
                several forms.
            languages: those of each line; by default as in the options. Only a model with tags is
                told them.
            interactive: read `lines` in a background thread and translate those that have
                arrived, instead of waiting for more: somebody may be typing them.
            advance: called with the number of lines done since the last call, before they are
                yielded.

        Yields:
            One translation per line, in order.

        Raises:
            ConfigError: there are prefixes, and the options include `trees`; or the model does not
                know a language.
            DataError: a line does not fit into memory even alone; or the prefixes are fewer or
                more than the lines, too long, or contain unknown characters.
        """
        sources = map(Source, lines) if prefixes is None else with_prefixes(lines, prefixes)
        if constraints is not None:
            sources = with_constraints(sources, constraints)
        if languages is not None:
            sources = map(with_languages, sources, languages)
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
        for window in (prompt_windows if interactive else full_windows)(sources, window_size):
            lines = [
                replace(
                    source,
                    text=replace_controls(source.text)[0],
                    prefix=replace_controls(source.prefix)[0],
                )
                for source in window
            ]
            numbered = list(enumerate(lines, number))
            found = list(itertools.islice(known, len(lines)))
            if self.options.samples:  # every line draws its own
                advance(len(found))
                translations = found + self._translate_lines(
                    numbered[len(found) :], searched, advance
                )
            else:
                translations = self._translate_new(numbered, found, memo, searched, advance)
            for place, translation in enumerate(translations, number):
                self.short.add(place, translation.is_short)
            yield [*itertools.starmap(self._with_missing, zip(numbered, translations, strict=True))]
            number += len(lines)

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

    def encoded(self, source: Source) -> tuple[list[int], list[int]]:
        """Return the ids of a line as the search takes them, and those of its prefix.

        Returns:
            Source ids, with tags and EOS, or [] if the line is blank; and target ids.

        Raises:
            ConfigError: if the model does not know a language.
            DataError: if the line has too many tokens to be searched in one part, or the prefix
                cannot be used.
        """
        clean = replace(
            source, text=replace_controls(source.text)[0], prefix=replace_controls(source.prefix)[0]
        )
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
        """Translate numbered lines in batches of similar length."""
        encoded = self._src.encode([source.text for _, source in lines])
        prefixes = self._prefixes(lines)
        tags = [self._tags(*line) for line in lines]
        parts = [
            _Part(
                number,
                part,
                [*tags_of_line, *ids, self._src.eos_id],
                words,
                [] if part else prefix,
                terms,
            )
            for (number, source), ids_of_line, prefix, tags_of_line in zip(
                lines, encoded, prefixes, tags, strict=True
            )
            for part, (ids, words, terms) in enumerate(self._divided(source, ids_of_line, number))
        ]
        found: list[list[ScoredText]] = [[] for _ in parts]
        lengths = [len(part.src_ids) for part in parts]
        batch_tokens = self.options.batch_tokens
        if self.options.mbr and self.options.samples:  # no more rows than a beam search has
            batch_tokens = batch_tokens * self.options.beam_size // self.options.candidates
        num_parallel = self.engine.num_parallel * self._peers.size
        if num_parallel > 1:  # small inputs, too, keep all of them busy
            batch_tokens = min(batch_tokens, 1 + sum(lengths) // num_parallel)
        batches = [
            [places[i] for i in batch]
            for places in _divided_by([bool(part.terms) for part in parts])
            for batch in length_batches([lengths[i] for i in places], batch_tokens)
        ]
        texts_of_batches = self._search_shared(
            [[parts[place] for place in batch] for batch in batches], searched
        )
        left = Counter(part.line for part in parts)
        advance(len(lines) - len(left))  # the blank ones
        for batch, texts_of_batch in zip(batches, texts_of_batches, strict=True):
            left.subtract(parts[place].line for place in batch)
            advance(len({parts[place].line for place in batch if not left[parts[place].line]}))
            for place, texts in zip(batch, texts_of_batch, strict=True):
                found[place] = texts
        parts_of_line: dict[int, list[list[ScoredText]]] = {number: [] for number, _ in lines}
        short_lines = set()
        for part, texts in zip(parts, found, strict=True):
            parts_of_line[part.line].append(texts)
            if self._is_short(part, texts[0]):
                short_lines.add(part.line)
        return [
            self._joined(texts, number in short_lines) for number, texts in parts_of_line.items()
        ]

    def _is_short(self, part: _Part, best: ScoredText) -> bool:
        if self._lengths is None:
            return False
        return self._lengths.is_short(num_without_terms(part.src_ids, self._src), best.num_tokens)

    def _search_shared(
        self, batches: list[list[_Part]], searched: Searched | None
    ) -> Iterator[list[list[ScoredText]]]:
        """Search this process's share of the batches; yield the results of all, in order."""
        rank, size = self._peers.rank, self._peers.size
        own = self._search_batches(batches[rank::size], searched)
        if size == 1:
            yield from own
            return
        texts = _texts_of_batches()
        shares = self._peers.gather(texts.dump_python(list(own), mode="json"))
        results = [iter(texts.validate_python(share)) for share in shares]
        for place in range(len(batches)):
            yield next(results[place % size])

    def _search_batches(
        self, batches: list[list[_Part]], searched: Searched | None
    ) -> Iterator[list[list[ScoredText]]]:
        """Search batches, as many in parallel as the engine supports; yield results in order."""

        def search(batch: list[_Part]) -> list[list[ScoredText]]:
            if searched and (found := searched.find(_name(batch))) is not None:
                return found
            self._poll()
            return self._search_fitting(batch)

        for has_terms, some in itertools.groupby(batches, lambda batch: bool(batch[0].terms)):
            group, num_parallel = [*some], self._engine(has_terms).num_parallel
            with ThreadPoolExecutor(num_parallel) as threads:
                results = (threads.map if num_parallel > 1 else map)(search, group)
                for batch, found in zip(group, results, strict=True):
                    if searched:
                        searched.add(_name(batch), found)
                    yield found

    def _engine(self, has_terms: bool) -> Engine:
        """Return the engine that searches batches with or without required terms."""
        if has_terms and self._engine_for_terms:
            return self._engine_for_terms()
        return self.engine

    def _search_fitting(self, parts: list[_Part]) -> list[list[ScoredText]]:
        """Search a batch, in halves if it does not fit into memory."""
        with suppress(MemoryError):
            return self._search(parts)
        if len(parts) == 1:
            raise DataError(
                f"line {parts[0].line}: {len(parts[0].src_ids)} tokens, searched with beam size "
                f"{self.options.beam_size}, do not fit into memory: choose a smaller "
                "`beam_size`, or divide the line"
            )
        if not self._memory_ran_out:
            self._memory_ran_out = True
            self._warn(
                f"line {parts[0].line}: memory ran out in its batch of {len(parts)}: such batches "
                "are translated in halves; a smaller `batch_tokens` avoids the attempt"
            )
        middle = len(parts) // 2
        return self._search_fitting(parts[:middle]) + self._search_fitting(parts[middle:])

    def _search(self, parts: list[_Part]) -> list[list[ScoredText]]:
        sources = [part.src_ids for part in parts]
        terms = [part.terms for part in parts]
        found = self._engine(any(terms)).search(
            sources,
            [part.key for part in parts],
            self.options,
            prefixes=[part.prefix for part in parts],
            terms=terms if any(terms) else (),
            token_scores=self._token_scores,
        )
        best = [hypotheses[: self.options.candidates] for hypotheses in found]
        texts = self._texts(best)
        if self.options.mbr:
            best, texts = self._of_highest_utility(self.options.mbr, best, texts)
        if self._num_alternatives:
            texts = self._with_alternatives(sources, best, texts)
        return self._aligned(self._aligner, parts, best, texts) if self._aligner else texts

    def _of_highest_utility(
        self, utility: Utility, found: list[list[Hypothesis]], texts: list[list[ScoredText]]
    ) -> tuple[list[list[Hypothesis]], list[list[ScoredText]]]:
        """Return the hypotheses of a batch, and their texts, that mbr chooses; best first."""
        from nmt.translate.mbr import best_candidates, weights_of_list  # they need numpy

        best, best_texts = [], []
        for hypotheses, row in zip(found, texts, strict=True):
            # Samples occur as often as they are probable.
            weights = [1.0] * len(row)
            if not self.options.samples:
                weights = weights_of_list([h.log_prob for h in hypotheses])
            chosen = best_candidates([text.text for text in row], weights, utility)
            chosen = chosen[: self.options.nbest]
            best.append([hypotheses[each.place] for each in chosen])
            best_texts.append([replace(row[place], utility=value) for place, value in chosen])
        return best, best_texts

    def _with_alternatives(
        self,
        sources: list[list[int]],
        best: list[list[Hypothesis]],
        texts: list[list[ScoredText]],
    ) -> list[list[ScoredText]]:
        """Return the texts of a batch with their tokens, and the alternatives to each."""
        flat = [*itertools.chain(*best)]
        targets = [[*h.ids, self._tgt.eos_id] for h in flat]
        repeated = [src for src, group in zip(sources, best, strict=True) for _ in group]
        found: list[Alternatives] = []
        for start in range(0, len(flat), len(sources)):
            some = slice(start, start + len(sources))
            count = self._num_alternatives
            found += self.engine.alternatives(repeated[some], targets[some], count)
        shown = (
            replace(
                text,
                tokens=self._tgt.pieces(ids[: text.num_tokens]),
                alternatives=[self._named(row) for row in rows[: text.num_tokens]],
            )
            for text, ids, rows in zip(itertools.chain(*texts), targets, found, strict=True)
        )
        return [[next(shown) for _ in group] for group in texts]

    def _named(self, row: list[tuple[int, float]]) -> list[tuple[str, float]]:
        """Return the pieces of tokens instead of their ids."""
        ids, log_probs = zip(*row, strict=True)
        return [*zip(self._tgt.pieces(ids), log_probs, strict=True)]

    def _aligned(
        self,
        aligner: WordAligner,
        parts: list[_Part],
        best: list[list[Hypothesis]],
        texts: list[list[ScoredText]],
    ) -> list[list[ScoredText]]:
        """Return the texts of a batch with their alignments."""
        rows = [
            (part, hypothesis, text.text)
            for part, *row in zip(parts, best, texts, strict=True)
            for hypothesis, text in zip(*row, strict=True)
        ]
        weights = aligner.weights(
            [part.src_ids for part, _, _ in rows], [h.ids for _, h, _ in rows]
        )
        links = iter(
            link_words(of_row, part.words, word_numbers(text, self._tgt.decoded_tokens(h.ids)))
            for (part, h, text), of_row in zip(rows, weights, strict=True)
        )
        return [[replace(text, alignment=next(links)) for text in row] for row in texts]

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
            if ids and self.options.trees:
                raise ConfigError(f"line {number}: a prefix cannot be combined with decode.trees")
            if self._tgt.unk_id in ids:
                raise DataError(
                    f"line {number}: the prefix {source.prefix!r} contains characters that the "
                    "model's vocabulary lacks"
                )
            if len(ids) >= self.engine.max_positions:
                raise DataError(
                    f"line {number}: the prefix has {len(ids)} tokens, but the model has positions "
                    f"for {self.engine.max_positions}, EOS included"
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
        found = [*self.glossary.find(line)] if self.glossary else []
        given = [*source.constraints]
        terms_of_line = [*given, *(each.variants for each in found)]
        if terms_of_line and self._requires_terms:
            self._check_terms(number)
        limit = max(1, self.max_input - 1 - self._tagger.num_tags)  # each part has the tags
        limit -= len(self._shown(terms_of_line, limit // 2))
        each_sentence = self.options.split_sentences and not given
        num_sentences = 1 + len(sentence_starts(line)) if each_sentence else 1
        if len(ids) <= limit and num_sentences == 1:
            words = self._words(line, self._src.tokens(line)) if self._aligner else []
            return [self._with_terms(ids, words, terms_of_line, number)] if ids else []
        if given:
            raise DataError(
                f"line {number}: {len(ids)} tokens are more than the {limit} that the model takes, "
                "and its constraints do not say to which part they belong: divide the line"
            )
        parts = split_line(line, self._src, limit, each_sentence=each_sentence)
        if len(parts) > num_sentences or not each_sentence:
            self._warn_of_division(number, len(ids), limit, len(parts))
        starts = [part[0].start for part in parts]
        places = [bisect(starts, each.start) - 1 for each in found]
        return [
            self._with_terms(
                [token.id for token in part],
                self._words(line, part),
                [t.variants for t, p in zip(found, places, strict=True) if p == place],
                number,
            )
            for place, part in enumerate(parts)
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
            check_search(self.options)
            lacking = self._engine(True).cannot(self.options, terms=True)
            if lacking:
                raise ConfigError(f"CTranslate2 lacks {lacking}: name a run, for nmt's own engine")
        except ConfigError as error:
            raise ConfigError(f"line {number}: {error}") from error

    def _words(self, line: str, tokens: Sequence[Token]) -> list[int]:
        """Return the word number of each source id; tags belong to no word."""
        return [NO_WORD] * self._tagger.num_tags + word_numbers(line, tokens)

    def _warn_of_division(self, number: int, num_tokens: int, limit: int, num_parts: int) -> None:
        self._warn(
            f"line {number}: {num_tokens} tokens are more than the {limit} that the model takes: "
            f"translated in {num_parts} parts"
        )

    def _texts(self, found: list[list[Hypothesis]]) -> list[list[ScoredText]]:
        """Detokenize the hypotheses of a batch."""
        texts = iter(self._tgt.decode([h.ids for hypotheses in found for h in hypotheses]))
        alpha = self.options.length_penalty
        return [
            [
                ScoredText(
                    next(texts),
                    h.score,
                    h.log_prob,
                    h.num_tokens,
                    h.token_log_probs,
                    length_factor=length_factor(h.num_tokens, alpha),
                    coverage=h.coverage,
                )
                for h in hypotheses
            ]
            for hypotheses in found
        ]

    def _joined(self, parts: list[list[ScoredText]], is_short: bool) -> Translation:
        """Join the n-th best translations of a line's parts to the line's n-th best."""
        if len(parts) < 2:
            return Translation(parts[0], is_short) if parts else _BLANK
        joined = []
        for hypotheses in zip(*parts, strict=False):
            log_prob = sum(h.log_prob for h in hypotheses)
            num_tokens = sum(h.num_tokens for h in hypotheses)
            factor = length_factor(num_tokens, self.options.length_penalty)
            coverage = sum(h.coverage for h in hypotheses)
            joined.append(
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
        return Translation(joined, is_short)


def _divided_by(marks: Sequence[bool]) -> list[list[int]]:
    """Return the indices of the marks that are False, and of those that are True."""
    return [
        [place for place, mark in enumerate(marks) if mark is wanted] for wanted in (False, True)
    ]


def _name(batch: list[_Part]) -> str:
    """Return a name for a batch that no other batch has: a hash of all that is searched."""
    return hashlib.sha256(repr(batch).encode("utf-8")).hexdigest()


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


def length_batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Group items of similar length, longest first.

    Args:
        lengths: tokens of each item.
        batch_tokens: largest number of items times the longest of them; an item longer than
            that is a batch alone.

    Yields:
        Indices of `lengths`, each in exactly one group.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
