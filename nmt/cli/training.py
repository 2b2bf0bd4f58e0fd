"""nmt train, distill, check, config and average."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.app import follows, log
from nmt.cli.options import (
    AsJson,
    Compute,
    ComputeOption,
    Device,
    Engine,
    EngineName,
    Threads,
    computing_options,
    require_one,
)
from nmt.cli.processes import Processes, launch, refuse_others
from nmt.limits import MAX_BEAM_SIZE, MAX_STEPS, MAX_VOCAB_SIZE
from nmt.signals import quiet_interrupts

if TYPE_CHECKING:
    from nmt.config.schema import Config

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Changes to it, such as train.max_steps=200; values are YAML.",
        show_default=False,
    ),
]


RunDirectory = Annotated[
    Path | None,
    typer.Option(
        "--run-dir",
        metavar="DIR",
        help="Where the model goes. Default: runs/ and the name of CONFIG.",
    ),
]


def train(
    config: ConfigFile,
    overrides: Overrides = None,
    run_dir: RunDirectory = None,
    verify_resume: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Instead prove, in a temporary directory, that N steps in one go and N with two "
            "stops and new processes are identical to the bit.",
        ),
    ] = None,
    processes: Processes = 1,
) -> None:
    """Train a model, or continue a training run that was stopped.

    Under torchrun, all processes train one model together, also those of several machines.
    """
    from nmt.config.load import load_config

    load_config(config, overrides)  # report errors before importing torch
    launch(processes)

    with quiet_interrupts():
        import nmt.check.run
        import nmt.training.run  # noqa: F401, for torch and numpy, which take a second
        from nmt import api
        from nmt.console import Console

    if verify_resume is None:
        api.train(config, overrides or [], run_dir=run_dir)
        return

    from nmt.training.verify_resume import verify_resume as prove

    resolved = load_config(config, overrides)
    proof = prove(resolved, verify_resume, Console(stderr=True, quiet=follows()))
    if not follows():
        typer.echo(proof)


Teacher = Annotated[
    Path,
    typer.Argument(
        metavar="TEACHER",
        help="The model to learn from (also hf:owner/name), or the YAML configuration to train it "
        "with.",
    ),
]
DistilledText = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where the teacher's translations go. Default: DIR.distilled.jsonl.",
        dir_okay=False,
    ),
]
Candidates = Annotated[
    int,
    typer.Option(
        min=1,
        max=MAX_BEAM_SIZE,
        metavar="N",
        help="Of the N best translations, learn the one most similar to the reference.",
    ),
]
TeacherBeam = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_BEAM_SIZE,
        metavar="N",
        help="Beam size of the teacher. Default: as in its configuration.",
    ),
]
OnlyDistilled = Annotated[
    bool, typer.Option("--only-distilled", help="Leave out the original pairs.")
]


def distill(
    teacher: Teacher,
    config: ConfigFile,
    overrides: Overrides = None,
    run_dir: RunDirectory = None,
    text: DistilledText = None,
    candidates: Candidates = 4,
    beam_size: TeacherBeam = None,
    only_distilled: OnlyDistilled = False,
    device: Device = "auto",
    engine: Engine = EngineName.auto,
    compute: ComputeOption = Compute.auto,
    threads: Threads = None,
) -> None:
    """Train a small model on the translations of a larger one, its teacher.

    CONFIG describes the small model, the student. It learns from the original pairs, and from its
    teacher's translations of their sources. Repeat the command after an interruption to continue.
    """
    refuse_others("nmt distill")
    from nmt.config.load import load_config

    load_config(config, overrides)  # report errors before the teacher works for hours

    from nmt import api

    api.distill(
        teacher,
        config,
        overrides or [],
        run_dir=run_dir,
        text=text,
        candidates=candidates,
        beam_size=beam_size,
        only_distilled=only_distilled,
        **computing_options(device, engine, compute, threads),
    )


def check(config: ConfigFile, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Look at the data and time a few steps before training.

    Exits with 3 if training would be pointless.
    """
    from nmt.config.load import load_config

    resolved = load_config(config, overrides)

    from nmt.check.render import render
    from nmt.check.run import check
    from nmt.console import Console
    from nmt.errors import DataError

    report = check(resolved, Console(stderr=True))
    if as_json:
        typer.echo(report.to_json())
    else:
        console = Console()
        for part in render(report, resolved):
            console.print(part, "")
    if report.is_fatal:
        raise typer.Exit(DataError.exit_code)


def config(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="The YAML configuration.")
    ] = None,
    overrides: Overrides = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of configurations instead.")
    ] = False,
) -> None:
    """Check a configuration and print it with all its defaults.

    A comment says how many parameters the model has.
    """
    import json

    from nmt.config.load import dump_config, load_config
    from nmt.config.schema import Config

    require_one("either name a configuration, or ask for --schema", config, schema)
    if config is None:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
    else:
        resolved = load_config(config, overrides)
        typer.echo(_size_comment(resolved) + dump_config(resolved), nl=False)


def _size_comment(config: Config) -> str:
    """Return a YAML comment with the number of parameters of the model."""
    from nmt.model.size import num_parameters

    tokenizer = config.tokenizer
    if tokenizer.model or tokenizer.src_model:
        number = num_parameters(config.model, 0, 0)
        return f"# {number:,} parameters, and the embeddings of the existing tokenizer's pieces\n"
    size = tokenizer.vocab_size
    number = num_parameters(config.model, size, size)
    if tokenizer.joint:
        return f"# {number:,} parameters with a vocabulary of {size:,}\n"
    # A language with few distinct words, such as linearised trees, yields fewer pieces.
    return f"# {number:,} parameters at most, with vocabularies of up to {size:,} each\n"


def average(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    last: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_STEPS, metavar="N", help="Average the newest N checkpoints."),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_STEPS, metavar="N", help="Average the best N checkpoints."),
    ] = None,
) -> None:
    """Average the weights of checkpoints and validate the average, which then translates."""
    require_one("give either --last N or --best N", last, best)

    from nmt import api
    from nmt.console import Console
    from nmt.training.average import average_checkpoints

    which = "best" if last is None else "last"
    steps = average_checkpoints(run, which, last or best or 0, Console(stderr=True))
    log(f"{run}: averaged the checkpoints of steps {', '.join(map(str, steps))}")
    api.compare_int8(run, log)


def shortlist(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    best: Annotated[
        int,
        typer.Option(min=1, max=10_000, help="Target pieces for each source piece."),
    ] = 100,
    frequent: Annotated[
        int,
        typer.Option(min=0, max=MAX_VOCAB_SIZE, help="Frequent target pieces that are for all."),
    ] = 100,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Learn which target pieces translate each source piece, for `nmt translate --shortlist`.

    Learns from the run's training data (500,000 pairs of it at most) and the model's attention,
    and keeps the result in RUN/shortlist. Then shows what share of the validation data it covers.
    """
    from nmt.console import Console
    from nmt.engines import load_runs
    from nmt.training.shortlist import learn_run

    [model] = load_runs([run], device=device, threads=threads)
    coverage = learn_run(run, model, best, frequent, Console(stderr=True))
    if coverage:
        typer.echo(
            f"{100 * coverage.covered:.2f} % of the tokens of the validation references are in the "
            f"shortlist of their sentence, which has {coverage.mean_size:,.0f} tokens on average"
        )
    log(f"{run}: nmt translate --shortlist uses the shortlist")
