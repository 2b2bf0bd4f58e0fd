"""Training in several processes: the same model, and nobody hangs."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from forked import Process
from nmt.distributed import PeerError, World

from .conftest import TIMEOUT_SECONDS, Folder, Outcome, before_call, make_folder, same, send

SETTINGS = ["train.accumulate=2", "model.dropout=0.3", "train.batch_tokens=300"]
VALID = ["data.valid={src: train.src, tgt: train.tgt}", "train.valid_sentences=21"]
STEP = "nmt.training.learner:batch_loss"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def start_together(
    folder: Folder, size: int, *arguments: str, faults: dict[int, str] | None = None
) -> list[Process]:
    """Start a command in several processes, as torchrun does.

    Args:
        folder: their directory.
        size: number of processes.
        arguments: of `nmt`.
        faults: Python code that some of the processes run first.
    """
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        folder.start(
            *arguments,
            fault=(faults or {}).get(rank, ""),
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(size)
    ]


def ends(processes: list[Process]) -> list[Outcome]:
    """Wait for the end of all processes, which must come soon."""
    started = time.monotonic()
    outcomes = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=TIMEOUT_SECONDS)
            outcomes.append(Outcome(process.returncode, out, err.decode("utf-8")))
    finally:
        for process in processes:
            process.kill()
    assert time.monotonic() - started < 60
    return outcomes


def train_together(
    folder: Folder,
    size: int,
    *overrides: str,
    run: str = "run",
    faults: dict[int, str] | None = None,
) -> list[Outcome]:
    """Run `nmt train tiny.yaml` in several processes."""
    arguments = ["train", "tiny.yaml", *SETTINGS, "train.peer_timeout=20", *overrides]
    return ends(start_together(folder, size, *arguments, "--run-dir", run, faults=faults))


def succeeded(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        outcome.succeeded()
    assert [outcome.err for outcome in outcomes[1:]] == [""] * (len(outcomes) - 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a folder with the run `whole`: 12 steps of one process without interruption."""
    folder = make_folder(tmp_path_factory.mktemp("processes"))
    folder.train("train.max_steps=12", *SETTINGS, *VALID, run="whole").succeeded()
    return folder


@pytest.mark.parametrize("sizes", [(2, 2), (2, 1), (1, 2)])
def test_fault_04_any_number_of_processes_goes_on(whole: Folder, sizes: tuple[int, int]) -> None:
    """With two batches per step the sum has only one order: all is identical to the bit."""
    run = f"{sizes[0]}-{sizes[1]}"
    for size, step in zip(sizes, (5, 12), strict=True):
        outcomes = train_together(whole, size, *VALID, f"train.max_steps={step}", run=run)
        succeeded(outcomes)
    assert whole.losses(run) == whole.losses("whole")
    assert same(whole.tensors(12, run), whole.tensors(12, "whole"))
    expected, found = (whole.state(12, each)["scores"] for each in ("whole", run))
    assert found == pytest.approx(expected, rel=1e-9)
    assert set(found) == {"loss", "ppl", "bleu", "chrf"}
    last = [record for record in whole.metrics(run) if record["kind"] == "train"][-1]
    shares = {name: part for name, part in last.items() if name.startswith("share")}
    assert [*shares] == (["share_0", "share_1"] if sizes[1] == 2 else [])
    assert sum(shares.values()) == pytest.approx(sizes[1] - 1)


@pytest.mark.parametrize("settings", [[], ["train.clip_norm=0.1", "train.optimizer=adamw"]])
def test_fault_04_a_divided_model(whole: Folder, settings: list[str]) -> None:
    """Its checkpoints are those of a whole one, and either goes on with those of the other."""
    run, alone = (f"{name}-{len(settings)}" for name in ("divided", "alone"))
    succeeded(train_together(whole, 1, *VALID, *settings, "train.max_steps=9", run=alone))
    for size, step in ((2, 3), (1, 5), (2, 9)):
        divided = ["train.shard=true", f"train.max_steps={step}"]
        succeeded(train_together(whole, size, *VALID, *settings, *divided, run=run))
    # The norm of the gradient is summed in another order.
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if settings else {"rtol": 0, "atol": 0}
    for name, tensor in whole.tensors(9, alone).items():
        assert torch.allclose(whole.tensors(9, run)[name], tensor, **tolerance), name
    expected, found = (whole.state(9, each)["scores"] for each in (alone, run))
    assert found == pytest.approx(expected, rel=1e-3)


