"""A model exported to CTranslate2 translates as it does in nmt."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import pytest
import torch

from nmt.config.load import load_config
from nmt.config.schema import Config
from nmt.config.search import SearchOptions
from nmt.convert.ctranslate2 import export_ctranslate2
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.errors import ConfigError, FileError
from nmt.model.build import make_network
from nmt.runs.manifest import read_manifest
from nmt.runs.model import TrainedModel
from nmt.translate.ct2_engine import CTranslate2Engine
from nmt.translate.torch_engine import Networks
from nmt.translate.translation import Translation
from nmt.translate.translator import Translator

LEARNED = {"kind": "learned", "max_length": 64}
BIASES = {"attention_bias": True, "output_bias": True}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": ("joint", {}),
    "pre-norm, untied": ("joint", {"norm": "pre", "tie_embeddings": "none"}),
    "separate vocabularies": ("separate", {"tie_embeddings": "decoder"}),
    "separate, untied, pre-norm, gelu, depths": (
        "separate",
        {"tie_embeddings": "none", "norm": "pre", "activation": "gelu", "encoder_layers": 1},
    ),
    "swiglu, learned positions": ("joint", {"activation": "swiglu", "positions": LEARNED}),
    "concatenated positions": (
        "separate",
        {"tie_embeddings": "none", "positions": {**LEARNED, "combine": "concat", "width": 5}},
    ),
    "no positions": ("joint", {"positions": {"kind": "none"}}),
    "narrow heads": ("joint", {"norm": "pre", "d_k": 4, "d_v": 4}),
    "swish, biases": ("joint", {"activation": "swish", **BIASES}),
    "biases, separate, untied, pre-norm": (
        "separate",
        {"tie_embeddings": "none", "norm": "pre", **BIASES},
    ),
    "three heads": ("joint", {"num_heads": 3, "d_k": 16, "d_v": 16}),
}


@pytest.fixture(scope="session", params=MODELS, ids=lambda name: name)
def any_model(request: pytest.FixtureRequest, make_model: Callable[..., TrainedModel]) -> Any:
    tokenizers, settings = MODELS[request.param]
    return make_model(request.getfixturevalue(tokenizers), **settings)


@pytest.fixture(scope="session")
def model(make_model: Callable[..., TrainedModel], joint: Tokenizers) -> TrainedModel:
    return make_model(joint)


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    def export(model: TrainedModel, quantization: str | None = None) -> Path:
        export_ctranslate2(model, tmp_path / "exported", quantization)
        return tmp_path / "exported"

    return export


def both(
    model: TrainedModel, exported: Path, lines: list[str], **options: Any
) -> tuple[list[Translation], list[Translation]]:
    """Translate with nmt and with CTranslate2."""
    chosen = SearchOptions(**options)
    engine = CTranslate2Engine(exported, "cpu", 1)
    silent: Any = {"warn": lambda message: None}
    quick = list(Translator(engine, chosen, **silent).translate(lines))
    ours, theirs = (
        list(Translator(each, chosen, token_scores=True, **silent).translate(lines))
        for each in (Networks([model]), engine)
    )
    for one, other in zip(quick, theirs, strict=True):  # without the second pass
        assert one.text == other.text
        assert one.score == pytest.approx(other.score, abs=1e-4)
    return ours, theirs


def check_equal(ours: list[Translation], theirs: list[Translation]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert [h.text for h in one.hypotheses] == [h.text for h in other.hypotheses]
        for a, b in zip(one.hypotheses, other.hypotheses, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-4)
            assert a.token_log_probs == pytest.approx(b.token_log_probs, abs=1e-4)


def test_same_translations(any_model: Any, export: Callable[..., Path], lines: Any) -> None:
    ours, theirs = both(any_model, export(any_model), lines)
    check_equal(ours, theirs)
    assert len({translation.text for translation in ours}) > 20


def test_same_translations_with_other_options(
    model: TrainedModel, export: Callable[..., Path], lines: list[str]
) -> None:
    exported = export(model)
    text = ["", *lines, "  ", lines[0] + "☃☃", " ".join(lines[:9])]  # blank, unknown, too long
    for options in (
        {"beam_size": 1},
        {"beam_size": 3, "nbest": 2},
        {"length_penalty": 0.0},
        {"length_penalty": 2.0, "batch_tokens": 30},
        {"max_extra_len": 0},
    ):
        check_equal(*both(model, exported, text, **options))


def test_input_as_long_as_the_learned_positions(
    make_model: Callable[..., TrainedModel], joint: Tokenizers, export: Callable[..., Path]
) -> None:
    positions = {"kind": "learned", "max_length": 40}
    model = make_model(joint, positions=positions, encoder_layers=1, decoder_layers=1)
    engine = CTranslate2Engine(export(model), "cpu", 1)
    source = [*[joint.src.encode(["a"])[0][0]] * 39, joint.src.eos_id]
    options = SearchOptions(nbest=4)
    theirs = engine.search([source], ["1.0"], options)
    ours = Translator(Networks([model]), options).engine.search([source], ["1.0"], options)
    assert [h.ids for h in theirs[0]] == [h.ids for h in ours[0]]
    assert [h.score for h in theirs[0]] == pytest.approx([h.score for h in ours[0]], abs=1e-4)


def test_sentences_translate_the_same_alone_and_in_a_batch(
    model: TrainedModel, export: Callable[..., Path], lines: list[str]
) -> None:
    """Each sentence has its own length limit, although CTranslate2 has one per batch."""
    engine = CTranslate2Engine(export(model), "cpu", 2)
    src = model.tokenizers.src
    sources = [[*ids, src.eos_id] for ids in src.encode([*lines, "the " * 12, "x " * 3])]
    options = SearchOptions(nbest=4, max_extra_len=2)
    together = engine.search(sources, [""] * len(sources), options)
    for source, hypotheses in zip(sources, together, strict=True):
        [alone] = engine.search([source], [""], options)
        assert [h.ids for h in alone] == [h.ids for h in hypotheses]
        assert max(len(h.token_log_probs) for h in hypotheses) <= len(source) + 2
    assert any(len(best[0].ids) == len(s) + 2 for s, best in zip(sources, together, strict=True))


def test_forbidden_tokens(
    make_model: Callable[..., TrainedModel],
    joint: Tokenizers,
    export: Callable[..., Path],
    lines: list[str],
) -> None:
    """The model prefers the unknown token wherever it would generate `e`."""
    model = make_model(joint, tie_embeddings="none", norm="pre", decoder_layers=1)
    tokenizer = joint.tgt
    pieces = tokenizer.pieces(range(tokenizer.vocab_size))
    with torch.no_grad():
        weight = model.network.projection.weight
        weight[tokenizer.unk_id] = 1.05 * weight[pieces.index("e")]
    engine = CTranslate2Engine(export(model), "cpu", 1)
    sources = [[*ids, tokenizer.eos_id] for ids in tokenizer.encode(lines)]
    options = SearchOptions(nbest=4)
    theirs = engine.search(sources, [""] * len(sources), options)
    ours = Translator(Networks([model]), options).engine.search(
        sources, [""] * len(sources), options
    )
    same = [a[0].ids == b[0].ids for a, b in zip(ours, theirs, strict=True)]
    assert sum(same) >= 0.8 * len(same)
    for hypotheses, expected in zip(theirs, ours, strict=True):
        assert all(tokenizer.unk_id not in hypothesis.ids for hypothesis in hypotheses)
        if hypotheses[0].ids == expected[0].ids:
            assert hypotheses[0].score == pytest.approx(expected[0].score, abs=1e-4)
    results = ctranslate2.Translator(str(engine.models[0].weights)).translate_batch(
        [tokenizer.pieces(ids[:-1]) for ids in sources]
    )
    assert any("<unk>" in result.hypotheses[0] for result in results)


def test_exported_directory_is_complete(
    make_model: Callable[..., TrainedModel], separate: Tokenizers, export: Callable[..., Path]
) -> None:
    model = make_model(separate, steps=0, tie_embeddings="none")
    folder = export(model)
    files = {path.name for path in folder.iterdir()}
    sides = {"source_vocabulary.json", "target_vocabulary.json", "src.model", "tgt.model"}
    assert files == {"model.bin", "config.json", "config.yaml", "manifest.json", *sides}
    assert read_manifest(folder)["files"].keys() == files - {"manifest.json"}
    assert load_config(folder / "config.yaml") == model.config
    assert Tokenizers.load(folder).tgt.serialized() == separate.tgt.serialized()
    pieces = json.loads((folder / "source_vocabulary.json").read_text("utf-8"))
    assert len(pieces) == separate.src.vocab_size == 121
    assert pieces[:3] == ["<unk>", "<s>", "</s>"]
    assert pieces[-1] == "<pad>"
    settings = json.loads((folder / "config.json").read_text("utf-8"))
    assert settings["decoder_start_token"] == "<s>"
    assert settings["add_source_eos"] is True
    assert settings["layer_norm_epsilon"] == 1e-5


def test_ctranslate2_runs_it_without_nmt(
    model: TrainedModel, export: Callable[..., Path], lines: list[str]
) -> None:
    translator = ctranslate2.Translator(str(export(model)))
    src, tgt = model.tokenizers
    results = translator.translate_batch([src.pieces(ids) for ids in src.encode(lines)])
    pieces = {piece: token for token, piece in enumerate(tgt.pieces(range(tgt.vocab_size)))}
    texts = tgt.decode([[pieces[p] for p in result.hypotheses[0]] for result in results])
    expected = [t.text for t in Translator(Networks([model])).translate(lines)]
    assert sum(map(str.__eq__, texts, expected)) > 20


@pytest.mark.parametrize("quantization", ["int8", "int8_float32", "int16", "float16", "bfloat16"])
def test_quantized_models_translate_the_same(
    model: TrainedModel, export: Callable[..., Path], lines: list[str], quantization: str
) -> None:
    before = {name: weight.clone() for name, weight in model.network.state_dict().items()}
    folder = export(model, quantization)
    for name, weight in model.network.state_dict().items():
        assert torch.equal(weight, before[name])
    ours, theirs = both(model, folder, lines)
    same = [one.text == other.text for one, other in zip(ours, theirs, strict=True)]
    assert sum(same) > 20


def test_models_that_ctranslate2_cannot_represent(
    make_model: Callable[..., TrainedModel],
    train_tokenizer: Callable[..., Tokenizer],
    joint: Tokenizers,
    lines: list[str],
    export: Callable[..., Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"model\.d_k 12 with model\.d_v 6"):
        export(make_model(joint, steps=0, d_v=6))
    same_name = train_tokenizer(
        lines, vocab_size=80, pad_id=-1, unk_id=0, bos_id=1, eos_id=2, user_defined_symbols="<pad>"
    )
    with pytest.raises(ConfigError, match="a piece called <pad>"):
        export(make_model(Tokenizers(same_name, same_name), steps=0))
    other_end = train_tokenizer(lines, vocab_size=80, eos_piece="<end>")
    with pytest.raises(ConfigError, match="different names"):
        export(make_model(Tokenizers(other_end, joint.tgt), steps=0, tie_embeddings="none"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["rnn", "conv"])
def test_other_kinds_of_model_are_refused(
    kind: str, joint: Tokenizers, export: Callable[..., Path], tmp_path: Path
) -> None:
    data = {"src_lang": "en", "tgt_lang": "de", "train": {"demo": "train"}}
    config = Config.model_validate({"data": data, "model": {"kind": kind, "d_hidden": 8}})
    with pytest.raises(ConfigError, match=rf"model\.kind {kind}, only the Transformer"):
        export(TrainedModel(config, joint, make_network(config.model, *joint.sizes), Path("a-run")))
    assert list(tmp_path.iterdir()) == []


def test_failed_export_leaves_nothing_behind(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Tokenizers, directory: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Tokenizers, "save", fail)
        with pytest.raises(FileError, match="No space left"):
            export_ctranslate2(model, tmp_path / "out", None)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileError, match="already exists"):
        export_ctranslate2(model, tmp_path / "taken", None)
    assert (tmp_path / "taken" / "thesis.txt").exists()


def test_engine_refuses_other_directories_and_unsupported_options(
    model: TrainedModel, export: Callable[..., Path], tmp_path: Path
) -> None:
    folder = export(model)
    with pytest.raises(FileError, match="nmt export"):
        CTranslate2Engine(tmp_path, "cpu", 2)
    with pytest.raises(FileError, match="nothere: no such model directory"):
        CTranslate2Engine(tmp_path / "nothere", "cpu", 2)
    with pytest.raises(ConfigError, match="CTranslate2 cannot run it here"):
        CTranslate2Engine(folder, "cuda:99", 2)
    sampled = SearchOptions(temperature=1.0)
    with pytest.raises(ConfigError, match="sampling"):
        list(Translator(CTranslate2Engine(folder, "cpu", 2), sampled).translate(["a"]))


def test_threads_are_divided_among_parallel_searches(
    model: TrainedModel, export: Callable[..., Path]
) -> None:
    folder = export(model)
    assert CTranslate2Engine(folder, "cpu", 2)._translator.num_translators == 2
    assert CTranslate2Engine(folder, "cpu", 2, parallel=1)._translator.num_translators == 1


def test_weights_that_are_not_finite_are_noticed(
    make_model: Callable[..., TrainedModel], joint: Tokenizers, export: Callable[..., Path]
) -> None:
    model = make_model(joint, steps=0)
    with torch.no_grad():
        model.network.tgt_embedding.weight.fill_(torch.nan)
    engine = CTranslate2Engine(export(model), "cpu", 2)
    with pytest.raises(FileError, match="not finite"):
        list(Translator(engine).translate(["a boat"]))


def test_without_ctranslate2(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    for use in (
        lambda: export_ctranslate2(model, tmp_path / "out", None),
        lambda: CTranslate2Engine(tmp_path, "cpu", 2),
    ):
        with pytest.raises(ConfigError, match="pip install ctranslate2"):
            use()
    assert list(tmp_path.iterdir()) == []
