"""nmt push and pull."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.app import log
from nmt.cli.options import refuse_standard_output

Name = Annotated[str, typer.Argument(metavar="NAME", help="owner/name on the Hugging Face Hub.")]


def push(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run directory, or RUN/checkpoints/step-N.")
    ],
    name: Name,
    private: Annotated[
        bool, typer.Option("--private", help="Only those with access see the repository.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="BRANCH", help="Branch to upload to. Default: main.")
    ] = None,
    license: Annotated[  # noqa: A002
        str | None, typer.Option(help="Licence for the model card, such as cc-by-4.0.")
    ] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Scores for the model card, of `nmt evaluate --json`; the name of the file names "
            "the test set. May be repeated.",
        ),
    ] = None,
    transformers: Annotated[
        bool,
        typer.Option("--transformers", help="Add the files of MarianMT, for transformers."),
    ] = False,
) -> None:
    """Upload a trained model to the Hugging Face Hub, with a model card.

    Uploads what translation needs: the weights that translate, tokenizer, configuration. Log in
    with `hf auth login`, or set HF_TOKEN.
    """
    from nmt.hub.card import PushOptions, TestScores
    from nmt.hub.upload import push

    read = [TestScores.read(path) for path in scores or []]
    push(run, name, PushOptions(private, revision, transformers, license, read), log)


def pull(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="A new directory. Default: runs/ and the name.",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit. Default: main.")
    ] = None,
) -> None:
    """Download a model from the Hugging Face Hub into a run directory.

    Either one that `nmt push` has uploaded, or a MarianMT model, which is imported. Commands that
    take a MODEL also take hf:owner/name, and download it into the cache.
    """
    from nmt.hub.models import pull
    from nmt.hub.names import parse_name

    refuse_standard_output(output)
    target = output or Path("runs") / parse_name(name).repository.rpartition("/")[2]
    pull(name, target, revision, log)
    log(f"{target}: nmt translate {target} runs it")
