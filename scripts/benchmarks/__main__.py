"""Measures nmt beside other systems; see scripts/bench."""

from __future__ import annotations

import argparse

import latency
import training
import translation


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, module in (("train", training), ("translate", translation), ("latency", latency)):
        command = commands.add_parser(name, description=module.__doc__)
        module.add_options(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args()
    options.run(options)


main()
