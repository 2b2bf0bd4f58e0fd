"""EVALB's parameter files are read as in EVALB, except that mistakes in them are errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.errors import ConfigError
from nmt.parsing.evalb_parameters import COLLINS, EvalbParameters, read_parameters

COLLINS_LINES = [
    "## as COLLINS.prm, in another order",
    "",
    "DEBUG 0",
    "MAX_ERROR 10",
    "CUTOFF_LEN  40  ",
    "LABELED 1",
    *(f"DELETE_LABEL {label}" for label in [".", ":", ",", "''", "``", "-NONE-", "TOP", "TOP"]),
    "DELETE_LABEL_FOR_LENGTH -NONE-",
    "EQ_LABEL PRT\tADVP",
    "# EQ_WORD  a b",
]


def read(folder: Path, *lines: str) -> EvalbParameters:
    path = folder / "my.prm"
    path.write_text("".join(f"{line}\r\n" for line in lines), "utf-8")
    return read_parameters(path)


def test_a_file_equivalent_to_collins(tmp_path: Path) -> None:
    assert read(tmp_path, *COLLINS_LINES) == COLLINS


def test_an_empty_file_makes_everything_count(tmp_path: Path) -> None:
    parameters = read(tmp_path)
    assert parameters.counts("TOP")
    assert (
        not parameters.deleted
        | parameters.deleted_for_length
        | parameters.quotes
        | parameters.equal_labels
    )
    assert (parameters.labelled, parameters.cutoff, parameters.max_errors) == (True, 40, 10)


def test_all_keywords(tmp_path: Path) -> None:
    parameters = read(
        tmp_path,
        "LABELED 0",
        "CUTOFF_LEN 70",
        "MAX_ERROR 500",
        "DELETE_LABEL S1",
        "DELETE_LABEL_FOR_LENGTH X",
        "QUOTE_LABEL ''",
        "QUOTE_LABEL POS",
        "EQ_LABEL A B",
        "EQ_WORD this This",
    )
    assert (parameters.labelled, parameters.cutoff, parameters.max_errors) == (False, 70, 500)
    assert (parameters.deleted, parameters.deleted_for_length) == ({"S1"}, {"X"})
    assert parameters.quotes == {"''", "POS"}
    assert parameters.equal_label("B", "A")
    assert parameters.equal_word("This", "this")
    assert not parameters.equal_word("A", "B")


def test_different_files_have_different_names(tmp_path: Path) -> None:
    names = {read(tmp_path, *lines).name for lines in ([], ["LABELED 0"], ["CUTOFF_LEN 1"])}
    assert len(names) == 3
    assert all(name.startswith("my.prm-") for name in names)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("DELETE_LABLE TOP", "unknown keyword 'DELETE_LABLE': EVALB's are LABELED"),
        ("DELETE_LABEL", "DELETE_LABEL needs one value, not ''"),
        ("DELETE_LABEL TOP # the root", "DELETE_LABEL needs one value, not 'TOP # the root'"),
        ("EQ_LABEL ADVP", "EQ_LABEL needs two values, not 'ADVP'"),
        ("LABELED yes", "LABELED needs a whole number, not 'yes'"),
        ("CUTOFF_LEN -1", "CUTOFF_LEN needs a whole number, not '-1'"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, "LABELED 1", line)
    assert str(error.value).startswith(f"{tmp_path / 'my.prm'}:2: {message}")
