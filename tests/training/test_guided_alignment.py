"""A head that is taught alignment: its loss, and exact training with it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt import api
from nmt.config.regularisation import RDropConfig
from nmt.config.schema import Config
from nmt.console import Console
from nmt.convert.ctranslate2 import export_ctranslate2
from nmt.data.batching import Batch
from nmt.errors import ConfigError, Interrupted
from nmt.model.network import Network
from nmt.model.observe import forced_attention
from nmt.model.transformer import Transformer
from nmt.runs.model import load_model
from nmt.signals import StopFlag
from nmt.training.consistency import TwoViews, r_drop
from nmt.training.data import open_training_data
from nmt.training.initial import initial_tokenizers
from nmt.training.learner import Learner
from nmt.training.loss import batch_loss
from nmt.training.run import train
from nmt.training.verify_resume import verify_resume
from nmt.translate.align import Aligner
from nmt.translate.ct2_engine import CTranslate2Engine

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def guided(make_config: Callable[..., Config], corpus: Path) -> Callable[..., Config]:
    """Return `make_config` with guided alignment; each target is its source backwards."""
    lengths = [len(line.split()) for line in (corpus / "train.src").read_text().split("\n")[:-1]]
    rows = (" ".join(f"{i}-{size - 1 - i}" for i in range(size)) for size in lengths)
    (corpus / "train.links").write_text("".join(f"{row}\n" for row in rows), "utf-8")

    def make(**keys: Any) -> Config:
        files = {name: str(corpus / f"train.{name}") for name in ("src", "tgt")}
        train = {**files, "alignments": str(corpus / "train.links")}
        section = keys.pop("guided_alignment", {"weight": 0.5})
        return make_config(data={"train": train}, guided_alignment=section, **keys)

    return make


def start(config: Config) -> tuple[Learner, list[Batch]]:
    """Return a learner and its first epoch."""
    tokenizers = initial_tokenizers(config)
    with StopFlag() as stop:
        data = open_training_data(config, tokenizers, Console(quiet=True), stop)
    return Learner(config, tokenizers, CPU, print), [*data.batches(0)]


def gradients(learner: Learner, batches: list[Batch]) -> dict[str, Tensor]:
    """Return the gradients of the summed loss."""
    loss, *_ = learner._accumulate(batches)
    found = {
        name: p.grad.clone() for name, p in learner.network.named_parameters() if p.grad is not None
    }
    learner.optimizer.drop_gradients()
    return {**found, "loss": loss}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", [None, 1, 3])
def test_the_loss_is_the_cross_entropy_of_the_first_head(
    guided: Callable[..., Config], layer: int | None
) -> None:
    config = guided(
        model={"dropout": 0.0, "decoder_layers": 3},
        guided_alignment={"weight": 0.5, "layer": layer},
    )
    learner, [batch, *_] = start(config)
    assert isinstance(learner.network, Transformer)
    learner.network.train()
    plain, _ = batch_loss(learner.network, batch, config.train.label_smoothing)
    loss, *_ = learner._accumulate([batch])
    cross = forced_attention(learner.network, batch.src_BS, batch.tgt_in_BT).cross
    expected = torch.zeros(())
    assert batch.links is not None
    for (pair, t, s), weight in zip(
        batch.links.places_N3.tolist(), batch.links.weights_N.tolist(), strict=True
    ):
        assert batch.src_BS[pair, s] == batch.tgt_in_BT[pair, t] or weight < 1
        expected -= weight * cross[1 if layer is None else layer - 1][pair, 0, t, s].log()
    torch.testing.assert_close(loss, plain + 0.5 * expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_parts_of_a_batch_have_the_gradient_of_the_whole(
    guided: Callable[..., Config], alpha: float
) -> None:
    tokenizer = {"type": "bpe", "vocab_size": 60, "sampling_alpha": alpha}
    learner, [batch, *_] = start(guided(model={"dropout": 0.0}, tokenizer=tokenizer))
    learner.network.train()
    whole = gradients(learner, [batch])
    assert whole["decoder_layers.0.cross_attention.qkv_weight"].any()
    assert_close(whole, gradients(learner, [*learner._halves(batch)]))


def test_a_forward_pass_that_runs_out_of_memory_leaves_no_tensors(
    guided: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, [batch, *_] = start(guided())

    def fail_for_all(network: Network[Any], part: Batch, *_: Any) -> tuple[Tensor, Tensor]:
        if len(part.rows) < len(batch.rows):
            assert learner._head is not None
            assert learner._head._log_weights_BTS is None
            return batch_loss(network, part, 0.0)
        network.hidden(part.src_BS, part.tgt_in_BT)
        raise torch.OutOfMemoryError("simulated")

    monkeypatch.setattr("nmt.training.learner.batch_loss", fail_for_all)
    learner.step([batch], 0.01)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_checkpointed_activations_give_the_same_gradients(
    guided: Callable[..., Config], precision: str
) -> None:
    found = []
    for value in (False, True):
        config = guided(activation_checkpointing=value, precision=precision)
        learner, [batch, *_] = start(config)
        learner.network.train()
        found.append(gradients(learner, [batch]))
    assert_close(*found)


def test_with_two_views_of_a_batch_the_first_one_teaches_the_head(
    guided: Callable[..., Config],
) -> None:
    """Without dropout, the views of R-Drop are the same, and so is the sum of all losses."""
    learner, [batch, *_] = start(guided(model={"dropout": 0.0}))
    learner.network.train()
    plain = gradients(learner, [batch])
    learner._views = TwoViews(r_drop(RDropConfig()))
    assert_close(plain, gradients(learner, [batch]))


@pytest.mark.trains
def test_the_head_learns_and_both_engines_show_it(
    guided: Callable[..., Config], tiny_run: Callable[..., Any], tmp_path: Path
) -> None:
    tokenizer = {"type": "bpe", "vocab_size": 60}
    model_keys = {"decoder_layers": 2, "dropout": 0.0}
    config = guided(max_steps=150, model=model_keys, tokenizer=tokenizer)
    run = tiny_run().train(config)
    assert "links in 200 of 200 pairs, from files" in run.log
    model = load_model(run.path)
    sources, targets = ["ab dab keg", "jade head"], ["keg dab ab", "head jade"]
    aligned = api.load(run.path, engine="nmt", device="cpu").align(sources, targets)
    assert aligned == [[(0, 2), (1, 1), (2, 0)], [(0, 1), (1, 0)]]
    export_ctranslate2(model, tmp_path / "exported", None)
    engine = CTranslate2Engine(tmp_path / "exported", "cpu", 1, run=run.path)
    src, tgt = model.tokenizers
    ids = [[*row, src.eos_id] for row in src.encode(sources)], tgt.encode(targets)
    for one, other in zip(Aligner([model]).weights(*ids), engine.weights(*ids), strict=True):
        torch.testing.assert_close(
            torch.from_numpy(one[:, : other.shape[1]]), torch.from_numpy(other), atol=1e-4, rtol=0
        )


@pytest.mark.slow
@pytest.mark.trains
def test_training_resumes_exactly_in_new_processes(guided: Callable[..., Config]) -> None:
    tokenizer = {"type": "bpe", "vocab_size": 60, "sampling_alpha": 0.2}
    config = guided(tokenizer=tokenizer, activation_checkpointing=True, max_steps=6)
    line = verify_resume(config, 6, Console(file=io.StringIO()))
    assert line.startswith("identical: 6 uninterrupted steps")


@pytest.mark.trains
def test_training_resumes_exactly(
    guided: Callable[..., Config], tiny_run: Callable[..., Any]
) -> None:
    tokenizer = {"type": "bpe", "vocab_size": 60, "sampling_alpha": 0.2}
    config = guided(tokenizer=tokenizer, max_steps=6, accumulate=2)
    straight, resumed = tiny_run("straight").train(config), tiny_run("resumed")
    with pytest.raises(Interrupted):
        train(config, resumed.path, Console(quiet=True), stop_after=3)
    resumed.train(config)
    assert straight.losses() == resumed.losses()
    ours, theirs = (load_model(run.path).network.state_dict() for run in (straight, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.trains
def test_a_run_does_not_resume_with_other_links(
    guided: Callable[..., Config], tiny_run: Callable[..., Any], corpus: Path
) -> None:
    config = guided(max_steps=2)
    run = tiny_run().train(config)
    path = corpus / "train.links"
    text = path.read_text("utf-8")
    try:
        path.write_text(text.replace("0-0", ""), "utf-8")
        longer = config.train.model_copy(update={"max_steps": 4})
        with pytest.raises(ConfigError, match="its text or word alignment has changed"):
            run.train(config.model_copy(update={"train": longer}))
    finally:
        path.write_text(text, "utf-8")
