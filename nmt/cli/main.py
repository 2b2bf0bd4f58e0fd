"""The command line: each command parses its arguments and calls one function.

Heavy modules are imported inside the commands, so that help and configuration errors do not
wait for torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer
from typer.core import TyperGroup

from nmt import __version__, limits
from nmt.errors import ConfigError, DataError, FileError, NmtError, escape

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from nmt.config.schema import Config
    from nmt.progress import Advance
    from nmt.runs.model import TrainedModel
    from nmt.translate.engine import Engine
    from nmt.translate.translator import Translator


_UsageError: Any = typer.BadParameter.__base__  # which typer does not name


class _Commands(TyperGroup):
    """Ends with one message and the right exit code when the user can act on an error."""

    def invoke(self, ctx: Any) -> Any:
        try:
            _replace_closed_streams()
            with redirect_stderr(cast(TextIO, _Unfailing(sys.stderr))):
                return super().invoke(ctx)
        except NmtError as error:
            _print(f"nmt: {error}")
            raise typer.Exit(error.exit_code) from error
        except _UsageError as error:  # names a file that does not fit, for example
            error.message = escape(error.message)
            raise
        except OSError as error:
            if error.filename:  # files are seen to where they are used
                raise
            # What is still in the buffer has nowhere to go, and flushing it must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):  # as in `nmt translate … | head -1`
                raise typer.Exit(141) from error  # 128 + SIGPIPE, as in a shell
            _say(f"nmt: standard output: cannot write it: {error.strerror}")
            raise typer.Exit(FileError.exit_code) from error
        except MemoryError as error:
            _say("nmt: memory ran out: give it less text at a time")
            raise typer.Exit(DataError.exit_code) from error
        except KeyboardInterrupt as error:
            _say("nmt: interrupted")
            raise typer.Exit(130) from error


class _Unfailing:
    """The standard error, whose loss must not end the work.

    A terminal that was closed, a full disk or the end of a `tee` makes writing to it fail, and
    there is nobody to tell.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError:
            self._give_up()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        # What is still in the buffer must not fail again at the end of the process.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


app = typer.Typer(
    name="nmt",
    cls=_Commands,
    help="Neural machine translation with the Transformer: train, translate, evaluate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _replace_closed_streams() -> None:
    """Make up for standard streams that the shell has closed, as in `nmt … <&- 2>&-`."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        raise FileError("standard output: it is closed")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nmt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options of nmt itself."""


ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Changes to it, such as train.max_steps=200; values are YAML.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def train(
    config: ConfigFile,
    overrides: Overrides = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the model goes. Default: runs/ and the configuration's name."
        ),
    ] = None,
    verify_resume: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Instead prove, in a temporary directory, that N steps straight and N with two "
            "stops and new processes are identical to the bit.",
        ),
    ] = None,
) -> None:
    """Train a model, or go on with a training that was stopped."""
    from nmt.config.load import load_config

    resolved = load_config(config, overrides)

    from nmt.console import Console

    if verify_resume is not None:
        from nmt.training import verify_resume as proof

        typer.echo(proof.verify_resume(resolved, verify_resume, Console(stderr=True)))
        return

    from nmt.check.checks import before_training
    from nmt.training.run import train

    run = run_dir or Path("runs") / config.stem
    train(resolved, run, Console(stderr=True), inspect=before_training)


@app.command()
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


@app.command()
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

    if schema == (config is not None):
        raise ConfigError("either name a configuration, or ask for --schema")
    if config is None:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
    else:
        resolved = load_config(config, overrides)
        typer.echo(_size_comment(resolved) + dump_config(resolved), nl=False)


def _size_comment(config: Config) -> str:
    """Say how many parameters a model will have, as a line of YAML."""
    from nmt.model.size import num_parameters

    tokenizer = config.tokenizer
    if tokenizer.model or tokenizer.src_model:
        number = num_parameters(config.model, 0, 0)
        return f"# {number:,} parameters, and the embeddings of the existing tokenizer's pieces\n"
    size = tokenizer.vocab_size
    number = num_parameters(config.model, size, size)
    if tokenizer.joint:
        return f"# {number:,} parameters with a vocabulary of {size:,}\n"
    # A language of few words, as linearised trees are, has fewer pieces.
    return f"# {number:,} parameters at most, with vocabularies of up to {size:,} each\n"


