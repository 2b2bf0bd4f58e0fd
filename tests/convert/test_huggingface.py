"""Models of Hugging Face translate the same after import."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nmt
from command import run_nmt
from nmt.convert.importing import import_model
from nmt.errors import ConfigError, FileError
from nmt.runs.layout import load_run_config
from nmt.runs.model import load_model
from nmt.runs.parts import load_tokenizers

pytest.importorskip("transformers")

from .small_marian import LINES, LONGEST, OTHER_LINES, TEXTS, generated, write_marian

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


# Each model takes seconds to train; all that differ in one respect only are slow tests.
USUAL = ("opus", "relu, depths", "separate")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name in USUAL else pytest.mark.slow, id=name)
        for name in MODELS
    ],
)
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
    return ids, [text.strip() for text in tgt.decode(ids)]


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


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained") / "model"
    return write_marian(folder, steps=0, codes=[">>fr<<", ">>de<<"])


@pytest.fixture
def changed(untrained: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies the model with other keys in config.json."""

    def change(**keys: Any) -> Path:
        folder = Path(shutil.copytree(untrained, tmp_path / "changed"))
        config = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps({**config, **keys}), "utf-8")
        return folder

    return change


def test_text_is_segmented_as_before(untrained: Path, tmp_path: Path) -> None:
    from transformers import MarianTokenizer

    import_model(untrained, tmp_path / "run")
    src, tgt = load_tokenizers(tmp_path / "run")
    theirs = MarianTokenizer.from_pretrained(untrained)
    for text in (*LINES, *OTHER_LINES, ">>de<< " + LINES[0], LINES[0] + " >>xx<<"):
        known = [min(token, theirs.vocab_size) for token in src.encode([text])[0]]
        # Pieces that the vocabulary lacks follow it in nmt; Marian has only the unknown token.
        known = [src.unk_id if token == theirs.vocab_size else token for token in known]
        assert [*known, src.eos_id] == theirs(text)["input_ids"]
    target = list(TEXTS["target"][:40])
    for text, ids in zip(target, theirs(text_target=target)["input_ids"], strict=True):
        known = [
            token if token < theirs.vocab_size else tgt.unk_id for token in tgt.encode([text])[0]
        ]
        assert [*known, tgt.eos_id] == ids


def test_a_run_that_info_describes_and_training_starts_from(
    untrained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = run_nmt("import", untrained, "-o", run, "--tgt-lang", "fr")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    shown = run_nmt("info", run)
    assert shown.exit_code == 0
    assert "averaged: imported from the MarianMT model model" in shown.stdout
    assert "en → fr" in shown.stdout
    assert "swish, sinusoidal positions, attention bias, output bias" in " ".join(
        shown.stdout.split()
    )
    for command in (["train", run / "config.yaml"], ["shortlist", run]):
        refused = run_nmt(*command)
        assert refused.exit_code == 2
        assert "data.train: names no corpus" in refused.stderr
    (tmp_path / "further.yaml").write_text(
        f"extends: {run / 'config.yaml'}\n"
        "data: {train: {demo: train}}\n"
        f"train: {{init_from: {run}, max_steps: 2, batch_tokens: 300, average: none}}\n"
    )
    trained = run_nmt(
        "train", tmp_path / "further.yaml", "--run-dir", tmp_path / "further", "train.threads=1"
    )
    assert trained.exit_code == 0, trained.stderr
    start = load_model(run).network.state_dict()
    for name, weight in load_model(tmp_path / "further").network.state_dict().items():
        assert (weight - start[name]).abs().max() < 0.1


def test_the_search_is_that_of_the_model(changed: Callable[..., Path], tmp_path: Path) -> None:
    folder = changed()
    (folder / "generation_config.json").write_text('{"num_beams": 6, "length_penalty": 0.8}')
    import_model(folder, tmp_path / "run")
    decode = load_run_config(tmp_path / "run").decode
    assert (decode.beam_size, decode.length_penalty) == (6, 0.8)


def test_everything_that_nmt_lacks_is_named(changed: Callable[..., Path], tmp_path: Path) -> None:
    folder = changed(
        encoder_attention_heads=2, decoder_ffn_dim=10, activation_function="gelu_new", dropout="x"
    )
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(ConfigError) as error:
        import_model(folder, tmp_path / "run")
    for problem in ("attention_heads", "ffn_dim", "gelu_new", "dropout", "save_pretrained(NEW)"):
        assert problem in str(error.value)
    assert not (tmp_path / "run").exists()


def test_other_models_are_refused(changed: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model_type t5: only marian"):
        import_model(changed(model_type="t5"), tmp_path / "run")
    with pytest.raises(FileError, match="neither a MarianMT model"):
        import_model(tmp_path, tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", b"[]", "not a JSON object"),
        ("vocab.json", b'{"a": 1, "b": 1}', "another piece has it"),
        ("source.spm", b"no model", "not a SentencePiece model"),
        ("model.safetensors", b"no tensors", "cannot be loaded"),
        ("config.json", b"{", "cannot be read"),
    ],
)
def test_damaged_files_are_refused(
    changed: Callable[..., Path], tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder = changed()
    (folder / name).write_bytes(content)
    with pytest.raises(FileError, match=message):
        import_model(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_shape_are_refused(changed: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(FileError, match="describe one of shape"):
        import_model(changed(encoder_ffn_dim=50, decoder_ffn_dim=50), tmp_path / "run")


def test_an_existing_run_is_kept(untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("the user's")
    with pytest.raises(FileError, match="already exists"):
        import_model(untrained, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
