"""A training step on a GPU never makes the program wait for it.

The GPU is simulated by torch's meta device: tensors without content, so that whatever needs content
is noticed. Operators that would wait for a GPU are counted, and get ones as the content.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock, call

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nmt import device as device_module
from nmt.config.schema import Config
from nmt.data.batching import Batch, BatchOrder, batches
from nmt.data.prepare import prepare
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import Interrupted, TrainingError
from nmt.runs import checkpoint, layout
from nmt.training import device as training_device_module
from nmt.training import learner as learner_module
from nmt.training import trainer as trainer_module
from nmt.training.learner import Learner
from nmt.training.loss import batch_loss
from nmt.training.monitor import Monitor
from nmt.training.trainer import Trainer

from .conftest import TinyRun

GPU = torch.device("meta")
MakeConfig = Callable[..., Config]
MakeRun = Callable[..., TinyRun]

# They return values to the program, or tensors whose size depends on values.
READING = {
    *("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "bincount"),
    *("unique_dim", "unique_consecutive", "_unique", "_unique2", "unique_dim_consecutive"),
}


class CountWaits(TorchDispatchMode):
    """Counts operators for which a program waits for a GPU.

    Attributes:
        waits: their names, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_gpu = any(tensor.device == GPU for tensor in tensors)
        if _copies_at_once(name, args, kwargs) or (on_gpu and _reads(name, args, kwargs)):
            self.waits.append(name)
        if on_gpu and name == "_local_scalar_dense":
            return 1.0
        if on_gpu and name == "_to_copy" and kwargs.get("device", GPU) != GPU:
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        return func(*args, **kwargs)


def _reads(name: str, args: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether the program must know values of its arguments to go on."""
    if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
        indices = [index for index in args[1] if index is not None]
        return any(index.dtype == torch.bool for index in indices)
    if name == "repeat_interleave":
        return kwargs.get("output_size") is None
    return name in READING


def _copies_at_once(name: str, args: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether an operator copies to or from the GPU, and waits for the copy."""
    if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
        indices = [index for index in args[1] if index is not None]
        return any(index.device != args[0].device for index in indices)
    if name == "copy_":
        target, source, *rest = args
        return target.device != source.device and not (rest or [kwargs.get("non_blocking")])[0]
    if name == "_to_copy":
        crosses = kwargs.get("device") not in (None, args[0].device)
        return crosses and not kwargs.get("non_blocking")
    return False


@dataclass
class Gpu:
    """The simulated GPU.

    Attributes:
        recorded: number of events so far.
        late: for each event waited for, how many had been recorded since.
        pinned: number of tensors copied to memory from which copies need no waiting.
        kept: number of tensors whose memory may be reused only after the computations with them.
        computing, copying: queues.
        in_use: the queue that copies are put into.
    """

    recorded: int = 0
    late: list[int] = field(default_factory=list)
    pinned: int = 0
    kept: int = 0
    computing: Mock = field(default_factory=Mock)
    copying: Mock = field(default_factory=Mock)
    in_use: Mock | None = None

    @contextmanager
    def use(self, queue: Mock) -> Iterator[None]:
        self.in_use = queue
        yield
        self.in_use = None

    def record(self, queue: Mock) -> None:
        assert queue is self.computing
        self.kept += 1


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """Make nmt take torch's meta device for a GPU."""
    made = Gpu()

    class Event:
        def record(self) -> None:
            made.recorded += 1
            self.number = made.recorded

        def synchronize(self) -> None:
            made.late.append(made.recorded - self.number)

    def pin(tensor: Tensor) -> Tensor:
        assert made.in_use is made.copying
        made.pinned += 1
        return tensor

    def as_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda kind, *args, **keys: function(
            "cpu" if kind == "meta" else kind, *args, **keys
        )

    def make(data: Any, *, device: Any = None, **keys: Any) -> Tensor:
        return tensor(data, **keys).to(device)  # which the meta device leaves out

    tensor = torch.tensor
    monkeypatch.setattr(torch, "tensor", make)
    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", made.use)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: made.computing)
    monkeypatch.setattr(device_module, "_copy_stream", lambda device: made.copying)
    monkeypatch.setattr(Tensor, "record_stream", lambda tensor, queue: made.record(queue))
    for name in ("autocast", "is_autocast_enabled", "get_autocast_dtype"):
        monkeypatch.setattr(torch, name, as_cpu(getattr(torch, name)))
    monkeypatch.setattr(
        # torch.optim hides the module.
        importlib.import_module("torch.optim.optimizer"),
        "_get_fused_kernels_supported_devices",
        lambda: ["cpu", "meta"],
    )
    for module in (device_module, trainer_module):
        monkeypatch.setattr(module, "runs_behind", lambda device: device == GPU)
    for module in (training_device_module, trainer_module):
        monkeypatch.setattr(module, "choose_device", lambda name: GPU)
    return made


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"label_smoothing": 0.0, "model": {"dropout": 0.0}},
    "accumulate": {"accumulate": 2, "model": {"dropout": 0.3, "attention_dropout": 0.2}},
    "clip": {"clip_norm": 1.0, "label_smoothing": 0.1},
    "accumulate-clip": {"accumulate": 2, "clip_norm": 1.0, "optimizer": "adamw"},
    "checkpointing": {"activation_checkpointing": True, "model": {"norm": "pre"}},
    "ssru": {"model": {"decoder": "ssru"}},
    "r-drop": {"r_drop": {}, "accumulate": 2, "ema": 0.9},
    "sim-cut": {"sim_cut": {}, "model": {"layer_dropout": 0.5, "encoder_layers": 2}},
    "noise": {"word_dropout": {"src": 0.1}, "word_replacement": {"src": 0.1, "tgt": 0.1}},
    "rnn": {"model": {"kind": "rnn", "dropout": 0.3}},
    "conv": {"model": {"kind": "conv", "dropout": 0.3}},
}


