"""Where cached things are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.config.data import DataConfig
from nmt.data import cache

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
