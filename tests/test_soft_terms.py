"""Terms that a model is shown behind the source: training, both engines, and what is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import nmt
from command import run_nmt
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.terms import TERM
from nmt.errors import ConfigError, DataError
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.runs.layout import load_run_config
from nmt.runs.model import load_model
from nmt.training.run import train

WORDS = ["the", "cat", "dog", "sat", "on", "mat", "ran", "home"]
LINES = ["the cat sat", "dog ran home", "cat on mat", "", "home"]
TERMS: list[list[str]] = [["CAT"], ["dog", "HOME"], [], [], ["home"]]


@pytest.fixture(scope="module")
def soft_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run in whose corpus each word is translated by itself or in capitals, at random."""
    folder = tmp_path_factory.mktemp("soft")
    draw = random.Random(1)
    rows = [draw.choices(WORDS, k=draw.randint(1, 4)) for _ in range(1500)]
    both = [[draw.choice([word, word.upper()]) for word in row] for row in rows]
    for name, lines in (("src", rows), ("tgt", both)):
        (folder / name).write_text("".join(" ".join(row) + "\n" for row in lines), "utf-8")
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    config = Config.model_validate(
        {
            "data": {
                **{"src_lang": "en", "tgt_lang": "de", "max_length": 20},
                **{"train": {"src": f"{folder}/src", "tgt": f"{folder}/tgt"}},
                **{"cache_dir": str(folder / "cache"), "terms": {"probability": 0.8}},
            },
            "tokenizer": {"vocab_size": 70},
            "model": {"d_model": 64, "num_heads": 2, "d_ff": 64, "dropout": 0.0, **layers},
            "train": {
                **{"batch_tokens": 1500, "learning_rate": 0.01, "max_steps": 250},
                **{"warmup_steps": 20, "threads": 1, "average": "none", "device": "cpu"},
            },
        }
    )
    train(config, folder / "run", Console(stderr=True))
    return folder / "run"


@pytest.fixture(params=["nmt", "ctranslate2"])
def model(request: pytest.FixtureRequest, soft_run: Path) -> nmt.Model:
    return nmt.load(soft_run, engine=request.param, threads=1)


def texts(translations: Any) -> list[str]:
    return [one.text for one in translations]


def test_both_engines_use_the_terms_that_they_are_shown(model: nmt.Model) -> None:
    found = model.translate(LINES, constraints=TERMS, terms="soft")
    assert [one.missing for one in found] == [[]] * 5
    assert texts(found)[2:4] == texts(model.translate(LINES))[2:4]
    alone = [
        model.translate(line, constraints=row, terms="soft").text
        for line, row in zip(LINES, TERMS, strict=True)
    ]
    assert alone == texts(found)
    other = model.translate(LINES[0], constraints=["cat"], terms="soft")
    assert "cat" in other.text.split()
    greedy = model.translate(LINES[0], constraints=["CAT"], terms="soft", beam_size=1)
    assert "CAT" in greedy.text.split()


def test_a_glossary_shows_the_first_form(model: nmt.Model, tmp_path: Path) -> None:
    path = tmp_path / "terms.tsv"
    path.write_text("cat\tCAT\tcat\nhome\thome\n", "utf-8")
    found = texts(model.translate(LINES, glossary=path, terms="soft"))
    assert "CAT" in found[0].split()
    assert "home" in found[1].split()
    long = "cat sat on mat cat sat on mat"  # in two parts, each of which has its terms
    with pytest.warns(UserWarning, match="translated in 2 parts"):
        found = model.translate([long], glossary=path, terms="soft", max_input_length=7)
    assert found[0].text.split().count("CAT") == 2


def test_shown_terms_are_no_source_words(model: nmt.Model, soft_run: Path) -> None:
    found = model.translate(LINES, constraints=TERMS, terms="soft", alignments=True)
    for line, one in zip(LINES, found, strict=True):
        assert all(src < len(line.split()) for src, _ in one.alignment)
        assert not one.is_short
    limited = model.translate(
        "the", constraints=[" ".join(WORDS).upper()], terms="soft", max_extra_len=0
    )
    tokenizer = load_model(soft_run).tokenizers.src
    assert limited.hypotheses[0].num_tokens <= 1 + len(tokenizer.encode(["the"])[0])


def test_terms_without_room_are_reported(model: nmt.Model) -> None:
    many = [word.upper() for word in WORDS] * 3
    found = model.translate("the cat", constraints=many, terms="soft", max_input_length=8)
    assert {"RAN", "HOME"} <= {*found.missing}


def test_both_shows_and_requires(soft_run: Path) -> None:
    own = nmt.load(soft_run, engine="nmt", threads=1)
    found = own.translate(LINES, constraints=[["MAT"], *TERMS[1:]], terms="both")
    assert [one.missing for one in found] == [[]] * 5
    assert "MAT" in found[0].text.split()
    with pytest.raises(ConfigError, match=r"`beam_size` 1.*except with `terms` soft"):
        own.translate(LINES, constraints=TERMS, terms="both", beam_size=1)


def test_the_command(soft_run: Path, trained_run: Path, tmp_path: Path) -> None:
    rows = zip(LINES, TERMS, strict=True)
    text = "".join(json.dumps({"src": line, "constraints": terms}) + "\n" for line, terms in rows)
    (tmp_path / "in.jsonl").write_text(text, "utf-8")
    arguments = ["--format", "jsonl", "--terms", "soft", "--require-terms", tmp_path / "in.jsonl"]
    done = run_nmt("translate", soft_run, *arguments)
    assert done.exit_code == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert "CAT" in records[0]["translation"].split()
    refused = run_nmt("translate", trained_run, *arguments)
    assert refused.exit_code == 2
    assert "was trained without terms in its sources" in refused.stderr


def test_refusals(soft_run: Path, trained_run: Path) -> None:
    own = nmt.load(soft_run, engine="nmt", threads=1)
    with pytest.raises(ConfigError, match="`shortlist` cannot be combined with"):
        own.translate(LINES, terms="soft", shortlist=True)
    with pytest.raises(DataError, match=r"line 1: .* characters that the model's"):
        own.translate(LINES[:1], constraints=[["東"]], terms="soft")
    with pytest.raises(ConfigError, match=r"data\.terms=\{\} teaches them"):
        nmt.load(trained_run, threads=1).translate(LINES, terms="soft")


def test_a_trained_model_learns_terms(trained_run: Path, tmp_path: Path) -> None:
    before = load_model(trained_run)
    values = load_run_config(trained_run).model_dump()
    values["data"]["terms"] = {}
    values["train"] |= {"init_from": str(trained_run), "max_steps": 1, "learning_rate": 1e-30}
    train(Config.model_validate(values), tmp_path / "run", Console(stderr=True))
    after = load_model(tmp_path / "run")
    size = before.tokenizers.src.vocab_size
    assert after.tokenizers.src.vocab_size == size + 1
    assert after.tokenizers.src.pieces([size]) == [TERM]
    old, new = (one.network.src_embedding.weight for one in (before, after))
    assert torch.equal(new[:size], old)
    assert torch.equal(new[size], old[before.tokenizers.src.unk_id])
    lines = ["the cat sat.", "a dog ran."]
    plain = [
        texts(nmt.load(run, engine="nmt", threads=1).translate(lines))
        for run in (trained_run, tmp_path / "run")
    ]
    assert plain[0] == plain[1]


def test_info_names_the_terms(soft_run: Path, trained_run: Path) -> None:
    assert "terms" in [line.split()[0] for line in render(inspect(soft_run)) if line.strip()]
    assert "terms" not in [line.split()[0] for line in render(inspect(trained_run)) if line.strip()]
