"""Parameters of bracket scoring, read from EVALB's parameter files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from nmt.data.lines import read_lines
from nmt.errors import ConfigError

Pairs = frozenset[frozenset[str]]


@dataclass(frozen=True)
class EvalbParameters:
    """Which brackets count, and which labels and words count as equal.

    The defaults are EVALB's without a parameter file: everything counts.
    """

    name: str = "none"
    """Name of the parameters in the signature of a score."""
    labelled: bool = True
    """Whether brackets must agree in their labels as well as in their words (LABELED)."""
    deleted: frozenset[str] = frozenset()
    """Tags of words to drop, and labels of brackets not to count (DELETE_LABEL)."""
    deleted_for_length: frozenset[str] = frozenset()
    """Tags of words that do not add to the length of a sentence (DELETE_LABEL_FOR_LENGTH)."""
    quotes: frozenset[str] = frozenset()
    """Tags that are easily confused on a quotation mark or apostrophe (QUOTE_LABEL)."""
    equal_labels: Pairs = frozenset()
    """Pairs of labels that count as equal; not transitive (EQ_LABEL)."""
    equal_words: Pairs = frozenset()
    """Pairs of words that count as equal; not transitive (EQ_WORD)."""
    cutoff: int = 40
    """Sentences of at most this length are scored separately as well (CUTOFF_LEN)."""
    max_errors: int = 10
    """EVALB stops at the second error after this many (MAX_ERROR)."""

    def equal_word(self, one: str, other: str) -> bool:
        """Return whether two words count as equal."""
        return one == other or frozenset((one, other)) in self.equal_words

    def equal_label(self, one: str, other: str) -> bool:
        """Return whether two labels count as equal."""
        return one == other or frozenset((one, other)) in self.equal_labels

    def counts(self, label: str) -> bool:
        """Return whether a bracket with this label counts."""
        # As in EVALB, a label that counts as equal to a deleted one is deleted too.
        return not any(self.equal_label(label, deleted) for deleted in self.deleted)


COLLINS = EvalbParameters(
    name="COLLINS",
    deleted=frozenset(["TOP", "-NONE-", ",", ":", "``", "''", "."]),
    deleted_for_length=frozenset(["-NONE-"]),
    equal_labels=frozenset([frozenset(["ADVP", "PRT"])]),
)
"""The values of COLLINS.prm, which the literature on parsing uses."""

_NUMBERS = {"LABELED": "labelled", "CUTOFF_LEN": "cutoff", "MAX_ERROR": "max_errors"}
_LABELS = {
    "DELETE_LABEL": "deleted",
    "DELETE_LABEL_FOR_LENGTH": "deleted_for_length",
    "QUOTE_LABEL": "quotes",
}
_PAIRS = {"EQ_LABEL": "equal_labels", "EQ_WORD": "equal_words"}
_FIELDS = _NUMBERS | _LABELS | _PAIRS


def read_parameters(path: str | Path) -> EvalbParameters:
    """Read an EVALB parameter file.

    Each line has a keyword and its value. Keywords with labels or words may be repeated. Lines that
    start with # are comments; DEBUG is ignored.

    Raises:
        ConfigError: if a keyword is unknown or its value malformed; names file and line.
        DataError, FileError: if the file cannot be read.
    """
    lines = list(read_lines(path))
    parameters = EvalbParameters()
    for number, line in enumerate(lines, 1):
        keyword, *values = line.split() or ["#"]
        if keyword.startswith("#") or keyword == "DEBUG":
            continue
        try:
            parameters = _with(parameters, keyword, values)
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
    if replace(parameters, name=COLLINS.name) == COLLINS:
        return COLLINS
    digest = hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()
    return replace(parameters, name=f"{Path(path).name}-{digest[:8]}")


def _with(parameters: EvalbParameters, keyword: str, values: list[str]) -> EvalbParameters:
    """Return parameters changed by one line of a parameter file.

    Raises:
        ValueError: if the line is malformed; the message explains why.
    """
    if keyword not in _FIELDS:
        raise ValueError(f"unknown keyword {keyword!r}: EVALB's are {', '.join(_FIELDS)}")
    expected, needed = (2, "two values") if keyword in _PAIRS else (1, "one value")
    if len(values) != expected:
        raise ValueError(f"{keyword} needs {needed}, not {' '.join(values)!r}")
    field = _FIELDS[keyword]
    value: object
    if keyword in _NUMBERS:
        if not values[0].isdecimal():
            raise ValueError(f"{keyword} needs a whole number, not {values[0]!r}")
        value = type(getattr(parameters, field))(int(values[0]))  # LABELED 0 is False
    else:
        entry = frozenset(values) if keyword in _PAIRS else values[0]
        value = getattr(parameters, field) | {entry}
    return replace(parameters, **{field: value})  # type: ignore[arg-type]
