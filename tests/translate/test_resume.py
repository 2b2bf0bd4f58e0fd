"""Translation into a file: interruption and resuming."""

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
from nmt.config.search import SearchOptions
from nmt.errors import ConfigError, DataError, FileError, Interrupted, NmtError
from nmt.runs.model import TrainedModel, load_model
from nmt.translate import partial_output
from nmt.translate.formats import JsonLayout, Layout, TextLayout, prefixed_lines
from nmt.translate.part_search import PartSearch
from nmt.translate.partial_output import is_finished
from nmt.translate.parts import Part
from nmt.translate.resume import translate_file
from nmt.translate.torch_engine import Networks
from nmt.translate.translator import Translator

OPTIONS: dict[str, Any] = {"beam_size": 2, "batch_tokens": 60}


@pytest.fixture(scope="module")
def run(trained_run: Path) -> TrainedModel:
    return load_model(trained_run)


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use windows of about ten lines in several batches; other batches would round differently."""
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)


@pytest.fixture
def text(lines: list[str]) -> list[str]:
    """Return several windows of lines, some of them blank or repeated."""
    return [*lines[:20], "", *lines[5:10], "  ", *lines[20:], *lines[:3]]


class Job:
    """A translation into a file that can be stopped before any batch."""

    def __init__(self, model: TrainedModel, path: Path) -> None:
        self.model, self.path = model, path
        self.logged: list[str] = []

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
        """Translate, and call `stop` after `after` batches."""
        batches = 0

        def poll() -> None:
            nonlocal batches
            batches += 1
            if stop and batches > after:
                stop()

        translator = Translator(
            Networks([self.model]), SearchOptions(**OPTIONS | options), poll=poll
        )
        translate_file(
            translator,
            lines,
            layout or TextLayout(),
            self.path,
            resume=resume,
            log=self.logged.append,
        )
        return self.path.read_bytes()

    def interrupt(self, lines: list[str], layout: Layout | None = None, **options: Any) -> int:
        """Interrupt a new translation; return the number of lines translated."""
        with pytest.raises(KeyboardInterrupt):
            self.run(lines, layout, resume=False, stop=interrupt, **options)
        return int(self.journal()["lines"])

    def journal(self) -> dict[str, Any]:
        journal: dict[str, Any] = json.loads(self.sibling("journal").read_text("utf-8"))
        return journal

    def sibling(self, name: str) -> Path:
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
def test_resumed_output_equals_uninterrupted_output(
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
    assert whole.startswith(job.sibling("partial").read_bytes())
    # Interrupt it again later, then finish.
    with pytest.raises(KeyboardInterrupt):
        job.run(lines, layout, stop=interrupt, nbest=nbest)
    assert job.journal()["lines"] > done
    assert job.run(lines, layout, nbest=nbest) == whole
    assert job.files() == ["out"]


def test_prefixes_belong_to_the_input(job: Job, text: list[str]) -> None:
    layout = TextLayout(prefixes=True)
    prefixes = [["", "CAT", "DOG RAN"][number % 3] for number in range(len(text))]
    lines = list(prefixed_lines(text, prefixes))
    expected = job.run(lines, layout, resume=False)
    for row, line, prefix in zip(expected.decode().split("\n"), text, prefixes, strict=False):
        assert row.startswith(prefix) or not line.strip()
    done = job.interrupt(lines, layout)
    assert 0 < done < len(lines)
    with pytest.raises(DataError, match="the input has changed"):
        job.run(list(prefixed_lines(text, ["HOME", *prefixes[1:]])), layout)
    assert job.run(lines, layout) == expected


@pytest.mark.parametrize(
    "mbr",
    [{"mbr": "bleu", "nbest": 2}, {"mbr": "chrf", "mbr_candidates": 4, "temperature": 1.0}],
    ids=str,
)
def test_resumed_mbr_equals_uninterrupted_mbr(
    job: Job, as_json: list[str], mbr: dict[str, Any]
) -> None:
    layout = JsonLayout("src", nbest="nbest" in mbr, scores=True, utility=True)
    whole = job.run(as_json, layout, resume=False, **mbr)
    done = job.interrupt(as_json, layout, after=10, **mbr)  # with samples, batches are smaller
    assert 0 < done < len(as_json)
    assert job.run(as_json, layout, **mbr) == whole
    first = json.loads(whole.split(b"\n")[0])
    assert 0 < first["expected_utility"] <= 100


def test_resumed_samples_equal_uninterrupted_samples(job: Job, text: list[str]) -> None:
    sampling = {"temperature": 1.0, "seed": 5}
    whole = job.run(text, TextLayout(scores=True), resume=False, **sampling)
    job.interrupt(text, TextLayout(scores=True), **sampling)
    assert job.run(text, TextLayout(scores=True), **sampling) == whole
    job.interrupt(text, **sampling)
    with pytest.raises(ConfigError, match="seed"):
        job.run(text, temperature=1.0, seed=6)


def test_translated_lines_are_not_searched_again(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job.interrupt(text, after=5)
    searched: list[int] = []
    search = PartSearch._search_fitting

    def counting(self: PartSearch, parts: list[Part]) -> Any:
        searched.extend(part.line for part in parts)
        return search(self, parts)

    monkeypatch.setattr(PartSearch, "_search_fitting", counting)
    done = job.journal()["lines"]
    job.run(text)
    assert min(searched) > done
    # The repeated lines at the end were translated before the interruption.
    assert done >= 10
    assert max(searched) <= len(text) - 3


def test_compressed_output(job: Job, text: list[str]) -> None:
    plain = job.run(text, resume=False)
    compressed = Job(job.model, job.path.with_name("out.gz"))
    whole = compressed.run(text, resume=False)
    assert gzip.decompress(whole) == plain
    compressed.interrupt(text)
    assert plain.startswith(compressed.sibling("partial").read_bytes())
    assert compressed.run(text) == whole
    assert compressed.files() == ["out", "out.gz"]


@pytest.fixture
def _one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1000)


@pytest.mark.usefixtures("_one_window")
@pytest.mark.parametrize("layout", [TextLayout(scores=True), JsonLayout("src", True, True)])
def test_a_window_is_resumed_after_each_batch(
    job: Job, text: list[str], as_json: list[str], layout: Layout
) -> None:
    """Each run translates one batch and is interrupted; no batch is translated twice."""
    lines = text if isinstance(layout, TextLayout) else as_json
    nbest = 2 if isinstance(layout, JsonLayout) else 1
    whole = job.run(lines, layout, resume=False, nbest=nbest)
    job.path.unlink()
    num_batches = []
    while not job.path.exists():
        with contextlib.suppress(KeyboardInterrupt):
            job.run(lines, layout, stop=interrupt, after=1, nbest=nbest)
            break
        assert job.journal()["lines"] == 0
        num_batches.append(len(job.journal()["searched"]))
    assert num_batches == list(range(1, len(num_batches) + 1))
    assert len(num_batches) > 5
    assert job.path.read_bytes() == whole
    assert job.files() == ["out"]


@pytest.mark.usefixtures("_one_window")
def test_lines_of_an_unfinished_window_may_change(job: Job, text: list[str]) -> None:
    other = [line.replace("cat", "dog") for line in text]
    assert other != text
    whole = job.run(other, resume=False)
    assert job.interrupt(text, after=5) == 0
    assert job.run(other) == whole


@pytest.mark.usefixtures("_one_window")
def test_the_journal_is_written_once_per_second(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, saved = 0.0, []
    write = partial_output.PartialOutput._write_journal

    def counting(partial: partial_output.PartialOutput) -> None:
        saved.append(len(partial.journal.searched))
        write(partial)

    def tick() -> None:
        nonlocal now
        now += 0.25

    monkeypatch.setattr(partial_output.PartialOutput, "_write_journal", counting)
    monkeypatch.setattr(partial_output, "time", SimpleNamespace(monotonic=lambda: now))
    job.run(text, resume=False, stop=tick, after=0)
    assert saved[:4] == [0, 1, 5, 9]


@pytest.mark.parametrize("name", ["out", "out.gz"])
def test_a_full_disk_at_the_end_keeps_the_translations(
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
    assert job.logged[-1] == (
        f"{job.path}: all {len(text)} translations are kept: "
        "repeat the command with `resume` to finish"
    )
    assert job.run(text) == whole


def test_a_failed_journal_write_is_not_reported_as_kept(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message counts the lines on disk only."""
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
    assert f"up to line {job.journal()['lines']}" in job.logged[0]
    assert job.journal()["lines"] < lines[-1]
    job.run(text)


