"""The rules that look at one pair."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.clean.rules import Rules
from nmt.config.cleaning import CleanConfig

GOOD = [
    ("Hi.", "Hallo."),
    ("Tom!", "Tom!"),
    ("It costs $1,500.50.", "Es kostet 1.500,50 $."),
    ("The train leaves at 7:30 p.m.", "Der Zug fährt um 19.30 Uhr."),
    ("He was born in the 60s.", "Er wurde in den 1960er Jahren geboren."),
    ("There are 2 million of them.", "Es gibt 2 000 000 davon."),
    ("I have 3 cats.", "Ich habe drei Katzen."),
    ("He had had enough.", "Er hatte genug."),
    ("Go away. Away with you!", "Geh weg. Weg mit dir!"),
    ("Wait ... what?", "Warte ... was?"),
    ("You can find more of it at www.example.com.", "Mehr davon steht auf www.example.com."),
    ("More of it is at WWW.Example.com.", "Mehr davon steht auf www.example.com."),
    ("The café “Ärger”.", "Das Café „Ärger“."),
    ("Is the AT&T shop open?", "Ist der AT&T-Laden offen?"),
    ("Is a < b, and is c > d?", "Ist a < b, und gilt c > d?"),
]

BAD = [
    ("empty", "Hello.", " \u3000"),
    ("encoding", "I am fine.", "Mir geht es fÃ¼r heute gut."),
    ("encoding", "He said “no”.", "Er sagte â€žneinâ€œ."),
    ("encoding", "Good.", "Sch\ufffdn."),
    ("encoding", "Good.", "Sch\x96n."),
    ("encoding", "Good.", "Sch\ue000n."),
    ("encoding", "Good.", "Sch\u0378n."),
    ("encoding", "Nice.", "Sch?n."),
    ("encoding", "Nice.", r"Sch\u00f6n."),
    ("encoding", "Moscow is big.", "M\u043eskau ist groß."),
    ("length", "word " * 201, "wort " * 201),
    ("length_ratio", "I came.", "Ich kam, nachdem ich lange gewartet hatte, endlich doch noch an."),
    ("word_length", "a" + "bc" * 20, "a" + "cd" * 20),
    ("script", "Good morning.", "Доброе утро."),
    ("symbols", "*** --- ### ab", "*** --- ### ab"),
    ("symbols", "12 34 56 78 a", "12 34 56 78 a"),
    ("markup", "A <b>bold</b> word.", "Ein fettes Wort."),
    ("markup", "Tom &amp; Jerry", "Tom und Jerry"),
    ("markup", "Hello again.", "{{Hallo}} noch mal."),
    ("links", "See www.example.com now.", "Siehe www.example.org jetzt."),
    ("links", "SEE WWW.EXAMPLE.COM NOW.", "SIEHE WWW.EXAMPLE.ORG JETZT."),
    ("links", "https://example.com/abc ok", "https://example.com/abc ja"),
    ("repetition", "It is good.", "Es ist gut gut gut."),
    ("repetition", "Then he came home.", "Dann kam er nach Hause nach Hause."),
    ("repetition", "Noooooooo!", "Neeeeeeein!"),
    ("copies", "The house is very big.", "the house is very big"),
    ("copies", "The house is very very big.", "The house is very big!"),
    ("numbers", "I have 25 cats.", "Ich habe 28 Katzen."),
    ("numbers", "It is 36 years ago.", "Das ist 3 Jahre her."),
    ("numbers", "Call 11 98 77.", "Ruf an."),
    ("terminal_punctuation", "Are you there?", "Du bist da."),
    ("terminal_punctuation", "One. Two. Three. Four. Five.", "Eins zwei drei vier, fünf."),
]


def rules(*codes: str | None, **changes: object) -> Rules:
    """Return the default rules, with changes, but without those that need a package."""
    off = {"language": False, "near_duplicates": False}
    src, tgt = codes or ("en", "de")
    return Rules(CleanConfig.model_validate({**off, **changes}), (src, tgt))


def first(found: Rules, src: str, tgt: str) -> str | None:
    """Return the rule that drops a pair."""
    [rule], _ = found.check([(src, tgt)])
    return rule


@pytest.mark.parametrize("pair", GOOD, ids=lambda pair: pair[0])
def test_good_pairs_are_kept(pair: tuple[str, str]) -> None:
    assert first(rules(), *pair) is None
    assert first(rules("de", "en"), *pair[::-1]) is None


@pytest.mark.parametrize(("rule", "src", "tgt"), BAD, ids=lambda text: text[:20])
def test_bad_pairs_are_dropped_from_either_side(rule: str, src: str, tgt: str) -> None:
    assert first(rules(), src, tgt) == rule
    assert first(rules("de", "en"), tgt, src) == rule
    if rule != "empty":
        assert first(rules(**{rule: False}), src, tgt) != rule


def test_without_spaces_two_ideographs_count_as_a_word() -> None:
    src, tgt = "I went to the market in the old town with my sister.", "我和姐姐去了老城区的市场。"
    assert first(rules("en", "zh"), src, tgt) is None
    assert first(rules("en", "zh", length={"max_words": 6}), "Good day, sir.", tgt) is None
    assert first(rules("en", "zh", length={"max_words": 5}), "Good.", tgt) == "length"


def test_marks_of_indic_scripts_belong_to_letters() -> None:
    assert first(rules("en", "hi"), "Hindi is a language.", "हिन्दी एक भाषा है।") is None


def test_unknown_languages_have_no_script() -> None:
    assert first(rules(None, "xx"), "Good morning.", "Доброе утро.") is None


def test_the_language_is_recognised_unless_the_line_is_short() -> None:
    pytest.importorskip("py3langid")
    found = rules(language=True)
    src, tgt = "We should leave before it is dark.", "Wir sollten gehen, bevor es dunkel wird."
    assert first(found, src, tgt) is None
    assert first(found, src, "Nous devrions partir avant la nuit.") == "language"
    assert first(found, tgt, src) == "language"
    assert first(found, "Well, well.", "Bien, bien.") is None
    assert first(rules("xx", "yy", language=True), tgt, src) is None


def test_words_of_a_list_are_found_as_whole_words(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("Damn\n\nzum Teufel\n", "utf-8")
    found = rules(profanity={"words": str(tmp_path / "words")})
    assert first(found, "DAMN it.", "Verflixt.") == "profanity"
    assert first(found, "Go away!", "Scher dich zum teufel!") == "profanity"
    assert first(found, "The damnation.", "Die Verdammnis.") is None


def test_patterns_of_the_user() -> None:
    found = rules(pattern={"tgt": r"^\W*Seite \d"})
    assert first(found, "Page 5", "Seite 5") == "pattern"
    assert first(found, "Seite 5", "Page 5") is None
