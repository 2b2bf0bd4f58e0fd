"""Rows 20 to 27: malformed and unusual text."""

from __future__ import annotations

import gzip
import random

import pytest

from nmt.data.model_file import parse

from .conftest import Folder, Translate

ONE = "train.max_steps=1"


def corpus(folder: Folder, side: str = "src") -> list[bytes]:
    """Return the lines of the training corpus without line ends."""
    return (folder.path / f"train.{side}").read_bytes().split(b"\n")[:-1]


def joined(lines: list[bytes], end: bytes = b"\n") -> bytes:
    return b"".join(line + end for line in lines)


def test_fault_20_different_numbers_of_lines(folder: Folder) -> None:
    folder.write("train.src", joined([*corpus(folder), b"ab"]))
    end = folder.train(ONE).refused(3, "train.src has 201 lines, but train.tgt has 200")
    assert "train step" not in end.err


def test_fault_21_invalid_utf8(folder: Folder) -> None:
    lines = corpus(folder)
    lines[6] = b"ab \xff\xfe"
    folder.write("train.src", joined(lines))
    folder.train(ONE).refused(3, "train.src:7:4: not valid UTF-8", "data.invalid_utf8=skip")
    skipped = folder.train(ONE, "data.invalid_utf8=skip").succeeded()
    assert "invalid UTF-8" in skipped.err
    assert "│  200 │ 1 (first: line 7) │  199 │" in skipped.err


OTHER_SEPARATORS = ["\u2028", "\u2029", "\x85", "\v", "\f", "\x1c"]


def test_fault_22_only_line_feeds_end_lines(folder: Folder, translate: Translate) -> None:
    """Other separators are on one side only, so splitting at them would misalign the files."""
    lines = corpus(folder)
    for number, character in enumerate(OTHER_SEPARATORS):
        lines[number] += f" ab{character}dab{character}".encode()
    folder.write("train.src", joined(lines))
    assert "│  200 │  200 │" in folder.train(ONE).succeeded().err
    words = ["the cat", "a dog", "home"]
    text = "".join(character.join(words) + character + "\n" for character in OTHER_SEPARATORS)
    plain = "".join(" ".join(words) + "\n" for _ in OTHER_SEPARATORS)
    assert len(translate(text=text).lines()) == len(translate(text=plain).lines())


def test_fault_23_crlf_bom_and_lone_cr(folder: Folder) -> None:
    folder.train(ONE, run="clean").succeeded()
    sides = [corpus(folder, side) for side in ("src", "tgt")]
    bom = b"\xef\xbb\xbf"
    folder.write_pairs(bom + joined(sides[0], b"\r\n"), bom + joined(sides[1], b"\r\n"))
    folder.train(ONE, run="dos").succeeded()
    models = [(folder.path / run / "tokenizer" / "spm.model") for run in ("clean", "dos")]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert folder.losses("dos") == folder.losses("clean")
    folder.write_pairs(joined([b"ab\rbad", *sides[0][1:]]), joined(sides[1]))
    assert "│  200 │  200 │" in folder.train(ONE, run="cr").succeeded().err


def test_fault_24_blank_lines(folder: Folder, translate: Translate) -> None:
    blank = random.Random(1).sample(range(200), 48)
    lines = [b" " if number in blank else line for number, line in enumerate(corpus(folder))]
    folder.write("train.src", joined(lines))
    messages = folder.train(ONE).succeeded().err
    assert "empty side" in messages
    assert f"│  200 │ 48 (first: line {min(blank) + 1}) │  152 │" in messages
    words = ["the", "cat", "a", "mat", "dog", "ran", "home"]
    draw = random.Random(2)
    text = [
        "" if number % 25 in blank else " ".join(draw.choices(words, k=draw.randint(1, 6)))
        for number in range(100)
    ]
    assert any(not line for line in text)
    outputs = [
        translate("--batch-tokens", size, text="\n".join(text) + "\n").lines()
        for size in ("1", "16", "1024")
    ]
    assert [bool(line) for line in outputs[0]] == [bool(line) for line in text]
    assert outputs[0] == outputs[1] == outputs[2]


def test_fault_25_nul_and_control_characters(folder: Folder, translate: Translate) -> None:
    lines = corpus(folder)
    lines[2:4] = [b"ab\0bad", b"\x1b[1mcab\x7f\0"]
    folder.write("train.src", joined(lines))
    messages = folder.train(ONE).succeeded().err
    assert "control characters replaced" in messages
    assert "4 (first: line 3) │" in messages
    model = (folder.path / "run" / "tokenizer" / "spm.model").read_bytes()
    pieces = "".join(piece.text for piece in parse(model).pieces)
    assert "a" in pieces
    assert not {"\0", "\x1b", "\x7f"} & set(pieces)
    controls = translate(text="the\0cat\x1bsat\n").lines()
    assert controls == translate(text="the cat sat\n").lines()


PEAK = """
import atexit, resource
def note():
    with open('peak', 'w') as file:
        file.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
atexit.register(note)
"""


def test_fault_26_huge_lines(folder: Folder) -> None:
    """The model translates everything as "yes", so hundreds of parts take only seconds."""
    huge = b"bad cab. " * 10_000
    lines = corpus(folder)
    lines[2:4] = [huge, b"ab " * 300]
    folder.write_pairs(joined(lines), b"yes\n" * 200)
    settings = ["train.max_steps=40", "train.learning_rate=0.01", "tokenizer.type=bpe"]
    messages = folder.train(*settings, "train.warmup_steps=5").succeeded().err
    assert "│  200 │ 2 (first: line 3) │  198 │" in messages

    def peak_of(text: bytes) -> int:
        end = folder.nmt("translate", "run", "--threads", "1", fault=PEAK, text=text)
        assert [bool(line) for line in end.lines()] == [True] * text.count(b"\n")
        assert ("line 2: " in end.err and " parts" in end.err) == (huge in text)
        return int((folder.path / "peak").read_text())

    assert peak_of(b"ab\n" + huge + b"\nab\n") < peak_of(b"ab\n") + 500  # MiB


def test_fault_27_ends_of_files(folder: Folder, translate: Translate) -> None:
    src, tgt = (joined(corpus(folder, side)) for side in ("src", "tgt"))
    folder.write_pairs(src[:-1], tgt)
    assert "│  200 │  200 │" in folder.train(ONE).succeeded().err
    whole = translate(text="the cat\na dog\n").lines()
    assert translate(text="the cat\na dog").lines() == whole
    folder.write_pairs("", "")
    folder.train(ONE, run="empty").refused(3, "train.src + train.tgt: contains no pairs")
    folder.write_pairs(gzip.compress(src)[:-20], tgt)
    folder.train(ONE, run="cut").refused(3, "train.src: damaged or truncated gzip")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"], ids=["empty", "mark"])
def test_fault_27_nothing_to_translate(translate: Translate, content: bytes) -> None:
    assert translate(text=content).succeeded().out in (b"", b"\n")
