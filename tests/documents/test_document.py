"""Lines and sentences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nmt.documents.document import text_document


@given(st.text(alphabet=" \n\r\ta.!B", max_size=40), st.booleans())
def test_all_that_is_not_translated_stays(text: str, split: bool) -> None:
    document = text_document(text, sentences_of="en" if split else None)
    assert document.render(document.segments) == text
    assert all(segment and segment == segment.strip() for segment in document.segments)
    assert "".join(document.parts(0, document.segments)) == (text if document.segments else "")


def test_segments_are_lines_or_sentences() -> None:
    text = "One. Two.\n\n  Three.  \r\n"
    assert text_document(text).segments == ["One. Two.", "Three."]
    assert text_document(text, sentences_of="en").segments == ["One.", "Two.", "Three."]
    done = text_document(text, sentences_of="en").render(["1", "2", "3"])
    assert done == "1 2\n\n  3  \r\n"


def test_no_text_takes_quadratic_time() -> None:
    assert text_document("a" + "\n" * 200_000).segments == ["a"]
    sentences = text_document("a. " * 50_000, sentences_of="en").segments
    assert " ".join(sentences) == " ".join(["a."] * 50_000)
