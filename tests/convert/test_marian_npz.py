"""Models in Marian's own format translate like the same models of Hugging Face."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nmt.convert.importing import import_model
from nmt.errors import ConfigError, FileError
from nmt.runs.layout import load_run_config

pytest.importorskip("transformers")

from .small_marian import LINES, generated, write_marian, write_npz
from .test_huggingface import translated

MODELS: dict[str, dict[str, Any]] = {
    "tied": {},
    "separate": {"separate": True, "share_encoder_decoder_embeddings": False},
    "untied": {
        "share_encoder_decoder_embeddings": False,
        "tie_word_embeddings": False,
        "activation_function": "relu",
    },
}
LANGUAGES = {"src_lang": "en", "tgt_lang": "de"}


@pytest.fixture(scope="module", params=MODELS, ids=lambda name: name)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marian") / "model"
    return write_marian(folder, zero_start=True, **MODELS[request.param])


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("npz")
    write_marian(folder / "model", steps=0)
    return write_npz(folder / "npz", folder / "model")


def test_translations_are_the_same(folder: Path, tmp_path: Path) -> None:
    npz = write_npz(tmp_path / "npz", folder)
    import_model(npz, tmp_path / "run", **LANGUAGES)
    for engine in ("nmt", "ctranslate2"):
        assert translated(tmp_path / "run", LINES, 4, engine) == generated(folder, LINES, 4)
    decode = load_run_config(tmp_path / "run").decode
    assert (decode.beam_size, decode.length_penalty) == (6, 1.0)


def test_the_languages_must_be_named(npz: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give `src_lang` and `tgt_lang`"):
        import_model(npz, tmp_path / "run", src_lang="en")
    assert not list(tmp_path.iterdir())


def test_everything_that_nmt_lacks_is_named(npz: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for path in npz.iterdir():
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model" / "source.spm").unlink()
    arrays = dict(np.load(npz / "model.npz"))
    options = yaml.safe_load(arrays["special:model.yml"].tobytes()[:-1])
    options |= {"transformer-preprocess": "n", "transformer-ffn-activation": "gelu"}
    content = json.dumps(options).encode() + b"\0"
    arrays["special:model.yml"] = np.frombuffer(content, np.int8)
    arrays["Wpos"] = np.zeros((3, 3), np.float32)
    np.savez(tmp_path / "model" / "model.npz", **arrays)
    with pytest.raises(ConfigError) as error:
        import_model(tmp_path / "model", tmp_path / "run", **LANGUAGES)
    for problem in ("transformer-preprocess: n", "activation: gelu", "Wpos", "source.spm: missing"):
        assert problem in str(error.value)


@pytest.mark.parametrize("damage", ["objects", "truncated", "weight"])
def test_damaged_weights_are_refused(npz: Path, tmp_path: Path, damage: str) -> None:
    (tmp_path / "model").mkdir()
    for path in npz.iterdir():
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    target = tmp_path / "model" / "model.npz"
    arrays = dict(np.load(npz / "model.npz"))
    if damage == "objects":
        np.savez(target, **{**arrays, "Wemb": np.array([{}], dtype=object)})
    elif damage == "truncated":
        target.write_bytes(target.read_bytes()[:-1000])
    else:
        np.savez(target, **{k: v for k, v in arrays.items() if k != "encoder_l1_self_Wq"})
    with pytest.raises(FileError, match=r"model\.npz: "):
        import_model(tmp_path / "model", tmp_path / "run", **LANGUAGES)
