"""Whether the text of a configuration is the text that its recipe names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from nmt.config.corpora import AnyCorpus, FilesCorpus
from nmt.config.data import DataConfig
from nmt.config.recipe import TextConfig
from nmt.config.schema import Config
from nmt.data.corpus import corpus_name, raw_pairs
from nmt.data.lines import InvalidLine, decoded_lines
from nmt.data.shards import shards
from nmt.errors import DataError, FileError
from nmt.reproduce.places import Described, described_corpora, reference


@dataclass(frozen=True)
class Text:
    """A text that has been read.

    Attributes:
        key: what it is, such as `data.train.src`.
        name: its file or dataset.
        lines: number of lines.
        sha256: its checksum, as in `TextConfig`.
        known: whether the recipe has its checksum.
    """

    key: str
    name: str
    lines: int
    sha256: str
    known: bool

    def __str__(self) -> str:
        status = "as in the recipe" if self.known else "not in the recipe"
        return f"{self.key}: {self.name}: {self.lines:,} lines, sha256 {self.sha256}, {status}"


class _Checksum:
    """Counts the lines of a text and computes its checksum, as in `TextConfig`."""

    def __init__(self) -> None:
        self.lines = 0
        self._digest = hashlib.sha256()

    def add(self, line: str | InvalidLine) -> None:
        self.lines += 1
        raw = line.raw if isinstance(line, InvalidLine) else line.encode("utf-8")
        self._digest.update(raw + b"\n")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def check_texts(name: str, config: Config) -> list[Text]:
    """Compare the text of a configuration with that of its recipe.

    Args:
        name: the recipe's, for the message.
        config: a configuration with a recipe.

    Returns:
        The texts that have been read: all files, and datasets whose checksums the recipe has.

    Raises:
        DataError: if a text is missing or differs; the message lists all such texts.
        ConfigError, FileError: if a dataset cannot be loaded.
    """
    assert config.recipe is not None
    texts: list[Text] = []
    problems: list[str] = []
    for described in described_corpora(config, problems):
        for text, expected in _texts(described, config.data, problems):
            texts.append(text)
            problems += _differences(text, described.pair.lines, expected)
    if problems:
        source = config.recipe.data.source
        raise DataError(f"{name}: not the text of the recipe, which is {source}", *problems)
    return texts


def _texts(
    described: Described, data: DataConfig, problems: list[str]
) -> Iterator[tuple[Text, TextConfig]]:
    """Yield each side of a corpus, and what its recipe says about it.

    Files that cannot be read are added to the problems instead.
    """
    key, corpus, pair = described
    if isinstance(corpus, FilesCorpus):
        for side, expected in pair.sides.items():
            try:
                text = _file_text(f"{key}.{side}", corpus, side, expected)
            except (DataError, FileError) as error:
                wanted = f"; expected sha256 {expected.sha256}" if expected.sha256 else ""
                problems.append(f"{key}.{side}: {error}{wanted}")
            else:
                yield text, expected
    elif pair.src.sha256 or pair.tgt.sha256:
        for side, found in zip(("src", "tgt"), _checksums(corpus, data), strict=True):
            expected, name = pair.sides[side], corpus_name(corpus)
            known = expected.sha256 is not None
            yield Text(f"{key}.{side}", name, found.lines, found.sha256, known), expected


def _file_text(key: str, corpus: FilesCorpus, side: str, expected: TextConfig) -> Text:
    """Read one side of a corpus of two files, or its references."""
    if side == "ref":
        name = str(reference(corpus, expected))
        files = [name]
    else:
        name = getattr(corpus, side)
        files = [getattr(part, side) for part in shards(corpus)]
    checksum = _Checksum()
    for file in files:
        for line in decoded_lines(file):
            checksum.add(line)
    return Text(key, name, checksum.lines, checksum.sha256, expected.sha256 is not None)


def _checksums(corpus: AnyCorpus, data: DataConfig) -> tuple[_Checksum, _Checksum]:
    """Read both sides of a corpus of another kind."""
    src, tgt = _Checksum(), _Checksum()
    for part in shards(corpus):
        for src_line, tgt_line, _ in raw_pairs(part, data):
            src.add(src_line)
            tgt.add(tgt_line)
    return src, tgt


def _differences(text: Text, lines: int | None, expected: TextConfig) -> Iterator[str]:
    """Yield a message if a text differs from what its recipe says."""
    if lines in (None, text.lines) and expected.sha256 in (None, text.sha256):
        return
    message = f"{text.key}: {text.name}: {text.lines:,} lines, sha256 {text.sha256}; expected"
    counted = f" {lines:,} lines," if lines is not None else ""
    yield f"{message}{counted} sha256 {expected.sha256 or 'unknown'}"
