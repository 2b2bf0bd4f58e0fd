"""Spans of text that a translation copies, such as addresses and {names}, as symbols.

In training pairs, spans that occur on both sides become symbols, `<ph1>` and so on, so that the
model learns to copy these. They are numbered, so that several in a sentence can be told apart. This
happens when the text is prepared, in half of the pairs, so that the model also learns to translate
such text without symbols. The number of a span is drawn at random, so that all symbols are learned.

The symbols are user-defined pieces of the vocabulary: text that contains one is divided there.
Text of users that looks like one is itself a span: see `nmt.translate.protect`.
"""

from __future__ import annotations

import random
import re
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from nmt.config.placeholders import PlaceholderKind
from nmt.data.corpus import Pair
from nmt.data.model_file import Piece, PieceKind, with_pieces
from nmt.data.tokenizer import Tokenizer, Tokenizers

SYMBOLS = tuple(f"<ph{number}>" for number in range(1, 17))
"""A sentence has at most as many different spans; more remain text."""
SYMBOL = re.compile("|".join(SYMBOLS))

# Chinese, Japanese and Thai have no spaces, and Korean particles follow a word directly. Next to a
# span, their letters and punctuation are not part of it.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
    "\U00020000-\U0003ffff"
)
_IN_WORD = rf"[^\W{_UNSPACED}]"
_LETTER = rf"[^\W\d_{_UNSPACED}]"
_NOT_IN_URL = rf"\s<>\"'`|\\^{{}}\u00ab\u00bb\u2018-\u201f\u2039\u203a{_UNSPACED}"
# Without the punctuation that ends a sentence.
URL = re.compile(
    rf"(?i:https?://|ftp://|www\.)[^{_NOT_IN_URL}]*"
    rf"[^{_NOT_IN_URL}.,;:!?)\]\u2026\u060c\u061b\u061f\u06d4\u0964]"
)
EMAIL = re.compile(
    rf"(?<![.+-])(?<!{_IN_WORD})(?:{_IN_WORD}|[.+-])*(?:{_IN_WORD}|\+)@(?:(?:{_IN_WORD}|-)+\.)+{_LETTER}{{2,}}"
)
_NUMBER = rf"(?<![.,])(?<!{_IN_WORD})\d+(?:[.,]\d+)*(?!{_IN_WORD}|[.,]\d)"
_VARIABLE = r"\{\{[^{}\s]+\}\}|\$\{[^{}\s]+\}|\{[\w.:!-]*\}"  # {{name}} ${NAME} {name}
_NAMED_FORMAT = r"%\(\w+\)[-+#0]*\d*(?:\.\d+)?[a-zA-Z]"  # %(name)d
_FORMAT = (
    r"(?<![\d%])%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:hh|h|ll|l)?[diouxXeEfFgGcs@]"
    rf"(?!{_LETTER})"
)
_TAG = r"</?[A-Za-z0-9][\w:.-]*/?>"
_PICTURE = "[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff]*"
_EMOJI = f"[\U0001f1e6-\U0001f1ff]{{2}}|{_PICTURE}(?:\u200d{_PICTURE})*"

_PATTERNS: Mapping[PlaceholderKind, str] = {
    "urls": URL.pattern,
    "emails": EMAIL.pattern,
    "placeholders": "|".join([_VARIABLE, _NAMED_FORMAT, _FORMAT, _TAG]),
    "numbers": _NUMBER,
    "emoji": _EMOJI,
}
"""What each kind of span looks like. None has white space, so words keep their numbers."""
_REPLACED = 0.5


class Finder:
    """Finds the spans of some kinds, and text that looks like a symbol.

    Args:
        kinds: the kinds.
    """

    def __init__(self, kinds: Collection[PlaceholderKind]) -> None:
        patterns = [_PATTERNS[kind] for kind in _PATTERNS if kind in kinds]
        self._pattern = re.compile("|".join(f"(?:{p})" for p in [SYMBOL.pattern, *patterns]))

    def find(self, text: str) -> list[str]:
        """Return the spans of a text, in order."""
        return self._pattern.findall(text)

    def replace(self, text: str, symbols: Mapping[str, str]) -> str:
        """Replace the spans that have a symbol.

        Args:
            text: the text.
            symbols: the symbol of each span.
        """
        return self._pattern.sub(lambda match: symbols.get(match[0], match[0]), text)


def with_symbols(pair: Pair, finder: Finder) -> Pair:
    """Return a training pair with symbols for the spans that both sides have equally often.

    Args:
        pair: the pair.
        finder: finds the spans.
    """
    ours, theirs = (Counter(finder.find(text)) for text in (pair.src, pair.tgt))
    if not ours and not theirs:
        return pair
    common = [span for span, count in ours.items() if theirs[span] == count]
    rng = random.Random(zlib.crc32(f"{pair.src}\n{pair.tgt}".encode()))
    # Text that looks like a symbol must not become one.
    symbols = {span: f"< {span[1:]}" for span in (*ours, *theirs) if span in SYMBOLS}
    if rng.random() < _REPLACED:
        symbols |= zip(common[: len(SYMBOLS)], rng.sample(SYMBOLS, len(SYMBOLS)), strict=False)
    return pair._replace(
        src=finder.replace(pair.src, symbols), tgt=finder.replace(pair.tgt, symbols)
    )


def with_placeholder_symbols(tokenizers: Tokenizers) -> Tokenizers:
    """Return tokenizers with `SYMBOLS`, added as the last ids if they lack them."""
    if tokenizers.joint:
        return Tokenizers(*[_extended(tokenizers.src)] * 2)
    return Tokenizers(*map(_extended, tokenizers))


def has_placeholder_symbols(tokenizers: Tokenizers) -> bool:
    """Return whether both vocabularies have `SYMBOLS`."""
    return not any(_missing(tokenizer) for tokenizer in tokenizers)


def _extended(tokenizer: Tokenizer) -> Tokenizer:
    if not (missing := _missing(tokenizer)):
        return tokenizer
    pieces = [Piece(symbol, 0.0, PieceKind.USER_DEFINED) for symbol in missing]
    return Tokenizer(with_pieces(tokenizer.serialized(), pieces))


def _missing(tokenizer: Tokenizer) -> Sequence[str]:
    return [symbol for symbol in SYMBOLS if not tokenizer.has_piece(symbol)]
