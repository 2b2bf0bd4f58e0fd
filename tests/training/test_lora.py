"""`train.lora`: training of low-rank changes, whose checkpoints hold ordinary weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.config.finetuning import LoraConfig
from nmt.data.context import SEPARATOR
from nmt.errors import ConfigError
from nmt.model.build import make_network, network_with_weights
from nmt.runs import layout
from nmt.runs.checkpoint import load_tensors
from nmt.runs.info import inspect
from nmt.runs.model import load_model
from nmt.runs.parts import load_tokenizers
from nmt.training.lora import add_factors, merged_weights, unmerged_parameters
from nmt.training.verify_resume import verify_resume

Make = Callable[..., Any]
RATE = 0.03


@pytest.fixture
def source(make_config: Make, tiny_run: Make) -> Any:
    return tiny_run("source").train(make_config(max_steps=3))


def tensors(run: Any, step: int, file: str) -> dict[str, Tensor]:
    return load_tensors(layout.checkpoint_path(run.path, step), file)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if torch.equal(one[name], other[name])}


def changed_network(make_config: Make, *, targets: list[str] | None = None, **model: Any) -> Any:
    """Return a network, its plain twin, and the sizes of its vocabularies."""
    torch.manual_seed(1)
    config, shape = make_config(model={"dropout": 0.0, **model}).model, (40, 40, 0)
    network, plain = (make_network(config, *shape) for _ in range(2))
    plain.load_state_dict(network.state_dict())
    chosen = {"targets": targets} if targets else {}
    add_factors(network, LoraConfig.model_validate({"rank": 3, **chosen}))
    return network, plain, (config, *shape)


@pytest.mark.parametrize(
    "model", [{}, {"activation": "swiglu", "d_k": 4, "d_v": 12, "tie_embeddings": "all"}]
)
def test_the_merged_network_computes_the_same(make_config: Make, model: dict[str, Any]) -> None:
    network, plain, shape = changed_network(make_config, **model)
    pairs = torch.randint(4, 40, (2, 3, 7))
    assert same(merged_weights(network), dict(plain.named_parameters())) == {
        name for name, _ in plain.named_parameters()
    }
    assert torch.equal(network(*pairs), plain(*pairs))
    for name, parameter in network.named_parameters():
        if name.endswith("b_OR"):
            torch.nn.init.normal_(parameter, std=0.1)
    merged = network_with_weights(merged_weights(network), "merged", *shape)
    assert torch.equal(network(*pairs), merged(*pairs))
    assert not torch.allclose(network(*pairs), plain(*pairs))


def test_a_change_has_the_rank_and_scale_of_each_stacked_matrix(make_config: Make) -> None:
    network, plain, _ = changed_network(make_config)
    attention = network.encoder_layers[0].self_attention
    [change] = attention.parametrizations.qkv_weight
    torch.nn.init.normal_(change.b_OR)
    before = plain.encoder_layers[0].self_attention.qkv_weight
    for part, (now, was) in enumerate(
        zip(attention.qkv_weight.split(32), before.split(32), strict=True)
    ):
        assert torch.linalg.matrix_rank(now - was, atol=1e-4) == 3
        b_HR, a_RI = change.b_OR.split(32)[part], change.a_XI.split(3)[part]
        torch.testing.assert_close(now - was, 16 / 3 * b_HR @ a_RI, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("targets", "names"),
    [(["attention"], {"qkv_weight", "out_weight"}), (["feed_forward"], {"weight"})],
)
def test_targets_choose_the_matrices(
    make_config: Make, targets: list[str], names: set[str]
) -> None:
    network, _, _ = changed_network(make_config, targets=targets)
    found = {name.split("parametrizations.")[1] for name in unmerged_parameters(network)}
    assert {name.split(".")[0] for name in found} == names
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {name.rpartition(".")[2] for name in trained} == {"a_XI", "b_OR"}


def test_only_factors_are_trained_and_checkpoints_are_ordinary(
    source: Any, make_config: Make, tiny_run: Make
) -> None:
    lora = {"rank": 2, "targets": ["attention"]}
    keys = {"init_from": str(source.path), "lora": lora, "learning_rate": RATE}
    run = tiny_run().train(make_config(**keys, max_steps=6, save_every=2, average="last",
                                       average_count=3))  # fmt: skip
    before, after = (tensors(r, n, "weights") for r, n in ((source, 3), (run, 6)))
    unchanged = {name for name in before if "attention" not in name}
    assert same(before, after) == unchanged
    parts = tensors(run, 6, "lora")
    for name, weight in parts.items():
        if name.endswith(".original"):
            ordinary = name.replace("parametrizations.", "").removesuffix(".original")
            assert torch.equal(weight, before[ordinary])
    factors = {name for name in parts if not name.endswith(".original")}
    state = tensors(run, 6, "optimizer")
    assert {name.partition(".")[2] for name in state} == factors
    count = sum(parts[name].numel() for name in factors)
    total = count + sum(tensor.numel() for tensor in after.values())
    assert f"training {count:,} of {total:,} parameters" in run.log
    # What translates is the average, of the shape of the source.
    averaged = dict(load_model(run.path).network.named_parameters())
    assert (run.path / "averaged").is_dir()
    name = "encoder_layers.0.self_attention.out_weight"
    mean = sum(tensors(run, step, "weights")[name] for step in (2, 4, 6)) / 3
    torch.testing.assert_close(averaged[name].detach(), mean)
    found = inspect(run.path)
    assert not found.faults
    assert found.parameters == inspect(source.path).parameters


def test_training_starts_from_the_source_exactly(
    source: Any, make_config: Make, tiny_run: Make
) -> None:
    keys = {"init_from": str(source.path), "model": {"dropout": 0.0}, "max_steps": 1}
    plain = tiny_run("plain").train(make_config(**keys))
    run = tiny_run().train(make_config(**keys, lora={}))
    assert run.losses() == plain.losses()


def test_validation_sees_the_merged_weights(source: Any, make_config: Make, tiny_run: Make) -> None:
    """A run that starts from a checkpoint and changes nothing has the same scores."""
    keys = {"valid": True, "learning_rate": RATE, "lora": {}, "max_steps": 4}
    run = tiny_run().train(make_config(init_from=str(source.path), **keys))
    again = {"valid": True, "learning_rate": 1e-30, "max_steps": 1}
    copy = tiny_run("copy").train(make_config(init_from=str(run.path), **again))
    [one], [other] = run.metrics("valid"), copy.metrics("valid")
    assert one["loss"] == other["loss"]
    assert one["chrf"] == other["chrf"]


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 0.5, "optimizer": "adamw"}])
def test_resuming_is_exact_without_the_source(
    source: Any, make_config: Make, tiny_run: Make, settings: dict[str, Any]
) -> None:
    keys = {
        **{"init_from": str(source.path), "lora": {"rank": 4}, "learning_rate": RATE},
        **{"accumulate": 2, "weight_decay": 0.1, "activation_checkpointing": True, **settings},
    }
    whole = tiny_run("whole").train(make_config(**keys, max_steps=7))
    parts = tiny_run("parts").train(make_config(**keys, max_steps=3))
    source.path.rename(source.path.with_name("moved"))
    parts.train(make_config(**keys, max_steps=7))
    assert parts.losses() == whole.losses()
    for file in ("weights", "optimizer", "lora"):
        one, other = (tensors(run, 7, file) for run in (whole, parts))
        assert same(one, other) == set(one)


def test_bf16_computes_the_change_in_fp32(make_config: Make) -> None:
    network, plain, shape = changed_network(make_config)
    [change] = network.encoder_layers[0].self_attention.parametrizations.qkv_weight
    torch.nn.init.normal_(change.b_OR)
    merged = network_with_weights(merged_weights(network), "merged", *shape)
    pairs = torch.randint(4, 40, (2, 3, 7))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert torch.equal(network(*pairs), merged(*pairs))
        assert not torch.equal(network(*pairs), plain(*pairs))


@pytest.mark.slow
def test_resuming_is_verified(source: Any, make_config: Make) -> None:
    from nmt.console import Console

    config = make_config(init_from=str(source.path), lora={"rank": 4}, max_steps=6)
    assert verify_resume(config, 6, Console(quiet=True)).startswith("identical")


def test_another_rank_is_another_run(source: Any, make_config: Make, tiny_run: Make) -> None:
    keys = {"init_from": str(source.path)}
    run = tiny_run().train(make_config(**keys, lora={"rank": 4}, max_steps=2))
    with pytest.raises(ConfigError, match=r"train\.lora\.rank: was 4, is now 8"):
        run.train(make_config(**keys, lora={"rank": 8}, max_steps=4))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lora": {}}, "lora needs init_from"),
        ({"lora": {}, "init_from": "x", "freeze": ["encoder"]}, "without freeze"),
        ({"lora": {}, "init_from": "x", "shard": True}, "cannot be combined with shard"),
        ({"lora": {"targets": []}, "init_from": "x"}, "at least 1 item"),
        ({"lora": {}, "init_from": "x", "model": {"kind": "rnn"}}, "needs model.kind: transformer"),
    ],
)
def test_settings_that_do_not_fit(make_config: Make, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_config(**keys)


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"data": {"context": 1}}, r"data\.context"),
        ({"data": {"context": 1, "terms": {}}}, r"data\.terms and data\.context"),
        ({"data": {"placeholders": ["urls"]}}, r"data\.placeholders"),
    ],
)
def test_symbols_that_would_not_be_trained(
    source: Any, make_config: Make, tiny_run: Make, keys: dict[str, Any], names: str
) -> None:
    config = make_config(init_from=str(source.path), lora={}, **keys)
    with pytest.raises(ConfigError, match=rf"not train .* {names}, which .*source lacks: leave"):
        tiny_run().train(config)


def test_a_model_with_context_keeps_it(make_config: Make, tiny_run: Make) -> None:
    keys = {"data": {"context": 1}, "max_steps": 2}
    source = tiny_run("source").train(make_config(**keys))
    run = tiny_run().train(make_config(init_from=str(source.path), lora={}, **keys))
    before, after = (load_tokenizers(each.path).src for each in (source, run))
    assert SEPARATOR in after.control_symbols
    assert after.serialized() == before.serialized()
