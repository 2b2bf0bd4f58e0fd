"""Corpora whose text is unlike that of the others."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from nmt.check.checks import findings
from nmt.check.finding import Finding
from nmt.check.subject import Subject
from nmt.data import phrasebook

Rows = list[tuple[str, str]]
Make = Callable[..., Subject]
Write = Callable[..., None]


def english_german(number: int, skipped: int = 0) -> Rows:
    pairs = phrasebook.pairs("train")[skipped : skipped + number]
    return [(pair.src, pair.tgt) for pair in pairs]


def treated(rows: Rows, treat: Callable[[str], str], sides: str = "src tgt") -> Rows:
    return [
        (treat(src) if "src" in sides else src, treat(tgt) if "tgt" in sides else tgt)
        for src, tgt in rows
    ]


def tokenised(text: str) -> str:
    return re.sub(r"([.,?!])", r" \1", text)


@pytest.fixture
def found(subject: Make, write: Write) -> Callable[..., list[Finding]]:
    """(train, valid, test): the findings about such text."""

    def found(train: Rows, valid: Rows, test: Rows | None = None) -> list[Finding]:
        write("train", train)
        write("valid", valid)
        write("test", english_german(50, 900) if test is None else test)
        return findings(subject("tokenizer.vocab_size=200"))

    return found


def test_the_same_text_on_all_sides_has_no_findings(found: Callable[..., list[Finding]]) -> None:
    assert found(english_german(400), english_german(50, 800)) == []


def test_swapped_sides_of_a_part(found: Callable[..., list[Finding]]) -> None:
    swapped = [(tgt, src) for src, tgt in english_german(50, 800)]
    [finding] = found(english_german(400), swapped)
    assert (finding.severity, finding.kind, finding.about) == ("error", "swapped", "data.valid")
    assert finding.message.startswith("valid.en + valid.xx: source and target are swapped")
    assert "train.en + train.xx" in finding.message


def test_swapped_sides_are_found_across_styles(found: Callable[..., list[Finding]]) -> None:
    swapped = [(tgt, src) for src, tgt in english_german(50, 800)]
    kinds = [one.kind for one in found(treated(english_german(400), str.lower), swapped)]
    assert "swapped" in kinds


def test_swapped_sides_of_one_training_corpus(subject: Make, write: Write) -> None:
    write("train", english_german(400))
    write("valid", english_german(50, 800))
    write("test", [(tgt, src) for src, tgt in english_german(50, 900)])
    train = "data.train=[{src: test.en, tgt: test.xx}, {src: train.en, tgt: train.xx}]"
    [finding] = findings(subject(train, "data.test=[]", "tokenizer.vocab_size=200"))
    assert (finding.kind, finding.about) == ("swapped", "data.train")
    assert finding.message.startswith("test.en + test.xx:")


def test_copies_and_close_languages_are_not_taken_for_swapped(
    found: Callable[..., list[Finding]],
) -> None:
    copied = [(src, src) for src, _ in english_german(500)]
    assert found(copied[:400], copied[400:], copied[400:]) == []


@pytest.mark.parametrize(
    ("treat", "sides", "expected"),
    [
        (str.lower, "src tgt", "is lower-cased, valid.en + valid.xx is not"),
        (str.lower, "tgt", "is lower-cased on the target side, valid.en + valid.xx is not"),
        (tokenised, "src tgt", "is tokenised, valid.en + valid.xx is not"),
        (tokenised, "src", "is tokenised on the source side, valid.en + valid.xx is not"),
    ],
)
def test_training_text_that_was_treated_otherwise(
    found: Callable[..., list[Finding]],
    treat: Callable[[str], str],
    sides: str,
    expected: str,
) -> None:
    train = treated(english_german(400), treat, sides)
    [finding] = found(train, english_german(50, 800), train[:50])
    assert (finding.severity, finding.kind) == ("warning", "other-style")
    assert finding.about == "data.valid"
    assert f"train.en + train.xx {expected}" in finding.message
    assert "take both raw" in finding.message


def test_validation_text_that_was_lower_cased(found: Callable[..., list[Finding]]) -> None:
    [finding] = found(english_german(400), treated(english_german(50, 800), str.lower))
    assert "valid.en + valid.xx is lower-cased, train.en + train.xx is not" in finding.message


def test_text_that_is_lower_cased_throughout(found: Callable[..., list[Finding]]) -> None:
    rows = treated(english_german(500), lambda text: tokenised(text.lower()))
    assert found(rows[:400], rows[400:], rows[400:]) == []


def test_case_that_the_tokenizer_folds_is_no_difference_in_the_source(
    subject: Make, write: Write
) -> None:
    write("train", treated(english_german(400), str.lower, "src"))
    write("valid", english_german(50, 800))
    folding = ["tokenizer.vocab_size=200", "data.test=[]", "tokenizer.normalization=nmt_nfkc_cf"]
    assert findings(subject(*folding)) == []
