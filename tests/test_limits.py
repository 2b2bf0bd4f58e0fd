"""Enormous numbers in every setting that takes a number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import run_nmt
from nmt import limits
from nmt.config.load import load_config
from nmt.config.schema import Config
from nmt.console import Console
from nmt.errors import ConfigError
from nmt.evaluation.metrics import EvaluateOptions
from nmt.runs import checkpoint
from nmt.training.device import set_up_device
from nmt.training.run import train

CORPORA = {
    "FilesCorpus": "{src: a, tgt: b}",
    "TsvCorpus": "{tsv: a}",
    "JsonlCorpus": "{jsonl: a}",
    "ParquetCorpus": "{parquet: a}",
    "DatasetCorpus": "{dataset: a}",
    "DemoCorpus": "{demo: train}",
}
MODELS = {"RecurrentConfig": "rnn", "ConvolutionalConfig": "conv"}


def numbers() -> Iterator[tuple[str, str, list[str]]]:
    """Yield type, key, and the overrides that the key needs, of each number in the schema."""
    schema = Config.model_json_schema()

    def walk(node: dict[str, Any], key: str, needs: list[str]) -> Iterator[Any]:
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            if name in CORPORA:
                needs = [*needs, f"data.train={CORPORA[name]}"]
            elif name in MODELS:
                needs = [*needs, f"model={{kind: {MODELS[name]}}}"]
            node = schema["$defs"][name]
        if node.get("type") in ("integer", "number"):
            yield node["type"], key, needs
        for name, child in node.get("properties", {}).items():
            yield from walk(child, f"{key}.{name}" if key else name, needs)
        for child in node.get("anyOf", []) + node.get("oneOf", []):
            yield from walk(child, key, needs)
        if "items" in node:
            yield from walk(node["items"], f"{key}.0", needs)
        for place, child in enumerate(node.get("prefixItems", [])):
            yield from walk(child, f"{key}.{place}", needs)

    schema.pop("anyOf", None)  # required keys, not alternatives
    yield from walk(schema, "", [])


NUMBERS = [
    (kind, key, needs)
    for kind, key, needs in numbers()
    if not key.startswith(("data.valid.", "data.test."))
]


def test_every_section_has_numbers() -> None:
    keys = {key for _, key, _ in NUMBERS}
    assert len(keys) > 50
    assert keys >= {
        *("data.train.0.weight", "data.train.0.src_column", "data.max_length_ratio"),
        *("model.d_model", "model.positions.max_length", "model.d_hidden", "model.kernel_size"),
        *("train.seed", "train.betas.0", "decode.beam_size", "tokenizer.sampling_nbest"),
    }


@pytest.mark.parametrize(
    ("kind", "key", "needs"), NUMBERS, ids=[f"{key} {needs}" for _, key, needs in NUMBERS]
)
def test_no_number_is_too_large_for_a_message(
    tmp_path: Path, kind: str, key: str, needs: list[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: {src_lang: en, tgt_lang: de, train: {demo: train}}", "utf-8")
    base = ["tokenizer.type=unigram", *needs]
    if key.startswith("train.betas"):
        base.append("train.betas=[0.9, 0.98]")
    load_config(path, base)
    enormous = {
        "integer": [str(10**19), str(-(10**19))],
        "number": ["1.0e+300", "-1.0e+300", ".inf", "-.inf", ".nan"],
    }
    for value in enormous[kind]:
        with pytest.raises(ConfigError, match=r"c\.yaml: ") as error:
            load_config(path, [*base, f"{key}={value}"])
        assert key.partition(".")[0] in str(error.value)
        assert re.search("less than|greater than|from 0 to", str(error.value))


@pytest.mark.parametrize(
    ("option", "limit"),
    [
        ("--threads", limits.MAX_THREADS),
        ("--beam-size", limits.MAX_BEAM_SIZE),
        ("--nbest", limits.MAX_BEAM_SIZE),
        ("--top-k", limits.MAX_VOCAB_SIZE),
        ("--batch-tokens", limits.MAX_BATCH_TOKENS),
        ("--max-extra-len", limits.MAX_LENGTH),
        ("--seed", limits.MAX_SEED),
        ("--length-penalty", 10),
    ],
)
def test_options_have_the_same_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, limit: int
) -> None:
    # With 1024 threads, all later tests in this process would take far longer.
    monkeypatch.setattr("torch.set_num_threads", lambda number: None)
    for value in (limit + 1, 10**19, -(10**19)):
        result = run_nmt("translate", tmp_path, option, value)
        assert result.exit_code == 2
        assert f"Invalid value for '{option}'" in result.output
    result = run_nmt("translate", tmp_path / "none", option, limit)
    assert "Invalid value" not in result.output


def test_every_generator_accepts_the_largest_seed(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "data: {src_lang: en, tgt_lang: de, train: {demo: valid}, cache_dir: cache}\n"
        "tokenizer: {vocab_size: 300, sampling_alpha: 0.1}\n"
        "model: {d_model: 16, num_heads: 2, d_ff: 16, encoder_layers: 1, decoder_layers: 1}\n"
        "train: {max_steps: 1, batch_tokens: 400, average: none, device: cpu}\n",
        "utf-8",
    )
    overrides = [f"train.seed={limits.MAX_SEED}", f"data.cache_dir={tmp_path / 'cache'}"]
    train(load_config(path, overrides), tmp_path / "run", Console(stderr=True))
    assert [entry.step for entry in checkpoint.list_checkpoints(tmp_path / "run")] == [1]


def test_a_model_too_large_for_memory_is_refused_before_it_is_built(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: {src_lang: en, tgt_lang: de, train: {demo: train}}", "utf-8")
    for kind in ("transformer", "rnn", "conv"):
        overrides = [f"model.kind={kind}", f"model.encoder_layers={limits.MAX_LAYERS}"]
        width = "d_ff=1000000" if kind == "transformer" else "d_hidden=60000"
        config = load_config(path, ["train.device=cpu", *overrides, f"model.{width}"])
        with pytest.raises(ConfigError, match=r"parameters without embeddings.* GB of memory"):
            set_up_device(config)


@pytest.mark.parametrize("seed", ["abc", "-1", "1.5", "", "²", str(2**32), "9" * 5000])
def test_an_invalid_bootstrap_seed_is_refused(monkeypatch: pytest.MonkeyPatch, seed: str) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", seed)
    with pytest.raises(ConfigError, match=r"SACREBLEU_SEED is .*; it must be a number from 0"):
        EvaluateOptions(confidence=True)
    EvaluateOptions()
    for good in ("none", "0", str(2**32 - 1)):
        monkeypatch.setenv("SACREBLEU_SEED", good)
        EvaluateOptions(confidence=True)


def test_a_number_with_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: {src_lang: en, tgt_lang: de, train: {demo: train}}", "utf-8")
    for value in ("9" * 5000, "1e" + "9" * 5000, "-" + "9" * 4000):
        with pytest.raises(ConfigError, match=r"c\.yaml: train\.max_steps: "):
            load_config(path, [f"train.max_steps={value}"])
