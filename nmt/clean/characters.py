"""Rules about the characters of a pair: damaged encoding, scripts, symbols.

Each returns whether the pair is to be dropped.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from nmt.clean.scripts import script_of
from nmt.clean.sides import LINK, Side
from nmt.config.cleaning import ScriptRule, SymbolsRule

# What the bytes 0x80 to 0xBF look like in Latin-1 and in Windows-1252.
_CONTINUATION = f"[\x80-\xbf{bytes(range(0x80, 0xC0)).decode('cp1252', 'ignore')}]"
_ONCE_WRONG = re.compile(f"[ÃÂ]{_CONTINUATION}|â€|â[\x80\x82]|ï»¿|ï¿½")
_TWICE_WRONG = re.compile(f"(?:[\xc2-\xdf]{_CONTINUATION}.*){{2}}")
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}")
_LOST_LETTER = re.compile(r"[^\W\d_]\?[^\W\d_A-Z]")
_LOOKALIKES = {"LATIN", "CYRILLIC", "GREEK"}


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
    return any(map(_is_invalid, text)) or any(map(_mixes_scripts, text.split()))


@functools.lru_cache(maxsize=1 << 16)
def _is_invalid(character: str) -> bool:
    """Return whether a character is U+FFFD, or a control, private or unassigned one."""
    return character == "\ufffd" or unicodedata.category(character) in {"Cc", "Co", "Cn", "Cs"}


def _mixes_scripts(word: str) -> bool:
    """Return whether scripts that look alike are mixed in a word.

    A Cyrillic o in an English word, for example, is another word for the tokenizer.
    """
    if word.isascii() or not word.isalpha():
        return False
    return len({script_of(character) for character in word} & _LOOKALIKES) > 1


def script(src: Side, tgt: Side, limits: ScriptRule) -> bool:
    """Letters of another script than that of the language."""
    return any(_in_other_script(side, limits.min_share) for side in (src, tgt))


def _in_other_script(side: Side, min_share: float) -> bool:
    right = side.language.scripts
    if not right or (side.text.isascii() and "LATIN" in right):
        return False
    scripts = [*filter(None, map(script_of, side.text))]
    return sum(script in right for script in scripts) < min_share * len(scripts)


def symbols(src: Side, tgt: Side, limits: SymbolsRule) -> bool:
    """Much punctuation and many symbols, or few letters."""
    return any(_is_symbolic(side.text, limits) for side in (src, tgt))


def _is_symbolic(text: str, limits: SymbolsRule) -> bool:
    visible = "".join(text.split())
    letters = sum(map(_is_letter, visible))
    others = len(visible) - letters - sum(map(str.isdigit, visible))
    size = len(visible)
    return letters < limits.min_letters * size or others > limits.max_share * size


@functools.lru_cache(maxsize=1 << 16)
def _is_letter(character: str) -> bool:
    """Return whether a character is a letter or a mark of one (Unicode categories L* and M*)."""
    return unicodedata.category(character)[0] in "LM"
