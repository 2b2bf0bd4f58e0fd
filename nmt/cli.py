"""The command line: each command parses its arguments and calls one function.

Heavy modules are imported inside the commands, so that help and configuration errors do not
wait for torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nmt.errors import ConfigError, NmtError


class _Commands(TyperGroup):
    """Ends with one message and the right exit code when the user can act on an error."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NmtError as error:
            _say(f"nmt: {error}")
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _say("nmt: interrupted")
            raise typer.Exit(130) from error


app = typer.Typer(
    name="nmt",
    cls=_Commands,
    help="Neural machine translation with the Transformer: train, translate, evaluate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Changes to it, such as train.max_steps=200; values are YAML.",
        show_default=False,
    ),
]


@app.command()
def train(
    config: ConfigFile,
    overrides: Overrides = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the model goes. Default: runs/ and the configuration's name."
        ),
    ] = None,
) -> None:
    """Train a model, or go on with a training that was stopped."""
    from nmt.config import load_config

    resolved = load_config(config, overrides)

    from rich.console import Console

    from nmt.train.run import train

    run = run_dir or Path("runs") / config.stem
    train(resolved, run, Console(stderr=True))


@app.command()
def config(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="The YAML configuration.")
    ] = None,
    overrides: Overrides = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of configurations instead.")
    ] = False,
) -> None:
    """Check a configuration and print it with all its defaults."""
    import json

    from nmt.config import Config, dump_config, load_config

    if schema:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
    elif config is None:
        raise ConfigError("name a configuration, or ask for --schema")
    else:
        typer.echo(dump_config(load_config(config, overrides)), nl=False)


@app.command()
def average(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    last: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Average the newest N checkpoints.")
    ] = None,
    best: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Average the best N checkpoints.")
    ] = None,
) -> None:
    """Average checkpoints of a run; from then on it translates with the average."""
    if (last is None) == (best is None):
        raise ConfigError("say either --last N or --best N")

    from nmt.checkpoint import average_checkpoints

    steps = average_checkpoints(run, "best" if last is None else "last", last or best or 0)
    _say(f"{run}: averaged the checkpoints of steps {', '.join(map(str, steps))}")


def _say(text: str) -> None:
    """Tell the user something; results alone go to stdout."""
    print(text, file=sys.stderr, flush=True)
