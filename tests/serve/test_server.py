"""`nmt serve` with real models and processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

import nmt
from command import run_nmt, start_nmt
from nmt.config.schema import Config
from nmt.serve.models import hops_of
from nmt.serve.tasks import Hop

from .harness import Client, wait_until


class Process:
    """`nmt serve` in another process."""

    def __init__(self, *arguments: object) -> None:
        options = {"stdin": subprocess.DEVNULL, "start_new_session": True}
        self.process = start_nmt("serve", "--port", 0, *arguments, **options)
        line = self.process.stderr.readline().decode()
        address = re.search(r"on http://127\.0\.0\.1:(\d+)$", line)
        assert address, line + self.process.stderr.read().decode()
        self.line, self.client = line, Client(int(address[1]))

    def workers(self) -> list[int]:
        """Return the ids of the processes that translate."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [child for each in threads for child in each.read_text().split()]
        return [
            int(child)
            for child in children
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to all processes, as a terminal does, and return the exit code."""
        os.killpg(self.process.pid, number)
        self.process.communicate(timeout=60)
        return int(self.process.returncode)


def waiting(server: Process) -> float:
    """Return the number of lines in the queue."""
    figures = server.client.ask("/metrics").body.decode()
    found = re.search(r"^nmt_waiting_lines (\S+)$", figures, re.MULTILINE)
    assert found
    return float(found[1])


@pytest.fixture(scope="module")
def server(trained_run: Path) -> Iterator[Process]:
    process = Process(trained_run, "--workers", 2, "--char-limit", 1_000_000)
    yield process
    assert process.stop() == 0


def test_a_server_translates_as_the_library(server: Process, trained_run: Path) -> None:
    assert server.line.startswith("serving en-de on ")
    lines = ["the cat sat on a mat.", "über home.", "naïve dog ran"]
    expected = [each.text for each in nmt.load(trained_run).translate(lines)]
    assert server.client.translate(lines).body["translatedText"] == expected


@pytest.mark.parametrize(
    ("tags", "hops"),
    [
        ("none", {"en-de": Hop(3)}),
        ("target", {"en-de": Hop(3, None, "de"), "fr-en": Hop(3, None, "en")}),
        ("both", {"en-de": Hop(3, "en", "de"), "fr-en": Hop(3, "fr", "en")}),
    ],
)
def test_what_a_model_is_told(tags: str, hops: dict[str, Hop]) -> None:
    corpora = [{"src": "a", "tgt": "b"}]
    corpora += [{"src": "a", "tgt": "b", "src_lang": "fr", "tgt_lang": "en"}] * 2
    data = {"src_lang": "en", "tgt_lang": "de", "train": corpora, "tags": tags}
    found = hops_of(3, Config.model_validate({"data": data}))
    assert {str(pair): hop for pair, hop in found.items()} == hops


def test_what_the_models_add(server: Process) -> None:
    line = "the cat sat on a mat."
    answer = server.client.translate(line, alternatives=3, alignment=True).body
    assert len(answer["alternatives"]) == 3
    [segment] = answer["segments"]
    assert segment["tgt"] == answer["translatedText"]
    for (src_start, src_end), (tgt_start, tgt_end) in segment["alignment"]:
        assert 0 <= src_start < src_end <= len(line)
        assert segment["tgt"][tgt_start:tgt_end].strip()
    asked = {"q": line, "source": "en", "target": "de", "prefix": "THE "}
    words = server.client.ask("/alternatives", asked).body["alternatives"]
    assert words[0]["text"].startswith(f"THE {words[0]['word']}")
    assert words[0]["start"] == 4
    required = server.client.translate(line, glossary=[["cat", "NAÏVE"]]).body
    assert "NAÏVE" in required["translatedText"]
    unknown = server.client.translate(line, glossary=[["cat", "漢字"]])
    assert unknown.status == 400
    assert "漢字" in unknown.body["error"]


def test_a_published_client(server: Process) -> None:
    published = pytest.importorskip("libretranslatepy").LibreTranslateAPI(server.client.url)
    expected = server.client.translate("the cat.").body["translatedText"]
    assert published.translate("the cat.", "en", "de") == expected
    assert published.languages()[0]["code"] == "en"
    assert published.detect("This is an old house.")[0].keys() == {"confidence", "language"}


def test_health_during_long_work_and_a_worker_that_is_killed(server: Process) -> None:
    answers: list[Any] = []
    lines = [f"the cat sat on a mat {number}." for number in range(1500)]
    expected = server.client.translate(lines[:2]).body["translatedText"]
    request = threading.Thread(target=lambda: answers.append(server.client.translate(lines)))
    request.start()
    wait_until(lambda: waiting(server) > 0)
    assert server.client.ask("/health").status == 200
    killed = server.workers()
    assert len(killed) == 2
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    assert server.client.ask("/health").status == 200
    request.join(120)
    assert answers[0].status == 200
    assert len(answers[0].body["translatedText"]) == 1500
    assert server.client.translate(lines[:2]).body["translatedText"] == expected
    wait_until(lambda: len({*server.workers()} - {*killed}) == 2)
    assert b"nmt_worker_deaths_total 2.0" in server.client.ask("/metrics").body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(trained_run: Path, number: int) -> None:
    server = Process(trained_run)
    [worker] = server.workers()
    answers: list[Any] = []
    lines = ["the cat sat on a mat."] * 500
    request = threading.Thread(target=lambda: answers.append(server.client.translate(lines)))
    request.start()
    wait_until(lambda: waiting(server) > 0)
    assert server.stop(number) == 0
    request.join(60)
    assert len(answers[0].body["translatedText"]) == 500
    wait_until(lambda: not Path(f"/proc/{worker}").exists())


def test_check(trained_run: Path, tmp_path: Path) -> None:
    done = run_nmt("serve", trained_run, "--check")
    assert done.exit_code == 0
    assert re.fullmatch(rf"{trained_run}: en-de: Hello! → .*\n", done.stdout)
    missing = run_nmt("serve", trained_run, tmp_path / "missing", "--check")
    assert missing.exit_code == 4
    assert "missing" in missing.stderr


def test_a_model_that_cannot_be_loaded_ends_the_start(tmp_path: Path) -> None:
    done = run_nmt("serve", tmp_path / "missing", "--port", 0)
    assert done.exit_code == 4
    assert "missing" in done.stderr
