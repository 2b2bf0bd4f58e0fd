"""Prepared data: rows, caching, damage, and interruptions."""

from __future__ import annotations

import functools
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config.schema import Config
from nmt.data import chunks
from nmt.data import prepare as module
from nmt.data.builder import Builder
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
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
    monkeypatch.setattr(chunks, "_PAIRS_PER_CHUNK", 7)
    blank = [*SRC[:14], *[""] * 7, *SRC[21:]]  # no pairs of the third chunk are kept
    rows = prepared(make_data((blank, TGT)))
    assert rows.texts(range(len(rows))) == (SRC[:14] + SRC[21:], TGT[:14] + TGT[21:])
    monkeypatch.setattr(chunks, "_CHARACTERS_PER_CHUNK", 1)
    assert len(prepared(make_data((SRC[1:], TGT[1:])))) == 49


def test_the_cache_is_used_the_second_time(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data()
    before = prepared(data)

    def build(*_: Any) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(Builder, "build", build)
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


def test_two_processes_share_the_work(make_data: MakeData, tmp_path: Path) -> None:
    config, tokenizers = make_data((SRC, TGT), (SRC[:9], TGT[:9]))
    others: list[threading.Thread] = []
    seen: list[list[str]] = [[], []]
    rows: list[Prepared] = []

    def load(number: int) -> None:
        def progress(what: str, done: int) -> None:
            seen[number].append(what)
            if not others:  # starts while the first corpus is being prepared
                others.append(threading.Thread(target=load, args=(1,)))
                others[0].start()
                while seen[1] != ["1.en + 1.de", "waiting for another process"]:
                    time.sleep(0.01)

        rows.append(
            prepare(config, tokenizers, config.data.train, filtered=True, progress=progress)
        )

    load(0)
    others[0].join()
    assert seen[0] == ["0.en + 0.de"]
    assert rows[0].report == rows[1].report
    assert not [*(tmp_path / "cache").glob(".*")]


def test_helpers_prepare_the_same(
    make_data: MakeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(*[(SRC[number:], TGT[number:]) for number in range(4)])
    monkeypatch.setenv("NMT_CACHE_DIR", str(tmp_path / "other"))
    alone = prepared(data)
    monkeypatch.setattr(module, "_HELPER_BYTES", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    config = data[0].model_copy(
        update={"data": data[0].data.model_copy(update={"cache_dir": str(tmp_path / "helped")})}
    )
    # This process leaves the first corpus for the helpers to finish the others.
    helped: list[str] = []

    def progress(what: str, done: int) -> None:
        while not helped and len([*(tmp_path / "helped").glob("pairs-*")]) < 3:
            time.sleep(0.01)
        helped.append(what)

    rows = prepare(config, data[1], config.data.train, filtered=True, progress=progress)
    assert len(started) == 2
    assert {*helped} - {"waiting for another process"} == {"0.en + 0.de"}
    assert rows.report == alone.report
    assert rows.texts(range(len(rows))) == alone.texts(range(len(alone)))
    assert all(process.poll() is not None for process in started)


def test_a_killed_preparation_continues(make_data: MakeData, tmp_path: Path) -> None:
    config, tokenizers = make_data((SRC, TGT), (SRC[:9], TGT[:9]))
    read: list[str] = []

    def stop_at_the_second(what: str, done: int) -> None:
        read.append(what)
        if what == "1.en + 1.de":
            raise KeyboardInterrupt

    load = functools.partial(prepare, config, tokenizers, config.data.train, filtered=True)
    with pytest.raises(KeyboardInterrupt):
        load(progress=stop_at_the_second)
    assert len([*(tmp_path / "cache").glob("pairs-*")]) == 1
    assert len(load(progress=lambda what, done: read.append(what))) == 59
    assert read == ["0.en + 0.de", "1.en + 1.de", "1.en + 1.de"]


def test_what_a_killed_process_has_left_is_removed(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data()
    prepared(data)
    [entry] = (tmp_path / "cache").glob("pairs-*")
    entry.rename(entry.with_name(f".{entry.name}.0123abcd"))
    prepared(data)
    assert [path.name for path in (tmp_path / "cache").iterdir() if "pairs" in path.name] == [
        entry.name
    ]


def test_duplicates_are_dropped_across_corpora(make_data: MakeData) -> None:
    data = make_data((SRC, TGT), (SRC[10:], TGT[10:]), (TGT[:5], SRC[:5]), drop_duplicates=True)
    rows = prepared(data)
    assert rows.corpus_sizes == [50, 0, 5]
    assert rows.texts(range(55)) == (SRC + TGT[:5], TGT + SRC[:5])
    assert rows.origin(50) == f"{data[0].data.train[2].src}:1"  # type: ignore[union-attr]
    ids, _ = rows.rows([52])
    assert ids[0].tolist() == data[1].src.encode([TGT[2]])[0]
    assert rows.src_lengths[52] == len(ids[0]) + 1
    counts = rows.report.corpora[1]
    assert (counts.read, counts.kept, counts.src_tokens, counts.tgt_tokens) == (40, 0, 0, 0)
    assert vars(counts.tallies["duplicate"]) == {"count": 40, "first_line": 1}


def test_a_pattern_stands_for_a_corpus_per_file(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data((SRC, TGT), (SRC[:3], TGT[:3]))
    pattern = {"src": str(tmp_path / "*.en"), "tgt": str(tmp_path / "*.de"), "weight": 2}
    config = Config.model_validate({"data": {**data[0].data.model_dump(), "train": pattern}})
    rows = prepared((config, data[1]))
    assert rows.corpus_sizes == [50, 3]
    assert rows.weights == [2, 2]
    assert rows.report.corpora[1].name == "1.en + 1.de"
    assert rows.key == prepared(data).key


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
