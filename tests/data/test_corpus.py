"""Reading parallel text: what comes out, and what each kind of bad input is told."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import DataConfig
from nmt.data.corpus import (
    CONTROL_CHARACTERS,
    INVALID_UTF8,
    Tallies,
    corpus_name,
    count_lines,
    fingerprint,
    origin,
    read_lines,
    read_pairs,
    replace_controls,
)
from nmt.errors import ConfigError, DataError, FileError


def corpus_of(**keys: Any) -> AnyCorpus:
    return TypeAdapter(AnyCorpus).validate_python(keys)


def write(path: Path, content: bytes | str) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def pairs_of(corpus: AnyCorpus, **data: Any) -> list[tuple[str, str]]:
    config = DataConfig(src_lang="en", tgt_lang="de", train=[corpus], **data)
    return [(pair.src, pair.tgt) for pair in read_pairs(corpus, config)]


def refusal(corpus: AnyCorpus, kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        pairs_of(corpus)
    return str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> Any:
    def make(src: bytes | str, tgt: bytes | str) -> AnyCorpus:
        return corpus_of(
            src=write(tmp_path / "train.en", src), tgt=write(tmp_path / "train.de", tgt)
        )

    return make


EXPECTED = [("a", "x"), ("b", "y")]


@pytest.mark.parametrize(
    "src",
    [b"a\nb\n", b"a\nb", b"a\r\nb\r\n", b"\xef\xbb\xbfa\nb\n", gzip.compress(b"a\nb\n")],
    ids=["plain", "no end", "CRLF", "BOM", "gzip without the suffix"],
)
def test_the_same_lines_from_every_form_of_a_file(files: Any, src: bytes) -> None:
    assert pairs_of(files(src, "x\ny\n")) == EXPECTED


def test_gzip_files_and_several_members(tmp_path: Path) -> None:
    twice = gzip.compress(b"a\n") + gzip.compress(b"b\n")
    corpus = corpus_of(
        src=write(tmp_path / "s.gz", twice), tgt=write(tmp_path / "t.gz", gzip.compress(b"x\ny"))
    )
    assert pairs_of(corpus) == EXPECTED


def test_only_a_line_feed_ends_a_line(files: Any) -> None:
    strange = "a\u2028b\u2029c\u0085d"
    assert pairs_of(files(f"{strange}\n2\n", "1\n2\n")) == [(strange, "1"), ("2", "2")]
    controls = "a\x0bb\x0cc\x1cd\re"
    assert pairs_of(files(f"{controls}\n2\n", "1\n2\n")) == [("a b c d e", "1"), ("2", "2")]


def test_lines_are_raw_but_for_their_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"\xef\xbb\xbfa\x0b\xef\xbb\xbf\rb\r\n\nc\r")
    assert list(read_lines(path)) == ["a\x0b\ufeff\rb", "", "c\r"]


def test_invalid_bytes_can_be_replaced(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "f", b"a\xffb\n"), "replace")) == ["a\ufffdb"]


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"a\nb\n", gzip.compress(b"a\nb\n")):
        with open(write(tmp_path / "f", content)) as file:
            monkeypatch.setattr("sys.stdin", file)
            assert list(read_lines("-")) == ["a", "b"]


def test_control_characters_become_spaces_and_are_counted(files: Any) -> None:
    tallies = Tallies()
    corpus = files("a\tb\nc\x00d\x01\n", "x\ny\x7f\n")
    config = DataConfig(src_lang="en", tgt_lang="de", train=[corpus])
    pairs = list(read_pairs(corpus, config, tallies))
    assert [tuple(pair) for pair in pairs] == [("a b", "x", 1), ("c d ", "y ", 2)]
    assert (tallies[CONTROL_CHARACTERS].count, tallies[CONTROL_CHARACTERS].first_line) == (3, 2)
    assert replace_controls("a\tb\nc") == ("a b c", 1)


@pytest.mark.parametrize(
    ("src", "tgt", "counts"),
    [("1\n2\n3\n", "1\n", (3, 1)), ("1\n", "1\n2\n3\n4", (1, 4)), ("", "1\n2\n", (0, 2))],
)
def test_files_of_different_lengths(files: Any, src: str, tgt: str, counts: Any) -> None:
    corpus = files(src, tgt)
    message = refusal(corpus)
    assert f"{corpus.src} has {counts[0]} lines, but {corpus.tgt} has {counts[1]}" in message


def test_empty_files(files: Any) -> None:
    corpus = files("", "")
    assert refusal(corpus) == f"{corpus.src} + {corpus.tgt}: there is no pair in it"


def test_an_empty_file_named_gz(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.gz", b"")
    assert "no pair" in refusal(corpus_of(src=path, tgt=path))


def test_invalid_utf8_is_told_by_file_line_and_byte(files: Any) -> None:
    corpus = files("a\nb\n", b"x\nya\xff\n")
    assert refusal(corpus).startswith(f"{corpus.tgt}:2:3: not valid UTF-8")
    corpus = files(b"\xef\xbb\xbf\xff\n", "x\n")
    assert refusal(corpus).startswith(f"{corpus.src}:1:4: ")


def test_invalid_utf8_can_be_skipped_and_is_counted(files: Any) -> None:
    tallies = Tallies()
    corpus = files(b"a\n\xff\nc\n\xff\n", "1\n2\n3\n4\n")
    config = DataConfig(src_lang="en", tgt_lang="de", train=[corpus], invalid_utf8="skip")
    assert [pair.line for pair in read_pairs(corpus, config, tallies)] == [1, 3]
    assert (tallies[INVALID_UTF8].count, tallies[INVALID_UTF8].first_line) == (2, 2)


@pytest.mark.parametrize("damage", ["cut", "flipped", "no gzip"])
def test_damaged_gzip(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress("\n".join(map(str, range(5000))).encode())
    content = {
        "cut": whole[:-20],
        "flipped": whole[:500] + bytes(50) + whole[550:],
        "no gzip": b"text",
    }[damage]
    path = write(tmp_path / "bad.gz", content)
    assert refusal(corpus_of(src=path, tgt=path)).startswith(f"{path}: damaged gzip")


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (str(tmp_path / "missing"), str(tmp_path)):
        assert refusal(corpus_of(src=path, tgt=path), FileError).startswith(f"{path}: cannot read")
        with pytest.raises(FileError, match="cannot read"):
            fingerprint(corpus_of(src=path, tgt=path))


def test_tsv_by_number_and_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "f.tsv", "1\ta\tx\n2\tb\ty\n")
    assert pairs_of(corpus_of(tsv=path, src_column=1, tgt_column=2)) == EXPECTED
    path = write(tmp_path / "g.tsv", "id\tde\ten\n1\tx\ta\n2\ty\tb\n")
    assert pairs_of(corpus_of(tsv=path, src_column="en", tgt_column="de")) == EXPECTED
    assert pairs_of(corpus_of(tsv=path, src_column="en", tgt_column=1)) == EXPECTED


def test_tsv_without_the_column(tmp_path: Path) -> None:
    path = write(tmp_path / "f.tsv", "a\tx\nb\n")
    assert refusal(corpus_of(tsv=path)).startswith(f"{path}:2: no column 1")
    message = refusal(corpus_of(tsv=path, src_column="en"))
    assert message == f"{path}:1: no column 'en'; the first line has a, x"
    bad = write(tmp_path / "g.tsv", b"a\tx\nb\xff\ty\n")
    assert refusal(corpus_of(tsv=bad)).startswith(f"{bad}:2:2: not valid UTF-8")


def test_jsonl_with_plain_nested_and_dotted_keys(tmp_path: Path) -> None:
    plain = write(tmp_path / "1", '{"en": "a", "de": "x"}\n{"de": "y", "en": "b"}')
    assert pairs_of(corpus_of(jsonl=plain)) == EXPECTED
    nested = write(
        tmp_path / "2", '{"t": {"en": "a", "de": "x"}}\n{"t.en": "b", "t": {"en": "", "de": "y"}}'
    )
    assert pairs_of(corpus_of(jsonl=nested, src_key="t.en", tgt_key="t.de")) == EXPECTED


def test_a_line_feed_in_a_json_string_does_not_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "f", json.dumps({"en": "a\nb\u2028", "de": "x"}))
    assert pairs_of(corpus_of(jsonl=path)) == [("a b\u2028", "x")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"en": "b"}', "no key 'de'; known are en"),
        ('["en", "de"]', "no key 'en' in ['en', 'de']"),
        ('{"en": "b", "de": 3}', "'de' must be a string, but it is 3"),
        ('{"en": "b", "de": null}', "'de' must be a string, but it is None"),
        ('{"en": "\\ud800", "de": "y"}', "1: not valid UTF-8"),
    ],
)
def test_bad_jsonl(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "f", '{"en": "a", "de": "x"}\n' + line)
    told = refusal(corpus_of(jsonl=path))
    assert told.startswith(f"{path}:2:")
    assert message in told


def parquet(path: Path, rows: list[dict[str, Any]]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def test_parquet(tmp_path: Path) -> None:
    rows = [{"en": "a", "de": "x", "n": 1}, {"en": "b", "de": "y", "n": 2}]
    assert pairs_of(corpus_of(parquet=parquet(tmp_path / "1", rows))) == EXPECTED
    nested = parquet(tmp_path / "2", [{"translation": row} for row in rows])
    keys = {"src_key": "translation.en", "tgt_key": "translation.de"}
    assert pairs_of(corpus_of(parquet=nested, **keys)) == EXPECTED
    assert "no column 'en'; known are translation" in refusal(corpus_of(parquet=nested))
    assert "no key 'translation.fr'" in refusal(
        corpus_of(parquet=nested, src_key="translation.fr", tgt_key="translation.de")
    )


def test_bad_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "f", [{"en": "a", "de": None}, {"en": "b", "de": "y"}])
    assert refusal(corpus_of(parquet=path)).startswith(f"{path}:1: 'de' must be a string")
    cut = write(tmp_path / "cut", Path(path).read_bytes()[:-30])
    assert refusal(corpus_of(parquet=cut)).startswith(f"{cut}: not a sound Parquet file")
    missing = str(tmp_path / "missing")
    assert "cannot read" in refusal(corpus_of(parquet=missing), FileError)


def test_saved_datasets(tmp_path: Path) -> None:
    import datasets

    table = datasets.Dataset.from_dict({"en": ["a", "b", "c"], "de": ["x", "y", "z"]})
    table.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"test": table}).save_to_disk(tmp_path / "many")
    whole = [*EXPECTED, ("c", "z")]
    assert pairs_of(corpus_of(dataset=str(tmp_path / "one"))) == whole
    many = str(tmp_path / "many")
    assert pairs_of(corpus_of(dataset=many, split="test")) == whole
    assert pairs_of(corpus_of(dataset=many, split="test[:2]")) == EXPECTED
    message = refusal(corpus_of(dataset=many), FileError)
    assert "cannot load the dataset" in message
    assert "data.train='{src: FILE, tgt: FILE}'" in message
    assert "no column 'fr'" in refusal(corpus_of(dataset=many, split="test", src_key="fr"))


def test_a_directory_of_files_as_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train.jsonl", '{"en": "a", "de": "x"}\n{"en": "b", "de": "y"}\n')
    assert pairs_of(corpus_of(dataset=str(tmp_path / "data"))) == EXPECTED


def test_fingerprints_go_by_content(tmp_path: Path) -> None:
    first = corpus_of(src=write(tmp_path / "a", "1"), tgt=write(tmp_path / "b", "2"))
    same = corpus_of(src=write(tmp_path / "c", "1"), tgt=write(tmp_path / "d", "2"), weight=2)
    other = corpus_of(src=write(tmp_path / "e", "12"), tgt=write(tmp_path / "f", ""))
    assert fingerprint(first) == fingerprint(same)
    assert len({fingerprint(first), fingerprint(other)}) == 2
    swapped = corpus_of(src=str(tmp_path / "b"), tgt=str(tmp_path / "a"))
    assert fingerprint(swapped) != fingerprint(first)


def test_the_fingerprint_of_a_dataset_on_disk(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    corpus = corpus_of(dataset=str(tmp_path / "data"))
    seen = set()
    for content in ("1", "2"):
        write(tmp_path / "data" / "train.txt", content)
        seen.add(fingerprint(corpus))
    (tmp_path / "data" / "train.txt").rename(tmp_path / "data" / "test.txt")
    assert len(seen | {fingerprint(corpus)}) == 3


def test_names_and_origins() -> None:
    corpus = corpus_of(src="a/t.en.gz", tgt="a/t.de.gz")
    assert corpus_name(corpus) == "t.en.gz + t.de.gz"
    assert origin(corpus, 7) == "a/t.en.gz:7"
    assert corpus_name(corpus_of(tsv="a/b.tsv")) == "b.tsv"
    assert origin(corpus_of(jsonl="a/b.jsonl"), 3) == "a/b.jsonl:3"
    assert corpus_name(corpus_of(dataset="u/d", name="de-en")) == "u/d de-en train"
    assert corpus_name(corpus_of(demo="valid")) == "demo valid"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"one", b"one\n", b"one\n\ntwo", b"one\r\n\xe2\x80\xa8\n"]
)
def test_lines_are_counted_as_they_are_read(tmp_path: Path, content: bytes) -> None:
    for name, data in (("plain", content), ("packed.gz", gzip.compress(content))):
        path = tmp_path / name
        path.write_bytes(data)
        assert count_lines(path) == len(list(read_lines(path)))


def test_lines_of_what_cannot_be_read_twice_are_not_counted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "damaged.gz").write_bytes(gzip.compress(b"one\n")[:-3])
    for path in (None, "-", tmp_path / "pipe", tmp_path / "damaged.gz", tmp_path / "missing"):
        assert count_lines(path) is None


# ---------------------------------------------------------------- lines without an end


def test_a_line_may_be_as_long_as_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", "8")
    path = tmp_path / "text"
    path.write_bytes(b"1234\n12345678\n12345678")
    assert list(read_lines(path)) == ["1234", "12345678", "12345678"]
    for content in (b"1234\n123456789\n", b"1234\n123456789"):
        for name, data in (("text", content), ("text.gz", gzip.compress(content))):
            (tmp_path / name).write_bytes(data)
            with pytest.raises(
                DataError, match=rf"{name}:2: a line of more than 8 bytes; .* NMT_MAX_LINE_BYTES"
            ):
                list(read_lines(tmp_path / name))
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", "9")
    assert list(read_lines(path)) == ["1234", "123456789"]


def test_every_corpus_of_lines_has_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", "30")
    (tmp_path / "short").write_text("a\tb\n", "utf-8")
    (tmp_path / "long").write_text('{"en": "a", "de": "b", "other": "a b c d e"}\n', "utf-8")
    short, long = str(tmp_path / "short"), str(tmp_path / "long")
    for corpus in (
        corpus_of(src=short, tgt=long),
        corpus_of(tsv=long, src_column=0, tgt_column=1),
        corpus_of(jsonl=long),
    ):
        assert "long:1: a line of more than 30 bytes" in refusal(corpus)


@pytest.mark.parametrize("text", ["x", "0", "-1", "1e6", "9" * 30, "²"])
def test_the_limit_must_be_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("NMT_MAX_LINE_BYTES", text)
    with pytest.raises(ConfigError, match="NMT_MAX_LINE_BYTES"):
        list(read_lines(tmp_path / "text"))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero")
def test_input_without_an_end(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/dev/zero:1: a line of more than 10,000,000 bytes"):
        list(read_lines("/dev/zero"))
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe")):
        with pytest.raises(DataError, match="not a file: a corpus is read more than once"):
            fingerprint(corpus_of(src=path, tgt=path))