def test_fault_04_a_stream(whole: Folder) -> None:
    stream = ["data.streaming=true", "data.shuffle_buffer=1024"]
    succeeded(train_together(whole, 1, *stream, "train.max_steps=8", run="stream-1"))
    for size, step in ((2, 3), (1, 5), (2, 8)):
        succeeded(train_together(whole, size, *stream, f"train.max_steps={step}", run="stream-2"))
    assert whole.losses("stream-2") == whole.losses("stream-1")
    assert same(whole.tensors(8, "stream-2"), whole.tensors(8, "stream-1"))


@pytest.mark.parametrize("settings", [[], ["train.shard=true"]])
def test_frozen_parameters_in_several_processes(whole: Folder, settings: list[str]) -> None:
    """Only the gradients of the others are summed."""
    run, frozen = f"frozen-{len(settings)}", ["train.freeze=[embeddings, encoder]"]
    succeeded(train_together(whole, 1, *frozen, "train.max_steps=6", run=f"{run}-alone"))
    for size, step in ((2, 3), (1, 4), (2, 6)):
        more = [*frozen, *settings, f"train.max_steps={step}"]
        succeeded(train_together(whole, size, *more, run=run))
    assert same(whole.tensors(6, run), whole.tensors(6, f"{run}-alone"))


def test_low_rank_changes_in_several_processes(whole: Folder) -> None:
    lora = ["train.init_from=whole", "train.lora={rank: 2}"]
    succeeded(train_together(whole, 1, *lora, *VALID, "train.max_steps=6", run="lora-alone"))
    for size, step in ((2, 3), (1, 4), (2, 6)):
        more = [*lora, *VALID, f"train.max_steps={step}"]
        succeeded(train_together(whole, size, *more, run="lora"))
    assert same(whole.tensors(6, "lora"), whole.tensors(6, "lora-alone"))


REGULARISED = [
    *("train.ema=0.9", "train.word_dropout.src=0.1", "train.word_replacement.tgt=0.1"),
    *("train.r_drop={}", "model.layer_dropout=0.5"),
]


@pytest.mark.parametrize("settings", [REGULARISED, ["train.sim_cut={cutoff: 0.2}"]])
def test_regularised_training_in_several_processes(whole: Folder, settings: list[str]) -> None:
    """A layer may be dropped in one of them only, and a model that drops none may be divided."""
    run, shard = f"regularised-{len(settings)}", ["train.shard=true"] * (settings != REGULARISED)
    succeeded(train_together(whole, 1, *settings, *VALID, "train.max_steps=6", run=f"{run}-alone"))
    for size, step in ((2, 3), (1, 4), (2, 6)):
        more = [*settings, *shard, *VALID, f"train.max_steps={step}"]
        succeeded(train_together(whole, size, *more, run=run))
    assert same(whole.tensors(6, run), whole.tensors(6, f"{run}-alone"))
    expected, found = (whole.state(6, each)["scores"] for each in (f"{run}-alone", run))
    assert found == pytest.approx(expected, rel=1e-9)


def test_fault_04_four_processes(whole: Folder) -> None:
    """The sum of four batches may round differently."""
    four = ["train.accumulate=4", "train.max_steps=6"]
    succeeded(train_together(whole, 1, *four, run="alone"))
    succeeded(train_together(whole, 4, *four, run="four"))
    for (step, one), (other_step, other) in zip(
        whole.losses("alone"), whole.losses("four"), strict=True
    ):
        assert step == other_step
        assert one == pytest.approx(other, rel=1e-5)
    before, after = (whole.state(6, run) for run in ("alone", "four"))
    assert (before["epoch"], before["batch"]) == (after["epoch"], after["batch"])


