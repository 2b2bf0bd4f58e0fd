"""Back-translation: from monolingual text to a model."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import nmt
from command import run_nmt, start_nmt
from nmt.config.load import make_config
from nmt.config.reverse import reversed_config
from nmt.console import Console
from nmt.data.corpus import read_pairs
from nmt.data.synthetic import SyntheticOptions, SyntheticPair, with_synthetic
from nmt.errors import ConfigError, DataError, FileError
from nmt.runs.layout import load_run_config
from nmt.runs.model import load_model
from nmt.training.learner import Learner
from nmt.translate.formats import Item
from nmt.translate.synthetic import SyntheticLayout
from nmt.translate.translation import ScoredText, Translation
from tiny import config_text, write_corpus

STEPS = ["train.max_steps=6", "decode.max_extra_len=0"]
# A beam finds nothing but spaces after so few steps.
SAMPLED: dict[str, Any] = {"search": {"top_k": 20, "seed": 3}, "engine": "nmt", "threads": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, with a configuration and text for it."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path, train=100, mono=60)
    Path("c.yaml").write_text(config_text(), "utf-8")
    return tmp_path


def backtranslate(*overrides: str, **options: Any) -> tuple[Path, str]:
    """Return the path that `nmt.backtranslate` returns, and what it prints."""
    out = io.StringIO()
    arguments = {"mono": ["mono.tgt"], **SAMPLED, "console": Console(file=out, width=300)} | options
    path = nmt.backtranslate("c.yaml", [*STEPS, *overrides], **arguments)
    return path, out.getvalue()


def weights(run: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(run).network.named_parameters())


def equal(run: Path, other: Path) -> bool:
    ours, theirs = weights(run), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def pairs(path: Path) -> list[SyntheticPair]:
    return [SyntheticPair.from_json(line) for line in path.read_text("utf-8").split("\n")[:-1]]


# ---------------------------------------------------------------- parts


def test_documents_stay_apart_for_a_model_with_context(folder: Path) -> None:
    for name in ("one", "two"):
        Path(name).write_text("mat dog\n\ncat sat\n", "utf-8")
    output, _ = backtranslate("data.context=1", mono=["one", "two"], output="pairs.jsonl")
    assert [pair.tgt for pair in pairs(output) if not pair.src] == [""] * 3
    translated = pairs(Path("runs/c-bt.backtranslation/reverse-1.translated.jsonl"))
    assert [pair.tgt for pair in translated] == [
        "mat dog",
        "",
        "cat sat",
        "",
        "mat dog",
        "",
        "cat sat",
    ]


def test_the_reverse_configuration_exchanges_the_sides(folder: Path) -> None:
    data = {
        **{"src_lang": "en", "tgt_lang": "xx"},
        "train": [
            {"src": "train.src", "tgt": "train.tgt", "alignments": "links"},
            {"src": "train.src", "tgt": "train.tgt", "reversed": True, "src_lang": "fr"},
        ],
        "valid": {"one": {"src": "mono.src", "tgt": "mono.tgt"}},
    }
    sections = {"data": data, "train": {"guided_alignment": {}, "metric": "one/bleu"}}
    config = make_config(sections)
    back = reversed_config(config)
    assert [str(pair) for pair in config.data.train_pairs] == ["en-xx", "xx-fr"]
    assert [str(pair) for pair in back.data.train_pairs] == ["xx-en", "fr-xx"]
    for one, other in zip(config.data.train, back.data.train, strict=True):
        swapped = [(pair.tgt, pair.src) for pair in read_pairs(one, config.data)]
        assert [(pair.src, pair.tgt) for pair in read_pairs(other, back.data)] == swapped
    assert make_config(back.model_dump()) == back  # it is valid
    twice = reversed_config(back)
    assert twice.data.train_pairs == config.data.train_pairs


def test_real_pairs_are_repeated_until_they_balance_the_synthetic_ones(folder: Path) -> None:
    data: dict[str, Any] = {"src_lang": "en", "tgt_lang": "xx"}
    files = {"src": "train.src", "tgt": "train.tgt"}
    other = {**files, "tgt_lang": "yy"}
    train = [{**files, "weight": 2}, other, files]
    config = make_config({"data": {**data, "train": train}})

    def mixture(number: int, ratio: float) -> list[float]:
        line = SyntheticPair("a", "b", 0.0).to_json()
        Path("text.jsonl").write_text(f"{line}\n" * number, "utf-8")
        mixed = with_synthetic(config, Path("text.jsonl"), ratio, print)
        assert (mixed.data.train[-1].tag, config.data.train[-1].tag) == ("bt", None)
        return [corpus.weight for corpus in mixed.data.train]

    assert mixture(600, 1.0) == [4, 1, 2, 1]  # 300 visits of real pairs
    assert mixture(600, 2.0) == [2, 1, 1, 1]
    assert mixture(100, 1.0) == [2, 1, 1, 1]
    assert mixture(9000, 1.0) == [20, 1, 10, 1]  # at most ten times


def test_a_translation_becomes_the_source() -> None:
    layout = SyntheticLayout("xx", "en")
    item = layout.read("ein\x00 Wort", 1)
    assert item == Item("ein  Wort", src_lang="xx", tgt_lang="en")
    found = Translation([ScoredText("a word", -1.0, log_prob=-1.0, num_tokens=3)])
    line = layout.write(1, item, found)
    assert json.loads(line) == {"src": "a word", "tgt": "ein  Wort", "score": -0.333333}
    [again] = layout.read_output([line])
    assert layout.write(1, item, again) == line


# ---------------------------------------------------------------- the pipeline


def test_one_call_from_monolingual_text_to_a_model(folder: Path) -> None:
    text = Path("mono.tgt").read_text("utf-8")
    Path("mono.tgt").write_text(f"{text}<bt> ab\n\n", "utf-8")
    run, printed = backtranslate()
    parts = folder / "runs" / "c-bt.backtranslation"
    assert run == Path("runs/c-bt")
    assert load_run_config(parts / "reverse-1").data.src_lang == "xx"
    translated, kept = (pairs(parts / f"reverse-1{end}.jsonl") for end in (".translated", ""))
    assert [pair.tgt for pair in translated] == [*text.split("\n")[:-1], "<bt> ab", ""]
    reverse = nmt.load(parts / "reverse-1", engine="nmt", threads=1)
    first, *_ = reverse.translate(text.split("\n"), **SAMPLED["search"])
    assert translated[0].src == first.text
    best = first.hypotheses[0]
    assert translated[0].score == pytest.approx(best.log_prob / best.num_tokens, abs=1e-5)
    assert set(kept) <= set(translated)
    assert re.search(r"Synthetic pairs.*mono\.tgt │ +62 │ ", printed, re.S)
    # The symbol is in front of synthetic sources alone; no text contains it, and no output.
    config = load_run_config(run)
    assert [corpus.tag for corpus in config.data.train] == [None, "bt"]
    model = nmt.load(run, engine="nmt", threads=1)
    tokenizer = model.engine.models[0].tokenizers.src
    symbol = tokenizer.control_symbols["<bt>"]
    assert symbol not in tokenizer.encode(["<bt> ab"])[0]
    for sampled in model.translate(["ab bad <bt>"] * 30, temperature=5.0, max_extra_len=20):
        assert symbol not in tokenizer.encode([sampled.text])[0]
        assert "<bt>" not in sampled.text
    # What is finished stays as it is.
    before = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/*/checkpoints/*/*")}
    times = {path: path.stat().st_mtime_ns for path in parts.glob("*translated*")}
    _, printed = backtranslate()
    assert "already there" in printed
    assert "is already trained" in printed
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


class _Stopped(Exception):
    """Stands for a kill."""


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Return a function (name, n) that makes the n-th "step" or "line" from now fail."""
    left = {"step": 0, "line": 0}

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[name] -= 1
            if left[name] == 0:
                raise _Stopped
            return original(*arguments, **options)

        return call

    monkeypatch.setattr(Learner, "start", counted("step", Learner.start))
    monkeypatch.setattr(SyntheticLayout, "write", counted("line", SyntheticLayout.write))
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    return lambda name, number: left.update({"step": 0, "line": 0, name: number})


