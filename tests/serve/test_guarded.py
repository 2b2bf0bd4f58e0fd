"""Translations under guard; the workers flag texts with digits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from nmt.config.languages import LanguagePair
from nmt.serve.models import Models
from nmt.serve.settings import Settings
from nmt.serve.tasks import Found, Line, Task

from .harness import Client, Running, serving


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving("en-de", "fr-en", pivot="en", guard="warn") as running:
        yield running


@pytest.fixture
def client(running: Running) -> Client:
    return running.client


def test_flags_and_confidence(client: Client) -> None:
    assert client.translate("one\ntwo 2").body == {
        "translatedText": "ONE\nTWO 2",
        "flags": ["numbers"],
        "confidence": 0.25,
    }
    several = client.translate(["one", "", "2"]).body
    assert several["flags"] == [[], [], ["numbers"]]
    assert several["confidence"] == [0.75, None, 0.25]
    assert client.translate("", guard="warn").body == {"translatedText": "", "flags": []}
    assert client.translate("2", "en", "en").body == {"translatedText": "2", "flags": []}
    html = client.translate("<p>one</p><p>2</p>", format="html").body
    assert (html["flags"], html["confidence"]) == (["numbers"], 0.25)


def test_a_request_chooses_another_mode(client: Client) -> None:
    assert client.translate("One. Two 2.", guard="blank").body == {
        "translatedText": "ONE. ",
        "flags": ["numbers"],
        "confidence": 0.25,
    }
    wrong = client.translate("a", guard="maybe")
    assert wrong.status == 400
    assert wrong.body["error"].startswith("guard: Input should be 'warn', 'retry' or 'blank'")
    with serving("en-de") as unguarded:
        assert unguarded.client.translate("2").body == {"translatedText": "2"}
        assert unguarded.client.translate("2", guard="warn").body["flags"] == ["numbers"]


def test_a_flag_of_the_first_of_two_steps_is_kept(client: Client) -> None:
    answer = client.translate("un 1", "fr", "de", guard="blank").body
    assert answer == {"translatedText": "", "flags": ["numbers"], "confidence": 0.25}


def test_segments_and_events_have_their_own_flags(client: Client) -> None:
    segments = client.translate("One. Two 2.", alignment=True).body["segments"]
    assert [each["flags"] for each in segments] == [[], ["numbers"]]
    assert [each["confidence"] for each in segments] == [0.75, 0.25]
    asked = {"q": "One. Two 2.", "source": "en", "target": "de"}
    events = client.ask("/translate_stream", asked).body.decode().strip().split("\n\n")
    first, second = (json.loads(event.removeprefix("data: ")) for event in events[:2])
    assert first == {"translatedText": "ONE.", "flags": [], "confidence": 0.75}
    assert second == {"translatedText": " TWO 2.", "flags": ["numbers"], "confidence": 0.25}


def test_metrics_count_segments_and_flags() -> None:
    with serving("en-de", guard="warn") as running:
        running.client.translate(["one", "2", "3"])
        figures = running.client.ask("/metrics").body.decode()
    found = dict(re.findall(r"^(nmt_\w+_segments_total|nmt_flags_total\S+) (\S+)$", figures, re.M))
    assert found == {
        "nmt_checked_segments_total": "3.0",
        "nmt_flagged_segments_total": "2.0",
        'nmt_flags_total{flag="numbers"}': "2.0",
    }


def test_the_models_of_a_worker_are_guarded(trained_run: Path) -> None:
    models = Models(Settings([trained_run], guard="warn"))
    hop = models.served[0].hops[LanguagePair("en", "de")]
    lines = [Line("ran ran ran home www.a.org")]
    [plain], [checked], [blank] = (
        models.run(Task(hop, guard=mode), lines) for mode in (None, "warn", "blank")
    )
    assert isinstance(plain, Found)
    assert isinstance(checked, Found)
    assert isinstance(blank, Found)
    assert not plain.flags
    assert "addresses" in checked.flags
    assert plain.texts == checked.texts
    assert blank.texts == [""]
