"""A comparison for the terminal, readable at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from nmt.evaluation.compare import Comparison, Example, Grouping, Pair, SystemScore
from nmt.evaluation.ngrams import Ngram


def render(comparison: Comparison) -> Iterator[RenderableType]:
    """Yield the sections of a comparison: tables, headings, and lines as strings."""
    for metric, scores in comparison.scores.items():
        yield _scores(metric, scores, comparison.systems)
        yield ""
    yield (
        f"{comparison.sentences:,} sentences. ±: 95 % interval of {comparison.samples:,} bootstrap "
        "samples. p: paired bootstrap resampling with the same samples, also in the tables below, "
        f"and approximate randomization with {comparison.trials:,} trials."
    )
    yield from (f"{name}|{signature}" for name, signature in comparison.signatures.items())
    yield ""
    for grouping in comparison.groupings:
        for metric in comparison.scores:
            yield _heading(f"{metric} by {grouping.name}")
            yield _groups(grouping, metric)
            yield ""
    for pair in comparison.pairs:
        yield from _pair(pair, comparison)


def _scores(metric: str, scores: Sequence[SystemScore], systems: Sequence[str]) -> Table:
    table = _table("")
    table.add_column("system", overflow="fold")
    for title in (metric, "difference", "p bootstrap", "p randomization"):
        table.add_column(title, justify="right")
    for number, (name, score) in enumerate(zip(systems, scores, strict=True), 1):
        difference = f"{score.score - scores[0].score:+.1f}" if number > 1 else "baseline"
        p_values = map(_probability, (score.p_bootstrap, score.p_randomization))
        table.add_row(str(number), name, _score(score), difference, *p_values)
    return table


def _groups(grouping: Grouping, metric: str) -> Table:
    table = _table("")
    table.add_column("sentences", justify="right")
    for number, _ in enumerate(grouping.groups[0].scores[metric], 1):
        table.add_column(f"system {number}", justify="right")
        if number > 1:
            table.add_column("p", justify="right")
    for group in grouping.groups:
        cells = []
        for score in group.scores[metric]:
            cells.append(_score(score))
            if score.p_bootstrap is not None:
                cells.append(_probability(score.p_bootstrap))
        table.add_row(group.name, f"{group.sentences:,}", *cells)
    return table


def _pair(pair: Pair, comparison: Comparison) -> Iterator[RenderableType]:
    number = pair.system + 1
    equal = comparison.sentences - pair.better - pair.worse
    yield (
        f"System {number} ({comparison.systems[pair.system]}), by sentence-level chrF: better than "
        f"the baseline in {pair.better:,} sentences, worse in {pair.worse:,}, equal in {equal:,}."
    )
    yield ""
    for title, examples in (("wins", pair.wins), ("losses", pair.losses)):
        if examples:
            yield _heading(f"Largest {title} of system {number}")
            yield _examples(examples, number)
            yield ""
    for kind, won, lost in (
        ("Words", pair.words_won, pair.words_lost),
        ("N-grams of 2 to 4 words", pair.ngrams_won, pair.ngrams_lost),
    ):
        for better, ngrams in ((number, won), (1, lost)):
            if ngrams:
                yield _heading(f"{kind} that system {better} gets right more often")
                yield _ngrams(ngrams, number)
                yield ""


def _examples(examples: Sequence[Example], number: int) -> Table:
    table = _table("")
    table.show_header = False
    table.add_column(overflow="fold")
    for place, example in enumerate(examples):
        if place:
            table.add_row()
        before, after = example.baseline_chrf, example.system_chrf
        change = f"{before:.1f} -> {after:.1f} ({after - before:+.1f})"
        table.add_row("chrF", f"{change}, line {example.line:,}")
        if example.src is not None:
            table.add_row("source", example.src)
        table.add_row("reference", example.reference)
        table.add_row("system 1", example.baseline)
        table.add_row(f"system {number}", example.system)
    return table


def _ngrams(ngrams: Sequence[Ngram], number: int) -> Table:
    table = _table("")
    for name in ("system 1", f"system {number}", "log odds"):
        table.add_column(name, justify="right")
    for ngram in ngrams:
        counts = f"{ngram.baseline:,}", f"{ngram.system:,}"
        table.add_row(ngram.text, *counts, f"{ngram.log_odds:+.2f}")
    return table


def _heading(text: str) -> Text:
    return Text(text, style="bold")


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    return table


def _score(score: SystemScore) -> str:
    return f"{score.score:.1f} ± {score.margin:.1f}"


def _probability(p: float | None) -> str:
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
