"""Requests that are refused."""

from __future__ import annotations


class Refusal(Exception):
    """The answer to a request that is not served: `{"error": message}`.

    Args:
        status: the HTTP status.
        message: for the client.
        retry_after: seconds after which it may try again.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


class WorkerDied(Exception):
    """The process that worked on a batch ended, or took too long."""
