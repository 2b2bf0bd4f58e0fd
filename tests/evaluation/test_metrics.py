"""Scores equal those of the sacrebleu command, and alignment error rates those worked by hand."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import sacrebleu.tokenizers.tokenizer_ja_mecab
import sacrebleu.tokenizers.tokenizer_spm

from nmt.errors import ConfigError, DataError, FileError
from nmt.evaluation.metrics import EvaluateOptions, evaluate, score_alignments

WORDS = ["The", "the", "cat", "CAT", "sat", "on", "mat", ",", ".", "mat.", "U.S.", "3.5%", "don't"]
WORDS += ["\u2028", "Über", "naïve"]


def sentences(seed: int, number: int = 60) -> list[str]:
    """Return random lines over a small vocabulary, so that any two share n-grams."""
    draw = random.Random(seed)
    lines = [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(number)]
    return [*lines, "ends in spaces  ", ""]


HYPOTHESES = sentences(1)
REFERENCES = [sentences(2), sentences(3)]


def sacrebleu_command(folder: Path, *arguments: str) -> list[dict[str, object]]:
    """Run `sacrebleu` on the lines above, and return its JSON with as many digits as possible."""
    paths = []
    for number, lines in enumerate([HYPOTHESES, *REFERENCES]):
        path = folder / f"{number}.txt"
        path.write_bytes("".join(line + "\n" for line in lines).encode())
        paths.append(str(path))
    command = [sys.executable, "-m", "sacrebleu", *paths[1:], "-i", paths[0], "--width", "9"]
    out = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout
    scores = json.loads(out)
    return scores if isinstance(scores, list) else [scores]


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (EvaluateOptions(["bleu", "chrf", "ter"]), "--metrics bleu chrf ter"),
        (
            EvaluateOptions(["bleu", "chrf", "ter"], confidence=True),
            "--metrics bleu chrf ter --confidence",
        ),
        (
            EvaluateOptions(["bleu", "chrf"], lowercase=True),
            "--metrics bleu chrf --lowercase --chrf-lowercase",
        ),
        (EvaluateOptions(tokenize="none"), "--tokenize none"),
        (EvaluateOptions(tokenize="intl"), "--tokenize intl"),
        (EvaluateOptions(tokenize="char"), "--tokenize char"),
    ],
)
def test_scores_equal_the_sacrebleu_command(
    options: EvaluateOptions, arguments: str, tmp_path: Path
) -> None:
    expected = sacrebleu_command(tmp_path, *arguments.split(" "))
    scores = evaluate(HYPOTHESES, REFERENCES, options)
    assert [score.metric for score in scores] == list(options.metrics)
    assert len(scores) == len(expected)
    for score, theirs in zip(scores, expected, strict=True):
        assert score.name == theirs["name"]
        assert score.signature == theirs["signature"]
        assert round(score.score, 9) == theirs["score"]
        assert score.details == theirs.get("verbose_score", "")
        if options.confidence:
            assert score.mean is not None
            assert score.margin is not None
            assert round(score.mean, 9) == theirs["confidence_mean"]
            assert round(score.margin, 9) == theirs["confidence_var"]
        else:
            assert score.mean is None


def test_printed_line_equals_the_sacrebleu_command(tmp_path: Path) -> None:
    paths = [tmp_path / "hyp", tmp_path / "ref"]
    for path, lines in zip(paths, [HYPOTHESES, REFERENCES[0]], strict=True):
        path.write_bytes("".join(line + "\n" for line in lines).encode())
    command = [sys.executable, "-m", "sacrebleu", str(paths[1]), "-i", str(paths[0])]
    out = subprocess.run(
        [*command, "--format", "text", "--confidence", "--no-color"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    [score] = evaluate(HYPOTHESES, REFERENCES[:1], EvaluateOptions(confidence=True))
    assert str(score) + "\n" == out


def test_perfect_translations_score_100() -> None:
    lines = ["The cat sat on the mat .", "It rains all day long ."]
    bleu, chrf, ter = evaluate(lines, [lines], EvaluateOptions(["bleu", "chrf", "ter"]))
    assert (round(bleu.score, 6), round(chrf.score, 6), ter.score) == (100.0, 100.0, 0.0)


def test_target_language_selects_the_tokenizer() -> None:
    options = EvaluateOptions(tgt_lang="zh")
    [score] = evaluate(["我们 很好。"], [["我们很好。"]], options)
    assert "tok:zh" in score.signature
    [score] = evaluate(["Es geht uns gut."], [["Es geht uns gut."]], EvaluateOptions(tgt_lang="de"))
    assert "tok:13a" in score.signature


@pytest.mark.parametrize(
    ("options", "known"),
    [({"tokenize": "13b"}, "13a, char"), ({"metrics": ["blue"]}, "bleu, chrf, ter")],
)
def test_unknown_names_are_refused_and_known_ones_listed(options: dict, known: str) -> None:
    with pytest.raises(ConfigError, match=known):
        EvaluateOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metrics": ["bracket-f1"], "lowercase": True},
            "`lowercase` applies to bleu and chrf only",
        ),
        ({"metrics": ["chrf", "ter"], "tokenize": "char"}, "`tokenize` applies to bleu only"),
    ],
)
def test_settings_that_no_metric_uses_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvaluateOptions(**options)
    EvaluateOptions(**{**options, "metrics": [*options["metrics"], "bleu"]})


def test_tokenizer_that_cannot_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(sacrebleu.tokenizers.tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(FileError, match=r"tokenizer flores200: .*no network.*\$SACREBLEU"):
        evaluate(["a"], [["a"]], EvaluateOptions(tokenize="flores200"))


def test_tokenizer_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sacrebleu.tokenizers.tokenizer_ja_mecab, "MeCab", None)
    with pytest.raises(ConfigError, match=r"pip install sacrebleu\[ja\]; install it") as caught:
        evaluate(["a"], [["a"]], EvaluateOptions(tgt_lang="ja"))
    assert "\n" not in str(caught.value)


def test_line_counts_must_match() -> None:
    with pytest.raises(DataError, match="2 translations, but 1 lines in reference 2"):
        evaluate(["a", "b"], [["a", "b"], ["a"]])
    with pytest.raises(DataError, match="no translations or no references"):
        evaluate([], [[]])


def test_alignment_error_rate_by_hand() -> None:
    # Sentence 1: A = {0-0, 1-1, 2-1}, S = {0-0, 1-2}, P = S + {2-1}: A & S = {0-0}, and
    # A & P = {0-0, 2-1}. Sentence 2: A = S = P = {0-1}.
    # |A| = 4, |S| = 3, |A & S| = 2, |A & P| = 3.
    predicted = [[(0, 0), (1, 1), (2, 1)], [(0, 1)]]
    sure = [[(0, 0), (1, 2)], [(0, 1)]]
    score = score_alignments(predicted, sure, [[(2, 1)], []])
    assert score.precision == pytest.approx(3 / 4)
    assert score.recall == pytest.approx(2 / 3)
    assert score.error_rate == pytest.approx(1 - (2 + 3) / (4 + 3))
    # With one kind of link: |A & P| = |A & S| = 2, and AER = 1 - 2 * 2 / 7 = 1 - F1.
    score = score_alignments(predicted, sure)
    assert score.precision == pytest.approx(2 / 4)
    assert score.error_rate == pytest.approx(3 / 7)
    f1 = 2 * score.precision * score.recall / (score.precision + score.recall)
    assert score.error_rate == pytest.approx(1 - f1)
    assert score_alignments(sure, sure).error_rate == 0
    assert score_alignments([[(5, 5)], []], sure).error_rate == 1


def test_alignments_without_a_score() -> None:
    with pytest.raises(DataError, match="of 1 sentences, but 2"):
        score_alignments([[(0, 0)]], [[(0, 0)], []])
    with pytest.raises(DataError, match="no links"):
        score_alignments([[]], [[]])
