"""Code that all commands share: exit codes, standard streams, and the names of flags."""

from __future__ import annotations

import os
import re
import sys
from contextlib import redirect_stderr, suppress
from typing import Annotated, Any, TextIO, cast

import typer
from typer.core import TyperGroup

from nmt import torchrun
from nmt.errors import DataError, FileError, NmtError, escape
from nmt.version import __version__

_UsageError: Any = typer.BadParameter.__base__  # typer has no name for it
_RENAMED = {"--dtype": "--compute"}
_FLAGS: dict[str, str] = {}
"""Names of parameters and their flags."""


class CommandGroup(TyperGroup):
    """Turns errors that the user can act on into one message and the right exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, after replacing options that have better names now."""
        for place, arg in enumerate(args):
            old, equals, value = arg.partition("=")
            if new := _RENAMED.get(old):
                log(f"warning: {old} is now called {new}")
                args[place] = new + equals + value
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            _FLAGS.update(_flags_of(self))
            _replace_closed_streams()
            with redirect_stderr(cast(TextIO, _LossyStderr(sys.stderr))):
                return super().invoke(ctx)
        except NmtError as error:
            if not (error.shared and follows()):
                _print(f"nmt: {error}")
            raise typer.Exit(error.exit_code) from error
        except _UsageError as error:  # names a file that does not fit, for example
            error.message = escape(error.message)
            raise
        except OSError as error:
            if error.filename:  # a name that is too long, for example: `Path.exists` raises it
                log(f"nmt: {error.filename}: {error.strerror}")
                raise typer.Exit(FileError.exit_code) from error
            # Flushing the rest of the buffer must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):  # as in `nmt translate … | head -1`
                raise typer.Exit(141) from error  # 128 + SIGPIPE, as in a shell
            log(f"nmt: standard output: cannot be written: {error.strerror}")
            raise typer.Exit(FileError.exit_code) from error
        except MemoryError as error:
            log("nmt: out of memory: give it less text at a time")
            raise typer.Exit(DataError.exit_code) from error
        except KeyboardInterrupt as error:
            log("nmt: interrupted")
            raise typer.Exit(130) from error


def _flags_of(group: TyperGroup) -> dict[str, str]:
    """Return the longest flag of each parameter of the commands, by the parameter's name."""
    return {
        str(parameter.name): max(parameter.opts, key=len)
        for command in group.commands.values()
        for parameter in command.params
        if parameter.param_type_name == "option"
    }


class _LossyStderr:
    """Standard error that ignores failed writes, so that they do not end the work.

    Writing fails if the terminal is closed, the disk is full or a `tee` has ended.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError:
            self._give_up()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        # Flushing the rest of the buffer at exit must not fail again.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _replace_closed_streams() -> None:
    """Replace standard streams that the shell has closed, as in `nmt … <&- 2>&-`."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        raise FileError("standard output: it is closed")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nmt {__version__}")
        raise typer.Exit


def print_version(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Accept the options of nmt itself."""


def log(text: str) -> None:
    """Print one line for the user on standard error; only results go to standard output.

    Of several processes that work together, the first prints it for all.
    """
    if not follows():
        _print(escape(text))


def follows() -> bool:
    """Return whether torchrun has started this process as a process other than the first."""
    return torchrun.rank() > 0


def _print(text: str) -> None:
    # The library names parameters in backticks.
    text = re.sub(r"`(\w+)`", lambda match: _FLAGS.get(match[1], match[0]), text)
    print(text, file=cast(TextIO, _LossyStderr(sys.stderr)), flush=True)
