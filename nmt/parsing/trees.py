"""Constituency trees as text: Penn Treebank brackets, linearised trees, and the repair of those.

A tree is kept as its leaves and the spans above them. That is all that parsers are compared by,
and no function here recurses, however deep a tree is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, dropwhile
from pathlib import Path
from typing import Literal, NamedTuple

from nmt.data.corpus import read_lines
from nmt.errors import DataError
from nmt.files import refuse_inputs, writing

ANY_TAG = "XX"
"""What stands for every part-of-speech tag (Vinyals et al. 2015)."""

Leaves = Literal["XX", "tags", "words"]

TRACE = "-NONE-"
"""Tag of an empty element, which stands for no word of the sentence."""
_ROOTS = {"", "TOP", "ROOT", "S1", "VROOT"}
# Only ASCII spaces separate: a no-break space is part of a word.
_BRACKETS = re.compile(
    r"\( \s* (?P<tag> [^\s()]+) \s+ (?P<word> [^\s()]+) \s* \)"
    r"| \( \s* (?P<label> [^\s()]*)"
    r"| (?P<close> \))"
    r"| (?P<stray> [^\s()]+)",
    re.ASCII | re.VERBOSE,
)
# As EVALB reads: no space comes after ( or before the ) of a leaf, and anything may be empty.
_EVALB_BRACKETS = re.compile(
    r"\( (?P<tag> [^\s()]*) \s+ (?P<word> [^\s()]*) \)"
    r"| \( (?P<label> [^\s()]*)"
    r"| (?P<close> \))"
    r"| (?P<stray> [^\s()]+)",
    re.ASCII | re.VERBOSE,
)
_FUNCTION_TAGS = re.compile(r"(?<=.)[-=].*")
_ESCAPES = {
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
    "-LCB-": "{",
    "-RCB-": "}",
    r"\/": "/",
    r"\*": "*",
}
_ESCAPED = re.compile("|".join(map(re.escape, _ESCAPES)))


class Leaf(NamedTuple):
    """A word and its part-of-speech tag."""

    tag: str
    word: str
    """As the treebank writes it: `-LRB-` for a bracket."""


class Span(NamedTuple):
    """A labelled bracket."""

    label: str
    start: int
    """Number of its first leaf, from 0."""
    end: int
    """One past its last leaf."""


class Tree(NamedTuple):
    """A sentence with its brackets.

    Spans stand in the order in which their brackets open, outer before inner. None is empty and
    no two cross.
    """

    leaves: Sequence[Leaf]
    spans: Sequence[Span]


def parse_tree(text: str) -> Tree:
    """Read one tree in brackets, such as `(S (NP (NNP John)) (VP (VBZ runs)))`.

    Raises:
        ValueError: it is not one tree; the message says why.
    """
    leaves: list[Leaf] = []
    spans: list[Span] = []
    opened: list[int] = []
    for part in _BRACKETS.finditer(text):
        if leaves and not opened:
            raise ValueError("it goes on after the bracket that closes the tree")
        if part["tag"] is not None:
            leaves.append(Leaf(part["tag"], part["word"]))
        elif part["label"] is not None:
            opened.append(len(spans))
            spans.append(Span(part["label"], len(leaves), len(leaves)))
        elif part["close"] and opened:
            place = opened.pop()
            label, start, _ = spans[place]
            if start == len(leaves):
                raise ValueError(f"the bracket ({label} ) has no word in it")
            spans[place] = Span(label, start, len(leaves))
        else:
            raise ValueError(f"{part[0]!r} belongs to no bracket: a leaf is (TAG word)")
    if opened:
        raise ValueError(f"the bracket ({spans[opened[-1]].label} is never closed")
    if not leaves:
        raise ValueError("there is no tree")
    return Tree(leaves, spans)


def parse_forest(line: str) -> tuple[Tree, str]:
    """Read any number of trees in brackets, also none, the way EVALB reads a line.

    It is more lenient than `parse_tree` where EVALB is: there may be several trees, and brackets
    around nothing, which are dropped. It is stricter about spaces: a leaf is `(TAG word)`.

    Returns:
        One tree with the leaves and brackets of all, as far as they can be read, and what is
        wrong with them, empty if nothing is.
    """
    leaves: list[Leaf] = []
    spans: list[Span] = []
    opened: list[int] = []
    problem = ""
    for part in _EVALB_BRACKETS.finditer(line):
        if part["tag"] is not None:
            leaves.append(Leaf(part["tag"], part["word"]))
        elif part["label"] is not None:
            opened.append(len(spans))
            spans.append(Span(part["label"], len(leaves), len(leaves)))
        elif part["close"] and opened:
            place = opened.pop()
            spans[place] = spans[place]._replace(end=len(leaves))
        else:
            problem = problem or f"{part[0]!r} belongs to no bracket: a leaf is (TAG word)"
    if opened:
        problem = problem or f"the bracket ({spans[opened[-1]].label} is never closed"
    return Tree(leaves, [span for span in spans if span.start < span.end]), problem


def read_trees(path: str | Path) -> Iterator[Tree]:
    """Read the trees of a file, plain or .gz, each on one line or over several.

    Raises:
        DataError: what is there is no tree; with file and line.
        FileError: the file cannot be read.
    """
    pieces: list[str] = []
    depth = first = 0
    for number, line in enumerate(read_lines(path), 1):
        for piece in re.split(r"(?<=\))", line):  # a closing bracket stands last in a piece
            if not pieces:
                first = number
            if piece.strip():
                pieces.append(piece)
            depth += piece.count("(") - piece.count(")")
            if pieces and depth <= 0:
                yield _parsed(pieces, f"{path}:{first}")
                pieces, depth = [], 0
    if pieces:
        yield _parsed(pieces, f"{path}:{first}")


def _parsed(pieces: list[str], origin: str) -> Tree:
    try:
        return parse_tree(" ".join(pieces))
    except ValueError as error:
        raise DataError(f"{origin}: not a tree in brackets: {error}") from error


def project(tree: Tree, kept: Sequence[bool]) -> Tree:
    """Take away leaves, and with them the brackets that have no others.

    Args:
        tree: any.
        kept: for each leaf, whether it stays.
    """
    places = [0, *accumulate(kept)]
    spans = [Span(label, places[start], places[end]) for label, start, end in tree.spans]
    leaves = [leaf for leaf, stays in zip(tree.leaves, kept, strict=True) if stays]
    return Tree(leaves, [span for span in spans if span.start < span.end])


def normalised(tree: Tree) -> Tree:
    """Reduce a treebank's tree to what parsers are trained on and compared by.

    Traces go, with the brackets around nothing else; function tags and indices are cut off
    (NP-SBJ-1 and NP=2 are NP); so is the root above the sentence, under any of its names. Two
    brackets around the same words stay two.
    """
    tree = project(tree, [leaf.tag != TRACE for leaf in tree.leaves])
    spans = [span._replace(label=_FUNCTION_TAGS.sub("", span.label)) for span in tree.spans]
    return Tree(tree.leaves, list(dropwhile(lambda span: span.label in _ROOTS, spans)))


def sentence(tree: Tree) -> str:
    """Write the words, with a space between each two and escaped brackets as they are.

    A space inside a word becomes an underscore, so that there are as many words as leaves.
    """
    words = (_ESCAPED.sub(lambda found: _ESCAPES[found[0]], leaf.word) for leaf in tree.leaves)
    return " ".join(map(_unbroken, words))


def escaped(word: str) -> str:
    """Write a word of a sentence so that it is no bracket of a tree."""
    return word.replace("(", "-LRB-").replace(")", "-RRB-")


def _unbroken(word: str) -> str:
    return re.sub(r"\s", "_", word)


def linearise(tree: Tree, leaves: Leaves = "XX") -> str:
    """Write a tree as a sequence such as `(S (NP XX )NP (VP XX )VP )S`.

    This is the target of Vinyals et al. (2015), "Grammar as a Foreign Language", figure 2.

    Args:
        tree: normalised.
        leaves: what stands for a word: XX always, its part-of-speech tag, or the word as the
            treebank writes it.
    """
    write: dict[Leaves, Callable[[Leaf], str]] = {
        "XX": lambda leaf: ANY_TAG,
        "tags": lambda leaf: leaf.tag,
        "words": lambda leaf: _unbroken(leaf.word),
    }
    return _written(tree, list(map(write[leaves], tree.leaves)), lambda span: f" ){span.label}")


def bracketed(tree: Tree) -> str:
    """Write a tree in brackets on one line, under the root TOP, which EVALB knows."""
    leaves = [f"({tag} {word})" for tag, word in tree.leaves]
    return f"(TOP {_written(tree, leaves, lambda span: ')')})"


def _written(tree: Tree, leaves: list[str], close: Callable[[Span], str]) -> str:
    spans = list(reversed(tree.spans))
    opened: list[Span] = []
    parts = []
    for place, leaf in enumerate(leaves):
        opening = ""
        while spans and spans[-1].start == place:
            opened.append(spans.pop())
            opening += f"({opened[-1].label} "
        closing = ""
        while opened and opened[-1].end == place + 1:
            closing += close(opened.pop())
        parts.append(opening + leaf + closing)
    return " ".join(parts)


def parse_linearised(line: str) -> tuple[Tree, bool]:
    """Read a linearised tree, mending its brackets where they do not match.

    The label is that of the opening bracket. Where there are as many closing brackets as opening
    ones and they nest, each closes the innermost, whatever its label. Elsewhere labels tell what
    is missing: a closing bracket closes those inside the one that it names too, and is dropped if
    that is not open; one without a label closes the innermost. What is never closed ends with the
    line, and brackets around nothing are dropped. (Vinyals et al. 2015 only balance the brackets,
    with further ones at the end, or for surplus ones at the beginning.)

    Args:
        line: any text.

    Returns:
        The tree, whose leaves have what is written as their tags and no words, and whether
        nothing had to be mended.
    """
    tokens = line.split()
    nested = _nested(tokens)
    leaves: list[Leaf] = []
    spans: list[Span] = []
    opened: list[int] = []
    sound = True

    def close_last() -> str:
        place = opened.pop()
        spans[place] = spans[place]._replace(end=len(leaves))
        return spans[place].label

    for token in tokens:
        label = token[1:]
        if token[0] == "(":
            opened.append(len(spans))
            spans.append(Span(label, len(leaves), len(leaves)))
        elif token[0] != ")":
            leaves.append(Leaf(token, ""))
        elif opened and (nested or not label):
            sound = close_last() == label and sound
        elif label in (spans[place].label for place in opened):
            while close_last() != label:
                sound = False
        else:
            sound = False
    while opened:
        close_last()
        sound = False
    filled = [span for span in spans if span.start < span.end]
    return Tree(leaves, filled), sound and len(filled) == len(spans)


def _nested(tokens: Iterable[str]) -> bool:
    """Say whether brackets match but for their labels."""
    steps = ((token[0] == "(") - (token[0] == ")") for token in tokens)
    depths = list(accumulate(steps, initial=0))
    return min(depths) == depths[-1] == 0


def fit(tree: Tree, leaves: Sequence[Leaf]) -> Tree:
    """Put a sentence's leaves under the brackets of a linearised tree.

    Where their numbers differ, leaves are dropped from the end of the tree, or missing ones
    added in the outermost bracket that ends there.
    """
    had, has = len(tree.leaves), len(leaves)
    spans = list(tree.spans)
    last = next((place for place, span in enumerate(spans) if span.end == had), None)
    if last is not None and had < has:
        spans[last] = spans[last]._replace(end=has)
    cut = [Span(label, start, min(end, has)) for label, start, end in spans]
    return Tree(leaves, [span for span in cut if span.start < span.end])


def write_pairs(files: Sequence[str | Path], prefix: str | Path, leaves: Leaves = "XX") -> int:
    """Write a treebank as a corpus: PREFIX.src, PREFIX.tgt and PREFIX.trees, line by line.

    The first has the sentences, the second the linearised trees, and the third the trees that
    `nmt evaluate --metrics bracket-f1` compares with. Sentences of traces alone are left out.
    Files that were there before are replaced when the last tree has been written.

    Args:
        files: the treebank's, as `read_trees` reads them.
        prefix: of the names of what is written.
        leaves: as in `linearise`.

    Returns:
        The number of lines of each file.

    Raises:
        ConfigError: one of the files would be replaced.
        DataError: what is there is no tree, or there is none at all.
        FileError: a file cannot be read or written.
    """
    targets = [Path(f"{prefix}.{end}") for end in ("src", "tgt", "trees")]
    refuse_inputs(targets, map(Path, files))
    trees = map(normalised, chain.from_iterable(map(read_trees, files)))
    number = 0
    with contextlib.ExitStack() as stack:
        src, tgt, gold = (stack.enter_context(writing(target)) for target in targets)
        for tree in trees:
            if tree.leaves:
                src.write(f"{sentence(tree)}\n".encode())
                tgt.write(f"{linearise(tree, leaves)}\n".encode())
                gold.write(f"{bracketed(tree)}\n".encode())
                number += 1
        if not number:
            raise DataError(f"there is no tree in {', '.join(map(str, files))}")
    return number
