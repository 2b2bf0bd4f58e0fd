"""Input and output formats: plain text and JSON lines."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from nmt.data.lines import check_text, replace_controls
from nmt.errors import DataError
from nmt.translate.glossary import Variants
from nmt.translate.source import as_constraints, with_prefixes
from nmt.translate.translation import ScoredText, Translation
from nmt.translate.words import format_pharaoh, parse_pharaoh, split_words

_PREFIX_KEY = "prefix"
_CONSTRAINTS_KEY = "constraints"
_CONTEXT_KEY = "context"


class Item(NamedTuple):
    """A line of input."""

    text: str
    """The text to translate."""
    record: dict[str, Any] | None = None
    """The JSON object to copy to the output."""
    prefix: str = ""
    """The beginning of the translation."""
    src_lang: str | None = None
    """Its language, if not that of the options."""
    tgt_lang: str | None = None
    """The language to translate into, if not that of the options."""
    constraints: tuple[Variants, ...] = ()
    """The terms that the translation must contain."""
    context: object = None
    """What the line names as the sentences before it; None for the lines before it."""

    def sentences_before(self, number: int) -> tuple[str, ...] | None:
        """Return `context` as sentences; a model that sees none does not ask for them.

        Args:
            number: of the line.

        Raises:
            DataError: if it is not a list of strings.
        """
        if self.context is None:
            return None
        if not isinstance(self.context, list) or not all(map(_is_text, self.context)):
            raise DataError(
                f"line {number}: {_CONTEXT_KEY!r} lists the sentences before the text and must be "
                "a list of strings: rename other keys of this name"
            )
        return tuple(self.context)


class Layout(Protocol):
    """Reads lines of input and writes lines of output."""

    def read(self, line: str, number: int) -> Item:
        """Read a line of input.

        Args:
            line: the line.
            number: its number, from 1.

        Raises:
            DataError: if the line contains no text to translate.
        """
        ...

    def write(self, number: int, item: Item, translation: Translation) -> str:
        r"""Return the output for a line: one or more lines joined by \n, without a final \n."""
        ...

    def read_output(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Read translations back from output lines; with their flags, these give the same lines."""
        ...


@dataclass(frozen=True)
class TextLayout:
    """Plain lines.

    Attributes:
        nbest: write all hypotheses, each as `line number TAB score TAB text`.
        scores: write `score TAB text`.
        alignments: append a tab and the alignment to each line.
        prefixes: lines of input are those of `prefixed_lines`.
    """

    nbest: bool = False
    scores: bool = False
    alignments: bool = False
    prefixes: bool = False

    def read(self, line: str, number: int) -> Item:
        """Return the line as the text to translate."""
        if not self.prefixes:
            return Item(line)
        prefix, text = line.split("\n")
        return Item(text, prefix=prefix)

    def write(self, number: int, item: Item, translation: Translation) -> str:
        """Return the text, with score and alignment if they are wanted."""
        if self.nbest:
            return "\n".join(f"{number}\t{self._row(best)}" for best in translation.hypotheses)
        return self._row(translation.hypotheses[0])

    def read_output(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Read translations back from output lines. Translations contain no tabs."""
        if self.nbest:
            rows = (line.split("\t", 1) for line in lines)
            for _, group in itertools.groupby(rows, key=lambda row: row[0]):
                yield Translation([self._parse_row(row) for _, row in group])
            return
        for line in lines:
            yield Translation([self._parse_row(line)])

    def _row(self, best: ScoredText) -> str:
        score = [f"{best.score:.6f}"] if self.nbest or self.scores else []
        alignment = [format_pharaoh(best.alignment)] if self.alignments else []
        return "\t".join([*score, best.text, *alignment])

    def _parse_row(self, row: str) -> ScoredText:
        columns = row.split("\t")
        score = float(columns.pop(0)) if self.nbest or self.scores else 0.0
        links = parse_pharaoh(columns.pop()) if self.alignments else []
        [text] = columns
        return ScoredText(text, score, alignment=links)


def prefixed_lines(lines: Iterable[str], prefixes: Iterable[str]) -> Iterator[str]:
    r"""Yield each line after its prefix and a \n, which neither of them contains.

    Raises:
        DataError: if there are more lines than prefixes, or fewer.
    """
    for source in with_prefixes(lines, prefixes):
        yield f"{source.prefix}\n{source.text}"


def _finite(number: str) -> float:
    """Parse a number, and reject NaN and infinity (1e999): JSON cannot represent them."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a finite number")
    return value


def _is_term(value: object) -> bool:
    """Return whether a value of JSON is a term, or a list of its forms."""
    forms = value if isinstance(value, list) else [value]
    return bool(forms) and all(
        isinstance(form, str) and form.strip() and form.isprintable() for form in forms
    )


