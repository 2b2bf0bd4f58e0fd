"""Turns the exceptions of `huggingface_hub` into one message with a way out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from nmt.errors import FileError, NmtError, escape
from nmt.hub.names import HubName

_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


@contextmanager
def hub_failures(name: HubName, action: str) -> Iterator[None]:
    """Turn exceptions into a FileError that names the repository.

    Args:
        name: the repository.
        action: what fails, as in "cannot be downloaded".
    """
    try:
        yield
    except NmtError:
        raise
    except Exception as error:  # the library raises those of its HTTP client and of xet, too
        problem, *ways_out = _explained(name, action, error)
        raise FileError(f"{name}: {problem}", *ways_out) from error


def _explained(name: HubName, action: str, error: Exception) -> tuple[str, ...]:
    """Return what went wrong, and the way out."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{name.repository}"
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, errors.GatedRepoError):
            return f"access is restricted: ask for it at {page}", f"then {_LOG_IN}"
        if isinstance(cause, errors.RevisionNotFoundError):
            return (f"no such revision: {page}/commits/main lists the commits",)
        if isinstance(cause, errors.RepositoryNotFoundError):
            return "no such repository, or it is private: check the name", f"or {_LOG_IN}"
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"{action}: the disk is full: make room, or set HF_HOME and NMT_CACHE_DIR to "
                "directories on another disk",
                "files that are complete are kept",
            )
    for cause in causes:
        if isinstance(cause, errors.HfHubHTTPError):
            return _answered(cause.response.status_code, action, cause)
    if any(isinstance(cause, errors.OfflineModeIsEnabled) for cause in causes):
        return f"{action}: HF_HUB_OFFLINE is set, and it is not in the cache", "unset it"
    if any(_is_network(cause) for cause in causes) or isinstance(error, errors.EntryNotFoundError):
        return (
            f"{action}: {constants.ENDPOINT} cannot be reached, or broke off ({_line(causes[-1])})",
            "repeat the command when there is a network",
        )
    return f"{action}: {_line(error)}", "repeat the command: files that are complete are kept"


def _answered(status: int, action: str, error: Exception) -> tuple[str, ...]:
    if status == 401:
        return f"{action}: the Hub does not accept the token (401)", _LOG_IN
    if status == 403:
        return (
            f"{action}: the token has no permission for it (403)",
            f"{_LOG_IN}, with a token that may read it, or write it for `nmt push`",
        )
    return f"{action}: the Hub answers {status}: {_line(error)}", "try again later"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_network(error: BaseException) -> bool:
    """Return whether an exception is one of the HTTP client, which versions choose differently."""
    library = type(error).__module__.partition(".")[0]
    return library in {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"} or (
        isinstance(error, ConnectionError | TimeoutError)
    )


def _line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    lines = [line for line in str(error).split("\n") if line.strip()]
    return escape(lines[0] if lines else type(error).__name__)
