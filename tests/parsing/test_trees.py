"""Trees in brackets and linearised trees: reading, writing, and repair of malformed ones."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.config.load import load_config
from nmt.data.corpus import read_pairs
from nmt.data.lines import read_lines
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import ConfigError, DataError, FileError
from nmt.parsing.trees import (
    Leaf,
    Leaves,
    Span,
    Tree,
    bracketed,
    fit,
    linearise,
    normalised,
    parse_forest,
    parse_linearised,
    parse_tree,
    read_trees,
    sentence,
    write_pairs,
)

ROOT = Path(__file__).parents[2]
GUM = ROOT.parent / "shared" / "data" / "treebank-gum"

JOHN = "(S (NP (NNP John)) (VP (VBZ has) (NP (DT a) (NN dog))) (. .))"


# ---------------------------------------------------------------- brackets


def test_a_tree_is_parsed_to_leaves_and_spans() -> None:
    assert parse_tree(JOHN) == Tree(
        [
            Leaf("NNP", "John"),
            Leaf("VBZ", "has"),
            Leaf("DT", "a"),
            Leaf("NN", "dog"),
            Leaf(".", "."),
        ],
        [Span("S", 0, 5), Span("NP", 0, 1), Span("VP", 1, 4), Span("NP", 2, 4)],
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no tree"),
        ("(S (NP (NNP John))", r"\(S is never closed"),
        ("(S (NN a)) (S (NN b))", "text outside the tree"),
        ("(S (NN a)))", r"'\)' belongs to no bracket"),
        ("(S (NN a) (NP ))", r"\(NP \) contains no word"),
        ("(())", "contains no word"),
        ("(S (NN two words))", "'two' belongs to no bracket"),
        ("word", "'word' belongs to no bracket"),
        (")", "belongs to no bracket"),
    ],
)
def test_text_that_is_not_one_tree(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_tree(text)


@pytest.mark.parametrize(
    ("line", "words", "labels", "problem"),
    [
        ("(S(NN a)\t(NP (NN  b)))", "a b", ["S", "NP"], ""),
        ("(NP (NN a)) (VP (VB b)) (. .)", "a b .", ["NP", "VP"], ""),
        ("( (S (NN a)) (X))", "a", ["", "S"], ""),
        ("", "", [], ""),
        ("(()())", "", [], ""),
        ("(S (NN a)", "a", [], "(S is never closed"),
        ("(S (NN a)))", "a", ["S"], "')' belongs to no bracket"),
        ("(S (NN a )) b", "", [], "'a' belongs to no bracket"),
    ],
)
def test_forests(line: str, words: str, labels: list[str], problem: str) -> None:
    tree, message = parse_forest(line)
    assert " ".join(leaf.word for leaf in tree.leaves) == words
    assert [span.label for span in tree.spans] == labels
    assert problem in message
    assert bool(problem) == bool(message)


def test_a_tree_may_be_deep() -> None:
    depth = 20_000
    tree = parse_tree("(NP " * depth + "(NN a)" + ")" * depth)
    assert len(tree.spans) == depth
    assert parse_tree(bracketed(tree)).spans[1:] == tree.spans
    assert parse_linearised(linearise(tree)) == (Tree([Leaf("XX", "")], tree.spans), True)


@pytest.mark.parametrize("compressed", [False, True])
def test_trees_on_one_line_or_several(tmp_path: Path, compressed: bool) -> None:
    text = f"( {JOHN} )\n\n( (S\n    (NP (NN a))\r\n\t(VP (VB b)) ))  {JOHN} {JOHN}\n"
    path = tmp_path / ("trees.gz" if compressed else "trees")
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    assert [sentence(tree) for tree in read_trees(path)] == [
        "John has a dog .",
        "a b",
        "John has a dog .",
        "John has a dog .",
    ]


@pytest.mark.parametrize("broken", ["(S (NN a b))", "(S\n(NN a)", "word", ") (S (NN a))"])
def test_an_error_names_file_and_line(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "trees"
    path.write_text(f"{JOHN}\n\n{broken}\n", "utf-8")
    with pytest.raises(DataError, match=rf"{path}:3: not a tree"):
        list(read_trees(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="missing"):
        list(read_trees(tmp_path / "missing"))


# ---------------------------------------------------------------- normalisation


@pytest.mark.parametrize("root", ["", "TOP", "ROOT", "S1", "VROOT"])
def test_the_root_is_removed(root: str) -> None:
    assert normalised(parse_tree(f"({root} {JOHN})")) == parse_tree(JOHN)
    assert normalised(parse_tree(JOHN)) == parse_tree(JOHN)


def test_function_tags_and_indices_are_removed() -> None:
    tree = parse_tree("(S-IMP-1 (NP-SBJ=2 (NNP A)) (ADVP|PRT-TMP (RB b)) (-LRB- -LRB-))")
    assert [span.label for span in normalised(tree).spans] == ["S", "NP", "ADVP|PRT"]
    assert normalised(tree).leaves[2] == Leaf("-LRB-", "-LRB-")


def test_traces_are_removed_with_the_brackets_around_them() -> None:
    # SBAR contains a zero complementiser and an S with a trace: both are removed.
    text = "(S (NP-SBJ-1 (NNS Sales)) (VP (VBD fell) (SBAR (-NONE- 0) (S (-NONE- *T*-1)))))"
    assert normalised(parse_tree(text)) == parse_tree("(S (NP (NNS Sales)) (VP (VBD fell)))")


def test_unary_chains_are_kept_even_with_equal_labels() -> None:
    # Without the trace the two S span the same words.
    text = "(S (NP (-NONE- *)) (S (VP (VB go))))"
    assert linearise(normalised(parse_tree(text))) == "(S (S (VP XX )VP )S )S"


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("-LRB-", "("),
        ("friend-LRB-s-RRB-", "friend(s)"),
        ("-LCB--RSB-", "{]"),
        (r"1\/2", "1/2"),
        (r"\*\*", "**"),
        ("``", "``"),
        ("10\N{NO-BREAK SPACE}000", "10_000"),
        ("a\u2028b", "a_b"),
    ],
)
def test_the_sentence_has_unescaped_words(word: str, written: str) -> None:
    tree = parse_tree(f"(NP (DT the) (NN {word}))")
    assert sentence(tree) == f"the {written}"
    assert len(sentence(tree).split()) == 2


# ---------------------------------------------------------------- linearised trees


def test_linearised_trees() -> None:
    tree = parse_tree(JOHN)
    assert linearise(tree) == "(S (NP XX )NP (VP XX (NP XX XX )NP )VP XX )S"
    assert linearise(tree, "tags") == "(S (NP NNP )NP (VP VBZ (NP DT NN )NP )VP . )S"
    assert linearise(tree, "words") == "(S (NP John )NP (VP has (NP a dog )NP )VP . )S"
    broken = parse_tree("(NP (-LRB- -LRB-) (CD 1\N{NO-BREAK SPACE}2))")
    assert linearise(broken, "words") == "(NP -LRB- 1_2 )NP"


LABELS = st.sampled_from(["S", "NP", "VP", "PP", "ADVP|PRT"])
LEAVES = st.tuples(
    st.sampled_from(["NN", "PRP$", "-LRB-", ".", ",", "``", "XX"]),
    st.sampled_from(["dog", "-LRB-", r"1\/2", "Łódź", "."]),
).map(lambda leaf: f"({leaf[0]} {leaf[1]})")
TREES = st.recursive(
    LEAVES,
    lambda inner: st.tuples(LABELS, st.lists(inner, min_size=1, max_size=4)).map(
        lambda node: f"({node[0]} {' '.join(node[1])})"
    ),
    max_leaves=20,
).map(parse_tree)


@given(TREES)
def test_bracketed_trees_round_trip(tree: Tree) -> None:
    assert normalised(parse_tree(bracketed(tree))) == tree


@given(TREES, st.sampled_from(get_args(Leaves)))
def test_linearised_trees_round_trip(tree: Tree, leaves: Leaves) -> None:
    parsed, sound = parse_linearised(linearise(tree, leaves))
    assert sound
    assert fit(parsed, tree.leaves) == tree
    written = {
        "XX": ["XX"] * len(tree.leaves),
        "tags": [leaf.tag for leaf in tree.leaves],
        "words": [leaf.word for leaf in tree.leaves],
    }
    assert [leaf.tag for leaf in parsed.leaves] == written[leaves]


TOKENS = st.sampled_from(["(S", ")S", "(NP", ")NP", "(", ")", "XX", "XX", "NN", "⁇"])


@given(st.lists(TOKENS, max_size=30), st.integers(min_value=1, max_value=12))
def test_any_model_output_becomes_a_tree_over_the_sentence(tokens: list[str], length: int) -> None:
    leaves = [Leaf("NN", str(place)) for place in range(length)]
    linear, sound = parse_linearised(" ".join(tokens))
    tree = fit(linear, leaves)
    assert tree.leaves == leaves
    # The output can be read back only if spans are nested, in order, and not empty.
    assert normalised(parse_tree(bracketed(tree))) == normalised(tree)
    assert parse_linearised(linearise(linear, "tags")) == (linear, True)
    assert sound == (linearise(linear, "tags").split() == tokens)


@pytest.mark.parametrize(
    ("line", "repaired"),
    [
        ("(S (NP XX )NP (VP XX", "(S (NP XX )NP (VP XX )VP )S"),  # cut short
        ("(S (NP XX (VP XX )VP )S", "(S (NP XX (VP XX )VP )NP )S"),  # )NP is missing
        ("(S XX )NP XX )S )S", "(S XX XX )S"),  # )NP and an )S that nothing opened
        ("XX )S XX", "XX XX"),
        ("(S (NP )NP XX )S", "(S XX )S"),  # a bracket around nothing
        ("(S (NP XX )VP (VP XX )NP )S", "(S (NP XX )NP (VP XX )VP )S"),  # wrong labels
        ("(S (NP XX ) (VP XX ) )", "(S (NP XX )NP (VP XX )VP )S"),  # no labels
        ("(S (NP XX ) (VP XX (NP XX )", "(S (NP XX )NP (VP XX (NP XX )NP )VP )S"),  # cut short too
        (") XX", "XX"),
        ("", ""),
    ],
)
def test_repaired_brackets(line: str, repaired: str) -> None:
    tree, sound = parse_linearised(line)
    assert linearise(tree) == repaired
    assert sound == (line == repaired)


@given(TREES, st.data())
def test_closing_brackets_need_no_labels(tree: Tree, data: st.DataObject) -> None:
    linear = linearise(tree)
    wrong = [
        data.draw(st.sampled_from([token, ")", ")S", ")UCP"])) if token[0] == ")" else token
        for token in linear.split()
    ]
    parsed, sound = parse_linearised(" ".join(wrong))
    assert fit(parsed, tree.leaves) == tree
    assert sound == (" ".join(wrong) == linear)


@pytest.mark.parametrize(
    ("line", "length", "fitted"),
    [
        ("(S (NP XX )NP (VP XX )VP )S", 2, "(S (NP XX )NP (VP XX )VP )S"),
        ("(S (NP XX )NP (VP XX )VP )S", 4, "(S (NP XX )NP (VP XX )VP XX XX )S"),
        ("(S (NP XX )NP (VP XX )VP )S", 1, "(S (NP XX )NP )S"),
        ("(S XX )S (S (NP XX )NP )S", 3, "(S XX )S (S (NP XX )NP XX )S"),
        ("(S XX )S XX", 3, "(S XX )S XX XX"),
        ("", 2, "XX XX"),
    ],
)
def test_leaves_are_added_or_dropped_at_the_end(line: str, length: int, fitted: str) -> None:
    tree, _ = parse_linearised(line)
    assert linearise(fit(tree, [Leaf("NN", "a")] * length)) == fitted


# ---------------------------------------------------------------- corpus and tokenizer


def treebank(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run nmt treebank."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nmt", "treebank", *arguments]
    return subprocess.run(
        [*map(str, command)], env=env, input=stdin, capture_output=True, text=True
    )


def test_the_command_writes_parallel_files(tmp_path: Path) -> None:
    (tmp_path / "one.mrg").write_text(f"( {JOHN} )\n( (S (-NONE- *) ))\n", "utf-8")
    (tmp_path / "two.mrg.gz").write_bytes(
        gzip.compress(b"(TOP\n (NP-HLN (NN News)\n (-LRB- -LRB-)))")
    )
    files = [tmp_path / "one.mrg", tmp_path / "two.mrg.gz"]
    done = treebank("--leaves", "tags", tmp_path / "out", *files)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{tmp_path}/out: 2 trees\n")
    assert {end: list(read_lines(tmp_path / f"out.{end}")) for end in ("src", "tgt", "trees")} == {
        "src": ["John has a dog .", "News ("],
        "tgt": ["(S (NP NNP )NP (VP VBZ (NP DT NN )NP )VP . )S", "(NP NN -LRB- )NP"],
        "trees": [f"(TOP {JOHN})", "(TOP (NP (NN News) (-LRB- -LRB-)))"],
    }
    assert treebank(tmp_path / "out", *files).returncode == 0
    assert list(read_lines(tmp_path / "out.tgt"))[1] == "(NP XX XX )NP"


def test_the_command_reports_errors(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("(S (NN a b))\n", "utf-8")
    assert treebank(tmp_path / "out", tmp_path / "missing").returncode == FileError.exit_code
    assert treebank(tmp_path / "no" / "out", tmp_path / "bad").returncode == FileError.exit_code
    done = treebank(tmp_path / "out", tmp_path / "bad")
    assert done.returncode == DataError.exit_code
    assert done.stderr.startswith(f"nmt: {tmp_path}/bad:1: not a tree")


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_the_command_reads_standard_input(tmp_path: Path, name: str) -> None:
    done = treebank(tmp_path / "out", name, stdin=f"{JOHN}\n")
    assert (done.returncode, done.stderr) == (0, f"{tmp_path}/out: 1 trees\n")
    assert list(read_lines(tmp_path / "out.src")) == ["John has a dog ."]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (f"{JOHN}\n(S (NN a b))\n", DataError, "bad:2: not a tree"),
        ("", DataError, "no tree found in .*good, .*bad"),
        ("(S (-NONE- *))", DataError, "no tree found in .*good, .*bad"),
    ],
)
def test_an_error_leaves_the_corpus_unchanged(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "good").write_text(JOHN, "utf-8")
    assert write_pairs([tmp_path / "good"], tmp_path / "out") == 1
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 4
    (tmp_path / "good").write_text("", "utf-8")
    (tmp_path / "bad").write_text(text, "utf-8")
    with pytest.raises(error, match=message):
        write_pairs([tmp_path / "good", tmp_path / "bad"], tmp_path / "out")
    after = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert after == before | {tmp_path / "good": b"", tmp_path / "bad": text.encode()}


def test_input_files_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ok.trees").write_text(JOHN, "utf-8")
    Path("linked").symlink_to("ok.trees")
    Path("hard").hardlink_to("ok.trees")
    for name in ("ok.trees", tmp_path / "ok.trees", "linked", "hard"):
        with pytest.raises(ConfigError, match=r"ok\.trees: the same file as .*, which is an input"):
            write_pairs([name], "ok")
    assert {path.name for path in tmp_path.iterdir()} == {"ok.trees", "linked", "hard"}
    assert Path("ok.trees").read_text("utf-8") == JOHN


@pytest.mark.parametrize(
    ("recipe", "leaves"), [("parsing-gum.yaml", "words"), ("paper/parsing.yaml", "XX")]
)
def test_linearised_trees_round_trip_through_the_tokenizer(
    tmp_path: Path, recipe: str, leaves: Leaves
) -> None:
    # The labels of the Penn Treebank, and one (AUX) that is not in the recipes.
    symbols = load_config(ROOT / "configs" / recipe).tokenizer.user_defined_symbols
    labels = sorted({symbol[2:] for symbol in symbols if symbol[1] in "()"} | {"AUX"})
    trees = [f"(S ({label} (NN dog)) (VP (VBZ has) ({label} (NN a)) (. .)))" for label in labels]
    (tmp_path / "trees").write_text("\n".join(trees), "utf-8")
    assert treebank("--leaves", leaves, tmp_path / "corpus", tmp_path / "trees").returncode == 0
    files = f"{{src: {tmp_path}/corpus.src, tgt: {tmp_path}/corpus.tgt}}"
    config = load_config(
        ROOT / "configs" / recipe,
        [f"data.train={files}", f"data.cache_dir={tmp_path}/cache", "tokenizer.sampling_alpha=0.5"],
    )
    lines = [pair.tgt for pair in read_pairs(config.data.train[0], config.data)]
    tokenizer = train_tokenizers(config).tgt
    for ids in (tokenizer.encode(lines), tokenizer.sample(lines, alpha=0.5, nbest=-1, seed=1)):
        assert tokenizer.decode(ids) == lines
        for line, row in zip(lines, ids, strict=True):
            # Brackets in the recipe are single pieces, and no other text becomes one of these.
            known = [f"\u2581{part}" for part in line.split() if f"\u2581{part}" in symbols]
            assert [piece for piece in tokenizer.pieces(row) if piece in symbols] == known
            assert len(known) >= 4


@pytest.mark.skipif(not GUM.is_dir(), reason=f"no data in {GUM}")
def test_a_treebank_round_trips() -> None:
    trees = [normalised(tree) for tree in read_trees(GUM / "dev.ptb.gz")]
    assert len(trees) == 1575
    known = load_config(ROOT / "configs" / "parsing-gum.yaml").tokenizer.user_defined_symbols
    for tree in trees:
        parsed, sound = parse_linearised(linearise(tree))
        assert sound
        assert fit(parsed, tree.leaves) == tree
        assert normalised(parse_tree(bracketed(tree))) == tree
        assert len(sentence(tree).split(" ")) == len(tree.leaves)
        brackets = {part for part in linearise(tree).split() if part != "XX"}
        assert {f"\u2581{bracket}" for bracket in brackets} <= set(known)
