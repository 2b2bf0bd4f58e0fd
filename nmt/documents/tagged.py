"""Text with tags in angle brackets, as in subtitles and messages."""

from __future__ import annotations

import re
from collections.abc import Callable

from nmt.documents.inline import Close, Empty, Fixed, Open, Piece, Text, balanced
from nmt.documents.markup import tag_name


def tagged(
    raw: str, special: re.Pattern[str], text: Callable[[str], list[Text]], *, fixed: bool = False
) -> list[Piece]:
    """Return the pieces of text with tags.

    Args:
        raw: the text.
        special: finds tags, which begin with `<`, and whatever else is copied.
        text: returns the pieces of what is between them.
        fixed: whether the model reads what is copied and is no tag.
    """
    pieces: list[Piece] = []
    done = 0
    for match in special.finditer(raw):
        pieces += text(raw[done : match.start()])
        done = match.end()
        if not tag_name(match[0]):
            pieces.append(Fixed(match[0], match[0]) if fixed else Empty(match[0]))
        elif match[0].startswith("</"):
            pieces.append(Close(match[0]))
        else:
            pieces.append(Empty(match[0]) if match[0].endswith("/>") else Open(match[0]))
    pieces += text(raw[done:])
    return balanced(pieces, lambda tag: tag_name(tag).partition(".")[0])
