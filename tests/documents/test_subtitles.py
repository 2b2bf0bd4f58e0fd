"""Subtitles: sentences over cues, times, lines."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.documents.subtitles import read_srt, read_vtt
from nmt.errors import DataError

from .copies import copied, shouted

SRT = """1\r
00:00:01,000 --> 00:00:02,500\r
the <i>cat</i> sat\r
on a\r
\r
2\r
00:00:02,600 --> 00:00:04,000  X1:0\r
{\\an8}<i>mat. The dog</i>\r
\r
3\r
00:00:09,000 --> 00:00:10,000\r
- Ran?\r
- Home.\r
\r
4\r
00:00:11,000 --> 00:00:12,000\r
\r
"""
VTT = """WEBVTT - the cat

STYLE
::cue(b) { color: red }

NOTE the cat

intro
00:01.000 --> 00:02.000 align:left
<v Bob>the cat &amp; the <c.red>dog</c>

00:02.000 --> 00:03.000
ran home."""


def test_sentences_go_over_cues() -> None:
    document = read_srt(SRT.encode(), "a.srt")
    assert document.segments == ["the cat sat on a mat. The dog", "Ran?", "Home."]
    assert copied(document).decode() == SRT
    long = ["die große Katze saß auf einer Matte. Der Hund", "Lief?", "Heim."]
    done = document.write(long).decode()
    assert re.findall(".*-->.*", done) == re.findall(".*-->.*", SRT)
    assert "-\x20Lief?\r\n- Heim.\r\n" in done
    assert "{\\an8}<i>einer Matte. Der Hund</i>\r\n" in done


def test_webvtt_keeps_all_but_the_text_of_cues() -> None:
    document = read_vtt(VTT.encode(), "a.vtt")
    assert document.segments == ["the cat & the dog ran home."]
    assert copied(document).decode() == VTT
    done = shouted(document).decode()
    assert "<v Bob>THE CAT &amp; THE <c.red>DOG</c>\n" in done
    assert done.endswith("\nRAN HOME.")
    assert done.partition("00:01")[0] == VTT.partition("00:01")[0]


def cues(*texts: str) -> str:
    return "\n".join(
        f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{text}\n" for n, text in enumerate(texts, 1)
    )


def translated(translation: str, *texts: str) -> list[str]:
    """Return the texts of cues whose only sentence is translated."""
    document = read_srt(cues(*texts).encode(), "a.srt")
    done = document.write([translation]).decode()
    return [part.rstrip("\n") for part in re.split(r"\d\n.*,900\n", done)[1:]]


@pytest.mark.parametrize(
    ("texts", "translation", "lines"),
    [
        (["a a a", "b b b b b b b."], "X X X X X X X X X X.", ["X X X", "X X X X X X X."]),
        (["a", "b", "c."], "X.", ["X.", "", ""]),
        (["a", "b", "c."], "X Y.", ["X", "Y.", ""]),
        (["a <i>b", "c</i> d."], "X Y Z W.", ["X <i>Y", "Z</i> W."]),
        (["a a. a", "b."], "", ["", ""]),
        (["a a a a", "b b b b."], "我昨天去了那家图书馆。", ["我昨天去了", "那家图书馆。"]),
        (["a a a a", "b b b b."], "他来了，我们就一起走。", ["他来了，", "我们就一起走。"]),  # noqa: RUF001
        (["a a a a", "b b b b."], "昨日、「コンピュータ」を", ["昨日、", "「コンピュータ」を"]),
        (["a a", "b b", "c c."], "你好吗", ["你", "好", "吗"]),
        (["a a", "b b", "c c."], "你。", ["你。", "", ""]),
        (["a a a", "b b b."], "ฉันไปโรงเรียน", ["ฉันไป", "โรงเรียน"]),
        (["a a a", "b b b."], "ខ្ញុំរៀនភាសាខ្មែរ", ["ខ្ញុំរៀន", "ភាសាខ្មែរ"]),
        (["a a a", "b b b."], "ဗုဒ္ဓဘာသာ", ["ဗုဒ္ဓ", "ဘာသာ"]),
        (["<i>a b", "c</i> d."], "我们去那里。", ["<i>我们去", "那里。</i>"]),
    ],
)
def test_cues_share_a_sentence(texts: list[str], translation: str, lines: list[str]) -> None:
    assert translated(translation, *texts) == lines


def test_a_tag_that_is_divided_is_in_both_cues() -> None:
    document = read_srt(cues("a", "<i>b c d</i> e.").encode(), "a")
    links = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]
    done = document.write([f"XXXX {'Y' * 20} {'Z' * 20} W."], [links]).decode()
    assert "900\n<i>XXXX</i>\n" in done
    assert f"900\n<i>{'Y' * 20}\n{'Z' * 20}</i> W.\n" in done


def test_lines_are_short() -> None:
    [text] = translated("word " * 15 + "end.", "a b.")
    assert len(text.split("\n")) == 2
    assert max(map(len, text.split("\n"))) <= 42
    [text] = translated("word " * 40 + "end.", "a b.")
    assert max(map(len, text.split("\n"))) <= 42
    [text] = translated("a" * 60, "one\ntwo.")
    assert text == "a" * 60


def test_lines_without_spaces_are_short() -> None:
    [text] = translated("我们昨天一起去了那家很有名的图书馆，借了三本关于机器翻译的书。", "a b.")  # noqa: RUF001
    assert text == "我们昨天一起去了那家很有名的图书馆，\n借了三本关于机器翻译的书。"  # noqa: RUF001
    for piece in ("「図書館」で、", "ฉันไปที่นั่น", "Python 和我们。", "ｶﾀｶﾅの、", "ខ្ញុំរៀន។", "ကျွန်တော်"):
        [text] = translated(piece * 20, "a b.")
        lines = text.split("\n")
        assert len(lines) > 1
        assert text.replace("\n", "").replace(" ", "") == (piece * 20).replace(" ", "")
        assert not any(re.match("[。、」ーิ้่។]", line) for line in lines)
        assert not any(unicodedata.category(line[0])[0] == "M" for line in lines)
        assert not any(re.search("[「เแโใไ]$", line) for line in lines)
        assert max(sum(unicodedata.category(c) != "Mn" for c in line) for line in lines) <= 42


def test_tags_stay_with_their_text_at_the_end_of_a_line() -> None:
    document = read_srt(cues("<i>a</i> b.").encode(), "a")
    done = document.write([f"{'我' * 15}{'你' * 15}。"], [[(0, 0)]]).decode()
    assert re.sub("<.*?>|\n", "", done.partition("900")[2]) == f"{'我' * 15}{'你' * 15}。"


@pytest.mark.parametrize("piece", ["我们", "。", "a ", '"', "<i>我", "ー"])
def test_no_translation_takes_quadratic_time(piece: str) -> None:
    size = 100_000 // len(piece)
    text = "".join(translated(piece * size + "x", "a", "b."))
    assert text.replace("\n", "").replace(" ", "") == (piece * size + "x").replace(" ", "")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("number", ["2\n", ""])
def test_the_blank_line_between_cues_may_be_missing(number: str, line_end: str) -> None:
    times = "00:00:01,000 --> 00:00:02,000\n"
    text = f"1\n{times}a.\n{number}{times}b.".replace("\n", line_end)
    document = read_srt(text.encode(), "a")
    assert document.segments == ["a.", "b."]
    assert document.write(["a.", "X."]).decode() == text.replace("b.", "X.")


@pytest.mark.parametrize("end", ["。」", "।", "؟", "！』", "۔", "។", "။"])  # noqa: RUF001
def test_a_sentence_ends_in_any_script(end: str) -> None:
    assert read_srt(cues(f"a{end}", "b").encode(), "a").segments == [f"a{end}", "b"]


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_srt, "1\n00:00:01,000 -> 2\n\n2\n00:xx --> 00:00:03,000\nx\n", r"a:5: not the times"),
        (read_vtt, "1\n", "a:1: no WebVTT"),
        (read_srt, "the cat\n", "a:1: no subtitles"),
        (read_srt, b"1\n\xff", "a:2: not valid UTF-8"),
    ],
)
def test_a_damaged_file_is_refused(read: object, text: str | bytes, message: str) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(DataError, match=message):
        read(content, "a")  # type: ignore[operator]


PARTS = [
    "00:01.000 --> 00:02.000\n",
    "\n",
    "\n\n",
    "the cat",
    " ",
    ".",
    "<i>",
    "</i>",
    "- ",
    "\r\n",
]
PARTS += ["&amp;", "<c.x y>", "<00:01>", "{\\an8}", "1\n", "NOTE", "&", "<"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=20).map("".join))
def test_a_copy_is_the_same(text: str) -> None:
    for read, start in ((read_srt, ""), (read_vtt, "WEBVTT\n")):
        try:
            document = read((start + text).encode(), "a")
        except DataError:
            continue
        assert copied(document).decode() == start + text
