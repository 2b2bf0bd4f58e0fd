"""nmt compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt.cli.app import log
from nmt.cli.evaluation import Lowercase, Ref, TestSet, Tokenize, warn_of_byte_order_marks
from nmt.cli.options import AsJson, refuse_outputs
from nmt.errors import ConfigError

if TYPE_CHECKING:
    from nmt.evaluation.compare import Comparison
    from nmt.evaluation.metrics import EvaluateOptions

_TESTING = "Scoring"
Systems = Annotated[
    list[Path],
    typer.Argument(metavar="HYP...", help="Translations of two or more systems, baseline first."),
]
Src = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The source text, to show with examples.")
]
Langs = Annotated[
    str | None, typer.Option(metavar="SRC-TGT", help="Languages of the test set, as in en-de.")
]
Train = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Training text in the target language, for word frequencies. Default: the references.",
    ),
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", dir_okay=False, help="Also write an HTML page."),
]
Top = Annotated[
    int, typer.Option(min=1, max=1000, help="Sentences and n-grams to show in each list.")
]
Samples = Annotated[
    int,
    typer.Option(min=1, max=100_000, help="Bootstrap samples.", rich_help_panel=_TESTING),
]
Trials = Annotated[
    int,
    typer.Option(
        min=1,
        max=100_000,
        help="Trials of approximate randomization.",
        rich_help_panel=_TESTING,
    ),
]


def compare(
    systems: Systems,
    ref: Ref = None,
    src: Src = None,
    test_set: TestSet = None,
    langs: Langs = None,
    train: Train = None,
    html: Html = None,
    top: Top = 10,
    lowercase: Lowercase = False,
    tokenize: Tokenize = None,
    samples: Samples = 1000,
    trials: Trials = 10_000,
    as_json: AsJson = False,
) -> None:
    """Compare systems that have translated the same text: significance, and where they differ.

    BLEU and chrF with p-values, overall and by kind of sentence; the sentences with the largest
    differences in chrF; and the words and n-grams that one system gets right and another does not.
    """
    if len(systems) < 2:
        raise ConfigError(f"{systems[0]}: only one system; name the translations of two or more")
    if html == Path("-") and as_json:
        raise ConfigError("--html - and --json both write to the standard output: name a file")
    refuse_outputs([html], [*systems, *(ref or []), src, train], [])

    from nmt.evaluation.metrics import EvaluateOptions

    options = EvaluateOptions(("bleu", "chrf"), lowercase, tokenize, confidence=True)
    files = {"src": src, "refs": ref or [], "test_set": test_set, "langs": langs}
    settings = {"samples": samples, "trials": trials, "top": top}
    _print(_compare(systems, files, train, options, settings), html, as_json)


def _compare(
    systems: list[Path],
    files: dict[str, Any],
    train: Path | None,
    options: EvaluateOptions,
    settings: dict[str, int],
) -> Comparison:
    from nmt.data.lines import read_lines
    from nmt.evaluation.compare import check_lines, compare
    from nmt.evaluation.testsets import read_test_data

    data = read_test_data(None, **files)
    named = [(str(path), list(read_lines(path, keep_bom=True))) for path in systems]
    names = map(str, files["refs"] or [files["test_set"]] * len(data.refs))
    check_lines([*zip(names, data.refs, strict=True), *named])
    warn_of_byte_order_marks(*(lines for _, lines in named), *data.refs)
    options = replace(options, tgt_lang=data.tgt_lang)
    words = read_lines(train) if train else None
    return compare(named, data.refs, data.src, train=words, options=options, **settings)


def _print(found: Comparison, html: Path | None, as_json: bool) -> None:
    from nmt.files import is_standard, write_lines

    if html:
        from nmt.report.comparison.page import render_page

        write_lines([render_page(found)], html)
        if is_standard(html):
            return
        log(f"{html}: written")
    if as_json:
        write_lines([found.to_json()], None)
        return
    from nmt.console import Console
    from nmt.report.comparison.text import render

    console = Console()
    for part in render(found):
        if isinstance(part, str):
            console.print_line(part)
        else:
            console.print(part)