def count_waits(config: Config, steps: int) -> list[list[str]]:
    """Start steps of a learner; return the operators of each that would wait for a GPU."""
    tokenizers = train_tokenizers(config)
    data = prepare(config, tokenizers, config.data.train, filtered=True)
    order = BatchOrder.of(data, config.train.batch_tokens, config.train.seed)
    epoch = list(batches(data, tokenizers, order, config, epoch=0))
    learner = Learner(config, tokenizers, GPU, print)
    size = config.train.accumulate
    waits = []
    for step in range(steps):
        with CountWaits() as counter:
            learner.start(epoch[step * size : (step + 1) * size], 0.1)
        waits.append(counter.waits)
    return waits


@pytest.mark.parametrize("keys", SETTINGS.values(), ids=SETTINGS)
def test_a_step_does_not_wait(gpu: Gpu, make_config: MakeConfig, keys: dict[str, Any]) -> None:
    assert count_waits(make_config(**keys), 3) == [[], [], []]
    assert (gpu.recorded, gpu.late) == (3, [])  # none of the figures was read
    assert gpu.pinned == gpu.kept == 3 * (4 * keys.get("accumulate", 1) + 1)
    uploads = 3 * (keys.get("accumulate", 1) + 1)
    assert gpu.computing.wait_stream.call_args_list == [call(gpu.copying)] * uploads


def reads_a_value(batch: Batch, loss: Tensor) -> None:
    float(loss.detach())


def decides(batch: Batch, loss: Tensor) -> None:
    if loss > 0:
        pass


def lists(batch: Batch, loss: Tensor) -> None:
    loss[None].tolist()


def fetches(batch: Batch, loss: Tensor) -> None:
    loss.detach().cpu()


def counts(batch: Batch, loss: Tensor) -> None:
    batch.src_BS.nonzero()


