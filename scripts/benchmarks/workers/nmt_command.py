"""The command `nmt` with forced output length: `nmt_command.py NUM_TOKENS translate …`.

For models with random weights that never predict EOS.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from nmt.cli import make_app, translation

if TYPE_CHECKING:
    from nmt.translate.translator import Translator

num_tokens = int(sys.argv.pop(1))
run = translation.Job.run


def run_limited(job: translation.Job, translator: Translator, **options: Any) -> None:
    """Run a translator with limited output; the limit of its input is already set."""
    translator.engine.max_positions = num_tokens
    run(job, translator, **options)


translation.Job.run = run_limited  # type: ignore[method-assign]
make_app()()
