"""Comparisons against sacreBLEU's command, and of systems whose differences are known."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.data import phrasebook
from nmt.errors import ConfigError, DataError
from nmt.evaluation.compare import Comparison, compare
from nmt.evaluation.metrics import EvaluateOptions, evaluate

PAIRS = phrasebook.pairs("test")[:60]
REF = [pair.tgt for pair in PAIRS]
SRC = [pair.src for pair in PAIRS]
BASELINE = [line[:-6].rstrip() if number % 3 == 0 else line for number, line in enumerate(REF)]
SYSTEM = [line[:-9].rstrip() if number % 5 == 0 else line for number, line in enumerate(REF)]
QUICK = {"samples": 20, "trials": 20}


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    systems = [("base", BASELINE), ("other", SYSTEM), ("ref", REF)]
    return compare(systems, [REF], SRC, samples=50, trials=60)


def sacrebleu_table(folder: Path, *arguments: str) -> list[list[list[float]]]:
    """Return the numbers that sacreBLEU's own command prints: by system, then BLEU and chrF.

    Its JSON would be easier to read, but it fails with NumPy 2.
    """
    texts = {"ref": REF, "base": BASELINE, "other": SYSTEM, "perfect": REF}
    for name, lines in texts.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "base", "other", "perfect"]
    command += ["-m", "bleu", "chrf", *arguments, "--format", "latex", "--width", "6"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    rows = [line.split("&")[1:] for line in done.stdout.decode("utf-8").split("\n")]
    rows = [row for row in rows if row and re.search(r"\d\.\d{6}", row[0])]
    return [[[float(n) for n in re.findall(r"\d+\.\d+", cell)] for cell in row] for row in rows]


def test_scores_and_p_values_are_those_of_the_sacrebleu_command(
    comparison: Comparison, tmp_path: Path
) -> None:
    bootstrap = sacrebleu_table(tmp_path, "--paired-bs", "--paired-bs-n", "50")
    randomized = sacrebleu_table(tmp_path, "--paired-ar", "--paired-ar-n", "60")
    assert len(bootstrap) == len(randomized) == 3
    for column, scores in enumerate(comparison.scores.values()):
        for row, score in enumerate(scores):
            found = [score.score, score.mean, score.margin, score.p_bootstrap][: 4 if row else 3]
            assert bootstrap[row][column] == pytest.approx(found, abs=6e-5)
            found = [score.score, score.p_randomization][: 2 if row else 1]
            assert randomized[row][column] == pytest.approx(found, abs=6e-5)
    assert comparison.scores["BLEU"][0].p_bootstrap is None
    assert "|bs:50|seed:12345|" in comparison.signatures["BLEU"]


def test_groups_are_scored_alone(comparison: Comparison) -> None:
    assert len(comparison.groupings) == 4
    for grouping in comparison.groupings:
        assert sum(group.sentences for group in grouping.groups) == 60
    [ends] = [grouping for grouping in comparison.groupings if "end of" in grouping.name]
    assert [group.name for group in ends.groups] == ["?", "."]
    questions = [number for number, line in enumerate(REF) if line.endswith("?")]
    [bleu, chrf] = evaluate(
        [SYSTEM[number] for number in questions],
        [[REF[number] for number in questions]],
        EvaluateOptions(("bleu", "chrf")),
    )
    assert ends.groups[0].sentences == len(questions)
    assert ends.groups[0].scores["BLEU"][1].score == pytest.approx(bleu.score)
    assert ends.groups[0].scores["chrF2"][1].score == pytest.approx(chrf.score)


def test_wins_and_losses(comparison: Comparison) -> None:
    other, perfect = comparison.pairs
    # Every third line of the baseline is cut, and more of every fifth of the system.
    assert (other.better, other.worse) == (16, 12)
    assert (perfect.better, perfect.worse) == (20, 0)
    for example in (*other.wins, *other.losses):
        number = example.line - 1
        assert example.src == SRC[number]
        assert example.reference == REF[number]
        assert (example.baseline, example.system) == (BASELINE[number], SYSTEM[number])
    gains = [example.system_chrf - example.baseline_chrf for example in other.wins]
    assert len(gains) == 10
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0
    assert all(example.system_chrf < example.baseline_chrf for example in other.losses)
    assert perfect.losses == perfect.words_lost == perfect.ngrams_lost == []


def test_identical_systems_do_not_differ() -> None:
    found = compare([("a", BASELINE), ("a", BASELINE)], [REF], **QUICK)
    [pair] = found.pairs
    assert (pair.better, pair.worse) == (0, 0)
    assert not any((pair.wins, pair.losses, pair.words_won, pair.words_lost))
    assert not any((pair.ngrams_won, pair.ngrams_lost))
    for scores in found.scores.values():
        assert scores[0].score == scores[1].score
        assert scores[1].p_bootstrap == scores[1].p_randomization == 1.0


def test_a_few_different_sentences_are_not_significant() -> None:
    # Of n differences, chance gives all the same sign with a probability of 2 ** (1 - n).
    for changed, least in ((1, 1.0), (2, 0.5), (4, 0.125)):
        worse = [line[:-6] if number < changed else line for number, line in enumerate(REF)]
        found = compare([("ref", REF), ("worse", worse)], [REF], samples=100, trials=100)
        for [_, score] in found.scores.values():
            assert score.p_randomization is not None
            assert least <= score.p_randomization < 2 * least
        alone = compare([("ref", REF[:changed]), ("worse", worse[:changed])], [REF[:changed]])
        for [_, score] in alone.scores.values():
            assert score.p_bootstrap is not None
            assert score.p_bootstrap >= least


def test_a_comparison_is_the_same_every_time() -> None:
    systems = [("a", BASELINE), ("b", SYSTEM)]
    first, second = (compare(systems, [REF], SRC, **QUICK).to_json() for _ in range(2))
    assert first == second
    assert list(json.loads(first)) == [
        *("systems", "sentences", "samples", "trials", "signatures", "scores"),
        *("groupings", "pairs"),
    ]


def test_frequencies_come_from_the_training_text() -> None:
    systems = [("a", ["the cat", "the dog"]), ("b", ["the cat", "a dog"])]
    refs = [["the cat", "the dog"]]
    for train, expected in (
        (None, {"1": 2}),
        (["the cat"] * 3 + ["The cat, the dog."] * 7, {"5-9": 1, "10-99": 1}),
    ):
        found = compare(systems, refs, train=train, **QUICK).groupings[1]
        assert {group.name: group.sentences for group in found.groups} == expected


def test_case_is_ignored_on_request() -> None:
    systems = [("a", ["THE CAT"]), ("b", ["the cat"])]
    lowercase = EvaluateOptions(lowercase=True)
    [pair] = compare(systems, [["the cat"]], options=lowercase, **QUICK).pairs
    assert (pair.better, pair.words_won) == (0, [])
    [pair] = compare(systems, [["the cat"]], **QUICK).pairs
    assert [word.text for word in pair.words_won] == ["cat", "the"]


def test_words_are_those_of_the_tokenizer() -> None:
    options = EvaluateOptions(tokenize="char")
    [pair] = compare([("a", ["xy"]), ("b", ["ab"])], [["ab"]], options=options, **QUICK).pairs
    assert [ngram.text for ngram in (*pair.words_won, *pair.ngrams_won)] == ["a", "b", "a b"]


@pytest.mark.parametrize(
    ("systems", "refs", "message"),
    [
        ([("a", ["x"])], [["x"]], "two or more systems"),
        ([("a", ["x"]), ("b", ["x"])], [], "a reference"),
        ([("a", ["x"]), ("b", ["x", "y"])], [["x"]], "reference 1 has 1 lines, but b has 2"),
        ([("a", ["x"]), ("b", ["x"])], [["x"], ["x", "y"]], "reference 2 has 2"),
        ([("a", []), ("b", [])], [["x"]], "a: empty"),
    ],
)
def test_texts_that_cannot_be_compared(
    systems: list[tuple[str, list[str]]], refs: list[list[str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        compare(systems, refs)


def test_a_wrong_seed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "x")
    with pytest.raises(ConfigError, match="SACREBLEU_SEED"):
        compare([("a", ["x"]), ("b", ["x"])], [["x"]])
