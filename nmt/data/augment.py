"""Training pairs changed to resemble careless input, as by the modifiers of OpusTrainer.

Upper case, title case, missing punctuation and several sentences in a line concern both sides: the
translation of a headline in capitals is one in capitals. Lower case and typing errors concern the
source only: their translation is to be correct. The words of a text stay the same in number and
order unless pairs are joined, so that a word alignment still holds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from nmt.config.augment import AugmentConfig
from nmt.config.languages import LanguagePair, base_code

TextPair = tuple[str, str]
"""The text of a source and of its target."""

_DOTTED_I = {"tr", "az", "crh", "gag", "tt"}
"""Languages in which i with a dot and i without one are two letters."""
_WITHOUT_SPACES = {"zh", "yue", "wuu", "lzh", "ja"}
"""Languages that put no space between sentences."""
_FINAL = ".!?…।॥۔؟։።။。！？｡．‼⁇⁈⁉ \u00a0\u202f\u3000"  # noqa: RUF001
"""Marks that end sentences, and the spaces before them."""
_FIRST_LETTER = re.compile(r"(?<!\S)([^\w\s]*)(\w)")
_BETWEEN_LETTERS = re.compile(r"[^\W\d_](?=[^\W\d_])")
_KEYBOARDS = [
    ["qwertyuiop", "asdfghjkl", "zxcvbnm"],
    ["йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"],
]
_CHARACTERS_PER_TYPO = 40


def augmented(
    pairs: Sequence[TextPair],
    following: Sequence[TextPair | None],
    languages: Sequence[LanguagePair],
    settings: AugmentConfig,
    seed: int,
) -> list[TextPair]:
    """Return the texts with random changes, a pure function of the arguments.

    Args:
        pairs: the texts.
        following: what may be appended to each pair, if anything.
        languages: of each pair.
        settings: the probability of each change.
        seed: seed of the random numbers.
    """
    rng = random.Random(seed)
    rows = zip(pairs, following, languages, strict=True)
    return [_augmented(pair, after, codes, settings, rng) for pair, after, codes in rows]


def _augmented(
    pair: TextPair,
    following: TextPair | None,
    languages: LanguagePair,
    settings: AugmentConfig,
    rng: random.Random,
) -> TextPair:
    src, tgt = pair
    if following and rng.random() < settings.concatenate:
        src = joined(src, following[0], languages.src)
        tgt = joined(tgt, following[1], languages.tgt)
    if rng.random() < settings.no_punctuation:
        src, tgt = without_final_punctuation(src), without_final_punctuation(tgt)
    if rng.random() < settings.typos:
        src = with_typos(src, rng)
    return _in_other_case(src, tgt, languages, settings, rng.random())


def _in_other_case(
    src: str, tgt: str, languages: LanguagePair, settings: AugmentConfig, draw: float
) -> TextPair:
    if draw >= settings.upper + settings.title:
        is_lower = draw < settings.upper + settings.title + settings.lower
        return (lower_cased(src, languages.src) if is_lower else src), tgt
    # In a script without case, the source could not tell which case the target should have.
    if not (has_case(src) and has_case(tgt)):
        return src, tgt
    change = upper_cased if draw < settings.upper else title_cased
    return change(src, languages.src), change(tgt, languages.tgt)


def has_case(text: str) -> bool:
    """Return whether any letter has a capital letter that may begin a word; Georgian has none."""
    return text.title() != text.lower()


def upper_cased(text: str, lang: str) -> str:
    """Return the text in upper case; ß becomes SS, and a Turkish i becomes İ."""
    return (text.replace("i", "İ") if base_code(lang) in _DOTTED_I else text).upper()


def lower_cased(text: str, lang: str) -> str:
    """Return the text in lower case; a Turkish I stays without a dot."""
    if base_code(lang) in _DOTTED_I:
        text = text.replace("İ", "i").replace("I", "\u0131")
    return text.lower()


def title_cased(text: str, lang: str) -> str:
    """Return the text with a capital letter at the beginning of each word.

    Unlike in `str.title`, the other letters stay: "don't" and "NASA" become "Don't" and "NASA".
    """
    dotted = base_code(lang) in _DOTTED_I

    def capital(match: re.Match[str]) -> str:
        letter = match[2]
        return match[1] + ("İ" if dotted and letter == "i" else letter.title())

    return _FIRST_LETTER.sub(capital, text)


def without_final_punctuation(text: str) -> str:
    """Return the text without the marks that end its last sentence, unless it has nothing else."""
    return text.rstrip(_FINAL) or text


def joined(text: str, following: str, lang: str) -> str:
    """Return two sentences in one line."""
    return f"{text}{'' if base_code(lang) in _WITHOUT_SPACES else ' '}{following}"


def with_typos(text: str, rng: random.Random) -> str:
    """Return the text with typing errors, the number of which depends on its length.

    A letter is left out, written twice, swapped with the next one, or replaced by that of a
    neighbouring key. The errors are inside words; a text without words of two letters has none.

    Args:
        text: the text.
        rng: the source of random numbers.
    """
    places = [match.start() for match in _BETWEEN_LETTERS.finditer(text)]
    number = rng.randint(1, 1 + len(text) // _CHARACTERS_PER_TYPO)
    parts: list[str] = []
    end = len(text)
    # From the last to the first, each before the letters that the one behind it has changed.
    for place in sorted(rng.sample(places, min(number, len(places))), reverse=True):
        if place + 2 <= end:
            parts += [text[place + 2 : end], _mistyped(text[place], text[place + 1], rng)]
            end = place
    return text[:end] + "".join(reversed(parts))


def _mistyped(letter: str, following: str, rng: random.Random) -> str:
    """Return two adjacent letters with an error in the first."""
    kind = rng.choice(["left out", "doubled", "swapped", "neighbour"])
    if kind == "left out":
        return following
    if kind == "swapped":
        return following + letter
    keys = _neighbours(letter.lower()) if kind == "neighbour" else ""
    if not keys:  # also where the keyboard of a language is not known
        return letter + letter + following
    key = rng.choice(keys)
    return (key.upper() if letter.isupper() else key) + following


def _neighbours(letter: str) -> str:
    """Return the letters of the keys around one: in its row, and in those above and below."""
    for rows in _KEYBOARDS:
        for number, row in enumerate(rows):
            if (column := row.find(letter)) >= 0:
                left = max(0, column - 1)
                above = rows[number - 1][column : column + 2] if number else ""
                below = rows[number + 1][left : column + 1] if number + 1 < len(rows) else ""
                return row[left:column] + row[column + 1 : column + 2] + above + below
    return ""
