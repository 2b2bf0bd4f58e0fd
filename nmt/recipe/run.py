"""nmt recipe: from parallel text to a configuration that is ready to train."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from nmt.config.corpora import FilesCorpus
from nmt.console import Console
from nmt.data.corpus import files_of, refuse_pipe
from nmt.errors import FileError
from nmt.files import is_standard, writing
from nmt.recipe.describe import described, described_validation
from nmt.recipe.holdout import Files, divide, drawn_rows, files_next_to
from nmt.recipe.languages import languages_of
from nmt.recipe.plan import Limit, Planner
from nmt.recipe.render import render
from nmt.recipe.rules import Choice, tokenizer_choices
from nmt.recipe.survey import Survey, read_text, survey
from nmt.recipe.trial import Trial

_READ_FOR_LANGUAGES = 200


@dataclass(frozen=True)
class Request:
    """What the user wants.

    Attributes:
        text: the training text; its paths may be patterns.
        languages: source and target language; None to find out.
        valid: the validation text; None to hold out some pairs, if there is an `output`.
        limit: time or steps.
        output: the configuration to write; None and `-` mean standard output.
        force: whether to replace existing files.
    """

    text: FilesCorpus
    languages: tuple[str | None, str | None]
    valid: FilesCorpus | None
    limit: Limit
    output: Path | None
    force: bool


class _Validation(NamedTuple):
    """The validation text: given, held out, or none."""

    pairs: int
    about: str
    rows: list[int]
    """Rows of the training text that are held out."""


def make_recipe(request: Request, console: Console) -> None:
    """Write a configuration for parallel text, and the text divided if pairs are held out.

    Nothing is written before everything is known, and the configuration is written last.

    Args:
        request: what the user wants.
        console: standard error, for what is found out about the text.

    Raises:
        ConfigError: if the languages cannot be told, or the model does not fit into memory.
        DataError: if the text cannot be used.
        FileError: if a file cannot be read or written, or exists already.
        TrainingError: if the steps to measure cannot be taken.
    """
    languages = _languages(request)
    files = _new_files(request, languages)
    with console.activity("reading the text"):
        train = survey(request.text)
        valid = _validation(request, train, held_out=files is not None)
    summary = [*described(train.text, languages), valid.about]
    for line in summary:
        console.print_line(line)
    with TemporaryDirectory(prefix="nmt-recipe-") as folder:
        trial = Trial(Path(folder), train.sample, languages, tokenizer_choices(train.text))
        pairs = train.text.usable - len(valid.rows)
        planner = Planner(train.text, pairs, valid.pairs, request.limit, trial, console.print_line)
        choices = [_corpora(request, languages, files), *planner.choices()]
    if files:
        with console.activity("writing the text, divided into training and validation"):
            divide(request.text, valid.rows, files)
    with writing(request.output) as file:
        file.write(render([*_header(request), "", *summary], choices).encode("utf-8"))


def _languages(request: Request) -> tuple[str, str]:
    for corpus in filter(None, (request.text, request.valid)):
        for path in files_of(corpus):
            refuse_pipe(path)
    paths = request.text.src, request.text.tgt
    beginning = islice(read_text(request.text), _READ_FOR_LANGUAGES)
    return languages_of(paths, request.languages, beginning)


def _new_files(request: Request, languages: tuple[str, str]) -> Files | None:
    """Return the files for the divided text, if it is to be divided.

    Raises:
        FileError: if one of them, or the configuration, exists already.
    """
    output = request.output
    if output is None or is_standard(output):
        return None
    zipped = request.text.src.endswith(".gz")
    files = None if request.valid else files_next_to(output, languages, zipped=zipped)
    for path in [output, *(files or [])]:
        if path.exists() and not request.force:
            raise FileError(f"{path}: already exists; choose another `output`, or use `force`")
    return files


def _validation(request: Request, train: Survey, *, held_out: bool) -> _Validation:
    if request.valid:
        valid = survey(request.valid)
        return _Validation(valid.text.pairs, described_validation(valid, train), [])
    if not held_out:
        return _Validation(0, "validation: none", [])
    rows = drawn_rows(train.sentences)
    about = (
        f"validation: {len(rows):,} of these pairs, held out; none of their sentences is elsewhere"
    )
    return _Validation(len(rows), about, rows)


def _corpora(request: Request, languages: tuple[str, str], files: Files | None) -> Choice:
    """Return the languages and corpora of the section `data`."""
    train, valid = _paths(request.text), request.valid and _paths(request.valid)
    if files:
        train = {"src": str(files.train_src), "tgt": str(files.train_tgt)}
        valid = {"src": str(files.valid_src), "tgt": str(files.valid_tgt)}
    values = {"src_lang": languages[0], "tgt_lang": languages[1], "train": train}
    reason = "Paths are relative to the directory in which nmt is called."
    return Choice("data", values | ({"valid": valid} if valid else {}), reason)


def _paths(corpus: FilesCorpus) -> dict[str, str]:
    return {"src": corpus.src, "tgt": corpus.tgt}


def _header(request: Request) -> list[str]:
    output = request.output
    name = "FILE" if output is None or is_standard(output) else shlex.quote(str(output))
    return [
        f"Written by nmt recipe. Train with: nmt train {name}",
        "All other settings have their defaults: nmt config shows them.",
    ]
