"""Languages: the pair of a corpus, and the tags that tell a model which pair a sentence is of.

A tag is one token in front of the source. `<2de>` asks for German; with `data.tags: both`, `<en>`
before it says that the source is English. A corpus may have a tag of its own, which comes first.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

TagKind = Literal["none", "target", "both"]

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TAKEN = {"s", "pad", "unk", "term", "mask", "sep"}
"""Codes whose source tag would be a special token."""
_THREE_TO_TWO = (
    "afr:af amh:am ara:ar arb:ar asm:as aze:az azj:az bel:be ben:bn bod:bo bos:bs bul:bg "
    "cat:ca ces:cs cmn:zh cym:cy dan:da deu:de ell:el eng:en est:et ekk:et eus:eu fas:fa "
    "pes:fa fin:fi fra:fr gle:ga glg:gl guj:gu hat:ht hau:ha heb:he hin:hi hrv:hr hun:hu "
    "hye:hy ibo:ig ind:id isl:is ita:it jav:jv jpn:ja kan:kn kat:ka kaz:kk khk:mn khm:km "
    "kir:ky kor:ko lao:lo lav:lv lvs:lv lit:lt ltz:lb mal:ml mar:mr mkd:mk mlt:mt mon:mn "
    "msa:ms zsm:ms mya:my nep:ne npi:ne nld:nl nno:nn nob:nb nor:no ori:or ory:or pan:pa "
    "pol:pl por:pt ron:ro rus:ru sin:si slk:sk slv:sl som:so spa:es sqi:sq als:sq srp:sr "
    "swa:sw swh:sw swe:sv tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti tur:tr uig:ug "
    "ukr:uk urd:ur uzb:uz uzn:uz vie:vi xho:xh yor:yo zho:zh zul:zu"
)
_TWO_LETTERS = dict(pair.split(":") for pair in _THREE_TO_TWO.split())
"""ISO 639-1 for ISO 639-3, and for the members of macrolanguages that FLORES names."""


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


def base_code(language: str | None) -> str:
    """Return the code of a language without its script and region: `pt` for `pt-BR`.

    It has two letters where ISO 639-1 has such a code: `de` for `deu_Latn`. It is empty for None.
    """
    code = re.split("[-_]", (language or "").lower())[0]
    return _TWO_LETTERS.get(code, code)


def is_usable(code: str) -> bool:
    """Return whether a tag can contain the code of a language, or the name of a corpus's tag."""
    return bool(_CODE.fullmatch(code)) and code not in _TAKEN
