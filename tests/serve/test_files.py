"""Translated files that wait to be downloaded."""

from __future__ import annotations

import pytest

from nmt.serve import files
from nmt.serve.files import TranslatedFiles


def test_files_are_kept_for_some_time_and_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(files.time, "monotonic", lambda: now)
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1000)
    kept = TranslatedFiles()
    small = [kept.add("a.txt", "de", b"x") for _ in range(200)]
    assert all(map(kept.find, small))
    large = kept.add("b.txt", "de", b"x" * 900)
    assert [bool(kept.find(key)) for key in small] == [False] * 100 + [True] * 100
    now += files.FILE_SECONDS
    later = kept.add("c.txt", "de", b"x")
    assert [bool(kept.find(key)) for key in (small[-1], large, later)] == [False, False, True]
