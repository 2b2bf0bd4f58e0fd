"""Minimum Bayes risk decoding: utilities as sacreBLEU's, and the choice among candidates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

import nmt
from command import run_nmt
from nmt.config.search import SearchOptions
from nmt.translate.formats import JsonLayout, TextLayout
from nmt.translate.mbr import best_candidates, bleu_matrix, chrf_matrix, weights_of_list

LINES = ["the cat sat.", "a dog ran home on a mat.", "", "the mat the mat", "home", "the cat sat."]
SAMPLED = {"mbr": "chrf", "mbr_candidates": 8, "temperature": 1.0}

some_texts = st.lists(
    st.one_of(st.text(alphabet="ab c.,ä\u2003", max_size=20), st.text(max_size=8)), max_size=5
)


@settings(max_examples=60, deadline=None)
@given(some_texts)
def test_the_utilities_are_those_of_sacrebleu(texts: list[str]) -> None:
    texts = [*texts, "", "a b c d e f", "a b c. a b c. a b c.", "aaaaaaa"]
    chrf, bleu = chrf_matrix(texts), bleu_matrix(texts)
    for i, hypothesis in enumerate(texts):
        for j, reference in enumerate(texts):
            expected = sacrebleu.sentence_chrf(hypothesis, [reference]).score
            assert chrf[i, j] == pytest.approx(expected, abs=1e-9)
            expected = sacrebleu.sentence_bleu(hypothesis, [reference]).score
            assert bleu[i, j] == pytest.approx(expected, abs=1e-9)


def test_equal_candidates_count_as_often_as_they_occur() -> None:
    texts = ["a dog", "the cat", "a dog", "the cats", "a dog"]
    chosen = best_candidates(texts, [1.0] * 5, "chrf")
    matrix = chrf_matrix(texts)
    assert sorted(each.place for each in chosen) == [0, 1, 3]
    for place, utility in chosen:
        assert utility == pytest.approx(matrix[place].mean())
    assert [each.utility for each in chosen] == sorted(
        (each.utility for each in chosen), reverse=True
    )
    assert chosen[0].place == 0
    weighted = best_candidates(texts, [0.0, 1.0, 0.0, 2.0, 0.0], "bleu")
    assert texts[weighted[0].place] == "the cats"


def test_ties_go_to_the_first() -> None:
    assert [each.place for each in best_candidates(["x", "y", "z"], [1, 1, 1], "chrf")] == [0, 1, 2]
    assert best_candidates(["", ""], [1, 1], "bleu") == [(0, 0.0)]


def test_the_weights_of_a_list() -> None:
    first, second = weights_of_list([-1000.0, -1001.0])
    assert second / first == pytest.approx(0.36788, abs=1e-5)


@pytest.fixture(scope="module")
def own(trained_run: Path) -> nmt.Model:
    return nmt.load(trained_run, engine="nmt", threads=1)


def test_it_chooses_among_the_samples(own: nmt.Model) -> None:
    samples = own.translate(LINES, temperature=1.0, nbest=8)
    found = own.translate(LINES, **SAMPLED, nbest=3)
    for each, of_line in zip(found, samples, strict=True):
        texts = [h.text for h in of_line.hypotheses]
        if not texts[0]:
            continue
        chosen = best_candidates(texts, [1.0] * 8, "chrf")[:3]
        assert [h.text for h in each.hypotheses] == [texts[place] for place, _ in chosen]
        assert [h.utility for h in each.hypotheses] == [utility for _, utility in chosen]
    assert found[2].text == ""
    best = own.translate(LINES, **SAMPLED)
    assert [each.hypotheses[0] for each in found] == [each.hypotheses[0] for each in best]
    small = own.translate(LINES, **SAMPLED, batch_tokens=20)
    for one, other in zip(best, small, strict=True):
        assert (one.text, one.hypotheses[0].utility) == (other.text, other.hypotheses[0].utility)


def test_it_chooses_among_the_beam_with_both_engines(trained_run: Path, own: nmt.Model) -> None:
    options = {"mbr": "bleu", "beam_size": 6, "nbest": 2}
    other = nmt.load(trained_run, engine="ctranslate2", threads=2)
    beams = own.translate(LINES, beam_size=6, nbest=6)
    for model in (own, other):
        found = model.translate(LINES, **options)
        assert found[0].hypotheses == found[-1].hypotheses  # a repeated line
        for each, beam in zip(found, beams, strict=True):
            if beam.text:
                weights = weights_of_list([h.log_prob for h in beam.hypotheses])
                texts = [h.text for h in beam.hypotheses]
                chosen = best_candidates(texts, weights, "bleu")[:2]
                assert [h.text for h in each.hypotheses] == [texts[place] for place, _ in chosen]
                assert [h.utility for h in each.hypotheses] == pytest.approx(
                    [utility for _, utility in chosen], abs=1e-2
                )


def test_the_parts_of_a_line_are_chosen_separately(own: nmt.Model) -> None:
    options = {"mbr": "chrf", "nbest": 2, "split_sentences": True}
    [line] = own.translate(["the cat sat. the dog ran home!"], **options)
    parts = own.translate(["the cat sat.", "the dog ran home!"], **options)
    for place, h in enumerate(line.hypotheses):
        of_parts = [part.hypotheses[place] for part in parts]
        assert h.text == " ".join(part.text for part in of_parts)
        assert h.utility == pytest.approx(sum(part.utility or 0.0 for part in of_parts) / 2)


def test_json_has_the_expected_utility(trained_run: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    text = '{"src": "the cat sat."}\n{"src": ""}\n'
    options = ["--mbr", "chrf", "--mbr-candidates", 8, "--temperature", 1, "--nbest", 2]
    source.write_text(text, "utf-8")
    done = run_nmt("translate", trained_run, source, "--format=jsonl", *options)
    assert done.exit_code == 0, done.stderr
    record, blank = map(json.loads, done.stdout.split("\n")[:-1])
    utilities = [each["expected_utility"] for each in record["nbest"]]
    assert record["expected_utility"] == utilities[0] >= utilities[-1]
    assert blank["expected_utility"] is None
    layout = JsonLayout("src", nbest=True, utility=True)
    for line in done.stdout.split("\n")[:-1]:  # what is read back is written as it was
        [again] = layout.read_output([line])
        item = layout.read(json.dumps({"src": json.loads(line)["src"]}), 1)
        assert layout.write(1, item, again) == line


def test_a_model_is_evaluated_with_it(trained_run: Path, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_text("the cat sat.\na dog ran home.\n", "utf-8")
    output = tmp_path / "out"
    options = ["--mbr", "chrf", "--top-p", 0.9, "--mbr-candidates", 4, "--output", output]
    done = run_nmt("evaluate", trained_run, "--src", source, "--ref", source, *options)
    assert done.exit_code == 0, done.stderr
    again = run_nmt("translate", trained_run, source, *options[:-2])
    assert again.stdout == output.read_text("utf-8")


def test_a_job_is_not_resumed_with_other_candidates(own: nmt.Model) -> None:
    from nmt.translate.resume import _job

    changes = [{}, {"mbr": "chrf"}, {"mbr": "bleu"}, {"mbr": "chrf", "mbr_candidates": 3}]
    jobs = [json.dumps(_job(own.translator(each), TextLayout())) for each in changes]
    assert len({*jobs}) == 4


def test_the_number_of_candidates() -> None:
    assert SearchOptions(nbest=2).candidates == 2
    assert SearchOptions(mbr="chrf").candidates == 4
    assert SearchOptions(mbr="chrf", patience=0.5).candidates == 2
    assert SearchOptions(mbr="chrf", stop="bound", beam_size=7).candidates == 7
    assert SearchOptions(mbr="chrf", top_p=0.9).candidates == 32
    assert SearchOptions(mbr="chrf", top_p=0.9, mbr_candidates=64).candidates == 64
