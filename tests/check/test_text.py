"""Corpora in which some text differs in style, or has its sides swapped."""

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


def preprocessed(rows: Rows, preprocess: Callable[[str], str], sides: str = "src tgt") -> Rows:
    return [
        (preprocess(src) if "src" in sides else src, preprocess(tgt) if "tgt" in sides else tgt)
        for src, tgt in rows
    ]


def tokenised(text: str) -> str:
    return re.sub(r"([.,?!])", r" \1", text)


@pytest.fixture
def find(subject: Make, write: Write) -> Callable[..., list[Finding]]:
    """Return a function (train, valid, test) that returns the findings about this text."""

    def find(train: Rows, valid: Rows, test: Rows | None = None) -> list[Finding]:
        write("train", train)
        write("valid", valid)
        write("test", english_german(50, 900) if test is None else test)
        return findings(subject("tokenizer.vocab_size=200"))

    return find


def test_uniform_text_has_no_findings(find: Callable[..., list[Finding]]) -> None:
    assert find(english_german(400), english_german(50, 800)) == []


def test_swapped_sides_of_a_part(find: Callable[..., list[Finding]]) -> None:
    swapped = [(tgt, src) for src, tgt in english_german(50, 800)]
    [finding] = find(english_german(400), swapped)
    assert (finding.severity, finding.kind, finding.about) == ("error", "swapped", "data.valid")
    assert finding.message.startswith("valid.en + valid.xx: source and target are swapped")
    assert "train.en + train.xx" in finding.message


def test_swapped_sides_are_detected_across_styles(find: Callable[..., list[Finding]]) -> None:
    swapped = [(tgt, src) for src, tgt in english_german(50, 800)]
    kinds = [
        finding.kind for finding in find(preprocessed(english_german(400), str.lower), swapped)
    ]
    assert "swapped" in kinds


def test_swapped_sides_of_one_training_corpus(subject: Make, write: Write) -> None:
    write("train", english_german(400))
    write("valid", english_german(50, 800))
    write("test", [(tgt, src) for src, tgt in english_german(50, 900)])
    train = "data.train=[{src: test.en, tgt: test.xx}, {src: train.en, tgt: train.xx}]"
    [finding] = findings(subject(train, "data.test=[]", "tokenizer.vocab_size=200"))
    assert (finding.kind, finding.about) == ("swapped", "data.train")
    assert finding.message.startswith("test.en + test.xx:")


def test_copies_are_not_mistaken_for_swapped_sides(
    find: Callable[..., list[Finding]],
) -> None:
    copied = [(src, src) for src, _ in english_german(500)]
    assert find(copied[:400], copied[400:], copied[400:]) == []


@pytest.mark.parametrize(
    ("preprocess", "sides", "expected"),
    [
        (str.lower, "src tgt", "is lower-cased, valid.en + valid.xx is not"),
        (str.lower, "tgt", "is lower-cased on the target side, valid.en + valid.xx is not"),
        (tokenised, "src tgt", "is tokenised, valid.en + valid.xx is not"),
        (tokenised, "src", "is tokenised on the source side, valid.en + valid.xx is not"),
    ],
)
def test_differently_preprocessed_training_text(
    find: Callable[..., list[Finding]],
    preprocess: Callable[[str], str],
    sides: str,
    expected: str,
) -> None:
    train = preprocessed(english_german(400), preprocess, sides)
    [finding] = find(train, english_german(50, 800), train[:50])
    assert (finding.severity, finding.kind) == ("warning", "other-style")
    assert finding.about == "data.valid"
    assert f"train.en + train.xx {expected}" in finding.message
    assert "use raw text for both" in finding.message


def test_lower_cased_validation_text(find: Callable[..., list[Finding]]) -> None:
    [finding] = find(english_german(400), preprocessed(english_german(50, 800), str.lower))
    assert "valid.en + valid.xx is lower-cased, train.en + train.xx is not" in finding.message


def test_text_lower_cased_everywhere_has_no_findings(find: Callable[..., list[Finding]]) -> None:
    rows = preprocessed(english_german(500), lambda text: tokenised(text.lower()))
    assert find(rows[:400], rows[400:], rows[400:]) == []


def test_source_case_is_ignored_if_the_tokenizer_folds_it(subject: Make, write: Write) -> None:
    write("train", preprocessed(english_german(400), str.lower, "src"))
    write("valid", english_german(50, 800))
    folding = ["tokenizer.vocab_size=200", "data.test=[]", "tokenizer.normalization=nmt_nfkc_cf"]
    assert findings(subject(*folding)) == []
