"""Aligning the words of training pairs: with eflomal, fast_align, or the attention of a run.

The programs and the attention each link in one direction, so the links of both directions are
symmetrised. Words are those of `nmt.translate.words`, with punctuation apart.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from nmt.config.guided_alignment import GuidedAlignmentConfig
from nmt.config.languages import LanguagePair
from nmt.data.lines import read_lines
from nmt.device import choose_device
from nmt.errors import ConfigError, TrainingError, how_to_install
from nmt.files import reason
from nmt.runs.manifest import read_manifest
from nmt.runs.model import TrainedModel, load_model
from nmt.runs.parts import find_weights
from nmt.training.symmetrize import grow_diag_final_and
from nmt.translate.align import Aligner
from nmt.translate.words import Links, parse_pharaoh, split_words

Kind = Literal["eflomal", "fast_align", "run", "none"]
Pairs = Sequence[tuple[str, str]]

_PROGRAMS = {"eflomal": "eflomal-align", "fast_align": "fast_align"}
_POLL_SECONDS = 0.1


def choose_aligner(guided: GuidedAlignmentConfig) -> Kind:
    """Return what aligns corpora that come without an alignment.

    Raises:
        ConfigError: if it is a program that is not installed.
    """
    if guided.aligner == "auto":
        if guided.run:
            return "run"
        if _find("eflomal"):
            return "eflomal"
        if _find("fast_align"):
            return "fast_align"
        raise ConfigError(
            "train.guided_alignment: neither eflomal nor fast_align is installed: for eflomal, "
            f"{how_to_install('align')}. Or set its run to a trained run, whose attention aligns "
            "the words, or the alignments of each corpus"
        )
    if guided.aligner in _PROGRAMS and not _find(guided.aligner):
        raise ConfigError(
            f"train.guided_alignment.aligner: {guided.aligner} is not installed: there is no "
            f"program {_PROGRAMS[guided.aligner]} next to this Python or in $PATH"
        )
    return guided.aligner


def _find(kind: str) -> str | None:
    """Return the path of a program, which may be in the environment of this Python."""
    name = _PROGRAMS[kind]
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


class PairAligner(ABC):
    """Aligns all pairs of two languages."""

    @abstractmethod
    def align(self, pairs: Pairs) -> list[Links]:
        """Return the links of the next pairs; together, all calls are given all pairs in order."""


class ProgramAligner(PairAligner):
    """Aligns with a program, which needs all pairs at once.

    Args:
        kind: eflomal or fast_align.
        pairs: all pairs.
        folder: for the files of the program.
        poll: called several times per second; it may raise an exception to end the program.

    Raises:
        TrainingError: if the program fails.
    """

    def __init__(
        self, kind: str, pairs: Iterable[tuple[str, str]], folder: Path, poll: Callable[[], object]
    ) -> None:
        program = _find(kind)
        assert program is not None
        files = {name: folder / name for name in ("src", "tgt", "both", "forward", "backward")}
        _write(pairs, files)
        if kind == "eflomal":
            options = ["-s", files["src"], "-t", files["tgt"]]
            options += ["-f", files["forward"], "-r", files["backward"]]
            _run([program, *map(str, options)], None, poll)
        else:
            command = [program, "-i", str(files["both"]), "-d", "-o", "-v"]
            _run(command, files["forward"], poll)
            _run([*command, "-r"], files["backward"], poll)
        self._links = zip(
            *(map(parse_pharaoh, read_lines(files[name])) for name in ("forward", "backward")),
            strict=True,
        )

    def align(self, pairs: Pairs) -> list[Links]:
        """Return the links of the next pairs."""
        found = itertools.islice(self._links, len(pairs))
        return [grow_diag_final_and(*both) for both in found]


def _write(pairs: Iterable[tuple[str, str]], files: dict[str, Path]) -> None:
    """Write the words of pairs as the programs read them, in lower case."""
    with (
        files["src"].open("w", encoding="utf-8") as src_file,
        files["tgt"].open("w", encoding="utf-8") as tgt_file,
        files["both"].open("w", encoding="utf-8") as both,
    ):
        for pair in pairs:
            # fast_align would take this word for the separator.
            src, tgt = (" ".join(split_words(text)).lower().replace("|||", "|") for text in pair)
            src_file.write(f"{src}\n")
            tgt_file.write(f"{tgt}\n")
            both.write(f"{src} ||| {tgt}\n")


def _run(command: list[str], output: Path | None, poll: Callable[[], object]) -> None:
    """Run a program, with its standard output in a file.

    Raises:
        TrainingError: if it cannot be started, or fails.
    """
    with (
        tempfile.TemporaryFile() as errors,
        open(output or os.devnull, "wb") as stdout,
    ):
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=errors
            )
        except OSError as error:
            raise TrainingError(f"{command[0]}: cannot be started: {reason(error)}") from error
        try:
            while process.poll() is None:
                poll()
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            errors.seek(0)
            lines = errors.read().decode("utf-8", errors="replace").strip().split("\n")
            raise TrainingError(
                f"{command[0]}: failed with exit code {process.returncode}: {lines[-1]}"
            )


class RunAligner(PairAligner):
    """Aligns with the attention of a run, or of two in opposite directions.

    Args:
        guided: names the runs.
        languages: of the pairs.
        device: as in `train.device`.

    Raises:
        ConfigError: if a run is of other languages, or has no attention to show.
        FileError: if it is missing or damaged.
    """

    def __init__(self, guided: GuidedAlignmentConfig, languages: LanguagePair, device: str) -> None:
        self._languages = languages
        self._reversed = LanguagePair(languages.tgt, languages.src)
        assert guided.run
        self._forward = _model(guided.run, "run", languages, device)
        self._backward = (
            _model(guided.reverse_run, "reverse_run", self._reversed, device)
            if guided.reverse_run
            else None
        )

    def align(self, pairs: Pairs) -> list[Links]:
        """Return the links of the next pairs."""
        forward = _attended(self._forward, pairs, self._languages)
        if self._backward is None:
            return forward
        swapped = [(tgt, src) for src, tgt in pairs]
        backward = _attended(self._backward, swapped, self._reversed)
        return [
            grow_diag_final_and(one, [(j, i) for i, j in other])
            for one, other in zip(forward, backward, strict=True)
        ]


def _model(path: str, key: str, languages: LanguagePair, device: str) -> TrainedModel:
    model = load_model(path, choose_device(device))
    data = model.config.data
    if data.tags == "none" and (data.src_lang, data.tgt_lang) != tuple(languages):
        raise ConfigError(
            f"train.guided_alignment.{key}: {path} translates {data.src_lang} to {data.tgt_lang}, "
            f"but {languages.src} to {languages.tgt} is needed"
        )
    return model


def _attended(model: TrainedModel, pairs: Pairs, languages: LanguagePair) -> list[Links]:
    """Return the links of pairs, which are aligned in order of length, without much padding."""
    limit = model.network.max_length
    src, tgt = model.tokenizers
    lengths = [
        max(len(one), len(other)) + 1 + model.config.data.num_tags
        for one, other in zip(
            src.encode([pair[0] for pair in pairs]),
            tgt.encode([pair[1] for pair in pairs]),
            strict=True,
        )
    ]
    order = sorted(range(len(pairs)), key=lengths.__getitem__)
    order = [place for place in order if limit is None or lengths[place] <= limit]
    links: list[Links] = [[] for _ in pairs]
    found = Aligner([model]).align([pairs[place] for place in order], languages)
    for place, row in zip(order, found, strict=True):
        links[place] = row
    return links


def identity(kind: Kind, guided: GuidedAlignmentConfig) -> Iterator[object]:
    """Yield JSON values that tell aligners apart.

    Raises:
        FileError: if a run is missing or damaged.
    """
    yield kind
    for run in (guided.run, guided.reverse_run) if kind == "run" else ():
        yield run and read_manifest(find_weights(Path(run))[2])["files"]["weights.safetensors"]
