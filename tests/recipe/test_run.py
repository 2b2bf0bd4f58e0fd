"""`nmt recipe` on small text, and the settings that it finds for real text."""

from __future__ import annotations

import gzip
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from command import run_nmt
from nmt.config.load import load_config
from nmt.data.lines import read_lines
from nmt.recipe.trial import Trial
from tiny import write_corpus, write_phrasebook

DATA = Path(__file__).parents[2].parent / "shared" / "data"
TINY = ["data.cache_dir=cache", "train.device=cpu", "train.threads=1", "train.tune_decode=null"]
TINY += ["train.valid_beam_size=0"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current directory, which has 400 pairs in train.en and train.de."""
    monkeypatch.chdir(tmp_path)
    write_phrasebook(tmp_path / "train", "train", 400)
    write_phrasebook(tmp_path / "val", "valid", 30)
    return tmp_path


def recipe(*arguments: object) -> str:
    """Run the command and return standard output."""
    result = run_nmt("recipe", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def lines(path: str) -> list[str]:
    return list(read_lines(path))


# ---------------------------------------------------------------- the configuration


def test_languages_of_different_scripts(folder: Path) -> None:
    russian = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстуввхыз")
    text = [line.lower().translate(russian) for line in lines("train.de")]
    (folder / "train.ru").write_text("".join(f"{line}\n" for line in text), "utf-8")
    recipe("train.en", "train.ru", "--steps", 4, "-o", "recipe.yaml")
    assert load_config("recipe.yaml").model.tie_embeddings == "decoder"


def test_lines_that_are_too_long_for_a_model(folder: Path) -> None:
    (folder / "long.en").write_text("".join(f"{'word ' * 900}{n}\n" for n in range(60)), "utf-8")
    (folder / "long.de").write_text("".join(f"{'Wort ' * 900}{n}\n" for n in range(60)), "utf-8")
    result = run_nmt("recipe", "long.en", "long.de", "--steps", 4)
    assert result.exit_code == 3
    assert "more than 512 tokens" in result.stderr


def test_the_configuration_is_valid_and_trains(folder: Path) -> None:
    assert recipe("train.en", "train.de", "--steps", 4, "-o", "recipe.yaml") == ""
    config = load_config("recipe.yaml")
    assert (config.data.src_lang, config.data.tgt_lang, config.train.max_steps) == ("en", "de", 4)
    assert run_nmt("config", "recipe.yaml").exit_code == 0
    result = run_nmt("train", "recipe.yaml", *TINY)
    assert result.exit_code == 0, result.stderr
    assert (folder / "runs" / "recipe" / "metrics.jsonl").is_file()


def test_each_setting_has_a_reason(folder: Path) -> None:
    shown = recipe("train.en", "train.de", "--steps", 1000, "--valid-src", "val.en",
                   "--valid-tgt", "val.de").rstrip("\n").split("\n")  # fmt: skip
    assert (
        "# en-de: 400 pairs, of which 0 repeat an earlier one; 0 others have no text on one side"
        in shown
    )
    assert any(
        line.startswith("# validation: 30 pairs; also in the training text: ") for line in shown
    )
    assert max(map(len, shown)) <= 100
    for before, line in zip(["", *shown], shown, strict=False):
        if line.endswith(":"):  # a section begins with a reason
            assert before == ""
    for section in ("data:", "tokenizer:", "model:", "train:"):
        assert shown[shown.index(section) + 1].startswith("  # ")


def test_without_validation_text_the_user_is_told(folder: Path) -> None:
    result = run_nmt("recipe", "train.en", "train.de", "--steps", 4)
    assert "valid" not in yaml.safe_load(result.stdout)["data"]
    assert "give --valid-src and --valid-tgt, or hold some pairs out with -o" in result.stderr


def test_the_result_depends_on_the_text_alone(folder: Path) -> None:
    arguments = ("train.en", "train.de", "--steps", 4)
    assert recipe(*arguments) == recipe(*arguments)


def test_shards_are_read(folder: Path) -> None:
    for number, name in enumerate(("train", "val")):
        for lang in ("en", "de"):
            (folder / f"part-{number}.{lang}").write_bytes((folder / f"{name}.{lang}").read_bytes())
    assert "# en-de: 430 pairs" in recipe("part-*.en", "part-*.de", "--steps", 4)


def test_the_time_becomes_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = SimpleNamespace(step_seconds=0.5, device="cpu", load=0.3)
    monkeypatch.setattr(Trial, "measure", lambda self, choices: measured)
    found = yaml.safe_load(recipe("train.en", "train.de", "--hours", 0.05))
    assert found["train"]["max_steps"] == 320  # 162 seconds are 324 steps


def test_the_time_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.recipe.trial._ATTEMPTS_SECONDS", (0.1, 0.1))
    result = run_nmt("recipe", "train.en", "train.de", "--hours", 0.5)
    assert result.exit_code == 0, result.stderr
    assert "seconds per step of 2,048 tokens with d_model 64" in result.stderr
    assert "of 0.5 hours on this machine" in " ".join(result.stdout.split())


def test_a_busy_machine_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = SimpleNamespace(step_seconds=0.5, device="cpu", load=3.0)
    monkeypatch.setattr(Trial, "measure", lambda self, choices: measured)
    result = run_nmt("recipe", "train.en", "train.de")
    assert "other programs keep the machine busy (3.0 processes per core)" in result.stderr


# ---------------------------------------------------------------- held-out pairs


def test_held_out_pairs_occur_nowhere_else(folder: Path) -> None:
    recipe("train.en", "train.de", "--steps", 4, "-o", "recipe.yaml")
    for lang in ("en", "de"):
        train, valid = lines(f"recipe.train.{lang}"), lines(f"recipe.valid.{lang}")
        assert len(valid) == 20
        assert not set(train) & set(valid)
        assert sorted(train + valid) == sorted(lines(f"train.{lang}"))
    pairs = set(zip(lines("train.en"), lines("train.de"), strict=True))
    assert set(zip(lines("recipe.valid.en"), lines("recipe.valid.de"), strict=True)) <= pairs


def test_compressed_text_stays_compressed(folder: Path) -> None:
    for lang in ("en", "de"):
        (folder / f"t.{lang}.gz").write_bytes(
            gzip.compress((folder / f"train.{lang}").read_bytes())
        )
    recipe("t.en.gz", "t.de.gz", "--steps", 4, "-o", "r.yaml")
    assert load_config("r.yaml").data.train[0].src == "r.train.en.gz"  # type: ignore[union-attr]
    assert (folder / "r.valid.de.gz").read_bytes()[:2] == b"\x1f\x8b"


@pytest.mark.parametrize("existing", ["r.yaml", "r.train.en", "r.valid.de"])
def test_existing_files_are_kept_unless_forced(folder: Path, existing: str) -> None:
    (folder / existing).write_text("mine", "utf-8")
    arguments = ("train.en", "train.de", "--steps", 4, "-o", "r.yaml")
    result = run_nmt("recipe", *arguments)
    assert result.exit_code == 4
    assert f"{existing}: already exists; choose another --output, or use --force" in result.stderr
    assert (folder / existing).read_text("utf-8") == "mine"
    assert len(list(folder.iterdir())) == 5
    recipe(*arguments, "--force")
    assert load_config("r.yaml").train.max_steps == 4


def test_nothing_is_held_out_of_text_whose_sentences_are_all_repeated(folder: Path) -> None:
    write_corpus(folder, rep=10)
    for side in ("src", "tgt"):
        path = folder / f"rep.{side}"
        path.write_text(20 * path.read_text("utf-8"), "utf-8")
    languages = ("--src-lang", "en", "--tgt-lang", "xx")
    result = run_nmt("recipe", "rep.src", "rep.tgt", *languages, "--steps", 4, "-o", "r.yaml")
    assert result.exit_code == 3
    assert "none can be held out" in result.stderr
    assert "give --valid-src and --valid-tgt" in result.stderr
    assert not (folder / "r.yaml").exists()


# ---------------------------------------------------------------- languages


def test_languages_are_detected(folder: Path) -> None:
    pytest.importorskip("py3langid")
    for lang, name in (("en", "one.txt"), ("de", "two.txt")):
        (folder / f"train.{lang}").rename(folder / name)
    found = yaml.safe_load(recipe("one.txt", "two.txt", "--steps", 4))["data"]
    assert (found["src_lang"], found["tgt_lang"]) == ("en", "de")
    found = yaml.safe_load(recipe("one.txt", "two.txt", "--steps", 4, "--tgt-lang", "gsw"))["data"]
    assert (found["src_lang"], found["tgt_lang"]) == ("en", "gsw")


def test_without_a_detector_flags_are_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nmt.data import identify

    identify._loaded.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    (folder / "train.en").rename(folder / "one.txt")
    result = run_nmt("recipe", "one.txt", "train.de", "--steps", 4)
    assert result.exit_code == 2
    assert "one.txt: cannot tell the source language" in result.stderr
    assert "give --src-lang and --tgt-lang" in result.stderr


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train.en", "none.de"], 4, "none.de: cannot be read: No such file"),
        (["none-*.en", "none-*.de"], 4, "none-*.en: cannot be read"),
        (["train.en", "val.de"], 3, "train.en has 400 lines, but val.de has 30"),
        (["empty.en", "empty.de"], 3, "empty.en + empty.de: contains no pairs"),
        (["blank.en", "blank.de"], 3, "blank.en + blank.de: no pair has text on both sides"),
        (["train.en", "train.en"], 2, "seem to be in the language en"),
        (["train.en", "train.de", "--tgt-lang", "EN"], 2, "or give --src-lang and --tgt-lang"),
        (["train.en", "train.de", "--valid-src", "val.en"], 2, "are only valid together"),
        (["train.en", "train.de", "--hours", 1, "--steps", 4], 2, "either --hours or --steps"),
        (["train.en", "train.de", "-o", "train.en"], 2, "the same file as train.en"),
        (["train.en", "train.de", "-o", "no/r.yaml"], 4, "there is no directory no"),
    ],
    ids=str,
)
def test_errors(folder: Path, arguments: list[Any], code: int, message: str) -> None:
    for lang in ("en", "de"):
        (folder / f"empty.{lang}").write_text("", "utf-8")
        (folder / f"blank.{lang}").write_text("\n \n", "utf-8")
    files = {path.name for path in folder.iterdir()}
    result = run_nmt("recipe", *arguments, *([] if "--hours" in arguments else ["--steps", 4]))
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert {path.name for path in folder.iterdir()} == files


# ---------------------------------------------------------------- real text


@pytest.mark.parametrize(
    ("corpus", "pairs", "vocabulary", "dropout", "batch"),
    [
        ("multi30k/train.{en,de}", 29_000, (5500, 6500), 0.3, 2048),
        ("tatoeba-en-de/train.{en,de}", 10_000, (2500, 4000), 0.3, 2048),
        pytest.param(
            *("tatoeba-en-de/train.{en,de}", 151_494, (9000, 12_000), 0.2, 2048),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("europarl-en-fr/train500k.{en,fr}", 50_000, (6000, 8000), 0.3, 2048),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: str(value),
)
def test_settings_for_real_text(
    folder: Path, corpus: str, pairs: int, vocabulary: tuple[int, int], dropout: float, batch: int
) -> None:
    stem, _, codes = corpus.partition("{")
    languages = codes.rstrip("}").split(",")
    files = [DATA / f"{stem}{language}.gz" for language in languages]
    if not files[0].is_file():
        pytest.skip(f"no data in {DATA}")
    for path, language in zip(files, languages, strict=True):
        text = "".join(f"{line}\n" for line in islice(read_lines(path), pairs))
        (folder / f"real.{language}").write_text(text, "utf-8")
    names = [f"real.{language}" for language in languages]
    found = yaml.safe_load(recipe(*names, "--steps", 10_000))
    assert vocabulary[0] <= found["tokenizer"]["vocab_size"] <= vocabulary[1]
    assert found["model"]["dropout"] == dropout
    assert found["model"]["d_model"] == (128 if pairs == 10_000 else 256)
    assert found["train"]["batch_tokens"] == batch
    assert 64 <= found["data"]["max_length"] <= 256
    assert 3 <= found["data"]["max_length_ratio"] <= 6
    assert "joint" not in found["tokenizer"]