def selects(batch: Batch, loss: Tensor) -> None:
    batch.src_BS[batch.src_BS != 0]


def sends_a_value(batch: Batch, loss: Tensor) -> None:
    torch.tensor(1.0, device=batch.src_BS.device)


def sends_a_tensor(batch: Batch, loss: Tensor) -> None:
    torch.ones(3).to(batch.src_BS.device)


def overwrites(batch: Batch, loss: Tensor) -> None:
    loss.detach().clone().copy_(torch.ones(()))


@pytest.mark.parametrize(
    "action",
    [
        *(reads_a_value, decides, lists, fetches, counts, selects),
        *(sends_a_value, sends_a_tensor, overwrites),
    ],
)
def test_whatever_waits_is_counted(
    gpu: Gpu,
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    action: Callable[[Batch, Tensor], None],
) -> None:
    original = learner_module.batch_loss

    def with_action(network: Any, batch: Batch, smoothing: float) -> tuple[Tensor, Tensor]:
        loss, nll = original(network, batch, smoothing)
        with suppress(RuntimeError):  # the meta device cannot do everything
            action(batch, loss)
        return loss, nll

    monkeypatch.setattr(learner_module, "batch_loss", with_action)
    assert [len(waits) for waits in count_waits(make_config(), 2)] == [1, 1]


# ---------------------------------------------------------------- the training loop


