"""The word alignment of the training data, from files or an aligner, kept in the cache."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from nmt.config.corpora import AnyCorpus, TsvCorpus
from nmt.config.guided_alignment import GuidedAlignmentConfig
from nmt.config.languages import LanguagePair
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data import cache
from nmt.data.lines import read_lines
from nmt.data.links import AFTER, BEFORE, LINKS_FILE, PARTS, WORD, WordLinks, save_links
from nmt.data.pieces import SPACE
from nmt.data.prepared import Prepared
from nmt.data.shards import shards
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.data.tokenizer_training import Progress
from nmt.errors import ConfigError, DataError
from nmt.files import as_file_error, measure
from nmt.training.aligners import (
    Kind,
    PairAligner,
    ProgramAligner,
    RunAligner,
    choose_aligner,
    identity,
)
from nmt.translate.words import Links, is_punctuation, parse_pharaoh, split_words

_CACHE_VERSION = 1
_PAIRS_AT_ONCE = 4096


def check_alignments(config: Config) -> None:
    """Check where the word alignment is to come from, before hours of preparation.

    Raises:
        ConfigError: if there is no aligner, or a corpus of several files names one alignment.
        FileError: if a file or run is missing.
    """
    guided = config.train.guided_alignment
    if guided is None:
        return
    for corpus in config.data.train:
        if corpus.alignments and shards(corpus) != [corpus]:
            raise ConfigError(
                f"{corpus.alignments}: data.train: a corpus with alignments cannot be a pattern: "
                "list its files as corpora of their own, each with its alignments"
            )
        if corpus.alignments:
            with as_file_error(corpus.alignments, "cannot be read"):
                measure(Path(corpus.alignments))
    list(identity(_aligner(config, guided), guided))


def _aligner(config: Config, guided: GuidedAlignmentConfig) -> Kind:
    """Return what aligns the corpora without an alignment; `none` if there are no such corpora."""
    return "none" if all(one.alignments for one in config.data.train) else choose_aligner(guided)


def align_words(
    config: Config,
    tokenizers: Tokenizers,
    prepared: Prepared,
    console: Console,
    progress: Progress,
) -> WordLinks:
    """Return the word alignment of training pairs, from the cache if it is there.

    Aligners draw random numbers, so a second alignment may differ from the first. Its key comes
    from its content, and a run does not resume with another one.

    Args:
        config: of the run, with `train.guided_alignment`.
        tokenizers: of the run.
        prepared: the pairs.
        console: says what aligns them.
        progress: as in `prepare`.

    Raises:
        ConfigError, FileError: as in `check_alignments`.
        DataError: if a file of links does not fit its corpus.
        TrainingError: if an aligner fails.
    """
    guided = config.train.guided_alignment
    assert guided is not None
    kind = _aligner(config, guided)
    maker = _Maker(config, guided, kind, tokenizers, prepared, progress)
    files = [
        measure(Path(corpus.alignments)) if corpus.alignments else None
        for corpus in prepared.corpora
    ]
    key = cache.key(
        version=_CACHE_VERSION,
        pairs=prepared.key,
        files=files,
        aligner=list(identity(kind, guided)),
    )
    wait = partial(progress, "waiting for another process", 0)
    folder = cache.entry(config.data, f"links-{key}", maker.build, console.print_line, wait)
    links = WordLinks(folder, str(measure(folder / LINKS_FILE)["sha256"]))
    numbers = links.numbers()
    sources = ["files"] * any(files) + [kind] * (kind != "none")
    console.print_line(
        f"guided alignment: {int(numbers.sum()):,} links in {int((numbers > 0).sum()):,} of "
        f"{len(prepared):,} pairs, from {' and '.join(sources)}"
    )
    return links


class _Maker:
    """Aligns the words of training pairs.

    Args:
        config, tokenizers, prepared, progress: as in `align_words`.
        guided: the section of the configuration.
        kind: what aligns the corpora without an alignment.
    """

    def __init__(
        self,
        config: Config,
        guided: GuidedAlignmentConfig,
        kind: Kind,
        tokenizers: Tokenizers,
        prepared: Prepared,
        progress: Progress,
    ) -> None:
        self._config, self._guided, self._kind = config, guided, kind
        self._tokenizers, self._prepared, self._progress = tokenizers, prepared, progress

    def build(self, directory: Path) -> None:
        """Write the links of all pairs."""
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            aligners = self._make_aligners(Path(folder))
            save_links(self._links(aligners), directory)

    def _make_aligners(self, folder: Path) -> dict[LanguagePair, PairAligner]:
        """Return an aligner for each language pair with corpora that need one."""
        made: dict[LanguagePair, PairAligner] = {}
        if self._kind == "none":
            return made
        corpora = [corpus for corpus in self._prepared.corpora if not corpus.alignments]
        languages = dict.fromkeys(map(self._config.data.pair_of, corpora))
        for number, pair in enumerate(languages):
            if self._kind == "run":
                made[pair] = RunAligner(self._guided, pair, self._config.train.device)
                continue
            own = folder / str(number)
            own.mkdir()
            texts = self._texts_to_align(pair)
            poll = partial(self._progress, f"aligning words with {self._kind}", 0)
            made[pair] = ProgramAligner(self._kind, texts, own, poll)
        return made

    def _texts_to_align(self, languages: LanguagePair) -> Iterator[tuple[str, str]]:
        for corpus, _, rows, _ in self._prepared.lines():
            if not corpus.alignments and self._config.data.pair_of(corpus) == languages:
                for start in rows[::_PAIRS_AT_ONCE]:
                    some = range(start, min(start + _PAIRS_AT_ONCE, rows.stop))
                    yield from zip(*self._prepared.texts(some), strict=True)

    def _links(self, aligners: dict[LanguagePair, PairAligner]) -> Iterator[list[Links]]:
        """Yield the links between parts of words of all pairs, some at a time."""
        for corpus, counts, rows, lines in self._prepared.lines():
            aligner = aligners.get(self._config.data.pair_of(corpus))
            given = _given_links(corpus, counts.read) if corpus.alignments else None
            for start in rows[::_PAIRS_AT_ONCE]:
                some = range(start, min(start + _PAIRS_AT_ONCE, rows.stop))
                self._progress("aligning words", start)
                pairs = [*zip(*self._prepared.texts(some), strict=True)]
                if given:
                    places = lines[start - rows.start : some.stop - rows.start].tolist()
                    links = [
                        _spread(_next(given, line), pair, f"{corpus.alignments}:{line}")
                        for line, pair in zip(places, pairs, strict=True)
                    ]
                elif aligner:
                    links = [
                        _as_parts(row, pair)
                        for row, pair in zip(aligner.align(pairs), pairs, strict=True)
                    ]
                else:
                    links = [[] for _ in pairs]
                yield self._without_odd(links, pairs)
            if given:  # so that the rest of the file is checked too
                _next(given, None)

    def _without_odd(self, links: list[Links], pairs: Sequence[tuple[str, str]]) -> list[Links]:
        """Drop the links of pairs whose words the tokenizers count differently."""
        return [
            row if all(map(_counts_alike, self._tokenizers, pair)) else []
            for row, pair in zip(links, pairs, strict=True)
        ]


def _counts_alike(tokenizer: Tokenizer, text: str) -> bool:
    [normalized] = tokenizer.normalize([text])
    return sum(map(bool, normalized.split(SPACE))) == len(text.split())


def _given_links(corpus: AnyCorpus, num_pairs: int) -> Iterator[tuple[int, Links]]:
    """Yield the line of each pair in its corpus, and its links from `alignments`.

    Args:
        corpus: the corpus.
        num_pairs: of the corpus, before it was filtered.

    Raises:
        DataError: if the file has another number of lines, or a line is not in Pharaoh format.
    """
    path = corpus.alignments
    assert path
    columns = (corpus.src_column, corpus.tgt_column) if isinstance(corpus, TsvCorpus) else ()
    header = any(isinstance(column, str) for column in columns)
    number = 0
    for number, text in enumerate(read_lines(path), 1):
        try:
            links = parse_pharaoh(text)
            if any(i < 0 or j < 0 for i, j in links):
                raise ValueError(text)
        except ValueError as error:
            raise DataError(
                f"{path}:{number}: must be links such as 0-0 1-2, source and target word, but it "
                f"is {text!r:.80}"
            ) from error
        yield number + header, [(j, i) for i, j in links] if corpus.reversed else links
    if number != num_pairs:
        raise DataError(
            f"{path} has {number} lines, but its corpus has {num_pairs} pairs: line n must have "
            "the links of pair n"
        )


def _next(given: Iterator[tuple[int, Links]], line: int | None) -> Links:
    """Return the links of a line, or read to the end."""
    return next((links for number, links in given if number == line), [])


def part_numbers(text: str) -> list[int]:
    """Return the number of the part of a word (see `nmt.data.links`) that each word of a text is.

    Args:
        text: its words are those of `split_words`.
    """
    numbers = []
    for place, chunk in enumerate(text.split()):
        words = split_words(chunk)
        kinds = [BEFORE, WORD, AFTER] if len(words) == 3 else [WORD]
        if len(words) == 2:
            kinds = [BEFORE, WORD] if is_punctuation(chunk[0]) else [WORD, AFTER]
        numbers += [PARTS * place + kind for kind in kinds]
    return numbers


def _as_parts(links: Links, pair: tuple[str, str]) -> Links:
    """Return links between words, with punctuation apart, as links between parts of words."""
    src, tgt = map(part_numbers, pair)
    return [(src[i], tgt[j]) for i, j in links]


def _spread(links: Links, pair: tuple[str, str], where: str) -> Links:
    """Return links between words that end at white space as links between parts of words.

    The words themselves are linked, and their punctuation if both have some on the same side.

    Raises:
        DataError: if there is no such word.
    """
    sizes = [len(text.split()) for text in pair]
    src, tgt = ({*part_numbers(text)} for text in pair)
    spread = set()
    for link in links:
        for side, number, size in zip(("source", "target"), link, sizes, strict=True):
            if number >= size:
                raise DataError(
                    f"{where}: the link {link[0]}-{link[1]} has no {side} word {number}: there are "
                    f"{size}, separated by white space and counted from 0"
                )
        for part in range(PARTS):
            one, other = (PARTS * number + part for number in link)
            if one in src and other in tgt:
                spread.add((one, other))
    return sorted(spread)
