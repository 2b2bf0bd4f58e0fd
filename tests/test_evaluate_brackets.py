"""Brackets are counted as EVALB does with COLLINS.prm, on trees whose counts are worked out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from nmt import __version__
from nmt.cli import app
from nmt.data.trees import Leaves, Tree, bracketed, linearise, normalised, parse_tree
from nmt.errors import DataError
from nmt.evaluate import EvaluateOptions, Score, evaluate
from nmt.evaluate_brackets import Comparison, Status, bootstrap, compare

# The brackets of HIGH without the full stop, which does not count, are six: S 0-7, NP 0-2, VP 2-7,
# NP 3-5, PP 5-7 and NP 6-7. LOW has one more, the NP 3-7 of "a man with eyes".
HIGH = (
    "(S (NP (DT The) (NN dog)) "
    "(VP (VBD saw) (NP (DT a) (NN man)) (PP (IN with) (NP (NNS eyes)))) (. .))"
)
LOW = (
    "(S (NP (DT The) (NN dog)) "
    "(VP (VBD saw) (NP (NP (DT a) (NN man)) (PP (IN with) (NP (NNS eyes))))) (. .))"
)


def counts(hypothesis: str, gold: str) -> tuple[int, int, int]:
    """Matched, gold and parsed brackets of a sentence that is valid."""
    found = compare(hypothesis, parse_tree(gold))
    assert found.status is Status.VALID
    return found.matched, found.gold, found.parsed


def score(hypotheses: list[str], golds: list[str], **options: bool) -> Score:
    [found] = evaluate(hypotheses, [golds], EvaluateOptions(["bracket-f1"], **options))
    return found


def numbers(hypotheses: list[str], golds: list[str]) -> dict[str, float]:
    found = score(hypotheses, golds).numbers
    assert found is not None
    return found


# ---------------------------------------------------------------- brackets


def test_a_wrong_attachment() -> None:
    assert counts(HIGH, LOW) == (6, 7, 6)
    assert counts(LOW, HIGH) == (6, 6, 7)
    found = numbers([HIGH], [LOW])
    assert found["precision"] == pytest.approx(100 * 6 / 6)
    assert found["recall"] == pytest.approx(100 * 6 / 7)
    # F1 = 2PR / (P + R) = 2 * 6/7 / (13/7) = 12/13.
    assert found["f1"] == score([HIGH], [LOW]).score == pytest.approx(100 * 12 / 13)
    assert found["complete_match"] == 0


def test_labels_count() -> None:
    # S and VP match; the NP around "a" is an ADJP.
    gold, parsed = "(S (VP (VB x)) (NP (NN a)))", "(S (VP (VB x)) (ADJP (NN a)))"
    assert counts(parsed, gold) == (2, 3, 3)


def test_brackets_around_the_same_words_are_matched_one_by_one() -> None:
    # Gold has NP 0-1 twice, the parse three times: two match.
    assert counts("(NP (NP (NP (NN a))))", "(NP (NP (NN a)))") == (2, 2, 3)
    # The order in a unary chain does not matter.
    assert counts("(VP (S (NN a)))", "(S (VP (NN a)))") == (2, 2, 2)


def test_sentences_are_summed_before_dividing() -> None:
    # 6 + 2 matched of 7 + 2 gold and 6 + 3 parsed: P = R = F1 = 8/9, and no tree is all right;
    # with a third sentence, whose 3 brackets are, 11/12 and 1 of 3.
    hypotheses = [HIGH, "(NP (NP (NP (NN a))))", "(S (NP (NN a)) (VP (VB b)))"]
    golds = [LOW, "(NP (NP (NN a)))", hypotheses[2]]
    assert numbers(hypotheses[:2], golds[:2])["f1"] == pytest.approx(100 * 8 / 9)
    found = numbers(hypotheses, golds)
    assert found["f1"] == pytest.approx(100 * 11 / 12)
    assert found["complete_match"] == pytest.approx(100 / 3)


# ---------------------------------------------------------------- COLLINS.prm


@pytest.mark.parametrize("root", ["", "TOP", "ROOT", "S1"])
def test_the_root_does_not_count(root: str) -> None:
    # Of three brackets, S, NP and VP, the parse has S and VP.
    gold = f"({root} (S (NP (NN a)) (VP (VB b))))"
    assert counts("(S (NN a) (VP (VB b)))", gold) == (2, 3, 2)
    assert counts("(TOP (S (NN a) (VP (VB b))))", gold) == (2, 3, 2)


def test_top_counts_nowhere() -> None:
    assert counts("(S (TOP (NN a)))", "(S (NN a))") == (1, 1, 1)


@pytest.mark.parametrize("tag", [",", ":", "``", "''", "."])
def test_punctuation_does_not_count(tag: str) -> None:
    # Whether the mark is inside the NP or outside, both trees have NP 0-1, VP 1-2, S 0-2; the
    # PRN of the parse holds nothing but the mark and goes.
    gold = f"(S (NP (NN a) ({tag} x)) (VP (VB b)))"
    parsed = f"(S (NP (NN a)) (PRN ({tag} x)) (VP (VB b)))"
    assert counts(parsed, gold) == (3, 3, 3)


@pytest.mark.parametrize("tag", ["-LRB-", "$", "#", "?", "!"])
def test_other_marks_count(tag: str) -> None:
    # COLLINS.prm names no others: NP 0-2 is not NP 0-1, and the PRN is one bracket more.
    gold = f"(S (NP (NN a) ({tag} x)) (VP (VB b)))"
    parsed = f"(S (NP (NN a)) (PRN ({tag} x)) (VP (VB b)))"
    assert counts(parsed, gold) == (2, 3, 4)


def test_traces_do_not_count() -> None:
    # SBAR and the S in it hold traces alone: S 0-2, NP 0-1, VP 1-2 remain.
    gold = "(S (NP (NNS Sales)) (VP (VBD fell) (SBAR (-NONE- 0) (S (-NONE- *T*-1)))))"
    assert counts("(S (NP (NNS Sales)) (VP (VBD fell)))", gold) == (3, 3, 3)
    assert counts(gold, "(S (NP (NNS Sales)) (VP (VBD fell)))") == (3, 3, 3)


def test_function_tags_do_not_count() -> None:
    gold = "(S (NP-SBJ-1 (NN a)) (VP (VB b) (NP=2 (NN c))))"
    assert counts("(S (NP (NN a)) (VP (VB b) (NP-OBJ (NN c))))", gold) == (4, 4, 4)


def test_adverb_phrases_and_particles_are_the_same() -> None:
    gold, parsed = "(VP (VB give) (PRT (RP up)))", "(VP (VB give) (ADVP (RB up)))"
    assert counts(parsed, gold) == counts(gold, parsed) == (2, 2, 2)
    assert counts("(VP (VB give) (PP (RP up)))", gold) == (1, 2, 2)


def test_tags_do_not_count() -> None:
    assert counts("(S (NP (XX a)) (VP (XX b)))", "(S (NP (NN a)) (VP (VB b)))") == (3, 3, 3)


def test_short_sentences_are_scored_apart() -> None:
    # 39 words and a full stop are 40; a trace is none. The long sentence has one word more.
    words = " ".join(["(NN a)"] * 39)
    short = f"(S (NP {words} (-NONE- *)) (. .))"
    long = f"(S (NP {words} (NN a)) (. .))"
    wrong = f"(S (VP {words} (NN a)) (. .))"
    # Of the 4 brackets 3 match; of those of the short sentence, both.
    found = numbers([short, wrong], [short, long])
    assert (found["f1"], found["complete_match"]) == (75, 50)
    assert (found["len40_f1"], found["len40_complete_match"]) == (100, 100)
    assert numbers([wrong], [long])["len40_f1"] == 0


@pytest.mark.parametrize(("ours", "theirs"), [("POS", "''"), ("''", "POS"), ("POS", "``")])
def test_a_quotation_mark_taken_for_a_possessive_counts(ours: str, theirs: str) -> None:
    # The mark counts in both: gold has S 0-3 and NP 0-2, the parse S 0-3 and NP 0-1.
    gold = f"(S (NP (NNS boys) ({ours} ')) (VB b))"
    parsed = f"(S (NP (NNS boys)) ({theirs} ') (VB b))"
    assert counts(parsed, gold) == (1, 2, 2)


def test_quotation_marks_of_two_kinds_do_not_count() -> None:
    gold, parsed = "(S (NP (NN a) ('' x)) (VB b))", "(S (NP (NN a)) (`` x) (VB b))"
    assert counts(parsed, gold) == (2, 2, 2)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "parsed",
    [
        "(S (NP (NN a)))",  # too few words
        "(S (NP (NN a)) (VP (VB c)))",  # another one
        "(S (NP (NN a)) (VP (. b)))",  # one tagged as punctuation, which is then missing
        "(S (NP (NN a)) (VP (VB b))",  # a bracket too few
        "(S (NP (NN a))) (VP (VB b)))",  # or too many
    ],
)
def test_a_tree_that_cannot_be_compared_is_an_error_that_does_not_count(parsed: str) -> None:
    gold = "(S (NP (NN a)) (VP (VB b)))"
    assert compare(parsed, parse_tree(gold)).status is Status.ERROR
    # Of the other sentence all is right.
    found = numbers([parsed, LOW], [gold, LOW])
    assert (found["f1"], found["complete_match"]) == (100, 100)
    assert (found["sentences"], found["errors"]) == (2, 1)


def test_what_evalb_would_not_score_is_said_aloud() -> None:
    good, bad = "(NP (NN a))", "(NP (NN b))"
    assert "WARNING" not in score([good] + [bad] * 10, [good] * 11).details
    found = score([good] + [bad] * 11, [good] * 12)
    assert found.details.endswith(
        "WARNING: 11 of 12 sentences are errors and not in the score; EVALB gives none after 10"
    )


def test_punctuation_need_not_be_there() -> None:
    assert counts("(S (NN a) (VB b))", "(S (NN a) (, ,) (VB b) (. .))") == (1, 1, 1)


def test_a_sentence_of_punctuation_alone_is_skipped() -> None:
    found = numbers(["(NP XX )NP", "(NP (NN a))"], ["(NP (. ...))", "(NP (NN a))"])
    assert (found["skipped"], found["complete_match"], found["f1"]) == (1, 100, 100)


def test_nothing_valid_scores_0() -> None:
    found = score(["(NP XX )NP"], ["(NP (. ...))"], confidence=True)
    assert (found.score, found.mean, found.margin) == (0, 0, 0)


# ---------------------------------------------------------------- linearised parses


@pytest.mark.parametrize("leaves", get_args(Leaves))
def test_linearised_parses_take_words_and_tags_from_the_reference(leaves: Leaves) -> None:
    # The full stop is told by the reference's tag, though the parse has XX for it.
    assert counts(linearise(parse_tree(HIGH), leaves), LOW) == counts(HIGH, LOW) == (6, 7, 6)


@pytest.mark.parametrize(
    ("parsed", "matched", "malformed", "wrong_length"),
    [
        # Gold: S 0-4, NP 0-2, VP 2-4, NP 3-4 of "the dog saw me".
        ("(S (NP XX XX )NP (VP XX (NP XX )NP )VP )S", 4, 0, 0),
        ("(S (NP XX XX )NP (VP XX (NP XX", 4, 1, 0),  # cut short: closed at the end
        ("(S (NP XX XX )NP (VP XX (NP XX )VP )S", 4, 1, 0),  # )NP is missing
        ("(S (NP XX XX )NP )NP (VP XX (NP XX )NP )VP )S", 4, 1, 0),  # a surplus )NP
        ("(S (NP XX XX )NP (VP XX )VP )S", 2, 0, 1),  # "me" goes into S: VP is 2-3
        ("(S (NP XX XX )NP (VP XX (NP XX XX )NP )VP )S", 4, 0, 1),  # cut after "me"
        ("(S (NP XX XX )NP", 2, 1, 1),  # the rest of the words go into S
        ("", 0, 0, 1),
    ],
)
def test_broken_parses_are_repaired_and_count(
    parsed: str, matched: int, malformed: int, wrong_length: int
) -> None:
    gold = "(S (NP (DT the) (NN dog)) (VP (VBD saw) (NP (PRP me))))"
    assert counts(parsed, gold)[:2] == (matched, 4)
    found = numbers([parsed], [gold])
    assert (found["malformed"], found["wrong_length"]) == (malformed, wrong_length)
    assert (found["errors"], found["skipped"]) == (0, 0)


@pytest.mark.parametrize(
    "parsed",
    [
        "(S (NP XX XX ) (VP XX (NP XX ) ) )",  # closing brackets without labels, all that is there
        "(S XX )",  # the S alone, and too few words
        "(S (NP XX)NP )S",  # a token with a bracket in it
        "(S (NP XX",
        ") ( XX",
    ],
)
def test_a_linearised_parse_is_never_an_error(parsed: str) -> None:
    gold = "(S (NP (DT the) (NN dog)) (VP (VBD saw) (NP (PRP me))))"
    assert compare(parsed, parse_tree(gold)).status is Status.VALID
    # A leaf has no space before its bracket: with one, X is a bracket around a word.
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
def test_what_holds_of_any_two_trees(gold: Tree, parsed: Tree) -> None:
    same = compare(bracketed(gold), gold)
    assert same.matched == same.gold == same.parsed
    linear = compare(linearise(parsed), gold)
    assert 0 <= linear.matched <= min(linear.gold, linear.parsed)
    if linear.status is Status.VALID and not linear.wrong_length:
        # The other way round the same brackets match.
        back = compare(linearise(normalised(gold)), gold._replace(spans=parsed.spans))
        assert (back.matched, back.gold, back.parsed) == (
            linear.matched,
            linear.parsed,
            linear.gold,
        )


# ---------------------------------------------------------------- the score


def test_the_score_in_a_line() -> None:
    # As in test_a_wrong_attachment.
    assert str(score([HIGH], [LOW])) == (
        f"bracketF1|nrefs:1|params:COLLINS|repair:yes|version:nmt-{__version__} = 92.3 "
        "F1 = 92.31 P = 100.00 R = 85.71 complete match = 0.00 "
        "(len<=40: F1 = 92.31 P = 100.00 R = 85.71 complete match = 0.00) "
        "sentences = 1 errors = 0 skipped = 0 malformed = 0 wrong_length = 0"
    )


def test_the_confidence_interval_covers_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    hypotheses, golds = [HIGH, LOW, LOW, HIGH] * 10, [LOW] * 40
    found = score(hypotheses, golds, confidence=True)
    assert found.mean is not None
    assert found.margin is not None
    assert "bs:1000|seed:12345" in found.signature
    assert 0 < found.margin < 3
    assert abs(found.mean - found.score) < 0.5
    assert score(hypotheses, golds, confidence=True) == found
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    other = score(hypotheses, golds, confidence=True)
    assert "seed:7" in other.signature
    assert other.mean != found.mean


def test_sentences_that_do_not_count_are_not_drawn() -> None:
    valid = Comparison(Status.VALID, 3, matched=1, gold=1, parsed=1)
    assert bootstrap([valid, Comparison(Status.ERROR, 3)], 20) == (100, 0)


def test_references_are_one_file_of_trees() -> None:
    with pytest.raises(DataError, match=r"one reference, but there are 2"):
        evaluate([LOW], [[LOW], [LOW]], EvaluateOptions(["bracket-f1"]))
    with pytest.raises(DataError, match=r"line 2 of the reference is not a tree"):
        score([LOW, LOW], [LOW, "(S (NP XX )NP )S"])


def run_nmt(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "hyp").write_text(f"{linearise(parse_tree(HIGH))}\n", "utf-8")
    (tmp_path / "ref").write_text(f"(TOP {LOW})\n", "utf-8")
    files = ["--hyp", tmp_path / "hyp", "--ref", tmp_path / "ref"]
    result = run_nmt(*files, "--metrics", "bracket-f1", "--json")
    assert result.exit_code == 0, result.stderr
    [found] = json.loads(result.stdout)
    assert found["metric"] == "bracket-f1"
    assert found["numbers"]["recall"] == pytest.approx(100 * 6 / 7)
    swapped = run_nmt("--ref", tmp_path / "hyp", "--hyp", tmp_path / "ref", "--metrics=bracket-f1")
    assert swapped.exit_code == 3
    assert "scripts/treebank" in swapped.stderr


def test_references_are_looked_at_before_a_model_translates(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt.cli._translated", lambda *arguments: pytest.fail("it translates"))
    result = run_nmt(trained_run, "--metrics", "bracket-f1")
    assert result.exit_code == 3
    assert "line 1 of the reference is not a tree" in result.stderr


def test_a_model_on_its_test_set(trained_run: Path, tmp_path: Path) -> None:
    # It has learnt no trees: what it writes is repaired, and each sentence counts.
    src = trained_run.parent / "test.src"
    words = [line.split() for line in src.read_text("utf-8").split("\n")[:-1]]
    trees = [f"(S {' '.join(f'(NN {word})' for word in line)})\n" for line in words]
    (tmp_path / "ref").write_text("".join(trees), "utf-8")
    given = ["--src", src, "--ref", tmp_path / "ref", "--metrics", "bracket-f1", "--json"]
    result = run_nmt(trained_run, *given)
    assert result.exit_code == 0, result.stderr
    [found] = json.loads(result.stdout)
    assert found["numbers"]["sentences"] == 30
    assert found["score"] == 0
