"""`train.init_from`: training that starts from the weights of another run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nmt.config.schema import Config
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError, FileError
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
    assert not run.path.exists()


def test_another_architecture(source: Any, make_config: Make, tiny_run: Make) -> None:
    config = make_config(init_from=str(source.path), model={"kind": "rnn"})
    with pytest.raises(ConfigError, match=r"model\.kind: transformer there, rnn here"):
        tiny_run().train(config)


def test_a_missing_source(make_config: Make, tiny_run: Make) -> None:
    with pytest.raises(FileError, match="no-run"):
        tiny_run().train(make_config(init_from="no-run"))


def test_an_edited_source(source: Any, make_config: Make, tiny_run: Make) -> None:
    path = source.path / "config.yaml"
    path.write_text(path.read_text("utf-8").replace("d_ff: 64", "d_ff: 32"), encoding="utf-8")
    with pytest.raises(FileError, match="do not fit"):
        tiny_run().train(make_config(init_from=str(source.path), model={"d_ff": 32}))
