"""Lines of input, with the beginnings of their translations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from nmt.config.languages import LanguagePair
from nmt.errors import DataError


@dataclass(frozen=True)
class Source:
    """A line of text to translate.

    Attributes:
        text: the text.
        prefix: the beginning of its translation; may be empty.
        src_lang, tgt_lang: its language and that to translate into; by default those of the
            options. Only a model with tags is told them.
    """

    text: str
    prefix: str = ""
    src_lang: str | None = None
    tgt_lang: str | None = None

    def __len__(self) -> int:
        """Return the number of characters."""
        return len(self.text) + len(self.prefix)


def with_prefixes(lines: Iterable[str], prefixes: Iterable[str]) -> Iterator[Source]:
    """Combine lines with prefixes, lazily.

    Raises:
        DataError: if there are more of one than of the other.
    """
    pairs = itertools.zip_longest(lines, prefixes)
    for number, (line, prefix) in enumerate(pairs, 1):
        if line is None or prefix is None:
            ends, goes_on = ("input", "prefixes") if line is None else ("prefixes", "input")
            verb = "s" if ends == "input" else ""
            raise DataError(
                f"the {ends} end{verb} after line {number - 1}, but the {goes_on} "
                f"continue{'' if verb else 's'}: give one prefix, which may be empty, for each line"
            )
        yield Source(line, prefix)


def with_languages(source: Source, languages: LanguagePair) -> Source:
    """Return a source in other languages."""
    return replace(source, src_lang=languages.src, tgt_lang=languages.tgt)
