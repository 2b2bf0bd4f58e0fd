"""Names of models on the Hugging Face Hub: `hf:owner/name` or `hf:owner/name@revision`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from nmt.errors import ConfigError

_PREFIX = "hf:"
_REPOSITORY = re.compile(r"(?:\b[\w.-]+\b/)?\b[\w.-]{1,96}\b", re.ASCII)
_REVISION = re.compile(r"[\w./-]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """The name of a model on the Hub.

    Attributes:
        repository: `owner/name`, or a name alone for the few repositories that have no owner.
        revision: branch, tag or commit; None for the main branch.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{_PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, so that the name always means the same files."""
        return bool(self.revision and _COMMIT.fullmatch(self.revision))

    def at(self, revision: str | None) -> HubName:
        """Return the name of another revision."""
        return replace(self, revision=revision)


def is_hub_name(model: str | Path) -> bool:
    """Return whether a model is on the Hub: its name begins with `hf:`."""
    return str(model).startswith(_PREFIX)


def parse_name(text: str | Path) -> HubName:
    """Parse `owner/name@revision`, with or without `hf:` before it.

    Raises:
        ConfigError: if it cannot be a name on the Hub.
    """
    repository, at, revision = str(text).removeprefix(_PREFIX).partition("@")
    fits = _REPOSITORY.fullmatch(repository) and not repository.endswith(".git")
    if not fits or "--" in repository or ".." in repository:
        raise ConfigError(
            f"{text}: not the name of a model on the Hugging Face Hub: it is {_PREFIX}owner/name "
            f"or {_PREFIX}owner/name@revision, of letters, digits, '-', '_' and '.'"
        )
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ConfigError(f"{text}: {revision!r} is not a branch, tag or commit")
    return HubName(repository, revision or None)