@app.command()
def average(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    last: Annotated[
        int | None,
        typer.Option(
            min=1, max=limits.MAX_STEPS, metavar="N", help="Average the newest N checkpoints."
        ),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(
            min=1, max=limits.MAX_STEPS, metavar="N", help="Average the best N checkpoints."
        ),
    ] = None,
) -> None:
    """Average the weights of checkpoints.

    From then on the run translates with the average.
    """
    if (last is None) == (best is None):
        raise ConfigError("say either --last N or --best N")

    from nmt.runs.checkpoint import average_checkpoints

    steps = average_checkpoints(run, "best" if last is None else "last", last or best or 0)
    _say(f"{run}: averaged the checkpoints of steps {', '.join(map(str, steps))}")


class Dtype(str, Enum):
    """Arithmetic of a model."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class EngineName(str, Enum):
    """What runs a model."""

    nmt = "nmt"
    ctranslate2 = "ctranslate2"


class Target(str, Enum):
    """What to export a model for."""

    ctranslate2 = "ctranslate2"


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


class Part(str, Enum):
    """Of a configuration's data, what is translated for a report."""

    test = "test"
    valid = "valid"


class Format(str, Enum):
    """Of what is translated."""

    text = "text"
    jsonl = "jsonl"


Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A run directory, or RUN/checkpoints/step-N.")
]
Ensemble = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="MODEL",
        help="Average the probabilities with those of another model; may be repeated.",
        show_default=False,
    ),
]
BeamSize = Annotated[
    int | None,
    typer.Option(min=1, max=limits.MAX_BEAM_SIZE, help="Hypotheses to keep; 1 is greedy search."),
]
LengthPenalty = Annotated[
    float | None,
    typer.Option(min=0.0, max=10.0, help="Alpha of Wu et al. (2016); 0 favours short ones."),
]
MaxExtraLen = Annotated[
    int | None,
    typer.Option(
        min=0, max=limits.MAX_LENGTH, help="Tokens that a translation may have over its source."
    ),
]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=limits.MAX_BATCH_TOKENS,
        help="Budget of a batch in source tokens, padding counted.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto: a GPU if there is one.")]
DtypeOption = Annotated[Dtype, typer.Option(help="Arithmetic of the model.")]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, max=limits.MAX_THREADS, help="CPU threads. Default: what torch takes, one a core."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        dir_okay=False,
        help="Write the translations there (.gz is compressed; - is the standard output).",
    ),
]
_STANDARD = Path("-")
"""As an output, the standard output."""


