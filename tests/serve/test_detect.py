"""Detecting languages."""

from __future__ import annotations

import pytest

pytest.importorskip("py3langid")

from nmt.serve.detect import Detector


def test_the_languages_of_a_server_are_told_apart() -> None:
    detector = Detector(["en", "de", "pt-BR", "tlh"])
    assert detector.detect("Das ist ein altes Haus.")[0].language == "de"
    assert detector.detect("Esta é uma casa muito antiga.")[0].language == "pt-BR"
    best, *others = detector.detect("This is an old house.")
    assert best.language == "en"
    assert best.confidence > 90
    assert all(each.confidence <= best.confidence for each in others)
    assert len(detector.detect("")) >= 1
    assert len(detector.detect("\ud83d 12345" * 10_000)) >= 1


def test_languages_that_it_does_not_know() -> None:
    assert Detector(["tlh"]).detect("Das ist ein altes Haus.")[0].language == "de"


@pytest.mark.parametrize("code", ["de_DE", "de-AT", "deu", "deu_Latn"])
def test_codes_of_any_form(code: str) -> None:
    assert Detector(["en", code]).detect("Das ist ein altes Haus.")[0].language == code
