"""`train.init_from`: training that starts from the weights of another run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config.schema import Config
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_extension import row_origins
from nmt.errors import ConfigError, FileError
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.runs.model import load_model

Make = Callable[..., Any]


@pytest.fixture
def source(make_config: Make, tiny_run: Make) -> Any:
    deep = {"encoder_layers": 2, "decoder_layers": 3}
    return tiny_run("source").train(make_config(model=deep, max_steps=3))


def start(run: Any, config: Config) -> dict[str, torch.Tensor]:
    """Train with a learning rate that changes nothing, and return the weights."""
    quiet = config.train.model_copy(update={"learning_rate": 1e-30, "max_steps": 1})
    run.train(config.model_copy(update={"train": quiet}))
    return dict(load_model(run.path).network.named_parameters())


@pytest.mark.parametrize(
    ("layers", "encoder", "decoder"),
    [((2, 3), [0, 1], [0, 1, 2]), ((1, 2), [0], [0, 1]), ((4, 1), [0, 0, 1, 1], [0])],
)
def test_layers_are_copied_evenly(
    source: Any,
    make_config: Make,
    tiny_run: Make,
    layers: tuple[int, int],
    encoder: list[int],
    decoder: list[int],
) -> None:
    shape = {"encoder_layers": layers[0], "decoder_layers": layers[1], "dropout": 0.3}
    config = make_config(model=shape, init_from=str(source.path), seed=2)
    run = tiny_run()
    got, had = start(run, config), dict(load_model(source.path).network.named_parameters())
    for side, origins in [("encoder", encoder), ("decoder", decoder)]:
        for layer, origin in enumerate(origins):
            name = "self_attention.qkv_weight"
            copied = got[f"{side}_layers.{layer}.{name}"]
            assert torch.equal(copied, had[f"{side}_layers.{origin}.{name}"])
    assert torch.equal(got["src_embedding.weight"], had["src_embedding.weight"])
    before, after = (Tokenizers.load(path / "tokenizer") for path in (source.path, run.path))
    assert before.src.pieces(range(40)) == after.src.pieces(range(40))


def test_a_resumed_run_does_not_need_the_source(
    source: Any, make_config: Make, tiny_run: Make
) -> None:
    changes = {"init_from": str(source.path), "model": {"decoder_layers": 2}}
    whole = tiny_run("whole").train(make_config(**changes, max_steps=6))
    parts = tiny_run("parts").train(make_config(**changes, max_steps=3))
    source.path.rename(source.path.with_name("moved"))
    parts.train(make_config(**changes, max_steps=6))
    assert parts.losses() == whole.losses()


def test_all_differences_are_reported_before_the_data_is_read(
    source: Any, make_config: Make, tiny_run: Make
) -> None:
    config = make_config(
        init_from=str(source.path),
        data={"train": {"src": "missing", "tgt": "missing"}},
        model={"d_ff": 32, "norm": "pre"},
        tokenizer={"vocab_size": 35},
    )
    run = tiny_run()
    with pytest.raises(ConfigError, match=r"train\.init_from") as error:
        run.train(config)
    message = str(error.value)
    assert "model.d_ff: 64 there, 32 here" in message
    assert "model.norm: post there, pre here" in message
    assert "tokenizer.vocab_size: 40 there, 35 here" in message
    assert "with tokenizer.replace: true, tokenizer and languages may differ" in message
    assert not run.path.exists()


def test_another_architecture(source: Any, make_config: Make, tiny_run: Make) -> None:
    config = make_config(init_from=str(source.path), model={"kind": "rnn"})
    with pytest.raises(ConfigError, match=r"model\.kind: transformer there, rnn here"):
        tiny_run().train(config)


def test_a_missing_source(make_config: Make, tiny_run: Make) -> None:
    with pytest.raises(FileError, match=r"train\.init_from: no-run"):
        tiny_run().train(make_config(init_from="no-run"))


def test_an_edited_source(source: Any, make_config: Make, tiny_run: Make) -> None:
    path = source.path / "config.yaml"
    path.write_text(path.read_text("utf-8").replace("d_ff: 64", "d_ff: 32"), encoding="utf-8")
    with pytest.raises(FileError, match="do not fit"):
        tiny_run().train(make_config(init_from=str(source.path), model={"d_ff": 32}))


# ---------------------------------------------------------------- tokenizer.extend


@pytest.fixture
def domain(tmp_path: Path) -> dict[str, str]:
    """Return a corpus with words that the source has never seen."""
    files = {side: tmp_path / f"domain.{side}" for side in ("src", "tgt")}
    for path in files.values():
        path.write_text("bad zyx zyx\nzyx head\n" * 40, "utf-8")
    return {side: str(path) for side, path in files.items()}


@pytest.mark.parametrize("joint", [True, False])
def test_rows_of_new_pieces_are_means_of_old_ones(
    domain: dict[str, str], make_config: Make, tiny_run: Make, joint: bool
) -> None:
    settings = {"type": "bpe", "vocab_size": 60, "joint": joint}
    model = {"tie_embeddings": "all" if joint else "none"}
    source = tiny_run("source").train(make_config(model=model, tokenizer=settings, max_steps=3))
    data = {"train": domain, "src_lang": "en", "tgt_lang": "xx"}
    tokenizer = {**settings, "extend": {"pieces": 6}}
    keys = {"model": model, "tokenizer": tokenizer, "init_from": str(source.path)}
    config = make_config(**keys, data=data)
    run = tiny_run()
    got, had = start(run, config), dict(load_model(source.path).network.named_parameters())
    before, after = (Tokenizers.load(path / "tokenizer") for path in (source.path, run.path))
    assert "zyx" in "".join(after.src.pieces(after.src.encode(["zyx"])[0]))
    assert after.joint == joint
    added = [new.vocab_size - old.vocab_size for old, new in zip(before, after, strict=True)]
    told = f"{added[0]}" if joint else f"{added[0]} + {added[1]}"
    assert f"tokenizer.extend: {told} new pieces, of at most 6" in run.log
    names = ["src_embedding.weight"]
    names += [] if joint else ["tgt_embedding.weight", "projection.weight"]
    for name in names:
        old, new = (one[name.startswith("src") - 1] for one in (before, after))
        origins = row_origins(old, new)
        assert len(got[name]) == new.vocab_size == len(origins) > old.vocab_size
        for row, ids in zip(got[name], origins, strict=True):
            torch.testing.assert_close(row, had[name][ids].mean(dim=0), rtol=0, atol=1e-7)
    for name in had.keys() - {*names}:
        # Even the smallest step changes a zero.
        torch.testing.assert_close(got[name], had[name], rtol=0, atol=1e-25)


def test_a_run_with_an_extended_tokenizer_resumes_and_is_a_source_itself(
    source: Any, domain: dict[str, str], make_config: Make, tiny_run: Make
) -> None:
    extend = {"tokenizer": {"extend": {"pieces": 5}}, "data": {"train": domain}}
    shape = {"model": {"encoder_layers": 2, "decoder_layers": 3}}
    keys = {"init_from": str(source.path), **extend, **shape}
    whole = tiny_run("whole").train(make_config(**keys, max_steps=6))
    parts = tiny_run("parts").train(make_config(**keys, max_steps=3))
    source.path.rename(source.path.with_name("moved"))
    parts.train(make_config(**keys, max_steps=6))
    assert parts.losses() == whole.losses()
    assert "tokenizer   char, joint, extended" in list(render(inspect(parts.path)))
    other = {**keys, "tokenizer": {"extend": {"pieces": 4}}}
    with pytest.raises(ConfigError, match=r"tokenizer\.extend\.pieces"):
        parts.train(make_config(**other, max_steps=8))
    last = tiny_run("last")
    got = start(last, make_config(init_from=str(parts.path), **shape))
    had = dict(load_model(parts.path).network.named_parameters())
    for name in had:
        torch.testing.assert_close(got[name], had[name], rtol=0, atol=1e-25)


@pytest.mark.parametrize("change", [{"extend": {"pieces": 4}}, {"replace": True}])
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, r"tokenizer\.{} needs train\.init_from"),
        ({"init_from": "x", "lora": {}}, r"tokenizer\.{}: train\.lora would not train the"),
    ],
)
def test_changes_of_tokenizers_that_cannot_be(
    make_config: Make, keys: dict[str, Any], message: str, change: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=message.format(*change)):
        make_config(tokenizer=change, **keys)
    with pytest.raises(ValueError, match="extend adds to the tokenizer that replace replaces"):
        make_config(tokenizer={"extend": {"pieces": 4}, "replace": True}, init_from="x")


@pytest.mark.parametrize("frozen", ["embeddings", "src_embedding*"])
def test_new_pieces_need_embeddings_that_are_trained(
    source: Any, make_config: Make, tiny_run: Make, frozen: str
) -> None:
    keys = {"init_from": str(source.path), "tokenizer": {"extend": {"pieces": 4}}}
    shape = {"model": {"encoder_layers": 2, "decoder_layers": 3}, "max_steps": 2}
    with pytest.raises(ConfigError, match=r"tokenizer\.extend: train\.freeze would not train the"):
        tiny_run().train(make_config(**keys, **shape, freeze=[frozen]))
    only = ["*", "!*embedding*"]
    assert "training " in tiny_run().train(make_config(**keys, **shape, freeze=only)).log


# ---------------------------------------------------------------- tokenizer.replace


@pytest.mark.parametrize("joint", [True, False])
def test_a_new_tokenizer_keeps_the_rows_of_known_pieces(
    source: Any, domain: dict[str, str], make_config: Make, tiny_run: Make, joint: bool
) -> None:
    model = {"tie_embeddings": "all" if joint else "none", "encoder_layers": 2, "decoder_layers": 3}
    if not joint:
        source = tiny_run("untied").train(make_config(model=model, max_steps=3))
    data = {"train": domain, "src_lang": "yy", "tgt_lang": "zz"}
    tokenizer = {"type": "bpe", "vocab_size": 30, "joint": joint, "replace": True}
    keys = {"model": model, "tokenizer": tokenizer, "init_from": str(source.path), "data": data}
    run = tiny_run()
    got, had = (
        start(run, make_config(**keys)),
        dict(load_model(source.path).network.named_parameters()),
    )
    before, after = (Tokenizers.load(path / "tokenizer") for path in (source.path, run.path))
    assert after.joint == joint
    names = ["src_embedding.weight"]
    names += [] if joint else ["tgt_embedding.weight", "projection.weight"]
    for name in names:
        old, new = (one[name.startswith("src") - 1] for one in (before, after))
        rows = [had[name][ids].mean(dim=0) for ids in row_origins(old, new)]
        torch.testing.assert_close(got[name], torch.stack(rows), rtol=0, atol=1e-7)
    for name in had.keys() - {*names}:
        torch.testing.assert_close(got[name], had[name], rtol=0, atol=1e-25)


def test_a_run_with_a_new_tokenizer_resumes_and_is_a_source_itself(
    source: Any, domain: dict[str, str], make_config: Make, tiny_run: Make
) -> None:
    shape = {"model": {"encoder_layers": 2, "decoder_layers": 3}, "data": {"train": domain}}
    tokenizer = {"type": "bpe", "vocab_size": 30}
    keys = {"init_from": str(source.path), "tokenizer": {**tokenizer, "replace": True}, **shape}
    whole = tiny_run("whole").train(make_config(**keys, max_steps=6))
    parts = tiny_run("parts").train(make_config(**keys, max_steps=3))
    source.path.rename(source.path.with_name("moved"))
    parts.train(make_config(**keys, max_steps=6))
    assert parts.losses() == whole.losses()
    next_keys = {"init_from": str(parts.path), "tokenizer": tokenizer, **shape}
    got = start(tiny_run("last"), make_config(**next_keys))
    had = dict(load_model(parts.path).network.named_parameters())
    for name in had:
        torch.testing.assert_close(got[name], had[name], rtol=0, atol=1e-25)
