"""nmt reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.app import follows, log
from nmt.cli.options import AsJson
from nmt.cli.processes import Processes, launch, refuse_others
from nmt.cli.training import Overrides, RunDirectory
from nmt.errors import ContractError
from nmt.signals import quiet_interrupts

if TYPE_CHECKING:
    from nmt.reproduce.contract import Contract
    from nmt.reproduce.texts import Text

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A YAML file, or the name of one in configs/: paper/base."),
]
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="A directory with the text, plain or .gz, under the names in the recipe.",
    ),
]
CheckOnly = Annotated[
    bool, typer.Option("--check-only", help="Only check the configuration and the text.")
]


def reproduce(
    name: Name,
    overrides: Overrides = None,
    data: DataDirectory = None,
    run_dir: RunDirectory = None,
    check_only: CheckOnly = False,
    as_json: AsJson = False,
    processes: Processes = 1,
) -> None:
    """Prove that a recipe reaches the score in its section `recipe`.

    Checks its text, trains it or continues, scores its test set, and compares. Exits with 5 unless
    the last line is PASS.
    """
    from nmt.reproduce.contract import Contract
    from nmt.reproduce.texts import check_texts

    contract = Contract.open(name, overrides or [], data)
    if contract.recipe.teacher:
        refuse_others("nmt reproduce")
    if not check_only:
        launch(processes)
    texts = check_texts(name, contract.config)
    _warn(contract)
    if check_only:
        _print_texts(texts, as_json)
        return
    with quiet_interrupts():
        import nmt.check.run
        import nmt.training.run  # noqa: F401, for torch and numpy, which take a second
    run = contract.train(run_dir)
    if follows():
        return
    result = contract.judge(run, log)
    typer.echo(result.to_json() if as_json else "\n".join(result.lines()))
    if result.verdict != "PASS":
        raise ContractError(f"{name}: {result.verdict}: {result.reason}")


def _warn(contract: Contract) -> None:
    """Say before hours of training if the result cannot be a pass."""
    from nmt.reproduce.result import describe

    if broken := contract.broken_by(contract.config):
        log(f"warning: the contract of {contract.path} is void: it has {describe(broken)}")
    elif not contract.recipe.measured:
        log(f"warning: {contract.path} has not been measured: it will have a score, but not pass")


def _print_texts(texts: list[Text], as_json: bool) -> None:
    """Print what has been checked."""
    import json
    from dataclasses import asdict

    if as_json:
        typer.echo(json.dumps([asdict(text) for text in texts], ensure_ascii=False, indent=2))
    else:
        for text in texts:
            typer.echo(str(text))