def test_batches_that_cannot_be_shared_are_refused(folder: Folder) -> None:
    outcomes = train_together(folder, 3)
    outcomes[0].refused(2, "train.accumulate 2", "a multiple of their number, 3", "accumulate=3")
    assert [(one.code, one.err) for one in outcomes[1:]] == [(2, "")] * 2
    assert not (folder.path / "run").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_fault_15_sigterm_to_one_of_two(whole: Folder, rank: int) -> None:
    run = f"terminated-{rank}"
    fault = before_call(3, STEP, send(signal.SIGTERM))
    outcomes = train_together(whole, 2, "train.max_steps=12", *VALID, run=run, faults={rank: fault})
    outcomes[0].refused(143, f"stopped at step 3, saved in {run}")
    outcomes[1].refused(143)
    assert outcomes[1].err == ""
    assert whole.steps(run) == [3]
    succeeded(train_together(whole, 2, "train.max_steps=12", *VALID, run=run))
    assert whole.losses(run) == whole.losses("whole")
    assert same(whole.tensors(12, run), whole.tensors(12, "whole"))


def test_fault_15_sigterm_during_validation(folder: Folder) -> None:
    fault = before_call(1, "nmt.training.validate:evaluate", send(signal.SIGTERM))
    fault += before_call(2, "nmt.training.validate:batch_loss", send(signal.SIGTERM))
    settings = [*VALID, "train.validate_every=2", "train.max_steps=9"]
    outcomes = train_together(folder, 2, *settings, faults={1: fault})
    outcomes[0].refused(143, "stopped at step 2, saved in run")
    outcomes[1].refused(143)


INFINITE = "next(args[0].parameters()).register_hook(lambda grad: grad * float('inf'))"


@pytest.mark.parametrize("rank", [0, 1])
def test_fault_17_an_infinite_gradient_in_one_process(folder: Folder, rank: int) -> None:
    fault = before_call(3, STEP, INFINITE)
    outcomes = train_together(folder, 2, "train.save_every=1", faults={rank: fault})
    outcomes[0].refused(5, "step 3: the loss is", "train.src:", "weights were not changed")
    assert (outcomes[1].code, outcomes[1].err) == (5, "")
    assert all(bool(torch.isfinite(value).all()) for value in folder.tensors(2).values())


TOO_LARGE = """
import torch
import nmt.training.learner as l
_loss = l.batch_loss
def _limited(network, batch, *args):
    if len(batch.rows) > {limit}:
        raise torch.OutOfMemoryError("simulated")
    return _loss(network, batch, *args)
l.batch_loss = _limited
"""


