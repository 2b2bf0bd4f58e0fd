"""Models exported to Hugging Face translate the same there, and after import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt.config.schema import Config
from nmt.config.search import SearchOptions
from nmt.convert.huggingface_export import export_huggingface, reasons
from nmt.convert.importing import import_model
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, FileError
from nmt.runs.model import TrainedModel, load_model
from nmt.translate.torch_engine import Networks

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": ("joint", {}),
    "swish, biases, depths": (
        "joint",
        {
            "activation": "swish",
            "attention_bias": True,
            "output_bias": True,
            "encoder_layers": 1,
            "tie_embeddings": "decoder",
        },
    ),
    "gelu, separate, untied": ("separate", {"activation": "gelu", "tie_embeddings": "none"}),
}


@pytest.fixture(scope="module", params=MODELS, ids=lambda name: name)
def model(request: pytest.FixtureRequest, make_model: Callable[..., TrainedModel]) -> TrainedModel:
    tokenizers, settings = MODELS[request.param]
    return make_model(request.getfixturevalue(tokenizers), **settings)


def translated(model: TrainedModel, lines: list[str], beams: int) -> list[list[int]]:
    engine = Networks([model])
    src, tgt = model.tokenizers
    options = SearchOptions(beam_size=beams, length_penalty=0.0)
    found = engine.search(
        [[*row, src.eos_id] for row in src.encode(lines)], [""] * len(lines), options
    )
    return [[token for token in best.ids if token != tgt.eos_id] for best, *_ in found]


@pytest.mark.parametrize("beams", [4, 1])
def test_transformers_translates_the_same(
    model: TrainedModel, lines: list[str], beams: int, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    from .small_marian import generated

    export_huggingface(model, tmp_path / "exported")
    # The forbidden tokens are those of generation_config.json.
    ids, texts = generated(tmp_path / "exported", lines, beams, bad_words_ids=None)
    ours = translated(model, lines, beams)
    assert ids == ours
    assert texts == [text.strip() for text in model.tokenizers.tgt.decode(ours)]
    assert len(set(texts)) > 15


def test_an_exported_model_can_be_imported(
    model: TrainedModel, lines: list[str], tmp_path: Path
) -> None:
    export_huggingface(model, tmp_path / "exported")
    import_model(tmp_path / "exported", tmp_path / "run")
    imported = load_model(tmp_path / "run")
    assert translated(imported, lines, 4) == translated(model, lines, 4)
    assert [each.vocab_size for each in imported.tokenizers] == [
        each.vocab_size for each in model.tokenizers
    ]
    assert imported.config.data.src_lang == "en"
    export_huggingface(imported, tmp_path / "again")
    import_model(tmp_path / "again", tmp_path / "run2")
    assert translated(load_model(tmp_path / "run2"), lines, 4) == translated(model, lines, 4)


def test_what_marian_lacks_is_refused_at_once(
    make_model: Callable[..., TrainedModel], joint: Tokenizers, tmp_path: Path
) -> None:
    model = make_model(
        joint,
        steps=0,
        norm="pre",
        activation="swiglu",
        decoder="ssru",
        d_k=3,
        positions={"kind": "learned", "combine": "concat"},
        tie_embeddings="none",
    )
    with pytest.raises(ConfigError) as error:
        export_huggingface(model, tmp_path / "exported")
    for key in ("norm", "activation", "decoder", "d_k", "positions.kind", "positions.combine"):
        assert f"model.{key}" in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["rnn", "conv"])
def test_only_transformers_can_be_exported(kind: str) -> None:
    data = {"src_lang": "en", "tgt_lang": "de", "train": {"demo": "train"}}
    config = Config.model_validate({"data": data, "model": {"kind": kind}})
    assert list(reasons(config)) == [f"model.kind {kind}: only transformer"]


def test_an_existing_directory_is_kept(
    make_model: Callable[..., TrainedModel], joint: Tokenizers, tmp_path: Path
) -> None:
    (tmp_path / "notes").write_text("the user's")
    with pytest.raises(FileError, match="already exists"):
        export_huggingface(make_model(joint, steps=0), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
