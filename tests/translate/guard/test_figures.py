"""Numbers and addresses that a translation should keep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.translate.guard.figures import changes_addresses, changes_numbers


@pytest.mark.parametrize(
    ("src", "tgt"),
    [
        ("It costs 1,000.50 euros.", "Es kostet 1.000,50 Euro."),
        ("It has 8 legs.", "Es hat acht Beine."),
        ("She is twenty-five.", "Sie ist 25."),
        ("One hundred men", "100 Mann"),
        ("3 million", "3.000.000"),
        ("At 3 p.m., call me.", "Ruf mich um 15 Uhr an."),
        ("It left at 2:30 pm.", "Er fuhr um 14.30 Uhr ab."),
        ("On 12/05/2020", "Am 12.05.2020"),
        ("In the 1990s", "In den 1990ern"),
        ("In the 1990s", "In den 90er Jahren"),
        ("Sommer '98", "Summer of 1998"),
        ("It costs 1,000.5 euros.", "Cela coûte 1 000,5 euros."),
        ("10,000 men", "10 000 Mann"),
        ("About 1 234 567 people", "Etwa 1.234.567 Menschen"),
        ("Call at 3pm.", "Ruf um 15 Uhr an."),
        ("Le 5 mai à 15 h 30", "On 5 May at 3:30pm"),
        ("I got up at 6:30.", "Ich bin um 6.30 Uhr aufgestanden."),
        ("From 2:30 to 5:00", "Von 14:30 Uhr bis 17.00 Uhr"),
        ("It costs $6.30 at 6:30.", "Es kostet um 6:30 Uhr 6,30 $."),
        ("Le train part à 15h30.", "The train leaves at 15:30."),
        ("They won 21:15.", "Sie gewannen 21-15."),
        ("It costs $21.55 at 6:30.", "Es kostet um 6:30 Uhr 21,55 $."),
        ("At 3 p.m. it cost $2.55.", "Um 15 Uhr kostete es 2,55 $."),
        ("On August 25th", "Am 25.8. abends"),
        ("It is 2.5.", "Es sind 2,5."),
        ("On 5 May 2020", "Am 05.05.2020"),
        ("12/31/2020", "31.12.2020"),
        ("2020-05-01", "1.5.20"),
        ("The 1st of the 3 rooms", "Das 1. der drei Zimmer"),
        ("Go to https://a.org/2024/1.", "Geh zu https://a.org/2024/1."),
        ("No number", "Keine Zahl"),
        ("٣٤٥ men", "345 Mann"),
        ("In 1984, 155 people", "一九八四年。一百五十五人"),
        ("一九八四年", "1984"),
        ("35,000 of 1.2 billion", "12億の3.5万"),
        ("At 3:30 in the afternoon", "Um 15.30 Uhr"),
        ("15:30", "下午3点30分"),
        (f"{'1' * 5000} at 3 p.m.", f"{'1' * 5000} um 15 Uhr"),
    ],
)
def test_kept_numbers(src: str, tgt: str) -> None:
    assert not changes_numbers(src, tgt)


@pytest.mark.parametrize(
    ("src", "tgt"),
    [
        ("It was in 1957.", "Es war 1975."),
        ("It was in 1957.", "Es war damals."),
        ("It was then.", "Es war 1975."),
        ("We need 45 chairs.", "Wir brauchen 54 Stühle."),
        ("Room 4711", "Zimmer 471"),
        ("It was in 1957.", "那是一个春天。"),
        ("In the 1990s", "In den 80er Jahren"),
        ("On 12/05/2020", "Am 12.05.2021"),
        ("It costs 1,000.5 euros.", "Cela coûte 1 000,6 euros."),
        ("10,000 men", "11 000 Mann"),
        ("Room 1990", "Room 99"),
        ("He is 100.", "Er ist 101."),
        ("About 20,000 copies", "Etwa 20.200 Stück"),
        ("The 10:30 train", "Der Zug um 18.30 Uhr"),
        ("The 10:30 train", "Der Zug um 10:40 Uhr"),
        ("On August 25th", "Am 26.8. abends"),
        ("Call me at 417 3pm.", "Ruf mich um 15 Uhr an."),
    ],
)
def test_changed_numbers(src: str, tgt: str) -> None:
    assert changes_numbers(src, tgt)


@given(st.integers(1000, 10**9), st.integers(1, 99))
def test_separators_do_not_matter(whole: int, part: int) -> None:
    english = f"{whole:,}.{part:02}"
    german = english.translate(str.maketrans(",.", ".,"))
    assert not changes_numbers(f"It is {english}.", f"Es ist {german}.")
    assert changes_numbers(f"It is {english}.", f"Es ist {german}7.")


@pytest.mark.parametrize(
    ("src", "tgt", "is_changed"),
    [
        ("See https://a.org/x?y=1.", "Siehe https://a.org/x?y=1!", False),
        ("See (www.a.org)", "Siehe www.a.org,", False),
        ("See https://a.org/x", "Siehe https://a.org/y", True),
        ("Write to a.b@c-d.org.", "Schreibe an a.b@c-d.org.", False),
        ("访问https://a.org/x了解更多。", "See https://a.org/x.", False),
        ("«www.a.org»", "“www.a.org”", False),
        ("发邮件至a@b.org联系", "Write to a@b.org.", False),
        ("Write to a.b@c.org.", "Schreibe an ihn.", True),
        ("Write to him.", "Schreibe an a.b@c.org.", True),
        ("SEE HTTP://A.ORG/X", "SIEHE HTTP://A.ORG/X", False),
        ("SEE WWW.A.ORG", "SIEHE WWW.B.ORG", True),
        ("See Www.A.org.", "Siehe www.a.org.", False),
        ("See www.a.org/X.", "Siehe www.a.org/x.", True),
        ("WRITE TO A.B@C.ORG", "Schreibe an a.b@c.org", False),
        ("Tom @ home, 5 € each", "Tom @ home, je 5 €", False),
    ],
)
def test_addresses(src: str, tgt: str, is_changed: bool) -> None:
    assert changes_addresses(src, tgt) is is_changed