@pytest.mark.parametrize("keys", [SETTINGS["plain"], SETTINGS["accumulate-clip"]])
def test_training_waits_for_the_last_step_while_the_next_one_runs(
    gpu: Gpu,
    make_config: MakeConfig,
    tiny_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    keys: dict[str, Any],
) -> None:
    """Steps 4, 8 and 10 are saved, so no step may have been started after them."""
    original = Trainer._step
    waits: list[list[str]] = []

    def counted(self: Trainer, *arguments: Any) -> None:
        before = len(counter.waits)
        original(self, *arguments)
        waits.append(counter.waits[before:])

    monkeypatch.setattr(Trainer, "_step", counted)
    # All figures are 1, also the number of processes that were asked to stop.
    monkeypatch.setattr(Trainer, "_stop_all", lambda *arguments: None)
    config = make_config(max_steps=10, save_every=4, log_every=3, **keys)
    with CountWaits() as counter:
        run = tiny_run().train(config)
    assert counter.waits  # outside the steps
    assert waits == [[]] * 10
    assert gpu.late == [1, 1, 1, 0, 1, 1, 1, 0, 1, 0]
    assert run.steps() == [4, 8, 10]
    assert [record["step"] for record in run.metrics("train")] == [3, 6, 9]


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let training on a CPU start steps ahead, as on a GPU."""
    monkeypatch.setattr(trainer_module, "runs_behind", lambda device: True)


def tensors(run: TinyRun, step: int) -> dict[str, Tensor]:
    path = layout.checkpoint_path(run.path, step)
    return {
        f"{name}/{key}": tensor
        for name in ("weights", "optimizer")
        for key, tensor in checkpoint.load_tensors(path, name).items()
    }


def assert_same(one: TinyRun, other: TinyRun) -> None:
    """Check that two runs have the same metrics and checkpoints, except for times."""
    timed = {"seconds", "tokens_per_s"}
    assert one.steps() == other.steps()
    for kind in ("train", "valid"):
        ours, theirs = (
            [{k: v for k, v in record.items() if k not in timed} for record in run.metrics(kind)]
            for run in (one, other)
        )
        assert ours == theirs
    for step in one.steps():
        ours, theirs = tensors(one, step), tensors(other, step)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        states = [
            checkpoint.read_state(layout.checkpoint_path(run.path, step)) for run in (one, other)
        ]
        assert [{**state, "seconds": 0} for state in states[:1]] == [{**states[1], "seconds": 0}]


def spoil(monkeypatch: pytest.MonkeyPatch, *bad: tuple[int, int]) -> list[tuple[int, int]]:
    """Make the loss of batches (epoch, number) infinite; return the list of all batches used."""
    original = batch_loss
    used: list[tuple[int, int]] = []

    def spoilt(network: Any, batch: Batch, smoothing: float) -> tuple[Tensor, Tensor]:
        used.append((batch.epoch, batch.number))
        loss, nll = original(network, batch, smoothing)
        return (loss * torch.inf if used[-1] in bad else loss), nll

    monkeypatch.setattr(learner_module, "batch_loss", spoilt)
    return used


VALID = {"valid": True, "validate_every": 3, "save_every": 5, "keep_last": 9, "max_steps": 11}


@pytest.mark.parametrize("bad", [[], [(0, 1)], [(0, 0), (0, 1), (0, 4), (1, 1)], [(0, 3), (0, 4)]])
@pytest.mark.parametrize("keys", [{}, {"accumulate": 2, "clip_norm": 1.0, "log_every": 2}])
def test_steps_ahead_change_nothing(
    make_config: MakeConfig,
    tiny_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    keys: dict[str, Any],
    bad: list[tuple[int, int]],
) -> None:
    """Batches that are skipped cost the steps that were started after them."""
    config = make_config(**VALID, **keys, on_nonfinite="skip", model={"dropout": 0.3})
    used = spoil(monkeypatch, *bad)
    behind = tiny_run("behind").train(config)
    count = len(used)
    request.getfixturevalue("ahead")
    ahead = tiny_run("ahead").train(config)
    assert_same(behind, ahead)
    lines = [[x for x in run.log.split("\n") if "not finite" in x] for run in (behind, ahead)]
    assert lines[0] == lines[1]
    assert bool(lines[0]) == bool(bad)
    assert (len(used) > 2 * count) == bool(bad)


@pytest.mark.usefixtures("ahead")
@pytest.mark.parametrize("number", [0, 3, 4, 6])
def test_training_ends_at_the_step_that_is_not_finite(
    make_config: MakeConfig, tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Steps 2, 4 and 6 are saved; whatever was started later leaves the weights as they were."""
    trainers: list[Trainer] = []
    original = Trainer.train

    def remember(self: Trainer, *arguments: Any) -> None:
        trainers.append(self)
        original(self, *arguments)

    monkeypatch.setattr(Trainer, "train", remember)
    settings = {"save_every": 2, "keep_last": 9}
    good = tiny_run("good").train(make_config(max_steps=max(number, 1), **settings))
    spoil(monkeypatch, (0, number))
    run = tiny_run()
    with pytest.raises(TrainingError, match=f"^step {number + 1}: the loss is inf") as caught:
        run.train(make_config(max_steps=8, **settings))
    assert "The weights were not changed" in str(caught.value)
    assert run.steps() == [step for step in (2, 4, 6) if step <= number]
    if number:
        assert run.losses() == good.losses()
        weights = dict(trainers[-1].learner.network.named_parameters())
        expected = tensors(good, number)
        assert all(torch.equal(w, expected[f"weights/{name}"]) for name, w in weights.items())


@pytest.mark.usefixtures("ahead")
def test_a_signal_counts_the_step_that_has_been_started(
    make_config: MakeConfig, tiny_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(**VALID, model={"dropout": 0.3})
    whole = tiny_run("whole").train(config)
    advance = Monitor.advance

    def advance_and_signal(self: Monitor, now: int, *figures: Any) -> None:
        advance(self, now, *figures)
        if now in (1, 5, 7):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Monitor, "advance", advance_and_signal)
    cut = tiny_run("cut")
    for step in (2, 5, 8):  # step 5 is saved, so none has been started after it
        with pytest.raises(Interrupted, match=f"stopped at step {step}, saved"):
            cut.train(config)
    monkeypatch.setattr(Monitor, "advance", advance)
    assert_same(whole, cut.train(config))
