"""The command `nmt` with forced output length: `nmt_command.py NUM_TOKENS translate …`.

For models with random weights that never predict EOS.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from nmt.cli import app as cli

if TYPE_CHECKING:
    from nmt.translate.translator import Translator

num_tokens = int(sys.argv.pop(1))
make = cli._translator


def make_limited(*args: Any, **options: Any) -> Translator:
    """Return the translator of a command; the limit applies to the output, not to the input."""
    translator = make(*args, **options)
    translator.engine.max_positions = num_tokens
    return translator


cli._translator = make_limited
cli.app()
