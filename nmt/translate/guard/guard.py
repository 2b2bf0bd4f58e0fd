"""The guard: it checks translations, and searches again or drops those that may be bad."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from nmt.config.languages import LanguagePair
from nmt.config.search import SearchOptions, search_options
from nmt.errors import how_to_install
from nmt.limits import MAX_BEAM_SIZE, MAX_SEED
from nmt.runs.calibration import Calibration
from nmt.translate.guard import checks, figures, language
from nmt.translate.protect import Protector, without_symbols
from nmt.translate.source import Source
from nmt.translate.translation import ScoredText, Translation, in_order

GuardMode = Literal["warn", "retry", "blank"]

_WIDEST = 8
_NO_REPEATED = 3
_TEMPERATURE = 0.5
_OF_LENGTHS = ("short", "long")


class Searches(Protocol):
    """Translates lines; `nmt.translate.translator.Translator` does."""

    def windows(self, sources: Iterable[Source]) -> Iterator[list[Translation]]:
        """Yield the translations of the lines, in order, some at a time."""


@dataclass(frozen=True)
class Retry:
    """Another search.

    Attributes:
        translator: returns what searches; called when it is needed.
        takes_terms: whether it can require terms.
    """

    translator: Callable[[], Searches]
    takes_terms: bool

    def suits(self, source: Source) -> bool:
        """Return whether it can search for the translation of a line."""
        return self.takes_terms or not source.constraints

    def search(self, sources: Sequence[Source]) -> list[Translation]:
        """Return the translations of lines."""
        if not sources:
            return []
        return [*itertools.chain.from_iterable(self.translator().windows(sources))]


@dataclass(frozen=True)
class WithoutCapitals(Retry):
    """Translates lines that are all in capitals as ordinary ones, and returns them in capitals.

    Most models have seen few lines in capitals, or none.
    """

    def suits(self, source: Source) -> bool:
        """Return whether a line is all in capitals, and nothing is required of its translation."""
        return source.text.isupper() and not source.prefix and not source.constraints

    def search(self, sources: Sequence[Source]) -> list[Translation]:
        """Return the translations of lines in capitals."""
        ordinary = [replace(source, text=source.text.capitalize()) for source in sources]
        return [*map(_in_capitals, super().search(ordinary))]


class Guard:
    """Flags translations that may be bad.

    Args:
        mode: what to do about them. `warn` leaves them as they are; `retry` searches again, with
            each retry in turn, and keeps the translation with the fewest flags, of these the one
            with the best score; `blank` does so too, and then leaves those blank that still have a
            flag.
        languages: of lines that have no others.
        calibration: of the model, if there is one.
        retries: other searches.
        protector: what has put symbols into the sources, if anything has.
        note: called with a message if some check is not available.

    Attributes:
        mode: as above.
    """

    def __init__(
        self,
        mode: GuardMode,
        languages: LanguagePair,
        *,
        calibration: Calibration | None = None,
        retries: Sequence[Retry] = (),
        protector: Protector | None = None,
        note: Callable[[str], object] = lambda message: None,
    ) -> None:
        self.mode, self.calibration = mode, calibration
        self._languages, self._protector = languages, protector
        self._retries = [] if mode == "warn" else retries
        self._tells_languages = language.is_available()
        if not self._tells_languages:
            note(
                "the guard does not check the language of translations: that needs py3langid "
                f"({how_to_install('guard')})"
            )

    def __repr__(self) -> str:
        """Return all that its results depend on, apart from the model and the search."""
        return f"<Guard {self.mode} {self._tells_languages} {self.calibration}>"

    def __call__(
        self, sources: Sequence[Source], translations: Sequence[Translation]
    ) -> list[Translation]:
        """Return the translations with their flags and confidence, or better ones.

        Args:
            sources: the lines.
            translations: of each.
        """
        pairs = zip(sources, translations, strict=True)
        checked = [self._checked(*pair) for pair in pairs]
        for retry in self._retries:
            places = [
                place
                for place, source in enumerate(sources)
                if checked[place].flags and retry.suits(source)
            ]
            again = retry.search([sources[place] for place in places])
            for place, translation in zip(places, again, strict=True):
                other = self._checked(sources[place], translation)
                checked[place] = max(checked[place], other, key=_quality)
        return [*map(_blanked, checked)] if self.mode == "blank" else checked

    def _checked(self, source: Source, translation: Translation) -> Translation:
        best = translation.hypotheses[0]
        if not source.text.strip():
            return translation
        flags = [flag for flag in translation.flags if flag in _OF_LENGTHS]
        return replace(
            translation,
            flags=in_order([*flags, *self._flags(source, best)]),
            confidence=self._confidence(best),
        )

    def _flags(self, source: Source, best: ScoredText) -> Iterator[str]:
        src, tgt = source.text, best.text
        if self._protector:
            if self._protector.loses(src, tgt):
                yield "placeholders"
            src, tgt = without_symbols(src), without_symbols(tgt)
        default = self._languages
        pair = LanguagePair(source.src_lang or default.src, source.tgt_lang or default.tgt)
        if checks.repeats(src, tgt):
            yield "repetition"
        if checks.is_copied(src, tgt, pair) and not self._may_stay(tgt, pair):
            yield "copied"
        if self._tells_languages and language.is_wrong_language(src, tgt, pair):
            yield "language"
        if figures.changes_numbers(src, tgt):
            yield "numbers"
        if figures.changes_addresses(src, tgt):
            yield "addresses"
        if best.alignment and checks.omits(src, tgt, best.alignment):
            yield "omission"
        if self.calibration and best.log_prob_per_token < self.calibration.threshold:
            yield "confidence"

    def _may_stay(self, text: str, languages: LanguagePair) -> bool:
        """Return whether a copied text is also one in the target language, as far as is known."""
        return self._tells_languages and language.is_plausible(text, languages)

    def _confidence(self, best: ScoredText) -> float | None:
        return self.calibration.confidence(best.log_prob_per_token) if self.calibration else None


def _quality(translation: Translation) -> tuple[int, float]:
    return -len(translation.flags), translation.score


def _in_capitals(translation: Translation) -> Translation:
    hypotheses = [replace(each, text=each.text.upper()) for each in translation.hypotheses]
    return replace(translation, hypotheses=hypotheses)


def _blanked(translation: Translation) -> Translation:
    if not translation.flags:
        return translation
    return replace(translation, hypotheses=[ScoredText("", 0.0)])


def retries_of(
    options: SearchOptions,
    translator_of: Callable[[SearchOptions], Searches],
    *,
    requires_terms: bool,
    can_search: Callable[[SearchOptions], bool],
) -> list[Retry]:
    """Return the searches for lines whose translations by a first search have flags.

    Args:
        options: of the first search.
        translator_of: returns what searches with given options.
        requires_terms: whether a glossary requires terms, which a sample cannot have.
        can_search: whether a search with given options is possible: an exported model cannot be
            sampled from.
    """
    found = [
        Retry(partial(translator_of, retried), takes_terms=not retried.samples)
        for retried in retried_options(options)
        if can_search(retried) and not (retried.samples and requires_terms)
    ]
    if requires_terms:
        return found
    return [WithoutCapitals(partial(translator_of, options), takes_terms=False), *found]


def retried_options(options: SearchOptions) -> list[SearchOptions]:
    """Return the search options of each retry.

    First a wider beam without repeated sequences of three tokens, then a sample with a low
    temperature. If translations are sampled in the first place, two other samples.
    """
    changes: list[dict[str, object]]
    if options.samples:
        seed = options.seed or 1
        changes = [{"seed": (seed + more) % (MAX_SEED + 1)} for more in (1, 2)]
    else:
        width = min(MAX_BEAM_SIZE, max(_WIDEST, 2 * options.beam_size))
        width -= width % options.beam_groups
        size = options.no_repeat_ngram_size or _NO_REPEATED
        beamless = {"coverage_penalty": 0.0, "stop": "beam", "patience": 1.0, "beam_groups": 1}
        changes = [
            {"beam_size": width, "no_repeat_ngram_size": size},
            {"temperature": _TEMPERATURE, **beamless},
        ]
    return [search_options(options, change) for change in changes]