def test_an_interruption_right_after_a_journal_write_reports_all_lines(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, interrupted = files.write_text, []

    def write_and_interrupt(path: Path, content: str) -> None:
        write(path, content)
        if json.loads(content)["lines"] and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_text", write_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        job.run(text, resume=False)
    assert job.journal()["lines"] > 0
    assert f"up to line {job.journal()['lines']} are kept" in job.logged[0]


def test_log_messages(job: Job, text: list[str]) -> None:
    done = job.interrupt(text, after=4)
    num_more = sum(map(len, job.journal()["searched"].values()))
    assert done > 0
    assert num_more > 0
    assert job.logged == [
        f"{job.path}: the translations up to line {done} and {num_more} more are kept: "
        "repeat the command with `resume` to continue"
    ]
    job.logged.clear()
    job.run(text)
    assert job.logged == [f"{job.path}: resuming after line {done}"]
    job.logged.clear()
    job.path.unlink()
    job.run(text)
    assert job.logged == [f"{job.path}: nothing to resume: starting from the first line"]


def test_without_resume_it_starts_again(job: Job, text: list[str]) -> None:
    job.interrupt(text)
    other = text[::-1]
    assert job.run(other, resume=False, beam_size=1) != b""
    assert job.logged[1:] == []
    assert len(job.path.read_bytes().split(b"\n")) == len(text) + 1
    assert job.files() == ["out"]


def test_the_old_output_stays_until_the_new_one_is_complete(job: Job, text: list[str]) -> None:
    job.path.write_bytes(b"old")
    job.interrupt(text)
    assert job.path.read_bytes() == b"old"
    assert not is_finished(job.path)
    job.run(text)
    assert job.path.read_bytes() != b"old"
    assert is_finished(job.path)


def test_killed_after_the_output_got_its_final_name(job: Job, text: list[str]) -> None:
    job.interrupt(text)
    job.sibling("partial").rename(job.path)
    assert is_finished(job.path)
    assert job.files() == ["out"]


def test_no_files_are_left_if_no_line_was_translated(job: Job, text: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        job.run(text, resume=False, stop=interrupt, after=0)
    assert job.files() == []
    assert job.logged == []


def test_output_beyond_the_journal_is_truncated(job: Job, text: list[str]) -> None:
    whole = job.run(text, resume=False)
    job.interrupt(text)
    with open(job.sibling("partial"), "ab") as file:
        file.write(b"half a li")
    assert job.run(text) == whole


def test_input_that_grows(job: Job, text: list[str]) -> None:
    """The translation stops after the last line, and the input is longer on resuming."""
    job.run(text, resume=False)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partial_output.PartialOutput, "finish", full)
        with pytest.raises(OSError, match="no room"):
            job.run(text, resume=False)
    assert job.journal()["lines"] == len(text)
    longer = [*text, *text[:5][::-1], "the end."]
    expected = len(longer)
    assert len(job.run(longer).split(b"\n")) == expected + 1


# Refused attempts to resume


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
def test_other_options_are_refused(
    job: Job, text: list[str], options: dict[str, Any], layout: Layout, names: str
) -> None:
    job.interrupt(text)
    before = job.sibling("partial").read_bytes(), job.journal()
    with pytest.raises(ConfigError, match=rf"out\.journal: .*\({names}\): .*`resume`"):
        job.run(text, layout, **options)
    assert (job.sibling("partial").read_bytes(), job.journal()) == before


def test_another_model_is_refused(
    job: Job, text: list[str], run: TrainedModel, tmp_path: Path
) -> None:
    job.interrupt(text)
    (tmp_path / "manifest.json").write_bytes(b"another")
    job.model = TrainedModel(run.config, run.tokenizers, run.network, tmp_path)
    with pytest.raises(ConfigError, match="models"):
        job.run(text)


def test_another_dtype_is_refused(job: Job, text: list[str], trained_run: Path) -> None:
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
def test_changed_input_is_refused(
    job: Job, text: list[str], change: Callable[[list[str]], list[str]]
) -> None:
    job.interrupt(text)
    before = job.sibling("partial").read_bytes(), job.journal()
    job.logged.clear()
    with pytest.raises(DataError, match=r"the input has changed: .*`resume`"):
        job.run(change(text))
    assert (job.sibling("partial").read_bytes(), job.journal()) == before
    assert len(job.logged) == 1
    # Lines that have not been translated yet may change.
    assert job.run([*text[:-1], "the end."]).count(b"\n") == len(text)


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: data.swapcase()])
def test_changed_partial_output_is_refused(
    job: Job, text: list[str], damage: Callable[[bytes], bytes]
) -> None:
    job.interrupt(text)
    partial = job.sibling("partial")
    partial.write_bytes(damage(partial.read_bytes()))
    with pytest.raises(FileError, match=r"out\.partial: .*changed"):
        job.run(text)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"{}", b'{"job": {}, "lines": -1}', b'{"job": {}, "size": "x"}'],
)
def test_broken_journals_are_refused(job: Job, text: list[str], content: bytes) -> None:
    job.interrupt(text)
    job.sibling("journal").write_bytes(content)
    with pytest.raises(FileError, match=r"out\.journal: .*`resume`"):
        job.run(text)
    job.run(text, resume=False)


