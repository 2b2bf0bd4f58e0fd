"""`train.freeze`: parameters that training leaves as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nmt.errors import ConfigError
from nmt.model.build import make_network
from nmt.model.size import num_parameters
from nmt.runs.checkpoint import load_tensors
from nmt.training import device as device_module
from nmt.training.freezing import freeze
from nmt.training.loss import projected_cross_entropy

Make = Callable[..., Any]


@pytest.fixture
def source(make_config: Make, tiny_run: Make) -> Any:
    return tiny_run("source").train(make_config(max_steps=3))


def folder(run: Any, step: int) -> Any:
    [path] = [p for p in run.path.glob("checkpoints/step-*") if int(p.name[5:]) == step]
    return path


def frozen_by(make_config: Make, *patterns: str, **model: Any) -> set[str]:
    network = make_network(make_config(model=model).model, 40, 40, 0)
    freeze(network, patterns)
    return {name for name, p in network.named_parameters() if not p.requires_grad}


def test_patterns_select_parameters_and_the_last_match_decides(make_config: Make) -> None:
    network = make_network(make_config().model, 40, 40, 0)
    names = {name for name, _ in network.named_parameters()}
    assert frozen_by(make_config, "encoder") == {n for n in names if n.startswith("encoder_")}
    assert frozen_by(make_config, "embeddings") == {
        n for n in names if n.startswith(("src_emb", "tgt_emb", "proj"))
    }
    assert frozen_by(make_config, "*", "!*bias*") == {n for n in names if "bias" not in n}
    rest = {n for n in names if n.startswith("decoder_") and "cross_attention" not in n}
    assert frozen_by(make_config, "decoder", "!*.cross_attention.*") == rest
    again = frozen_by(make_config, "decoder", "!*.cross_attention.*", "*.cross_attention.*")
    assert again == {n for n in names if n.startswith("decoder_")}


def test_a_shared_matrix_has_all_its_names(make_config: Make) -> None:
    frozen = frozen_by(make_config, "projection.weight", tie_embeddings="all")
    assert frozen == {"src_embedding.weight"}


@pytest.mark.parametrize("kind", ["rnn", "conv"])
def test_the_shorthands_cover_other_kinds_of_models(make_config: Make, kind: str) -> None:
    with pytest.raises(ConfigError, match="freezes all"):
        frozen_by(make_config, "embeddings", "encoder", "decoder", kind=kind)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["encoder", "encodr.*"], r"train\.freeze: 'encodr\.\*' matches no parameter.*embedding"),
        (["!missing"], "'!missing' matches no parameter"),
        (["*"], "freezes all .* nothing to train"),
        (["!encoder"], "freezes nothing"),
    ],
)
def test_patterns_without_effect_are_refused_before_the_data_is_read(
    make_config: Make, tiny_run: Make, patterns: list[str], message: str
) -> None:
    run = tiny_run()
    data = {"train": {"src": "missing", "tgt": "missing"}}
    with pytest.raises(ConfigError, match=message):
        run.train(make_config(freeze=patterns, data=data))
    assert not run.path.exists()


@pytest.mark.parametrize(
    "settings", [{}, {"clip_norm": 0.1, "optimizer": "adamw", "accumulate": 2}]
)
def test_frozen_parameters_do_not_change_and_have_no_state(
    source: Any, make_config: Make, tiny_run: Make, settings: dict[str, Any]
) -> None:
    keys = {"init_from": str(source.path), "freeze": ["embeddings", "encoder"], **settings}
    run = tiny_run().train(make_config(**keys, weight_decay=0.1, max_steps=4))
    before, after = (load_tensors(folder(r, n), "weights") for r, n in ((source, 3), (run, 4)))
    frozen = {n for n in after if not n.startswith("decoder_")}
    assert {n for n in after if torch.equal(before[n], after[n])} == frozen
    state = load_tensors(folder(run, 4), "optimizer")
    assert {n.partition(".")[2] for n in state} == after.keys() - frozen
    count = sum(after[n].numel() for n in after.keys() - frozen)
    total = sum(tensor.numel() for tensor in after.values())
    assert f"training {count:,} of {total:,} parameters" in run.log


@pytest.mark.parametrize("patterns", [["embeddings"], ["*", "!*bias*"], ["*", "!projection*"]])
def test_a_frozen_run_resumes_exactly(
    make_config: Make, tiny_run: Make, patterns: list[str]
) -> None:
    keys = {"freeze": patterns, "clip_norm": 0.5}
    whole = tiny_run("whole").train(make_config(**keys, max_steps=8))
    parts = tiny_run("parts").train(make_config(**keys, max_steps=3))
    parts.train(make_config(**keys, max_steps=8))
    assert parts.losses() == whole.losses()
    for file in ("weights", "optimizer"):
        one, other = (load_tensors(folder(run, 8), file) for run in (whole, parts))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_frozen_parameters_cannot_change_in_a_run(make_config: Make, tiny_run: Make) -> None:
    run = tiny_run().train(make_config(freeze=["encoder"], max_steps=2))
    with pytest.raises(ConfigError, match=r"train\.freeze"):
        run.train(make_config(freeze=["decoder"], max_steps=4))


def test_frozen_parameters_need_less_memory(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"d_ff": 10**6}
    size = num_parameters(make_config(model=model).model, 0, 0)
    monkeypatch.setattr(device_module, "memory_bytes", lambda device: 5 * size)
    with pytest.raises(ConfigError, match="use fewer layers"):
        device_module.set_up_device(make_config(model=model))
    device_module.set_up_device(make_config(model=model, freeze=["encoder"]))


@pytest.mark.parametrize("frozen", [(), (0,), (1,)])
def test_the_loss_computes_only_the_gradients_that_are_needed(frozen: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(7, 4), torch.randn(9, 4)]
    targets = torch.randint(9, (7,))
    expected = [x.clone().requires_grad_() for x in inputs]
    torch.nn.functional.cross_entropy(
        expected[0] @ expected[1].t(), targets, label_smoothing=0.1, reduction="sum"
    ).backward()
    ours = [x.clone().requires_grad_(place not in frozen) for place, x in enumerate(inputs)]
    loss, _ = projected_cross_entropy(ours[0], ours[1], targets, 0.1)
    loss.backward()
    for place, (one, other) in enumerate(zip(ours, expected, strict=True)):
        if place in frozen:
            assert one.grad is None
        else:
            torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("keys", [{}, {"r_drop": {}}, {"sim_cut": {}}])
def test_a_batch_without_layers_that_learn_changes_nothing(
    make_config: Make, tiny_run: Make, keys: dict[str, Any]
) -> None:
    # Almost every batch leaves out both layers, the only ones that are not frozen.
    model = {"layer_dropout": 0.99}
    run = tiny_run().train(make_config(freeze=["embeddings"], model=model, max_steps=3, **keys))
    assert run.steps() == [3]
    assert 0.0 in [record["grad_norm"] for record in run.metrics("train")]
