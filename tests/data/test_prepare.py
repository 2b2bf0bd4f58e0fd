"""Prepared corpora: what is kept, dropped, counted, cached and read back."""

from __future__ import annotations

import functools
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config.schema import Config
from nmt.data import prepare as module
from nmt.data.corpus import CONTROL_CHARACTERS, INVALID_UTF8
from nmt.data.filters import (
    DUPLICATE,
    EMPTY_SIDE,
    LENGTH_RATIO,
    TOO_LONG,
    FilterReport,
)
from nmt.data.prepare import Prepared, prepare
from nmt.data.tokenizer import Tokenizers, train_tokenizers
from nmt.errors import DataError, FileError

_RNG = random.Random(0)
SRC = [" ".join(_RNG.choices(["red", "green", "blue", "house"], k=6)) for _ in range(50)]
TGT = [" ".join(_RNG.choices(["rot", "grün", "blau", "haus"], k=5)) for _ in range(50)]


def write(path: Path, lines: list[str] | bytes) -> str:
    content = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(content)
    return str(path)


@pytest.fixture
def setup(tmp_path: Path) -> Any:
    """Make a configuration, tokenizers trained on clean text, and corpora of given lines."""
    clean = {"src": write(tmp_path / "s", SRC), "tgt": write(tmp_path / "t", TGT)}

    def make(*sides: tuple[Any, Any], **data: Any) -> tuple[Config, Tokenizers]:
        base = {"src_lang": "en", "tgt_lang": "de", "cache_dir": str(tmp_path / "cache")}
        small = {"tokenizer": {"vocab_size": 60}}
        trained = train_tokenizers(
            Config.model_validate({"data": {**base, "train": clean}, **small})
        )
        corpora = [
            {
                "src": write(tmp_path / f"{number}.en", src),
                "tgt": write(tmp_path / f"{number}.de", tgt),
            }
            for number, (src, tgt) in enumerate(sides)
        ]
        values = {**base, "train": corpora or clean, **data}
        return Config.model_validate({"data": values, **small}), trained

    return make


def prepared(made: tuple[Config, Tokenizers], *, filtered: bool = True) -> Prepared:
    config, tokenizers = made
    return prepare(config, tokenizers, config.data.train, filtered=filtered)


def counts(rows: Prepared, corpus: int = 0) -> dict[str, tuple[int, int | None]]:
    tallies = rows.report.corpora[corpus].dropped
    return {name: (tally.count, tally.first_line) for name, tally in tallies.items()}


def test_rows_are_the_ids_and_texts_of_the_lines(setup: Any) -> None:
    made = setup((SRC, TGT), (SRC[:3], TGT[:3]))
    rows = prepared(made)
    src, tgt = made[1]
    assert len(rows) == 53
    assert rows.corpus_sizes == [50, 3]
    wanted = [7, 52, 7, 0]
    texts = [(SRC + SRC[:3])[i] for i in wanted], [(TGT + TGT[:3])[i] for i in wanted]
    assert rows.texts(wanted) == texts
    src_ids, tgt_ids = rows.rows(np.array(wanted))
    assert [ids.tolist() for ids in src_ids] == src.encode(texts[0])
    assert [ids.tolist() for ids in tgt_ids] == tgt.encode(texts[1])
    assert rows.src_lengths.tolist() == [len(ids) + 1 for ids in src.encode(SRC + SRC[:3])]
    assert rows.tgt_lengths.tolist() == [len(ids) + 1 for ids in tgt.encode(TGT + TGT[:3])]
    first, second = made[0].data.train
    assert (rows.origin(49), rows.origin(51)) == (f"{first.src}:50", f"{second.src}:2")


