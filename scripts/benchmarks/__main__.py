"""Benchmarks nmt, mostly against other systems; see scripts/bench."""

from __future__ import annotations

import argparse
import sys

import cleaning
import complexity
import corruptions
import everything
import gpu
import latency
import processes
import robust
import serving
import translation

import training
from nmt import files
from nmt.errors import FileError, NmtError
from nmt.runs.layout import files_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    commands = parser.add_subparsers(required=True)
    modules = {
        "train": training,
        "translate": translation,
        "latency": latency,
        "complexity": complexity,
        "processes": processes,
        "gpu": gpu,
        "serve": serving,
        "clean": cleaning,
        "guard": corruptions,
        "robust": robust,
        "all": everything,
    }
    for name, module in modules.items():
        command = commands.add_parser(name, description=module.__doc__)
        module.add_options(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args()
    _check_outputs(options)
    options.run(options)


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse outputs that are inputs, and two outputs that are the same file."""
    given = vars(options)
    output, plot = given.get("output"), given.get("svg")
    inputs = [path for name in ("src", "ref", "other") if (path := given.get(name))]
    if folder := given.get("data"):
        inputs += folder.glob("*")
    if model := given.get("model"):
        for path in model if isinstance(model, list) else [model]:
            inputs += files_of(path)
    files.refuse_inputs([output] if output else [], [*inputs, *([plot] if plot else [])])
    files.refuse_inputs([plot] if plot else [], inputs)


try:
    main()
except (NmtError, OSError) as error:
    print(f"scripts/bench: {error}", file=sys.stderr)
    sys.exit(error.exit_code if isinstance(error, NmtError) else FileError.exit_code)
