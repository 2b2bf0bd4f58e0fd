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
        ("data.src_lang=no", "data.src_lang: it takes text, but it is false, as YAML reads no"),
        ("data.src_lang=no", 'write it in quotes, as in "no"'),
        ("data.tgt_lang=on", "it is true, as YAML reads yes, on and true: if"),
        ("data.tgt_lang=12", "it takes text, but it is the number 12: write it in quotes, as in"),
        ("data.tgt_lang=1.0e+5", "it takes text, but it is the number 100000.0: write it in"),
        ("data.tgt_lang=2020-01-02", "it takes text, but it is a date: write it in quotes"),
        ("data.tgt_lang=", "data.tgt_lang: it takes text, but it is empty"),
        ("data.tgt_lang=[de]", "it takes text, but it is a list"),
        ("train.average=off", "but it is false, as YAML reads no, off and false: if"),
        ("data=3", "data: it takes a section, with keys such as src_lang, tgt_lang, train, but"),
        ("data=3", "but it is the number 3"),
        ("train=[1]", "train: it takes a section, with keys such as max_steps"),
        ("train=", "but it is empty"),
        ("tokenizer=bpe", "but it is the text 'bpe'"),
        ("model=3", "model: it takes a section, with keys such as kind, d_model"),
        ("data.train=3", "it takes a corpus, such as {src: FILE, tgt: FILE}, or a list"),
        ("data.valid=de", "it takes a corpus, such as {src: FILE, tgt: FILE}, or a list"),
        ("data.train=[3]", "a corpus is one of"),
        ("train.max_steps=many", "it takes a whole number, but it is the text 'many'"),
        ("train.max_steps=1.5", "it takes a whole number, but it is the number 1.5"),
        ("train.max_steps=yes", "it takes a whole number, but it is true, as YAML reads yes"),
        ("model.dropout=no", "it takes a number, but it is false, as YAML reads no"),
        ("train.learning_rate=on", "it takes a number, but it is true"),
        ("train.max_steps={a: 1}", "it takes a whole number, but it is a section of keys"),
        ("train.betas=3", "it takes a list, but it is the number 3"),
        ("model.dropout=x", "it takes a number, but it is the text 'x'"),
        ("data.drop_duplicates=3", "it takes true or false, but it is the number 3"),
    ],
)
def test_wrong_types(error_of: Callable[[str], str], override: str, expected: str) -> None:
    message = error_of(override)
    assert expected in message
    assert not any(word in message for word in ("Config", "dictionary", "instance"))
