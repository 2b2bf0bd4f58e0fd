"""Clean a corpus: read it, apply the rules, write what is kept and what is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from nmt.clean.pipeline import clean
from nmt.clean.report import CleanReport
from nmt.clean.rules import Rules
from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.data.corpus import Pair, Tallies, corpus_name, read_pairs
from nmt.errors import DataError
from nmt.files import writing
from nmt.progress import Advance

_PAIRS_PER_ADVANCE = 1000


def clean_corpus(
    corpus: AnyCorpus,
    data: DataConfig,
    rules: Rules,
    *,
    outputs: Sequence[Path] = (),
    rejected: Path | None = None,
    processes: int = 1,
    num_examples: int = 0,
    advance: Advance,
) -> CleanReport:
    """Write the pairs of a corpus that no rule drops. Files are replaced once all is done.

    Args:
        corpus: the corpus.
        data: how it is read.
        rules: the rules.
        outputs: the files for both sides, or none.
        rejected: a file for the pairs that are dropped, with their line and rule: JSON lines if
            its name says so, else separated by tabs.
        processes: number of processes that apply the rules.
        num_examples: pairs of each rule that are kept for the report.
        advance: called with the numbers of pairs done.

    Raises:
        DataError: if nothing is left; and as in `read_pairs` and `clean`.
        FileError: if a file cannot be read or written.
    """
    report = CleanReport(rules.names, num_examples)
    tallies = Tallies()
    with ExitStack() as stack:
        sides = [stack.enter_context(writing(path)) for path in outputs]
        sink = stack.enter_context(writing(rejected)) if rejected else None
        as_json = rejected is not None and ".jsonl" in rejected.suffixes
        cleaned = clean(read_pairs(corpus, data, tallies), rules, processes)
        for number, (pair, rule) in enumerate(cleaned, 1):
            report.add(pair, rule)
            if rule is None:
                for file, text in zip(sides, pair, strict=False):
                    file.write(f"{text}\n".encode())
            elif sink:
                sink.write(f"{_record(pair, rule, as_json)}\n".encode())
            if number % _PAIRS_PER_ADVANCE == 0:
                advance(_PAIRS_PER_ADVANCE)
        report.add_reading(tallies)
        if not report.kept:
            most = max(report.dropped, key=lambda name: report.dropped[name].pairs)
            raise DataError(
                f"{corpus_name(corpus)}: no pair is left of {report.read:,}, most are dropped by "
                f"the rule {most}; nothing was written"
            )
    return report


def _record(pair: Pair, rule: str, as_json: bool) -> str:
    if as_json:
        record = {"line": pair.line, "rule": rule, "src": pair.src, "tgt": pair.tgt}
        return json.dumps(record, ensure_ascii=False)
    return f"{pair.line}\t{rule}\t{pair.src}\t{pair.tgt}"  # the reader has replaced tabs
