"""nmt recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.app import log
from nmt.cli.options import refuse_outputs
from nmt.errors import ConfigError
from nmt.limits import MAX_STEPS

if TYPE_CHECKING:
    from nmt.config.corpora import FilesCorpus

Src = Annotated[str, typer.Argument(metavar="SRC", help="Text, plain or .gz, or a pattern.")]
Tgt = Annotated[str, typer.Argument(metavar="TGT", help="Its translation, line by line.")]
SrcLang = Annotated[
    str | None,
    typer.Option(metavar="CODE", help="Language of SRC. Default: guessed from its name or text."),
]
TgtLang = Annotated[str | None, typer.Option(metavar="CODE", help="Language of TGT.")]
ValidSrc = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Validation text. Default: some of the pairs are held out, with -o."
    ),
]
ValidTgt = Annotated[str | None, typer.Option(metavar="FILE", help="Its translation.")]
Hours = Annotated[
    float | None,
    typer.Option(
        min=0.01, max=100_000, help="Time for training on this machine. Default: 2 hours."
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        min=1, max=MAX_STEPS, metavar="N", help="Training steps, instead of measuring the speed."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Where to write it."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]

_USUAL_HOURS = 2.0


def recipe(
    src: Src,
    tgt: Tgt,
    src_lang: SrcLang = None,
    tgt_lang: TgtLang = None,
    valid_src: ValidSrc = None,
    valid_tgt: ValidTgt = None,
    hours: Hours = None,
    steps: Steps = None,
    output: Output = None,
    force: Force = False,
) -> None:
    """Write a configuration for parallel text, with a reason for each setting.

    Looks at the text and measures how fast this machine trains. Without a validation text, -o FILE
    holds out up to 2,000 pairs: it writes the text, divided, next to FILE.
    """
    if (valid_src is None) != (valid_tgt is None):
        raise ConfigError("--valid-src and --valid-tgt are only valid together")
    if hours is not None and steps is not None:
        raise ConfigError("give either --hours or --steps")

    from nmt.config.corpora import FilesCorpus
    from nmt.console import Console
    from nmt.files import is_standard
    from nmt.recipe import plan
    from nmt.recipe.run import Request, make_recipe

    text = FilesCorpus(src=src, tgt=tgt)
    valid = FilesCorpus(src=valid_src, tgt=valid_tgt) if valid_src and valid_tgt else None
    _check_output(output, [text, valid])
    limit = plan.Steps(steps) if steps else plan.Hours(hours or _USUAL_HOURS)
    make_recipe(
        Request(text, (src_lang, tgt_lang), valid, limit, output, force), Console(stderr=True)
    )
    if output and not is_standard(output):
        log(f"{output}: written; train with: nmt train {output}")
    elif not valid:
        log("no validation text: give --valid-src and --valid-tgt, or hold some pairs out with -o")


def _check_output(output: Path | None, corpora: list[FilesCorpus | None]) -> None:
    """Refuse early an output that is an input or cannot be written."""
    from nmt.data.corpus import files_of

    refuse_outputs([output], [path for one in corpora if one for path in files_of(one)], [])
