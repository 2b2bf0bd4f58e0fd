"""What a user is told when something is wrong, and the exit code that goes with it.

Every message names the file, line or key it is about and what to do. Anything that is
not an `NmtError` is a defect of this program and keeps its traceback.
"""

from __future__ import annotations


class NmtError(Exception):
    """An error that the user can act on; the command line prints it without a traceback.

    Its text is escaped, so that what comes from files cannot steer a terminal or forge a line.

    Args:
        message: one line.
        details: further lines, which are indented.
    """

    exit_code = 1

    def __init__(self, message: str, *details: str) -> None:
        super().__init__(message, *details)

    def __str__(self) -> str:
        return "\n  ".join(map(escape, self.args))


def escape(text: str) -> str:
    r"""Show control characters, line ends and bidirectional overrides as \x1b, \n and \u202e.

    Whatever comes from data or files goes through here before it reaches a terminal. Backslashes
    stay as they are, so that escaping twice changes nothing.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


class ConfigError(NmtError):
    """A configuration or a command line that cannot be followed."""

    exit_code = 2


class DataError(NmtError):
    """Text that cannot be used: misaligned, not UTF-8, empty."""

    exit_code = 3


class FileError(NmtError):
    """A file or a model that cannot be read or written."""

    exit_code = 4


class TrainingError(NmtError):
    """Training went wrong, for example a loss that is not finite."""

    exit_code = 5


class Interrupted(NmtError):
    """A signal asked the program to end, and what was at stake has been saved.

    Args:
        message: what was saved and how to go on.
        signum: the signal, which sets the exit code to `128 + signum` as shells do.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signum
