"""`nmt translate`: formats, streams, files and errors."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from typer.testing import Result

from command import NMT, run_nmt, start_nmt
from nmt.data.tokenizer import Tokenizers

TEXT = "the cat sat.\n\nthe dog ran home on a mat.\n   \ncafé über naïve.\n"


def translate(run: Path, *arguments: str, text: str = TEXT, file: Path | None = None) -> Result:
    """Translate a file, by default a temporary one with the text."""
    with tempfile.NamedTemporaryFile() as temporary:
        temporary.write(text.encode("utf-8"))
        temporary.flush()
        return run_nmt("translate", run, file or temporary.name, "--threads", "1", *arguments)


def lines_of(result: Result) -> list[str]:
    assert result.exit_code == 0, result.stderr
    text = result.stdout_bytes.decode("utf-8")
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


@pytest.fixture
def best(trained_run: Path) -> list[str]:
    return lines_of(translate(trained_run))


def test_each_line_gives_one_line(trained_run: Path, best: list[str]) -> None:
    assert [bool(line) for line in best] == [True, False, True, False, True]
    assert len(set(best)) == 4
    # A missing final line feed, CRLF and a byte-order mark make no difference.
    assert lines_of(translate(trained_run, text=TEXT[:-1])) == best
    assert lines_of(translate(trained_run, text="\ufeff" + TEXT.replace("\n", "\r\n"))) == best
    assert lines_of(translate(trained_run, text="")) == []
    assert lines_of(translate(trained_run, text="\n")) == [""]


def test_plain_and_gzip_files(trained_run: Path, best: list[str], tmp_path: Path) -> None:
    (tmp_path / "in").write_text(TEXT, encoding="utf-8")
    (tmp_path / "in.gz").write_bytes(gzip.compress(TEXT.encode()))
    expected = "".join(line + "\n" for line in best).encode()
    for name in ("in", "in.gz"):
        result = translate(trained_run, "--output", str(tmp_path / "out"), file=tmp_path / name)
        assert (result.exit_code, result.stdout) == (0, "")
        assert (tmp_path / "out").read_bytes() == expected
    translate(trained_run, "--output", str(tmp_path / "out.gz"), file=tmp_path / "in")
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "in.gz", "out", "out.gz"]


def test_a_named_pipe_as_output_is_refused(trained_run: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    result = translate(trained_run, "--output", str(pipe))
    assert result.exit_code == 4
    assert f"{pipe}: not a file" in result.stderr
    assert pipe.is_fifo()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file to translate that has other names: a link, a hard link, another path."""
    path = tmp_path / "in"
    path.write_text(TEXT, encoding="utf-8")
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "hard").hardlink_to(path)
    (tmp_path / "folder").mkdir()
    return path


@pytest.mark.parametrize("output", ["in", "link", "hard", "folder/../in"])
@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_the_input_is_not_overwritten(
    trained_run: Path, source: Path, output: str, resume: tuple[str, ...]
) -> None:
    output = str(source.parent / output)
    result = translate(trained_run, "--output", output, *resume, file=source)
    assert result.exit_code == 2
    assert result.stderr == (
        f"nmt: {Path(output)}: the same file as {source}, which is an input; "
        "choose another output\n"
    )
    assert source.read_text("utf-8") == TEXT
    assert len(list(source.parent.iterdir())) == 4


def test_the_partial_output_and_journal_cannot_be_the_input(
    trained_run: Path, tmp_path: Path
) -> None:
    for end in ("partial", "journal"):
        source = tmp_path / f"out.{end}"
        source.write_text(TEXT, encoding="utf-8")
        result = translate(trained_run, "--output", str(tmp_path / "out"), file=source)
        assert result.exit_code == 2
        assert source.read_text("utf-8") == TEXT


def test_files_of_a_model_are_not_overwritten(trained_run: Path, source: Path) -> None:
    before = {path: path.read_bytes() for path in trained_run.rglob("*") if path.is_file()}
    weights = next(trained_run.glob("checkpoints/*/weights.safetensors"))
    (source.parent / "config").symlink_to(trained_run / "config.yaml")
    corpus = trained_run.parent / "train.src"
    for output in (trained_run / "metrics.jsonl", weights, source.parent / "config", corpus):
        result = translate(trained_run, "--output", str(output), file=source)
        assert result.exit_code == 2
        assert "which is an input" in result.stderr
    assert before == {path: path.read_bytes() for path in before}
    # Other files in a run directory may be written and overwritten.
    for _ in range(2):
        translate(trained_run, "--output", str(trained_run / "out"), file=source)
    assert (trained_run / "out").read_bytes().count(b"\n") == 5
    (trained_run / "out").unlink()


def test_a_redirected_stream_cannot_be_both_input_and_output(
    trained_run: Path, source: Path
) -> None:
    for line in ("nmt translate $1 --output $2 <$2", "nmt translate $1 $2 >>$2"):
        done = shell(line, trained_run, source)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "which is an input" in done.stderr
        assert source.read_text("utf-8") == TEXT


def test_an_endless_line_is_an_error(trained_run: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", 1) as file:
        file.write(b"the cat.\n")
        file.write(bytes(20_000_000))
    result = translate(trained_run, "--output", str(tmp_path / "out"), file=bomb)
    assert result.exit_code == 3
    assert f"{bomb}:2: a line of more than 10,000,000 bytes" in result.stderr


def test_a_dash_means_standard_output(
    trained_run: Path, best: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lines_of(translate(trained_run, "--output", "-")) == best
    assert translate(trained_run, "--output", "-", "--resume").exit_code == 2
    assert list(tmp_path.iterdir()) == []


ENGINE = "engine: CTranslate2 float32 on cpu\n"
"""The line about the engine that runs."""


def shell(line: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell script that may use the command `nmt` and the arguments $1, $2."""
    nmt = f'nmt() {{ "{NMT[0]}" -m nmt "$@"; }}\n'
    command = ["bash", "-c", nmt + line, "bash", *map(str, arguments)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_unwritable_standard_output_is_an_error(trained_run: Path) -> None:
    for line in ("echo the cat. | nmt translate $1 >/dev/full", "nmt config --schema >/dev/full"):
        done = shell(line, trained_run)
        assert done.returncode == 4
        assert done.stderr.endswith(
            "nmt: standard output: cannot be written: No space left on device\n"
        )


def test_closed_standard_streams(trained_run: Path) -> None:
    done = shell("nmt translate $1 <&-", trained_run)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ENGINE)
    done = shell("echo the cat. | nmt translate $1 >&-", trained_run)
    assert (done.returncode, done.stderr) == (4, "nmt: standard output: it is closed\n")
    done = shell("nmt translate nothing 2>&-", trained_run)
    assert (done.returncode, done.stdout) == (4, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--key", "x"], "--key names a key of JSON objects"),
        (["--seed", "3"], "--seed needs sampling"),
        (["--device", "meta"], "device 'meta': not available"),
    ],
)
def test_options_without_effect_are_refused(
    trained_run: Path, options: list[str], message: str
) -> None:
    result = translate(trained_run, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_failure_keeps_the_old_output(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"the cat.\n\xff\n")
    (tmp_path / "out").write_text("old output")
    result = translate(trained_run, "--output", str(tmp_path / "out"), file=tmp_path / "in")
    assert result.exit_code == 3
    assert "in:2:1" in result.stderr
    assert (tmp_path / "out").read_text() == "old output"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_resume_needs_a_file(trained_run: Path) -> None:
    result = translate(trained_run, "--resume")
    assert result.exit_code == 2
    assert "--output" in result.stderr


def test_resume_keeps_the_lines_translated_so_far(
    trained_run: Path, best: list[str], tmp_path: Path
) -> None:
    """The input is invalid after line 3; once it is corrected, only the rest is translated."""
    out, source = tmp_path / "out", tmp_path / "in"
    # Each line is a window: that is sixteen batches of one token, estimated as four characters.
    lines = [f"{line}{' ' * 64}" for line in TEXT.split("\n")[:-1]]
    source.write_bytes("\n".join(lines[:3]).encode() + b"\n\xff\n")
    arguments = ["--batch-tokens=1", "--output", str(out)]
    failed = translate(trained_run, *arguments, file=source)
    assert failed.exit_code == 3
    assert "up to line 3 are kept" in failed.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.journal", "out.partial"]
    corrected = "".join(line + "\n" for line in lines)
    other = translate(trained_run, *arguments, "--resume", "--scores", text=corrected)
    assert other.exit_code == 2
    done = translate(trained_run, *arguments, "--resume", text=corrected)
    assert done.exit_code == 0
    assert done.stderr == f"{ENGINE}{out}: resuming after line 3\n"
    assert out.read_text("utf-8").split("\n")[:-1] == best
    for checks in (["--require-terms"], ["--guard", "warn", "--guard-fails"]):
        checked = translate(trained_run, *arguments, "--resume", *checks, text=corrected)
        assert checked.exit_code == 2
        assert f"without a record of what {checks[-1]} would report" in checked.stderr
    again = translate(tmp_path / "no model", "--output", str(out), "--resume")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "already there" in again.stderr


def test_scores_and_nbest(trained_run: Path, best: list[str]) -> None:
    scored = [line.split("\t") for line in lines_of(translate(trained_run, "--scores"))]
    assert [text for _, text in scored] == best
    assert all(float(score) < 0 for score, text in scored if text)
    rows = [line.split("\t") for line in lines_of(translate(trained_run, "--nbest", "3"))]
    assert [int(number) for number, _, _ in rows] == [1, 1, 1, 2, 3, 3, 3, 4, 5, 5, 5]
    firsts = {number: (score, text) for number, score, text in reversed(rows)}
    assert [list(pair) for pair in firsts.values()][::-1] == scored


def test_jsonl(trained_run: Path, best: list[str]) -> None:
    texts = TEXT.split("\n")[:-1]
    records = [{"id": n, "text": text, "ü": {"x": [None]}} for n, text in enumerate(texts)]
    text = "".join(json.dumps(record) + "\n" for record in records) + "\n"
    out = lines_of(translate(trained_run, "--format", "jsonl", "--key", "text", text=text))
    assert out[-1] == ""
    assert [json.loads(line) for line in out[:-1]] == [
        record | {"translation": line} for record, line in zip(records, best, strict=True)
    ]
    more = translate(
        trained_run, "--format=jsonl", "--key=text", "--nbest=2", "--scores", text=text
    )
    record = json.loads(lines_of(more)[0])
    assert record["translation"] == record["nbest"][0]["translation"] == best[0]
    assert record["score"] == record["nbest"][0]["score"] >= record["nbest"][1]["score"]
    assert len(record["token_log_probs"]) > 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not valid JSON"),
        ("[" * 100_000, "line 2: not valid JSON"),
        ('{"source": "x"}', "line 2: not an object with a string under 'src'"),
        ('{"src": 3}', "line 2: not an object with a string under 'src'"),
        ('{"src": "\\ud800"}', "line 2: 'src': not valid text"),
        ('{"src": "x", "n": [NaN]}', "line 2: not valid JSON: NaN is not a finite number"),
        ('{"src": "x", "n": -Infinity}', "line 2: not valid JSON: -Infinity is not a finite"),
        ('{"src": "x", "n": {"m": 1e999}}', "line 2: not valid JSON: 1e999 is not a finite"),
    ],
)
def test_invalid_jsonl_is_an_error(trained_run: Path, line: str, message: str) -> None:
    result = translate(trained_run, "--format", "jsonl", text=f'{{"src": "the cat."}}\n{line}\n')
    assert result.exit_code == 3
    assert message in result.stderr


def test_line_feeds_in_json_strings_add_no_lines(trained_run: Path) -> None:
    record = {"src": "the cat\nsat.\u2028", "note": "two\nlines\u2028 \ud800"}
    [out] = lines_of(translate(trained_run, "--format=jsonl", text=json.dumps(record) + "\n"))
    assert json.loads(out)["note"] == record["note"]


def test_search_options(trained_run: Path, best: list[str]) -> None:
    # The defaults of the configuration, and another batch size.
    defaults = ["--beam-size=4", "--length-penalty=0.6", "--max-extra-len=50", "--batch-tokens=5"]
    assert lines_of(translate(trained_run, *defaults)) == best
    assert lines_of(translate(trained_run, "--ensemble", str(trained_run))) == best
    greedy = lines_of(translate(trained_run, "--beam-size=1", "--scores"))
    beam = lines_of(translate(trained_run, "--beam-size=8", "--scores"))
    assert greedy != beam
    long = lines_of(translate(trained_run, "--length-penalty=9"))
    assert sum(map(len, long)) > sum(map(len, best))
    [ids] = Tokenizers.load(trained_run / "tokenizer").src.encode(["the cat."])
    options = ["--format=jsonl", "--scores", "--nbest=4", "--max-extra-len=0"]
    [record] = lines_of(translate(trained_run, *options, text='{"src": "the cat."}\n'))
    lengths = [len(hypothesis["token_log_probs"]) for hypothesis in json.loads(record)["nbest"]]
    assert max(lengths) <= len(ids) + 1
    assert len(lines_of(translate(trained_run, "--compute=bfloat16"))) == len(best)
    renamed = translate(trained_run, "--dtype=float32")
    assert renamed.stderr.startswith("warning: --dtype is now called --compute\n")
    assert lines_of(renamed) == best


def test_sampling(trained_run: Path, best: list[str]) -> None:
    sample = ["--temperature=1.5", "--seed=7"]
    first = lines_of(translate(trained_run, *sample))
    assert first == lines_of(translate(trained_run, *sample, "--batch-tokens=1"))
    assert first != lines_of(translate(trained_run, "--temperature=1.5", "--seed=8"))
    greedy = lines_of(translate(trained_run, "--beam-size=1"))
    assert lines_of(translate(trained_run, "--top-k=1")) == greedy
    assert lines_of(translate(trained_run, "--top-p=0.000001")) == greedy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature=0"], "temperature"),
        (["--nbest=5"], "--beam-size"),
        (["--stop=first", "--top-k=3"], "sampling"),
        (["--beam-size=0"], "beam-size"),
        (["--device=gpu"], "'gpu'"),
        (["--compute=int3"], "compute"),
    ],
)
def test_options_out_of_range_exit_with_2(
    trained_run: Path, arguments: list[str], message: str
) -> None:
    result = translate(trained_run, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_missing_files_exit_with_4(trained_run: Path, tmp_path: Path) -> None:
    for result in (
        translate(tmp_path / "none"),
        translate(trained_run, file=tmp_path / "none"),
        translate(trained_run, "--output", str(tmp_path / "no folder" / "out")),
    ):
        assert result.exit_code == 4
        assert str(tmp_path) in result.stderr


def test_split_lines_are_reported_on_stderr(trained_run: Path) -> None:
    result = translate(
        trained_run, text="the cat.\n" + "the cat sat on a mat. " * 30 + "\na dog.\n"
    )
    assert len(lines_of(result)) == 3
    assert result.stderr.startswith(f"{ENGINE}line 2: ")
    assert result.stderr.count("\n") == 2


# ---------------------------------------------------------------- in other processes


def start(run: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return start_nmt("translate", run, "--threads", 1, *arguments, env=environment)


def test_a_line_is_translated_before_the_next_is_sent(trained_run: Path, best: list[str]) -> None:
    with start(trained_run) as process:
        assert process.stdin
        assert process.stdout
        # A deadlock must fail the test, not hang it.
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        translations = []
        for line in TEXT.split("\n")[:-1]:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            translations.append(process.stdout.readline().decode()[:-1])
        process.stdin.close()
        assert process.wait() == 0
        watchdog.cancel()
    assert translations == best


def test_interrupted_while_waiting_for_input(trained_run: Path) -> None:
    with start(trained_run) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(b"the cat.\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(2)
        assert process.wait(120) == 130
        assert process.stderr.read().decode() == f"{ENGINE}nmt: interrupted\n"


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_resuming_after_a_signal_while_reading_a_pipe(
    trained_run: Path, best: list[str], tmp_path: Path, number: int, code: int
) -> None:
    """The lines translated so far are kept; sent the same text again, it translates the rest."""
    arguments = ["--batch-tokens=1", "--output", str(tmp_path / "out"), "--resume"]
    lines = [f"{line}{' ' * 64}\n".encode() for line in TEXT.split("\n")[:-1]]
    with start(trained_run, *arguments) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(lines[0])
        process.stdin.flush()
        journal = tmp_path / "out.journal"
        deadline = time.monotonic() + 120
        while not (journal.exists() and json.loads(journal.read_bytes())["lines"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(120) == code
        messages = process.stderr.read().decode()
    assert "up to line 1 are kept" in messages
    assert messages.endswith(("nmt: interrupted\n", "nmt: terminated\n"))
    with start(trained_run, *arguments) as process:
        _, err = process.communicate(b"".join(lines))
    assert b"resuming after line 1\n" in err
    assert (tmp_path / "out").read_text("utf-8").split("\n")[:-1] == best


def test_output_is_utf8_in_every_locale(trained_run: Path, best: list[str]) -> None:
    with start(trained_run, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii") as process:
        out, err = process.communicate(TEXT.encode())
    assert err.decode() == ENGINE
    assert out.decode("utf-8").split("\n")[:-1] == best


def test_a_run_can_be_moved(trained_run: Path, best: list[str], tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "elsewhere")
    assert lines_of(translate(tmp_path / "elsewhere")) == best


@pytest.fixture
def strict_run(trained_run: Path, tmp_path: Path) -> Path:
    """Return a run that expects translations three times as long as they are."""
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    data = json.loads((run / "data.json").read_text("utf-8"))
    data["lengths"] = {"ratio": 3.0, "deviation": 0.5}
    (run / "data.json").write_text(json.dumps(data), "utf-8")
    return run


def test_suspiciously_short_translations_are_reported(
    trained_run: Path, strict_run: Path, tmp_path: Path
) -> None:
    assert "short" not in translate(trained_run).stderr
    once = translate(strict_run, "--output", str(tmp_path / "out"))
    [warning] = [line for line in once.stderr.split("\n") if "short" in line]
    assert warning.startswith(
        "warning: 3 of 5 translations are suspiciously short for their source: lines 1, 3, 5; "
    )
    each = translate(strict_run, "--warn-short").stderr
    for number in (1, 3, 5):
        assert f"line {number}: the translation is suspiciously short" in each


def test_jsonl_marks_suspiciously_short_translations(strict_run: Path) -> None:
    text = "".join(json.dumps({"src": line}) + "\n" for line in ("a.", "the cat sat on a mat."))
    result = translate(strict_run, "--format", "jsonl", "--warn-short", text=text)
    assert [json.loads(line)["short"] for line in lines_of(result)][1] is True
    result = translate(strict_run, "--format", "jsonl", text=text)
    assert "short" not in json.loads(lines_of(result)[1])


def test_split_sentences_in_every_format(trained_run: Path) -> None:
    sentences = ["the cat sat.", "the dog ran home."]
    alone = lines_of(translate(trained_run, text="\n".join(sentences)))
    joined = " ".join(sentences)
    assert lines_of(translate(trained_run, "--split-sentences", text=joined)) == [" ".join(alone)]
    options = ("--split-sentences", "--scores", "--nbest", "2", "--alignments")
    rows = [row.split("\t") for row in lines_of(translate(trained_run, *options, text=joined))]
    assert [row[0] for row in rows] == ["1", "1"]
    assert rows[0][2] == " ".join(alone)
    record = json.dumps({"src": joined})
    result = translate(trained_run, *options, "--format", "jsonl", text=record)
    assert json.loads(lines_of(result)[0])["translation"] == " ".join(alone)


@pytest.mark.parametrize(
    "arguments",
    [
        ["translate", "RUN", "IN", "--output", "OUT"],
        ["evaluate", "RUN"],
        ["score", "RUN", "--src", "IN", "--tgt", "IN"],
        ["report", "RUN", "-o", "OUT"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_terminal_shows_a_progress_bar(
    trained_run: Path, tmp_path: Path, arguments: list[str]
) -> None:
    names = {"RUN": trained_run, "IN": tmp_path / "in", "OUT": tmp_path / "out"}
    (tmp_path / "in").write_text(TEXT, "utf-8")
    controller, terminal = os.openpty()
    try:
        with (tmp_path / "stdout").open("wb") as stdout:
            command = [*NMT, *(str(names.get(word, word)) for word in arguments)]
            environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
            done = subprocess.run(
                command, stdout=stdout, stderr=terminal, env=environment, timeout=120
            )
        shown = os.read(controller, 1 << 16).decode("utf-8")
    finally:
        os.close(controller)
        os.close(terminal)
    assert done.returncode == 0, shown
    total = 30 if arguments[0] in ("evaluate", "report") else 5
    assert re.search(rf"\d+/{total}\b", shown)
    assert "left" in shown
    assert b"left" not in (tmp_path / "stdout").read_bytes()


@pytest.mark.parametrize("engine", ["auto", "nmt"])
def test_prefixes(trained_run: Path, tmp_path: Path, engine: str) -> None:
    prefixes = ["CAT", "DOG", "", "", "MAT ON"]
    (tmp_path / "prefixes").write_text("".join(f"{prefix}\n" for prefix in prefixes))
    options = ("--prefix-file", str(tmp_path / "prefixes"), "--engine", engine)
    rows = lines_of(translate(trained_run, *options))
    free = lines_of(translate(trained_run, "--engine", engine))
    assert [row.split(" ")[0].strip(".") for row in rows][::4] == ["CAT", "MAT"]
    assert rows[4].startswith("MAT ON")
    assert rows[1:4] == free[1:4]  # blank lines stay blank
    texts = TEXT.split("\n")[:-1]
    objects = [
        {"src": text, "prefix": prefix} for text, prefix in zip(texts, prefixes, strict=True)
    ]
    del objects[2]["prefix"]
    text = "".join(json.dumps(each) + "\n" for each in objects)
    found = lines_of(translate(trained_run, "--format", "jsonl", "--engine", engine, text=text))
    assert [json.loads(line)["translation"] for line in found] == rows
    found = lines_of(translate(trained_run, "--format", "jsonl", "--key", "prefix", text=text[:40]))
    assert len(found) == 1  # it is the source text here


@pytest.mark.parametrize(
    ("prefixes", "code", "message"),
    [
        ("A\nB\n", 3, "the prefixes end after line 2, but the input continues"),
        ("A\n" * 6, 3, "the input ends after line 5, but the prefixes continue"),
        ("A\n\n\n\nA☃\n", 3, "line 5: the prefix 'A☃' contains characters that"),
    ],
)
def test_prefixes_that_cannot_be_used(
    trained_run: Path, tmp_path: Path, prefixes: str, code: int, message: str
) -> None:
    (tmp_path / "prefixes").write_text(prefixes, "utf-8")
    result = translate(trained_run, "--prefix-file", str(tmp_path / "prefixes"))
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


def test_options_that_prefixes_exclude(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "prefixes").write_text("A\n" * 5, "utf-8")
    option = ("--prefix-file", str(tmp_path / "prefixes"))
    result = translate(trained_run, *option, "--format", "jsonl")
    assert result.exit_code == 2
    assert "--prefix-file is for text" in result.stderr
    result = run_nmt("translate", trained_run, "--prefix-file", "-")
    assert result.exit_code == 2
    assert "cannot both be the standard input" in result.stderr
    result = translate(trained_run, *option, "--output", str(tmp_path / "prefixes"))
    assert result.exit_code == 2
    result = translate(trained_run, "--format", "jsonl", text='{"src": "a", "prefix": 3}\n')
    assert result.exit_code == 3
    assert "line 1: 'prefix' is the beginning of the translation" in result.stderr
