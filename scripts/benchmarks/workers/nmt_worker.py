"""nmt itself, through the code that its commands run."""

from __future__ import annotations

import json
import math
import tempfile
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker import Answer, Request, check_lengths, peak_memory, peak_resident, serve, synchronize

from nmt.console import Console

if TYPE_CHECKING:
    from nmt.data.batching import Batch
    from nmt.data.tokenizer import Tokenizers
    from nmt.translate.translator import Translator


def train_nmt(request: Request) -> Answer:
    """Run `nmt train` and read its metrics.

    The time includes making batches but not saving checkpoints; peak memory includes the copy of
    the weights for the last checkpoint.
    """
    from nmt.config.load import load_config
    from nmt.training.run import train

    config = load_config(Path(request["config"]), request["options"])
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as name:
        run = Path(name) / "run"
        train(config, run, Console(stderr=True))
        lines = (run / "metrics.jsonl").read_bytes().rstrip(b"\n").split(b"\n")
    windows = []
    seconds = 0.0
    for record in map(json.loads, lines):
        nll = math.log(record["ppl"])
        spent = record["seconds"] - seconds
        windows.append({"loss": record["loss"], "nll": nll, "seconds": spent})
        seconds = record["seconds"]
    return {"windows": windows, "peak_MB": peak_memory(request["device"])}


def train_steps(request: Request) -> Answer:
    """Train in the learner of `nmt train`, on the batches that the peers get in `worker.train`."""
    import torch

    from nmt.config.load import load_config
    from nmt.data.tokenizer import Tokenizers
    from nmt.device import choose_device
    from nmt.training.learner import Learner

    torch.set_num_threads(request["threads"])
    device = request["device"]
    config = load_config(Path(request["config"]), request["options"])
    tokenizers = Tokenizers.load(request["tokenizers"])
    warnings: list[str] = []
    learner = Learner(config, tokenizers, choose_device(device), warnings.append)
    made = _batches(request["batches"], tokenizers)
    steps = list(zip(made * request["passes"], request["rates"], strict=True))
    windows = []
    for first in range(0, len(steps), request["window"]):
        synchronize(device)
        start = time.monotonic()
        window = steps[first : first + request["window"]]
        stats = [learner.step([batch], rate) for batch, rate in window]
        synchronize(device)
        seconds = time.monotonic() - start
        tokens = sum(one.tokens for one in stats)
        windows.append({"loss": sum(one.loss for one in stats) / tokens, "seconds": seconds})
    return {"windows": windows, "peak_MB": peak_memory(device), "warnings": warnings}


def _batches(path: str, tokenizers: Tokenizers) -> list[Batch]:
    """Return the batches in a file, of ids without BOS and EOS."""
    import numpy as np

    from nmt.data.batching import collate

    batches = []
    for number, line in enumerate(Path(path).read_bytes().rstrip(b"\n").split(b"\n")):
        ids = json.loads(line)
        batch = collate(ids["src"], ids["tgt"], tokenizers, np.arange(len(ids["src"])))
        batches.append(replace(batch, number=number))
    return batches


class _LoadedError(BaseException):
    """Carries the translator out of the command; not an Exception, so the command lets it pass."""

    def __init__(self, translator: Translator) -> None:
        self.translator = translator


def load_translator(arguments: list[str]) -> Translator:
    """Return the translator of `nmt translate ARGUMENTS`; all of its options work here."""
    from nmt.cli import make_app, translation

    def leave(job: translation.Job, translator: Translator, **options: Any) -> None:
        raise _LoadedError(translator)

    translation.Job.run = leave  # type: ignore[method-assign]
    try:
        make_app()(["translate", *arguments], standalone_mode=False)
    except _LoadedError as loaded:
        return loaded.translator
    raise AssertionError("nmt translate does not run its translator with Job.run")


def translate_nmt(request: Request) -> Answer:
    """Translate text to text."""
    # Pass a file: with a pipe, lines would be translated one at a time.
    translator = load_translator([*request["arguments"], __file__])
    if request["num_tokens"]:
        # The weights never predict EOS, so every translation has this many tokens. Set after the
        # input limit was derived from it, and before processes are forked.
        engine: Any = translator.engine
        getattr(engine, "engine", engine).max_positions = request["num_tokens"]
    list(translator.translate(request["warm_up"]))
    start = time.monotonic()
    translations = list(translator.translate(request["lines"]))
    seconds = time.monotonic() - start
    best = [translation.hypotheses[0] for translation in translations]
    check_lengths([range(hypothesis.num_tokens) for hypothesis in best], request["num_tokens"])
    return {
        "seconds": seconds,
        "texts": [hypothesis.text for hypothesis in best],
        "peak_MB": peak_memory(request["device"]) + _peak_of_children(),
    }


def _peak_of_children() -> float:
    """Return the total peak memory of the child processes in MB; shared memory counts for each."""
    return sum(peak_resident(child.pid) for child in active_children() if child.pid)


serve({"train": train_nmt, "steps": train_steps, "translate": translate_nmt})
