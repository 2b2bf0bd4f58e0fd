"""The training and validation data of a run: prepared or streamed, and described in data.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from nmt.config.corpora import AnyCorpus
from nmt.config.load import check_trainable
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.balance import describe
from nmt.data.batching import Epochs
from nmt.data.corpus import stamps
from nmt.data.lengths import LengthModel
from nmt.data.links import Linker
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.streaming import StreamedEpochs
from nmt.data.tokenizer import Tokenizers
from nmt.signals import StopFlag
from nmt.training.monitor import preparing
from nmt.training.word_alignment import align_words


def open_training_data(
    config: Config, tokenizers: Tokenizers, console: Console, stop: StopFlag
) -> Epochs | StreamedEpochs:
    """Prepare the training data, or begin to stream them if configured.

    Raises:
        ConfigError: if there are none.
        DataError, FileError, Interrupted: as in `prepare_corpora`.
    """
    check_trainable(config, "the configuration")
    if config.data.streaming:
        console.print_line("streaming; the first pairs of the training data:")
        return StreamedEpochs(tokenizers, config)
    prepared = prepare_corpora(config, tokenizers, config.data.train, console, stop, filtered=True)
    for line in describe(prepared, config.data):
        console.print_line(line)
    if config.train.guided_alignment is None:
        return Epochs(prepared, tokenizers, config)
    with preparing(console, stop) as progress:
        links = align_words(config, tokenizers, prepared, console, progress)
    return Epochs(prepared, tokenizers, config, Linker(links, tokenizers))


def prepare_corpora(
    config: Config,
    tokenizers: Tokenizers,
    corpora: list[AnyCorpus],
    console: Console,
    stop: StopFlag,
    *,
    filtered: bool,
) -> Prepared:
    """Prepare corpora and show the progress; see `nmt.data.prepare.prepare`.

    Raises:
        DataError, FileError: as in `prepare`.
        Interrupted: if a signal arrives.
    """
    with preparing(console, stop) as progress:
        return prepare(
            config,
            tokenizers,
            corpora,
            filtered=filtered,
            progress=progress,
            warn=console.print_line,
        )


def prepare_validation(
    config: Config, tokenizers: Tokenizers, console: Console, stop: StopFlag
) -> dict[str, Prepared]:
    """Prepare each set of `data.valid`; return them by name.

    Raises:
        DataError, FileError, Interrupted: as in `prepare_corpora`.
    """
    return {
        name: prepare_corpora(config, tokenizers, corpora, console, stop, filtered=False)
        for name, corpora in config.data.valid_sets.items()
    }


def valid_part(name: str) -> str:
    """Return the name of a set of `data.valid` among the parts of the data."""
    return f"valid.{name}" if name else "valid"


def describe_data(train: Prepared, valid: Mapping[str, Prepared]) -> str:
    """Return the content of data.json: the corpora and their statistics after filtering."""
    reports = {
        part: [
            (name, text, report)
            for name, data in sets.items()
            for text, report in zip(data.corpora, data.report.corpora, strict=True)
        ]
        for part, sets in (("train", {"": train}), ("valid", valid))
    }
    described = {
        part: [
            {
                **({"set": name} if name else {}),
                "name": report.name,
                "sha256": report.fingerprint,
                "files": stamps(text),
                "pairs_read": report.read,
                "pairs_kept": report.kept,
                "src_tokens": report.src_tokens,
                "tgt_tokens": report.tgt_tokens,
                "dropped": {reason: tally.count for reason, tally in report.dropped.items()},
            }
            for name, text, report in corpora
        ]
        for part, corpora in reports.items()
    }
    lengths = asdict(LengthModel.of(train.src_lengths, train.tgt_lengths))
    return json.dumps({**described, "lengths": lengths}, indent=1, ensure_ascii=False) + "\n"
