"""What a user is told when something is wrong, and the exit code that goes with it.

Every message names the file, line or key it is about and what to do. Anything that is
not an `NmtError` is a defect of this program and keeps its traceback.
"""

from __future__ import annotations


class NmtError(Exception):
    """An error that the user can act on; the command line prints it without a traceback."""

    exit_code = 1


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
