"""Measures nmt, most of it beside other systems; see scripts/bench."""

from __future__ import annotations

import argparse
import sys

import complexity
import latency
import training
import translation

from nmt.errors import FileError, NmtError


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    commands = parser.add_subparsers(required=True)
    modules = {
        "train": training,
        "translate": translation,
        "latency": latency,
        "complexity": complexity,
    }
    for name, module in modules.items():
        command = commands.add_parser(name, description=module.__doc__)
        module.add_options(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args()
    options.run(options)


try:
    main()
except (NmtError, OSError) as error:
    print(f"scripts/bench: {error}", file=sys.stderr)
    sys.exit(error.exit_code if isinstance(error, NmtError) else FileError.exit_code)
