"""nmt tune-decode and calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.app import log
from nmt.cli.options import Device, Threads, parse_numbers


def tune_decode(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    length_penalties: Annotated[
        str | None,
        typer.Option(metavar="A,A,...", help="Length penalties to try. Default: 0,0.2,...,2."),
    ] = None,
    beam_sizes: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Beam sizes to try, and the configured one."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time limit; beam sizes that do not fit in are left out.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Choose the length penalty and the beam size on the validation text.

    RUN then translates with them, if they are significantly better than those in its
    configuration. Prints a table of the settings that were tried.
    """
    penalties = parse_numbers("--length-penalties", length_penalties)
    sizes = parse_numbers("--beam-sizes", beam_sizes)

    from nmt import api
    from nmt.training.decode_tuning import render

    tuning = api.tune_decode(
        run,
        length_penalties=penalties,
        beam_sizes=sizes,
        minutes=minutes,
        device=device,
        threads=threads,
        log=log,
    )
    for line in render(tuning):
        typer.echo(line)
    log(f"{run}: {tuning}")


def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Learn from the validation text how far translations can be trusted.

    RUN then has a confidence in each translation under --guard: the probability that it has a
    sentence-level chrF of at least 50. Prints how well it fits that text.
    """
    from nmt import api
    from nmt.evaluation.calibration import render

    calibration, table = api.calibrate(run, device=device, threads=threads, log=log)
    for line in render(table):
        typer.echo(line)
    log(f"{run}: {calibration.acceptable:.1%} of {calibration.sentences:,} are acceptable")
