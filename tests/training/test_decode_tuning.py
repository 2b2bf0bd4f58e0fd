"""Choosing the length penalty and the beam size on validation text."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import nmt
from command import run_nmt
from nmt.api import tune_decode, tune_decode_once
from nmt.config.schema import Config
from nmt.config.tune_decode import TuneDecodeConfig
from nmt.console import Console
from nmt.errors import ConfigError, FileError
from nmt.hub.card import PushOptions
from nmt.hub.upload import stage
from nmt.runs.decode_tuning import DecodeTuning, Setting, read_tuning, save_tuning
from nmt.runs.info import inspect
from nmt.runs.info_text import render
from nmt.runs.int8 import checksum
from nmt.runs.layout import load_run_config
from nmt.runs.model import load_model
from nmt.runs.parts import find_weights
from nmt.search.hypothesis import length_factor
from nmt.training.decode_tuning import best_of, tune
from nmt.training.decode_tuning import render as render_table
from nmt.translate.translation import ScoredText, Translation

MakeConfig = Callable[..., Config]
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "runs",
    "away",
    "from",
    "here",
]


class Lists:
    """Translates with hand-made n-best lists: a short translation and a good one.

    Args:
        long_from: the smallest penalty with which the good one ranks first.
        better: the numbers of the sentences whose good translation is better than the short one.
    """

    def __init__(self, long_from: float, better: range = range(40), seconds: float = 0.0) -> None:
        self.references = [" ".join(WORDS[i % 5 :]) + f" {i}" for i in range(40)]
        self.calls: list[dict[str, Any]] = []
        self.seconds, self.now = seconds, 0.0
        self._lists = []
        for number, text in enumerate(self.references):
            short = text.rpartition(" word9")[0]
            good = text if number in better else short
            log_prob = (
                -4.0 * length_factor(14, long_from - 0.01) / length_factor(9, long_from - 0.01)
            )
            self._lists.append([(short, -4.0, 9), (good, log_prob, 14)])

    def __call__(
        self, options: Mapping[str, Any], poll: Callable[[], None]
    ) -> Iterator[Translation]:
        self.calls.append(dict(options))
        for hypotheses in self._lists:
            self.now += self.seconds * options["beam_size"] / len(self._lists)
            poll()
            scored = [
                ScoredText(text, log_prob, log_prob, size) for text, log_prob, size in hypotheses
            ]
            best = best_of(scored, options["length_penalty"])
            others = [one for one in scored if one is not best]
            yield Translation([best, *others][: options.get("nbest", 1)])

    def clock(self) -> float:
        return self.now


def tuned(lists: Lists, config: Config, **settings: Any) -> DecodeTuning:
    train = config.train.model_copy(update={"tune_decode": TuneDecodeConfig(**settings)})
    config = config.model_copy(update={"train": train})
    return tune(lists, lists.references, config, "digest", lambda message: None, lists.clock)


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    return make_config(valid=True)


def test_the_best_length_penalty_is_found(config: Config) -> None:
    lists = Lists(long_from=1.2)
    tuning = tuned(lists, config)
    assert (tuning.configured.length_penalty, tuning.chosen.length_penalty) == (0.6, 1.2)
    assert tuning.chosen == tuning.best
    assert tuning.best_score == pytest.approx(100.0)
    assert tuning.p_value < 0.01
    scores = {row.setting.length_penalty: row.score for row in tuning.table}
    assert {score for penalty, score in scores.items() if penalty < 1.2} == {scores[0.0]}
    # One search for the list, of the smallest penalty, and two to compare in the end.
    assert [(call["length_penalty"], call.get("nbest", 1)) for call in lists.calls] == [
        (0.0, 4),
        (0.6, 1),
        (1.2, 1),
    ]
    lines = list(render_table(tuning))
    assert len(lines) == 1 + len(scores)
    assert lines[7].split() == ["4", "1.2", "100.00", "1.000", "best,", "chosen"]


def test_stop_bound_takes_a_search_for_each_penalty(config: Config) -> None:
    decode = config.decode.model_copy(update={"stop": "bound"})
    lists = Lists(long_from=1.2)
    tuning = tuned(lists, config.model_copy(update={"decode": decode}), length_penalties=[0.0, 1.2])
    assert tuning.chosen.length_penalty == 1.2
    assert [call["length_penalty"] for call in lists.calls] == [0.0, 0.6, 1.2]
    assert all("nbest" not in call for call in lists.calls)


def test_ties_keep_the_configured_value(config: Config) -> None:
    tuning = tuned(Lists(long_from=0.1), config, length_penalties=[0.2, 1.0], beam_sizes=[2, 8])
    assert tuning.chosen == tuning.best == tuning.configured
    assert tuning.p_value == 1.0


def test_a_gain_that_may_be_chance_keeps_the_configured_value(config: Config) -> None:
    tuning = tuned(Lists(long_from=1.2, better=range(1)), config)
    assert tuning.best.length_penalty == 1.2
    assert tuning.best_score > tuning.configured_score
    assert tuning.chosen == tuning.configured
    assert "no clear gain" in str(tuning)


def test_the_time_limit(config: Config) -> None:
    sizes = {"beam_sizes": [8, 16], "minutes": 1.0}
    # 8 s with beam 4, 16 s with beam 8; then no time for 32 s, and as much to compare.
    tuning = tuned(Lists(long_from=1.2, seconds=2.0), config, **sizes)
    assert {row.setting.beam_size for row in tuning.table} == {4, 8}
    with pytest.raises(ConfigError, match="1 minutes were not enough"):
        tuned(Lists(long_from=1.2, seconds=20.0), config, **sizes)


@pytest.mark.parametrize("engine", ["nmt", "ctranslate2"])
def test_a_list_of_the_smallest_penalty_serves_all(trained_run: Path, engine: str) -> None:
    model = nmt.load(trained_run, engine=engine, threads=1)
    lines = (trained_run.parent / "test.src").read_text("utf-8").split("\n")[:-1]
    lists = model.translate(lines, beam_size=3, length_penalty=0.0, nbest=3)
    for penalty in (0.6, 2.0, 5.0):
        found = model.translate(lines, beam_size=3, length_penalty=penalty)
        reranked = [best_of(one.hypotheses, penalty).text for one in lists]
        assert reranked == [one.text for one in found]


# ---------------------------------------------------------------- runs


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """Return a copy of a run that has validation text, and whose data.test is missing."""
    copy = Path(shutil.copytree(trained_run, tmp_path / "run"))
    values = yaml.safe_load((copy / "config.yaml").read_text("utf-8"))
    values["data"]["valid"] = values["data"]["test"]
    values["data"]["test"] = {"src": "/missing/test.src", "tgt": "/missing/test.tgt"}
    (copy / "config.yaml").write_text(yaml.safe_dump(values), "utf-8")
    return copy


def pretend(run: Path, **chosen: float) -> DecodeTuning:
    """Write the result of a tuning."""
    _, config, weights = find_weights(run)
    configured = Setting.of(config.decode)
    best = configured.model_copy(update=chosen)
    tuning = DecodeTuning(
        weights=checksum(weights),
        metric="bleu",
        valid_set="",
        sentences=30,
        configured=configured,
        best=best,
        chosen=best,
        configured_score=20.0,
        best_score=21.0,
        p_value=0.001,
        table=[],
    )
    save_tuning(run, tuning)
    return tuning


def test_a_model_uses_the_tuned_values_and_options_win(run: Path, tmp_path: Path) -> None:
    pretend(run, beam_size=7, length_penalty=1.4)
    for engine in ("nmt", "ctranslate2"):
        model = nmt.load(run, engine=engine, threads=1)
        options = model.translator({}).options
        assert (options.beam_size, options.length_penalty) == (7, 1.4)
        options = model.translator({"length_penalty": 0.3}).options
        assert (options.beam_size, options.length_penalty) == (7, 0.3)
    for target in ("ctranslate2", "huggingface"):
        assert run_nmt("export", run, "--to", target, "-o", tmp_path / target).exit_code == 0
    assert nmt.load(tmp_path / "ctranslate2").config.decode.length_penalty == 1.4
    generation = json.loads((tmp_path / "huggingface/generation_config.json").read_text("utf-8"))
    assert (generation["num_beams"], generation["length_penalty"]) == (7, 1.4)
    (tmp_path / "pushed").mkdir()
    stage(run, tmp_path / "pushed", "owner/name", PushOptions())
    assert load_model(tmp_path / "pushed").config.decode.beam_size == 7


def test_other_weights_and_a_changed_configuration_do_not_use_them(run: Path) -> None:
    tuning = pretend(run, length_penalty=1.4)
    values = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    values["decode"]["length_penalty"] = 0.9
    (run / "config.yaml").write_text(yaml.safe_dump(values), "utf-8")
    assert find_weights(run)[1].decode.length_penalty == 0.9
    config = load_run_config(run)
    other = {"configured": Setting.of(config.decode), "weights": "0" * 64}
    save_tuning(run, tuning.model_copy(update=other))
    assert find_weights(run)[1].decode.length_penalty == 0.9


def test_info_shows_the_tuned_values(run: Path) -> None:
    assert inspect(run).decoding == {}
    pretend(run, length_penalty=1.4)
    assert inspect(run).decoding["chosen"]["length_penalty"] == 1.4
    text = " ".join(" ".join(render(inspect(run))).split())
    assert "decoding beam_size 4, length_penalty 1.4, tuned: BLEU of 30 validation" in text
    text = (run / "decode.json").read_text("utf-8")
    (run / "decode.json").write_text(text.replace("21.0", "NaN"), "utf-8")
    assert "decode.json" in inspect(run).faults[0]
    with pytest.raises(FileError, match=r"decode\.json: not a result of `nmt tune-decode`"):
        nmt.load(run)


def test_a_run_is_tuned_once_and_without_its_test_set(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    messages: list[str] = []
    settings = TuneDecodeConfig(length_penalties=[0.0, 1.0])
    tune_decode_once(run, settings, messages.append)
    _, config, weights = find_weights(run)
    tuning = read_tuning(run, load_run_config(run), weights)
    assert tuning
    assert tuning.sentences == 30
    assert [row.setting.length_penalty for row in tuning.table] == [0.0, 0.6, 1.0]
    assert messages[-1] == str(tuning)
    assert config.decode.length_penalty == tuning.chosen.length_penalty
    messages.clear()
    tune_decode_once(run, settings, messages.append)
    assert messages == []
    (run / "decode.json").unlink()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_training_ends_with_tuning(make_config: MakeConfig, tmp_path: Path) -> None:
    def train() -> str:
        out = io.StringIO()
        settings = {"length_penalties": [0.6, 1.0], "beam_sizes": [1]}
        config = make_config(valid=True, max_steps=2, valid_sentences=5, tune_decode=settings)
        nmt.train(config, run_dir=tmp_path / "run", console=Console(file=out, width=300))
        return out.getvalue()

    assert "of 5 validation sentences" in train()
    saved = (tmp_path / "run/decode.json").read_bytes()
    assert "beam_size  length_penalty" not in train()  # it has been tuned
    assert (tmp_path / "run/decode.json").read_bytes() == saved
    (tmp_path / "run/decode.json").unlink()
    assert "beam_size  length_penalty" in train()  # as after an interruption


def test_the_command(run: Path, trained_run: Path) -> None:
    result = run_nmt("tune-decode", run, "--length-penalties", "0,1.5", "--beam-sizes", "2")
    assert result.exit_code == 0, result.stderr
    rows = [line.split()[:2] for line in result.stdout.split("\n")[1:-1]]
    assert rows == [[size, penalty] for size in "42" for penalty in ("0", "0.6", "1.5")]
    result = run_nmt("tune-decode", run, "--beam-sizes", "two")
    assert (result.exit_code, "--beam-sizes two: must be numbers" in result.stderr) == (2, True)
    result = run_nmt("tune-decode", run, "--length-penalties", "11")
    assert (result.exit_code, "length_penalties.0: must be less" in result.stderr) == (2, True)
    result = run_nmt("tune-decode", trained_run)
    assert (result.exit_code, "needs data.valid" in result.stderr) == (2, True)
    with pytest.raises(ConfigError, match="name the run directory"):
        tune_decode(next(run.glob("checkpoints/step-*")))


def test_settings_that_cannot_be_tried(make_config: MakeConfig) -> None:
    with pytest.raises(ValueError, match=r"train\.tune_decode needs data\.valid"):
        make_config(tune_decode={})