def test_killed_anywhere_and_continued_equals_uninterrupted(
    folder: Path, stop: Callable[[str, int], None]
) -> None:
    saved = ["train.save_every=1", "train.keep_last=2", "decode.batch_tokens=60"]
    straight, _ = backtranslate(*saved, run_dir="straight")
    kills = [("step", 3), ("step", 4), ("line", 40), ("line", 50), ("step", 3), ("step", 2)]
    for kill in kills:
        stop(*kill)
        with pytest.raises(_Stopped):
            backtranslate(*saved, run_dir="parts")
    stop("step", 0)
    run, _ = backtranslate(*saved, run_dir="parts")
    names = [f"{name}.backtranslation/reverse-1.translated.jsonl" for name in (straight, run)]
    assert Path(names[0]).read_bytes() == Path(names[1]).read_bytes()
    assert equal(straight, run)


def test_two_rounds(folder: Path) -> None:
    run, _ = backtranslate(rounds=2, src_mono=["mono.src"])
    parts = folder / f"{run}.backtranslation"
    taught = {
        path: [getattr(one, "jsonl", "") for one in load_run_config(path).data.train[1:]]
        for path in (*(parts / name for name in ("reverse-1", "forward-1", "reverse-2")), run)
    }
    texts = [Path(f"{run}.backtranslation") / f"{name}.jsonl" for name in
             ("reverse-1", "forward-1", "reverse-2")]  # fmt: skip
    assert [*taught.values()] == [[], *([str(text)] for text in texts)]
    sources = Path("mono.src").read_text("utf-8").split("\n")[:-1]
    assert {pair.tgt for pair in pairs(texts[1])} <= set(sources)
    assert load_run_config(parts / "reverse-2").data.tgt_lang == "en"


