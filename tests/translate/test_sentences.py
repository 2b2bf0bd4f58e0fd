"""Where sentences begin, in several languages."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sentencex

from nmt.translate import sentences as module
from nmt.translate.sentences import sentence_starts


def split(text: str, lang: str) -> list[str]:
    cuts = [0, *sentence_starts(text, lang), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


@pytest.mark.parametrize(
    ("lang", "sentences"),
    [
        ("en", ["The cat sat. ", "The dog ran!  ", "Did it? "]),
        ("en", ["the cat sat. ", "the dog ran."]),
        ("en", ["One sentence.  "]),
        ("en", ["Mr. Smith met J. R. Doe at 3.30 p.m. on Friday. ", "He left."]),
        ("en_GB", ["It is e.g. Monday. ", "He (Dr. No) left."]),
        ("en", ["It cost approx. two. ", "Well."]),
        ("en", ['"Go." ', "He went."]),
        ("en", ["See Fig. 3 and pp. 12-14. ", "He lives in the U.S. ", "She does not."]),
        ("de_CH", ["Am 3. Mai kam Dr. Müller, d. h. gestern. ", "Er blieb z. B. zwei Tage."]),
        ("de", ["Sie wohnt in der Goethestr. 5. ", "Er auch."]),
        ("deu_Latn", ["Am 3. Mai kam Dr. Müller. ", "Er blieb."]),
        ("fr", ["M. Dupont est arrivé. ", "Il a dit : « Bonjour ! »"]),
        ("es", ["¿Qué tal? ", "¡Muy bien! ", "Vive en EE. UU. desde 2010."]),
        ("pl", ["To jest np. prof. Kowalski. ", "On mieszka na ul. Długiej."]),
        ("tr", ["Dr. Yılmaz 3. katta oturuyor. ", "Ali vb. kişiler geldi."]),  # noqa: RUF001
        ("zh", ["你好。", "他说：“今天天气很好。”", "价格是3.5元。"]),  # noqa: RUF001
        ("ja", ["猫。", "犬。"]),
        ("hi", ["यह एक वाक्य है। ", "यह दूसरा है।"]),
        ("ar", ["كيف حالك؟ ", "أنا بخير."]),
        ("xx", ["One. ", "Two."]),
        ("", ["One. ", "Two."]),
        ("en", ["\U0001f600 café. ", "It is \ud800. ", "\U0001f600 too."]),
    ],
)
def test_sentence_starts(lang: str, sentences: list[str]) -> None:
    assert split("".join(sentences), lang) == sentences


@pytest.mark.parametrize("text", ["", " ", ".", "   . "])
def test_a_text_without_sentences(text: str) -> None:
    assert sentence_starts(text, "en") == []


def test_windows_do_not_change_the_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Mr. Smith went to Washington, D.C. on 3.30. He (Dr. No) left. " * 20
    whole = sentence_starts(text, "en")
    for size in (100, 131, 500):
        monkeypatch.setattr(module, "_WINDOW", size)
        assert sentence_starts(text, "en") == whole


@pytest.mark.parametrize(
    "piece", ["`", "“ ", "' ", ".", "a. ", "(", "e.g. ", "x" * 1999 + ". ", " "]
)
def test_no_text_takes_quadratic_time(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    boundaries = sentencex.get_sentence_boundaries

    def measured(code: str, window: str) -> Any:
        sizes.append(len(window))
        return boundaries(code, window)

    monkeypatch.setattr(sentencex, "get_sentence_boundaries", measured)
    text = piece * (300_000 // len(piece)) + "end"
    sentence_starts(text, "en")
    assert max(sizes) <= 10_000  # the time of sentencex may be quadratic
    assert sum(sizes) < 3 * len(text)
