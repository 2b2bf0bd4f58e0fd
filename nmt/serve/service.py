"""From requests to answers: languages, segments, steps over a third language."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from nmt.config.languages import LanguagePair
from nmt.documents.document import Document, text_document
from nmt.documents.markup import html_document
from nmt.serve.batcher import Batcher
from nmt.serve.detect import Detected, Detector
from nmt.serve.errors import Refusal
from nmt.serve.metrics import Metrics
from nmt.serve.pairs import Pairs, Route
from nmt.serve.settings import Settings
from nmt.serve.tasks import Failed, Found, Line, Task
from nmt.translate.alternatives import Alternative
from nmt.translate.guard.guard import GuardMode
from nmt.translate.translation import in_order
from nmt.translate.words import Links, word_spans

_WINDOW = 256
"""Segments of a file that are in the queue at a time."""


class Wanted(NamedTuple):
    """How a client wants text to be translated."""

    client: str
    lang: str
    """The language of the text."""
    route: Route
    nbest: int = 1
    aligns: bool = False
    glossary: tuple[tuple[str, ...], ...] = ()
    guard: GuardMode | None = None


class Verdict(NamedTuple):
    """What the guard says about a text."""

    flags: tuple[str, ...]
    """Those of all its segments."""
    confidence: float | None
    """That of the segment with the lowest; None if the model is not calibrated."""


class Part(NamedTuple):
    """The translation of a segment, with what surrounds it."""

    text: str
    found: Found


class Translated(NamedTuple):
    """A document and what was found for its segments."""

    document: Document
    found: list[Found]

    def text(self, place: int = 0) -> str:
        """Return the best translation, or another one.

        Args:
            place: from 0, the best. A segment with fewer translations has its last one.
        """
        texts = [found.texts[min(place, len(found.texts) - 1)] for found in self.found]
        links = [found.links for found in self.found]  # those of the best one
        return self.document.render(texts, [] if place else links)

    @property
    def num_texts(self) -> int:
        """How many different translations there are."""
        return max((len(found.texts) for found in self.found), default=1)

    @property
    def verdict(self) -> Verdict:
        """What the guard says about it."""
        return verdict_of(self.found)


class Service:
    """Answers requests; the routes are in `nmt.serve.app`.

    Args:
        settings: those of the server.
        pairs: its language pairs.
        batcher: translates lines.
        detector: detects languages.
        metrics: counts.
    """

    def __init__(
        self,
        settings: Settings,
        pairs: Pairs,
        batcher: Batcher,
        detector: Detector,
        metrics: Metrics,
    ) -> None:
        self.settings, self.pairs, self.metrics = settings, pairs, metrics
        self._batcher, self._detector = batcher, detector

    async def documents(
        self, wanted: Wanted, texts: Sequence[str], layout: str | None = None
    ) -> list[Document]:
        """Return the segments of texts, which are HTML if `layout` is `html`."""
        read = html_document if layout == "html" else text_document
        lang = wanted.lang if self.settings.split_sentences else None
        # In a thread, because it can take a second.
        return await asyncio.to_thread(lambda: [read(text, sentences_of=lang) for text in texts])

    async def detect(self, text: str) -> list[Detected]:
        """Return the likely languages of a text, the likeliest first."""
        return await asyncio.to_thread(self._detector.detect, text)

    async def languages(
        self, source: str, target: str, text: str
    ) -> tuple[str, Route, Detected | None]:
        """Return the language of a text and how to translate it.

        If `source` is `auto`, the language is detected, and also returned as such.

        Raises:
            Refusal: if the server cannot translate between these languages.
        """
        detected = (await self.detect(text))[0] if source == "auto" else None
        source = detected.language if detected else source
        route = self.pairs.route(source, target)
        self.metrics.count_characters(str(LanguagePair(source, target)), len(text))
        return source, route, detected

    async def translate(self, wanted: Wanted, documents: Sequence[Document]) -> list[Translated]:
        """Translate documents together.

        Raises:
            Refusal: if a segment cannot be translated, or too many wait.
        """
        if any(document.has_markup for document in documents):
            wanted = wanted._replace(aligns=True)
        found = await self._found(wanted, [text for each in documents for text in each.segments])
        place, translated = 0, []
        for document in documents:
            end = place + len(document.segments)
            translated.append(Translated(document, found[place:end]))
            place = end
        return translated

    async def stream(
        self, wanted: Wanted, document: Document, window: int = 1
    ) -> AsyncIterator[Part]:
        """Yield the translation of a document in parts, whose texts are the whole one if joined.

        Args:
            wanted: how to translate.
            document: the document.
            window: segments to translate at first; then twice as many, and so on.
        """
        place, wanted = 0, wanted._replace(aligns=document.has_markup)
        if not document.segments:
            yield Part(document.render([]), Found())
        while place < len(document.segments):
            found = await self._found(wanted, document.segments[place : place + window])
            texts, links = [each.texts[0] for each in found], [each.links for each in found]
            for text, each in zip(document.parts(place, texts, links), found, strict=True):
                yield Part(text, each)
            place, window = place + window, min(2 * window, _WINDOW)

    async def translate_file(self, wanted: Wanted, content: bytes) -> bytes:
        """Translate the text of a file.

        Raises:
            Refusal: if it is not UTF-8, or cannot be translated.
        """
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refusal(400, f"file: byte {error.start} is not UTF-8 text") from error
        [document] = await self.documents(wanted, [text])
        parts = self.stream(wanted, document, _WINDOW)
        return "".join([part.text async for part in parts]).encode("utf-8")

    async def next_words(
        self, client: str, route: Route, src: str, prefix: str, num: int
    ) -> list[Alternative]:
        """Return the likeliest words after the beginning of a translation.

        Raises:
            Refusal: if there are none for these languages or this text.
        """
        if len(route) != 1:
            raise Refusal(400, "alternatives need a model for this pair of languages")
        lines = [Line(src, prefix)]
        [outcome] = await self._batcher.translate(client, Task(route[0], num_words=num), lines)
        if isinstance(outcome, Failed):
            raise Refusal(400, outcome.message)
        return outcome.words

    async def _found(self, wanted: Wanted, segments: Sequence[str]) -> list[Found]:
        """Translate segments, over the pivot language if the route has two steps."""
        found = [Found([text]) for text in segments]
        if wanted.aligns and not wanted.route:
            return [Found([text], _same_words(text)) for text in segments]
        for place, hop in enumerate(wanted.route):
            is_last = place == len(wanted.route) - 1
            nbest = wanted.nbest if is_last else 1
            # Terms are of the first language and the last, which one model must know both.
            glossary = wanted.glossary if len(wanted.route) == 1 else ()
            task = Task(hop, nbest, wanted.aligns, glossary, wanted.guard)
            lines = [Line(each.texts[0]) for each in found]
            outcomes = await self._batcher.translate(wanted.client, task, lines)
            for number, outcome in enumerate(outcomes):
                if isinstance(outcome, Failed):
                    raise Refusal(400, f"segment {number + 1}: {outcome.message}")
                found[number] = _onward(found[number], outcome) if place else outcome
        if wanted.guard and wanted.route:
            for each in found:
                self.metrics.count_checked(each.flags)
        return found


def _same_words(text: str) -> Links:
    """Return the alignment of a text with itself."""
    return [(number, number) for number in range(len(word_spans(text)))]


def _onward(first: Found, second: Found) -> Found:
    """Return the outcome of two steps: a flaw of either is one of the whole."""
    links = composed(first.links, second.links)
    return Found(second.texts, links, *verdict_of([first, second]))


def verdict_of(found: Sequence[Found]) -> Verdict:
    """Return what the guard says about segments together."""
    known = [each.confidence for each in found if each.confidence is not None]
    flags = in_order(flag for each in found for flag in each.flags)
    return Verdict(flags, min(known, default=None))


def composed(first: Links, second: Links) -> Links:
    """Return the links that lead over a word of the language in between."""
    onward = defaultdict(list)
    for middle, tgt in second:
        onward[middle].append(tgt)
    return sorted({(src, tgt) for src, middle in first for tgt in onward[middle]})


def character_spans(
    src: str, tgt: str, links: Links
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return links between words as pairs of their spans of characters."""
    src_spans, tgt_spans = word_spans(src), word_spans(tgt)
    return [(src_spans[one], tgt_spans[other]) for one, other in links]