def test_two_processes_cannot_write_one_output(job: Job, text: list[str]) -> None:
    with open(job.sibling("partial"), "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FileError, match="another process"):
            job.run(text, resume=False)
    job.run(text, resume=False)


@pytest.mark.parametrize("end", ["partial", "journal"])
@pytest.mark.parametrize("resume", [True, False])
def test_links_are_not_followed(
    job: Job, text: list[str], tmp_path: Path, end: str, resume: bool
) -> None:
    (tmp_path / "victim").write_text("precious")
    job.sibling(end).symlink_to("victim")
    if end == "partial" or resume:
        with pytest.raises(FileError, match=rf"out\.{end}: "):
            job.run(text, resume=resume)
    else:  # the journal is replaced
        job.run(text, resume=resume)
    assert (tmp_path / "victim").read_text() == "precious"


def test_output_through_a_link(job: Job, text: list[str], tmp_path: Path) -> None:
    whole = job.run(text, resume=False)
    job.path.rename(tmp_path / "target")
    job.path.symlink_to("target")
    with pytest.raises(KeyboardInterrupt):
        job.run(text[::-1], resume=False, stop=interrupt)
    assert job.files() == ["out", "target", "target.journal", "target.partial"]
    assert job.run(text, resume=False) == whole
    assert job.path.is_symlink()
    assert job.files() == ["out", "target"]


# Interruptions


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_keep_the_translations(
    job: Job, text: list[str], number: signal.Signals, code: int
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        job.run(text, resume=False, stop=lambda: os.kill(os.getpid(), number))
    assert caught.value.exit_code == code
    assert "with `resume` to continue" in job.logged[0]
    assert signal.getsignal(number) is before


def test_a_full_disk_keeps_the_translations(
    job: Job, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert "with `resume` to continue" in job.logged[0]
    assert job.run(text) == whole
