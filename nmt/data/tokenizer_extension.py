"""New pieces for existing SentencePiece models, learned on the text of another domain.

The characters that a model does not know, and adjacent pieces, compete: whichever is most frequent
becomes the next piece (Sennrich et al. 2016, continued from the given segmentation). The ids of the
old pieces stay as they are, and so does the segmentation of text in which no new piece occurs.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from nmt.config.schema import Config
from nmt.data import cache
from nmt.data.model_file import ModelFile, ModelType, Piece, PieceKind, parse, with_pieces
from nmt.data.pieces import SPACE
from nmt.data.sampling import Sampler
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.data.tokenizer_training import Progress, cache_key, sampled_pairs
from nmt.errors import ConfigError

_UNITS = re.compile(f"{SPACE}?[^{SPACE}]+|{SPACE}")
_SHARPNESS = 1000.0  # exponent of probabilities with which only the best segmentation is left
_MARGIN = 1e-3
_MIN_COUNT = 2
_MAX_CHARACTERS = 16  # as SentencePiece's max_sentencepiece_length
_LINES_PER_REPORT = 10_000

Candidate = tuple[str, ...]
"""An unknown character, or two adjacent pieces, that may become a piece."""


def extend_tokenizers(
    config: Config,
    source: Tokenizers,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
) -> Tokenizers:
    """Add up to `tokenizer.extend.pieces` pieces, on each side if the vocabularies are separate.

    They are learned on a random sample of the training corpora, as tokenizers are, and cached.

    Args:
        config: of the new run.
        source: the tokenizers to extend, which stay as they are.
        progress: as in `train_tokenizers`.
        warn: as in `train_tokenizers`, and called with the number of new pieces.

    Raises:
        ConfigError: if a model is of a kind without smaller pieces.
        DataError, FileError: if the corpora cannot be used.
    """
    assert config.tokenizer.extend is not None
    number = config.tokenizer.extend.pieces
    report = progress or (lambda what, done: None)

    def build(directory: Path) -> None:
        pairs = sampled_pairs(config, report)
        poll = lambda: report("extending the tokenizer", len(pairs))  # noqa: E731
        sides = ([pair.src for pair in pairs], [pair.tgt for pair in pairs])
        if source.joint:
            extended = Tokenizers(*[extend(source.src, sides[0] + sides[1], number, poll)] * 2)
        else:
            both = zip(source, sides, strict=True)
            extended = Tokenizers(*[extend(one, lines, number, poll) for one, lines in both])
        extended.save(directory)

    before = [hashlib.sha256(one.serialized()).hexdigest() for one in source]
    name = f"tokenizer-{cache_key(config, source=before)}"
    wait = functools.partial(report, "waiting for another process", 0)
    extended = Tokenizers.load(cache.entry(config.data, name, build, warn, wait))
    if warn:
        sides = [*zip(source, extended, strict=True)][: 1 if source.joint else 2]
        added = " + ".join(f"{new.vocab_size - old.vocab_size:,}" for old, new in sides)
        warn(f"tokenizer.extend: {added} new pieces, of at most {number:,}")
    return extended


def extend(
    tokenizer: Tokenizer, lines: Sequence[str], number: int, poll: Callable[[], None]
) -> Tokenizer:
    """Return a tokenizer with up to `number` more pieces, learned on plain text.

    Args:
        tokenizer: stays as it is.
        lines: the text.
        number: largest number of new pieces.
        poll: called repeatedly; it may raise an exception to end the work.

    Raises:
        ConfigError: if the model is of a kind without smaller pieces.
    """
    file = parse(tokenizer.serialized())
    if file.type is ModelType.WORD:
        raise ConfigError("tokenizer.extend: a model of whole words cannot be extended")
    words = _words(file, tokenizer.normalize(lines), poll)
    table = _Table(words, file)
    total = sum(count * len(word) for word, count in words.items())
    new: dict[str, float] = {}
    scores = {piece.text: piece.score for piece in file.pieces}
    limits = _limits(file)
    while len(new) < number and (found := table.most_frequent()):
        candidate, count = found
        poll()
        table.apply(candidate)
        if (text := "".join(candidate)) in new:
            continue  # the same text in another division, which the piece covers as well
        if file.type is ModelType.UNIGRAM:
            # Better than its parts, but within the range of the others: SentencePiece derives the
            # score of unknown characters from the lowest.
            parts = sum(scores[part] for part in candidate) if len(candidate) > 1 else -math.inf
            score = max(math.log(count / total), parts + _MARGIN)
            scores[text] = new[text] = min(max(score, limits[0]), limits[1])
        else:
            new[text] = limits[0] - 1 - len(new)  # merged after all others, in this order
    pieces = [Piece(text, score, PieceKind.NORMAL) for text, score in new.items()]
    return Tokenizer(with_pieces(tokenizer.serialized(), pieces))


def row_origins(old: Tokenizer, new: Tokenizer) -> list[list[int]]:
    """Return for each id of an extended or another tokenizer the ids of the old one it replaces.

    For a piece that the old one has and for special tokens that is one id, for a new piece its old
    segmentation. For a new control symbol or byte, which no text contains, it is the unknown token.
    """
    file = parse(old.serialized())
    segment = _segmenter(file)
    same = {(piece.text, _role(piece)): [token] for token, piece in enumerate(file.pieces)}
    special = dict(zip(new.special_ids, old.special_ids, strict=True))

    def origin(token: int, piece: Piece) -> list[int]:
        if token in special:
            return [special[token]]
        role = _role(piece)
        if known := same.get((piece.text, role)):
            return known
        return segment(piece.text) if role is PieceKind.NORMAL else [old.unk_id]

    return [origin(token, piece) for token, piece in _numbered(new)]


def _numbered(tokenizer: Tokenizer) -> Iterator[tuple[int, Piece]]:
    """Yield ids and pieces, also that of padding which is not in the model."""
    pieces = parse(tokenizer.serialized()).pieces
    yield from enumerate(pieces)
    if tokenizer.pad_id == len(pieces):
        yield tokenizer.pad_id, Piece("", 0.0, PieceKind.CONTROL)


def _role(piece: Piece) -> PieceKind:
    """Return the kind of a piece; all kinds that stand for text are the same."""
    is_text = piece.kind in (PieceKind.USER_DEFINED, PieceKind.UNUSED)
    return PieceKind.NORMAL if is_text else piece.kind


def _segmenter(file: ModelFile) -> Callable[[str], list[int]]:
    """Return a function from normalized text to the ids of its best segmentation."""
    sampler = Sampler(file, 0.0 if file.type is ModelType.BPE else _SHARPNESS)
    return lambda text: sampler.sample([text], 0)[0]


def _limits(file: ModelFile) -> tuple[float, float]:
    """Return the lowest and the highest score of the normal pieces."""
    scores = [piece.score for piece in file.pieces if piece.kind is PieceKind.NORMAL]
    return min(scores), max(scores)


def _words(
    file: ModelFile, lines: Iterable[str], poll: Callable[[], None]
) -> Counter[tuple[str, ...]]:
    """Return the words of normalized text, divided into pieces and unknown characters."""
    units: Counter[str] = Counter()
    for number, line in enumerate(lines):
        units.update(_UNITS.findall(line))
        if number % _LINES_PER_REPORT == 0:
            poll()
    segment = _segmenter(file)
    known = {p.text for p in file.pieces if p.kind is PieceKind.NORMAL and len(p.text) == 1}
    words: Counter[tuple[str, ...]] = Counter()
    for number, (unit, count) in enumerate(units.items()):
        for word in _divided(unit, known, file, segment):
            words[tuple(word)] += count
        if number % _LINES_PER_REPORT == 0:
            poll()
    return words


def _divided(
    unit: str, known: set[str], file: ModelFile, segment: Callable[[str], list[int]]
) -> Iterator[list[str]]:
    """Yield the parts of a word between pieces that are fixed, such as user-defined symbols."""
    word: list[str] = []
    start = 0
    for end in range(1, len(unit) + 1):
        is_known = unit[end - 1] in known
        if is_known and end < len(unit) and unit[end] in known:
            continue
        if not is_known:
            word.append(unit[end - 1])
        else:
            for token in segment(unit[start:end]):
                if file.pieces[token].kind is PieceKind.NORMAL:
                    word.append(file.pieces[token].text)
                    continue
                yield word
                word = []
        start = end
    yield word


class _Table:
    """Words as lists of symbols, and how often each candidate occurs in them.

    Args:
        words: counts of words, each as pieces and unknown characters.
        file: the model whose pieces they are.
    """

    def __init__(self, words: Mapping[tuple[str, ...], int], file: ModelFile) -> None:
        self._old = {piece.text for piece in file.pieces}
        self._merges = file.type is not ModelType.CHAR
        self._known = {p.text for p in file.pieces if p.kind is PieceKind.NORMAL}
        self._words = [list(word) for word in words]
        self._sizes = list(words.values())
        self._counts: Counter[Candidate] = Counter()
        self._places: defaultdict[Candidate, set[int]] = defaultdict(set)
        for place in range(len(self._words)):
            self._add(place)
        self._heap = [(-count, candidate) for candidate, count in self._counts.items()]
        heapq.heapify(self._heap)

    def most_frequent(self) -> tuple[Candidate, int] | None:
        """Return the most frequent candidate and its count, or None if none is frequent."""
        while self._heap:
            count, candidate = heapq.heappop(self._heap)
            now = self._counts[candidate]
            if now == -count and now >= _MIN_COUNT:
                return candidate, now
        return None

    def apply(self, candidate: Candidate) -> None:
        """Make a piece of a candidate, wherever it occurs."""
        places = sorted(self._places[candidate])
        changed: set[Candidate] = set()
        for place in places:
            for other in self._candidates(place):
                self._counts[other] -= self._sizes[place]
                self._places[other].discard(place)
                changed.add(other)
        self._known.add("".join(candidate))
        for place in places:
            self._words[place] = _merged(self._words[place], candidate)
            changed |= self._add(place)
        for other in changed:
            heapq.heappush(self._heap, (-self._counts[other], other))

    def _add(self, place: int) -> set[Candidate]:
        found = list(self._candidates(place))
        for candidate in found:
            self._counts[candidate] += self._sizes[place]
            self._places[candidate].add(place)
        return set(found)

    def _candidates(self, place: int) -> Iterator[Candidate]:
        word = self._words[place]
        yield from ((symbol,) for symbol in word if symbol not in self._known)
        for left, right in pairwise(word) if self._merges else ():
            text = left + right
            if (
                {left, right} <= self._known
                and text not in self._old
                and len(text) <= _MAX_CHARACTERS
                and len({*map(_kind, text.lstrip(SPACE))}) <= 1
            ):
                yield left, right


def _merged(word: Sequence[str], candidate: Candidate) -> list[str]:
    """Return a word in which the parts of a candidate are joined, from left to right."""
    merged: list[str] = []
    place = 0
    while place < len(word):
        size = len(candidate) if tuple(word[place : place + len(candidate)]) == candidate else 1
        merged.append("".join(word[place : place + size]))
        place += size
    return merged


def _kind(character: str) -> str:
    """Return the kind of a character; like SentencePiece's, pieces do not mix them."""
    category = unicodedata.category(character)[0]
    return "L" if category == "M" else category if category in "LN" else ""
