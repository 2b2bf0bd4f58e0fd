"""The command line."""

from nmt.cli.main import app

__all__ = ["app"]
