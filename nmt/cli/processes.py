"""Commands that share their work among several processes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from nmt import torchrun
from nmt.errors import ConfigError
from nmt.limits import MAX_THREADS

if TYPE_CHECKING:
    from nmt.translate.part_search import Peers

_TIMEOUT_SECONDS = 120.0

Processes = Annotated[
    int,
    typer.Option(
        min=1,
        max=MAX_THREADS,
        metavar="N",
        help="Processes on this machine that share the work, such as one for each GPU.",
    ),
]


def launch(processes: int) -> None:
    """If there are to be several processes, run this command again in each, and exit as they do."""
    if processes == 1:
        return
    if torchrun.world_size() > 1:
        raise ConfigError("`processes`: torchrun has already started this process, with others")
    from nmt import distributed

    raise typer.Exit(distributed.launch(processes, list(_without_option(sys.argv[1:]))))


def _without_option(arguments: Iterable[str]) -> Iterator[str]:
    """Yield arguments without `--processes N` and `--processes=N`."""
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--processes":
            next(remaining)
        elif not argument.startswith("--processes="):
            yield argument


def refuse_others(command: str) -> None:
    """Raise a ConfigError if torchrun has started a command that runs in one process."""
    if torchrun.world_size() > 1:
        raise ConfigError(f"`{command}` runs in one process: start it without torchrun")


@contextmanager
def joined() -> Iterator[Peers | None]:
    """Meet the other processes that torchrun has started; None if this one is alone."""
    if torchrun.world_size() == 1:
        yield None
        return
    from nmt.distributed import World

    with World.join(None, _TIMEOUT_SECONDS) as world:
        yield world
