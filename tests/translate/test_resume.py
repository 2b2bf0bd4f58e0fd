"""Translation into a file: what is left when it stops, and how it goes on."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nmt import files
from nmt.errors import ConfigError, DataError, FileError, Interrupted, NmtError
from nmt.runs.model import TrainedModel, load_model
from nmt.search.sample import Sampling
from nmt.translate import resume as bulk
from nmt.translate.engine import TranslateOptions
from nmt.translate.formats import JsonLayout, Layout, TextLayout
from nmt.translate.resume import finished, translate_file
from nmt.translate.translator import Translator

OPTIONS: dict[str, Any] = {"beam_size": 2, "batch_tokens": 60}


@pytest.fixture(scope="module")
def run(trained_run: Path) -> TrainedModel:
    return load_model(trained_run)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of some ten lines, in batches of several: other batches would round otherwise."""
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)


@pytest.fixture
def text(lines: list[str]) -> list[str]:
    """Some windows, with blank lines and such that come again."""
    return [*lines[:20], "", *lines[5:10], "  ", *lines[20:], *lines[:3]]


class Job:
    """A translation into a file that can be stopped before any of its batches."""

    def __init__(self, model: TrainedModel, path: Path) -> None:
        self.model, self.path = model, path
        self.said: list[str] = []

    def run(
        self,
        lines: list[str],
        layout: Layout | None = None,
        *,
        resume: bool = True,
        stop: Callable[[], None] | None = None,
        after: int = 3,
        **options: Any,
    ) -> bytes:
        """Translate, and call `stop` after so many batches."""
        batches = 0

        def poll() -> None:
            nonlocal batches
            batches += 1
            if stop and batches > after:
                stop()

        translator = Translator([self.model], TranslateOptions(**OPTIONS | options), poll=poll)
        translate_file(
            translator,
            lines,
            layout or TextLayout(),
            self.path,
            resume=resume,
            say=self.said.append,
        )
        return self.path.read_bytes()

    def interrupt(self, lines: list[str], layout: Layout | None = None, **options: Any) -> int:
        """Interrupt a new translation; return the number of lines that are done."""
        with pytest.raises(KeyboardInterrupt):
            self.run(lines, layout, resume=False, stop=interrupt, **options)
        return int(self.journal()["lines"])

    def journal(self) -> dict[str, Any]:
        journal: dict[str, Any] = json.loads(self.beside("journal").read_text("utf-8"))
        return journal

    def beside(self, name: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{name}")

    def files(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.iterdir())


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def job(run: TrainedModel, tmp_path: Path) -> Job:
    return Job(run, tmp_path / "out")


@pytest.fixture
def as_json(text: list[str]) -> list[str]:
    return [json.dumps({"src": line, "id": [n]}) if line else "" for n, line in enumerate(text)]


LAYOUTS = [
    TextLayout(),
    TextLayout(scores=True),
    TextLayout(nbest=True),
    JsonLayout("src"),
    JsonLayout("src", scores=True),
    JsonLayout("src", nbest=True, scores=True),
    JsonLayout("src", nbest=True, short=True),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=repr)
def test_an_interruption_changes_nothing(
    job: Job, text: list[str], as_json: list[str], layout: Layout
) -> None:
    lines = text if isinstance(layout, TextLayout) else as_json
    nbest = 2 if layout in (LAYOUTS[2], LAYOUTS[5], LAYOUTS[6]) else 1
    whole = job.run(lines, layout, resume=False, nbest=nbest)
    assert job.files() == ["out"]
    job.path.unlink()
    done = job.interrupt(lines, layout, nbest=nbest)
    assert 0 < done < len(lines) / 2
    assert job.files() == ["out.journal", "out.partial"]
    assert whole.startswith(job.beside("partial").read_bytes())
    # Once more, further on, and then to the end.
    with pytest.raises(KeyboardInterrupt):
        job.run(lines, layout, stop=interrupt, nbest=nbest)
    assert job.journal()["lines"] > done
    assert job.run(lines, layout, nbest=nbest) == whole
    assert job.files() == ["out"]


def test_samples_go_on_by_line_number(job: Job, text: list[str]) -> None:
    sampling = Sampling(seed=5)
    whole = job.run(text, TextLayout(scores=True), resume=False, sampling=sampling)
    job.interrupt(text, TextLayout(scores=True), sampling=sampling)
    assert job.run(text, TextLayout(scores=True), sampling=sampling) == whole
    job.interrupt(text, sampling=sampling)
    with pytest.raises(ConfigError, match="sampling"):
        job.run(text, sampling=Sampling(seed=6))


def test_what_is_translated_already_is_not_searched(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job.interrupt(text, after=5)
    searched: list[int] = []
    search = Translator._search

    def counting(self: Translator, parts: list[Any]) -> Any:
        searched.extend(part.line for part in parts)
        return search(self, parts)

    monkeypatch.setattr(Translator, "_search", counting)
    done = job.journal()["lines"]
    job.run(text)
    assert min(searched) > done
    # The lines that come again at the end are remembered from before the interruption.
    assert done >= 10
    assert max(searched) <= len(text) - 3


def test_compressed(job: Job, text: list[str]) -> None:
    plain = job.run(text, resume=False)
    zipped = Job(job.model, job.path.with_name("out.gz"))
    whole = zipped.run(text, resume=False)
    assert gzip.decompress(whole) == plain
    zipped.interrupt(text)
    assert plain.startswith(zipped.beside("partial").read_bytes())
    assert zipped.run(text) == whole
    assert zipped.files() == ["out", "out.gz"]


@pytest.fixture
def _one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1000)


@pytest.mark.usefixtures("_one_window")
@pytest.mark.parametrize("layout", [TextLayout(scores=True), JsonLayout("src", True, True)])
def test_a_window_in_many_lives(
    job: Job, text: list[str], as_json: list[str], layout: Layout
) -> None:
    """Each translates one batch before it dies, and no batch is translated twice."""
    lines = text if isinstance(layout, TextLayout) else as_json
    nbest = 2 if isinstance(layout, JsonLayout) else 1
    whole = job.run(lines, layout, resume=False, nbest=nbest)
    job.path.unlink()
    found = []
    while not job.path.exists():
        with contextlib.suppress(KeyboardInterrupt):
            job.run(lines, layout, stop=interrupt, after=1, nbest=nbest)
            break
        assert job.journal()["lines"] == 0
        found.append(len(job.journal()["searched"]))
    assert found == list(range(1, len(found) + 1))
    assert len(found) > 5
    assert job.path.read_bytes() == whole
    assert job.files() == ["out"]


@pytest.mark.usefixtures("_one_window")
def test_lines_of_a_window_may_change(job: Job, text: list[str]) -> None:
    other = [line.replace("cat", "dog") for line in text]
    assert other != text
    whole = job.run(other, resume=False)
    assert job.interrupt(text, after=5) == 0
    assert job.run(other) == whole


@pytest.mark.usefixtures("_one_window")
def test_a_window_is_saved_once_a_second(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, saved = 0.0, []
    write = bulk._Output._write_journal

    def counting(output: bulk._Output) -> None:
        saved.append(len(output.journal.searched))
        write(output)

    def tick() -> None:
        nonlocal now
        now += 0.25

    monkeypatch.setattr(bulk._Output, "_write_journal", counting)
    monkeypatch.setattr(bulk, "time", SimpleNamespace(monotonic=lambda: now))
    job.run(text, resume=False, stop=tick, after=0)
    assert saved[:4] == [0, 1, 5, 9]


@pytest.mark.parametrize("name", ["out", "out.gz"])
def test_a_disk_that_is_full_at_the_end(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    job.path = job.path.with_name(name)
    whole = job.run(text, resume=False)
    job.path.unlink()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    rename = Path.replace

    def no_rename(path: Path, target: Path) -> Path:
        if path.suffix == ".partial":
            full()
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", full)
        patch.setattr(Path, "replace", no_rename)
        with pytest.raises(FileError, match="No space"):
            job.run(text, resume=False)
    assert job.said[-1] == (
        f"{job.path}: all {len(text)} lines are translated and kept: the same command with "
        "--resume does the rest"
    )
    assert job.run(text) == whole


def test_a_journal_that_cannot_be_written(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said to be kept is what is on the disk."""
    write, lines = files.write_text, []

    def full(path: Path, content: str) -> None:
        lines.append(json.loads(content)["lines"])
        if len(set(lines)) > 2:
            raise FileError("no space")
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_text", full)
        with pytest.raises(FileError, match="no space"):
            job.run(text, resume=False)
    assert f"up to line {job.journal()['lines']}" in job.said[0]
    assert job.journal()["lines"] < lines[-1]
    job.run(text)


def test_what_the_user_is_told(job: Job, text: list[str]) -> None:
    done = job.interrupt(text, after=4)
    after = sum(map(len, job.journal()["searched"].values()))
    assert done > 0
    assert after > 0
    assert job.said == [
        f"{job.path}: what is translated, up to line {done} and {after} after it, is kept: "
        "the same command with --resume goes on"
    ]
    job.said.clear()
    job.run(text)
    assert job.said == [f"{job.path}: going on after line {done}"]
    job.said.clear()
    job.path.unlink()
    job.run(text)
    assert job.said == [f"{job.path}: nothing to go on with: starting with the first line"]


def test_without_resume_it_starts_anew(job: Job, text: list[str]) -> None:
    job.interrupt(text)
    other = text[::-1]
    assert job.run(other, resume=False, beam_size=1) != b""
    assert job.said[1:] == []
    assert len(job.path.read_bytes().split(b"\n")) == len(text) + 1
    assert job.files() == ["out"]


def test_the_old_output_stays_until_the_new_one_is_whole(job: Job, text: list[str]) -> None:
    job.path.write_bytes(b"old")
    job.interrupt(text)
    assert job.path.read_bytes() == b"old"
    assert not finished(job.path)
    job.run(text)
    assert job.path.read_bytes() != b"old"
    assert finished(job.path)


def test_killed_after_the_output_has_its_name(job: Job, text: list[str]) -> None:
    job.interrupt(text)
    job.beside("partial").rename(job.path)
    assert finished(job.path)
    assert job.files() == ["out"]


def test_nothing_is_left_where_nothing_was_translated(job: Job, text: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        job.run(text, resume=False, stop=interrupt, after=0)
    assert job.files() == []
    assert job.said == []


def test_what_follows_the_journal_is_cut_off(job: Job, text: list[str]) -> None:
    whole = job.run(text, resume=False)
    job.interrupt(text)
    with open(job.beside("partial"), "ab") as file:
        file.write(b"half a li")
    assert job.run(text) == whole


def test_input_that_grows(job: Job, text: list[str]) -> None:
    """Killed at the end of the input, which is longer the next time."""
    job.run(text, resume=False)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk._Output, "finish", full)
        with pytest.raises(OSError, match="no room"):
            job.run(text, resume=False)
    assert job.journal()["lines"] == len(text)
    longer = [*text, *text[:5][::-1], "the end."]
    expected = len(longer)
    assert len(job.run(longer).split(b"\n")) == expected + 1


# What is refused


@pytest.mark.parametrize(
    ("options", "layout", "names"),
    [
        ({"beam_size": 3}, TextLayout(), "beam_size"),
        ({"batch_tokens": 61, "max_extra_len": 9}, TextLayout(), "max_extra_len, batch_tokens"),
        ({}, TextLayout(scores=True), "output"),
        ({}, JsonLayout("src"), "output"),
        ({"max_input_length": 7}, TextLayout(), "max_input, max_input_length"),
    ],
)
def test_other_options(
    job: Job, text: list[str], options: dict[str, Any], layout: Layout, names: str
) -> None:
    job.interrupt(text)
    before = job.beside("partial").read_bytes(), job.journal()
    with pytest.raises(ConfigError, match=rf"out\.journal: .*\({names}\): .*--resume"):
        job.run(text, layout, **options)
    assert (job.beside("partial").read_bytes(), job.journal()) == before


def test_another_model(job: Job, text: list[str], run: TrainedModel, tmp_path: Path) -> None:
    job.interrupt(text)
    (tmp_path / "manifest.json").write_bytes(b"another")
    job.model = TrainedModel(run.config, run.tokenizers, run.network, tmp_path)
    with pytest.raises(ConfigError, match="models"):
        job.run(text)


def test_another_dtype(job: Job, text: list[str], trained_run: Path) -> None:
    job.interrupt(text)
    job.model = load_model(trained_run, dtype=torch.bfloat16)
    with pytest.raises(ConfigError, match="dtype"):
        job.run(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: ["new", *lines],
        lambda lines: [lines[0] + " ", *lines[1:]],
        lambda lines: lines[:3],
        lambda lines: [],
    ],
    ids=["line added", "line changed", "cut short", "empty"],
)
def test_other_input(job: Job, text: list[str], change: Callable[[list[str]], list[str]]) -> None:
    job.interrupt(text)
    before = job.beside("partial").read_bytes(), job.journal()
    job.said.clear()
    with pytest.raises(DataError, match=r"the input has changed: .*--resume"):
        job.run(change(text))
    assert (job.beside("partial").read_bytes(), job.journal()) == before
    assert len(job.said) == 1
    # Lines that are not translated yet may change.
    assert job.run([*text[:-1], "the end."]).count(b"\n") == len(text)


@pytest.mark.parametrize("harm", [lambda data: data[:-5], lambda data: data.swapcase()])
def test_partial_output_that_was_changed(
    job: Job, text: list[str], harm: Callable[[bytes], bytes]
) -> None:
    job.interrupt(text)
    partial = job.beside("partial")
    partial.write_bytes(harm(partial.read_bytes()))
    with pytest.raises(FileError, match=r"out\.partial: .*changed"):
        job.run(text)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"{}", b'{"job": {}, "lines": -1}', b'{"job": {}, "size": "x"}'],
)
def test_broken_journals(job: Job, text: list[str], content: bytes) -> None:
    job.interrupt(text)
    job.beside("journal").write_bytes(content)
    with pytest.raises(FileError, match=r"out\.journal: .*--resume"):
        job.run(text)
    job.run(text, resume=False)


def test_two_at_once(job: Job, text: list[str]) -> None:
    with open(job.beside("partial"), "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FileError, match="another process"):
            job.run(text, resume=False)
    job.run(text, resume=False)


@pytest.mark.parametrize("end", ["partial", "journal"])
@pytest.mark.parametrize("resume", [True, False])
def test_links_lead_no_writing_elsewhere(
    job: Job, text: list[str], tmp_path: Path, end: str, resume: bool
) -> None:
    (tmp_path / "victim").write_text("precious")
    job.beside(end).symlink_to("victim")
    if end == "partial" or resume:
        with pytest.raises(FileError, match=rf"out\.{end}: "):
            job.run(text, resume=resume)
    else:  # the journal is replaced
        job.run(text, resume=resume)
    assert (tmp_path / "victim").read_text() == "precious"


def test_an_output_that_is_a_link(job: Job, text: list[str], tmp_path: Path) -> None:
    whole = job.run(text, resume=False)
    job.path.rename(tmp_path / "target")
    job.path.symlink_to("target")
    with pytest.raises(KeyboardInterrupt):
        job.run(text[::-1], resume=False, stop=interrupt)
    assert job.files() == ["out", "target", "target.journal", "target.partial"]
    assert job.run(text, resume=False) == whole
    assert job.path.is_symlink()
    assert job.files() == ["out", "target"]


# How it is stopped


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_terminated(job: Job, text: list[str], number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        job.run(text, resume=False, stop=lambda: os.kill(os.getpid(), number))
    assert caught.value.exit_code == code
    assert "--resume goes on" in job.said[0]
    assert signal.getsignal(number) is before


def test_a_full_disk(job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = job.run(text, resume=False)
    calls, fsync = 0, os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            NmtError, match=r"out(\.journal)?: cannot be written: No space"
        ) as caught:
            job.run(text, resume=False)
    assert caught.value.exit_code == 4
    assert "--resume goes on" in job.said[0]
    assert job.run(text) == whole
