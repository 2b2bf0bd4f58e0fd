"""Bracket counts equal those of EVALB, on trees with counts worked out by hand.

If the environment variable EVALB_DIR names a directory with a compiled EVALB, the same trees and
EVALB's own sample are also compared with its output.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command import run_nmt
from nmt import __version__
from nmt.errors import DataError
from nmt.evaluation.metrics import EvaluateOptions, Score, evaluate
from nmt.parsing.brackets import Comparison, Status, bootstrap, compare, read_references
from nmt.parsing.evalb_parameters import COLLINS, EvalbParameters, read_parameters
from nmt.parsing.trees import Leaves, Tree, bracketed, linearise, normalised, parse_tree

# Without the full stop, which does not count, HIGH has six brackets: S 0-7, NP 0-2, VP 2-7, NP 3-5,
# PP 5-7 and NP 6-7. LOW has one more, the NP 3-7 "a man with eyes".
HIGH = (
    "(S (NP (DT The) (NN dog)) "
    "(VP (VBD saw) (NP (DT a) (NN man)) (PP (IN with) (NP (NNS eyes)))) (. .))"
)
LOW = (
    "(S (NP (DT The) (NN dog)) "
    "(VP (VBD saw) (NP (NP (DT a) (NN man)) (PP (IN with) (NP (NNS eyes))))) (. .))"
)


QUOTES = replace(COLLINS, quotes=frozenset(["``", "''", "POS"]))


def counts(
    hypothesis: str, gold: str, parameters: EvalbParameters = COLLINS
) -> tuple[int, int, int]:
    """Return the matched, gold and parsed brackets of a valid sentence."""
    [tree] = read_references([gold])
    comparison = compare(hypothesis, tree, parameters)
    assert comparison.status is Status.VALID
    return comparison.matched, comparison.gold, comparison.parsed


def score(hypotheses: list[str], golds: list[str], **options: bool) -> Score:
    [result] = evaluate(hypotheses, [golds], EvaluateOptions(["bracket-f1"], **options))
    return result


def numbers(hypotheses: list[str], golds: list[str]) -> dict[str, float]:
    scores = score(hypotheses, golds).numbers
    assert scores is not None
    return scores


# ---------------------------------------------------------------- brackets


def test_a_wrong_attachment() -> None:
    assert counts(HIGH, LOW) == (6, 7, 6)
    assert counts(LOW, HIGH) == (6, 6, 7)
    scores = numbers([HIGH], [LOW])
    assert scores["precision"] == pytest.approx(100 * 6 / 6)
    assert scores["recall"] == pytest.approx(100 * 6 / 7)
    # F1 = 2PR / (P + R) = 2 * 6/7 / (13/7) = 12/13.
    assert scores["f1"] == score([HIGH], [LOW]).score == pytest.approx(100 * 12 / 13)
    assert scores["complete_match"] == 0


def test_labels_must_match() -> None:
    # S and VP match; the NP around "a" is an ADJP.
    gold, parsed = "(S (VP (VB x)) (NP (NN a)))", "(S (VP (VB x)) (ADJP (NN a)))"
    assert counts(parsed, gold) == (2, 3, 3)


def test_brackets_around_the_same_words_are_matched_one_by_one() -> None:
    # Gold has NP 0-1 twice, the parse three times: two match.
    assert counts("(NP (NP (NP (NN a))))", "(NP (NP (NN a)))") == (2, 2, 3)
    # The order in a unary chain does not matter.
    assert counts("(VP (S (NN a)))", "(S (VP (NN a)))") == (2, 2, 2)


def test_sentences_are_summed_before_dividing() -> None:
    # 6 + 2 matched of 7 + 2 gold and 6 + 3 parsed: P = R = F1 = 8/9, and no tree matches fully.
    # A third sentence, in which all 3 brackets match, makes it 11/12 and 1 of 3.
    hypotheses = [HIGH, "(NP (NP (NP (NN a))))", "(S (NP (NN a)) (VP (VB b)))"]
    golds = [LOW, "(NP (NP (NN a)))", hypotheses[2]]
    assert numbers(hypotheses[:2], golds[:2])["f1"] == pytest.approx(100 * 8 / 9)
    scores = numbers(hypotheses, golds)
    assert scores["f1"] == pytest.approx(100 * 11 / 12)
    assert scores["complete_match"] == pytest.approx(100 / 3)


# ---------------------------------------------------------------- COLLINS.prm


def test_the_root_top_does_not_count() -> None:
    # Of three brackets, S, NP and VP, the parse has S and VP.
    gold = "(TOP (S (NP (NN a)) (VP (VB b))))"
    assert counts("(S (NN a) (VP (VB b)))", gold) == (2, 3, 2)
    assert counts("(TOP (S (NN a) (VP (VB b))))", gold) == (2, 3, 2)


@pytest.mark.parametrize("root", ["", "ROOT", "S1", "VROOT", "-NONE-x"])
def test_roots_other_than_top_count(root: str) -> None:
    # S, NP, VP and the root: the parse has three of them without its root and four with it.
    tree = "(S (NP (NN a)) (VP (VB b)))"
    assert counts(tree, f"({root} {tree})") == (3, 4, 3)
    assert counts(f"({root} {tree})", f"({root} {tree})") == (4, 4, 4)
    assert counts(f"({root} {tree})", f"(TOP {tree})") == (3, 3, 4)


def test_forests_are_scored() -> None:
    gold, forest = "(TOP (S (NP (NN a)) (VP (VB b))))", "(NP (NN a)) (VP (VB b))"
    assert counts(forest, gold) == (2, 3, 2)
    assert counts(gold, forest) == (2, 2, 3)
    assert counts("(NN a) (VB b)", gold) == (0, 3, 0)
    scores = numbers([forest], [gold])
    assert (scores["precision"], scores["recall"]) == (100, pytest.approx(100 * 2 / 3))


def test_brackets_around_nothing_do_not_count() -> None:
    assert counts("(S (NP (NN a)) (NP) (VP (VB b) (PP (NP))))", "(S (NP (NN a)) (VP (VB b)))") == (
        (3, 3, 3)
    )


def test_spaces_between_brackets_do_not_matter() -> None:
    assert counts("(S(NP(NN a))(VP \t (VB  b)))", "(S (NP (NN a)) (VP (VB b)))") == (3, 3, 3)


def test_top_does_not_count_anywhere_in_the_tree() -> None:
    assert counts("(S (TOP (NN a)))", "(S (NN a))") == (1, 1, 1)


@pytest.mark.parametrize("tag", [",", ":", "``", "''", "."])
def test_punctuation_does_not_count(tag: str) -> None:
    # Wherever the mark is, both trees have NP 0-1, VP 1-2 and S 0-2. The PRN of the parse contains
    # only the mark and is removed.
    gold = f"(S (NP (NN a) ({tag} x)) (VP (VB b)))"
    parsed = f"(S (NP (NN a)) (PRN ({tag} x)) (VP (VB b)))"
    assert counts(parsed, gold) == (3, 3, 3)


@pytest.mark.parametrize("tag", ["-LRB-", "$", "#", "?", "!"])
def test_other_punctuation_counts(tag: str) -> None:
    # COLLINS.prm has no other tags: NP 0-2 differs from NP 0-1, and the PRN is one more bracket.
    gold = f"(S (NP (NN a) ({tag} x)) (VP (VB b)))"
    parsed = f"(S (NP (NN a)) (PRN ({tag} x)) (VP (VB b)))"
    assert counts(parsed, gold) == (2, 3, 4)


def test_traces_do_not_count() -> None:
    # SBAR and the S inside it contain only traces: S 0-2, NP 0-1 and VP 1-2 remain.
    gold = "(S (NP (NNS Sales)) (VP (VBD fell) (SBAR (-NONE- 0) (S (-NONE- *T*-1)))))"
    assert counts("(S (NP (NNS Sales)) (VP (VBD fell)))", gold) == (3, 3, 3)
    assert counts(gold, "(S (NP (NNS Sales)) (VP (VBD fell)))") == (3, 3, 3)


def test_function_tags_do_not_count() -> None:
    gold = "(S (NP-SBJ-1 (NN a)) (VP (VB b) (NP=2 (NN c))))"
    assert counts("(S (NP (NN a)) (VP (VB b) (NP-OBJ (NN c))))", gold) == (4, 4, 4)


def test_adverb_phrases_and_particles_are_equal() -> None:
    gold, parsed = "(VP (VB give) (PRT (RP up)))", "(VP (VB give) (ADVP (RB up)))"
    assert counts(parsed, gold) == counts(gold, parsed) == (2, 2, 2)
    assert counts("(VP (VB give) (PP (RP up)))", gold) == (1, 2, 2)


def test_tags_do_not_count() -> None:
    assert counts("(S (NP (XX a)) (VP (XX b)))", "(S (NP (NN a)) (VP (VB b)))") == (3, 3, 3)


def test_short_sentences_are_also_scored_separately() -> None:
    # 39 words and a full stop make 40; a trace is not counted. The long sentence has one word more.
    words = " ".join(["(NN a)"] * 39)
    short = f"(S (NP {words} (-NONE- *)) (. .))"
    long = f"(S (NP {words} (NN a)) (. .))"
    wrong = f"(S (VP {words} (NN a)) (. .))"
    # Of 4 brackets 3 match, among them both of the short sentence.
    scores = numbers([short, wrong], [short, long])
    assert (scores["f1"], scores["complete_match"]) == (75, 50)
    assert (scores["len40_f1"], scores["len40_complete_match"]) == (100, 100)
    assert numbers([wrong], [long])["len40_f1"] == 0


@pytest.mark.parametrize(("ours", "theirs"), [("POS", "''"), ("''", "POS"), ("POS", "``")])
def test_a_quotation_mark_tagged_as_a_possessive(ours: str, theirs: str) -> None:
    gold = f"(S (NP (NNS boys) ({ours} ')) (VB b))"
    parsed = f"(S (NP (NNS boys)) ({theirs} ') (VB b))"
    # COLLINS.prm has no QUOTE_LABEL, so one of the trees has one more word.
    assert compare(parsed, parse_tree(gold)).status is Status.ERROR
    # With it the mark counts in both: gold has S 0-3 and NP 0-2, the parse S 0-3 and NP 0-1.
    assert counts(parsed, gold, QUOTES) == (1, 2, 2)


def test_quotation_marks_matter_only_if_lengths_differ() -> None:
    # Both trees have two words once the quotation marks are dropped: a and '.
    gold, parsed = "(S (NN a) (POS ') ('' '))", "(S (NN a) ('' ') (POS '))"
    assert counts(parsed, gold, QUOTES) == (1, 1, 1)
    # Only ', \" and / are quotation marks.
    gold, parsed = "(S (NN a) (POS 's))", "(S (NN a) ('' 's))"
    assert compare(parsed, parse_tree(gold), QUOTES).status is Status.ERROR


def test_several_quotation_marks() -> None:
    # The second pair is at the same position only because the first was inserted.
    gold = "(S (POS ') (NP (NN a)) (VP (VB b) (POS ')))"
    parsed = "(S (`` ') (NP (NN a)) (VP (VB b)) ('' '))"
    # Gold has S 0-4, NP 1-2 and VP 2-4, the parse VP 2-3.
    assert counts(parsed, gold, QUOTES) == (2, 3, 3)
    assert counts(gold, parsed, QUOTES) == (2, 3, 3)


def test_quotation_marks_with_different_tags_do_not_count() -> None:
    gold, parsed = "(S (NP (NN a) ('' x)) (VB b))", "(S (NP (NN a)) (`` x) (VB b))"
    assert counts(parsed, gold) == (2, 2, 2)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "parsed",
    [
        "(S (NP (NN a)))",  # too few words
        "(S (NP (NN a)) (VP (VB c)))",  # a different word
        "(S (NP (NN a)) (VP (. b)))",  # a word tagged as punctuation, and therefore dropped
        "(S (NP (NN a)) (VP (VB b))",  # a bracket too few
        "(S (NP (NN a))) (VP (VB b)))",  # a bracket too many
        "(S (NP (NN a)))) ((VP (VB b))",  # a bracket closes before it opens
        "(S (NP (NN a)) (VP (VB b)) c)",  # a word outside a leaf
        "(S (NP ( NN a)) (VP (VB b)))",  # a space before a tag
        "(S (NP (NN a)) (VP (VB b) (NN )))",  # an empty word
    ],
)
def test_a_tree_that_cannot_be_compared_is_an_error_and_does_not_count(parsed: str) -> None:
    gold = "(S (NP (NN a)) (VP (VB b)))"
    assert compare(parsed, parse_tree(gold)).status is Status.ERROR
    # The other sentence matches fully.
    scores = numbers([parsed, LOW], [gold, LOW])
    assert (scores["f1"], scores["complete_match"]) == (100, 100)
    assert (scores["sentences"], scores["errors"]) == (2, 1)


def test_too_many_errors_for_evalb_give_a_warning() -> None:
    good, bad = "(NP (NN a))", "(NP (NN b))"
    assert "WARNING" not in score([good] + [bad] * 11, [good] * 12).details
    result = score([good] + [bad] * 12, [good] * 13)
    assert result.details.endswith(
        "WARNING: 12 of 13 sentences are errors and left out of the score; with this many, EVALB "
        "gives no score (MAX_ERROR 10)"
    )


def test_punctuation_may_be_missing() -> None:
    assert counts("(S (NN a) (VB b))", "(S (NN a) (, ,) (VB b) (. .))") == (1, 1, 1)


def test_a_sentence_of_punctuation_alone_is_skipped() -> None:
    scores = numbers(["(NP XX )NP", "(NP (NN a))"], ["(NP (. ...))", "(NP (NN a))"])
    assert (scores["skipped"], scores["complete_match"], scores["f1"]) == (1, 100, 100)


@pytest.mark.parametrize(
    "parsed", ["", " ", "()", "(", ")", "(TOP)", "(TOP (NP) (VP))", "(. .)", "(S (. .)", "(S )S"]
)
def test_a_parse_without_words_is_skipped(parsed: str) -> None:
    gold = "(S (NP (NN a)) (. .))"
    scores = numbers([parsed, gold], [gold, gold])
    assert (scores["skipped"], scores["errors"], scores["f1"]) == (1, 0, 100)


@pytest.mark.parametrize("gold", ["", "()", "(. .)", "(TOP)"])
def test_a_reference_without_words(gold: str) -> None:
    scores = numbers(["()", "(NN a)"], [gold, gold])
    assert (scores["skipped"], scores["errors"]) == (1, 1)


def test_nothing_valid_scores_0() -> None:
    result = score(["(NP XX )NP"], ["(NP (. ...))"], confidence=True)
    assert (result.score, result.mean, result.margin) == (0, 0, 0)


# ---------------------------------------------------------------- other parameters


def test_labels_need_not_match() -> None:
    gold, parsed = "(S (NP (NN a)) (VP (VB b)))", "(TOP (PP (NN a)) (VP (VB b)))"
    # With LABELED 0, TOP still does not count; PP matches NP.
    assert counts(parsed, gold, replace(COLLINS, labelled=False)) == (2, 3, 2)
    assert counts(parsed, gold) == (1, 3, 2)


def test_equal_words() -> None:
    gold, parsed = "(S (DT this))", "(S (DT This))"
    assert compare(parsed, parse_tree(gold)).status is Status.ERROR
    same = replace(COLLINS, equal_words=frozenset([frozenset(["this", "This"])]))
    assert counts(parsed, gold, same) == counts(gold, parsed, same) == (1, 1, 1)


def test_equal_labels_are_not_transitive_and_matched_in_order() -> None:
    pairs = frozenset(map(frozenset, [["A", "B"], ["B", "C"]]))
    equal = replace(COLLINS, equal_labels=pairs)
    assert counts("(C (NN a))", "(A (NN a))", equal) == (0, 1, 1)
    # B matches the first possible bracket, A, which leaves none for the other A.
    assert counts("(A (C (NN a)))", "(B (A (NN a)))", equal) == (1, 2, 2)
    assert counts("(A (C (NN a)))", "(A (B (NN a)))", equal) == (2, 2, 2)


def test_labels_equal_to_a_deleted_one_are_deleted() -> None:
    deleted = replace(COLLINS, deleted=COLLINS.deleted | {"ADVP"})
    assert counts("(S (PRT (NN a)))", "(S (ADVP (NN a)))", deleted) == (1, 1, 1)
    # Words are deleted only if they have exactly that tag.
    assert counts("(S (PRT a))", "(S (PRT a))", deleted) == (1, 1, 1)


def test_traces_count_without_parameters() -> None:
    everything = EvalbParameters()
    gold = "(S (NP (-NONE- *)) (VP (VB b)))"
    assert counts(gold, gold, everything) == (3, 3, 3)
    assert compare("(S (VP (VB b)))", parse_tree(gold), everything).status is Status.ERROR
    # A linearised tree has no traces.
    assert counts("(S (VP XX )VP )S", gold, everything) == (2, 2, 2)


# ---------------------------------------------------------------- EVALB itself

# Pairs of parse and gold in which scorers treat words, tags or roots differently.
DISPUTED = [
    (HIGH, LOW),
    ("", LOW),
    ("()", LOW),
    (")", LOW),
    ("(. .)", LOW),
    ("(NP (NN a)) (VP (VB b))", "(TOP (S (NP (NN a)) (VP (VB b))))"),
    ("(ROOT (S (NN a)))", "(TOP (S (NN a)))"),
    ("( (S (NN a)))", "(S1 (S (NN a)))"),
    ("(S (NP (NNS boys)) ('' ') (VB b))", "(S (NP (NNS boys) (POS ')) (VB b))"),
    ("(S (`` ') (NP (NN a)) (VP (VB b)) ('' '))", "(S (POS ') (NP (NN a)) (VP (VB b) (POS ')))"),
    ("(S (NP (NN a)) (PRT (RB b)) (X))", "(S (NP-SBJ=1 (NN a)) (ADVP (RB b) (NP (-NONE- *))))"),
    ("(S (NN a)", "(S (NN a))"),
    ("(S (NN a)))", "(S (NN a))"),
    ("(S (NN b))", "(S (NN a))"),
    ("(S (-LRB- (NN a)))", "(S (PRN (NN a)))"),
    ("(S (NN a))", ""),
    ("(S (NN a) (? ?))", "(S (NN a) (. ?))"),
]


def run_evalb(parameters: Path, gold: Path, parsed: Path) -> list[tuple[int, ...]]:
    """Return length, status and matched, gold and test brackets (0 if not valid) per sentence."""
    command = [os.environ["EVALB_DIR"] + "/evalb", "-p", parameters, "-e", "1000", gold, parsed]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    rows = re.findall(rb"(?m)^ *\d+ +\d+ +\d .*", done.stdout.split(b"=\n")[1])
    cells = [list(map(int, re.findall(rb"(?<![\d.])\d+(?![\d.])", row))) for row in rows]
    return [(row[1], row[2], *(row[3:6] if row[2] == 0 else (0, 0, 0))) for row in cells]


@pytest.mark.skipif("EVALB_DIR" not in os.environ, reason="EVALB_DIR does not name EVALB")
@pytest.mark.parametrize("name", ["COLLINS.prm", "new.prm", "sample/sample.prm"])
@pytest.mark.parametrize("trees", ["disputed", "sample"])
def test_equal_to_evalb(name: str, trees: str, tmp_path: Path) -> None:
    evalb = Path(os.environ["EVALB_DIR"])
    gold, parsed = evalb / "sample" / "sample.gld", evalb / "sample" / "sample.tst"
    if trees == "disputed":
        gold, parsed = tmp_path / "gold", tmp_path / "parsed"
        gold.write_text("".join(f"{line}\n" for _, line in DISPUTED), "utf-8")
        parsed.write_text("".join(f"{line}\n" for line, _ in DISPUTED), "utf-8")
    parameters = read_parameters(evalb / name)
    references = read_references(gold.read_text("utf-8").split("\n")[:-1])
    comparisons = [
        compare(line, tree, parameters)
        for line, tree in zip(parsed.read_text("utf-8").split("\n")[:-1], references, strict=True)
    ]
    codes = {Status.VALID: 0, Status.SKIPPED: 2, Status.ERROR: 1}
    assert run_evalb(evalb / name, gold, parsed) == [
        (one.length, codes[one.status], one.matched, one.gold, one.parsed) for one in comparisons
    ]


# ---------------------------------------------------------------- linearised parses


@pytest.mark.parametrize("leaves", get_args(Leaves))
def test_linearised_parses_take_words_and_tags_from_the_reference(leaves: Leaves) -> None:
    # The full stop is recognised by its tag in the reference; the parse has XX.
    assert counts(linearise(parse_tree(HIGH), leaves), LOW) == counts(HIGH, LOW) == (6, 7, 6)


@pytest.mark.parametrize(
    ("parsed", "matched", "malformed", "wrong_length"),
    [
        # Gold: S 0-4, NP 0-2, VP 2-4, NP 3-4 of "the dog saw me".
        ("(S (NP XX XX )NP (VP XX (NP XX )NP )VP )S", 4, 0, 0),
        ("(S (NP XX XX )NP (VP XX (NP XX", 4, 1, 0),  # cut short: closed at the end
        ("(S (NP XX XX )NP (VP XX (NP XX )VP )S", 4, 1, 0),  # )NP is missing
        ("(S (NP XX XX )NP )NP (VP XX (NP XX )NP )VP )S", 4, 1, 0),  # a surplus )NP
        ("(S (NP XX XX )NP (VP XX )VP )S", 2, 0, 1),  # "me" is added to S: VP is 2-3
        ("(S (NP XX XX )NP (VP XX (NP XX XX )NP )VP )S", 4, 0, 1),  # words after "me" are dropped
        ("(S (NP XX XX )NP", 2, 1, 1),  # the remaining words are added to S
    ],
)
def test_broken_parses_are_repaired_and_count(
    parsed: str, matched: int, malformed: int, wrong_length: int
) -> None:
    gold = "(S (NP (DT the) (NN dog)) (VP (VBD saw) (NP (PRP me))))"
    assert counts(parsed, gold)[:2] == (matched, 4)
    scores = numbers([parsed], [gold])
    assert (scores["malformed"], scores["wrong_length"]) == (malformed, wrong_length)
    assert (scores["errors"], scores["skipped"]) == (0, 0)


@pytest.mark.parametrize(
    "parsed",
    [
        "(S (NP XX XX ) (VP XX (NP XX ) ) )",  # closing brackets without labels, otherwise complete
        "(S XX )",  # only the S, and too few words
        "(S (NP XX)NP )S",  # a token with a bracket in it
        "(S (NP XX",
        ") ( XX",
    ],
)
def test_a_linearised_parse_is_never_an_error(parsed: str) -> None:
    gold = "(S (NP (DT the) (NN dog)) (VP (VBD saw) (NP (PRP me))))"
    assert compare(parsed, parse_tree(gold)).status is Status.VALID
    # A leaf has no space before its closing bracket: with one, X is a bracket around a word.
    assert counts("(S XX )", "(S (NN a))") == (1, 1, 1)
    assert counts("(S (X XX ) )", "(S (NN a))") == (1, 1, 2)


LABELS = st.sampled_from(["S", "NP", "VP", "PP", "ADVP", "PRT"])
LEAVES = st.sampled_from(["(NN a)", "(VB b)", "(, ,)", "(POS ')", "('' ')"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.tuples(LABELS, st.lists(inner, min_size=1, max_size=4)).map(
        lambda node: f"({node[0]} {' '.join(node[1])})"
    ),
    max_leaves=15,
).map(parse_tree)


@given(TREES, TREES)
def test_invariants_of_any_two_trees(gold: Tree, parsed: Tree) -> None:
    same = compare(bracketed(gold), gold)
    assert same.matched == same.gold == same.parsed
    linear = compare(linearise(parsed), gold)
    assert 0 <= linear.matched <= min(linear.gold, linear.parsed)
    if linear.status is Status.VALID and not linear.wrong_length:
        # The same brackets match with the trees swapped.
        back = compare(linearise(normalised(gold)), gold._replace(spans=parsed.spans))
        assert (back.matched, back.gold, back.parsed) == (
            linear.matched,
            linear.parsed,
            linear.gold,
        )


# ---------------------------------------------------------------- the score


def test_the_score_on_one_line() -> None:
    # As in test_a_wrong_attachment.
    assert str(score([HIGH], [LOW])) == (
        f"bracketF1|nrefs:1|params:COLLINS|repair:yes|version:nmt-{__version__} = 92.3 "
        "F1 = 92.31 P = 100.00 R = 85.71 complete match = 0.00 "
        "(len<=40: F1 = 92.31 P = 100.00 R = 85.71 complete match = 0.00) "
        "sentences = 1 errors = 0 skipped = 0 malformed = 0 wrong_length = 0"
    )


def test_the_confidence_interval_covers_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    hypotheses, golds = [HIGH, LOW, LOW, HIGH] * 10, [LOW] * 40
    result = score(hypotheses, golds, confidence=True)
    assert result.mean is not None
    assert result.margin is not None
    assert "bs:1000|seed:12345" in result.signature
    assert 0 < result.margin < 3
    assert abs(result.mean - result.score) < 0.5
    assert score(hypotheses, golds, confidence=True) == result
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    other = score(hypotheses, golds, confidence=True)
    assert "seed:7" in other.signature
    assert other.mean != result.mean


def test_sentences_that_do_not_count_are_not_drawn() -> None:
    valid = Comparison(Status.VALID, 3, matched=1, gold=1, parsed=1)
    assert bootstrap([valid, Comparison(Status.ERROR, 3)], 20) == (100, 0)


def test_references_must_be_one_file_of_trees() -> None:
    with pytest.raises(DataError, match=r"one reference, but there are 2"):
        evaluate([LOW], [[LOW], [LOW]], EvaluateOptions(["bracket-f1"]))
    for bad in ["(S (NP XX )NP )S", "a", "(S (NN a)", "(NN a))"]:
        with pytest.raises(DataError, match=r"line 2 of the reference is not a tree"):
            score([LOW, LOW], [LOW, bad])


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "hyp").write_text(f"{linearise(parse_tree(HIGH))}\n", "utf-8")
    (tmp_path / "ref").write_text(f"(TOP {LOW})\n", "utf-8")
    files = ["--hyp", tmp_path / "hyp", "--ref", tmp_path / "ref"]
    result = run_nmt("evaluate", *files, "--metrics", "bracket-f1", "--json")
    assert result.exit_code == 0, result.stderr
    [output] = json.loads(result.stdout)
    assert output["metric"] == "bracket-f1"
    assert output["numbers"]["recall"] == pytest.approx(100 * 6 / 7)
    swapped = run_nmt(
        "evaluate", "--ref", tmp_path / "hyp", "--hyp", tmp_path / "ref", "--metrics=bracket-f1"
    )
    assert swapped.exit_code == 3
    assert "nmt treebank" in swapped.stderr


def test_the_command_with_a_parameter_file(tmp_path: Path) -> None:
    (tmp_path / "hyp").write_text("(S1 (NP (NN a)) (VP (VB b)))\n", "utf-8")
    (tmp_path / "ref").write_text("(S1 (PP (NN a)) (VP (VB b)))\n", "utf-8")
    (tmp_path / "my.prm").write_text("LABELED 0\nDELETE_LABEL S1\nCUTOFF_LEN 1\n", "utf-8")
    files = ["--hyp", tmp_path / "hyp", "--ref", tmp_path / "ref", "--json"]
    given = [*files, "--evalb-params", tmp_path / "my.prm"]
    result = run_nmt("evaluate", *given, "--metrics", "bracket-f1")
    assert result.exit_code == 0, result.stderr
    [output] = json.loads(result.stdout)
    assert output["score"] == 100
    assert output["numbers"]["len1_f1"] == 0  # the sentence is longer
    assert re.search(r"\|params:my\.prm-[0-9a-f]{8}\|", output["signature"])
    wrong = run_nmt("evaluate", *given, "--metrics", "bleu")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "--evalb-params is for bracket-f1" in wrong.stderr


def test_references_are_checked_before_a_model_translates(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "nmt.cli.evaluation._translated", lambda *arguments: pytest.fail("translation started")
    )
    result = run_nmt("evaluate", trained_run, "--metrics", "bracket-f1")
    assert result.exit_code == 3
    assert "line 1 of the reference is not a tree" in result.stderr


def test_a_model_on_its_test_set(trained_run: Path, tmp_path: Path) -> None:
    # It has not learnt trees: its output is repaired, and every sentence counts.
    src = trained_run.parent / "test.src"
    words = [line.split() for line in src.read_text("utf-8").split("\n")[:-1]]
    trees = [f"(S {' '.join(f'(NN {word})' for word in line)})\n" for line in words]
    (tmp_path / "ref").write_text("".join(trees), "utf-8")
    given = ["--src", src, "--ref", tmp_path / "ref", "--metrics", "bracket-f1", "--json"]
    result = run_nmt("evaluate", trained_run, *given)
    assert result.exit_code == 0, result.stderr
    [output] = json.loads(result.stdout)
    assert output["numbers"]["sentences"] == 30
    assert output["score"] == 0
