"""Where a run was downloaded from: `hub.json` in it."""

from __future__ import annotations

from pathlib import Path

from nmt.errors import FileError
from nmt.runs.manifest import read_json, write_json

_KEYS = ("repository", "commit")


def write_origin(run: Path, repository: str, commit: str) -> None:
    """Record the repository and the commit on the Hugging Face Hub.

    Raises:
        OSError: if the file cannot be written.
    """
    write_json(run / "hub.json", dict(zip(_KEYS, (repository, commit), strict=True)))


def read_origin(run: Path) -> dict[str, str]:
    """Return `repository` and `commit`; empty if the run does not come from the Hub."""
    try:
        content = read_json(run / "hub.json")
    except FileError:  # nothing depends on it
        return {}
    return {key: str(content[key]) for key in _KEYS if key in content}
