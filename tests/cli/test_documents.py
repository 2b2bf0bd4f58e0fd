"""`nmt translate` with documents."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest

import nmt
from command import run_nmt, start_nmt
from nmt.cli.translation_job import Format
from nmt.documents.formats import FORMATS

HTML = (
    '<p class="x">the <b>cat <i>sat</i></b> on <a href="y">a mat</a>.<br>a <code>dog</code> ran.\n'
)
MARKDOWN = "# the *cat*\n\n> the **dog** [ran](x) home\n> on `a` <b>mat</b>.\n"
SRT = "1\n00:00:01,000 --> 00:00:02,000\nthe <i>cat</i>\n\n2\n00:00:02,000 --> 00:00:03,000\nsat.\n"
PO = 'msgid "the %s <b>cat</b> sat"\nmsgstr ""\n'
XLIFF = (
    '<xliff version="1.2"><file><body><trans-unit id="1"><source>the <g id="1">cat</g><x id="2"/> '
    "sat</source></trans-unit></body></file></xliff>"
)
TEXTS = {"html": HTML, "markdown": MARKDOWN, "srt": SRT, "vtt": f"WEBVTT\n\n{SRT}", "po": PO}
TEXTS["xliff"] = XLIFF
T = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
ODT = f'<d xmlns:text="{T}"><text:p>the <text:span>cat</text:span> sat</text:p></d>'
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
DOCX = f'<w:d xmlns:w="{W}"><w:p><w:r><w:t>the cat sat</w:t></w:r></w:p></w:d>'


def tags(text: str) -> list[str]:
    return sorted(re.findall(r"<[^>]*>|%s|-->|`\w+`|\]\(x\)", text))


def write(folder: Path, name: str) -> Path:
    """Write a document and return its path."""
    path = folder / f"in{FORMATS[name].endings[0]}"
    if not FORMATS[name].is_binary:
        path.write_text(TEXTS[name], "utf-8")
        return path
    part, text = ("content.xml", ODT) if name == "odt" else ("word/document.xml", DOCX)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(part, text)
    return path


def test_the_command_line_knows_all_formats() -> None:
    assert {each.value for each in Format} == {"text", "jsonl", *FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_a_document_has_the_same_tags(trained_run: Path, tmp_path: Path, name: str) -> None:
    path, output = write(tmp_path, name), tmp_path / "out"
    done = run_nmt("translate", trained_run, path, "-o", output, "--threads", 1)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    if FORMATS[name].is_binary:
        with zipfile.ZipFile(io.BytesIO(output.read_bytes())) as archive:
            text = archive.read(archive.namelist()[0]).decode()
        assert "the cat" not in text
        return
    text = output.read_text("utf-8")
    assert text != TEXTS[name]
    if name == "po":
        text = text.partition("msgstr")[2]
    if name == "xliff":
        text = text[: text.index("<target")] + text[text.index("</target>") + 9 :]
        assert output.read_text("utf-8").count("<g ") == 2
    assert tags(text) == tags(TEXTS[name])


@pytest.mark.parametrize("engine", ["nmt", "ctranslate2"])
def test_both_engines_align(trained_run: Path, tmp_path: Path, engine: str) -> None:
    path = write(tmp_path, "html")
    done = run_nmt("translate", trained_run, path, "--engine", engine, "--threads", 1)
    assert done.exit_code == 0, done.stderr
    assert tags(done.stdout) == tags(HTML)
    model = nmt.load(trained_run, engine=engine, threads=1)
    model.translate_document(path, tmp_path / "out.html")
    assert (tmp_path / "out.html").read_text("utf-8") == done.stdout


def test_the_format_can_be_given(trained_run: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "html")
    lines = run_nmt("translate", trained_run, path, "--format", "text", "--threads", 1)
    assert lines.exit_code == 0
    assert 'class="x"' not in lines.stdout
    process = start_nmt("translate", trained_run, "--format", "html", "--threads", 1)
    out, error = process.communicate(HTML.encode())
    assert process.returncode == 0, error
    assert tags(out.decode()) == tags(HTML)


def test_terms_are_required(trained_run: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "html")
    (tmp_path / "terms").write_text("cat\tMAT\n", "utf-8")
    options = ["--glossary", tmp_path / "terms", "--require-terms", "--threads", 1]
    done = run_nmt("translate", trained_run, path, *options)
    assert done.exit_code == 0, done.stderr
    assert "MAT" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume"], "--resume continues a file: name it with --output"),
        (["--nbest", "2", "--scores"], "--scores, --nbest: only for lines"),
        (["--processes", "2"], "--processes: only for lines"),
        (["--format", "docx"], "format docx needs --output"),
        (["--format", "odt", "-o", "-"], "format odt needs --output"),
        (["-o", "in.html"], "in.html: the same file as in.html"),
    ],
)
def test_what_does_not_suit_a_document_is_refused(
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    write(tmp_path, "html")
    monkeypatch.chdir(tmp_path)
    done = run_nmt("translate", trained_run, "in.html", *options)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_damaged_document_changes_no_output(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.xlf").write_text("<xliff>\n<file></xliff>", "utf-8")
    (tmp_path / "out").write_text("kept", "utf-8")
    done = run_nmt("translate", trained_run, tmp_path / "in.xlf", "-o", tmp_path / "out")
    assert done.exit_code == 3
    assert f"{tmp_path / 'in.xlf'}:2: broken XML" in done.stderr
    assert (tmp_path / "out").read_text("utf-8") == "kept"
    missing = run_nmt("translate", trained_run, tmp_path / "missing.md")
    assert missing.exit_code == 4
    assert "missing.md: cannot be read" in missing.stderr


@pytest.mark.parametrize("name", ["html", "docx"])
def test_a_resumed_document_equals_an_uninterrupted_one(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, whole, output = write(tmp_path, name), tmp_path / "whole", tmp_path / "out"
    options = ["--threads", 1, "--guard", "warn"]
    assert run_nmt("translate", trained_run, path, "-o", whole, *options).exit_code == 0
    document = type(nmt.load(trained_run, threads=1).read_document(path, {}))

    def interrupt(*args: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(document, "write", interrupt)
        stopped = run_nmt("translate", trained_run, path, "-o", output, *options)
    assert stopped.exit_code == 130
    assert re.search(r"out: all \d translations are kept: repeat the command", stopped.stderr)
    assert not output.exists()
    resumed = run_nmt("translate", trained_run, path, "-o", output, "--resume", *options)
    assert resumed.exit_code == 0, resumed.stderr
    assert re.search(r"out: resuming after segment \d", resumed.stderr)
    assert output.read_bytes() == whole.read_bytes()
    assert [*tmp_path.glob("out.*")] == []
    again = run_nmt("translate", trained_run, path, "-o", output, "--resume", *options[:2])
    assert again.exit_code == 0
    assert "out: already there; leave out --resume to translate again" in again.stderr