def test_only_the_pairs_with_a_given_model(folder: Path) -> None:
    backtranslate(output="pairs.jsonl")
    reverse = Path("runs/c-bt.backtranslation/reverse-1")
    assert not Path("runs/c-bt").exists()
    path, _ = backtranslate(output="same.jsonl.gz", reverse=reverse, run_dir="other")
    assert path == Path("same.jsonl.gz")
    assert not Path("other.backtranslation/reverse-1").exists()
    [corpus] = make_config(
        {"data": {"src_lang": "en", "tgt_lang": "xx",
                  "train": {"jsonl": str(path), "src_key": "src", "tgt_key": "tgt", "tag": "bt"}}}
    ).data.train  # fmt: skip
    data = load_run_config(reverse).data
    found = [(pair.src, pair.tgt) for pair in read_pairs(corpus, data)]
    assert found == [(pair.src, pair.tgt) for pair in pairs(Path("pairs.jsonl"))]


# ---------------------------------------------------------------- what has changed in between


def test_changes_after_the_translations_are_refused(folder: Path) -> None:
    backtranslate(output="pairs.jsonl")
    with pytest.raises(ConfigError, match=r"begun with other search options: restore .* or delete"):
        backtranslate(output="pairs.jsonl", search={"top_k": 9})
    with pytest.raises(ConfigError, match=r"had train\.max_steps=6 when it began to translate"):
        backtranslate("train.max_steps=7", output="pairs.jsonl")
    with pytest.raises(ConfigError, match="begun with other search options"):
        backtranslate("decode.max_extra_len=1", output="pairs.jsonl")
    with pytest.raises(ConfigError, match="another configuration"):
        backtranslate("train.batch_tokens=300", output="pairs.jsonl")
    mono = Path("mono.tgt").read_text("utf-8")
    Path("mono.tgt").write_text(f"{mono}ab\n", "utf-8")
    with pytest.raises(ConfigError, match="begun with other monolingual text"):
        backtranslate(output="pairs.jsonl")
    Path("mono.tgt").write_text(mono, "utf-8")
    train = Path("train.src").read_text("utf-8")
    Path("train.src").write_text(train.replace("ab", "ba"), "utf-8")
    with pytest.raises(ConfigError, match="begun with a model trained on other text"):
        backtranslate(output="pairs.jsonl")
    Path("train.src").write_text(train, "utf-8")
    # Other filters need no other translations; a deleted record means to translate again.
    _, printed = backtranslate(output="pairs.jsonl", synthetic=SyntheticOptions(drop_worst=0.5))
    assert "already there" in printed
    Path("runs/c-bt.backtranslation/reverse-1.json").unlink()
    before = Path("runs/c-bt.backtranslation/reverse-1.translated.jsonl").read_bytes()
    longer = "decode.max_extra_len=5"  # as configured now, though the model is already trained
    for message in ("translating mono.tgt with", "already there"):
        _, printed = backtranslate(longer, output="pairs.jsonl")
        assert message in printed
    assert Path("runs/c-bt.backtranslation/reverse-1.translated.jsonl").read_bytes() != before


def test_other_filters_are_refused_once_a_model_has_learned_from_the_pairs(folder: Path) -> None:
    backtranslate("train.max_steps=2")
    kept = Path("runs/c-bt.backtranslation/reverse-1.jsonl")
    before = kept.read_bytes(), kept.stat().st_mtime_ns
    with pytest.raises(ConfigError) as caught:
        backtranslate("train.max_steps=2", synthetic=SyntheticOptions(drop_worst=0.5))
    assert "runs/c-bt has learned from synthetic pairs" in str(caught.value)
    assert "\n  `drop_worst`: was 0.0, is now 0.5" in str(caught.value)
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before
    # They may choose pairs for a file that no run has learned from.
    path, _ = backtranslate(
        "train.max_steps=2", output="some.jsonl", synthetic=SyntheticOptions(drop_worst=0.5)
    )
    assert 0 < len(pairs(path)) < len(pairs(kept))
    _, printed = backtranslate("train.max_steps=2")
    assert "is already trained" in printed


