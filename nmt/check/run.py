"""nmt check: inspect the data and measure memory and time before training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from nmt.check import checks, corpora, training
from nmt.check.alignment import Alignment, alignment_findings, alignments
from nmt.check.finding import Finding
from nmt.check.plan import Plan
from nmt.check.subject import Subject
from nmt.check.text import style_differences
from nmt.check.vocabulary import Vocabulary, used_vocabulary, vocabulary_findings
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.filters import CorpusReport
from nmt.data.prepare import prepare
from nmt.data.streaming import StreamedEpochs
from nmt.errors import Interrupted
from nmt.signals import StopFlag
from nmt.training.data import valid_part
from nmt.training.initial import check_initial_model, initial_tokenizers
from nmt.training.monitor import preparing
from nmt.training.run import fail_early

_ORDER = ("error", "warning", "note")


@dataclass(frozen=True)
class Report:
    """The results of `nmt check`; the parts of the data are train, valid and test.

    A named set of data.valid is a part of its own, such as valid.domain.

    Attributes:
        data: counts for each corpus of each part.
        lengths: of the training pairs.
        alignment: for each corpus of each part.
        duplicates: in the training pairs.
        overlap: of validation and test pairs with the training pairs.
        vocabulary: how well it fits the data.
        plan: how the training pairs are divided into batches.
        measured: memory and time; None if a step does not fit into memory.
        findings: the most severe first.
    """

    data: dict[str, list[CorpusReport]]
    lengths: corpora.Lengths
    alignment: dict[str, list[Alignment]]
    duplicates: corpora.Duplicates
    overlap: dict[str, corpora.Overlap]
    vocabulary: Vocabulary
    plan: Plan
    measured: training.Measured | None
    findings: list[Finding]

    @property
    def is_fatal(self) -> bool:
        """Whether training would be pointless."""
        return any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> str:
        """Return the report as a JSON object."""
        return json.dumps(asdict(self) | {"fatal": self.is_fatal}, ensure_ascii=False)


def check(config: Config, console: Console) -> Report:
    """Prepare the data as training would, in the same cache, and check it.

    A signal during the preparation leaves nothing half-written. The checks after it write nothing,
    so there Ctrl-C raises KeyboardInterrupt as usual.

    Args:
        config: configuration of the training run.
        console: standard error, for progress.

    Raises:
        ConfigError: if the device is not available, the tokenizer cannot be trained, or
            `train.freeze`, `train.guided_alignment` or `train.init_from` cannot be used.
        DataError: if the corpora cannot be used.
        FileError: if a file cannot be read or written.
        Interrupted: if a signal arrives during the preparation.
    """
    device = fail_early(config)
    check_initial_model(config)
    subject = _prepare(config, console)
    parts, train = subject.parts, subject.parts["train"]
    with console.activity("checking the text"):
        sentences = corpora.Sentences.of(train)
        duplicates = corpora.duplicates(train, sentences)
        overlap = {
            name: corpora.overlap(train, sentences, part)
            for name, part in parts.items()
            if name != "train"
        }
        vocabulary = used_vocabulary(parts, subject.tokenizers)
        alignment = {name: alignments(part) for name, part in parts.items()}
    with console.activity("taking a few training steps"):
        measured, findings = training.measure(subject, device)
    report = Report(
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
    report.findings.extend([*checks.findings(subject), *_text_findings(subject, report)])
    report.findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    return report


def _prepare(config: Config, console: Console) -> Subject:
    data = config.data
    listings = {
        "train": [] if data.streaming else data.train,
        **{valid_part(name): corpora for name, corpora in data.valid_sets.items()},
        "test": data.test,
    }
    with StopFlag() as stop, preparing(console, stop) as progress:
        tokenizers = initial_tokenizers(config, progress, console.print_line)
        parts = {
            name: prepare(
                config,
                tokenizers,
                listed,
                filtered=name == "train",
                progress=progress,
                warn=console.print_line,
            )
            for name, listed in listings.items()
            if listed
        }
        if config.data.streaming:
            console.print_line("streaming: only the first data.shuffle_buffer pairs are checked")
            parts = {"train": StreamedEpochs(tokenizers, config).sample, **parts}
    if stop.signum is not None:
        raise Interrupted("stopped", stop.signum)
    return Subject(config, tokenizers, parts)


def _text_findings(subject: Subject, report: Report) -> Iterator[Finding]:
    """Yield the findings about the text."""
    data, parts = subject.config.data, subject.parts
    if not data.valid:
        yield Finding(
            "note",
            "no-validation",
            "data.valid",
            "not configured, so training cannot choose the best checkpoint or detect "
            "overfitting; hold out some pairs",
        )
    train = parts["train"]
    yield from corpora.dropped_findings(train.report, train.corpora)
    yield from corpora.duplicate_findings(report.duplicates, len(train))
    if subject.config.train.objective == "translate":
        yield from corpora.copy_findings(report.duplicates, len(train))
    for name, part in parts.items():
        yield from alignment_findings(report.alignment[name], f"data.{name}")
        if name != "train":
            yield from corpora.held_out_findings(part, data, f"data.{name}")
            yield from corpora.overlap_findings(report.overlap[name], f"data.{name}")
    restyled = {(one.about, one.side) for one in style_differences(subject)}
    yield from vocabulary_findings(report.vocabulary, parts, restyled)
