"""nmt translate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from nmt.cli.app import log
from nmt.cli.document_job import document_job
from nmt.cli.interactive import converse
from nmt.cli.options import (
    Compute,
    ComputeOption,
    Device,
    Engine,
    EngineName,
    Ensemble,
    EnsembleWeights,
    Model,
    Output,
    Threads,
    computing_options,
    ensemble_options,
    refuse_outputs,
    with_search_options,
)
from nmt.cli.processes import Processes, joined, launch
from nmt.cli.translation_job import Demands, Extras, Files, Format, GuardMode, Job, Written
from nmt.errors import ConfigError
from nmt.limits import MAX_ALTERNATIVES

Input = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE", help="Text, plain or .gz, or a document. Default, or -: standard input."
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue what the same command left in OUTPUT.partial and OUTPUT.journal when it was "
        "stopped or killed. A complete output is left alone.",
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="One sentence or one JSON object per line, in and out, or a document. Default: what "
        "the ending of FILE tells, else text.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(help="Key of the source text in JSON objects; others pass through. Default: src."),
]
PrefixFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The beginning of each translation, line by line; lines may be empty. JSON objects "
        "have it under the key prefix.",
    ),
]
Scores = Annotated[
    bool,
    typer.Option(
        "--scores",
        help="Put the score (length-normalized log-probability) and a tab before each translation, "
        "or add the keys score, score_parts and token_log_probs.",
    ),
]
Alignments = Annotated[
    bool,
    typer.Option(
        "--alignments",
        help="Put a tab and the word alignment after each translation: 0-0 1-2 (source-target, "
        "from 0), or add the keys alignment, src_words and tgt_words. Punctuation at the edges of "
        "a word counts as a word.",
    ),
]
TokenAlternatives = Annotated[
    int,
    typer.Option(
        min=0,
        max=MAX_ALTERNATIVES,
        metavar="N",
        help="Add the N most probable tokens at each position of a translation to JSON objects: "
        "the keys tokens and token_alternatives.",
    ),
]
WarnShort = Annotated[
    bool,
    typer.Option(
        "--warn-short",
        help="Report each line whose translation is suspiciously short on the standard error; "
        "JSON objects get the key short.",
    ),
]
GlossaryFile = Annotated[
    Path | None,
    typer.Option(
        "--glossary",
        metavar="FILE",
        help="Terms and how they must be translated: source term, tab, target term; forms of it "
        "after more tabs. JSON objects list terms of the target language under constraints.",
    ),
]
RequireTerms = Annotated[
    bool,
    typer.Option(
        "--require-terms", help="End with exit code 3 if a translation lacks a required term."
    ),
]
GuardOption = Annotated[
    GuardMode | None,
    typer.Option(
        "--guard",
        help="Check translations for loops, copied sources, the wrong language, lost or changed "
        "numbers and addresses, unlikely lengths and low confidence. warn counts those with flags; "
        "retry searches them again with other settings; blank then leaves bad ones empty. JSON "
        "objects get the keys flags and confidence.",
    ),
]
GuardFails = Annotated[
    bool,
    typer.Option("--guard-fails", help="End with exit code 3 if a translation has flags."),
]
Protect = Annotated[
    str | None,
    typer.Option(
        metavar="KIND,...",
        help="Copy spans of these kinds as they are: urls, emails, numbers, emoji, placeholders "
        "(such as {name}, %s and <0/>). It needs a model trained with data.placeholders.",
    ),
]
Interactive = Annotated[
    bool,
    typer.Option(
        "--interactive",
        help="Translate what is typed on a terminal, with commands for n-best lists, alternative "
        "words and search options (:help).",
    ),
]
SEARCH = (
    *("tgt_lang", "src_lang"),
    *("nbest", "beam_size", "length_penalty", "max_extra_len", "batch_tokens", "split_sentences"),
    *("context",),
    *("min_length", "no_repeat_ngram_size", "repetition_penalty", "banned"),
    *("coverage_penalty", "stop", "patience", "beam_groups", "diversity"),
    *("temperature", "top_k", "top_p", "seed", "shortlist"),
    *("mbr", "mbr_candidates", "terms"),
)


@with_search_options(*SEARCH)
def translate(
    model: Model,
    search: dict[str, Any],
    file: Input = None,
    output: Output = None,
    resume: Resume = False,
    layout: FormatOption = None,
    key: Key = None,
    prefix_file: PrefixFile = None,
    glossary: GlossaryFile = None,
    require_terms: RequireTerms = False,
    scores: Scores = False,
    alignments: Alignments = False,
    token_alternatives: TokenAlternatives = 0,
    warn_short: WarnShort = False,
    guard: GuardOption = None,
    guard_fails: GuardFails = False,
    protect: Protect = None,
    ensemble: Ensemble = None,
    ensemble_weights: EnsembleWeights = None,
    device: Device = "auto",
    engine: Engine = EngineName.auto,
    compute: ComputeOption = Compute.auto,
    threads: Threads = None,
    processes: Processes = 1,
    interactive: Interactive = False,
) -> None:
    """Translate lines, one for one and in order, or a document."""
    computing = computing_options(device, engine, compute, threads)
    computing |= ensemble_options(ensemble, ensemble_weights)
    extras = Extras(scores, alignments, token_alternatives, warn_short, guard, glossary, protect)
    written = Written(layout, key, extras, search)
    files = Files(file, prefix_file, None if output == Path("-") else output)
    demands = Demands(resume, require_terms, guard_fails, interactive, processes)
    _translate(model, computing, written, files, demands)


def _translate(
    model: Path, computing: dict[str, Any], written: Written, files: Files, demands: Demands
) -> None:
    """Translate a document, what is typed, or lines."""
    if demands.guard_fails and not written.extras.guard:
        raise ConfigError("--guard-fails is about the flags of --guard: add --guard warn")
    inputs = [files.source, files.prefixes, written.extras.glossary]
    models = [model, *computing["ensemble"]]
    if document := document_job(written, files, demands):
        if not _is_finished(inputs, models, files.output, demands):
            document.run(model, computing, written.search)
        return
    layout = written.layout(files.source, files.prefixes)
    if demands.interactive:
        unusable = [*files, *demands.of_files, *written.extras.of_files]
        converse(model, computing, written.search, layout, unusable)
        return
    launch(demands.processes)
    job = Job(files, layout, written.wanted(), demands)
    if not _is_finished(inputs, models, files.output, demands):
        with joined() as peers:
            shared = replace(job, peers=peers)
            shared.run(shared.translator(model, computing, written.search))


def _is_finished(
    inputs: list[Path | None], models: list[Path], output: Path | None, demands: Demands
) -> bool:
    """Check the files of a job, and whether an earlier one has completed its output."""
    if output is None:
        if demands.resume:
            raise ConfigError("--resume continues a file: name it with --output")
        refuse_outputs([None], inputs, models)
        return False
    from nmt.translate.partial_output import is_finished, written_files

    refuse_outputs([*written_files(output)], inputs, models)
    if demands.resume and is_finished(output):
        if checks := " and ".join(demands.checks):
            raise ConfigError(
                f"{output}: already there, without a record of what {checks} would report: leave "
                "out --resume to translate again"
            )
        log(f"{output}: already there; leave out --resume to translate again")
        return True
    return False
