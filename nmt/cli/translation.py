"""nmt translate."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt.cli.app import log
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
    parse_weights,
    refuse_outputs,
    with_search_options,
)
from nmt.cli.processes import Processes, joined, launch
from nmt.errors import ConfigError, DataError
from nmt.limits import MAX_ALTERNATIVES

if TYPE_CHECKING:
    from nmt.progress import Advance
    from nmt.translate.formats import Layout
    from nmt.translate.translator import Peers, Translator


class Format(str, Enum):
    """The format of a line of input and output."""

    text = "text"
    jsonl = "jsonl"


Input = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="Text, plain or .gz. Default, or -: standard input."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue what the same command left when it was stopped or killed. "
        "A complete output is left alone.",
    ),
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="One sentence or one JSON object per line, in and out.")
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
    *("min_length", "no_repeat_ngram_size", "repetition_penalty", "banned"),
    *("coverage_penalty", "stop", "patience", "beam_groups", "diversity"),
    *("temperature", "top_k", "top_p", "seed", "shortlist"),
    *("mbr", "mbr_candidates"),
)


@with_search_options(*SEARCH)
def translate(
    model: Model,
    search: dict[str, Any],
    file: Input = None,
    output: Output = None,
    resume: Resume = False,
    layout: FormatOption = Format.text,
    key: Key = None,
    prefix_file: PrefixFile = None,
    glossary: GlossaryFile = None,
    require_terms: RequireTerms = False,
    scores: Scores = False,
    alignments: Alignments = False,
    token_alternatives: TokenAlternatives = 0,
    warn_short: WarnShort = False,
    ensemble: Ensemble = None,
    ensemble_weights: EnsembleWeights = None,
    device: Device = "auto",
    engine: Engine = EngineName.auto,
    compute: ComputeOption = Compute.auto,
    threads: Threads = None,
    processes: Processes = 1,
    interactive: Interactive = False,
) -> None:
    """Translate lines, one for one and in order.

    With --output, OUTPUT.partial and OUTPUT.journal show how far it is until OUTPUT is complete.
    """
    columns = {"nbest": "nbest" in search, "scores": scores, "alignments": alignments}
    more = {"short": warn_short, "alternatives": token_alternatives, "utility": "mbr" in search}
    chosen = _layout(layout, key, file, prefix_file, columns, more)
    computing = _computing(device, engine, compute, threads, ensemble, ensemble_weights)
    if interactive:
        converse(model, computing, search, chosen, [file, output, resume, processes > 1])
        return
    if processes > 1:
        launch(processes)
    output = None if output == Path("-") else output
    if _is_finished([file, prefix_file, glossary], [model, *(ensemble or [])], output, resume):
        return
    wanted = _wanted(layout, columns, more) | {"glossary": glossary}
    with joined() as peers:
        job = Job(file, prefix_file, output, chosen, wanted, peers)
        job.run(job.translator(model, computing, search), resume=resume, strict=require_terms)


def _computing(
    device: str,
    engine: EngineName,
    compute: Compute,
    threads: int | None,
    ensemble: list[Path] | None,
    ensemble_weights: str | None,
) -> dict[str, Any]:
    """Return the parameters of `nmt.load`."""
    return {
        "device": device,
        "engine": engine.value,
        "compute": compute.value,
        "threads": threads,
        "ensemble": ensemble or [],
        "ensemble_weights": parse_weights(ensemble_weights),
    }


def _is_finished(
    inputs: list[Path | None], models: list[Path], output: Path | None, resume: bool
) -> bool:
    """Check the files of a job, and whether an earlier one has completed its output."""
    if output is None:
        if resume:
            raise ConfigError("--resume continues a file: name it with --output")
        refuse_outputs([None], inputs, models)
        return False
    from nmt.translate import resume as journal

    refuse_outputs([*journal.written_files(output)], inputs, models)
    if resume and journal.is_finished(output):
        log(f"{output}: already there; leave out --resume to translate again")
        return True
    return False


def _layout(
    layout: Format,
    key: str | None,
    file: Path | None,
    prefix_file: Path | None,
    columns: dict[str, bool],
    only_json: dict[str, Any],
) -> Layout:
    from nmt.translate.formats import JsonLayout, TextLayout

    if only_json["alternatives"] and layout is not Format.jsonl:
        raise ConfigError("--token-alternatives adds keys to JSON objects: use --format jsonl")
    if key is not None and layout is not Format.jsonl:
        raise ConfigError("--key names a key of JSON objects: it needs --format jsonl")
    if prefix_file is not None and layout is Format.jsonl:
        raise ConfigError("--prefix-file is for text: JSON objects have the key prefix")
    if prefix_file == Path("-") and file in (None, Path("-")):
        raise ConfigError("--prefix-file and the text cannot both be the standard input")
    if layout is Format.text:
        return TextLayout(**columns, prefixes=prefix_file is not None)
    return JsonLayout(key or "src", **columns, **only_json)


def _wanted(layout: Format, columns: dict[str, bool], only_json: dict[str, Any]) -> dict[str, Any]:
    """Return what the translator adds to the translations."""
    return {
        "alignments": columns["alignments"],
        "token_scores": layout is Format.jsonl and (columns["scores"] or columns["nbest"]),
        "token_alternatives": only_json["alternatives"],
        "warn_short": log if only_json["short"] else None,
    }


@dataclass(frozen=True)
class Job:
    """Lines to translate, where the translations go, and the processes that share the work.

    Attributes:
        wanted: what the translator adds to the translations.
    """

    file: Path | None
    prefix_file: Path | None
    output: Path | None
    layout: Layout
    wanted: dict[str, Any]
    peers: Peers | None

    @property
    def interactive(self) -> bool:
        """Whether somebody may be typing the lines."""
        from nmt.translate.streams import is_interactive_input

        return self.output is None and is_interactive_input(self.file)

    def translator(
        self,
        model: Path,
        computing: dict[str, Any],
        search: dict[str, Any],
    ) -> Translator:
        """Load the model."""
        from nmt import api

        if self.peers and (self.interactive or self.file in (None, Path("-"))):
            raise ConfigError("several processes need FILE: they cannot share the standard input")
        if self.peers:
            from nmt.distributed import local_device

            computing = {**computing, "device": local_device(computing["device"])}
        # In interactive use, each line gets all threads.
        parallel = 1 if self.interactive else computing["threads"] or api.num_threads()
        translator = api.load(model, parallel=parallel, log=log, **computing).translator(
            search, warn=log, peers=self.peers, **self.wanted
        )
        log(f"engine: {translator.engine}")
        return translator

    def run(self, translator: Translator, *, resume: bool, strict: bool) -> None:
        """Translate, and write the translations in one of the processes.

        Raises:
            DataError: `strict` is set, and translations lack required terms; all are written.
        """
        from nmt.files import write_lines
        from nmt.translate.streams import translate_windows

        lines, is_follower = self._lines(), self.peers is not None and self.peers.rank > 0
        shown = self.output is not None and not is_follower
        with file_bar("translating", self.file, shown=shown) as advance:
            if self.output:
                self._to_file(translator, lines, self.output, resume, advance)
            else:
                windows = translate_windows(
                    translator, lines, self.layout, interactive=self.interactive, advance=advance
                )
                texts = (text for window in windows for text in window)
                if is_follower:
                    collections.deque(texts, maxlen=0)
                else:
                    write_lines(texts, None)
        if summary := translator.short.summary():
            log(
                f"{summary}; --warn-short reports each, --split-sentences translates each sentence "
                "of a line separately"
            )
        if summary := translator.missing.summary():
            if strict:
                raise DataError(summary)
            log(f"warning: {summary}; a higher --max-extra-len or --beam-size may help")

    def _to_file(
        self,
        translator: Translator,
        lines: Iterable[str],
        output: Path,
        resume: bool,
        advance: Advance,
    ) -> None:
        from nmt.translate.resume import follow_file, translate_file

        if self.peers and self.peers.rank:
            follow_file(translator, lines, self.layout, output, self.peers)
            return
        translate_file(
            translator,
            lines,
            self.layout,
            output,
            resume=resume,
            log=log,
            advance=advance,
            peers=self.peers,
        )

    def _lines(self) -> Iterable[str]:
        from nmt.data.lines import read_lines
        from nmt.translate.formats import prefixed_lines

        lines = read_lines(self.file)
        return prefixed_lines(lines, read_lines(self.prefix_file)) if self.prefix_file else lines


def file_bar(
    what: str, file: Path | None, *, shown: bool = False
) -> AbstractContextManager[Advance]:
    """Return a progress bar for work on the lines of a file.

    Args:
        what: what is being done.
        file: the input; its lines are counted first.
        shown: show it even if the results go to a terminal or a pipe.
    """
    from nmt.data.lines import count_lines
    from nmt.progress import is_redirected_to_file, progress_bar

    shown = sys.stderr.isatty() and (shown or is_redirected_to_file(1))
    return progress_bar(what, count_lines(file) if shown else None, shown=shown)