def test_every_chunk_is_read(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAIRS_PER_CHUNK", 7)
    blank = [*SRC[:14], *[""] * 7, *SRC[21:]]  # one chunk without a pair left
    rows = prepared(setup((blank, TGT)))
    assert rows.texts(range(len(rows))) == (SRC[:14] + SRC[21:], TGT[:14] + TGT[21:])
    monkeypatch.setattr(module, "_CHARACTERS_PER_CHUNK", 1)
    assert len(prepared(setup((SRC[1:], TGT[1:])))) == 49


def test_filters_drop_and_count(setup: Any) -> None:
    src = ["red house", "", "red", "red house", "\u200b", "red " * 30, "blue", "red\x01x", "green"]
    tgt = ["rot", "rot", " ", "rot", "rot", "rot", "blau " * 5, "rot", "grün"]
    made = setup((src, tgt), drop_duplicates=True, max_length=29, max_length_ratio=4.0)
    rows = prepared(made)
    assert counts(rows) == {
        EMPTY_SIDE: (3, 2),
        DUPLICATE: (1, 4),
        TOO_LONG: (1, 6),
        LENGTH_RATIO: (1, 7),
    }
    report = rows.report.corpora[0]
    assert (report.read, report.kept) == (9, 3)
    assert report.tallies[CONTROL_CHARACTERS].count == 1
    assert [rows.origin(row).rpartition(":")[2] for row in range(3)] == ["1", "8", "9"]
    assert report.src_tokens == rows.src_lengths.sum() - 3
    assert report.tgt_tokens == rows.tgt_lengths.sum() - 3


def test_the_longest_sentence_that_fits(setup: Any) -> None:
    made = setup((SRC, TGT))
    longest = int(max(prepared(made).src_lengths.max(), prepared(made).tgt_lengths.max()))
    src, tgt = [*SRC, "red"], [*TGT, "rot"]
    assert counts(prepared(setup((src, tgt), max_length=longest))) == {}
    assert TOO_LONG in counts(prepared(setup((src, tgt), max_length=longest - 1)))


def test_duplicates_across_corpora_and_swapped_boundaries(setup: Any) -> None:
    made = setup((["red", "red house"], ["rot", "rot"]), (["red"], ["rot"]), drop_duplicates=True)
    rows = prepared(made)
    assert (counts(rows), counts(rows, 1)) == ({}, {DUPLICATE: (1, 1)})
    made = setup((["red b", "red"], ["lau", "blau"]), drop_duplicates=True)
    assert len(prepared(made)) == 2


def test_invalid_utf8_is_skipped_and_counted(setup: Any) -> None:
    made = setup((b"red\n\xff\nblue\n", b"rot\nrot\nblau\n"), invalid_utf8="skip")
    rows = prepared(made)
    assert counts(rows) == {INVALID_UTF8: (1, 2)}
    assert (rows.report.corpora[0].read, len(rows)) == (3, 2)


def test_unknown_pieces_are_counted(setup: Any) -> None:
    report = prepared(setup((["red 猫", "猫"], ["rot", "rot"]))).report.corpora[0]
    assert (report.src_unknown, report.tgt_unknown) == (2, 0)


def test_unfiltered_keeps_every_pair(setup: Any) -> None:
    src, tgt = ["", "red " * 300, "red", "red"], ["rot", "rot", "", ""]
    rows = prepared(setup((src, tgt), drop_duplicates=True), filtered=False)
    assert rows.texts(range(4)) == (src, tgt)
    assert rows.src_lengths[0] == 1
    with pytest.raises(DataError, match=r"has 4 lines, but .* has 3"):
        prepared(setup((src, tgt[:3])), filtered=False)


def test_no_pair_left(setup: Any) -> None:
    with pytest.raises(DataError, match=r"no pairs are left[^:]*\n  0.en \+ 0.de: 2 read, 2 empty"):
        prepared(setup((["", "red"], ["rot", ""])))


def test_a_second_time_nothing_is_tokenised(setup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = setup()
    before = prepared(made)

    def build(*_: Any) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(module, "_build", build)
    after = prepared(made)
    assert after.report == before.report
    assert np.array_equal(after.src_lengths, before.src_lengths)


def test_what_changes_the_rows_changes_the_key(setup: Any, tmp_path: Path) -> None:
    def entries() -> int:
        return len(list((tmp_path / "cache").glob("pairs-*")))

    prepared(setup((SRC, TGT)))
    prepared(setup((SRC, TGT), drop_duplicates=True))
    prepared(setup((SRC, TGT), max_length=99))
    prepared(setup((SRC, TGT)), filtered=False)
    assert entries() == 4
    prepared(setup((SRC, TGT), max_length=99), filtered=False)
    assert entries() == 4
    prepared(setup((SRC[1:], TGT[1:])))
    assert entries() == 5
    prepared(setup((TGT[1:], SRC[1:])))
    assert entries() == 6
    config, _ = setup((SRC, TGT))
    other = config.model_copy(
        update={"tokenizer": config.tokenizer.model_copy(update={"vocab_size": 59})}
    )
    prepared((other, train_tokenizers(other)))
    assert entries() == 7


def test_names_are_those_of_this_time(setup: Any, tmp_path: Path) -> None:
    made = setup((SRC, TGT))
    prepared(made)
    config = Config.model_validate(
        {
            "data": {
                **made[0].data.model_dump(),
                "train": {
                    "src": write(tmp_path / "moved.en", SRC),
                    "tgt": write(tmp_path / "moved.de", TGT),
                    "weight": 3,
                },
            }
        }
    )
    rows = prepared((config, made[1]))
    assert len(list((tmp_path / "cache").glob("pairs-*"))) == 1
    assert rows.report.corpora[0].name == "moved.en + moved.de"
    assert rows.origin(1) == f"{tmp_path / 'moved.en'}:2"
    assert rows.weights == [3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError("stop")])
def test_an_interruption_leaves_nothing(setup: Any, tmp_path: Path, error: Any) -> None:
    def stop(what: str, done: int) -> None:
        raise error

    config, tokenizers = setup()
    threads = threading.active_count()
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        prepare(config, tokenizers, config.data.train, filtered=True, progress=stop)
    assert [path.name for path in (tmp_path / "cache").iterdir() if "pairs" in path.name] == []
    assert threading.active_count() == threads


def test_progress_names_the_corpus_and_counts_its_pairs(setup: Any) -> None:
    seen = []
    config, tokenizers = setup((SRC, TGT), (SRC[:9], TGT[:9]))
    prepare(
        config, tokenizers, config.data.train, filtered=True, progress=lambda *a: seen.append(a)
    )
    assert seen == [("0.en + 0.de", 50), ("1.en + 1.de", 9)]


def test_two_at_once(setup: Any, tmp_path: Path) -> None:
    made = setup()
    inner: list[Prepared] = []

    def other_process(what: str, done: int) -> None:
        if not inner:
            inner.append(prepared(made))  # begins later and ends first

    config, tokenizers = made
    outer = prepare(config, tokenizers, config.data.train, filtered=True, progress=other_process)
    assert outer.report == inner[0].report
    assert len([p for p in (tmp_path / "cache").iterdir() if "pairs" in p.name]) == 1


def flip(path: Path) -> None:
    """Flip one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def overwrite(path: Path) -> None:
    """Put 64 bytes of 0xff into the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = b"\xff" * 64
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["pairs.arrow", "report.json", "checksums.json"])
@pytest.mark.parametrize(
    "damage", [flip, overwrite, lambda path: os.truncate(path, 100), os.unlink]
)
def test_a_damaged_entry_is_prepared_again(
    setup: Any, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    config, tokenizers = setup()
    warnings: list[str] = []
    use = functools.partial(
        prepare, config, tokenizers, config.data.train, filtered=True, warn=warnings.append
    )
    use()
    [entry] = (tmp_path / "cache").glob("pairs-*")
    sound = {path.name: path.read_bytes() for path in entry.iterdir()}
    assert use().report.corpora[0].kept == len(SRC)
    assert warnings == []
    damage(entry / name)
    use()
    [warning] = warnings
    assert warning.startswith(f"warning: {entry}")
    assert warning.endswith("; building it again")
    assert {path.name: path.read_bytes() for path in entry.iterdir()} == sound
    assert len([p for p in (tmp_path / "cache").iterdir() if "pairs" in p.name]) == 1


def test_a_damaged_tokenizer_is_trained_again(setup: Any, tmp_path: Path) -> None:
    config, _ = setup()
    [entry] = (tmp_path / "cache").glob("tokenizer-*")
    sound = (entry / "spm.model").read_bytes()
    flip(entry / "spm.model")
    warnings: list[str] = []
    assert train_tokenizers(config, None, warnings.append).src.serialized() == sound
    assert warnings == [
        f"warning: {entry / 'spm.model'}: damaged: its checksum does not match; building it again"
    ]


def test_a_cache_that_cannot_be_written(setup: Any, tmp_path: Path) -> None:
    config, tokenizers = setup()
    write(tmp_path / "file", b"")
    config = Config.model_validate(
        {"data": {**config.data.model_dump(), "cache_dir": str(tmp_path / "file")}}
    )
    with pytest.raises(FileError, match=r"cannot write the cache.*data\.cache_dir"):
        prepared((config, tokenizers))


def test_datasets_opens_the_file(setup: Any, tmp_path: Path) -> None:
    import datasets

    rows = prepared(setup())
    [entry] = (tmp_path / "cache").glob("pairs-*")
    opened = datasets.Dataset.from_file(str(entry / "pairs.arrow"))
    assert opened["src"][:] == SRC
    assert opened[3]["src_ids"] == rows.rows([3])[0][0].tolist()


def test_the_report_as_json_and_as_a_table(setup: Any) -> None:
    from nmt.console import Console

    report = prepared(setup((["red", "", "x"], ["rot", "rot", "y"]))).report
    assert FilterReport.from_json(report.to_json()) == report
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(report.table())
    text = console.export_text()
    assert "0.en + 0.de" in text
    assert "1 (first: line 2)" in text
