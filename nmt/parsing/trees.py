"""Constituency trees as text: Penn Treebank brackets, linearised trees, and their repair.

A tree is stored as its leaves and the spans above them, which is all that scoring needs. No
function here recurses, so trees may be arbitrarily deep.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, dropwhile
from pathlib import Path
from typing import Literal, NamedTuple

from nmt.data.lines import read_lines
from nmt.errors import DataError
from nmt.files import refuse_inputs, writing

ANY_TAG = "XX"
"""Replaces every part-of-speech tag (Vinyals et al. 2015)."""

Leaves = Literal["XX", "tags", "words"]

TRACE = "-NONE-"
"""Tag of an empty element, which is not a word of the sentence."""
_ROOTS = {"", "TOP", "ROOT", "S1", "VROOT"}
# Only ASCII white space separates; a no-break space is part of a word.
_BRACKETS = re.compile(
    r"\( \s* (?P<tag> [^\s()]+) \s+ (?P<word> [^\s()]+) \s* \)"
    r"| \( \s* (?P<label> [^\s()]*)"
    r"| (?P<close> \))"
    r"| (?P<stray> [^\s()]+)",
    re.ASCII | re.VERBOSE,
)
# As in EVALB: no space after ( or before the ) of a leaf, and any part may be empty.
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
    """Spelt as in the treebank: `-LRB-` for a bracket."""


class Span(NamedTuple):
    """A labelled bracket."""

    label: str
    start: int
    """Index of its first leaf, from 0."""
    end: int
    """One past its last leaf."""


class Tree(NamedTuple):
    """A sentence with its brackets.

    Spans are in the order in which their brackets open, outer before inner. None is empty, and no
    two cross.
    """

    leaves: Sequence[Leaf]
    spans: Sequence[Span]


def parse_tree(text: str) -> Tree:
    """Read one tree in brackets, such as `(S (NP (NNP John)) (VP (VBZ runs)))`.

    Raises:
        ValueError: if the text is not exactly one tree; the message explains why.
    """
    leaves, spans, problem = _parse(_BRACKETS, text)
    if problem:
        raise ValueError(problem)
    for label, start, end in spans:
        if start == end:
            raise ValueError(f"the bracket ({label} ) contains no word")
    if not leaves:
        raise ValueError("there is no tree")
    _, start, end = spans[0] if spans else Span("", 0, 1)
    if end - start < len(leaves):
        raise ValueError("there is text outside the tree")
    return Tree(leaves, spans)


def parse_forest(line: str) -> tuple[Tree, str]:
    """Read zero or more trees in brackets, as EVALB reads a line.

    This is more lenient than `parse_tree` where EVALB is: there may be several trees, and brackets
    around nothing are dropped. It is stricter about spaces: a leaf is `(TAG word)`.

    Returns:
        One tree with the leaves and brackets of all trees, as far as they can be read, and a
        description of the first problem, empty if there is none.
    """
    leaves, spans, problem = _parse(_EVALB_BRACKETS, line)
    return Tree(leaves, [span for span in spans if span.start < span.end]), problem


def _parse(brackets: re.Pattern[str], text: str) -> tuple[list[Leaf], list[Span], str]:
    """Return the leaves, all spans including empty ones, and the first problem, if any."""
    leaves: list[Leaf] = []
    spans: list[Span] = []
    opened: list[int] = []
    problem = ""
    for part in brackets.finditer(text):
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
    return leaves, spans, problem


def read_trees(path: str | Path) -> Iterator[Tree]:
    """Read the trees of a file, plain or .gz, each on one line or over several.

    Raises:
        DataError: if the text is not a tree; names file and line.
        FileError: if the file cannot be read.
    """
    pieces: list[str] = []
    depth = first = 0
    for number, line in enumerate(read_lines(path), 1):
        for piece in re.split(r"(?<=\))", line):  # a closing bracket ends a piece
            if not pieces:
                first = number
            if piece.strip():
                pieces.append(piece)
            depth += piece.count("(") - piece.count(")")
            if pieces and depth <= 0:
                yield _parse_pieces(pieces, f"{path}:{first}")
                pieces, depth = [], 0
    if pieces:
        yield _parse_pieces(pieces, f"{path}:{first}")


def _parse_pieces(pieces: list[str], origin: str) -> Tree:
    try:
        return parse_tree(" ".join(pieces))
    except ValueError as error:
        raise DataError(f"{origin}: not a tree in brackets: {error}") from error


def project(tree: Tree, kept: Sequence[bool]) -> Tree:
    """Return a tree without some leaves and without brackets that contain no others.

    Args:
        tree: any tree.
        kept: whether each leaf is kept.
    """
    places = [0, *accumulate(kept)]
    spans = [Span(label, places[start], places[end]) for label, start, end in tree.spans]
    leaves = [leaf for leaf, keep in zip(tree.leaves, kept, strict=True) if keep]
    return Tree(leaves, [span for span in spans if span.start < span.end])


def normalised(tree: Tree) -> Tree:
    """Reduce a treebank's tree to the form used in training and scoring parsers.

    This removes traces, with brackets around nothing else; function tags and indices (NP-SBJ-1 and
    NP=2 become NP); and the root above the sentence, whatever its name. Unary chains are kept.
    """
    tree = project(tree, [leaf.tag != TRACE for leaf in tree.leaves])
    spans = [span._replace(label=_FUNCTION_TAGS.sub("", span.label)) for span in tree.spans]
    return Tree(tree.leaves, list(dropwhile(lambda span: span.label in _ROOTS, spans)))


def sentence(tree: Tree) -> str:
    """Return the words, joined by spaces and unescaped.

    White space inside a word becomes an underscore, so that each leaf remains one word.
    """
    words = (_ESCAPED.sub(lambda match: _ESCAPES[match[0]], leaf.word) for leaf in tree.leaves)
    return " ".join(map(_unbroken, words))


def escaped(word: str) -> str:
    """Return a word with its brackets escaped as in a treebank."""
    return word.replace("(", "-LRB-").replace(")", "-RRB-")


def _unbroken(word: str) -> str:
    return re.sub(r"\s", "_", word)


def linearise(tree: Tree, leaves: Leaves = "XX") -> str:
    """Return a tree as a sequence such as `(S (NP XX )NP (VP XX )VP )S`.

    This is the target of Vinyals et al. (2015), "Grammar as a Foreign Language", figure 2.

    Args:
        tree: normalised tree.
        leaves: how leaves are written: always as XX, as part-of-speech tags, or as words in the
            spelling of the treebank.
    """
    write: dict[Leaves, Callable[[Leaf], str]] = {
        "XX": lambda leaf: ANY_TAG,
        "tags": lambda leaf: leaf.tag,
        "words": lambda leaf: _unbroken(leaf.word),
    }
    return _render(tree, list(map(write[leaves], tree.leaves)), lambda span: f" ){span.label}")


def bracketed(tree: Tree) -> str:
    """Return a tree in brackets on one line, under the root TOP, which EVALB ignores."""
    leaves = [f"({tag} {word})" for tag, word in tree.leaves]
    return f"(TOP {_render(tree, leaves, lambda span: ')')})"


def _render(tree: Tree, leaves: list[str], close: Callable[[Span], str]) -> str:
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
    """Read a linearised tree, repairing brackets that do not match.

    A span gets the label of its opening bracket. If the brackets balance, each closing bracket
    closes the innermost open one, whatever its label. Otherwise labels tell which are missing: a
    closing bracket also closes all brackets inside the one it names, and is dropped if none of that
    name is open; one without a label closes the innermost. Brackets still open end with the line,
    and brackets around nothing are dropped. (Vinyals et al. 2015 only balance the brackets, by
    adding closing ones at the end or opening ones at the beginning.)

    Args:
        line: any text.

    Returns:
        The tree, in which the tags of leaves are the tokens as written and words are empty, and
        whether it needed no repair.
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
    """Return whether brackets match, ignoring their labels."""
    steps = ((token[0] == "(") - (token[0] == ")") for token in tokens)
    depths = list(accumulate(steps, initial=0))
    return min(depths) == depths[-1] == 0


