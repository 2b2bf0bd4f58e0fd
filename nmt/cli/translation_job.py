"""The work of `nmt translate`: a file of lines, their format, and where translations go."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.cli.app import log
from nmt.errors import ConfigError, DataError

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


@dataclass(frozen=True)
class Written:
    """What is read and written for each line.

    Attributes:
        format: the format; None if not given.
        key: key of the source text in JSON objects; None if not given.
        scores, alignments, short: whether to write them.
        alternatives: number of alternative tokens to write at each position.
        search: the search options given.
    """

    format: Format | None
    key: str | None
    scores: bool
    alignments: bool
    alternatives: int
    short: bool
    search: Mapping[str, Any]

    @property
    def options(self) -> dict[str, object]:
        """What is given of the options about lines, by flag."""
        return {
            "--key": self.key,
            "--scores": self.scores,
            "--alignments": self.alignments,
            "--nbest": self.search.get("nbest"),
            "--token-alternatives": self.alternatives,
            "--warn-short": self.short,
        }

    def layout(self, file: Path | None, prefix_file: Path | None) -> Layout:
        """Return how lines are read and written.

        Raises:
            ConfigError: the options do not fit together.
        """
        from nmt.translate.formats import JsonLayout, TextLayout

        is_json = self.format is Format.jsonl
        if self.alternatives and not is_json:
            raise ConfigError("--token-alternatives adds keys to JSON objects: use --format jsonl")
        if self.key is not None and not is_json:
            raise ConfigError("--key names a key of JSON objects: it needs --format jsonl")
        if prefix_file is not None and is_json:
            raise ConfigError("--prefix-file is for text: JSON objects have the key prefix")
        if prefix_file == Path("-") and file in (None, Path("-")):
            raise ConfigError("--prefix-file and the text cannot both be the standard input")
        columns = {
            "nbest": "nbest" in self.search,
            "scores": self.scores,
            "alignments": self.alignments,
        }
        if not is_json:
            return TextLayout(**columns, prefixes=prefix_file is not None)
        return JsonLayout(
            self.key or "src",
            **columns,
            alternatives=self.alternatives,
            short=self.short,
            utility="mbr" in self.search,
        )

    def wanted(self, glossary: Path | None) -> dict[str, Any]:
        """Return the arguments of `nmt.api.Model.translator` that add to the translations."""
        is_json = self.format is Format.jsonl
        return {
            "alignments": self.alignments,
            "token_scores": is_json and (self.scores or "nbest" in self.search),
            "token_alternatives": self.alternatives,
            "warn_short": log if self.short else None,
            "glossary": glossary,
        }


@dataclass(frozen=True)
class Job:
    """Lines to translate, where the translations go, and the processes that share the work.

    Attributes:
        file: the source text; None for the standard input.
        prefix_file: the beginning of each translation, if any.
        output: where translations go; None for the standard output.
        layout: how lines are read and written.
        wanted: what the translator adds to the translations; see `Written.wanted`.
        peers: the processes; None if this is the only one.
    """

    file: Path | None
    prefix_file: Path | None
    output: Path | None
    layout: Layout
    wanted: dict[str, Any]
    peers: Peers | None = None

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

        if self.peers and (self.interactive or self.file in (None, Path("-"))):
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

    def run(self, translator: Translator, *, resume: bool, strict: bool) -> None:
        """Translate, and write the translations in one of the processes.

        Raises:
            DataError: `strict` is set, and translations lack required terms. All are written
                first.
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
        report_terms(translator, strict)

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


def report_terms(translator: Translator, strict: bool) -> None:
    """Warn of required terms that translations lack.

    Raises:
        DataError: `strict` is set, and there are some.
    """
    if summary := translator.missing.summary():
        if strict:
            raise DataError(summary)
        remedy = "a higher --max-extra-len or --beam-size may help"
        if translator.options.terms == "soft":
            remedy = "--terms both requires them of the search, too"
        log(f"warning: {summary}; {remedy}")


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
