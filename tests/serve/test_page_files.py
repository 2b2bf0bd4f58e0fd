"""The files of the page, read without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nmt

PAGE = Path(nmt.__file__).parent / "serve" / "page"
FILES = sorted(PAGE.iterdir())
_NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8").replace(_NAMESPACE, "")
    assert re.findall(r"(?:https?:)?//\w[\w.-]*\.\w+|url\(|@import|[\"'(]data:", text) == []


@pytest.mark.parametrize("path", sorted(PAGE.glob("*.js")), ids=lambda path: path.name)
def test_text_is_never_read_as_markup(path: Path) -> None:
    unsafe = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTML|\beval\b"
    assert re.findall(unsafe, path.read_text("utf-8")) == []


def test_nothing_is_inline() -> None:
    text = (PAGE / "index.html").read_text("utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) == []


def test_no_file_is_missing_or_left_over() -> None:
    html = (PAGE / "index.html").read_text("utf-8")
    used = {"index.html", *re.findall(r'(?:href|src)="page/([\w.]+)"', html)}
    for path in PAGE.glob("*.js"):
        used |= set(re.findall(r'from "\./([\w.]+)"', path.read_text("utf-8")))
    assert used == {path.name for path in FILES}
