"""Render a report for the terminal, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nmt.check import corpora
from nmt.check.run import Report
from nmt.config.schema import Config
from nmt.data.filters import percent

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_BAR = 16
_BUSY = 1.5  # running processes per core; nmt check itself makes it 1


def render(report: Report, config: Config) -> Iterator[RenderableType]:
    """Yield the sections of a report."""
    translates = config.train.objective == "translate"
    langs = (config.data.src_lang, config.data.tgt_lang) if translates else ("source", "target")
    yield _corpora(report, langs)
    yield _lengths(report.lengths, langs)
    yield _text_figures(report, langs)
    yield _training_figures(report, config)
    yield _findings(report)


def _corpora(report: Report, langs: tuple[str, str]) -> Table:
    table = _table("Pairs")
    table.add_column("corpus", overflow="fold")
    for name in ("read", "dropped", *(f"{lang} tokens" for lang in langs), "unknown"):
        table.add_column(name, justify="right")
    for part, reports in report.data.items():
        for one in reports:
            table.add_row(
                f"{part}: {one.name}",
                f"{one.read:,}",
                f"{one.read - one.kept:,}",
                f"{one.src_tokens:,}",
                f"{one.tgt_tokens:,}",
                percent(one.src_unknown + one.tgt_unknown, one.src_tokens + one.tgt_tokens),
            )
    return table


def _lengths(lengths: corpora.Lengths, langs: tuple[str, str]) -> Table:
    table = _table("Training pairs by tokens, EOS included")
    table.add_column("tokens", justify="right")
    for lang in langs:
        table.add_column(lang, justify="right")
        table.add_column("", width=_BAR)
    most = max(*lengths.src, *lengths.tgt)
    longest = max(lengths.src_percentiles[-1], lengths.tgt_percentiles[-1])
    ends = [*(start - 1 for start in lengths.starts[1:]), longest]
    for start, end, src, tgt in zip(lengths.starts, ends, lengths.src, lengths.tgt, strict=True):
        label = str(start) if start == end else f"{start}-{end}"
        table.add_row(label, f"{src:,}", _bar(src / most), f"{tgt:,}", _bar(tgt / most))
    return table


def _text_figures(report: Report, langs: tuple[str, str]) -> Table:
    src_lang, tgt_lang = langs
    table = _grid("Text")
    lengths = zip(
        corpora.PERCENTILES,
        report.lengths.src_percentiles,
        report.lengths.tgt_percentiles,
        strict=True,
    )
    table.add_row(
        "lengths",
        "; ".join(
            f"{'all' if percent == 100 else f'{percent} %'} up to {src} + {tgt}"
            for percent, src, tgt in lengths
        ),
    )
    for name, alignments in report.alignment.items():
        for one in alignments:
            correlated = "" if one.correlation is None else f"correlation {one.correlation:.2f}, "
            table.add_row(
                f"{name} lengths",
                (f"{one.corpus}: " if len(alignments) > 1 else "")
                + f"{one.ratio:.2f} {tgt_lang} per {src_lang} token, {correlated}"
                f"{one.outliers:,} pairs with unlikely lengths",
            )
    repeated = report.duplicates
    table.add_row(
        "repeated",
        f"{repeated.pairs:,} pairs; {repeated.ambiguous:,} sources with several targets; "
        f"{repeated.copies:,} pairs with identical sides",
    )
    for name, overlap in report.overlap.items():
        table.add_row(
            f"{name} in train",
            f"sources {overlap.src:,}, targets {overlap.tgt:,}, pairs {overlap.pairs:,} "
            f"of {overlap.sentences:,}",
        )
    vocabulary = report.vocabulary
    used = f"{src_lang} uses {vocabulary.src_used:,}, {tgt_lang} {vocabulary.tgt_used:,}"
    table.add_row(
        "vocabulary",
        f"{vocabulary.src_pieces:,} + {vocabulary.tgt_pieces:,} pieces; {used}"
        if vocabulary.used is None
        else f"{vocabulary.src_pieces:,} pieces; {used}, both {vocabulary.used:,}",
    )
    return table


def _training_figures(report: Report, config: Config) -> Table:
    table = _grid("Training")
    plan, measured = report.plan, report.measured
    table.add_row("model", f"{plan.parameters:,} parameters")
    batches = f"{plan.batches_per_epoch:,} batches, {100 * plan.padding:.1f} % padding"
    if config.data.streaming:
        table.add_row("shuffled together", batches)
    else:
        steps = f"{config.train.max_steps:,} steps are {plan.epochs:.1f} epochs"
        table.add_row("epoch", f"{batches}; {steps}")
    pairs, src, tgt = plan.largest_batch
    table.add_row("largest batch", f"{pairs:,} pairs of {src} + {tgt} tokens")
    if measured is None:
        return table
    table.add_row("memory", f"{_bytes(measured.peak_bytes)} ({measured.peak_is})")
    device = f"{measured.device}, {measured.precision}"
    if measured.device == "cpu":
        device += f", {measured.threads} thread{'' if measured.threads == 1 else 's'}"
    steps = "one step" if measured.steps == 1 else f"{measured.steps} steps"
    table.add_row(
        "speed",
        f"{measured.tgt_tokens_per_second:,.0f} target tokens per second on {device}: "
        f"{measured.step_seconds:.3g} s per step, over {steps}",
    )
    busy = "; less on an idle machine" if measured.load > _BUSY else ""
    table.add_row(
        "time",
        f"{_duration(measured.total_seconds)} for {config.train.max_steps:,} steps, "
        f"without validation{busy}",
    )
    return table


def _findings(report: Report) -> RenderableType:
    if not report.findings:
        return Text("No findings.")
    table = _grid("Findings")
    for finding in report.findings:
        table.add_row(
            Text(finding.severity, style=_STYLES[finding.severity]),
            f"{finding.about}: {finding.message}",
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)


def _grid(title: str) -> Table:
    """Return a table without a header."""
    table = _table(title)
    table.show_header = False
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _bar(part: float) -> str:
    """Draw a bar in eighths of a character, at least one eighth unless `part` is 0."""
    eighths = max(round(part * _BAR * 8), 1 if part else 0)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8]).rstrip()


def _bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return "under two minutes"
    if minutes < 120:
        return f"about {minutes} minutes"
    hours = round(minutes / 60)
    return f"about {hours} hours" if hours < 72 else f"about {hours / 24:.1f} days"