def test_a_model_that_is_no_longer_needed_may_be_deleted(folder: Path) -> None:

    backtranslate(output="pairs.jsonl")
    shutil.rmtree("runs/c-bt.backtranslation/reverse-1")
    run, printed = backtranslate()
    assert "already there" in printed
    assert (run / "finished").exists()


# ---------------------------------------------------------------- errors


def test_what_does_not_fit_is_refused_at_once(folder: Path) -> None:
    Path("empty").write_text(" \n\n", "utf-8")
    for options, kind, message in [
        ({"mono": ["empty"]}, DataError, "empty: contains no text"),
        ({"mono": ["gone"]}, FileError, "gone: cannot be read"),
        ({"mono": ["-"]}, ConfigError, "name a file, not `-`"),
        ({"rounds": 2}, ConfigError, "`src_mono` and `rounds` above 1 need each other"),
        ({"src_mono": ["mono.src"]}, ConfigError, "need each other"),
        ({"search": {"seed": 3}}, ConfigError, "`seed` needs sampling"),
        ({"reverse": "gone"}, FileError, "gone"),
    ]:
        with pytest.raises(kind, match=message):
            backtranslate(**options)
    with pytest.raises(ConfigError, match=r"cannot start from .* with `reverse`, or remove train"):
        backtranslate("train.init_from=runs/x")
    with pytest.raises(ConfigError, match="with `reverse` and leave out `rounds`, or remove"):
        backtranslate("train.init_from=runs/x", rounds=2, src_mono=["mono.src"])
    sets = "data.train={own: {src: train.src, tgt: train.tgt}}"
    stages = "train.stages=[{steps: 3, corpora: {own: 1}}, {corpora: {own: 1}}]"
    with pytest.raises(ConfigError, match="none would have the synthetic pairs"):
        backtranslate(sets, stages)
    with pytest.raises(ConfigError, match="has no corpus of en-xx, the languages of data"):
        backtranslate("data.train.0.tgt_lang=yy")
    assert not Path("runs").exists()
    with pytest.raises(
        DataError, match=r"mono\.tgt: no synthetic pair is left after filtering: 60"
    ):
        backtranslate(synthetic=SyntheticOptions(min_score=1.0))


def test_a_run_without_back_translations_is_refused_at_once(folder: Path) -> None:
    nmt.train("c.yaml", console=Console(quiet=True))
    with pytest.raises(
        ConfigError, match="has been trained without back-translations: use another"
    ):
        backtranslate(run_dir="runs/c")
    with pytest.raises(ConfigError, match=r"translates en-xx, but .* translates xx-en"):
        backtranslate(reverse="runs/c")


# ---------------------------------------------------------------- the command


def test_the_command(folder: Path) -> None:
    arguments = [
        "backtranslate",
        "c.yaml",
        *STEPS,
        "--mono",
        "mono.tgt",
        "--top-k",
        5,
        "--threads",
        1,
    ]
    result = run_nmt(*arguments, "--drop-worst", 0.2, "-o", "pairs.jsonl")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert "low score" in result.stderr
    assert pairs(Path("pairs.jsonl"))
    same = run_nmt(*arguments, "-o", "mono.tgt")
    assert same.exit_code == 2
    assert "the same file as mono.tgt, which is an input" in same.stderr
    flags = run_nmt(*arguments, "--rounds", 2)
    assert flags.exit_code == 2
    assert "--src-mono and --rounds above 1 need each other" in flags.stderr


@pytest.mark.slow
def test_a_process_killed_at_any_time_continues(folder: Path) -> None:

    saved = ["train.save_every=1", "train.max_steps=20", "train.keep_last=2"]
    straight, _ = backtranslate(*saved, run_dir="straight")
    arguments = [
        "backtranslate",
        "c.yaml",
        *STEPS,
        *saved,
        "--mono",
        "mono.tgt",
        "--run-dir",
        "killed",
    ]
    options = ["--top-k", 20, "--seed", 3, "--engine", "nmt", "--threads", 1]
    code = None
    for number in range(30):
        process = start_nmt(*arguments, *options)
        time.sleep(4 + 2 * number)
        process.kill()
        _, errors = process.communicate()
        if process.returncode == 0:
            code = 0
            break
        assert process.returncode == -9, errors
    assert code == 0
    assert equal(straight, Path("killed"))
