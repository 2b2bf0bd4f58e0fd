"""The work of `nmt translate`: a file of lines, their format, and where translations go."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nmt.cli.app import log
from nmt.errors import ConfigError, DataError
from nmt.files import is_standard

if TYPE_CHECKING:
    from nmt.progress import Advance
    from nmt.translate.formats import Layout
    from nmt.translate.part_search import Peers
    from nmt.translate.translator import Translator


class Format(str, Enum):
    """The format of input and output: of each line, or of a document."""

    text = "text"
    jsonl = "jsonl"
    html = "html"
    markdown = "markdown"
    srt = "srt"
    vtt = "vtt"
    po = "po"
    xliff = "xliff"
    docx = "docx"
    odt = "odt"


class GuardMode(str, Enum):
    """What the guard does about translations that may be bad."""

    warn = "warn"
    retry = "retry"
    blank = "blank"


class Extras(NamedTuple):
    """What is written with translations, or checked.

    Attributes:
        scores, alignments, short: whether to write them.
        alternatives: number of alternative tokens to write at each position.
        guard: how to check the translations, if at all.
        glossary: file with required translations of terms, if any.
        protect: kinds of spans to copy, separated by commas, if any.
    """

    scores: bool
    alignments: bool
    alternatives: int
    short: bool
    guard: GuardMode | None
    glossary: Path | None
    protect: str | None

    @property
    def of_files(self) -> list[object]:
        """What is only for files; all false if nothing is given."""
        return [self.glossary, self.short, self.guard, self.protect]


class Files(NamedTuple):
    """Where lines come from, and where translations go.

    Attributes:
        source: the source text; None for the standard input.
        prefixes: the beginning of each translation, if any.
        output: where translations go; None for the standard output.
    """

    source: Path | None
    prefixes: Path | None
    output: Path | None


class Demands(NamedTuple):
    """How a job goes about its work.

    Attributes:
        resume: continue an interrupted job.
        require_terms, guard_fails: whether it is an error if translations lack required terms, or
            have flags.
        interactive: translate what is typed on a terminal.
        processes: number of processes that share the work.
    """

    resume: bool
    require_terms: bool
    guard_fails: bool
    interactive: bool
    processes: int

    @property
    def checks(self) -> list[str]:
        """The flags given that make flaws of translations an error."""
        flags = {"--require-terms": self.require_terms, "--guard-fails": self.guard_fails}
        return [flag for flag, is_given in flags.items() if is_given]

    @property
    def of_files(self) -> list[object]:
        """What is only for files; all false if nothing is given."""
        return [self.resume, self.require_terms, self.guard_fails, self.processes > 1]


@dataclass(frozen=True)
class Written:
    """What is read and written for each line.

    Attributes:
        format: the format; None if not given.
        key: key of the source text in JSON objects; None if not given.
        extras: what is written with translations.
        search: the search options given.
    """

    format: Format | None
    key: str | None
    extras: Extras
    search: dict[str, Any]

    @property
    def options(self) -> dict[str, object]:
        """What is given of the options that are only for lines, by flag."""
        return {
            "--key": self.key,
            "--scores": self.extras.scores,
            "--alignments": self.extras.alignments,
            "--nbest": self.search.get("nbest"),
            "--token-alternatives": self.extras.alternatives,
            "--warn-short": self.extras.short,
            "--protect": self.extras.protect,
        }

    def layout(self, file: Path | None, prefix_file: Path | None) -> Layout:
        """Return how lines are read and written.

        Raises:
            ConfigError: if the options do not fit together.
        """
        from nmt.translate.formats import JsonLayout, TextLayout

        is_json = self.format is Format.jsonl
        if self.extras.alternatives and not is_json:
            raise ConfigError("--token-alternatives adds keys to JSON objects: use --format jsonl")
        if self.key is not None and not is_json:
            raise ConfigError("--key names a key of JSON objects: it needs --format jsonl")
        if prefix_file is not None and is_json:
            raise ConfigError("--prefix-file is for text: JSON objects have the key prefix")
        if prefix_file == Path("-") and is_standard(file):
            raise ConfigError("--prefix-file and the text cannot both be the standard input")
        columns = {
            "nbest": "nbest" in self.search,
            "scores": self.extras.scores,
            "alignments": self.extras.alignments,
        }
        if not is_json:
            return TextLayout(**columns, prefixes=prefix_file is not None)
        return JsonLayout(
            self.key or "src",
            **columns,
            alternatives=self.extras.alternatives,
            short=self.extras.short,
            guard=self.extras.guard is not None,
            utility="mbr" in self.search,
        )

    def wanted(self) -> dict[str, Any]:
        """Return the arguments of `nmt.api.Model.translator` that add to the translations."""
        extras, is_json = self.extras, self.format is Format.jsonl
        return {
            "alignments": extras.alignments,
            "token_scores": is_json and (extras.scores or "nbest" in self.search),
            "token_alternatives": extras.alternatives,
            "warn_short": log if extras.short else None,
            "glossary": extras.glossary,
            "guard": extras.guard.value if extras.guard else None,
            "protect": extras.protect.split(",") if extras.protect else (),
        }


@dataclass(frozen=True)
class Job:
    """Lines to translate, where the translations go, and the processes that share the work.

    Attributes:
        files: the files.
        layout: how lines are read and written.
        wanted: what the translator adds to the translations; see `Written.wanted`.
        demands: how to go about it.
        peers: the processes; None if this is the only one.
    """

    files: Files
    layout: Layout
    wanted: dict[str, Any]
    demands: Demands
    peers: Peers | None = None

    @property
    def interactive(self) -> bool:
        """Whether somebody may be typing the lines."""
        from nmt.translate.streams import is_interactive_input

        return self.files.output is None and is_interactive_input(self.files.source)

    def translator(
        self,
        model: Path,
        computing: dict[str, Any],
        search: dict[str, Any],
    ) -> Translator:
        """Load the model and return its translator.

        Args:
            model: the model.
            computing: arguments of `nmt.api.load`.
            search: the search options given.

        Raises:
            ConfigError: if the options do not fit together, or the model cannot follow them.
        """
        from nmt import api
        from nmt.engines import num_threads

        if self.peers and (self.interactive or is_standard(self.files.source)):
            raise ConfigError("several processes need FILE: they cannot share the standard input")
        if self.peers:
            from nmt.distributed import local_device

            computing = {**computing, "device": local_device(computing["device"])}
        # In interactive use, each line gets all threads.
        parallel = 1 if self.interactive else computing["threads"] or num_threads()
        translator = api.load(model, parallel=parallel, log=log, **computing).translator(
            search, warn=log, peers=self.peers, **self.wanted
        )
        log(f"engine: {translator.engine}")
        return translator

    def run(self, translator: Translator) -> None:
        """Translate, and write the translations in one of the processes.

        Raises:
            DataError: if translations lack required terms, or have flags, and that is to be an
                error. All are written first.
        """
        from nmt.files import write_lines
        from nmt.translate.streams import translate_windows

        lines, is_follower = self._lines(), self.peers is not None and self.peers.rank > 0
        shown = self.files.output is not None and not is_follower
        with file_bar("translating", self.files.source, shown=shown) as advance:
            if self.files.output:
                self._to_file(translator, lines, self.files.output, self.demands.resume, advance)
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
        report_flaws(translator, self.demands)

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

        lines = read_lines(self.files.source)
        return (
            prefixed_lines(lines, read_lines(self.files.prefixes)) if self.files.prefixes else lines
        )


def report_flaws(translator: Translator, demands: Demands, unit: str = "line") -> None:
    """Log how many translations have flags or lack required terms.

    Args:
        translator: what has counted them.
        demands: what is an error.
        unit: what is translated one by one.

    Raises:
        DataError: if there are some, and that is to be an error.
    """
    errors = []
    checks = translator.guard or translator.protector
    if checks and (summary := translator.flagged.summary(unit)):
        if translator.guard and translator.guard.mode == "blank":
            summary += "; those with flags are left blank"
        if demands.guard_fails:
            errors.append(summary)
        else:
            log(f"{'guard' if translator.guard else 'warning'}: {summary}")
    if summary := translator.missing.summary(unit):
        remedy = "a higher --max-extra-len or --beam-size may help"
        if translator.options.terms == "soft":
            remedy = "--terms both requires them of the search, too"
        if demands.require_terms:
            errors.append(summary)
        else:
            log(f"warning: {summary}; {remedy}")
    if errors:
        raise DataError(*errors)


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