def fit(tree: Tree, leaves: Sequence[Leaf]) -> Tree:
    """Replace the leaves of a linearised tree by those of a sentence.

    If their numbers differ, leaves are dropped at the end of the tree, or missing ones are added to
    the outermost bracket that ends there.
    """
    old_length, length = len(tree.leaves), len(leaves)
    spans = list(tree.spans)
    last = next((place for place, span in enumerate(spans) if span.end == old_length), None)
    if last is not None and old_length < length:
        spans[last] = spans[last]._replace(end=length)
    cut = [Span(label, start, min(end, length)) for label, start, end in spans]
    return Tree(leaves, [span for span in cut if span.start < span.end])


def write_pairs(files: Sequence[str | Path], prefix: str | Path, leaves: Leaves = "XX") -> int:
    """Write a treebank as a parallel corpus: PREFIX.src, PREFIX.tgt and PREFIX.trees.

    The first has the sentences, the second the linearised trees, and the third the reference trees
    for the metric bracket-f1. Sentences that consist of traces are left out. Existing files are
    replaced once the last tree has been written.

    Args:
        files: files of the treebank, as for `read_trees`.
        prefix: path prefix of the output files.
        leaves: as in `linearise`.

    Returns:
        The number of lines of each file.

    Raises:
        ConfigError: if an input file would be replaced.
        DataError: if a file contains text that is not a tree, or no file contains a tree.
        FileError: if a file cannot be read or written.
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
            raise DataError(f"no tree found in {', '.join(map(str, files))}")
    return number
