"""Languages: the pair of a corpus, and the tags that tell a model which pair a sentence is of.

A tag is one token in front of the source. `<2de>` asks for German; with `data.tags: both`, `<en>`
before it says that the source is English. A corpus may have a tag of its own, which comes first.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

TagKind = Literal["none", "target", "both"]

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TAKEN = {"s", "pad", "unk", "term", "mask"}
"""Codes whose source tag would be a special token."""


class LanguagePair(NamedTuple):
    """The codes of a source and a target language."""

    src: str
    tgt: str

    def __str__(self) -> str:
        return f"{self.src}-{self.tgt}"


def tags_of(pair: LanguagePair, kind: TagKind) -> list[str]:
    """Return the tags in front of a source, as they are in the vocabulary."""
    source = [tag_symbol(pair.src)] if kind == "both" else []
    return [*source, *([tag_symbol(f"2{pair.tgt}")] if kind != "none" else [])]


def tag_symbol(name: str) -> str:
    """Return the tag with a name, as it is in the vocabulary."""
    return f"<{name}>"


def is_usable(code: str) -> bool:
    """Return whether a tag can contain the code of a language, or the name of a corpus's tag."""
    return bool(_CODE.fullmatch(code)) and code not in _TAKEN
