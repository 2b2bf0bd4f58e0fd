"""nmt info, report, attend and alignment-error."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from nmt.cli.app import log
from nmt.cli.options import (
    AsJson,
    Compute,
    ComputeOption,
    Device,
    Model,
    Page,
    Threads,
    all_found,
    refuse_outputs,
    with_search_options,
)
from nmt.errors import ConfigError, FileError


class Part(str, Enum):
    """The part of a configuration's data to translate for a report."""

    test = "test"
    valid = "valid"


AsJsonInstead = Annotated[
    bool, typer.Option("--json", help="Write what the page shows as JSON instead.")
]


Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Run directories, RUN/checkpoints/step-N, or hf:owner/name.",
        callback=all_found,
    ),
]
Corpus = Annotated[
    Part | None,
    typer.Option(help="Part of each run's data to translate. Default: test, else valid."),
]
Src = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Text that all runs translate instead.")
]
Ref = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Its reference translations; may be repeated."),
]
Translate = Annotated[
    bool, typer.Option("--translate/--no-translate", help="Or show the curves only.")
]


def info(model: Model, as_json: AsJson = False) -> None:
    """Show what a model directory holds, and verify its files.

    Works while the run is training.
    """
    from nmt.runs.info import inspect
    from nmt.runs.info_text import render

    contents = inspect(model)
    typer.echo(contents.to_json() if as_json else "\n".join(render(contents)))
    if contents.faults:
        raise FileError(f"{model}: damaged; the faults ({len(contents.faults)}) are named above")


def report(
    runs: Runs,
    output: Page = None,
    corpus: Corpus = None,
    src: Src = None,
    ref: Ref = None,
    translate: Translate = True,
    as_json: AsJsonInstead = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write a page about runs: curves, scores with confidence, and the hardest sentences.

    Several runs are overlaid, those that differ only in train.seed as their mean. The page,
    report.html unless --output names it, is one file that needs no network. A run may be training
    meanwhile.
    """
    if not translate and (corpus or src or ref):
        raise ConfigError("--no-translate leaves no use for --corpus, --src and --ref")
    if corpus and (src or ref):
        raise ConfigError("give either --corpus, or --src and --ref")
    if output is None and not as_json:
        output = Path("report.html")
    refuse_outputs([output], [path for path in (src, *(ref or [])) if path], runs)

    from nmt.console import Console
    from nmt.files import is_standard, write_lines
    from nmt.report.gather import Text, gather
    from nmt.report.page import render

    text = Text(corpus.value if corpus else None, src, ref or []) if translate else None
    contents = gather(runs, text, Console(stderr=True), device=device, threads=threads)
    write_lines([contents.to_json() if as_json else render(contents)], output)
    if not is_standard(output):
        log(f"{output}: written")


@with_search_options("tgt_lang", "src_lang")
def attend(
    model: Model,
    search: dict[str, Any],
    src: Annotated[str, typer.Option(metavar="TEXT", help="The source sentence.")],
    tgt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Its translation. Default: the model's own."),
    ] = None,
    output: Page = None,
    as_json: AsJsonInstead = False,
    device: Device = "auto",
    compute: ComputeOption = Compute.auto,
    threads: Threads = None,
) -> None:
    """Show the attention of every layer and head for a sentence pair, as a page of HTML.

    The page needs no network. Without --output only JSON is written, to the standard output.
    """
    if output is None and not as_json:
        raise ConfigError("name the page with --output, as in -o attention.html, or ask for --json")
    refuse_outputs([output], [], [model])

    from nmt import api
    from nmt.files import write_lines
    from nmt.report.attention.page import render_page

    loaded = api.load(model, engine="nmt", device=device, compute=compute.value, threads=threads)
    pair = loaded.attend(src, tgt, **search)
    write_lines([pair.to_json() if as_json else render_page(pair)], output)


def alignment_error(model: Model) -> None:
    """Print the word alignment error rate of the attention of each decoder layer.

    For a model of the built-in corpus, which comes with true alignments of all words except
    punctuation. A last row, head, is the head that train.guided_alignment has taught.
    """
    from nmt.report.alignments import alignment_errors

    scores = alignment_errors(model)
    typer.echo("layer  AER %  precision %  recall %")
    for layer, score in scores.items():
        rates = (score.error_rate, score.precision, score.recall)
        error, precision, recall = (100 * rate for rate in rates)
        typer.echo(f"{layer:>5}  {error:5.1f}  {precision:11.1f}  {recall:8.1f}")
