"""nmt backtranslate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nmt.cli.options import (
    Compute,
    ComputeOption,
    Device,
    Engine,
    EngineName,
    Threads,
    computing_options,
    found,
    refuse_outputs,
    with_search_options,
)
from nmt.cli.processes import refuse_others
from nmt.cli.training import ConfigFile, Overrides

_TEXT = "Monolingual text"
_PAIRS = "Synthetic pairs"

Mono = Annotated[
    list[Path],
    typer.Option(
        metavar="FILE",
        help="Text in the target language, a sentence per line, plain or .gz; may be repeated.",
        rich_help_panel=_TEXT,
    ),
]
SrcMono = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Text in the source language, for --rounds; may be repeated.",
        show_default=False,
        rich_help_panel=_TEXT,
    ),
]
Rounds = Annotated[
    int,
    typer.Option(
        min=1,
        max=10,
        metavar="N",
        help="Train both directions N times, each on translations by the other.",
        rich_help_panel=_TEXT,
    ),
]
Reverse = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        help="A trained model of the opposite direction (also hf:owner/name), to train none.",
        callback=found,
        rich_help_panel=_TEXT,
    ),
]
RunDirectory = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        metavar="DIR",
        help="Where the model goes. Default: runs/, the name of CONFIG and -bt.",
    ),
]
PairsFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        dir_okay=False,
        help="Only write the synthetic pairs to a file, as JSON lines, and do not train on them.",
    ),
]
MaxLengthRatio = Annotated[
    float,
    typer.Option(
        metavar="R",
        help="Drop pairs with a side R times as long as the other, relative to the average.",
        rich_help_panel=_PAIRS,
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        help="Drop translations with a lower mean log-probability per token, such as -2.",
        rich_help_panel=_PAIRS,
    ),
]
DropWorst = Annotated[
    float,
    typer.Option(
        metavar="P",
        help="Drop this part of the other pairs, those with the lowest scores, such as 0.1.",
        rich_help_panel=_PAIRS,
    ),
]
Ratio = Annotated[
    float,
    typer.Option(
        metavar="R",
        help="Synthetic pairs for each real one in an epoch; real ones are repeated for it.",
        rich_help_panel=_PAIRS,
    ),
]


@with_search_options("beam_size", "length_penalty", "temperature", "top_k", "top_p", "seed")
def backtranslate(
    config: ConfigFile,
    mono: Mono,
    search: dict[str, Any],
    overrides: Overrides = None,
    src_mono: SrcMono = None,
    rounds: Rounds = 1,
    reverse: Reverse = None,
    run_dir: RunDirectory = None,
    output: PairsFile = None,
    max_length_ratio: MaxLengthRatio = 3.0,
    min_score: MinScore = None,
    drop_worst: DropWorst = 0.0,
    ratio: Ratio = 1.0,
    device: Device = "auto",
    engine: Engine = EngineName.auto,
    compute: ComputeOption = Compute.auto,
    threads: Threads = None,
) -> None:
    """Train with monolingual text, translated by a reverse model; the same command continues."""
    refuse_others("nmt backtranslate")
    refuse_outputs([output], [*mono, *(src_mono or [])], [reverse] if reverse else [])
    from nmt import api
    from nmt.data.synthetic import SyntheticOptions

    api.backtranslate(
        config,
        overrides or [],
        mono=mono,
        src_mono=src_mono or [],
        rounds=rounds,
        reverse=reverse,
        run_dir=run_dir,
        output=output,
        synthetic=SyntheticOptions(max_length_ratio, min_score, drop_worst, ratio),
        search=search,
        **computing_options(device, engine, compute, threads),
    )
