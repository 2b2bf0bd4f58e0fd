"""The guard flags, retries and leaves blank; its checks of the language and confidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from nmt.config.languages import LanguagePair
from nmt.config.search import SearchOptions
from nmt.limits import MAX_BEAM_SIZE, MAX_SEED
from nmt.runs.calibration import Calibration
from nmt.translate.guard import language
from nmt.translate.guard.guard import (
    Guard,
    GuardMode,
    Retry,
    WithoutCapitals,
    retried_options,
)
from nmt.translate.source import Source
from nmt.translate.translation import ScoredText, Translation

EN_DE = LanguagePair("en", "de")
GOOD, LOOP = "Das ist gut.", "Das ist das ist das ist gut."
CALIBRATION = Calibration(
    weights="", sentences=100, acceptable=0.5, slope=2.0, intercept=1.0, threshold=-1.5
)


def translation(text: str, score: float = -1.0, num_tokens: int = 5) -> Translation:
    return Translation([ScoredText(text, score, score * num_tokens, num_tokens)])


def guard(mode: GuardMode = "warn", **options: Any) -> Guard:
    return Guard(mode, EN_DE, **options)


def checked(one: Guard, src: str, tgt: str, **options: Any) -> Translation:
    [found] = one([Source(src)], [translation(tgt, **options)])
    return found


def test_warn_leaves_translations_as_they_are() -> None:
    found = guard()(
        [Source("That is good."), Source("x"), Source(" ")], [*map(translation, (GOOD, LOOP, ""))]
    )
    assert [each.text for each in found] == [GOOD, LOOP, ""]
    assert [each.flags for each in found] == [(), ("repetition",), ()]
    assert all(each.confidence is None for each in found)


def test_a_line_has_several_flags() -> None:
    assert checked(
        guard(), "In 1957 he lived there with us.", "In 1958 he lived there with us. " * 2
    ).flags == (*("repetition", "language", "numbers"),)


def test_a_copy_in_another_variety_of_the_language_is_correct() -> None:
    assert checked(guard(), ENGLISH, ENGLISH).flags[0] == "copied"
    [same] = guard()([Source(ENGLISH, src_lang="en_GB", tgt_lang="en-US")], [translation(ENGLISH)])
    assert not same.flags


def test_flags_of_lengths_are_kept() -> None:
    short = Translation([ScoredText("Gut.", -1.0)], ("short",))
    [found] = guard()([Source("That is good.")], [short])
    assert found.flags == ("short",)


def test_confidence() -> None:
    one = guard(calibration=CALIBRATION)
    sure, unsure = checked(one, "a", "b", score=-0.5), checked(one, "a", "b", score=-2.0)
    assert sure.confidence == pytest.approx(0.5)
    assert sure.flags == ()
    assert unsure.confidence == pytest.approx(0.0474, abs=1e-4)
    assert unsure.flags == ("confidence",)


def retry(
    text: str,
    seen: list[str],
    score: float = -1.0,
    takes_terms: bool = True,
    kind: type[Retry] = Retry,
) -> Retry:
    class Fake:
        def windows(self, sources: Iterable[Source]) -> Iterator[list[Translation]]:
            for source in sources:
                seen.append(source.text)
                yield [translation(text, score)]

    return kind(Fake, takes_terms)


def test_the_best_of_several_searches_is_kept() -> None:
    seen: tuple[list[str], list[str]] = ([], [])
    retries = [retry(LOOP, seen[0], score=-0.5), retry(GOOD, seen[1], score=-3.0)]
    sources = [Source("That."), Source("That is good.")]
    found = guard("retry", retries=retries)(sources, [translation(LOOP), translation(GOOD)])
    assert [each.text for each in found] == [GOOD, GOOD]
    assert seen == (["That."], ["That."])
    assert found[0].flags == ()

    [still] = guard("retry", retries=retries[:1])(sources[:1], [translation(LOOP)])
    assert still.score == -0.5  # as many flags, and a better score
    assert still.flags == ("repetition",)


def test_bad_lines_are_left_blank() -> None:
    one = guard("blank", retries=[retry(LOOP, [])])
    found = one([Source("That."), Source("That is good.")], [translation(LOOP), translation(GOOD)])
    assert [each.text for each in found] == ["", GOOD]
    assert found[0].flags == ("repetition",)


def test_lines_with_terms_are_not_sampled() -> None:
    seen: list[str] = []
    sources = [Source("a", constraints=(("b",),)), Source("c")]
    guard("retry", retries=[retry(GOOD, seen, takes_terms=False)])(sources, [translation(LOOP)] * 2)
    assert seen == ["c"]


def test_lines_in_capitals_are_translated_without() -> None:
    seen: list[str] = []
    one = guard("retry", retries=[retry(GOOD, seen, kind=WithoutCapitals)])
    sources = [
        *(Source("THAT IS GOOD!"), Source("That is OK."), Source("那很好。")),
        *(Source("A", prefix="B"), Source("C", constraints=(("D",),))),
    ]
    found = one(sources, [translation(LOOP)] * len(sources))
    assert seen == ["That is good!"]
    assert found[0].text == "DAS IST GUT."
    assert [each.text for each in found[1:]] == [LOOP] * 4


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"stop": "bound"}, {"beam_groups": 2}, {"temperature": 1.0}, {"mbr": "chrf"}),
        {"beam_size": 3, "beam_groups": 3},
        {"beam_size": MAX_BEAM_SIZE // 3 * 3, "beam_groups": 3},
        {"temperature": 1.0, "seed": MAX_SEED},
    ],
    ids=str,
)
def test_the_options_of_retries_are_valid(options: dict[str, Any]) -> None:
    given = SearchOptions(**options)
    assert all(options != given for options in retried_options(given))


ENGLISH = "He did not know what to say when she asked him about his plans."
GERMAN = "Er wusste nicht, was er sagen sollte, als sie ihn nach seinen Plänen fragte."
FRENCH = "Il ne savait pas quoi dire quand elle lui a demandé quels étaient ses projets."


@pytest.mark.parametrize(
    ("src", "tgt", "is_wrong"),
    [
        (ENGLISH, GERMAN, False),
        (ENGLISH.upper(), GERMAN.upper(), False),
        (ENGLISH, FRENCH, True),
        (ENGLISH, ENGLISH, True),
        (FRENCH, FRENCH, False),  # the source is not in English
        ("Thanks.", "Merci.", False),  # too short to tell
    ],
)
def test_languages(src: str, tgt: str, is_wrong: bool) -> None:
    assert language.is_wrong_language(src, tgt, EN_DE) is is_wrong


@pytest.mark.parametrize(
    ("pair", "same", "copy"),
    [
        ("da-nb", "Vi skal spise middag sammen.", "Jeg ved ikke, hvad der skete i går aftes."),
        ("cs-sk", "To je dobrá otázka.", "Nevím, co se včera večer stalo."),
        ("hr-sr", "On je moj brat i radi u banci.", "Gdje je moja knjiga?"),
        ("es-pt", "para comprar fruta", "No sé qué pasó anoche."),
        ("id-ms", "Saya tidak tahu.", "Dia membeli mobil baru kemarin karena mobilnya rusak."),
    ],
)
def test_close_languages_may_have_the_same_sentence(pair: str, same: str, copy: str) -> None:
    close = Guard("warn", LanguagePair(*pair.split("-")))
    assert checked(close, same, same).flags == ()
    assert checked(close, copy, copy).flags == ("copied",)


def test_unknown_and_equal_languages_pass() -> None:
    assert not language.is_wrong_language(ENGLISH, FRENCH, LanguagePair("en", "tlh"))
    assert not language.is_wrong_language(ENGLISH, FRENCH, LanguagePair("en", "en-GB"))


def test_without_py3langid_there_is_one_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "find_spec", lambda name: None)
    notes: list[str] = []
    one = guard(note=notes.append)
    assert checked(one, ENGLISH, FRENCH).flags == ()
    assert len(notes) == 1
    assert ".[guard]" in notes[0]
