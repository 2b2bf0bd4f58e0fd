"""The routes, with workers that only change case."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("fastapi")

from nmt.serve import app
from nmt.serve.keys import new_key

from .harness import Client, Running, serving

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(pivot="en", batch_limit=50, char_limit=5000, body_limit=100_000) as running:
        yield running


@pytest.fixture
def client(running: Running) -> Client:
    return running.client


def test_translate(client: Client) -> None:
    assert client.translate("one\n\n  two ").body == {"translatedText": "ONE\n\n  TWO "}
    assert client.translate(["one", "", "two"]).body == {"translatedText": ["ONE", "", "TWO"]}
    assert client.translate([]).body == {"translatedText": []}
    assert client.translate("same", "en", "en").body == {"translatedText": "same"}
    form = urlencode({"q": "a&b", "source": "en", "target": "de", "format": "text"}).encode()
    assert client.ask("/translate", form, FORM).body == {"translatedText": "A&B"}
    html = client.translate("<p>a &lt; b <b>c</b> d</p>", format="html").body
    assert html == {"translatedText": "<p>A &lt; B <b>C</b> D</p>"}


def test_a_parameter_that_is_null_is_left_out(client: Client) -> None:
    answer = client.translate("a", format=None, api_key=None, alternatives=None)
    assert answer.body == {"translatedText": "A"}
    assert client.ask("/detect", {"q": "a text", "api_key": None}).status == 200


def test_pivot(client: Client) -> None:
    answer = client.translate("un mot", "fr", "de", alignment=True).body
    assert answer["translatedText"] == "UN MOT1"  # of model 1, then of model 0
    [segment] = answer["segments"]
    assert segment["alignment"] == [[[0, 2], [0, 2]], [[3, 6], [3, 7]]]
    refused = client.ask("/alternatives", {"q": "a", "source": "fr", "target": "de"})
    assert refused.status == 400


def test_alternative_translations(client: Client) -> None:
    assert client.translate("a\nb", alternatives=2).body == {
        "translatedText": "A\nB",
        "alternatives": ["A 1\nB 1", "A 2\nB 2"],
    }
    assert client.translate("a", alternatives=1.0).body["alternatives"] == ["A 1"]
    assert client.translate(["a", "b"], alternatives=1).body["alternatives"] == [["A 1"], ["B 1"]]


def test_detection(client: Client) -> None:
    text = "This is an old house in the country."
    answer = client.translate(text, "auto").body
    assert answer["detectedLanguage"]["language"] == "en"
    assert 50 < answer["detectedLanguage"]["confidence"] <= 100
    assert len(client.translate([text] * 3, "auto").body["detectedLanguage"]) == 3
    [best, *_] = client.ask("/detect", {"q": text}).body
    assert best["language"] == "en"


def test_alignment_and_next_words(client: Client) -> None:
    [segment] = client.translate("one two", alignment=True).body["segments"]
    assert segment["alignment"] == [[[0, 3], [0, 3]], [[4, 7], [4, 7]]]
    assert (segment["src"], segment["tgt"]) == ("one two", "ONE TWO")
    asked = {"q": "one", "source": "en", "target": "de", "prefix": "A "}
    [word] = client.ask("/alternatives", asked).body["alternatives"]
    assert word == {"word": "X", "probability": 0.5, "text": "A X", "start": 2}


def test_stream(client: Client) -> None:
    asked = {"q": "one\n\ntwo\n three\n", "source": "en", "target": "de"}
    answer = client.ask("/translate_stream", asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, end, rest = answer.body.decode().split("\n\n")
    texts = [json.loads(event.removeprefix("data: "))["translatedText"] for event in events]
    assert texts == ["ONE", "\n\nTWO", "\n THREE\n"]
    assert (end, rest) == ("event: end\ndata: {}", "")
    html = asked | {"q": "<p>one <b>two</b> x.</p><p>three", "format": "html"}
    *events, _, _ = client.ask("/translate_stream", html).body.decode().split("\n\n")
    texts = [json.loads(event.removeprefix("data: "))["translatedText"] for event in events]
    assert texts == ["<p>ONE <b>TWO</b> X.", "</p><p>THREE"]
    failed = client.ask("/translate_stream", asked | {"q": "one\nfails"}).body.decode()
    assert failed.endswith('event: error\ndata: {"error": "segment 1: it is too long"}\n\n')


def multipart(name: str, content: bytes, **fields: str) -> tuple[bytes, str]:
    """Return a form with a file, and its content type."""
    parts = [f'form-data; name="{key}"\r\n\r\n{value}'.encode() for key, value in fields.items()]
    parts.append(f'form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content)
    body = b"".join(b"--XX\r\nContent-Disposition: " + part + b"\r\n" for part in parts)
    return body + b"--XX--\r\n", "multipart/form-data; boundary=XX"


def test_translate_file(client: Client) -> None:
    text = "".join(f"line {number}\n" for number in range(600))
    form = multipart("../../my file;.TXT", text.encode(), source="en", target="de")
    url = client.ask("/translate_file", *form).body["translatedFileUrl"]
    assert url.startswith(client.url)
    done = client.ask(url.removeprefix(client.url))
    assert done.body.decode() == text.upper()
    assert done.headers["content-disposition"] == 'attachment; filename="_my_file_.de.txt"'
    for name in ("nothing.txt", "..%2f..%2fetc%2fpasswd", "../app.py"):
        assert client.ask(f"/download_file/{name}").status == 404
    for name, content in [("a.docx", b"x"), ("", b"x"), ("a.txt", b"\xff")]:
        wrong = client.ask("/translate_file", *multipart(name, content, source="en", target="de"))
        assert wrong.status == 400
        assert "file: " in wrong.body["error"]


def test_what_the_server_offers(client: Client) -> None:
    assert {"code": "fr", "name": "French", "targets": ["en", "de", "es"]} in client.ask(
        "/languages"
    ).body
    settings = client.ask("/frontend/settings").body
    assert settings["language"]["target"] == {"code": "de", "name": "German"}
    assert settings["charLimit"] == 5000
    assert settings["keyRequired"] is False
    assert client.ask("/suggest", {"q": "a"}).status == 403
    assert client.ask("/health").body == {"status": "ok"}
    client.translate("a")
    figures = client.ask("/metrics").body.decode()
    assert re.search(r'nmt_requests_total\{path="/translate",status="200"\} \d', figures)
    assert "nmt_waiting_lines 0.0" in figures


def test_documentation_is_complete_and_needs_no_other_site(client: Client) -> None:
    spec = client.ask("/spec").body
    page = client.ask("/docs")
    for path in spec["paths"]:
        assert path in page.body.decode()
    assert "http" not in page.body.decode()
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["x-content-type-options"] == "nosniff"


GOOD = {"q": "a", "source": "en", "target": "de"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": None}, "q"),
        ({"q": 3}, "q"),
        ({"q": ["a", 3]}, "q"),
        ({"source": "xx"}, "source: 'xx' is not supported; known are en, fr, de, es"),
        ({"target": "../../etc/passwd"}, "target: '../../etc/passwd' is not supported"),
        ({"format": "pdf"}, "format: "),
        ({"alternatives": -1}, "alternatives: "),
        ({"alternatives": 1.5}, "alternatives: "),
        ({"alternatives": True}, "alternatives: "),
        ({"alignment": 0}, "alignment: "),
        ({"alternatives": 10**9}, "alternatives: "),
        ({"model": "/etc/passwd"}, "model: this server has no such parameter"),
        ({"glossary": [["house"]]}, "glossary.0: "),
        ({"glossary": [["house", " \0"]]}, "glossary.0.1: "),
        ({"q": "x" * 5001}, "q: 5001 characters, but at most 5000"),
        ({"q": ["x"] * 51}, "q: 51 strings, but at most 50"),
        ({"q": [1] * 2000}, "this is not a body as /docs describes it"),
        ({f"key {number}": 1 for number in range(2000)}, "this is not a body"),
        ({"q": "fails"}, "segment 1: it is too long"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_requests(client: Client, change: dict[str, Any], message: str) -> None:
    answer = client.ask("/translate", GOOD | change)
    assert answer.status == 400
    assert answer.body["error"].startswith(message)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"q": NaN}', b"[" * 50_000, b'{"q": "\\ud800"}'],
    ids=lambda body: repr(body[:16]),
)
def test_broken_bodies(client: Client, body: bytes) -> None:
    for kind in ("application/json", FORM, "multipart/form-data; boundary=X", "text/plain", ""):
        for path in ("/translate", "/detect", "/translate_stream", "/alternatives"):
            answer = client.ask(path, body, kind)
            assert answer.status == 400
            assert answer.body.keys() == {"error"}


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("q=a&q=b&source=en&target=de", "q: more than once; a list is possible in JSON"),
        ("q=a&source=en&target=de&alignment=true", "alignment: only in JSON"),
        ("q=a&source=en&target=de&x=y", "x: this server has no such parameter; /docs lists them"),
        ("q=a&source=en", "target: Field required"),
    ],
)
def test_wrong_forms(client: Client, form: str, message: str) -> None:
    answer = client.ask("/translate", form.encode(), FORM)
    assert (answer.status, answer.body) == (400, {"error": message})


def test_unknown_paths_and_methods(client: Client) -> None:
    assert client.ask("/nothing").status == 404
    wrong = client.ask("/translate")
    assert wrong.status == 405
    assert wrong.headers["allow"] == "POST"
    assert wrong.body == {"error": "Method Not Allowed"}


def test_api_keys_and_rates(tmp_path: Path) -> None:
    (key, line), (limited, limited_line) = new_key(), new_key(2)
    (tmp_path / "keys").write_text(f"{line}\n{limited_line}\n", "utf-8")
    with serving(api_keys=tmp_path / "keys") as running:
        client = running.client
        assert client.translate("a").status == 403
        assert client.translate("a", api_key=key[:-1]).status == 403
        assert [client.translate("a", api_key=key).status for _ in range(4)] == [200] * 4
        assert [client.translate("a", api_key=limited).status for _ in range(2)] == [200] * 2
        refused = client.translate("a", api_key=limited)
        assert refused.status == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert refused.body == {"error": "more than 2 requests per minute"}
        assert client.ask("/frontend/settings").body["keyRequired"] is True
        form = multipart("a.txt", b"a", source="en", target="de", api_key=key)
        assert client.ask("/translate_file", *form).status == 200


@pytest.mark.parametrize(
    ("split", "batches"), [(True, [["One.", "Two."]]), (False, [["One.  Two."]])]
)
def test_sentences_are_translated_separately_or_not(split: bool, batches: list) -> None:
    with serving(split_sentences=split) as running:
        assert running.client.translate("One.  Two.\n").body["translatedText"] == "ONE.  TWO.\n"
        assert running.workers.batches == batches


def test_clients_behind_a_proxy_are_told_apart() -> None:
    def status(port: int, forwarded_for: str) -> int:
        body = urlencode(GOOD).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/translate", body)
        request.add_header("X-Forwarded-For", forwarded_for)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    with serving(rate_limit=1) as running:
        port = running.client.port
        # What a client itself has put before its address does not count.
        found = [status(port, each) for each in ("10.0.0.1", "10.0.0.2", "10.0.0.9, 10.0.0.1")]
        assert found == [200, 200, 429]


def test_pages_of_other_sites_are_allowed_by_name() -> None:
    def allowed(port: int, origin: str) -> str | None:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/languages")
        request.add_header("Origin", origin)
        with urllib.request.urlopen(request, timeout=60) as response:
            found: str | None = response.headers["access-control-allow-origin"]
            return found

    with serving(allow_origin=["https://example.org"]) as running:
        assert allowed(running.client.port, "https://example.org") == "https://example.org"
        assert allowed(running.client.port, "https://example.com") is None
    with serving() as running:
        assert allowed(running.client.port, "https://example.org") is None


def test_the_page_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<!doctype html><title>Page</title>", "utf-8")
    (tmp_path / "page" / "page.js").write_text("let x;", "utf-8")
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    monkeypatch.setattr(app, "PAGE", tmp_path / "page")
    with serving() as running:
        client = running.client
        assert b"<title>Page" in client.ask("/").body
        script = client.ask("/page/page.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.headers["content-security-policy"].startswith("default-src 'self'")
        for path in ("../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "nothing", ""):
            answer = client.ask(f"/page/{path}")
            assert (answer.status, answer.body) == (404, {"error": "Not Found"})
