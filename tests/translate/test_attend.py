"""Attention weights of a sentence pair, and `nmt attend`."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import Result

from command import run_nmt
from nmt.config.models import RecurrentConfig
from nmt.errors import ConfigError, DataError
from nmt.model.build import make_network
from nmt.model.observe import forced_attention
from nmt.report.attention.page import render_page
from nmt.runs.model import TrainedModel, load_model
from nmt.translate.attend import PairAttention, pair_attention
from nmt.translate.torch_engine import Networks
from nmt.translate.translator import Translator
from nmt.translate.words import split_words

SRC, TGT = "the naïve cat sat </script>", "THE CAT <!-- SAT."


@pytest.fixture(scope="module")
def model(trained_run: Path) -> TrainedModel:
    return load_model(trained_run)


@pytest.fixture(scope="module")
def pair(model: TrainedModel) -> PairAttention:
    return pair_attention(model, SRC, TGT)


def test_weights_are_those_of_the_model(model: TrainedModel, pair: PairAttention) -> None:
    tokenizer = model.tokenizers.src
    [src], [tgt] = tokenizer.encode([SRC]), tokenizer.encode([TGT])
    attention = forced_attention(
        model.network,
        torch.tensor([[*src, tokenizer.eos_id]]),
        torch.tensor([[tokenizer.bos_id, *tgt]]),
    )
    for name in ("encoder", "decoder", "cross"):
        for weights, expected in zip(getattr(pair, name), getattr(attention, name), strict=True):
            torch.testing.assert_close(torch.tensor(weights), expected[0], atol=6e-6, rtol=0)
            for row in (row for head in weights for row in head):
                assert math.isclose(sum(row), 1, abs_tol=1e-3)


def test_tokens_and_words(pair: PairAttention) -> None:
    joined = "".join(pair.src_tokens).replace("▁", " ")
    assert joined == f" {SRC}</s>"
    assert pair.src_words[-1] == -1
    assert sorted(set(pair.src_words[:-1])) == [0, 1, 2, 3, 4]
    assert pair.tgt_in == ["<s>", *pair.tgt_out[:-1]]
    assert pair.tgt_in_words == [-1, *pair.tgt_out_words[:-1]]
    assert pair.tgt_out[-1] == "</s>"
    assert len(pair.encoder[0][0]) == len(pair.src_tokens)
    assert len(pair.decoder[0][0]) == len(pair.cross[0][0]) == len(pair.tgt_out)
    assert len(pair.cross[0][0][0]) == len(pair.src_tokens)


def test_default_target_is_the_models_translation(model: TrainedModel) -> None:
    pair = pair_attention(model, "the cat sat.")
    [expected] = Translator(Networks([model])).translate(["the cat sat."])
    assert pair.tgt == expected.text
    assert pair.tgt_out[-1] == "</s>"


@pytest.mark.parametrize("src", ["", "   ", "\udcff"])
def test_empty_or_invalid_source(model: TrainedModel, src: str) -> None:
    with pytest.raises(DataError, match="`src`"):
        pair_attention(model, src)


def test_empty_target_has_one_position(model: TrainedModel) -> None:
    pair = pair_attention(model, "the cat.", "")
    assert (pair.tgt_in, pair.tgt_out) == (["<s>"], ["</s>"])
    assert pair.decoder == [[[[1.0]], [[1.0]]]]


def test_json_cannot_end_its_script_element(pair: PairAttention) -> None:
    page = render_page(pair)
    assert page.count("</script>") == page.count("<script") == 2
    assert page.count("<!--") == 0
    assert f"<title>Attention: {SRC.replace('<', '&lt;').replace('>', '&gt;')}</title>" in page
    data = page.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data) == json.loads(pair.to_json())


def test_page_is_self_contained(pair: PairAttention) -> None:
    page = render_page(pair)
    assert "{{" not in page.split('id="data">')[0]
    assert "http://www.w3.org/2000/svg" in page
    rest = page.replace("http://www.w3.org/2000/svg", "")
    assert not any(mark in rest for mark in ("http:", "https:", "src=", "href=", "url(", "@import"))


def attend(run: Path, *arguments: str) -> Result:
    return run_nmt("attend", run, "--threads", 1, *arguments)


def test_other_kinds_of_model_are_refused(model: TrainedModel) -> None:
    section = RecurrentConfig(kind="rnn", d_model=8, d_hidden=8)
    config = model.config.model_copy(update={"model": section})
    recurrent = replace(
        model, config=config, network=make_network(config.model, *model.tokenizers.sizes)
    )
    with pytest.raises(ConfigError, match=r"attention needs .* model.kind: transformer; .* rnn"):
        pair_attention(recurrent, SRC, TGT)


def test_attend_command(trained_run: Path, pair: PairAttention, tmp_path: Path) -> None:
    given = ["--src", SRC, "--tgt", TGT]
    out = tmp_path / "attention.html"
    done = attend(trained_run, *given, "-o", str(out))
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    assert out.read_text("utf-8") == render_page(pair) + "\n"
    done = attend(trained_run, *given, "--json")
    assert json.loads(done.stdout) == json.loads(pair.to_json())
    done = attend(trained_run, *given, "-o", "-")
    assert done.stdout == render_page(pair) + "\n"
    done = attend(trained_run, *given, "--json", "-o", str(tmp_path / "a.json"))
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == json.loads(pair.to_json())


def test_attend_command_refusals(trained_run: Path, tmp_path: Path) -> None:
    done = attend(trained_run, "--src", "the cat.", "-o", str(trained_run / "config.yaml"))
    assert done.exit_code == 2
    assert "config.yaml: the same file as" in done.stderr
    done = attend(trained_run, "--src", "the cat.")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "-o attention.html" in done.stderr
    done = attend(trained_run, "--src", " ", "--json")
    assert (done.exit_code, done.stdout) == (3, "")
    done = attend(tmp_path / "none", "--src", "x", "--json")
    assert done.exit_code == 4


def test_translate_prints_alignments(trained_run: Path, tmp_path: Path) -> None:
    def translate(*arguments: str) -> Result:
        text = tmp_path / "in"
        text.write_text("the cat sat.\n\nthe cat sat.\n", "utf-8")
        return run_nmt("translate", trained_run, text, "--threads", 1, *arguments)

    plain = translate().stdout.split("\n")
    rows = translate("--alignments").stdout.split("\n")
    assert [row.split("\t")[0] for row in rows] == plain
    assert rows[1] == "\t"
    assert rows[0] == rows[2]
    assert rows[0].count("-") == len(split_words(plain[0]))
    done = translate("--alignments", "--output", str(tmp_path / "out"))
    assert done.exit_code == 0
    assert (tmp_path / "out").read_text("utf-8").split("\n") == rows
