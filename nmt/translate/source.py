"""Lines of input, with the beginnings of their translations."""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from nmt.config.languages import LanguagePair
from nmt.data.lines import check_text, replace_controls
from nmt.errors import DataError
from nmt.translate.glossary import Variants


@dataclass(frozen=True)
class Source:
    """A line of text to translate.

    Attributes:
        text: the text.
        prefix: the beginning of its translation; may be empty.
        constraints: the terms that its translation must contain, each as its forms, one of which
            is enough.
        src_lang, tgt_lang: its language and that to translate into; by default those of the
            options. Only a model with tags is told them.
        context: the sentences before it, oldest first; None for those of the sources before it.
    """

    text: str
    prefix: str = ""
    constraints: tuple[Variants, ...] = ()
    src_lang: str | None = None
    tgt_lang: str | None = None
    context: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """Return the number of characters."""
        terms = sum(len(form) for forms in self.constraints for form in forms)
        context = sum(map(len, self.context or ()))
        return len(self.text) + len(self.prefix) + terms + context


def cleaned(source: Source, number: int) -> Source:
    """Return a source whose control characters are spaces.

    Args:
        source: the source.
        number: of its line.

    Raises:
        DataError: if it has half of a character, which no tokenizer reads.
    """
    terms = itertools.chain.from_iterable(source.constraints)
    for text in (source.text, source.prefix, *terms, *(source.context or ())):
        check_text(text, f"line {number}")
    return replace(
        source, text=replace_controls(source.text)[0], prefix=replace_controls(source.prefix)[0]
    )


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


def refuse_string(given: object, name: str, what: str) -> None:
    """Refuse a string in place of a list, which would be the list of its characters.

    Args:
        given: what the caller gave.
        name: what it is.
        what: the contents of the list.

    Raises:
        DataError: if it is a string.
    """
    if isinstance(given, str):
        shown = reprlib.repr(given)
        raise DataError(f"{name} is the string {shown}: give a list of {what}, such as [{shown}]")


def with_languages(source: Source, languages: LanguagePair) -> Source:
    """Return a source in other languages."""
    return replace(source, src_lang=languages.src, tgt_lang=languages.tgt)


def as_constraints(terms: Iterable[str | Iterable[str]]) -> tuple[Variants, ...]:
    """Return terms, each given as a string or as several forms, without repetitions."""
    forms = ((term,) if isinstance(term, str) else tuple(term) for term in terms)
    return tuple(dict.fromkeys(forms))


def with_constraints(
    sources: Iterable[Source], constraints: Iterable[Iterable[str | Iterable[str]]]
) -> Iterator[Source]:
    """Add the terms that translations must contain to sources, lazily.

    Raises:
        DataError: if there are more sources than lists of terms, or fewer, or a string is given as
            a list.
    """
    for number, (source, terms) in enumerate(itertools.zip_longest(sources, constraints), 1):
        refuse_string(terms, f"`constraints` of line {number}", "terms")
        if source is None or terms is None:
            raise DataError("give one list of constraints, which may be empty, for each line")
        yield replace(source, constraints=as_constraints(terms))


def with_contexts(sources: Iterable[Source], contexts: Iterable[Iterable[str]]) -> Iterator[Source]:
    """Add the sentences before them to sources, lazily.

    Raises:
        DataError: if there are more sources than lists of sentences, or fewer, or a string is given
            as a list.
    """
    for number, (source, sentences) in enumerate(itertools.zip_longest(sources, contexts), 1):
        refuse_string(sentences, f"`contexts` of line {number}", "sentences")
        if source is None or sentences is None:
            raise DataError(
                "give one list of sentences of context, which may be empty, for each line"
            )
        yield replace(source, context=tuple(sentences))
