"""`nmt evaluate` and `nmt score`: sources of text, formats and errors."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu.dataset
from typer.testing import Result

from command import run_nmt


def out_of(result: Result) -> str:
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes.decode("utf-8")


def sacrebleu_text(hyp: Path, *refs: Path) -> str:
    """Return the scores that sacreBLEU's own command prints."""
    command = [sys.executable, "-m", "sacrebleu", *refs, "-i", hyp, "--format", "text"]
    command += ["--metrics", "bleu", "chrf", "ter"]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


@pytest.fixture
def src(trained_run: Path) -> Path:
    return trained_run.parent / "test.src"


@pytest.fixture
def ref(trained_run: Path) -> Path:
    return trained_run.parent / "test.tgt"


def test_scores_of_a_model_equal_those_of_sacrebleu(
    trained_run: Path, src: Path, ref: Path, tmp_path: Path
) -> None:
    hyp = tmp_path / "hyp"
    out = out_of(run_nmt("evaluate", trained_run, "--src", src, "--ref", ref, "--ref", src,
                         "--metrics", "bleu,chrf,ter", "--output", hyp))  # fmt: skip
    assert [line.strip() for line in out.split("\n")] == [
        line.strip() for line in sacrebleu_text(hyp, ref, src).split("\n")
    ]
    translated = run_nmt("translate", trained_run, src)
    assert hyp.read_bytes() == translated.stdout_bytes


def test_the_default_is_the_test_set_of_the_configuration(
    trained_run: Path, src: Path, ref: Path
) -> None:
    by_default = out_of(run_nmt("evaluate", trained_run, "--json"))
    assert by_default == out_of(
        run_nmt("evaluate", trained_run, "--json", "--src", src, "--ref", ref)
    )
    scores = json.loads(by_default)
    assert [score["metric"] for score in scores] == ["bleu", "chrf"]
    assert scores[0]["name"] == "BLEU"
    assert scores[0]["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a")


def test_search_options_apply(trained_run: Path, tmp_path: Path) -> None:
    outputs = []
    for beam_size in (1, 8):
        path = tmp_path / str(beam_size)
        out_of(run_nmt("evaluate", trained_run, "--beam-size", beam_size, "--output", path))
        outputs.append(path.read_text(encoding="utf-8"))
    assert outputs[0] != outputs[1]
    assert outputs[0].count("\n") == outputs[1].count("\n") == 30


def test_inputs_are_not_overwritten(trained_run: Path, src: Path, ref: Path) -> None:
    before = src.read_bytes(), ref.read_bytes()
    files = ("--src", src, "--ref", ref)
    for output in (src, ref, trained_run / "config.yaml"):
        for arguments in (files, ()):  # () means data.test of the model: the same files
            result = run_nmt("evaluate", trained_run, *arguments, "--output", output)
            assert result.exit_code == 2
            assert f"{output}: the same file as" in result.stderr
    assert (src.read_bytes(), ref.read_bytes()) == before


def test_translations_can_go_to_standard_output(trained_run: Path, src: Path) -> None:
    result = run_nmt("evaluate", trained_run, "--output", "-")
    assert out_of(result) == out_of(run_nmt("translate", trained_run, src))
    assert result.stderr.startswith("BLEU|")


@pytest.mark.parametrize("marked", ["hyp", "ref", "both"])
def test_a_byte_order_mark_counts_as_text_as_in_sacrebleu(tmp_path: Path, marked: str) -> None:
    for name, last in (("hyp", "today"), ("ref", "now")):
        mark = "\ufeff" if marked in (name, "both") else ""
        text = f"{mark}the cat sat on a mat.\na dog ran home {last}.\n"
        (tmp_path / name).write_text(text, encoding="utf-8")
    hyp, ref = tmp_path / "hyp", tmp_path / "ref"
    result = run_nmt("evaluate", "--hyp", hyp, "--ref", ref, "--metrics=bleu,chrf,ter")
    assert out_of(result).split() == sacrebleu_text(hyp, ref).split()
    assert "byte-order mark" in result.stderr


def test_existing_translations_can_be_scored(src: Path, ref: Path) -> None:
    [bleu] = json.loads(out_of(run_nmt("evaluate", "--hyp", src, "--ref", ref, "--metrics=bleu",
                                       "--lowercase", "--confidence", "--tokenize=char",
                                       "--json")))  # fmt: skip
    assert bleu["score"] == pytest.approx(100.0)
    assert bleu["mean"] == pytest.approx(100.0)
    assert bleu["margin"] == pytest.approx(0.0)
    assert "case:lc" in bleu["signature"]
    assert "tok:char" in bleu["signature"]


