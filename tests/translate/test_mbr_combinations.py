"""Minimum Bayes risk together with other features: each sees the chosen candidates."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import nmt
from nmt.config.search import SearchOptions
from nmt.runs.model import load_model
from nmt.translate.torch_engine import Networks
from nmt.translate.translation import Translation
from nmt.translate.translator import Translator

LINES = ["the cat sat.", "", "a dog ran home on a mat.", "  ", "the cat sat."]
BEAM = {"mbr": "bleu", "beam_size": 6, "nbest": 2}
SAMPLED = {"mbr": "chrf", "mbr_candidates": 6, "temperature": 1.5, "nbest": 2}

either = pytest.mark.parametrize("mbr", [BEAM, SAMPLED], ids=["beam", "samples"])


@pytest.fixture(scope="module")
def own(trained_run: Path) -> nmt.Model:
    return nmt.load(trained_run, engine="nmt", threads=1)


def candidates(model: nmt.Model, mbr: dict[str, Any], **options: Any) -> list[Translation]:
    """Return all that mbr chooses from."""
    plain = {name: value for name, value in mbr.items() if not name.startswith("mbr")}
    return model.translate(LINES, **plain | {"nbest": 6}, **options)


@either
def test_alignments_are_those_of_the_chosen(own: nmt.Model, mbr: dict[str, Any]) -> None:
    chosen = own.translate(LINES, **mbr, alignments=True)
    for each, of_line in zip(chosen, candidates(own, mbr, alignments=True), strict=True):
        known = [(h.text, h.alignment) for h in of_line.hypotheses]
        assert all((h.text, h.alignment) in known for h in each.hypotheses)
    assert all(h.alignment for h in chosen[0].hypotheses if h.text)


@either
def test_token_alternatives_are_those_of_the_chosen(own: nmt.Model, mbr: dict[str, Any]) -> None:
    chosen = own.translate(LINES, **mbr, token_alternatives=2)
    for each in chosen:
        for h in each.hypotheses:
            assert "".join(h.tokens[:-1]).replace("\u2581", " ").strip() == h.text
            assert len(h.alternatives) == len(h.tokens) == h.num_tokens


@either
def test_candidates_begin_with_the_prefix(own: nmt.Model, mbr: dict[str, Any]) -> None:
    prefixes = ["A DOG", "", "", "", "HOME"]
    chosen = own.translate(LINES, prefixes, **mbr)
    for each, line, prefix in zip(chosen, LINES, prefixes, strict=True):
        assert all(h.text.startswith(prefix) for h in each.hypotheses)
        assert bool(each.text) == bool(line.strip())


def test_candidates_of_a_beam_have_the_required_terms(own: nmt.Model) -> None:
    first, *_, last = own.translate(LINES, **BEAM, constraints=[["HOME"], [], [], [], []])
    assert "HOME" in first.text
    assert first.missing == []
    assert last.text == own.translate(LINES[-1], **BEAM).text


@either
def test_long_lines_are_chosen_in_parts(own: nmt.Model, mbr: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="translated in 2 parts"):
        [line] = own.translate(["the cat sat. a dog ran home."], **mbr, max_input_length=12)
    assert all(h.utility is not None and 0 <= h.utility <= 100 for h in line.hypotheses)


class _Pair:
    """Two peers in threads of one process."""

    size = 2

    def __init__(self, rank: int, values: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self._values, self._barrier = rank, values, barrier

    def gather(self, value: Any) -> list[Any]:
        self._values[self.rank] = value
        self._barrier.wait(60)
        found = [*self._values]
        self._barrier.wait(60)
        return found


@either
def test_two_processes_choose_what_one_chooses(trained_run: Path, mbr: dict[str, Any]) -> None:
    engine, options = Networks([load_model(trained_run)]), SearchOptions(**mbr, batch_tokens=40)
    found: dict[int, list[Translation]] = {}
    values, barrier = [None, None], threading.Barrier(2)

    def translate(rank: int) -> None:
        translator = Translator(engine, options, peers=_Pair(rank, values, barrier))
        found[rank] = list(translator.translate(LINES))

    threads = [threading.Thread(target=translate, args=[rank]) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    for each, alone in zip(found[0], Translator(engine, options).translate(LINES), strict=True):
        assert [h.text for h in each.hypotheses] == [h.text for h in alone.hypotheses]
        assert each.hypotheses[0].utility == pytest.approx(alone.hypotheses[0].utility)
