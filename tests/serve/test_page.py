"""The page of the server in a browser, with a server that answers as the real one does."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .fake_server import FakeServer

pytest.importorskip("playwright")

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

_CHROMIUM = "/usr/bin/chromium"
pytestmark = pytest.mark.skipif(not shutil.which(_CHROMIUM), reason=f"{_CHROMIUM} is missing")

expect.set_options(timeout=5000)

Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def server(running: FakeServer) -> FakeServer:
    running.reset()
    return running


@pytest.fixture
def opened(chromium: Browser, server: FakeServer) -> Iterator[Opener]:
    """Return a function that opens the page; nothing it does may fail or go to another host."""
    contexts = []
    errors: list[str] = []
    requests: list[str] = []

    def note(message: Any) -> None:
        # Chromium reports each answer with an error status, and each lost connection.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            errors.append(message.text)

    def open_page(address: str = "", **options: Any) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(5000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(server.url + address)
        expect(page.locator("#target option").first).to_be_attached()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(server.url)] == []


@pytest.fixture
def page(opened: Opener) -> Page:
    return opened()


def translated(page: Page, text: str, translation: str) -> None:
    """Enter a text, and wait for its translation."""
    page.locator("#text").fill(text)
    expect(page.locator("#output")).to_have_text(translation)


def word(page: Page, text: str) -> Any:
    return page.locator("#output").get_by_role("button", name=text, exact=True)


def linked(page: Page) -> list[str]:
    return page.locator(".linked").all_text_contents()


# ---------------------------------------------------------------- translation


def test_text_is_translated_after_a_pause(opened: Opener, server: FakeServer) -> None:
    server.settings["frontendTimeout"] = 400
    page = opened()
    page.locator("#text").press_sequentially("the dog")
    expect(page.locator("#output")).to_have_text("THE DOG")
    expect(page.locator("#live")).to_have_text("THE DOG")
    expect(page.locator("#detected")).to_have_text("Detected: English")
    expect(page.locator("#count")).to_have_text("7 / 5,000")
    options = {"source": "auto", "target": "de", "format": "text", "alignment": True}
    assert server.bodies("/translate") == [{"q": "the dog", **options}]


def test_an_old_answer_is_dropped(page: Page, server: FakeServer) -> None:
    server.delays["slow"] = 0.4
    page.locator("#text").fill("slow")
    with page.expect_request("**/translate"):
        pass
    translated(page, "fast", "FAST")
    page.wait_for_timeout(600)
    expect(page.locator("#output")).to_have_text("FAST")


def test_no_text_is_not_sent(page: Page, server: FakeServer) -> None:
    translated(page, "dog", "DOG")
    translated(page, " \n", "")
    assert len(server.bodies("/translate")) == 1
    expect(page.locator("#copy")).to_be_disabled()


def test_line_breaks_and_spaces_are_kept(page: Page) -> None:
    text = "  One dog. Two  dogs!\n\n\tA third.\n"
    page.locator("#text").fill(text)
    expect(page.locator("#copy")).to_be_enabled()
    assert page.locator("#output").text_content() == text.upper()


def test_markup_is_shown_as_text(page: Page) -> None:
    text = "<img src=x onerror=alert(1)><b>bold</b> &amp; <script>alert(2)</script>"
    translated(page, text, text.upper())
    assert page.locator("#output :is(img, b, script), #mirror :is(img, b, script)").count() == 0
    page.locator("#glossary").fill("<b>a</b> <i>b")
    expect(page.locator("#glossary-hint")).to_contain_text("Line 1")


def test_a_text_above_the_limit_is_not_sent(opened: Opener, server: FakeServer) -> None:
    server.settings["charLimit"] = 10
    page = opened()
    page.locator("#text").fill("🐕" * 12)
    expect(page.locator("#message")).to_have_text("The text is 2 characters too long.")
    expect(page.locator("#count")).to_have_text("12 / 10")
    assert server.bodies("/translate") == []
    translated(page, "🐕" * 10, "🐕" * 10)
    expect(page.locator("#message")).to_have_text("")


# ---------------------------------------------------------------- languages


def test_languages_are_swapped(page: Page, server: FakeServer) -> None:
    expect(page.locator("#swap")).to_be_disabled()  # nothing is detected yet
    translated(page, "dog", "DOG")
    page.locator("#swap").click()
    expect(page.locator("#text")).to_have_value("DOG")
    expect(page.locator("#source")).to_have_value("de")
    expect(page.locator("#target")).to_have_value("en")
    expect(page.locator("#output")).to_have_attribute("lang", "en")
    assert server.bodies("/translate")[-1]["source"] == "de"


def test_text_that_is_not_translated_yet_stays_when_languages_are_swapped(
    page: Page, server: FakeServer
) -> None:
    server.delays["new text"] = 0.4
    translated(page, "dog", "DOG")
    with page.expect_request("**/translate"):
        page.locator("#text").fill("new text")
    page.locator("#swap").click()
    expect(page.locator("#target")).to_have_value("en")
    expect(page.locator("#text")).to_have_value("new text")


def test_only_languages_of_the_source_are_offered(page: Page) -> None:
    assert page.locator("#target option").all_text_contents() == ["German", "Arabic", "English"]
    page.locator("#source").select_option("de")
    assert page.locator("#target option").all_text_contents() == ["English"]
    page.locator("#source").select_option("en")
    page.locator("#target").select_option("ar")
    expect(page.locator("#swap")).to_be_disabled()  # nothing is translated from Arabic


def test_text_from_right_to_left(page: Page) -> None:
    page.locator("#target").select_option("ar")
    translated(page, "dog", "الكلب يركض في البيت")
    assert page.evaluate("getComputedStyle(document.getElementById('output')).direction") == "rtl"
    word(page, "الكلب").focus()
    page.keyboard.press("ArrowLeft")
    expect(word(page, "يركض")).to_be_focused()


def test_the_address_keeps_languages_and_text(opened: Opener) -> None:
    page = opened("#en/de/a%2Fb%20100%25")
    expect(page.locator("#text")).to_have_value("a/b 100%")
    expect(page.locator("#source")).to_have_value("en")
    expect(page.locator("#output")).to_have_text("A/B 100%")
    translated(page, "ein Hund/é", "EIN HUND/É")
    assert page.url.endswith("#en/de/ein%20Hund%2F%C3%A9")
    page.evaluate("location.hash = '#de/en/100%'")
    expect(page.locator("#text")).to_have_value("100%")
    expect(page.locator("#target")).to_have_value("en")


# ---------------------------------------------------------------- words


def test_an_alternative_replaces_the_sentence(page: Page, server: FakeServer) -> None:
    translated(page, "Hi. The dog runs.", "HI. THE DOG RUNS.")
    word(page, "DOG").click()
    menu = page.get_by_role("menu")
    expect(menu.get_by_role("menuitemradio")).to_have_count(4)
    expect(menu.get_by_role("menuitemradio").first).to_have_text(re.compile("KATER.*41 %.*RUNS"))
    [body] = server.bodies("/alternatives")
    assert body == {"q": "The dog runs.", "source": "en", "target": "de", "prefix": "THE "}
    menu.get_by_role("menuitemradio").first.click()
    expect(page.locator("#output")).to_have_text("HI. THE KATER RUNS.")
    expect(page.locator("#live")).to_have_text("HI. THE KATER RUNS.")
    expect(word(page, "KATER")).to_be_focused()
    word(page, "THE").hover()
    assert linked(page) == ["The", "THE"]  # what stands before the word is still aligned
    word(page, "RUNS").hover()
    assert linked(page) == ["RUNS"]


def test_alternatives_by_keyboard(page: Page) -> None:
    translated(page, "The dog runs.", "THE DOG RUNS.")
    page.locator("#text").focus()
    page.keyboard.press("Tab")
    expect(word(page, "THE")).to_be_focused()
    page.keyboard.press("ArrowRight")
    assert sorted(linked(page)) == ["DOG", "dog"]
    page.keyboard.press("Enter")
    items = page.get_by_role("menuitemradio")
    expect(items.nth(2)).to_be_focused()  # the word as it is
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()
    expect(word(page, "DOG")).to_be_focused()
    page.keyboard.press(" ")
    expect(items.nth(2)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#output")).to_have_text("THE WOLF RUNS.")
    expect(word(page, "WOLF")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#draw")).to_be_focused()


def test_words_are_highlighted_in_both_panes(page: Page) -> None:
    translated(page, "🐕🐕🐕🐕 the dog.\nA cat.", "🐕🐕🐕🐕 THE DOG. A CAT.")
    word(page, "DOG").hover()
    assert sorted(linked(page)) == ["DOG", "dog"]
    box = page.locator("#mirror span", has_text="cat").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert sorted(linked(page)) == ["CAT", "cat"]
    page.locator("#text").focus()
    page.keyboard.press("Control+Home")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.mouse.move(0, 0)
    assert sorted(linked(page)) == ["THE", "the"]
    page.keyboard.type("x")
    assert linked(page) == []


def test_the_mirror_lies_behind_the_text(page: Page) -> None:
    text = "A rather long text that needs several lines. " * 12 + "\n\nThe end\n"
    page.locator("#text").fill(text)
    expect(page.locator("#copy")).to_be_enabled()
    text_height = page.evaluate("document.getElementById('text').scrollHeight")
    assert text_height == page.evaluate("document.getElementById('mirror').offsetHeight")


def test_lines_are_drawn_between_the_panes(opened: Opener) -> None:
    page = opened()
    translated(page, "The dog runs.", "THE DOG RUNS.")
    expect(page.locator("#lines path")).to_have_count(0)
    page.get_by_label("Alignment lines").check()
    expect(page.locator("#lines path")).to_have_count(3)
    word(page, "DOG").hover()
    expect(page.locator("#lines path.strong")).to_have_count(1)
    page.locator("#text").fill("")
    expect(page.locator("#lines path")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("Alignment lines")).to_be_checked()


def test_a_server_without_segments(page: Page) -> None:
    def strip(route: Route) -> None:
        answer = route.fetch().json()
        answer["segments"] = None
        route.fulfill(json=answer)

    page.route("**/translate", strip)
    translated(page, "The dog.\nA cat.", "THE DOG. A CAT.")
    word(page, "DOG").hover()
    assert linked(page) == ["DOG"]


def test_words_are_those_of_alignments(page: Page) -> None:
    from nmt.translate.words import split_words

    texts = ['"No," it\'s 3.5.', "… «a» —", "", "🐕\u00a0é\n", "-", "a...b... c"]
    found = page.evaluate(
        """async (texts) => {
          const { wordSpans } = await import("/page/words.js");
          return texts.map((text) => wordSpans(text).map((span) => text.slice(...span)));
        }""",
        texts,
    )
    assert found == [split_words(text) for text in texts]
    assert found[0] == ['"', "No", ',"', "it's", "3.5", "."]


# ---------------------------------------------------------------- glossary, key, copy, theme


def test_a_glossary_is_sent(page: Page, server: FakeServer) -> None:
    page.locator("#text").fill("house")
    page.locator("#glossary").fill("house = Haus, Hauses\n\nnothing\n old dog=alter Hund")
    expect(page.locator("#glossary-hint")).to_contain_text("Line 3")
    expect(page.locator("#glossary")).to_have_attribute("aria-invalid", "true")
    page.locator("#glossary").fill("house = Haus, Hauses\n old dog=alter Hund")
    expect(page.locator("#glossary-hint")).to_have_text("2 terms")
    with page.expect_response("**/translate"):
        pass
    terms = [["house", "Haus", "Hauses"], ["old dog", "alter Hund"]]
    assert server.bodies("/translate")[-1]["glossary"] == terms


def test_a_key_is_asked_for(opened: Opener, server: FakeServer) -> None:
    server.settings["keyRequired"] = True
    page = opened()
    page.locator("#text").fill("dog")
    expect(page.locator("#message")).to_have_text("Enter an API key.")
    page.get_by_label("API key").fill("secret")
    expect(page.locator("#output")).to_have_text("DOG")
    assert server.bodies("/translate")[-1]["api_key"] == "secret"


def test_no_key_is_asked_for_without_need(page: Page) -> None:
    expect(page.locator("#key")).to_be_hidden()


def test_the_translation_is_copied(opened: Opener) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    translated(page, "One\ntwo", "ONE TWO")
    page.locator("#copy").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "ONE\nTWO"


def test_the_theme_is_remembered(opened: Opener) -> None:
    page = opened(color_scheme="light")
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(back)
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate(back)
    assert light != dark
    page.reload()
    assert page.evaluate(back) == dark
    expect(page.locator("#theme")).to_have_attribute("aria-pressed", "true")


# ---------------------------------------------------------------- files


def send_file(page: Page, name: str = "in.txt", content: bytes = b"The dog\n") -> None:
    file = {"name": name, "mimeType": "text/plain", "buffer": content}
    page.locator("#file").set_input_files(files=[file])  # type: ignore[list-item]


def test_a_file_is_translated(page: Page, server: FakeServer) -> None:
    send_file(page)
    link = page.get_by_role("link", name="Download")
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "translated-in.txt"
    assert Path(download.value.path()).read_bytes() == b"DER HUND\n"
    [form] = server.bodies("/translate_file")
    assert b"The dog\n" in form
    assert re.search(rb'name="target"\s+de\s', form)
    expect(page.locator("#job")).to_be_hidden()


def test_a_file_is_dropped(page: Page, server: FakeServer) -> None:
    handled = page.evaluate(
        """() => ["dragover", "drop"].map((name) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["The dog"], "drop.txt"));
          const init = { dataTransfer, bubbles: true, cancelable: true };
          return !document.body.dispatchEvent(new DragEvent(name, init));
        })"""
    )
    assert handled == [True, True]  # else the browser would open the file
    expect(page.locator("#file-message")).to_have_text("drop.txt is translated.")
    assert len(server.bodies("/translate_file")) == 1


def test_a_file_that_fails(page: Page, server: FakeServer) -> None:
    send_file(page, "in.exe")
    expect(page.locator("#file-message")).to_have_text("in.exe is not .txt.")
    server.fail("/translate_file", 400, {"error": "in.txt:2: this is not UTF-8"})
    send_file(page)
    expect(page.locator("#file-message")).to_have_text("in.txt:2: this is not UTF-8.")
    expect(page.locator("#download")).to_be_hidden()
    expect(page.locator("#job")).to_be_hidden()


def test_an_upload_is_cancelled(page: Page) -> None:
    page.route("**/translate_file", lambda route: None)  # never answered
    send_file(page)
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#file-message")).to_have_text("Cancelled.")


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, {"error": "de-fr is not supported"}, "de-fr is not supported."),
        (502, b"<b>Bad gateway</b>", "The server answered with error 502."),
    ],
)
def test_errors_of_the_server_are_shown(
    page: Page, server: FakeServer, status: int, body: Any, message: str
) -> None:
    translated(page, "cat", "CAT")
    server.fail("/translate", status, body)
    page.locator("#text").fill("dog")
    expect(page.locator("#message")).to_have_text(message)
    expect(page.locator("#output")).to_have_text("")  # not the translation of another text
    expect(page.locator("#copy")).to_be_disabled()
    translated(page, "dogs", "DOGS")
    expect(page.locator("#message")).to_have_text("")


@pytest.mark.parametrize("status", [429, 503])
def test_too_many_requests_wait(page: Page, server: FakeServer, status: int) -> None:
    server.fail("/translate", status, {"error": "Too many requests"}, Retry_After="1")
    page.locator("#text").fill("dog")
    expect(page.locator("#message")).to_have_text("Too many requests. Trying again in 1 s.")
    page.locator("#text").fill("dogs")  # does not ask before that
    expect(page.locator("#output")).to_have_text("DOGS")
    expect(page.locator("#message")).to_have_text("")
    assert [body["q"] for body in server.bodies("/translate")] == ["dog", "dogs"]


def test_a_lost_connection_is_waited_for(page: Page) -> None:
    page.context.set_offline(True)
    page.locator("#text").fill("dog")
    expect(page.locator("#message")).to_have_text("You are offline. Trying again…")
    page.context.set_offline(False)
    expect(page.locator("#output")).to_have_text("DOG")
    expect(page.locator("#message")).to_have_text("")


# ---------------------------------------------------------------- for all users


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_inaccessible(opened: Opener, server: FakeServer, scheme: str) -> None:
    axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
    server.settings["keyRequired"] = True
    page = opened(color_scheme=scheme, bypass_csp=True)
    axe = axe_playwright.Axe()

    def findings() -> list[str]:
        return [each["id"] for each in axe.run(page).response["violations"]]

    assert findings() == []
    page.get_by_label("API key").fill("secret")
    translated(page, "The dog.", "THE DOG.")
    with page.expect_response("**/translate"):
        page.locator("#glossary").fill("house")
    send_file(page)
    expect(page.get_by_role("link")).to_be_visible()
    word(page, "DOG").click()
    expect(page.get_by_role("menu")).to_be_visible()
    assert findings() == []
    page.keyboard.press("Escape")
    server.fail("/translate", 500, {"error": "Out of memory"})
    page.locator("#text").fill("Dogs")
    expect(page.locator("#message")).to_have_class("error")
    assert findings() == []


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_page_fits_the_window(opened: Opener, width: int) -> None:
    page = opened(viewport={"width": width, "height": 800})
    translated(page, "dog " * 80 + "x" * 200, "DOG " * 80 + "X" * 200)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    word(page, "DOG").first.click()
    box = page.get_by_role("menu").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    translated(page, "The dog.", "THE DOG.")
    page.locator("#theme").focus()
    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.textContent")
        )
    ids = ["source", "swap", "target", "text", "THE", "draw", "copy", "glossary", "file"]
    assert reached == ids
