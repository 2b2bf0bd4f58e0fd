"""Options that several commands have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Optional, get_args, get_origin

import typer

from nmt.cli.app import log
from nmt.config.search import SearchOptions
from nmt.errors import ConfigError
from nmt.limits import MAX_THREADS

_COMPUTING = "Computing"
_SEARCH = "Search (default: as in the model's configuration)"


class Compute(str, Enum):
    """Arithmetic of a model."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


class EngineName(str, Enum):
    """What runs a model."""

    auto = "auto"
    nmt = "nmt"
    ctranslate2 = "ctranslate2"


def found(context: typer.Context, model: Path | None) -> Path | None:
    """Return the directory of a model, after downloading it if it is on the Hub."""
    return _found([model])[0] if model and not context.resilient_parsing else model


def all_found(context: typer.Context, models: list[Path] | None) -> list[Path] | None:
    """Return the directories of models, as `found`."""
    return _found(models) if models and not context.resilient_parsing else models


def _found(models: list[Path]) -> list[Path]:
    from nmt.hub.names import is_hub_name

    if not any(map(is_hub_name, models)):
        return models
    from nmt.hub.models import find_model, pin

    return [find_model(pin(model, log), log) for model in models]


Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A run directory, RUN/checkpoints/step-N, or hf:owner/name on the Hugging Face Hub.",
        callback=found,
    ),
]
Ensemble = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="MODEL",
        help="Average the probabilities with another model's; may be repeated.",
        callback=all_found,
        show_default=False,
        rich_help_panel=_COMPUTING,
    ),
]
EnsembleWeights = Annotated[
    str | None,
    typer.Option(
        metavar="W,W,...",
        help="Weights of the models' probabilities, MODEL first, as in 2,1. Default: all the same.",
        rich_help_panel=_COMPUTING,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="cpu, cuda, cuda:1, or auto: a GPU if there is one.",
        envvar="NMT_DEVICE",
        rich_help_panel=_COMPUTING,
    ),
]
Engine = Annotated[
    EngineName,
    typer.Option(
        help="What runs the model; auto: on a CPU CTranslate2, for all that it can do.",
        rich_help_panel=_COMPUTING,
    ),
]
ComputeOption = Annotated[
    Compute,
    typer.Option(
        help="Arithmetic; auto: int8 if validation showed that it costs nothing, else float32.",
        rich_help_panel=_COMPUTING,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_THREADS,
        help="CPU threads. Default: one per core.",
        envvar="NMT_THREADS",
        rich_help_panel=_COMPUTING,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        dir_okay=False,
        help="Write the translations to a file (.gz is compressed; - is the standard output).",
    ),
]
Page = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Where to write it."),
]


def with_search_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options for fields of `SearchOptions`.

    The command takes a parameter `search`, a dict of the options that the user has given.

    Args:
        names: fields; their bounds and documentation are those of the schema.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        parameters = [parameter for parameter in own if parameter.name != "search"]
        parameters += map(_parameter, names)

        def wrapper(**values: Any) -> None:
            search = {name: values.pop(name) for name in names}
            # An option that may be repeated is an empty list if it is not given.
            given = {name: value for name, value in search.items() if value not in (None, [])}
            chosen = {
                name: value.value if isinstance(value, Enum) else value
                for name, value in given.items()
            }
            command(**values, search=chosen)

        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in parameters}
        return wrapper

    return decorate


@cache
def _help_texts() -> dict[str, str]:
    documentation = SearchOptions.documentation()
    return {name: " ".join(text.split()) for name, text in documentation.items()}


def _kind(name: str, annotation: Any) -> Any:
    """Return the type of an option for a field."""
    if get_origin(annotation) is list:
        return list[str]
    if get_origin(annotation) is Literal:
        choices = {value: value for value in get_args(annotation)}
        return Enum(name, choices, type=str)
    return next((kind for kind in get_args(annotation) if kind is not NoneType), annotation)


def _parameter(name: str) -> inspect.Parameter:
    field = SearchOptions.model_fields[name]
    kind = _kind(name, field.annotation)
    bounds: dict[str, Any] = {}
    for rule in field.metadata:
        if hasattr(rule, "ge"):
            bounds["min"] = rule.ge
        if hasattr(rule, "gt") and kind is int:
            bounds["min"] = rule.gt + 1
        if hasattr(rule, "le"):
            bounds["max"] = rule.le
    flag = f"--{name.replace('_', '-')}"
    # A switch has no --no- form: one that is not given leaves the configuration's value.
    option = typer.Option(flag, help=_help_texts()[name], rich_help_panel=_SEARCH, **bounds)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[Optional[kind], option],  # noqa: UP045
    )


def computing_options(
    device: str,
    engine: EngineName,
    compute: Compute,
    threads: int | None,
) -> dict[str, Any]:
    """Return the arguments of `nmt.load` that these options set."""
    return {
        "device": device,
        "engine": engine.value,
        "compute": compute.value,
        "threads": threads,
    }


def ensemble_options(ensemble: list[Path] | None, weights: str | None) -> dict[str, Any]:
    """Return the arguments of `nmt.load` that form an ensemble.

    Raises:
        ConfigError: if the weights are not numbers.
    """
    return {
        "ensemble": ensemble or [],
        "ensemble_weights": parse_numbers("--ensemble-weights", weights),
    }


def parse_numbers(flag: str, text: str | None) -> list[float] | None:
    """Return the numbers of an option such as `2,1`.

    Args:
        flag: the option, for the error message.
        text: its value.

    Raises:
        ConfigError: if they are not numbers.
    """
    try:
        return None if text is None else [float(number) for number in text.split(",")]
    except ValueError as error:
        raise ConfigError(
            f"{flag} {text}: must be numbers separated by commas, as in 2,1"
        ) from error


def refuse_outputs(
    outputs: list[Path | None], inputs: list[Path | None], models: list[Path]
) -> None:
    """Refuse early what could not be written after minutes of work, or is an input.

    Args:
        outputs: files that the command writes; None and `-` are the standard output.
        inputs: files that it reads; None where there is none, or it is the standard input.
        models: directories that it reads.

    Raises:
        ConfigError: if an output is an input, or belongs to a model.
        FileError: if the directory of an output does not exist.
    """
    from nmt import files
    from nmt.errors import FileError
    from nmt.runs import layout

    named = [output for output in outputs if output and not files.is_standard(output)]
    of_models = [path for model in models if named for path in layout.files_of(model)]
    files.refuse_inputs(outputs, [*inputs, *of_models])
    for output in named:
        if not output.parent.is_dir():
            raise FileError(f"{output}: there is no directory {output.parent}")


def refuse_standard_output(output: Path | None) -> None:
    """Refuse `-` where a command writes a directory.

    Raises:
        ConfigError: if the output is `-`.
    """
    if output == Path("-"):
        raise ConfigError("--output names a new directory: it cannot be the standard output")


def require_one(message: str, *alternatives: object) -> None:
    """Check that exactly one of several options was given.

    Raises:
        ConfigError: if none or several were; it says `message`.
    """
    if sum(bool(each) for each in alternatives) != 1:
        raise ConfigError(message)
