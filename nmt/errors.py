"""Errors that are shown to the user, with their exit codes.

Every message names the file, line or key and the way out. Any other exception is a bug in nmt and
keeps its traceback.
"""

from __future__ import annotations


def how_to_install(extra: str) -> str:
    """Return how to install an extra: from the source, since PyPI does not have nmt."""
    return f"run `pip install '.[{extra}]'` in the source directory of nmt"


class NmtError(Exception):
    """An error that the user can act on; the command line prints it without a traceback.

    Its text is escaped, so that text from files cannot control a terminal or forge a line.

    Args:
        message: the first line.
        details: further lines, which are indented.

    Attributes:
        shared: whether the processes of a training run raise it together, so that the message of
            one of them is enough.
    """

    exit_code = 1
    shared = False

    def __init__(self, message: str, *details: str) -> None:
        super().__init__(message, *details)

    def __str__(self) -> str:
        return "\n  ".join(map(escape, self.args))


def escape(text: str) -> str:
    r"""Replace control characters, line ends and bidirectional overrides by \x1b, \n, \u202e etc.

    All text from data or files must be escaped before it reaches a terminal. Backslashes are
    unchanged, so that escaping twice changes nothing.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


class ConfigError(NmtError):
    """An invalid configuration or command line."""

    exit_code = 2
    shared = True


class DataError(NmtError):
    """Unusable text: misaligned, not UTF-8, or empty."""

    exit_code = 3


class FileError(NmtError):
    """A file or a model that cannot be read or written."""

    exit_code = 4


class TrainingError(NmtError):
    """A failure of training, for example a loss that is not finite."""

    exit_code = 5
    shared = True


class ContractError(NmtError):
    """A recipe that has not been shown to reach its score."""

    exit_code = 5


class Interrupted(NmtError):
    """The end of the program after a signal, once its state has been saved.

    Args:
        message: what was saved, and how to continue.
        signum: the signal; the exit code is `128 + signum`, as in shells.
    """

    shared = True

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum
