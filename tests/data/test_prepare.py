"""Prepared data: rows, caching, damage, and interruptions."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config.schema import Config
from nmt.data import prepare as module
from nmt.data.prepare import Prepared, prepare
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import DataError, FileError

from .conftest import SRC, TGT, MakeData, prepared, write_lines


def test_rows_hold_the_ids_and_texts_of_the_lines(make_data: MakeData) -> None:
    data = make_data((SRC, TGT), (SRC[:3], TGT[:3]))
    rows = prepared(data)
    src, tgt = data[1]
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
    first, second = data[0].data.train
    assert (rows.origin(49), rows.origin(51)) == (f"{first.src}:50", f"{second.src}:2")


def test_all_chunks_are_read(make_data: MakeData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAIRS_PER_CHUNK", 7)
    blank = [*SRC[:14], *[""] * 7, *SRC[21:]]  # no pairs of the third chunk are kept
    rows = prepared(make_data((blank, TGT)))
    assert rows.texts(range(len(rows))) == (SRC[:14] + SRC[21:], TGT[:14] + TGT[21:])
    monkeypatch.setattr(module, "_CHARACTERS_PER_CHUNK", 1)
    assert len(prepared(make_data((SRC[1:], TGT[1:])))) == 49


def test_the_cache_is_used_the_second_time(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data()
    before = prepared(data)

    def build(*_: Any) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(module, "_build", build)
    after = prepared(data)
    assert after.report == before.report
    assert np.array_equal(after.src_lengths, before.src_lengths)


def test_the_cache_key_depends_on_text_filters_and_vocabulary(
    make_data: MakeData, tmp_path: Path
) -> None:
    def entries() -> int:
        return len(list((tmp_path / "cache").glob("pairs-*")))

    prepared(make_data((SRC, TGT)))
    prepared(make_data((SRC, TGT), drop_duplicates=True))
    prepared(make_data((SRC, TGT), max_length=99))
    prepared(make_data((SRC, TGT)), filtered=False)
    assert entries() == 4
    prepared(make_data((SRC, TGT), max_length=99), filtered=False)
    assert entries() == 4
    prepared(make_data((SRC[1:], TGT[1:])))
    assert entries() == 5
    prepared(make_data((TGT[1:], SRC[1:])))
    assert entries() == 6
    config, _ = make_data((SRC, TGT))
    other = config.model_copy(
        update={"tokenizer": config.tokenizer.model_copy(update={"vocab_size": 59})}
    )
    prepared((other, train_tokenizers(other)))
    assert entries() == 7


def test_names_and_weights_are_not_cached(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data((SRC, TGT))
    prepared(data)
    config = Config.model_validate(
        {
            "data": {
                **data[0].data.model_dump(),
                "train": {
                    "src": write_lines(tmp_path / "moved.en", SRC),
                    "tgt": write_lines(tmp_path / "moved.de", TGT),
                    "weight": 3,
                },
            }
        }
    )
    rows = prepared((config, data[1]))
    assert len(list((tmp_path / "cache").glob("pairs-*"))) == 1
    assert rows.report.corpora[0].name == "moved.en + moved.de"
    assert rows.origin(1) == f"{tmp_path / 'moved.en'}:2"
    assert rows.weights == [3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError("stop")])
def test_an_interruption_leaves_no_files(make_data: MakeData, tmp_path: Path, error: Any) -> None:
    def stop(what: str, done: int) -> None:
        raise error

    config, tokenizers = make_data()
    threads = threading.active_count()
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        prepare(config, tokenizers, config.data.train, filtered=True, progress=stop)
    assert [path.name for path in (tmp_path / "cache").iterdir() if "pairs" in path.name] == []
    assert threading.active_count() == threads


def test_progress_names_the_corpus_and_counts_its_pairs(make_data: MakeData) -> None:
    seen = []
    config, tokenizers = make_data((SRC, TGT), (SRC[:9], TGT[:9]))
    prepare(
        config, tokenizers, config.data.train, filtered=True, progress=lambda *a: seen.append(a)
    )
    assert seen == [("0.en + 0.de", 50), ("1.en + 1.de", 9)]


def test_two_processes_may_build_the_same_entry(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data()
    inner: list[Prepared] = []

    def other_process(what: str, done: int) -> None:
        if not inner:
            inner.append(prepared(data))  # starts later and finishes first

    config, tokenizers = data
    outer = prepare(config, tokenizers, config.data.train, filtered=True, progress=other_process)
    assert outer.report == inner[0].report
    assert len([p for p in (tmp_path / "cache").iterdir() if "pairs" in p.name]) == 1


def flip(path: Path) -> None:
    """Flip one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def overwrite(path: Path) -> None:
    """Overwrite 64 bytes in the middle with 0xff."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = b"\xff" * 64
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["pairs.arrow", "report.json", "checksums.json"])
@pytest.mark.parametrize(
    "damage", [flip, overwrite, lambda path: os.truncate(path, 100), os.unlink]
)
def test_a_damaged_entry_is_prepared_again(
    make_data: MakeData, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    config, tokenizers = make_data()
    warnings: list[str] = []
    load = functools.partial(
        prepare, config, tokenizers, config.data.train, filtered=True, warn=warnings.append
    )
    load()
    [entry] = (tmp_path / "cache").glob("pairs-*")
    intact = {path.name: path.read_bytes() for path in entry.iterdir()}
    assert load().report.corpora[0].kept == len(SRC)
    assert warnings == []
    damage(entry / name)
    load()
    [warning] = warnings
    assert warning.startswith(f"warning: {entry}")
    assert warning.endswith("; building it again")
    assert {path.name: path.read_bytes() for path in entry.iterdir()} == intact
    assert len([p for p in (tmp_path / "cache").iterdir() if "pairs" in p.name]) == 1


def test_a_damaged_tokenizer_is_trained_again(make_data: MakeData, tmp_path: Path) -> None:
    config, _ = make_data()
    [entry] = (tmp_path / "cache").glob("tokenizer-*")
    intact = (entry / "spm.model").read_bytes()
    flip(entry / "spm.model")
    warnings: list[str] = []
    assert train_tokenizers(config, None, warnings.append).src.serialized() == intact
    assert warnings == [
        f"warning: {entry / 'spm.model'}: damaged: its checksum does not match; building it again"
    ]


def test_an_unwritable_cache_is_an_error(make_data: MakeData, tmp_path: Path) -> None:
    config, tokenizers = make_data()
    write_lines(tmp_path / "file", b"")
    config = Config.model_validate(
        {"data": {**config.data.model_dump(), "cache_dir": str(tmp_path / "file")}}
    )
    with pytest.raises(FileError, match=r"cannot write the cache.*data\.cache_dir"):
        prepared((config, tokenizers))


def test_datasets_can_open_the_file(make_data: MakeData, tmp_path: Path) -> None:
    import datasets

    rows = prepared(make_data())
    [entry] = (tmp_path / "cache").glob("pairs-*")
    opened = datasets.Dataset.from_file(str(entry / "pairs.arrow"))
    assert opened["src"][:] == SRC
    assert opened[3]["src_ids"] == rows.rows([3])[0][0].tolist()
