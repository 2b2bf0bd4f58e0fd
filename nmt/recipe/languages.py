"""The languages of two text files, from their names or from their text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from nmt.data.corpus import Pair
from nmt.errors import ConfigError
from nmt.serve.detect import Detector

_CODE = re.compile("[a-z]{2,3}([-_][A-Za-z]{2,4})?")
_NOT_CODES = {"raw", "src", "tgt", "tok", "trg", "txt"}


def languages_of(
    paths: tuple[str, str], given: tuple[str | None, str | None], sample: Iterable[Pair]
) -> tuple[str, str]:
    """Return the codes of the source and the target language.

    Args:
        paths: the files of both sides.
        given: the codes that the user has given.
        sample: pairs of the files, read only if the names of the files do not end in codes.

    Raises:
        ConfigError: if a language cannot be told, or both are the same.
    """
    found = [code or _from_name(path) for code, path in zip(given, paths, strict=True)]
    if None in found:
        pairs = list(sample)
        texts = [[pair.src for pair in pairs], [pair.tgt for pair in pairs]]
        found = [code or _from_text(lines) for code, lines in zip(found, texts, strict=True)]
    for side, code, path in zip(("source", "target"), found, paths, strict=True):
        if code is None:
            raise ConfigError(
                f"{path}: cannot tell the {side} language, because the name does not end in its "
                "code, as in train.en; give `src_lang` and `tgt_lang`"
            )
    src, tgt = map(str, found)
    if src.casefold() == tgt.casefold():
        raise ConfigError(
            f"both {paths[0]} and {paths[1]} seem to be in the language {src}; name the files of "
            "two languages, or give `src_lang` and `tgt_lang`"
        )
    return src, tgt


def _from_name(path: str) -> str | None:
    """Return the ending of a name if it is a code, as in `train.en.gz`."""
    _, dot, ending = Path(path).name.removesuffix(".gz").rpartition(".")
    return ending if dot and _CODE.fullmatch(ending) and ending not in _NOT_CODES else None


def _from_text(lines: list[str]) -> str | None:
    """Return the language that py3langid detects; None if it is not installed."""
    try:
        return Detector([]).detect("\n".join(lines))[0].language
    except ImportError:
        return None
