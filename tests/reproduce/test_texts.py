"""The text of a recipe: checksums, and files in another directory."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from nmt.config.load import make_config
from nmt.config.schema import Config
from nmt.errors import ConfigError, DataError
from nmt.reproduce.places import scored_files, text_in
from nmt.reproduce.texts import check_texts

SRC, TGT = "a\tb\nc\n", "d\ne é\n"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


PAIR: dict[str, Any] = {
    "lines": 2,
    "src": {"file": "a.src", "sha256": sha256(SRC)},
    "tgt": {"file": "a.tgt", "sha256": sha256(TGT)},
}


def config(data: dict[str, Any], **pairs: Any) -> Config:
    """Return a configuration with a recipe for its text."""
    recipe = {
        **{"measured": False, "data": {"source": "the test", **pairs}},
        "test": {"name": "test", "signature": "none"},
    }
    return make_config({"data": {"src_lang": "x", "tgt_lang": "y", **data}, "recipe": recipe})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.src").write_bytes(SRC.encode())
    Path("a.tgt").write_bytes(TGT.encode())


def test_the_checksum_is_of_the_text_in_any_form() -> None:
    with gzip.open("b.src.gz", "wb") as file:
        file.write(SRC.encode())
    Path("b.tgt").write_bytes(
        b"\xef\xbb\xbf" + TGT.replace("\n", "\r\n").removesuffix("\r\n").encode()
    )
    records = [{"x": "a\tb", "y": "d"}, {"x": "c", "y": "e é"}]
    Path("b.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records), "utf-8")
    for corpus in (
        {"src": "a.src", "tgt": "a.tgt"},
        {"src": "b.src.gz", "tgt": "b.tgt"},
        {"jsonl": "b.jsonl"},
    ):
        src, tgt = check_texts("r", config({"train": corpus}, train=PAIR))
        assert (src.sha256, tgt.sha256) == (sha256(SRC), sha256(TGT))
        assert (src.key, tgt.key) == ("data.train.src", "data.train.tgt")
        assert src.lines == 2
        assert src.known


def test_all_missing_and_differing_files_are_listed() -> None:
    Path("b.src").write_text("a b\nc\n", "utf-8")
    Path("b.tgt").write_text("d\n", "utf-8")
    data = {
        "train": {"src": "b.src", "tgt": "missing"},
        "valid": {"s": {"src": "a.src", "tgt": "a.tgt"}, "t": {"src": "a.src", "tgt": "b.tgt"}},
        "test": [{"src": "a.src", "tgt": "a.tgt"}] * 2,
    }
    with pytest.raises(DataError) as raised:
        check_texts("r", config(data, train=PAIR, valid=[PAIR, PAIR], test=PAIR))
    first, *problems = str(raised.value).split("\n  ")
    assert first == "r: not the text of the recipe, which is the test"
    assert problems == [
        f"data.train.src: b.src: 2 lines, sha256 {sha256('a b' + chr(10) + 'c' + chr(10))}; "
        f"expected 2 lines, sha256 {sha256(SRC)}",
        "data.train.tgt: missing: cannot be read: No such file or directory; "
        f"expected sha256 {sha256(TGT)}",
        f"data.valid.t.tgt: b.tgt: 1 lines, sha256 {sha256('d' + chr(10))}; "
        f"expected 2 lines, sha256 {sha256(TGT)}",
        "data.test and recipe.data.test have different numbers of corpora: 2 and 1",
    ]


def test_text_without_a_known_checksum_is_shown() -> None:
    pair = {"src": {"file": "a.src"}, "tgt": {"file": "a.tgt"}}
    texts = check_texts("r", config({"train": {"src": "a.src", "tgt": "a.tgt"}}, train=pair))
    assert str(texts[1]) == (
        f"data.train.tgt: a.tgt: 2 lines, sha256 {sha256(TGT)}, not in the recipe"
    )
    # A dataset would be downloaded for nothing.
    assert check_texts("r", config({"train": {"dataset": "owner/missing"}}, train=pair)) == []


def test_text_comes_from_another_directory() -> None:
    Path("dir").mkdir()
    with gzip.open("dir/a.src.gz", "wb") as file:
        file.write(SRC.encode())
    data = {
        "train": {"dataset": "owner/name", "weight": 2, "reversed": True},
        "valid": {"s": {"src": "x", "tgt": "y"}, "t": {"src": "x", "tgt": "y"}},
    }
    overrides = text_in(Path("dir"), config(data, train=PAIR, valid=[PAIR, PAIR]))
    moved = {"src": "dir/a.src.gz", "tgt": "dir/a.tgt"}
    assert [json.loads(each.partition("=")[2]) for each in overrides] == [
        [{"weight": 2.0, "reversed": True, **moved}],
        {"s": [moved], "t": [moved]},
    ]


@pytest.mark.parametrize(
    ("directory", "pairs", "expected"),
    [
        ("missing", {"train": PAIR}, "`data`: missing is not a directory"),
        (".", {}, "the recipe does not name all of its files"),
        (".", {"train": [PAIR, PAIR]}, "different numbers of corpora: 1 and 2"),
    ],
)
def test_directories_that_cannot_be_used(
    directory: str, pairs: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        text_in(Path(directory), config({"train": {"src": "a.src", "tgt": "a.tgt"}}, **pairs))
    assert expected in str(raised.value)


def test_references_may_be_a_third_file() -> None:
    test = {"src": "dir/a.src", "tgt": "dir/a.tgt"}
    data = {"train": test, "test": test}
    assert scored_files(config(data, test=PAIR)) == (None, [])
    pair = {**PAIR, "ref": {"file": "a.trees"}}
    assert scored_files(config(data, test=pair)) == (Path("dir/a.src"), [Path("dir/a.trees")])
