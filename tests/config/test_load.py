"""Configurations that extend others: merging, and the file that an error names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt.config.load import dump_config, load_config, load_model_config
from nmt.config.schema import Config
from nmt.errors import ConfigError, FileError, NmtError

BASE = """\
data:
  src_lang: en
  tgt_lang: de
  train: [{src: a.en, tgt: a.de, weight: 2}, {src: b.en, tgt: b.de}]
  valid: {demo: valid}
model:
  d_model: 64
  positions: {kind: learned, max_length: 300}
tokenizer: {user_defined_symbols: [x, y]}
train: {seed: 7, betas: [0.8, 0.9]}
"""

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """(text, *overrides, other=text): load `c.yaml`, next to which is `other.yaml`."""
    monkeypatch.chdir(tmp_path)

    def from_texts(text: str, *overrides: str, **others: str) -> Config:
        for name, content in {"c": text, "base": BASE, **others}.items():
            Path(f"{name}.yaml").write_text(content, "utf-8")
        return load_config("c.yaml", list(overrides))

    return from_texts


@pytest.fixture
def error_of(load: Load) -> Callable[..., str]:
    """The same for invalid configurations: the message of the error."""

    def message(text: str, *overrides: str, error: type[NmtError] = ConfigError, **o: str) -> str:
        with pytest.raises(error) as caught:
            load(text, *overrides, **o)
        return str(caught.value)

    return message


def value(config: Config, path: str) -> Any:
    node: Any = config.model_dump()
    for part in path.split("."):
        node = node[part]
    return node


# ---------------------------------------------------------------- merging


def test_keys_missing_from_a_file_come_from_the_file_it_extends(load: Load) -> None:
    assert load("extends: base.yaml") == load(BASE)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("train: {seed: 8}", "train.seed", 8),
        ("train: {seed: 8}", "train.betas", (0.8, 0.9)),  # a section is merged
        ("train: {betas: [0.1, 0.2]}", "train.betas", (0.1, 0.2)),
        ("train: {patience: 3}", "train.seed", 7),
        ("train: {}", "train.seed", 7),
        ("model: {d_ff: 8}", "model.d_model", 64),
        ("model: {positions: {max_length: 400}}", "model.positions.kind", "learned"),
        ("model: {positions: {kind: sinusoidal}}", "model.positions.kind", "sinusoidal"),
        ("tokenizer: {user_defined_symbols: [z]}", "tokenizer.user_defined_symbols", ["z"]),
        ("decode: {beam_size: 1}", "decode.beam_size", 1),  # a new section
        ("data: {tgt_lang: fr}", "data.src_lang", "en"),
        ("data: {valid: []}", "data.valid", []),
        # A corpus or a list of them replaces all: mixed keys would have no kind.
        ("data: {train: {tsv: f}}", "data.train", [{"tsv": "f"}]),
        ("data: {train: [{jsonl: f, src_key: k}]}", "data.train", [{"jsonl": "f", "src_key": "k"}]),
        ("data: {valid: {src: v, tgt: w}}", "data.valid", [{"src": "v", "tgt": "w"}]),
    ],
)
def test_sections_are_merged_and_the_rest_is_replaced(
    load: Load, text: str, path: str, expected: Any
) -> None:
    actual = value(load(f"extends: base.yaml\n{text}"), path)
    if isinstance(expected, list) and expected and isinstance(expected[0], dict):
        [corpus], [keys] = actual, expected
        assert keys.items() <= corpus.items()
        assert corpus["weight"] == 1.0
    else:
        assert actual == expected


def test_an_empty_value_restores_the_default(load: Load) -> None:
    base = BASE.replace("d_model: 64", "d_k: 9")
    assert load("extends: base.yaml", base=base).model.d_k == 9
    assert load("extends: base.yaml\nmodel: {d_k: }", base=base).model.d_k is None


def test_a_chain_applies_from_its_last_file_to_its_first(load: Load) -> None:
    config = load(
        "extends: one.yaml\ntrain: {seed: 9}",
        one="extends: two.yaml\ntrain: {seed: 8, max_steps: 88}",
        two="extends: base.yaml\ntrain: {max_steps: 77, warmup_steps: 66}",
    )
    train = config.train
    assert (train.seed, train.max_steps, train.warmup_steps) == (9, 88, 66)
    assert config.model.d_model == 64


def test_overrides_apply_last(load: Load) -> None:
    config = load("extends: base.yaml\ntrain: {seed: 8}", "train.seed=9", "data.train.1.weight=3")
    assert config.train.seed == 9
    assert [corpus.weight for corpus in config.data.train] == [2.0, 3.0]


def test_paths_are_relative_to_the_file_that_contains_them(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "base.yaml").write_text(BASE, "utf-8")
    (tmp_path / "deep" / "middle.yaml").write_text("extends: ../base.yaml", "utf-8")
    leaf = tmp_path / "deep" / "er" / "leaf.yaml"
    leaf.write_text("extends: ../middle.yaml", "utf-8")
    assert load_config(leaf).train.seed == 7
    leaf.write_text(f"extends: {tmp_path / 'base.yaml'}", "utf-8")
    assert load_config(leaf).train.seed == 7


def test_a_dumped_configuration_extends_nothing(load: Load, tmp_path: Path) -> None:
    config = load("extends: base.yaml\ntrain: {seed: 8}")
    assert "extends" not in dump_config(config)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "config.yaml").write_text(dump_config(config), "utf-8")
    assert load_config(tmp_path / "elsewhere" / "config.yaml") == config


CONV = BASE.replace("positions: {kind: learned,", "kind: conv\n  positions: {")


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        # The same kind, whether both files name it, one or neither: merged key by key.
        ("kind: transformer, d_ff: 8", BASE, {"d_model": 64, "d_ff": 8}),
        ("d_hidden: 8", CONV, {"kind": "conv", "d_model": 64, "d_hidden": 8}),
        ("kind: conv, positions: {}", CONV, {"d_model": 64, "positions": {"max_length": 300}}),
        ("kind: conv, kernel_size: 5", CONV, {"d_model": 64, "kernel_size": 5}),
        # Another kind: nothing is kept, not even keys that both have.
        ("kind: rnn", BASE, {"kind": "rnn", "d_model": 620}),
        ("kind: transformer, dropout: 0.2", CONV, {"kind": "transformer", "d_model": 512}),
        ("kind: conv, d_hidden: 8", BASE, {"d_model": 512, "positions": {"max_length": 512}}),
    ],
)
def test_a_model_of_another_kind_replaces_the_extended_one(
    load: Load, text: str, base: str, expected: dict[str, Any]
) -> None:
    model = load(f"extends: base.yaml\nmodel: {{{text}}}", base=base).model.model_dump()
    assert expected.items() <= model.items()


def test_an_unknown_kind_is_refused_in_either_file(error_of: Callable[..., str]) -> None:
    expected = "model.kind: must be one of transformer, rnn, conv"
    lstm = CONV.replace("kind: conv", "kind: lstm")
    for base in (BASE, CONV, lstm):
        assert expected in error_of("extends: base.yaml\nmodel: {kind: lstm}", base=base)
        assert expected in error_of("extends: base.yaml\nmodel: {kind: [a]}", base=base)
    assert f"{expected}, not 'lstm' (in base" in error_of(
        "extends: base.yaml\nmodel: {dropout: 0.2}", base=lstm
    )


def test_a_key_of_another_kind_names_its_file(error_of: Callable[..., str]) -> None:
    base = CONV.replace("d_model: 64", "num_heads: 4")
    message = error_of("extends: base.yaml\nmodel: {d_ff: 8}", base=base)
    assert "model.num_heads: unknown key: it belongs to model.kind transformer (in base" in message
    assert "model.d_ff: unknown key: it belongs to model.kind transformer\n" in message + "\n"


# ---------------------------------------------------------------- invalid files


def test_circles_are_refused_with_their_files(error_of: Callable[..., str]) -> None:
    message = error_of("extends: one.yaml", one="extends: two.yaml", two="extends: ./one.yaml")
    expected = "c.yaml extends one.yaml extends two.yaml extends one.yaml"
    assert message == f"c.yaml: circular extends: {expected}"
    assert "c.yaml extends c.yaml" in error_of("extends: c.yaml")


def test_a_circle_through_a_link(error_of: Callable[..., str]) -> None:
    os.symlink("c.yaml", "link.yaml")
    assert "c.yaml extends link.yaml" in error_of("extends: link.yaml")


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_an_unreadable_file_is_named_with_the_file_that_extends_it(
    error_of: Callable[..., str], name: str
) -> None:
    message = error_of("extends: one.yaml", one=f"extends: {name}", error=FileError)
    assert message.startswith(f"{name}: cannot be read: ")
    assert message.endswith(" (one.yaml extends it)")


def test_an_invalid_path(error_of: Callable[..., str]) -> None:
    message = error_of('extends: "a\\0b"', error=FileError)
    assert "cannot be read: embedded null byte (c.yaml extends it)" in message


@pytest.mark.parametrize("extended", ["[base.yaml]", "3", "{base: yaml}"])
def test_only_one_path_can_be_extended(error_of: Callable[..., str], extended: str) -> None:
    message = error_of(f"extends: {extended}")
    assert message == "c.yaml: extends: must be the path of one file"


def test_only_a_file_extends_and_only_at_its_top(error_of: Callable[..., str]) -> None:
    assert "extends: it is allowed in files only" in error_of(BASE, "extends=base.yaml")
    message = error_of("extends: base.yaml\nmodel: {extends: base.yaml}")
    assert "model.extends: unknown key: did you mean extends?" in message


@pytest.mark.parametrize("text", ["", "- a"])
def test_the_extended_file_must_be_a_configuration(error_of: Callable[..., str], text: str) -> None:
    message = error_of("extends: other.yaml", other=text)
    assert message.startswith("other.yaml: the configuration must be a mapping")


def test_a_number_with_too_many_digits_is_not_repeated(error_of: Callable[..., str]) -> None:
    message = error_of("train: {seed: " + "9" * 5000 + "}")
    assert message.endswith("not valid YAML: a number with too many digits")


def test_invalid_yaml_is_named_with_its_line(error_of: Callable[..., str]) -> None:
    assert error_of("extends: other.yaml", other="a: 1\na: 2").startswith(
        "other.yaml:2:1: not valid"
    )


# ---------------------------------------------------------------- the file of an error


def test_an_unknown_key_with_the_name_of_a_type(error_of: Callable[..., str]) -> None:
    assert "train.int: unknown key" in error_of(BASE.replace("{seed: 7", "{int: 7"))


def test_an_error_names_its_file(error_of: Callable[..., str]) -> None:
    base = BASE + "decode: {beem_size: 3, max_extra_len: -1, batch_tokens: 0, length_penalty: -1}"
    message = error_of(
        "extends: base.yaml\ndecode: {batch_tokens: -2}\ntrian: {}",
        "decode.length_penalty=-3",
        base=base.replace("betas: [0.8, 0.9]", "betas: [0.8, 1.0]").replace("demo", "dem"),
    )
    lines = message.split("\n")
    assert lines[0] == "c.yaml: 7 errors"
    expected = {
        "decode.beem_size: unknown key: did you mean beam_size? (in base.yaml)",
        "train.betas.1: must be less than 1, not 1.0 (in base.yaml)",
        "decode.batch_tokens: must be greater than 0, not -2",
        "trian: unknown key: did you mean train?",
        "decode.length_penalty: must be greater than or equal to 0, not -3",
    }
    assert expected <= {line.strip() for line in lines}
    assert any(
        "data.valid.0: must be a corpus" in line and "(in base.yaml)" in line for line in lines
    )


def test_a_conflict_between_files_names_neither(error_of: Callable[..., str]) -> None:
    message = error_of("extends: base.yaml\nmodel: {num_heads: 7}")
    assert "d_model 64 is not a multiple of num_heads 7" in message
    assert "(in" not in message
    assert "(in" not in error_of(
        "extends: base.yaml\ndata: {tgt_lang: }", base="data: {src_lang: e}"
    )


def test_an_overridden_corpus_belongs_to_no_file(error_of: Callable[..., str]) -> None:
    message = error_of("extends: base.yaml", "data.train.0.tsv=x")
    assert "data.train.0.tsv: unknown key" in message
    assert "(in" not in message


def test_a_section_replaces_a_value(error_of: Callable[..., str], load: Load) -> None:
    base = BASE.replace("train: {seed: 7, betas: [0.8, 0.9]}", "train:")
    assert "train: " in error_of("extends: base.yaml", base=base)
    assert load("extends: base.yaml\ntrain: {seed: 3}", base=base).train.seed == 3
    message = error_of("extends: base.yaml\ntrain: {keep_last: 1}", base=base)
    assert "keep_last >= 5" in message
    assert "(in" not in message


def test_only_the_configuration_of_a_model_may_have_no_training_data(
    error_of: Callable[..., str], tmp_path: Path, load: Load
) -> None:
    text = "data: {src_lang: en, tgt_lang: de, train: []}\n"
    assert "c.yaml: data.train: names no corpus to train on" in error_of(text)
    assert load_model_config(tmp_path / "c.yaml").data.train == []
    further = load("extends: imported.yaml\ndata: {train: {demo: train}}\n", imported=text)
    assert len(further.data.train) == 1
