"""nmt translate --interactive: translates what is typed on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from nmt.cli.app import log
from nmt.config.search import SearchOptions, search_options
from nmt.data.history import History
from nmt.errors import ConfigError, DataError, NmtError
from nmt.limits import MAX_CONTEXT

if TYPE_CHECKING:
    from rich.table import Table

    from nmt.api import Model
    from nmt.translate.formats import Layout

_UNUSABLE = ("nbest", "batch_tokens", "trees", "max_input_length")
_SETTABLE = [name for name in SearchOptions.model_fields if name not in _UNUSABLE]
_HELP = (
    ("TEXT", "translate a line; double a colon at its beginning, as in ::-)"),
    (":n 5", "the 5 best translations of the last line"),
    (":alt", "the last translation with numbered words"),
    (":alt 3", "other words in place of word 3"),
    (":alt Die ", "words after a prefix; without the space, its last word may continue"),
    (":set", "the search options"),
    (":set beam_size 8", "change one; without a value, reset it"),
    (":help", "this list"),
    (":quit", "end, as Ctrl-D does; Ctrl-C stops a search"),
)


def converse(
    model: Path,
    computing: dict[str, Any],
    search: dict[str, Any],
    layout: Layout,
    unusable: Sequence[object],
) -> None:
    """Translate lines that somebody types, until the input ends.

    Args:
        model: the model.
        computing: arguments of `nmt.api.load`.
        search: search options.
        layout: the format, which must be plain text.
        unusable: values of options that make no sense here; all must be false.

    Raises:
        ConfigError: if one of these options is given, or there is no terminal.
    """
    _check(layout, unusable)
    from nmt import api

    loaded = api.load(model, parallel=1, log=log, **computing)
    session = Session(loaded, search)  # a wrong option is refused before the first line
    log(f"engine: {loaded.engine}")
    log("Type a line to translate, or :help.")
    with suppress(ImportError):  # not on Windows
        import readline  # noqa: F401 - gives `input` editing and a history, kept in memory only
    while session.goes_on():
        pass


def _check(layout: Layout, unusable: Sequence[object]) -> None:
    from nmt.translate.formats import TextLayout

    if any(unusable) or layout != TextLayout():
        raise ConfigError(
            "--interactive takes a model, search options and computing options: leave out FILE and "
            "the options about files, formats, warnings and processes; for --nbest there is :n"
        )
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "--interactive needs a terminal for input and output: leave it out to translate lines "
            "from a file or a pipe"
        )


class Session:
    """Answers lines and commands, and keeps the last line and the options that commands refer to.

    Args:
        model: the model.
        search: search options that differ from the model's.

    Raises:
        ConfigError: if the options are not possible with the model.
    """

    def __init__(self, model: Model, search: dict[str, Any]) -> None:
        from nmt.console import Console

        self._model, self._search = model, search
        self._original = dict(search)
        self._console = Console()
        self._src, self._text = "", ""  # the last line and its translation
        self._history = History(MAX_CONTEXT)
        self._context: tuple[str, ...] = ()
        self._commands: dict[str, Callable[[str], object]] = {
            "n": self._show_nbest,
            "alt": self._show_alternatives,
            "set": self._set,
            "help": self._show_help,
        }
        model.translator(search)

    def goes_on(self) -> bool:
        """Read and answer one line; return whether there may be more."""
        try:
            line = input("> ")
        except EOFError:
            print()
            return False
        except KeyboardInterrupt:  # discards the line, as in a shell
            print()
            return True
        except UnicodeDecodeError:
            log("this is not UTF-8 text: check the encoding of the terminal")
            return True
        if line.strip() in (":quit", ":q"):
            return False
        try:
            self.answer(line)
        except KeyboardInterrupt:
            log("interrupted")
        except NmtError as error:
            self._explain(error)
        return True

    def answer(self, line: str) -> None:
        """Translate a line, or carry out a command.

        Raises:
            ConfigError: if the command is unknown or wrong.
            DataError: if the line cannot be translated, or a command needs an earlier line.
        """
        if line.startswith(":") and not line.startswith("::"):
            name, _, argument = line[1:].partition(" ")
            if name not in self._commands:
                known = ", ".join(f":{each}" for each in (*self._commands, "quit"))
                raise ConfigError(f"unknown command :{name}: known are {known}")
            self._commands[name](argument)
            return
        src = line[1:] if line.startswith(":") else line
        context = self._history.before(src)
        if src.strip():
            self._text = self._translate(src, context, self._search)[0].text
            self._src, self._context = src, context
            self._console.print_line(self._text)

    def _translate(self, src: str, context: Sequence[str], search: dict[str, Any]) -> list[Any]:
        [translation] = self._model.translator(search, warn=log).translate(
            [src], contexts=[context]
        )
        return translation.hypotheses

    def _last(self) -> str:
        if not self._src:
            raise DataError("there is no line yet: type one to translate")
        return self._src

    def _show_nbest(self, argument: str) -> None:
        src, number = self._last(), argument.strip()
        if not _is_number(number) or not int(number):
            raise ConfigError(":n needs a number of translations, as in :n 5")
        options = search_options(self._model.config.decode, self._search)
        search = {**self._search, "nbest": int(number)}
        if not options.samples:
            groups = options.beam_groups
            search["beam_size"] = max(options.beam_size, -(-int(number) // groups) * groups)
        table = _table("score", "translation")
        for best in self._translate(src, self._context, search):
            table.add_row(f"{best.score:.4f}", best.text)
        self._console.print(table)

    def _show_alternatives(self, argument: str) -> None:
        src = self._last()
        if not argument.strip():
            self._show_words()
            return
        prefix = argument
        if _is_number(argument.strip()):
            prefix = self._before_word(int(argument))
        table = _table("probability", "word", "translation")
        for each in self._model.alternatives(src, prefix, **self._search):
            table.add_row(f"{each.probability:.2%}", each.word or "(end)", each.text)
        self._console.print(table)

    def _show_words(self) -> None:
        from nmt.translate.words import split_words

        words = split_words(self._text)
        numbered = [f"{number} {word}" for number, word in enumerate([*words, "(end)"], 1)]
        self._console.print_line("  ".join(numbered))

    def _before_word(self, number: int) -> str:
        """Return the last translation up to a word; one number more stands for its end."""
        from nmt.translate.words import word_spans

        starts = [*(start for start, _ in word_spans(self._text)), len(self._text)]
        if not 1 <= number <= len(starts):
            raise ConfigError(f"there is no word {number}: :alt shows 1 to {len(starts)}")
        return self._text[: starts[number - 1]]

    def _set(self, argument: str) -> None:
        name, _, text = argument.strip().replace("=", " ", 1).partition(" ")
        if not name:
            self._show_options()
            return
        name = name.removeprefix("--").replace("-", "_")
        if name not in _SETTABLE:
            raise ConfigError(f"unknown option {name!r}: known are {', '.join(_SETTABLE)}")
        search = {each: value for each, value in self._search.items() if each != name}
        if text.strip():
            is_list = get_origin(SearchOptions.model_fields[name].annotation) is list
            search[name] = [text.strip()] if is_list else text.strip()
            chosen = search_options(self._model.config.decode, search)
            search[name] = getattr(chosen, name)
        elif name in self._original:
            search[name] = self._original[name]
        self._model.translator(search)  # refuses what this model cannot do
        self._search = search

    def _show_options(self) -> None:
        options = search_options(self._model.config.decode, self._search)
        table = _table("option", "value")
        for name in _SETTABLE:
            table.add_row(name, str(getattr(options, name)))
        self._console.print(table)

    def _show_help(self, argument: str) -> None:
        table = _table()
        for command, text in _HELP:
            table.add_row(command, text)
        self._console.print(table)

    def _explain(self, error: NmtError) -> None:
        # Not with `log`, which writes options as flags (--beam-size); :set takes beam_size.
        from nmt.console import Console

        Console(stderr=True).print_line(str(error))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _table(*columns: str) -> Table:
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, show_header=bool(columns))
