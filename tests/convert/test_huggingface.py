"""Models of Hugging Face translate the same after import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nmt
from nmt.convert.importing import import_model

pytest.importorskip("transformers")

from .small_marian import LINES, LONGEST, OTHER_LINES, generated, write_marian

MODELS: dict[str, dict[str, Any]] = {
    "opus": {},
    "relu, depths": {"activation_function": "relu", "encoder_layers": 3, "decoder_layers": 1},
    "gelu, unscaled": {"activation_function": "gelu", "scale_embedding": False},
    "untied": {"share_encoder_decoder_embeddings": False, "tie_word_embeddings": False},
    "untied, unscaled": {
        "share_encoder_decoder_embeddings": False,
        "tie_word_embeddings": False,
        "scale_embedding": False,
    },
    "separate": {"separate": True, "share_encoder_decoder_embeddings": False},
    "bpe": {"spm": "bpe"},
}


@pytest.fixture(scope="module", params=MODELS, ids=lambda name: name)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marian") / "model"
    return write_marian(folder, **MODELS[request.param])


def translated(
    run: Path, lines: list[str], beams: int, engine: str
) -> tuple[list[list[int]], list[str]]:
    """Return the ids and the text of translations by nmt."""
    model = nmt.load(run, engine=engine, threads=1)
    options = model.translator(
        {"beam_size": beams, "length_penalty": 0.0, "max_extra_len": 200}
    ).options
    src, tgt = model.engine.models[0].tokenizers
    ids = []
    for row in src.encode(lines):
        [[best, *_]] = model.engine.search([[*row, src.eos_id]], ["1.0"], options)
        ids.append(list(best.ids)[: LONGEST - 1])
    return ids, tgt.decode(ids)


@pytest.mark.parametrize("beams", [4, 1])
def test_translations_are_the_same(folder: Path, beams: int, tmp_path: Path) -> None:
    import_model(folder, tmp_path / "run")
    expected = generated(folder, LINES, beams)
    assert len(set(expected[1])) > 15
    for engine in ("nmt", "ctranslate2"):
        assert translated(tmp_path / "run", LINES, beams, engine) == expected
    # Where many hypotheses are about as good, the beam of CTranslate2 may find others.
    expected = generated(folder, OTHER_LINES, beams)
    assert translated(tmp_path / "run", OTHER_LINES, beams, "nmt") == expected
