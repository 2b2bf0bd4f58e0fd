"""Word documents and OpenDocument text."""

from __future__ import annotations

import io
import zipfile

import pytest
from lxml import etree

from nmt.documents import docx, odt, office
from nmt.errors import DataError

from .copies import copied, shouted

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
START = f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n<w:document xmlns:w="{W}">'
BODY = """<w:body><w:p w:x="1"><w:pPr><w:jc w:val="left"/></w:pPr>\
<w:r w:rsid="1"><w:t xml:space="preserve">the </w:t></w:r><w:proofErr/><w:r><w:t>big </w:t></w:r>\
<w:r><w:rPr><w:b/><w:lang w:val="en"/></w:rPr><w:t>ca</w:t></w:r>\
<w:r><w:rPr><w:b/></w:rPr><w:t>t</w:t></w:r><w:r><w:tab/><w:t>sat on</w:t><w:br/></w:r>\
<w:hyperlink r="1"><w:r><w:rPr><w:u/></w:rPr><w:t>a mat</w:t></w:r></w:hyperlink>\
<w:r><w:t xml:space="preserve"> page </w:t></w:r><w:r><w:fldChar w:fldCharType="begin"/></w:r>\
<w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>\
<w:r><w:t>7</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>\
<w:p><w:r><w:pict><w:p><w:r><w:t>in a box</w:t></w:r></w:p></w:pict></w:r>\
<w:r><w:t>out</w:t></w:r></w:p><w:p><w:r><w:t>--</w:t></w:r></w:p>\
<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:t>toc</w:t></w:r></w:p></w:body>"""

T = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
CONTENT = f"""<?xml version="1.0"?>
<o:document xmlns:o="urn:o" xmlns:text="{T}"><text:tracked-changes><text:p>gone</text:p>\
</text:tracked-changes><text:h text:x="1">the <text:span text:y="2">cat</text:span></text:h>
<text:p>a<text:line-break/>dog<text:note><text:body><text:p>in a note</text:p></text:body>\
</text:note> on page <text:page-number>7</text:page-number>.</text:p><text:p/></o:document>
"""


def archive(**parts: str) -> bytes:
    """Return an archive; `__` in names stands for a slash, and `_` for a full stop."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("mimetype", "application/x", zipfile.ZIP_STORED)
        for name, text in parts.items():
            path = name.replace("__", "/").replace("_", ".")
            packed.writestr(path, text, zipfile.ZIP_DEFLATED)
        packed.writestr("other.bin", bytes(range(256)), zipfile.ZIP_DEFLATED)
    return file.getvalue()


DOCX = archive(word__document_xml=f"{START}{BODY}</w:document>", word__styles_xml="<styles/>")
ODT = archive(content_xml=CONTENT, styles_xml="<styles/>", meta_xml="<meta >the cat</meta>")


def parts(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_word_paragraphs() -> None:
    document = docx.read(DOCX, "a.docx")
    assert document.segments == ["the big cat sat on a mat page 7", "out", "in a box"]
    done = parts(shouted(document))
    before = parts(DOCX)
    text = done.pop("word/document.xml").decode()
    assert done == {name: part for name, part in before.items() if name != "word/document.xml"}
    assert text.startswith(START)
    preserved = text.replace(' xml:space="preserve"', "")
    assert (
        '<w:p w:x="1"><w:pPr><w:jc w:val="left"/></w:pPr><w:r><w:t>THE BIG </w:t></w:r>'
        "<w:r><w:rPr><w:b/></w:rPr><w:t>CAT</w:t></w:r><w:r><w:tab/></w:r>"
        '<w:r><w:t>SAT ON</w:t></w:r><w:r><w:br/></w:r><w:hyperlink r="1">'
        "<w:r><w:rPr><w:u/></w:rPr><w:t>A MAT</w:t></w:r></w:hyperlink><w:r><w:t> PAGE </w:t></w:r>"
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>7</w:t></w:r>'
        '<w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
    ) in preserved
    assert "<w:pict><w:p><w:r><w:t>IN A BOX</w:t></w:r></w:p></w:pict>" in preserved
    assert "<w:t>OUT</w:t>" in preserved
    assert preserved.endswith(BODY[BODY.index("<w:p><w:r><w:t>--") :] + "</w:document>")


def test_opendocument_paragraphs() -> None:
    document = odt.read(ODT, "a.odt")
    assert document.segments == ["the cat", "a dog on page 7.", "in a note"]
    done, before = parts(shouted(document)), parts(ODT)
    text = done.pop("content.xml").decode()
    assert done == {name: part for name, part in before.items() if name != "content.xml"}
    expected = CONTENT
    for word in (">the <", ">cat<", ">a<", ">dog<", ">in a note<", "> on page <"):
        expected = expected.replace(word, word.upper())
    assert text == expected
    assert parts(copied(odt.read(ODT, "a.odt"))) == before
    with zipfile.ZipFile(io.BytesIO(shouted(document))) as packed:
        assert packed.infolist()[0].compress_type == zipfile.ZIP_STORED


def test_a_copy_has_the_same_text() -> None:
    once = copied(docx.read(DOCX, "a.docx"))
    assert copied(docx.read(once, "a.docx")) == once
    old, new = (
        "".join(etree.fromstring(parts(each)["word/document.xml"]).itertext())
        for each in (DOCX, once)
    )
    assert new == old


BOMB = "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a: damaged, or not a document"),
        (DOCX, "a: not a document: it has no content.xml"),
        (ODT[:200], "a: damaged"),
        (archive(content_xml="<a>\n<b></a>"), "a: content.xml:2: broken XML"),
        (archive(content_xml=BOMB), "a: content.xml:1: declares XML entities"),
        (ODT.replace(b"content.xml", b"content.xmk", 1), "a: damaged"),
    ],
    ids=range(6),
)
def test_a_damaged_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        copied(odt.read(content, "a"))


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("MAX_BYTES", "a: content.xml has more than 100 bytes"),
        ("_MAX_UNPACKED", "a: unpacks to more than 100 bytes"),
    ],
)
def test_what_is_unpacked_is_bounded(
    limit: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office, limit, 100)
    with pytest.raises(DataError, match=message):
        odt.read(ODT, "a")