def _is_text(value: object) -> bool:
    """Return whether a value of JSON is a string, without half a character."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


@dataclass(frozen=True)
class JsonLayout:
    """JSON objects, one per line; blank lines stay blank.

    The output has all keys of the input, and `translation`. The key `prefix`, if present, is the
    beginning of the translation; a model with tags is told `src_lang` and `tgt_lang`. The key
    `constraints`, if present, lists terms that the translation must contain, each as a string or as
    a list of forms. If it lacks some of them, or of those of a glossary, `missing` lists these. The
    key `context`, if present, lists the sentences before the text, for a model trained with
    `data.context`; without it, they are the texts of the objects before it, up to a blank line.

    Attributes:
        key: key of the source text.
        nbest: add `nbest`, a list of all hypotheses.
        scores: add `score`, `token_log_probs`, and `score_parts`, which the score is computed from:
            log_prob / length_penalty + coverage_penalty.
        alignments: add `alignment`, a list of pairs of word numbers, and the words that they
            refer to: `src_words` and `tgt_words`.
        short: add `short`, whether the translation is suspiciously short for its source.
        guard: add `flags`, why the translation may be bad, and `confidence`, if the run is
            calibrated.
        utility: add `expected_utility`, as computed by mbr; null for a blank text.
        alternatives: number of most probable tokens to add for each position, with their
            log-probabilities, as `token_alternatives`; and `tokens`, those of the translation.
    """

    key: str
    nbest: bool = False
    scores: bool = False
    alignments: bool = False
    short: bool = False
    guard: bool = False
    alternatives: int = 0
    utility: bool = False

    def read(self, line: str, number: int) -> Item:
        """Read a JSON object.

        Raises:
            DataError: if the line is not an object with a string under `key`, has something else
                than a string under `prefix`, or contains a number that is not finite.
        """
        if not line.strip():
            return Item("")
        try:
            record = json.loads(line, parse_float=_finite, parse_constant=_finite)
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {number}: not valid JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get(self.key), str):
            raise DataError(
                f"line {number}: not an object with a string under {self.key!r}; "
                "set `key` to the key of the source text"
            )
        prefix = record.get(_PREFIX_KEY, "") if self.key != _PREFIX_KEY else ""
        if not isinstance(prefix, str):
            raise DataError(
                f"line {number}: {_PREFIX_KEY!r} is the beginning of the translation and must be "
                "a string: rename other keys of this name"
            )
        for key, text in ((self.key, record[self.key]), (_PREFIX_KEY, prefix)):
            check_text(text, f"line {number}: {key!r}")
        codes = [record.get(key) if key != self.key else None for key in ("src_lang", "tgt_lang")]
        # A model without tags ignores them, whatever they are; one with tags refuses other values.
        src_lang, tgt_lang = (None if code is None else str(code) for code in codes)
        constraints = self._constraints(record, number)
        context = record.get(_CONTEXT_KEY) if self.key != _CONTEXT_KEY else None
        return Item(record[self.key], record, prefix, src_lang, tgt_lang, constraints, context)

    def _constraints(self, record: dict[str, Any], number: int) -> tuple[Variants, ...]:
        terms = record.get(_CONSTRAINTS_KEY, []) if self.key != _CONSTRAINTS_KEY else []
        if not isinstance(terms, list) or not all(map(_is_term, terms)):
            raise DataError(
                f"line {number}: {_CONSTRAINTS_KEY!r} lists the terms that the translation must "
                "contain, each a string or a list of strings: rename other keys of this name"
            )
        return as_constraints(terms)

    def write(self, number: int, item: Item, translation: Translation) -> str:
        """Return the input object with the translation added."""
        if item.record is None:
            return ""
        record = item.record | self._fields(translation.hypotheses[0], self.scores)
        if self.alignments:
            # The translator replaces control characters before it aligns words.
            record["src_words"] = split_words(replace_controls(item.text)[0])
        if self.short:
            record["short"] = translation.is_short
        if self.guard:
            record["flags"] = [*translation.flags]
            if translation.confidence is not None:
                record["confidence"] = round(translation.confidence, 4)
        if translation.missing:
            record["missing"] = translation.missing
        if self.nbest:
            record["nbest"] = [self._fields(best, True) for best in translation.hypotheses]
        text = json.dumps(record, ensure_ascii=False)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # a lone surrogate in a key that is copied
            return json.dumps(record)
        return text

    def read_output(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Read translations back from output lines."""
        for line in lines:
            if not line:
                yield Translation([ScoredText("", 0.0)])
                continue
            record = json.loads(line)
            hypotheses = (
                [self._hypothesis(fields, True) for fields in record["nbest"]]
                if self.nbest
                else [self._hypothesis(record, self.scores)]
            )
            confidence = record.get("confidence") if self.guard else None
            yield Translation(hypotheses, confidence=confidence)

    def _fields(self, best: ScoredText, scores: bool) -> dict[str, Any]:
        fields: dict[str, Any] = {"translation": best.text}
        if scores:
            parts = {
                "log_prob": best.log_prob,
                "length": best.num_tokens,
                "length_penalty": best.length_factor,
                "coverage_penalty": best.coverage,
            }
            fields |= {"score": best.score, "score_parts": parts}
            fields["token_log_probs"] = best.token_log_probs
        if self.utility:
            fields["expected_utility"] = best.utility
        if self.alternatives:
            fields |= {"tokens": best.tokens, "token_alternatives": best.alternatives}
        if self.alignments:
            fields["alignment"] = best.alignment
            fields["tgt_words"] = split_words(best.text)
        return fields

    def _hypothesis(self, fields: dict[str, Any], scores: bool) -> ScoredText:
        links = [(src, tgt) for src, tgt in fields["alignment"]] if self.alignments else []
        best = ScoredText(fields["translation"], 0.0, alignment=links)
        if scores:
            parts = fields["score_parts"]
            best = replace(
                best,
                score=fields["score"],
                log_prob=parts["log_prob"],
                num_tokens=parts["length"],
                length_factor=parts["length_penalty"],
                coverage=parts["coverage_penalty"],
                token_log_probs=fields["token_log_probs"],
            )
        if self.utility:
            best = replace(best, utility=fields["expected_utility"])
        if self.alternatives:
            rows = [
                [(piece, score) for piece, score in row] for row in fields["token_alternatives"]
            ]
            best = replace(best, tokens=fields["tokens"], alternatives=rows)
        return best
