"""XLIFF 1.2 and 2."""

from __future__ import annotations

import pytest

from nmt.documents.xliff import read
from nmt.errors import DataError

from .copies import copied, shouted

ONE = """<?xml version="1.0" encoding="UTF-8"?>
<!-- note -->
<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" xmlns:o="urn:o" version="1.2">
  <file original="a" source-language="en" target-language="de" datatype="plaintext">
    <body>
      <trans-unit id="1">
        <source>the <g id="1">cat <x id="2"/></g> sat</source>
        <note>n</note>
      </trans-unit>
      <trans-unit id="2"><source>a</source><target>b</target></trans-unit>
      <trans-unit id="3" translate="no"><source>a</source></trans-unit>
      <trans-unit id="4" o:x="y">
        <source><bpt id="1">&lt;b></bpt>the <mrk mtype="protected">X1</mrk><ept id="1">&lt;/b></ept>
          &amp; dog</source>
        <seg-source><mrk mtype="seg" mid="1">the</mrk></seg-source>
        <target state="new">a</target>
        <alt-trans><source>x</source><target>y</target></alt-trans>
      </trans-unit>
      <group translate="no"><trans-unit id="5"><source>a</source></trans-unit></group>
    </body>
  </file>
</xliff>
"""
DONE = (
    ONE.replace(
        "sat</source>\n",
        'sat</source>\n        <target state="needs-review-translation" '
        'state-qualifier="mt-suggestion">THE <g id="1">CAT <x id="2"/></g> SAT</target>\n',
    )
    .replace(
        '<target state="new">a</target>',
        '<target state="needs-review-translation" state-qualifier="mt-suggestion">'
        '<bpt id="1">&lt;b&gt;</bpt>THE <mrk mtype="protected">X1</mrk>'
        '<ept id="1">&lt;/b&gt;</ept>\n          &amp; DOG</target>',
    )
    .replace("&lt;b>", "&lt;b&gt;")
    .replace("&lt;/b>", "&lt;/b&gt;")
)
TWO = """<?xml version='1.0'?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en" trgLang="de">
 <file id="f"><unit id="1">
  <segment><source>the <pc id="1">cat</pc><ph id="2"/> <sc id="3"/>sat<ec startRef="3"/></source>
  </segment>
  <ignorable><source> </source></ignorable>
  <segment state="final"><source>a</source><target>b</target></segment>
 </unit><unit id="2" translate="no"><segment><source>a</source></segment></unit></file>
</xliff>"""


def test_units_without_a_translation_get_one() -> None:
    document = read(ONE.encode(), "a.xlf")
    assert document.segments == ["the cat  sat", "the X1 & dog"]
    done = shouted(document).decode()
    assert done == DONE
    assert read(done.encode(), "a.xlf").segments == []


def test_version_2() -> None:
    document = read(TWO.encode(), "a.xlf")
    done = shouted(document).decode()
    assert (
        '<segment state="translated"><source>the <pc id="1">cat</pc><ph id="2"/> '
        '<sc id="3"/>sat<ec startRef="3"/></source>\n  '
        '<target>THE <pc id="1">CAT</pc><ph id="2"/> <sc id="3"/>SAT<ec startRef="3"/></target>'
    ) in done
    assert done.count("<target>") == 2


def test_a_target_that_is_a_copy_has_the_elements_of_its_source() -> None:
    done = copied(read(TWO.encode(), "a.xlf")).decode()
    source = TWO.partition("<source>")[2].partition("</source>")[0]
    assert f"<target>{source}</target>" in done
    pairs = read(TWO.encode(), "a.xlf").write(["SAT CAT THE"], [[(2, 0), (1, 1), (0, 2)]]).decode()
    assert '<sc id="3"/>SAT<ec startRef="3"/> <pc id="1">CAT</pc><ph id="2"/> THE' in pairs


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 100}">' for n in range(9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<xliff version='1.2'>\n<file></xliff>", "a:2: broken XML"),
        ("", "a:1: broken XML|a:0: broken XML"),
        ("<html/>", "a:1: not XLIFF"),
        ("<xliff version='3.0'/>", "a:1: not XLIFF"),
        (f"<!DOCTYPE xliff [{BOMB}]><xliff version='1.2'>&e8;</xliff>", "a:1: "),
        (f"<!DOCTYPE xliff [{BOMB}]><xliff version='1.2' a='&e8;'/>", "a:1: "),
        (
            "<!DOCTYPE xliff [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>"
            "<xliff version='1.2'>&x;</xliff>",
            "a:1: declares XML entities",
        ),
    ],
)
def test_a_damaged_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text.encode(), "a")
