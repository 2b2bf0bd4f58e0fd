"""Rules about the characters of a pair: damaged encoding, scripts, symbols.

Each returns whether the pair is to be dropped.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from nmt.clean.sides import LINK, Side
from nmt.config.cleaning import ScriptRule, SymbolsRule
from nmt.data.scripts import script_of

# What the bytes 0x80 to 0xBF look like in Latin-1 and in Windows-1252.
_CONTINUATION = f"[\x80-\xbf{bytes(range(0x80, 0xC0)).decode('cp1252', 'ignore')}]"
_ONCE_WRONG = re.compile(f"[ÃÂ]{_CONTINUATION}|â€|â[\x80\x82]|ï»¿|ï¿½")
_TWICE_WRONG = re.compile(f"(?:[\xc2-\xdf]{_CONTINUATION}.*){{2}}")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}")
_ALIKE = "A-Za-z\u00aa-\u024f\u0370-\u052f"  # Latin, Greek and Cyrillic
_LOST_LETTER = re.compile(rf"(?=[{_ALIKE}])[^\W\d_]\?(?=[{_ALIKE}])[^\W\d_A-Z]")
_LOOKALIKES = {"LATIN", "CYRILLIC", "GREEK"}
_WORD = re.compile(rf"(?:(?=[{_ALIKE}])[^\W\d_]){{4,}}")  # shorter: \u03bcm
_NAME = re.compile("[A-Za-z]*[A-Z][A-Za-z]*")
_FEW_MARKS = 4


def encoding(src: Side, tgt: Side) -> bool:
    """Text that was decoded or converted wrongly."""
    return any(_is_damaged(side.text) for side in (src, tgt))


def _is_damaged(text: str) -> bool:
    if _ESCAPE.search(text):
        return True
    if "?" in text and _LOST_LETTER.search(text) and not LINK.search(text):
        return True
    if text.isascii():
        return False
    if _ONCE_WRONG.search(text) or _TWICE_WRONG.search(text):
        return True
    return any(map(_is_invalid, text)) or any(map(_mixes_scripts, _WORD.findall(text)))


@functools.lru_cache(maxsize=1 << 16)
def _is_invalid(character: str) -> bool:
    """Return whether a character is U+FFFD, or a control, private or unassigned one."""
    return character == "\ufffd" or unicodedata.category(character) in {"Cc", "Co", "Cn", "Cs"}


def _mixes_scripts(word: str) -> bool:
    """Return whether scripts that look alike are mixed in a word.

    A Cyrillic o in an English word, for example, is another word for the tokenizer.
    """
    return (
        not word.isascii() and len({script_of(character) for character in word} & _LOOKALIKES) > 1
    )


def script(src: Side, tgt: Side, limits: ScriptRule) -> bool:
    """Letters of another script than that of the language.

    Names such as iPhone do not count if both sides have them.
    """
    return any(
        _in_other_script(side, other.text, limits.min_share)
        for side, other in ((src, tgt), (tgt, src))
    )


def _in_other_script(side: Side, other: str, min_share: float) -> bool:
    right = side.language.scripts
    if not right or (side.text.isascii() and "LATIN" in right):
        return False
    scripts = [*filter(None, map(script_of, side.text))]
    num_right = sum(script in right for script in scripts)
    if num_right == 0 or "LATIN" in right:
        return num_right < min_share * len(scripts)
    copied = sum(len(name) for name in _NAME.findall(LINK.sub("", side.text)) if name in other)
    copied += sum(map(str.isalpha, "".join(LINK.findall(side.text))))
    return num_right < min_share * (len(scripts) - copied)


def symbols(src: Side, tgt: Side, limits: SymbolsRule) -> bool:
    """Much punctuation and many symbols, or few letters; a few marks do not count."""
    return any(_is_symbolic(side.text, limits) for side in (src, tgt))


def _is_symbolic(text: str, limits: SymbolsRule) -> bool:
    visible = "".join(text.split())
    letters = sum(map(_is_letter, visible))
    digits = sum(map(str.isdigit, visible))
    others = len(visible) - letters - digits
    if letters:  # a word of Chinese may be one letter, with quotation marks
        others = max(0, others - _FEW_MARKS)
    size = letters + digits + others
    return letters < limits.min_letters * size or others > limits.max_share * size


@functools.lru_cache(maxsize=1 << 16)
def _is_letter(character: str) -> bool:
    """Return whether a character is a letter or a mark of one (Unicode categories L* and M*)."""
    return unicodedata.category(character)[0] in "LM"
