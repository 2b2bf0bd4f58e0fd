"""nmt export and import."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.app import log
from nmt.cli.options import Model, refuse_standard_output
from nmt.errors import ConfigError


class Target(str, Enum):
    """What to export a model for."""

    ctranslate2 = "ctranslate2"
    huggingface = "huggingface"


class Quantization(str, Enum):
    """How CTranslate2 stores weights, and what it then computes in."""

    int8 = "int8"
    int8_float32 = "int8_float32"
    int8_float16 = "int8_float16"
    int8_bfloat16 = "int8_bfloat16"
    int16 = "int16"
    float16 = "float16"
    bfloat16 = "bfloat16"
    float32 = "float32"


def export(
    model: Model,
    to: Annotated[Target, typer.Option(help="What it is for.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A new directory to write.")
    ],
    quantization: Annotated[
        Quantization | None,
        typer.Option(help="How CTranslate2 stores weights. Default: float32."),
    ] = None,
) -> None:
    """Write a model for another engine, as one directory with everything that translation needs."""
    from nmt.files import refuse_inside
    from nmt.runs.layout import find_run
    from nmt.translate.ct2_engine import require_ctranslate2

    refuse_standard_output(output)
    if quantization and to is not Target.ctranslate2:
        raise ConfigError("--quantization needs --to ctranslate2: Marian's weights are float32")
    refuse_inside(output, find_run(model))
    if to is Target.ctranslate2:
        require_ctranslate2()  # before the model is loaded
    _write(model, to, output, quantization.value if quantization else None)
    if to is Target.ctranslate2:
        log(f"{output}: nmt translate {output} runs it")
    else:
        log(f"{output}: MarianMTModel and MarianTokenizer of transformers load it")


def _write(model: Path, to: Target, output: Path, quantization: str | None) -> None:
    from nmt.engines import load_runs
    from nmt.runs.layout import find_run, has_shortlist

    [trained] = load_runs([model], device="cpu", threads=None)
    if to is Target.huggingface:
        from nmt.convert.huggingface_export import export_huggingface

        export_huggingface(trained, output)
        if size := trained.config.data.context:
            log(
                f"data.context {size} is left out: MarianTokenizer cannot put previous sentences "
                "before a source, so each line is translated without context"
            )
        return
    from nmt.convert.ctranslate2 import export_ctranslate2
    from nmt.runs.shortlist import load_shortlist

    run = find_run(model)
    shortlist = load_shortlist(run, trained.tokenizers) if has_shortlist(run) else None
    export_ctranslate2(trained, output, quantization, shortlist)


def import_(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Directory of a MarianMT model, or of Marian's own files."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="RUN", help="A new run directory to write.")
    ],
    src_lang: Annotated[
        str | None,
        typer.Option(help="Code of the source language; required if the model does not name it."),
    ] = None,
    tgt_lang: Annotated[
        str | None,
        typer.Option(help="Code of the target language; required if the model does not name it."),
    ] = None,
) -> None:
    """Make a run directory from a Marian model, such as those of OPUS-MT.

    All commands that use a model accept it, and `train.init_from` trains it further.
    """
    from nmt.files import refuse_inside

    refuse_standard_output(output)
    refuse_inside(output, directory)

    from nmt.convert.importing import import_model

    import_model(directory, output, src_lang=src_lang, tgt_lang=tgt_lang)
    log(f"{output}: nmt translate {output} runs it")
