"""The preflight of a training: reads what it would read, measures what it would take."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass

from nmt.check import checks, corpora, training
from nmt.check.alignment import Alignment, alignment_findings, alignments
from nmt.check.finding import Finding
from nmt.check.plan import Plan
from nmt.check.subject import Subject
from nmt.check.text import style_differences
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.filters import CorpusReport
from nmt.data.prepare import prepare
from nmt.data.tokenizer import train_tokenizers
from nmt.errors import Interrupted
from nmt.signals import StopFlag
from nmt.training.monitor import preparing
from nmt.training.run import set_up_device

_ORDER = ("error", "warning", "note")


@dataclass(frozen=True)
class Report:
    """All that was found out; the parts of the data are train, valid and test.

    Attributes:
        data: what was read, for each part.
        lengths: of the training pairs.
        alignment: for each corpus of each part.
        duplicates: in the training pairs.
        overlap: of validation and test with the training pairs.
        vocabulary: how it suits the data.
        plan: how the training pairs are divided into batches.
        measured: memory and time; None if a step does not fit.
        findings: what deserves attention, the worst first.
    """

    data: dict[str, list[CorpusReport]]
    lengths: corpora.Lengths
    alignment: dict[str, list[Alignment]]
    duplicates: corpora.Duplicates
    overlap: dict[str, corpora.Overlap]
    vocabulary: corpora.Vocabulary
    plan: Plan
    measured: training.Measured | None
    findings: list[Finding]

    @property
    def is_fatal(self) -> bool:
        """Whether training would be pointless."""
        return any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> str:
        """Write it as one JSON object."""
        return json.dumps(asdict(self) | {"fatal": self.is_fatal}, ensure_ascii=False)


def check(config: Config, console: Console) -> Report:
    """Prepare the data as a training would, into the same cache, and look at it.

    A signal ends the preparation without leaving anything half-made; what comes after it has
    nothing to lose, and Ctrl-C ends it as a KeyboardInterrupt.

    Args:
        config: of the training.
        console: standard error, for the progress.

    Raises:
        ConfigError: the device is not available, or the tokenizer cannot be trained.
        DataError: the corpora cannot be used.
        FileError: something cannot be read or written.
        Interrupted: a signal came during the preparation.
    """
    device = set_up_device(config)
    with StopFlag() as stop, preparing(console, stop) as progress:
        tokenizers = train_tokenizers(config, progress, console.say)
        parts = {
            name: prepare(
                config,
                tokenizers,
                wanted,
                filtered=name == "train",
                progress=progress,
                warn=console.say,
            )
            for name in ("train", "valid", "test")
            if (wanted := getattr(config.data, name))
        }
    if stop.signum is not None:
        raise Interrupted("stopped", stop.signum)
    train = parts["train"]
    with _doing(console, "looking at the text"):
        sentences = corpora.Sentences.of(train)
        duplicates = corpora.duplicates(train, sentences)
        overlap = {
            name: corpora.overlap(train, sentences, part)
            for name, part in parts.items()
            if name != "train"
        }
        vocabulary = corpora.vocabulary(parts, tokenizers)
        alignment = {name: alignments(part) for name, part in parts.items()}
    subject = Subject(config, tokenizers, parts)
    with _doing(console, "taking a few steps of training"):
        measured, findings = training.measure(subject, device)
    findings += checks.findings(subject)
    if not config.data.valid:
        findings.append(
            Finding(
                "note",
                "no-validation",
                "data.valid",
                "not given: nothing will choose the best checkpoint or show when learning the "
                "data by heart begins; hold out some pairs",
            )
        )
    findings += corpora.dropped_findings(train.report, train.corpora)
    findings += corpora.duplicate_findings(duplicates, len(train))
    for name, part in parts.items():
        findings += alignment_findings(alignment[name], f"data.{name}")
        if name != "train":
            findings += corpora.held_out_findings(part, config.data, f"data.{name}")
            findings += corpora.overlap_findings(overlap[name], f"data.{name}")
    restyled = {(one.about, one.side) for one in style_differences(subject)}
    findings += corpora.vocabulary_findings(vocabulary, parts, restyled)
    findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    return Report(
        data={name: part.report.corpora for name, part in parts.items()},
        lengths=corpora.lengths(train),
        alignment=alignment,
        duplicates=duplicates,
        overlap=overlap,
        vocabulary=vocabulary,
        plan=subject.plan,
        measured=measured,
        findings=findings,
    )


def _doing(console: Console, what: str) -> AbstractContextManager[object]:
    """Say what is under way: on a terminal as long as it is, otherwise in a line."""
    if console.is_terminal:
        return console.status(what)
    console.say(what)
    return nullcontext()
