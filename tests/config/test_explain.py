"""Messages about invalid configurations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.config.explain import _SYNONYMS, _known_keys
from nmt.config.load import load_config
from nmt.errors import ConfigError

BASE = "data: {src_lang: en, tgt_lang: de, train: {demo: train}}\n"


@pytest.fixture
def error_of(tmp_path: Path) -> Callable[[str], str]:
    """(override): the message of the ConfigError that the override causes."""

    def load(override: str) -> str:
        path = tmp_path / "c.yaml"
        path.write_text(BASE, "utf-8")
        with pytest.raises(ConfigError) as caught:
            load_config(path, [override])
        return str(caught.value).removeprefix(f"{path}: ")

    return load


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.lr=1", "train.lr: unknown key: did you mean learning_rate?"),
        ("lr=1", "lr: unknown key: did you mean train.learning_rate?"),
        ("train.batch-size=32", "did you mean batch_tokens? It counts tokens, not sentences"),
        ("train.bsz=32", "did you mean batch_tokens?"),
        ("train.epochs=3", "did you mean max_steps? It counts steps"),
        ("train.label_smoothing_eps=3", "did you mean label_smoothing?"),
        ("model.layers=3", "did you mean encoder_layers?"),
        ("model.heads=3", "did you mean num_heads?"),
        ("model.emb_dim=3", "did you mean d_model?"),
        ("model.ffn=3", "did you mean d_ff?"),
        ("data.vocab=3", "did you mean tokenizer.vocab_size?"),
        ("data.max_len=3", "did you mean max_length?"),
    ],
)
def test_keys_of_other_toolkits(
    error_of: Callable[[str], str], override: str, expected: str
) -> None:
    assert expected in error_of(override)


def test_synonyms_map_to_keys_and_are_not_keys() -> None:
    known = set(_known_keys("transformer"))
    assert {meant.partition(" ")[0] for meant in _SYNONYMS.values()} <= known
    for synonym, meant in _SYNONYMS.items():
        section = meant.partition(" ")[0].rpartition(".")[0]
        assert f"{section}.{synonym}" not in known, synonym


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.src_lang=no", "data.src_lang: must be text, not false (YAML reads no"),
        ("data.src_lang=no", 'write it in quotes, as in "no"'),
        ("data.tgt_lang=on", "not true (YAML reads yes and on as true): if"),
        ("data.tgt_lang=12", "must be text, not the number 12: write it in quotes, as in"),
        ("data.tgt_lang=1.0e+5", "must be text, not the number 100000.0: write it in"),
        ("data.tgt_lang=2020-01-02", "must be text, not a date: write it in quotes"),
        ("data.tgt_lang=", "data.tgt_lang: must be text, not empty"),
        ("data.tgt_lang=[de]", "must be text, not a list"),
        ("train.average=off", "not false (YAML reads no and off as false): if"),
        ("data=3", "data: must be a section, with keys such as src_lang, tgt_lang, train, not"),
        ("data=3", "not the number 3"),
        ("train=[1]", "train: must be a section, with keys such as max_steps"),
        ("train=", "not empty"),
        ("tokenizer=bpe", "not the text 'bpe'"),
        ("model=3", "model: must be a section, with keys such as kind, d_model"),
        ("data.train=3", "must be a corpus, such as {src: FILE, tgt: FILE}, or a list"),
        ("data.valid=de", "must be a corpus, such as {src: FILE, tgt: FILE}, or a list"),
        ("data.train=[3]", "must be a corpus: {src"),
        ("train.max_steps=many", "must be a whole number, not the text 'many'"),
        ("train.max_steps=1.5", "must be a whole number, not the number 1.5"),
        ("train.max_steps=yes", "must be a whole number, not true (YAML reads yes"),
        ("model.dropout=no", "must be a number, not false (YAML reads no"),
        ("train.learning_rate=on", "must be a number, not true"),
        ("train.max_steps={a: 1}", "must be a whole number, not a section of keys"),
        ("train.betas=3", "must be a list, not the number 3"),
        ("model.dropout=x", "must be a number, not the text 'x'"),
        ("data.drop_duplicates=3", "must be true or false, not the number 3"),
    ],
)
def test_wrong_types(error_of: Callable[[str], str], override: str, expected: str) -> None:
    message = error_of(override)
    assert expected in message
    assert not any(word in message for word in ("Config", "dictionary", "instance"))
