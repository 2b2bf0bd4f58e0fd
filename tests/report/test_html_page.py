"""Placeholders are filled in once, and no data can end a script element."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from nmt.report.html_page import fill_page


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a page of three placeholders."""
    folder = tmp_path / "package_with_a_page"
    folder.mkdir()
    (folder / "__init__.py").write_text("", "utf-8")
    (folder / "page.html").write_text("{{title}}|{{page.js}}|{{data}}", "utf-8")
    (folder / "page.js").write_text("{{data}}", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder.name


def test_inserted_text_is_not_expanded_again(package: str) -> None:
    page = fill_page(package, '"{{page.js}}"', title="{{data}}")
    assert page == '{{data}}|{{data}}|"{{page.js}}"'


def test_text_and_data_cannot_become_markup(package: str) -> None:
    text = "</script><!-- \u2028 & ü"
    title, _, data = fill_page(package, json.dumps(text, ensure_ascii=False), title=text).split("|")
    assert title == "&lt;/script&gt;&lt;!-- \u2028 &amp; ü"
    assert "<" not in data
    assert json.loads(data) == text


def test_files_of_other_packages() -> None:
    style = resources.files("nmt.report").joinpath("style.css").read_text("utf-8")
    assert style in fill_page("nmt.report.comparison", "{}", version="1")