@pytest.fixture
def cached_test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = sacrebleu.dataset.DATASETS["wmt14/full"]
    monkeypatch.setattr(dataset, "_outdir", str(tmp_path))
    for field in dataset.fieldnames("en-de"):
        path = Path(dataset._get_txt_file_path("en-de", field))
        path.write_text("the cat sat on a mat.\na dog ran home.\n", encoding="utf-8")


@pytest.mark.usefixtures("cached_test_set")
def test_a_test_set_can_be_chosen_by_name(trained_run: Path, tmp_path: Path) -> None:
    hyp = tmp_path / "hyp"
    options = ["--test-set", "wmt14/full", "--json"]
    by_model = out_of(run_nmt("evaluate", trained_run, *options, "--output", hyp))
    assert hyp.read_text(encoding="utf-8").count("\n") == 2
    by_file = out_of(run_nmt("evaluate", "--hyp", hyp, *options, "--langs", "en-de"))
    assert by_file == by_model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "MODEL"),
        (["RUN", "--hyp", "SRC"], "MODEL"),
        (["RUN", "--ref", "REF"], "--src"),
        (["RUN", "--src", "SRC"], "--ref"),
        (["--hyp", "SRC"], "--ref"),
        (["--hyp", "SRC", "--ref", "REF", "--src", "SRC"], "--src"),
        (["--hyp", "SRC", "--test-set", "wmt14/full"], "--langs"),
        (["--hyp", "SRC", "--ref", "REF", "--langs", "en-de"], "--test-set"),
        (["--hyp", "SRC", "--ref", "REF", "--test-set", "wmt14/full", "--langs", "en-de"], "leave"),
        (["--hyp", "SRC", "--ref", "REF", "--metrics", "bleu,meteor"], "bleu, chrf, ter"),
        (["--hyp", "SRC", "--ref", "REF", "--tokenize", "moses"], "13a"),
    ],
)
def test_conflicting_arguments_exit_with_2(
    arguments: list[str], message: str, trained_run: Path, src: Path, ref: Path
) -> None:
    places = {"RUN": trained_run, "SRC": src, "REF": ref}
    result = run_nmt("evaluate", *(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_different_numbers_of_lines_exit_with_3(
    trained_run: Path, src: Path, tmp_path: Path
) -> None:
    shorter = tmp_path / "shorter"
    shorter.write_text("one line\n")
    assert run_nmt("evaluate", "--hyp", src, "--ref", shorter).exit_code == 3
    result = run_nmt("evaluate", trained_run, "--src", src, "--ref", shorter)
    assert result.exit_code == 3
    assert f"{src} has 30 lines, but {shorter} has 1" in result.stderr
    result = run_nmt("score", trained_run, "--src", src, "--tgt", shorter)
    assert result.exit_code == 3
    assert "line 1" in result.stderr


# ---------------------------------------------------------------- nmt score


def test_scores_and_totals(trained_run: Path, src: Path, ref: Path) -> None:
    result = run_nmt("score", trained_run, "--src", src, "--tgt", ref)
    log_probs = [float(line) for line in out_of(result).split("\n")[:-1]]
    *pairs, totals = map(
        json.loads,
        out_of(run_nmt("score", trained_run, "--src", src, "--tgt", ref, "--json")).split("\n")[
            :-1
        ],
    )
    assert [pair["log_prob"] for pair in pairs] == pytest.approx(log_probs, abs=1e-4)
    for pair in pairs:
        assert pair["pieces"][-1] == "</s>"
        assert len(pair["pieces"]) == len(pair["token_log_probs"])
        assert sum(pair["token_log_probs"]) == pytest.approx(pair["log_prob"])
    tokens = sum(len(pair["pieces"]) for pair in pairs)
    assert totals["pairs"] == len(pairs) == 30
    assert totals["tokens"] == tokens
    assert totals["perplexity"] == pytest.approx(math.exp(-sum(log_probs) / tokens), rel=1e-4)
    assert result.stderr.startswith("perplexity ")
    assert float(result.stderr.split()[1].rstrip(",")) == pytest.approx(totals["perplexity"], 0.01)


def test_a_learned_translation_has_a_lower_perplexity_than_a_wrong_one(
    trained_run: Path, src: Path, ref: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(src.read_bytes())  # not in capitals, which the model has learned
    totals = [
        json.loads(
            out_of(run_nmt("score", trained_run, "--src", src, "--tgt", tgt, "--json"))
            .rstrip("\n")
            .rpartition("\n")[2]
        )
        for tgt in (ref, wrong)
    ]
    assert totals[0]["perplexity"] < totals[1]["perplexity"]