def test_fault_18_out_of_memory_in_one_process(folder: Folder) -> None:
    plain = ["model.dropout=0.0"]
    succeeded(train_together(folder, 2, *plain, run="whole"))
    faults = {1: TOO_LARGE.format(limit=8)}
    first, second = train_together(folder, 2, *plain, run="split", faults=faults)
    first.succeeded()
    assert second.succeeded().err == ""
    losses = [[loss for _, loss in folder.losses(run)] for run in ("whole", "split")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_fault_18_a_single_pair_does_not_fit_into_one_process(folder: Folder) -> None:
    first, second = train_together(folder, 2, faults={1: TOO_LARGE.format(limit=0)})
    first.refused(5, "out of memory in another process")
    second.refused(5, "out of memory: a pair of")


@pytest.mark.parametrize("rank", [0, 1])
def test_fault_19_kill_9_of_one_of_two(folder: Folder, rank: int) -> None:
    fault = before_call(3, STEP, send(signal.SIGKILL))
    outcomes = train_together(folder, 2, "train.save_every=1", faults={rank: fault})
    assert outcomes[rank].code == -signal.SIGKILL
    outcomes[1 - rank].refused(1, "process", "has lost the connection")
    assert folder.steps()[-1] in (1, 2)
    assert rank == 0 or folder.leftovers() == []  # process 0 may die while it saves


def test_fault_19_kill_9_with_a_divided_model(folder: Folder) -> None:
    fault = before_call(3, STEP, send(signal.SIGKILL))
    outcomes = train_together(
        folder, 2, "train.shard=true", "train.save_every=1", faults={1: fault}
    )
    outcomes[0].refused(1, "process 0 has lost the connection")
    assert folder.steps()[-1] in (1, 2)


def test_fault_18_out_of_memory_with_a_divided_model(folder: Folder) -> None:
    first, second = train_together(
        folder, 2, "train.shard=true", faults={1: TOO_LARGE.format(limit=8)}
    )
    first.refused(1, "process 0")
    second.refused(5, "with train.shard, no process can divide its batches")


def test_fault_19_a_failure_before_the_first_step(folder: Folder) -> None:
    """The others wait for process 0 to prepare the data."""
    first, second = train_together(folder, 2, "data.train.src=missing")
    first.refused(4, "missing: cannot be read")
    second.refused(1, "process 1")


def test_fault_19_different_checkpoints(folder: Folder) -> None:
    """As if the machines did not share the run directory."""
    fault = "import nmt.training.trainer as t; t.checkpoint.newest_intact = lambda *args: None"
    fault += "; import nmt.distributed as d; d._POLL_SECONDS = 1"  # it looks after process 0 failed
    succeeded(train_together(folder, 2, "train.max_steps=2"))
    first, second = train_together(folder, 2, "train.max_steps=4", faults={1: fault})
    first.refused(4, "run: the processes have loaded different checkpoints, of steps 2, 0")
    assert (second.code, second.err) == (4, "")


TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
KILL_ONCE = """
import os, signal
if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    import nmt.training.learner as l
    _loss, _calls = l.batch_loss, []
    def _deadly(*args):
        _calls.append(1)
        if len(_calls) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return _loss(*args)
    l.batch_loss = _deadly
"""


def test_fault_19_torchrun_goes_on_from_the_last_checkpoint(whole: Folder) -> None:
    script = whole.write("deadly.py", f"{KILL_ONCE}\nfrom nmt.__main__ import main\nmain()\n")
    arguments = ["train", "tiny.yaml", *SETTINGS, *VALID, "train.save_every=2"]
    command = [*TORCHRUN, "--standalone", "--max-restarts", "1", script.name, *arguments]
    ended = subprocess.run(
        [*command, "train.max_steps=12", "--run-dir", "restarted"],
        cwd=whole.path,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"resuming from step 2 of 12" in ended.stderr
    assert whole.losses("restarted") == whole.losses("whole")
    assert same(whole.tensors(12, "restarted"), whole.tensors(12, "whole"))


@pytest.mark.slow
def test_resuming_is_verified_in_several_processes(folder: Folder) -> None:
    arguments = ["train", "tiny.yaml", *SETTINGS, "train.max_steps=6", "--verify-resume", "6"]
    done = folder.nmt(*arguments, "--processes", "2").succeeded()
    assert done.out.startswith(b"identical: 6 uninterrupted steps, and 6 stopped after steps 2 and")
    assert done.out.count(b"\n") == 1


def test_processes_are_started_by_the_command_itself(whole: Folder) -> None:
    arguments = ["tiny.yaml", *SETTINGS, *VALID, "train.max_steps=12", "--run-dir", "launched"]
    whole.nmt("train", *arguments, "--processes", "2").succeeded()
    assert same(whole.tensors(12, "launched"), whole.tensors(12, "whole"))


class DeafStore:
    """A store on a machine that has lost its network: it takes keys, but does not answer."""

    def set(self, key: str, value: str) -> None:
        pass

    def check(self, keys: list[str]) -> None:
        threading.Event().wait()


def test_a_store_that_does_not_answer_is_an_error() -> None:
    started = time.monotonic()
    world = World(rank=1, size=2, store=DeafStore(), timeout=0.3)
    with pytest.raises(PeerError, match="process 1 ends: the store has not answered"), world:
        world.gather(None)
    assert time.monotonic() - started < 5


def test_distillation_runs_in_one_process(folder: Folder) -> None:
    first, second = ends(start_together(folder, 2, "distill", "tiny.yaml", "tiny.yaml"))
    first.refused(2, "runs in one process: start it without torchrun")
    assert (second.code, second.err) == (2, "")


# ---------------------------------------------------------------- translation


@pytest.fixture
def job(folder: Folder, trained_run: Path) -> list[str]:
    """Return a command that translates many lines, some of them repeated or blank."""
    draw = random.Random(0)
    words = ["the", "cat", "dog", "sat", "on", "a", "mat", "ran", "home", ""]
    lines = [" ".join(draw.choices(words, k=draw.randint(0, 9))) for _ in range(300)]
    folder.write("in", "".join(f"{line}\n" for line in lines + lines[:50]))
    return ["translate", str(trained_run), "in", "--batch-tokens", "30", "--output", "out"]


@pytest.mark.parametrize(
    ("size", "options"),
    [(2, []), (3, ["--nbest", "2", "--alignments"]), (2, ["--engine", "nmt"])],
)
def test_the_output_is_that_of_one_process(
    folder: Folder, job: list[str], size: int, options: list[str]
) -> None:
    folder.nmt(*job, *options, "--output", "one").succeeded()
    succeeded(ends(start_together(folder, size, *job, *options)))
    assert (folder.path / "out").read_bytes() == (folder.path / "one").read_bytes()
    outcomes = ends(start_together(folder, size, *job[:-2], *options))
    assert outcomes[0].out == (folder.path / "one").read_bytes()
    assert [outcome.out for outcome in outcomes[1:]] == [b""] * (size - 1)
    assert folder.leftovers() == []


SLOW_SEARCH = """
import time
import nmt.translate.translator
from nmt.translate.part_search import PartSearch
nmt.translate.translator._BATCHES_AHEAD = 2
_search = PartSearch._search
def _slow(*args):
    time.sleep(0.05)
    return _search(*args)
PartSearch._search = _slow
"""


def test_processes_killed_at_random_moments(folder: Folder, job: list[str]) -> None:
    """After 20 kills, the last start ends with the output of one process."""
    folder.nmt(*job, "--output", "one", fault=SLOW_SEARCH).succeeded()
    draw = random.SystemRandom()
    for _ in range(20):
        size = draw.randint(1, 3)
        processes = start_together(
            folder, size, *job, "--resume", faults=dict.fromkeys(range(size), SLOW_SEARCH)
        )
        time.sleep(draw.uniform(0.3, 1))
        for process in processes:
            process.kill()
            process.communicate()
    assert not (folder.path / "out").exists()
    faults = dict.fromkeys(range(2), SLOW_SEARCH)
    succeeded(ends(start_together(folder, 2, *job, "--resume", faults=faults)))
    assert (folder.path / "out").read_bytes() == (folder.path / "one").read_bytes()
    assert sorted(path.name for path in folder.path.glob("out*")) == ["out"]


def test_other_settings_are_refused_by_one_and_end_the_others(
    folder: Folder, job: list[str]
) -> None:
    kill = before_call(2, "nmt.translate.partial_output:PartialOutput.append", send(signal.SIGKILL))
    folder.nmt(*job, fault=SLOW_SEARCH + kill)
    outcomes = ends(start_together(folder, 2, *job, "--resume", "--beam-size", "3"))
    outcomes[0].refused(2, "translated with other settings (beam_size)")
    outcomes[1].refused(1, "process 1 ends: process 0 has")


def test_a_process_that_fails_ends_the_others(folder: Folder, job: list[str]) -> None:
    fault = before_call(
        3, "nmt.translate.part_search:PartSearch._search", "raise OSError(5, 'bad')"
    )
    outcomes = ends(start_together(folder, 2, *job, faults={1: fault}))
    assert outcomes[1].code != 0
    outcomes[0].refused(1, "process 0 ends: process 1 has failed")
    refused = ends(start_together(folder, 2, "translate", job[1]))
    refused[0].refused(2, "cannot share the standard input")
