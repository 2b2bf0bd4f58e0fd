"""Message catalogues."""

from __future__ import annotations

import gettext
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.documents.po import _escape, _unescape, read
from nmt.errors import DataError

from .copies import copied, shouted

SOURCE = r"""# Catalogue
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=n;\n"

#. note
#: a.py:1
#, python-format
msgctxt "menu"
msgid "the %(name)s \"cat\" <b>sat</b>"
msgstr ""

msgid "done"
msgstr "fertig"
msgid ""
"the cat\n"
"  {0} dogs\tran\n"
msgstr ""

msgid "one file"
msgid_plural "%d files"
msgstr[0] ""
msgstr[1] ""

#~ msgid "old"
#~ msgstr ""
"""
DONE = r"""# Catalogue
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=n;\n"

#. note
#: a.py:1
#, fuzzy, python-format
msgctxt "menu"
msgid "the %(name)s \"cat\" <b>sat</b>"
msgstr "THE %(name)s \"CAT\" <b>SAT</b>"

msgid "done"
msgstr "fertig"
#, fuzzy
msgid ""
"the cat\n"
"  {0} dogs\tran\n"
msgstr ""
"THE CAT\n"
"  {0} DOGS\tRAN\n"

#, fuzzy
msgid "one file"
msgid_plural "%d files"
msgstr[0] "ONE FILE"
msgstr[1] "%d FILES"
msgstr[2] "%d FILES"

#~ msgid "old"
#~ msgstr ""
"""


def test_messages_without_a_translation_get_one() -> None:
    document = read(SOURCE.encode(), "a.po")
    assert shouted(document).decode() == DONE
    assert shouted(read(DONE.encode(), "a.po")).decode() == DONE
    crlf = SOURCE.replace("\n", "\r\n").encode()
    assert shouted(read(crlf, "a.po")) == DONE.replace("\n", "\r\n").encode()


@pytest.mark.skipif(not shutil.which("msgfmt"), reason="needs msgfmt of gettext")
def test_gettext_reads_what_is_written(tmp_path: Path) -> None:
    texts = ["a", "100% of a", 'b "c" \\n d', "\n  e\n\n f %s\n", "ü\t%%\x07", "a &amp; <b>c</i>"]
    header = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    source = "".join(f'msgid "{_escape(text)}"\nmsgstr ""\n\n' for text in texts)
    (tmp_path / "a.po").write_bytes(copied(read((header + source).encode(), "a.po")))
    compile_ = ["msgfmt", "--check", "--use-fuzzy", "-o", tmp_path / "a.mo", tmp_path / "a.po"]
    subprocess.run(compile_, check=True)
    with (tmp_path / "a.mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    assert {text: catalogue[text] for text in texts} == {text: text for text in texts}


@settings(max_examples=50, deadline=None)
@given(st.text('a"\\\n\tn0x\x07'))
def test_strings_are_escaped(text: str) -> None:
    assert _unescape(_escape(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('msgid "a\nmsgstr ""\n', "a:1: not a line of a catalogue"),
        ('msgid "a"\nmsgstr ""\n"b\n', "a:3: not a line"),
        ('msgid "a"\n\nx', "a:3: not a line"),
        ('msgstr ""\n', "a:1: a message without msgid"),
        ('# x\nmsgid "a"\n', "a:2: a message without msgid or msgstr"),
    ],
)
def test_a_damaged_catalogue_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text.encode(), "a")


def test_what_is_almost_a_placeholder_does_not_take_quadratic_time() -> None:
    text = f"%{'0' * 100_000}q"
    assert read(f'msgid "{text}"\nmsgstr ""\n'.encode(), "x.po").segments == [text]
