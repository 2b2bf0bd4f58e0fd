"""How texts and their translations are written as lines: plainly, or in JSON objects."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from nmt.data.lines import replace_controls
from nmt.errors import DataError
from nmt.translate.align import parse_pharaoh, pharaoh, split_words
from nmt.translate.translator import ScoredText, Translation


class Item(NamedTuple):
    """What a line of input holds."""

    text: str
    """What is to be translated."""
    record: dict[str, Any] | None = None
    """What else goes to the output."""


class Layout(Protocol):
    """Reads lines of input and writes lines of output."""

    def item(self, line: str, number: int) -> Item:
        """Read a line of input.

        Args:
            line: the line.
            number: its number, from 1.

        Raises:
            DataError: there is no text in it.
        """
        ...

    def written(self, number: int, item: Item, translation: Translation) -> str:
        """Write a translation: a line without its end, or several with line feeds between."""
        ...

    def parsed(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Read back what was written: writing it again gives the same lines."""
        ...


@dataclass(frozen=True)
class TextLayout:
    """Plain lines.

    Attributes:
        nbest: give all hypotheses, each as `line number TAB score TAB text`.
        scores: give `score TAB text`.
        alignments: end each line with a tab and the alignment.
    """

    nbest: bool = False
    scores: bool = False
    alignments: bool = False

    def item(self, line: str, number: int) -> Item:
        """Take the line as it is."""
        return Item(line)

    def written(self, number: int, item: Item, translation: Translation) -> str:
        """Write the text with what was asked for beside it."""
        if self.nbest:
            return "\n".join(f"{number}\t{self._row(best)}" for best in translation.hypotheses)
        return self._row(translation.hypotheses[0])

    def parsed(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Read back what was written; no text has a tab in it."""
        if self.nbest:
            rows = (line.split("\t", 1) for line in lines)
            for _, group in itertools.groupby(rows, key=lambda row: row[0]):
                yield Translation([self._parsed_row(row) for _, row in group])
            return
        for line in lines:
            yield Translation([self._parsed_row(line)])

    def _row(self, best: ScoredText) -> str:
        score = [f"{best.score:.6f}"] if self.nbest or self.scores else []
        alignment = [pharaoh(best.alignment)] if self.alignments else []
        return "\t".join([*score, best.text, *alignment])

    def _parsed_row(self, row: str) -> ScoredText:
        columns = row.split("\t")
        score = float(columns.pop(0)) if self.nbest or self.scores else 0.0
        links = parse_pharaoh(columns.pop()) if self.alignments else []
        [text] = columns
        return ScoredText(text, score, [], links)


def _finite(number: str) -> float:
    """Read a number; what JSON cannot hold (NaN, 1e999) could not be written again."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a finite number")
    return value


@dataclass(frozen=True)
class JsonLayout:
    """JSON objects, one a line; blank lines stay blank.

    The output has the key `translation`, and all that the input has.

    Attributes:
        key: where the source text is.
        nbest: add `nbest`, a list of all hypotheses.
        scores: add `score` and `token_log_probs`.
        alignments: add `alignment`, a list of pairs of word numbers, and the words that they
            count: `src_words` and `tgt_words`.
        short: add `short`, whether the translation is suspiciously short for its source.
    """

    key: str
    nbest: bool = False
    scores: bool = False
    alignments: bool = False
    short: bool = False

    def item(self, line: str, number: int) -> Item:
        """Read an object.

        Raises:
            DataError: the line is no object with a string under `key`, or has a number in it
                that is not finite.
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
                "--key names the key of the source text"
            )
        text = record[self.key]
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"line {number}: {self.key!r} is no valid text: {error.reason}"
            ) from error
        return Item(text, record)

    def written(self, number: int, item: Item, translation: Translation) -> str:
        """Write the object of the input with the translation in it."""
        if item.record is None:
            return ""
        record = item.record | self._fields(translation.hypotheses[0], self.scores)
        if self.alignments:
            # The words of what was translated: the translator replaces control characters.
            record["src_words"] = split_words(replace_controls(item.text)[0])
        if self.short:
            record["short"] = translation.is_short
        if self.nbest:
            record["nbest"] = [self._fields(best, True) for best in translation.hypotheses]
        text = json.dumps(record, ensure_ascii=False)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # half a surrogate pair in a key that is passed through
            return json.dumps(record)
        return text

    def parsed(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Read back what was written."""
        for line in lines:
            if not line:
                yield Translation([ScoredText("", 0.0, [])])
                continue
            record = json.loads(line)
            found = (
                [self._hypothesis(fields, True) for fields in record["nbest"]]
                if self.nbest
                else [self._hypothesis(record, self.scores)]
            )
            yield Translation(found, self.short and record["short"])

    def _fields(self, best: ScoredText, scores: bool) -> dict[str, Any]:
        fields: dict[str, Any] = {"translation": best.text}
        if scores:
            fields |= {"score": best.score, "token_log_probs": best.token_log_probs}
        if self.alignments:
            fields["alignment"] = best.alignment
            fields["tgt_words"] = split_words(best.text)
        return fields

    def _hypothesis(self, fields: dict[str, Any], scores: bool) -> ScoredText:
        links = [(src, tgt) for src, tgt in fields["alignment"]] if self.alignments else []
        score, log_probs = (fields["score"], fields["token_log_probs"]) if scores else (0.0, [])
        return ScoredText(fields["translation"], score, log_probs, links)
