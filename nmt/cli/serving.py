"""nmt serve."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt.cli.app import log
from nmt.cli.options import (
    Compute,
    ComputeOption,
    Device,
    Engine,
    EngineName,
    Threads,
    all_found,
    computing_options,
    with_search_options,
)
from nmt.cli.translation_job import GuardMode
from nmt.errors import ConfigError, how_to_install
from nmt.limits import useful_threads

if TYPE_CHECKING:  # for other commands nothing of it is needed
    from nmt.serve.settings import Settings

_LIMITS = "Limits"

Models = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="MODEL",
        help="Run directories, RUN/checkpoints/step-N, exported models, or hf:owner/name on the "
        "Hugging Face Hub. Of several for the same languages, the first translates.",
        callback=all_found,
        show_default=False,
    ),
]
Host = Annotated[
    str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines connect.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")]
Pivot = Annotated[
    str | None,
    typer.Option(
        metavar="LANG", help="Translate pairs without a model over this language, for example en."
    ),
]
SplitSentences = Annotated[
    bool,
    typer.Option(
        "--split-sentences/--whole-lines",
        help="Translate each sentence of a line separately, or each line as a whole.",
    ),
]
GuardOption = Annotated[
    GuardMode | None,
    typer.Option(
        "--guard",
        help="Check translations, as in nmt translate, and answer with their flags and confidence. "
        "retry and blank also act on those with flags. A request may choose another mode.",
    ),
]
AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ORIGIN",
        help="A site whose pages may use this server, such as https://example.org, or * for all; "
        "may be repeated.",
    ),
]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, help="Processes, each with all models. Default: one for two threads."
    ),
]
CharLimit = Annotated[
    int, typer.Option(min=1, help="Characters in a request.", rich_help_panel=_LIMITS)
]
BatchLimit = Annotated[
    int, typer.Option(min=1, help="Strings in a request.", rich_help_panel=_LIMITS)
]
BodyLimit = Annotated[int, typer.Option(min=1, help="Bytes of a request.", rich_help_panel=_LIMITS)]
QueueLimit = Annotated[
    int,
    typer.Option(
        min=2, help="Lines that wait; those of one client may be half.", rich_help_panel=_LIMITS
    ),
]
Timeout = Annotated[
    float, typer.Option(min=0.1, help="Seconds that a request may take.", rich_help_panel=_LIMITS)
]
Connections = Annotated[int, typer.Option(min=1, help="Open connections.", rich_help_panel=_LIMITS)]
RateLimit = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Requests per minute of an API key, or else of an address. Default: no limit.",
        rich_help_panel=_LIMITS,
    ),
]
ApiKeys = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Answer only requests with a key of this file, which has the lines of --new-key.",
        rich_help_panel=_LIMITS,
    ),
]
NewKey = Annotated[
    bool,
    typer.Option("--new-key", help="Print a new API key and its line for the file, and exit."),
]
Check = Annotated[
    bool,
    typer.Option("--check", help="Load the models, translate a line with each pair, and exit."),
]


@with_search_options("beam_size", "length_penalty")
def serve(
    search: dict[str, Any],
    models: Models = None,
    host: Host = "127.0.0.1",
    port: Port = 5000,
    pivot: Pivot = None,
    split_sentences: SplitSentences = True,
    guard: GuardOption = None,
    allow_origin: AllowOrigin = None,
    workers: WorkerCount = None,
    char_limit: CharLimit = 200_000,
    batch_limit: BatchLimit = 2000,
    body_limit: BodyLimit = 2_000_000,
    queue_limit: QueueLimit = 20_000,
    timeout: Timeout = 120.0,
    connections: Connections = 500,
    rate_limit: RateLimit = None,
    api_keys: ApiKeys = None,
    new_key: NewKey = False,
    check: Check = False,
    device: Device = "auto",
    engine: Engine = EngineName.auto,
    compute: ComputeOption = Compute.auto,
    threads: Threads = None,
) -> None:
    """Translate for other programs over HTTP, with the API of LibreTranslate.

    SIGTERM and Ctrl-C stop it once what it has accepted is answered; a second one stops it at once.
    """
    if new_key:
        _print_key(rate_limit)
        return
    settings = _settings(dict(locals()))
    run = _library()
    if check:
        for line in run.check(settings):
            typer.echo(line)
    else:
        run.serve(settings, log)


def _print_key(rate_limit: int | None) -> None:
    from nmt.serve.keys import new_key

    for text in new_key(rate_limit):
        typer.echo(text)
    log("the first line is the key, for its user; the second goes into the file of --api-keys")


def _settings(given: dict[str, Any]) -> Settings:
    """Return the settings of a server that has these parameters of the command."""
    from nmt.engines import num_threads
    from nmt.serve.settings import Settings

    if not given["models"]:
        raise ConfigError("name a model: nmt serve MODEL")
    threads = useful_threads(given["threads"] or num_threads())
    workers = given["workers"] or max(1, threads // 2)
    names = {field.name for field in fields(Settings)}
    values = {name: value for name, value in given.items() if name in names}
    values["workers"] = workers
    values["guard"] = given["guard"].value if given["guard"] else None
    computing = computing_options(
        given["device"], given["engine"], given["compute"], max(1, threads // workers)
    )
    return Settings(**values, computing=computing)


def _library() -> ModuleType:
    """Return the library's part of the command.

    Raises:
        ConfigError: if the packages that it needs are not installed.
    """
    try:
        import_module("py3langid")  # the server loads it late; the guard needs it, too
        return import_module("nmt.serve.run")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the server needs {error.name}, which is not installed: {how_to_install('serve')}"
        ) from error
