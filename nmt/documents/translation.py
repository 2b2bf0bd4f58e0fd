"""The translation of a document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from nmt.documents.document import Translatable
from nmt.progress import Advance
from nmt.translate.formats import JsonLayout
from nmt.translate.resume import translate_file
from nmt.translate.translator import Translator

_KEY = "src"


def translate_document(
    document: Translatable, translator: Translator, advance: Advance = lambda segments: None
) -> bytes:
    """Return a translated document.

    Args:
        document: what `nmt.documents.formats.read_document` returns.
        translator: with alignments, if the document has markup and the model can align words.
            Otherwise tags are placed in proportion.
        advance: called with the number of segments done since the last call.
    """
    found = list(translator.translate(document.segments, advance=advance))
    return document.write([each.text for each in found], [each.alignment for each in found])


def translate_document_file(
    document: Translatable,
    translator: Translator,
    output: Path,
    *,
    resume: bool,
    log: Callable[[str], None],
    advance: Advance = lambda segments: None,
) -> None:
    """Translate a document into a file, which gets its final name only when it is complete.

    Until then, the translated segments are in FILE.partial, as JSON lines.

    Args:
        document, translator, advance: as in `translate_document`.
        output, resume, log: as in `nmt.translate.resume.translate_file`, which also says what is
            raised.
    """
    layout = JsonLayout(_KEY, alignments=translator.aligns)
    segments = (json.dumps({_KEY: text}) for text in document.segments)

    def render(lines: Iterator[str]) -> bytes:
        found = [each.hypotheses[0] for each in layout.read_output(lines)]
        return document.write([each.text for each in found], [each.alignment for each in found])

    translate_file(
        translator,
        segments,
        layout,
        output,
        resume=resume,
        log=log,
        advance=advance,
        render=render,
    )
