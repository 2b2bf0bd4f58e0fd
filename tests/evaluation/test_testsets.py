"""Test sets are read from sacreBLEU's cache, or refused with a clear message."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest
import sacrebleu.dataset

from nmt.config.schema import Config
from nmt.errors import ConfigError, FileError
from nmt.evaluation.testsets import read_test_data, read_test_set


def test_cached_test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = sacrebleu.dataset.DATASETS["wmt14/full"]
    monkeypatch.setattr(dataset, "_outdir", str(tmp_path))
    for field in dataset.fieldnames("en-de"):
        path = Path(dataset._get_txt_file_path("en-de", field))
        path.write_text(f"{field} 1\n{field}\u20282\n", encoding="utf-8")
    src, refs = read_test_set("wmt14/full", "en-de")
    assert src == ["src 1", "src\u20282"]
    assert refs == [["ref 1", "ref\u20282"]]


def test_context_ends_with_a_document_of_a_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = sacrebleu.dataset.DATASETS["wmt14/full"]
    monkeypatch.setattr(dataset, "_outdir", str(tmp_path))
    for field in dataset.fieldnames("en-de"):
        path = Path(dataset._get_txt_file_path("en-de", field))
        path.write_text("a\na\nb\n" if field == "docid" else "1\n2\n3\n", encoding="utf-8")
    data = {"src_lang": "en", "tgt_lang": "de", "train": {"src": "s", "tgt": "t"}, "context": 1}
    config = Config.model_validate({"data": data})
    assert read_test_data(config, test_set="wmt14/full").contexts == [(), ("1",), ()]


def test_test_set_that_cannot_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = sacrebleu.dataset.DATASETS["wmt14/full"]
    monkeypatch.setattr(dataset, "_outdir", str(tmp_path))
    monkeypatch.setattr(dataset, "_rawdir", str(tmp_path / "raw"))

    def refuse(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(FileError, match=r"wmt14/full en-de: .*no network"):
        read_test_set("wmt14/full", "en-de")


def test_unknown_test_sets_and_language_pairs() -> None:
    with pytest.raises(ConfigError, match="wmt14/full"):
        read_test_set("wmt14/ful", "en-de")
    with pytest.raises(ConfigError, match=r"'xx-yy'.*de-en"):
        read_test_set("wmt14/full", "xx-yy")