@app.command()
def translate(
    model: Model,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Text, plain or .gz. Default, or -: standard input."),
    ] = None,
    output: Output = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with what the same command has left when it was stopped or killed. "
            "An OUTPUT that is whole is left as it is.",
        ),
    ] = False,
    layout: Annotated[
        Format, typer.Option("--format", help="A sentence or a JSON object a line, in and out.")
    ] = Format.text,
    key: Annotated[
        str | None,
        typer.Option(
            help="Key of the source text in JSON objects; others pass through. Default: src."
        ),
    ] = None,
    nbest: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=limits.MAX_BEAM_SIZE,
            help="Give so many translations of each line: line number, score and text "
            "(text), or the key nbest (jsonl).",
        ),
    ] = None,
    scores: Annotated[
        bool,
        typer.Option(
            "--scores",
            help="Put the score, length-normalised log-probability, and a tab before each "
            "translation, or add the keys score and token_log_probs.",
        ),
    ] = False,
    alignments: Annotated[
        bool,
        typer.Option(
            "--alignments",
            help="Put a tab and the words that translate each other after each translation: "
            "0-0 1-2 (source-target, from 0), or add the keys alignment, src_words and tgt_words. "
            "Punctuation at the edges of a word counts as a word of its own.",
        ),
    ] = False,
    split_sentences: Annotated[
        bool,
        typer.Option(
            "--split-sentences",
            help="Translate each sentence of a line by itself, and join the translations.",
        ),
    ] = False,
    warn_short: Annotated[
        bool,
        typer.Option(
            "--warn-short",
            help="Name each line whose translation is suspiciously short, on the standard error; "
            "JSON objects get the key short.",
        ),
    ] = False,
    temperature: Annotated[
        float | None, typer.Option(help="Sample, with log-probabilities divided by this.")
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, max=limits.MAX_VOCAB_SIZE, help="Sample from the K likeliest tokens."),
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Sample from the likeliest tokens of this probability.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=limits.MAX_SEED, help="Of sampling. Default: 1.")
    ] = None,
    ensemble: Ensemble = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_extra_len: MaxExtraLen = None,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.float32,
    threads: Threads = None,
    engine: Annotated[
        EngineName | None,
        typer.Option(
            help="What runs the model. Default: ctranslate2 if it is exported, else nmt.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Translate lines, one for one and in order.

    Options of the search that are not given are as in the model's configuration. With --output
    the file gets its name when it is whole; until then the translations are in OUTPUT.partial,
    and OUTPUT.journal says how far they are.
    """
    from nmt.data.lines import read_lines
    from nmt.files import write_lines
    from nmt.search.sample import Sampling
    from nmt.translate import formats as layouts
    from nmt.translate import resume as bulk
    from nmt.translate import streams

    if output == _STANDARD:
        output = None
    if resume and output is None:
        raise ConfigError("--resume goes on with a file: name it with --output")
    models = [model, *(ensemble or [])]
    _check_output(bulk.written_files(output) if output else [None], [file], models)
    if resume and output and bulk.is_finished(output):
        _say(f"{output}: there already; leave out --resume to translate anew")
        return
    if key is not None and layout is not Format.jsonl:
        raise ConfigError("--key names a key of JSON objects: it needs --format jsonl")
    sampling = None
    if (temperature, top_k, top_p) != (None, None, None):
        chosen_temperature = 1.0 if temperature is None else temperature
        sampling = Sampling(chosen_temperature, top_k, top_p, 1 if seed is None else seed)
    elif seed is not None:
        raise ConfigError("--seed needs sampling: --temperature, --top-k or --top-p")
    interactive = output is None and streams.is_interactive_input(file)
    translator = _translator(
        models,
        device,
        dtype,
        threads,
        engine,
        interactive=interactive,
        beam_size=beam_size,
        length_penalty=length_penalty,
        max_extra_len=max_extra_len,
        batch_tokens=batch_tokens,
        nbest=nbest,
        sampling=sampling,
        split_sentences=split_sentences,
        alignments=alignments,
        warn_short=warn_short,
    )
    written = {"nbest": nbest is not None, "scores": scores, "alignments": alignments}
    chosen: layouts.Layout = (
        layouts.TextLayout(**written)
        if layout is Format.text
        else layouts.JsonLayout(key or "src", **written, short=warn_short)
    )
    lines = read_lines(file)
    with _file_bar("translating", file, shown=output is not None) as advance:
        if output:
            bulk.translate_file(
                translator, lines, chosen, output, resume=resume, log=_say, advance=advance
            )
        else:
            windows = streams.translate_windows(
                translator, lines, chosen, interactive=interactive, advance=advance
            )
            write_lines((text for window in windows for text in window), None)
    if summary := translator.short.summary():
        _say(
            f"{summary}; --warn-short names each, --split-sentences translates each sentence of a "
            "line by itself"
        )


@app.command()
def evaluate(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="What translates, unless --hyp is given."),
    ] = None,
    src: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Text to translate. Default: data.test.")
    ] = None,
    ref: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Reference translations; may be repeated."),
    ] = None,
    hyp: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Translations to score as they are.")
    ] = None,
    test_set: Annotated[
        str | None, typer.Option(metavar="NAME", help="A test set of sacreBLEU: wmt14/full.")
    ] = None,
    langs: Annotated[
        str | None, typer.Option(metavar="SRC-TGT", help="Its languages. Default: the model's.")
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Some of bleu,chrf,ter, or bracket-f1 for parses.")
    ] = "bleu,chrf",
    lowercase: Annotated[
        bool, typer.Option("--lowercase", help="Ignore case in BLEU and chrF.")
    ] = False,
    tokenize: Annotated[
        str | None, typer.Option(help="BLEU's tokenizer. Default: sacreBLEU's for the language.")
    ] = None,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Bootstrap the 95 % confidence interval.")
    ] = False,
    evalb_params: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="EVALB's parameter file for bracket-f1. Default: as COLLINS.prm.",
        ),
    ] = None,
    as_json: AsJson = False,
    output: Output = None,
    ensemble: Ensemble = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_extra_len: MaxExtraLen = None,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.float32,
    threads: Threads = None,
) -> None:
    """Score translations with sacreBLEU, or parses with bracket-f1: a model's, or a file's."""
    from dataclasses import replace

    from nmt.data.lines import BOM, read_lines
    from nmt.evaluation.metrics import EvaluateOptions, evaluate, gold_trees, render
    from nmt.evaluation.testsets import read_test_data
    from nmt.files import write_lines
    from nmt.parsing.evalb_parameters import COLLINS, read_parameters

    if (model is None) == (hyp is None):
        raise ConfigError("name a MODEL to translate with, or --hyp FILE with translations")
    search = (beam_size, length_penalty, max_extra_len, batch_tokens)
    if hyp and (src or output or ensemble or search != (None,) * 4):
        raise ConfigError(
            "--hyp is scored as it is: leave out --src, --output, --ensemble and the options of "
            "the search"
        )
    if evalb_params and "bracket-f1" not in metrics.split(","):
        raise ConfigError("--evalb-params is for bracket-f1, which is not among --metrics")
    options = EvaluateOptions(
        metrics.split(","),
        lowercase,
        tokenize,
        confidence=confidence,
        evalb=read_parameters(evalb_params) if evalb_params else COLLINS,
    )
    models = [model, *(ensemble or [])] if model else []
    if output:
        inputs = [path for path in (src, *(ref or []), evalb_params) if path]
        _check_output([output], inputs, models)
    files: dict[str, Any] = {"src": src, "refs": ref or [], "test_set": test_set, "langs": langs}
    if model:
        translator = _translator(
            models,
            device,
            dtype,
            threads,
            beam_size=beam_size,
            length_penalty=length_penalty,
            max_extra_len=max_extra_len,
            batch_tokens=batch_tokens,
        )
        data = read_test_data(translator.config, **files)
        gold_trees(data.refs, options)  # what is wrong with them is said before the translating
        hypotheses = _translated(translator, data.src)
    else:
        data = read_test_data(None, **files)
        hypotheses = list(read_lines(hyp, keep_bom=True))
    if any(lines[:1] and lines[0].startswith(BOM) for lines in (hypotheses, *data.refs)):
        _say(
            "warning: the byte-order mark at the start of the translations or references counts "
            "as text, as it does for sacreBLEU: remove it"
        )
    if output:
        write_lines(hypotheses, output)
    scores = evaluate(hypotheses, data.refs, replace(options, tgt_lang=data.tgt_lang))
    if output == _STANDARD:  # which has a line for a line
        for line in "\n".join(render(scores, as_json)).split("\n"):
            _say(line)
    else:
        write_lines(render(scores, as_json), None)


@app.command()
def score(
    model: Model,
    src: Annotated[Path, typer.Option(metavar="FILE", help="Source text.")],
    tgt: Annotated[Path, typer.Option(metavar="FILE", help="Its translation, line by line.")],
    as_json: AsJson = False,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.float32,
    threads: Threads = None,
) -> None:
    """Print how probable a model finds translations.

    A natural logarithm for each pair; the perplexity goes to the standard error. With --json an
    object a pair that has its tokens as well, and a last one with the perplexity.
    """
    from nmt.data.lines import read_lines
    from nmt.files import write_lines
    from nmt.translate.score import Totals, render, score_pairs

    _check_output([None], [src, tgt], [model])
    [loaded] = _load_models([model], device, dtype, threads)
    budget = batch_tokens or loaded.config.decode.batch_tokens
    totals = Totals()
    with _file_bar("scoring", src) as advance:
        pairs = score_pairs(loaded, read_lines(src), read_lines(tgt), budget, advance)
        write_lines(render(pairs, totals, as_json), None)
    _say(str(totals))


@app.command()
def attend(
    model: Model,
    src: Annotated[str, typer.Option(metavar="TEXT", help="The source sentence.")],
    tgt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Its translation. Default: the model's own."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", dir_okay=False, help="Where the page or JSON goes."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the tokens and weights as JSON instead.")
    ] = False,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.float32,
    threads: Threads = None,
) -> None:
    """Show the attention of every layer and head between the words of a sentence pair.

    OUTPUT is one page of HTML, which needs no network. Only JSON goes to the standard output
    when there is no OUTPUT.
    """
    if output is None and not as_json:
        raise ConfigError("name the page with --output, as in -o attention.html, or ask for --json")
    _check_output([output], [], [model])

    from nmt.files import write_lines
    from nmt.report.attention.page import render_page
    from nmt.report.attention.pair import pair_attention

    [loaded] = _load_models([model], device, dtype, threads)
    pair = pair_attention(loaded, src, tgt)
    write_lines([pair.to_json() if as_json else render_page(pair)], output)


@app.command()
def info(
    model: Model,
    as_json: AsJson = False,
) -> None:
    """Show what a model directory holds, and verify its files; works beside a training."""
    from nmt.runs.info import inspect, render

    found = inspect(model)
    typer.echo(found.to_json() if as_json else "\n".join(render(found)))
    if found.faults:
        raise FileError(f"{model}: damaged; the faults ({len(found.faults)}) are named above")


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directories, or RUN/checkpoints/step-N."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            dir_okay=False,
            help="The page. Default: report.html; of JSON, the standard output.",
        ),
    ] = None,
    corpus: Annotated[
        Part | None,
        typer.Option(help="Part of each run's data to translate. Default: test, else valid."),
    ] = None,
    src: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Text that all runs translate instead.")
    ] = None,
    ref: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Its reference translations; may be repeated."),
    ] = None,
    translate: Annotated[
        bool, typer.Option("--translate/--no-translate", help="Or show the curves only.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write what the page shows as JSON instead.")
    ] = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Write a page about runs: curves, scores with confidence, and what they find hard.

    Several runs are overlaid. The page is one file, which needs no network; a run may be
    training meanwhile.
    """
    from nmt.console import Console
    from nmt.files import write_lines
    from nmt.report.gather import Text, gather
    from nmt.report.page import render

    if not translate and (corpus or src or ref):
        raise ConfigError("--no-translate leaves no use for --corpus, --src and --ref")
    if corpus and (src or ref):
        raise ConfigError("say either --corpus, or --src and --ref")
    if output is None and not as_json:
        output = Path("report.html")
    _check_output([output], [path for path in (src, *(ref or [])) if path], runs)
    if threads:
        import torch

        torch.set_num_threads(threads)
    text = Text(corpus.value if corpus else None, src, ref or []) if translate else None
    found = gather(runs, text, Console(stderr=True), device=device)
    write_lines([found.to_json() if as_json else render(found)], output)
    if output not in (None, _STANDARD):
        _say(f"{output}: written")


@app.command()
def export(
    model: Model,
    to: Annotated[Target, typer.Option(help="What it is for.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where it goes: a new directory.")
    ],
    quantization: Annotated[
        Quantization | None, typer.Option(help="Type of the stored weights. Default: float32.")
    ] = None,
) -> None:
    """Write a model for another engine, as one directory with all that translation needs."""
    from nmt.convert.ctranslate2 import export_ctranslate2
    from nmt.files import refuse_inside
    from nmt.runs.checkpoint import find_run
    from nmt.translate.ct2_engine import require_ctranslate2

    if output == _STANDARD:
        raise ConfigError("--output names a new directory: it cannot be the standard output")
    refuse_inside(output, find_run(model))
    require_ctranslate2()  # before the model is loaded; --to has no other value yet
    [loaded] = _load_models([model], "cpu", Dtype.float32, None)
    export_ctranslate2(loaded, output, quantization.value if quantization else None)
    _say(f"{output}: nmt translate {output} runs it")


def _check_output(
    outputs: Sequence[Path | None], inputs: Sequence[Path | None], models: Sequence[Path]
) -> None:
    """Refuse now what cannot be written after minutes of work, and what is read.

    Args:
        outputs: files that the command writes; None and `-` are the standard output.
        inputs: files that it reads; None where there is none, or it is the standard input.
        models: directories that it reads.

    Raises:
        ConfigError: an output is an input, or of a model.
        FileError: an output's directory is not there.
    """
    from nmt import files
    from nmt.runs import checkpoint

    named = [output for output in outputs if output and not files.is_standard(output)]
    of_models = [path for model in models if named for path in checkpoint.files_of(model)]
    files.refuse_inputs(outputs, [*inputs, *of_models])
    for output in named:
        if not output.parent.is_dir():
            raise FileError(f"{output}: there is no directory {output.parent}")


def _load_models(
    paths: list[Path], device: str, dtype: Dtype, threads: int | None
) -> list[TrainedModel]:
    import torch

    from nmt.device import choose_device
    from nmt.runs.exported import is_exported
    from nmt.runs.model import load_model

    for path in paths:
        if is_exported(path):
            raise ConfigError(
                f"{path}: exported to CTranslate2, which only nmt translate and nmt evaluate "
                "run; name the run that it was exported from"
            )
    if threads:
        torch.set_num_threads(threads)
    return [load_model(path, choose_device(device), getattr(torch, dtype.value)) for path in paths]


def _num_processes(device: str, threads: int | None) -> int:
    """Tell how many processes translate a file."""
    import torch

    from nmt.device import choose_device
    from nmt.translate.workers import CAN_FORK

    if not CAN_FORK or choose_device(device).type != "cpu":
        return 1
    return _useful(threads) or torch.get_num_threads()


def _useful(threads: int | None) -> int | None:
    """Take no more than there are processors where each one costs memory and not only time."""
    return threads and min(threads, os.cpu_count() or threads)


def _exported(paths: list[Path], device: str, dtype: Dtype, threads: int | None) -> Engine:
    """Load an exported model, with the options of one that is not."""
    from nmt.device import choose_device
    from nmt.translate.ct2_engine import CTranslate2Engine

    if len(paths) > 1:
        raise ConfigError("--ensemble needs runs: CTranslate2 runs one exported model")
    if dtype is not Dtype.float32:
        raise ConfigError("--dtype needs a run: CTranslate2 computes in what was exported")
    return CTranslate2Engine(paths[0], choose_device(device), _useful(threads))


def _translator(
    paths: list[Path],
    device: str,
    dtype: Dtype,
    threads: int | None,
    engine: EngineName | None = None,
    *,
    interactive: bool = False,
    alignments: bool = False,
    warn_short: bool = False,
    **options: Any,
) -> Translator:
    """Load the models of an ensemble; options that are None are as the first one's config says."""
    from nmt.runs.exported import is_exported
    from nmt.translate.align import Aligner
    from nmt.translate.engine import Networks, TranslateOptions
    from nmt.translate.translator import Translator
    from nmt.translate.workers import Workers

    runs: Engine
    aligner = None
    if engine is EngineName.ctranslate2 or (engine is None and is_exported(paths[0])):
        if alignments:
            raise ConfigError("--alignments needs a run: they come from the attention of nmt's own")
        runs = _exported(paths, device, dtype, threads)
    else:
        # A line that somebody waits for gets all threads.
        processes = 1 if interactive else _num_processes(device, threads)
        models = _load_models(paths, device, dtype, threads if processes == 1 else 1)
        runs = Networks(models) if processes == 1 else Workers(Networks(models), processes)
        aligner = Aligner(models) if alignments else None
    chosen = TranslateOptions.from_config(runs.models[0].config.decode, **options)
    say_short = _say if warn_short else None
    return Translator(runs, chosen, warn=_say, aligner=aligner, say_short=say_short)


def _translated(translator: Translator, lines: list[str]) -> list[str]:
    """Translate all lines, showing on a terminal how far it is."""
    from nmt.progress import progress_bar

    with progress_bar("translating", len(lines)) as advance:
        found = [translation.text for translation in translator.translate(lines, advance=advance)]
    if summary := translator.short.summary():
        _say(summary)
    return found


def _file_bar(
    what: str, file: Path | None, *, shown: bool = False
) -> AbstractContextManager[Advance]:
    """Show a bar for work on the lines of a file.

    Args:
        what: what is being done.
        file: the input; its lines are counted first.
        shown: although the results go to a terminal or a pipe, where a bar would be in the way.
    """
    from nmt.data.lines import count_lines
    from nmt.progress import is_redirected_to_file, progress_bar

    shown = sys.stderr.isatty() and (shown or is_redirected_to_file(1))
    return progress_bar(what, count_lines(file) if shown else None, shown=shown)


def _say(text: str) -> None:
    """Tell the user something in one line; results alone go to stdout."""
    _print(escape(text))


def _print(text: str) -> None:
    print(text, file=cast(TextIO, _Unfailing(sys.stderr)), flush=True)
