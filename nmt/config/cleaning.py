"""The rules of `nmt clean` and their limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field

from nmt.config.section import Section

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0, le=10**6)]
Ratio = Annotated[float, Field(ge=1.0, le=1000.0)]


class LengthRule(Section):
    """The limits of `length`."""

    min_words: Count = 1
    """Fewest words of a side."""
    max_words: Count = 200
    """Most words of a side."""
    min_characters: Count = 1
    """Fewest characters of a side."""
    max_characters: Count = 1500
    """Most characters of a side."""


class LengthRatioRule(Section):
    """The limits of `length_ratio`."""

    words: Ratio = 2.0
    """The longer side may have this many times the words of the shorter one, and `extra_words`. Not
    for languages such as Turkish, Finnish and Korean, one word of which says what takes several in
    English. Without spaces, one to three characters count as a word."""
    extra_words: Count = 3
    """Matters on short lines only."""
    characters: Ratio = 2.0
    """The same in characters, unless one side is written without spaces."""
    extra_characters: Count = 10
    """Matters on short lines only."""


class WordLengthRule(Section):
    """The limits of `word_length`."""

    max_characters: Count = 40
    """Most characters of a word that is not a link."""
    max_mean: Annotated[float, Field(gt=0.0, le=1e6)] = 20.0
    """Longest mean of the words of a side with more than two words."""


class ScriptRule(Section):
    """The limits of `script`."""

    min_share: Share = 0.8
    """Smallest share of the letters of a side, without names that both sides have."""


class SymbolsRule(Section):
    """The limits of `symbols`."""

    max_share: Share = 0.4
    """Largest share of the characters of a side, without spaces and four of these marks."""
    min_letters: Share = 0.3
    """Smallest share of letters."""


class RepetitionRule(Section):
    """The limits of `repetition`."""

    max_words: Count = 1
    """How many times more than on the other side a word may follow itself, as in `had had`."""
    max_phrases: Count = 0
    """The same for phrases of two to four words."""
    max_characters: Annotated[int, Field(ge=2, le=1000)] = 6
    """Longest run of one letter, symbol or mark; dots and dashes do not count."""


class LinksRule(Section):
    """The limits of `links`."""

    max_share: Share = 0.5
    """Largest share of the characters of both sides, even if their links are the same."""


class CopiesRule(Section):
    """The limits of `copies`."""

    max_similarity: Share = 0.7
    """Largest share of words that both sides have in common, without case and punctuation. Words
    with digits are left out."""
    min_words: Count = 3
    """Fewest words of a side: names and titles may be the same in both languages."""


class NumbersRule(Section):
    """The limits of `numbers`."""

    min_digits: Count = 3
    """A number with this many digits, zeros not counted, must be on both sides, because it is
    rarely spelled out."""


class TerminalPunctuationRule(Section):
    """The limits of `terminal_punctuation`."""

    max_penalty: Count = 6
    """Largest penalty of sides with different numbers of marks: the difference, and the marks after
    the first of each side (Vázquez et al. 2019)."""
    question_words: Count = 15
    """Drop pairs in which one side ends with a question mark and the other with a full stop, if
    neither side has more words than this. Long indirect questions may end with either."""


class LanguageRule(Section):
    """The limits of `language`."""

    min_probability: Share = 0.1
    """Smallest probability of the right language."""
    min_letters: Count = 15
    """Sides with fewer letters are not looked at."""
    candidates: Annotated[list[str], Field(max_length=200)] = Field(
        default_factory=lambda: [
            *("ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "he", "hi", "hr"),
            *("hu", "id", "it", "ja", "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk"),
            *("sl", "sv", "tr", "uk", "vi", "zh"),
        ]
    )
    """Languages to choose from, with those of the two sides. Fewer are told apart better."""


class ProfanityRule(Section):
    """The limits of `profanity`."""

    words: str
    """A file with one word or phrase per line."""


class PatternRule(Section):
    """The limits of `pattern`."""

    src: str | None = None
    """A regular expression (Python's): drop pairs whose source side contains a match."""
    tgt: str | None = None
    """The same for the target side."""

    def _conflicts(self) -> Iterator[str]:
        for pattern in filter(None, (self.src, self.tgt)):
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"not a regular expression: {pattern}: {error}"


class DuplicatesRule(Section):
    """The limits of `duplicates`."""

    compare: Literal["pair", "src", "tgt", "either"] = "pair"
    """What must be equal to that of an earlier pair: both sides, one of them, or either."""


class NearDuplicatesRule(Section):
    """The limits of `near_duplicates`."""

    similarity: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    """Jaccard similarity of the words and bigrams of two pairs, without case and punctuation.
    Pairs at this similarity are dropped about half of the time, more similar ones more often."""
    permutations: Annotated[int, Field(ge=16, le=512)] = 64
    """Hash functions of MinHash: more are slower and decide more sharply."""


def _switch(value: Any) -> Any:
    """Read true as the defaults of a rule, and false as its absence."""
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


_Switch = BeforeValidator(_switch)


class CleanConfig(Section):
    """The rules of `nmt clean`.

    `RULE=false` turns a rule off, `RULE=true` on, and `RULE.LIMIT=VALUE` sets a limit.
    """

    encoding: bool = True
    """Damaged text: wrong decoding (Ã¼), U+FFFD, control, private and unassigned characters,
    escapes (\\u00fc), question marks inside words, and words that mix scripts."""
    length: Annotated[LengthRule | None, _Switch] = LengthRule()
    """A side that is too short or too long."""
    length_ratio: Annotated[LengthRatioRule | None, _Switch] = LengthRatioRule()
    """Sides of very different lengths."""
    word_length: Annotated[WordLengthRule | None, _Switch] = WordLengthRule()
    """Long words, which are lists, code or lines without spaces."""
    script: Annotated[ScriptRule | None, _Switch] = ScriptRule()
    """Letters of another script than that of the language."""
    symbols: Annotated[SymbolsRule | None, _Switch] = SymbolsRule()
    """Much punctuation and many symbols, or few letters."""
    markup: bool = True
    """HTML tags and entities, BBCode and wiki markup."""
    links: Annotated[LinksRule | None, _Switch] = LinksRule()
    """URLs and e-mail addresses that differ between the sides, or are most of both."""
    repetition: Annotated[RepetitionRule | None, _Switch] = RepetitionRule()
    """Words, phrases or characters repeated on one side."""
    copies: Annotated[CopiesRule | None, _Switch] = CopiesRule()
    """Untranslated text: both sides are the same, or nearly so."""
    numbers: Annotated[NumbersRule | None, _Switch] = NumbersRule()
    """Numbers that disagree. One side may spell them out, and times may have 12 or 24 hours."""
    terminal_punctuation: Annotated[TerminalPunctuationRule | None, _Switch] = (
        TerminalPunctuationRule()
    )
    """Sentence-final marks that disagree, in languages that need them."""
    profanity: Annotated[ProfanityRule | None, _Switch] = None
    """Words of a list of your own; off without one."""
    pattern: Annotated[PatternRule | None, _Switch] = None
    """Regular expressions of your own; off without one."""
    language: Annotated[LanguageRule | None, _Switch] = LanguageRule()
    """A side in another language, as far as py3langid knows both."""
    duplicates: Annotated[DuplicatesRule | None, _Switch] = DuplicatesRule()
    """Repetitions of an earlier pair."""
    near_duplicates: Annotated[NearDuplicatesRule | None, _Switch] = NearDuplicatesRule()
    """Pairs that are much like an earlier one (MinHash)."""

    def _conflicts(self) -> Iterator[str]:
        if self.length and self.length.min_words > self.length.max_words:
            yield "length.min_words must not be above length.max_words"
        if self.length and self.length.min_characters > self.length.max_characters:
            yield "length.min_characters must not be above length.max_characters"


def limits_of(rule: str) -> type[Section] | None:
    """Return the section of a rule; None if it has no limits."""
    kinds = get_args(CleanConfig.model_fields[rule].annotation)
    return next((kind for kind in kinds if issubclass(kind, Section)), None)
