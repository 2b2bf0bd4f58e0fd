"""Glossaries: reading, and finding terms in text."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.errors import DataError
from nmt.translate.glossary import Entry, Glossary
from nmt.translate.terms import contains_words


def glossary(**terms: str) -> Glossary:
    return Glossary([Entry(s.replace("_", " "), (t,), "g:1") for s, t in terms.items()])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The CAT sat.", ["Katze"]),
        ("a catalogue, concat", []),
        ("a black cat and a cat", ["schwarze Katze", "Katze"]),
        ("US or us?", ["USA"]),
        ("(cat)-cat's", ["Katze", "Katze"]),
    ],
)
def test_terms_are_found_as_whole_words(text: str, found: list[str]) -> None:
    terms = glossary(cat="Katze", black_cat="schwarze Katze", US="USA")
    assert [each.variants[0] for each in terms.find(text)] == found


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "g.tsv"
    path.write_text("# terms\n\ncat\tKatze\tKatzen\n", "utf-8")
    assert Glossary.read(path).entries == [Entry("cat", ("Katze", "Katzen"), f"{path}:3")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cat Katze", "2: no tab"),
        ("cat\t", "2: an empty term"),
        ("\tKatze", "2: an empty term"),
        ("DOG\tHund\ndog\tHund\nDog\tHund\ndog\tKöter", "5: 'dog' is in line 3 already"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "g.tsv"
    path.write_text(f"# terms\n{line}\n", "utf-8")
    with pytest.raises(DataError, match=f"g.tsv:{message}"):
        Glossary.read(path)


def test_whole_words_in_a_translation() -> None:
    assert contains_words("Hauskatze, Katze.", "Katze")
    assert not contains_words("Katzen", "Katze")


@pytest.mark.parametrize(("source", "variants"), [(" ", ("a",)), ("a", ()), ("a", ("b", " "))])
def test_empty_terms_are_refused(source: str, variants: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="row 1: a term and its translations must not be empty"):
        Glossary([Entry(source, variants, "row 1")])
