"""Where cached things are kept."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from nmt.config.data import DataConfig
from nmt.data import cache
from nmt.files import measure

DATA = {"src_lang": "en", "tgt_lang": "de", "train": {"demo": "train"}}


def test_the_directory_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataConfig.model_validate(DATA)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.delenv("NMT_CACHE_DIR", raising=False)
    assert cache.directory(data) == Path("/xdg/nmt")
    monkeypatch.setenv("NMT_CACHE_DIR", "/elsewhere")
    assert cache.directory(data) == Path("/elsewhere")
    named = DataConfig.model_validate({**DATA, "cache_dir": "here"})
    assert cache.directory(named) == Path("here")


class TestMeasured:
    """Checksums of files that have not changed."""

    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NMT_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setattr(cache, "_SETTLED_SECONDS", -1)
        monkeypatch.setattr(cache, "_LARGE_BYTES", 10)

    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """Return a list to which each file that is read is added."""
        read: list[Path] = []

        def counted(path: Path) -> dict[str, Any]:
            read.append(path)
            return measure(path)

        monkeypatch.setattr(cache, "measure", counted)
        return read

    def test_a_large_file_is_read_once(self, tmp_path: Path, reads: list[Path]) -> None:
        large, small = tmp_path / "large", tmp_path / "small"
        large.write_bytes(b"x" * 10)
        small.write_bytes(b"x" * 9)
        for path in [large, large, small, small]:
            assert cache.measured(path) == measure(path)
        assert reads == [large, small, small]

    def test_a_changed_file_is_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x" * 10)
        before = path.stat()
        cache.measured(path)
        for change in (b"y" * 10, b"z" * 11):
            time.sleep(0.02)  # the clock of a file system may tick only every 10 ms
            path.write_bytes(change)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert cache.measured(path) == measure(path)
        (tmp_path / "other").write_bytes(b"a" * 11)
        os.utime(tmp_path / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
        (tmp_path / "other").replace(path)
        assert cache.measured(path) == measure(path)

    def test_a_file_that_has_just_changed_is_not_remembered(
        self, tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cache, "_SETTLED_SECONDS", 60)
        path = tmp_path / "file"
        path.write_bytes(b"x" * 10)
        cache.measured(path)
        cache.measured(path)
        assert reads == [path, path]

    def test_a_cache_that_cannot_be_used_is_no_error(
        self, tmp_path: Path, reads: list[Path]
    ) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x" * 10)
        (tmp_path / "cache").write_text("not a directory")
        assert cache.measured(path) == measure(path)
        (tmp_path / "cache").unlink()
        cache.measured(path)
        [memory] = (tmp_path / "cache" / "measured").iterdir()
        for damage in ("", "[]", "{}", "null"):
            memory.write_text(damage)
            assert cache.measured(path) == measure(path)
        assert len(reads) == 6
