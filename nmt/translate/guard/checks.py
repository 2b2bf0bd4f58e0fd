"""Checks of a translation against its source, by their text and word alignment alone.

Each check is conservative: a correct translation should pass, even at the price of some bad ones.
The lengths are checked elsewhere, because they are of tokens: see `nmt.data.lengths`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from nmt.config.languages import LanguagePair, base_code
from nmt.data.placeholders import URL
from nmt.data.scripts import has_spaces, scripts_of
from nmt.translate.guard.figures import NUMBER
from nmt.translate.words import Links, split_words

_MOST_REPEATED_WORDS = 64
_CHECKED_CHARACTERS = 2000
# The same characters at least six times in a row: a loop in a script without spaces.
_CHARACTER_LOOP = re.compile(r"(\w(?:.{0,19}?\w)?)\1{5,}")
# In a source, less is enough to explain one: hahaha.
_SMALL_LOOP = re.compile(r"(\w(?:.{0,19}?\w)?)\1{2,}")
_FEWEST_COPIED = 2
_FEWEST_COPIED_LETTERS = 10
_CASED = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN"}
_ALMOST_ALL = 0.9
_FEWEST_OMITTED = 5
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def repeats(src: str, tgt: str) -> bool:
    """Return whether words or characters of a translation are repeated in a loop.

    One or two words are a loop if they occur three times in a row, more words if twice. A source
    that repeats as often is translated well by that.
    """
    if _has_loop(_CHARACTER_LOOP, tgt):
        return not _has_loop(_SMALL_LOOP, src)
    times = _times_repeated(tgt, fewest=3)
    return times > 1 and times > _times_repeated(src, fewest=2)


def _has_loop(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether characters repeat; the zeros of a million and URLs (www) do not count."""
    text = URL.sub(" ", text[:_CHECKED_CHARACTERS])
    return any(not match[1].isdecimal() for match in pattern.finditer(text))


def _times_repeated(text: str, *, fewest: int) -> int:
    """Return how often words occur in a row at most.

    Args:
        text: the text.
        fewest: how often one or two words must occur to count; for more, twice is enough.

    Returns:
        1 if there is no such loop.
    """
    words = _words(text.casefold())
    most = 1
    for size in range(1, min(len(words) // 2, _MOST_REPEATED_WORDS) + 1):
        run = 0
        for place in range(size, len(words)):
            run = run + 1 if words[place] == words[place - size] else 0
            times = 1 + run // size
            if times > most and times >= (fewest if size < 3 else 2):
                most = times
    return most


def _words(text: str) -> list[str]:
    """Return the words of a text, and its numbers without separators.

    Marks, such as the vowel signs of Hindi, are parts of words, though `\\w` does not match them.
    """
    text = NUMBER.sub(lambda match: re.sub(r"\D", "", match[0]), text)
    return "".join(
        c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text
    ).split()


def is_copied(src: str, tgt: str, languages: LanguagePair) -> bool:
    """Return whether a translation into another language is its source, or almost.

    Capitalized words and numbers may be names, which stay as they are. So at least two other words
    must be the same, and nine out of ten words in all. If the languages share a script without
    capitals, as Chinese and Japanese do, at least ten letters must be the same.

    Args:
        src: the source.
        tgt: its translation.
        languages: those of both; varieties of one language, such as `pt-PT` and `pt-BR`, may copy.
    """
    if base_code(languages.src) == base_code(languages.tgt):
        return False
    shared = scripts_of(languages.src) & scripts_of(languages.tgt)
    fewest = _FEWEST_COPIED_LETTERS if shared - _CASED else _FEWEST_COPIED
    ours, theirs = _ordinary_words(src), _ordinary_words(tgt)
    common = sum((Counter(ours) & Counter(theirs)).values())
    all_ours, all_theirs = (_WORD.findall(text.casefold()) for text in (src, tgt))
    all_common = sum((Counter(all_ours) & Counter(all_theirs)).values())
    needed = _ALMOST_ALL * max(len(all_ours), len(all_theirs))
    return common >= fewest and all_common >= needed


def _ordinary_words(text: str) -> list[str]:
    """Return the words that are not names; in a script without spaces, the characters."""
    if text.isupper():
        text = text.lower()
    words = [word for word in _WORD.findall(text) if not word[0].isupper()]
    return [part for word in words for part in ([word] if word[0].islower() else word)]


def omits(src: str, tgt: str, links: Links) -> bool:
    """Return whether five or more words of a source in a row have no word in its translation.

    Translations without spaces between words, such as Chinese ones, have too few links to tell.

    Args:
        src: the source.
        tgt: its translation.
        links: its word alignment; each target word is linked to one source word.
    """
    if not has_spaces(tgt):
        return False
    linked = {word for word, _ in links}
    run = 0
    for number, word in enumerate(split_words(src)):
        if number in linked:
            run = 0
        elif any(map(str.isalnum, word)):
            run += 1
        if run >= _FEWEST_OMITTED:
            return True
    return False
