"""Turn the words of a tree into written lines and their word alignment."""

from collections.abc import Hashable
from dataclasses import dataclass

from nmt.data.phrasebook import Pair
from phrasebook.tree import Word, Words


@dataclass(frozen=True)
class Line:
    """One or two sentences, as words in both languages."""

    en: Words
    de: Words

    def then(self, other: "Line") -> "Line":
        """Return this line followed by another."""
        return Line(self.en + other.en, self.de + other.de)


def line(end: str, en: Words, de: Words) -> Line:
    """Return a sentence with its closing punctuation mark."""
    return Line([*en, Word(end)], [*de, Word(end)])


_STOPS = (",", ".", "?", "!")
_AN = ("a", "e", "i", "o", "u", "honest")
_NOT_AN = ("useful",)


def _write(words: Words) -> tuple[list[str], list[tuple[Hashable, ...]]]:
    """Return the tokens of a line as written, and the keys of each."""
    texts: list[str] = []
    keys: list[tuple[Hashable, ...]] = []
    capital = True
    for word in words:
        text = word.text
        if text in _STOPS:
            # The closing mark replaces the comma of a clause that ends the sentence.
            texts[-1] = texts[-1].removesuffix(",") + text
            capital = text != ","
        elif text == "not" and texts[-1] == "can":
            texts[-1] = "cannot"
            keys[-1] += word.keys
        else:
            if texts and texts[-1] in ("a", "A") and _takes_an(text):
                texts[-1] += "n"
            texts.append(text[0].upper() + text[1:] if capital else text)
            keys.append(word.keys)
            capital = False
    return texts, keys


def _takes_an(word: str) -> bool:
    return word.startswith(_AN) and word not in _NOT_AN


def to_pair(line: Line) -> Pair:
    """Return a line in both languages, with words that share a key aligned."""
    src, src_keys = _write(line.en)
    tgt, tgt_keys = _write(line.de)
    places: dict[Hashable, list[int]] = {}
    for j, keys in enumerate(tgt_keys):
        for key in keys:
            places.setdefault(key, []).append(j)
    links = {(i, j) for i, keys in enumerate(src_keys) for key in keys for j in places.get(key, ())}
    return Pair(" ".join(src), " ".join(tgt), tuple(sorted(links)))
