"""The translation of a document."""

from __future__ import annotations

from nmt.documents.document import Translatable
from nmt.progress import Advance
from nmt.translate.translator import Translator


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
