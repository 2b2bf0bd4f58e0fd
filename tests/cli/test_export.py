"""`nmt export`, and `nmt translate --engine ctranslate2`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import run_nmt

TEXT = "the cat sat.\n\nthe dog ran home on a mat.\n   \ncafé über naïve.\n"


@pytest.fixture(scope="module")
def exported(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    result = run_nmt("export", trained_run, "--to", "ctranslate2", "-o", folder)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"nmt translate {folder} runs it" in result.stderr
    return folder


def translate(model: Path, folder: Path, *arguments: str) -> list[str]:
    (folder / "in").write_text(TEXT, "utf-8")
    result = run_nmt("translate", model, folder / "in", "--threads", "1", *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout_bytes.decode("utf-8").split("\n")


def test_an_exported_model_translates_the_same(
    trained_run: Path, exported: Path, tmp_path: Path
) -> None:
    ours = translate(trained_run, tmp_path, "--beam-size=1")
    theirs = translate(exported, tmp_path, "--beam-size=1", "--engine", "ctranslate2")
    assert theirs == ours
    assert [bool(line) for line in theirs] == [True, False, True, False, True, False]


def test_an_exported_model_is_recognised(exported: Path, tmp_path: Path) -> None:
    named = translate(exported, tmp_path, "--engine", "ctranslate2")
    assert translate(exported, tmp_path) == named
    source, reference = tmp_path / "in", tmp_path / "ref"
    reference.write_text("\n".join(named), "utf-8")
    result = run_nmt("evaluate", exported, "--src", source, "--ref", reference, "--threads", "1")
    assert result.exit_code == 0, result.stderr
    assert "= 100.0" in result.stdout


def test_output_formats_are_the_same(trained_run: Path, exported: Path, tmp_path: Path) -> None:
    for options in (["--nbest=3"], ["--scores"], ["--format=jsonl", "--scores", "--nbest=2"]):
        engine = ["--engine=ctranslate2", *options]
        (tmp_path / "in").write_text('{"src": "the cat.", "n": 1}\n\n', "utf-8")
        if "--format=jsonl" not in options:
            rows = [line.split("\t") for line in translate(exported, tmp_path, *engine)]
            ours = [line.split("\t") for line in translate(trained_run, tmp_path, *options)]
            assert list(map(len, rows)) == list(map(len, ours))
            continue
        result = run_nmt("translate", exported, tmp_path / "in", *engine)
        record = json.loads(result.stdout_bytes.split(b"\n")[0])
        assert record["n"] == 1
        assert record["score"] == record["nbest"][0]["score"] >= record["nbest"][1]["score"]
        assert len(record["token_log_probs"]) > 1


def test_forced_scores_are_the_same(trained_run: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "src").write_text(TEXT, "utf-8")
    (tmp_path / "tgt").write_text("a dog!\n\n\nthe cat\nnaïve café\n", "utf-8")
    files = ["--src", tmp_path / "src", "--tgt", tmp_path / "tgt", "--threads", "1", "--json"]
    ours, theirs = (
        [
            json.loads(line)
            for line in run_nmt("score", model, *files).stdout_bytes.split(b"\n")[:-1]
        ]
        for model in (trained_run, exported)
    )
    assert len(ours) == len(theirs) == 6
    for our, their in zip(ours, theirs, strict=True):
        assert their.get("pieces") == our.get("pieces")
        assert their["log_prob"] == pytest.approx(our["log_prob"], abs=1e-3)


@pytest.mark.parametrize("output", ["", "averaged", "checkpoints/step-7", "../run/new"])
def test_exporting_into_a_run_is_refused(trained_run: Path, output: str) -> None:
    before = sorted(trained_run.rglob("*"))
    result = run_nmt("export", trained_run, "--to", "ctranslate2", "-o", trained_run / output)
    assert result.exit_code == 2
    assert "choose another output" in result.stderr
    assert sorted(trained_run.rglob("*")) == before


def test_exporting_leaves_neighbouring_files_alone(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "model.tmp").mkdir()
    (tmp_path / "model.tmp" / "notes").write_text("the user's")
    (tmp_path / "model").mkdir()
    result = run_nmt("export", trained_run, "--to", "ctranslate2", "-o", tmp_path / "model")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "model.tmp" / "notes").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.tmp"]


def test_an_exported_model_translates_into_a_file(exported: Path, tmp_path: Path) -> None:
    engine = ["--engine=ctranslate2", "--output", str(tmp_path / "out"), "--resume"]
    assert translate(exported, tmp_path, *engine) == [""]
    text = (tmp_path / "out").read_text("utf-8")
    assert text.split("\n") == translate(exported, tmp_path, "--engine=ctranslate2")


def test_errors(trained_run: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text(TEXT, "utf-8")
    file = tmp_path / "in"
    for arguments, code, message in [
        (["translate", exported, file, "--engine=nmt"], 2, "name the run that it was exported"),
        (["attend", exported, "--src=a", "--json"], 2, "exported to CTranslate2"),
        (["translate", trained_run, file, "--engine=ctranslate2", "--top-k=3"], 2, "sampling"),
        (["translate", exported, file, "--engine=ctranslate2", "--top-k=3"], 2, "sampling"),
        (
            ["translate", exported, file, "--engine=ctranslate2", "--ensemble", exported],
            2,
            "--ensemble needs runs",
        ),
        (["export", trained_run, "--to=ctranslate2", "-o", exported], 4, "already exists"),
        (["export", trained_run, "--to=ctranslate2", "--quantization=int3", "-o", "x"], 2, "int3"),
        (["export", tmp_path, "--to=ctranslate2", "-o", tmp_path / "x"], 4, "not a model"),
    ]:
        result = run_nmt(*arguments)
        assert result.exit_code == code, (arguments, result.stderr)
        assert message in result.stderr, (arguments, result.stderr)
        assert result.stdout == ""


def test_a_model_goes_to_hugging_face_and_back(trained_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "marian"
    result = run_nmt("export", trained_run, "--to", "huggingface", "-o", folder)
    assert (result.exit_code, result.stdout) == (0, "")
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "generation_config.json", "model.safetensors"),
        *("source.spm", "target.spm", "vocab.json", "tokenizer_config.json"),
    }
    result = run_nmt("import", folder, "-o", tmp_path / "run")
    assert (result.exit_code, result.stdout) == (0, "")
    options = ["--length-penalty=0.6"]
    assert translate(tmp_path / "run", tmp_path, *options) == translate(
        trained_run, tmp_path, *options
    )


def test_marian_has_no_quantization(trained_run: Path, tmp_path: Path) -> None:
    arguments = ["--to=huggingface", "--quantization=int8", "-o", tmp_path / "marian"]
    result = run_nmt("export", trained_run, *arguments)
    assert result.exit_code == 2
    assert "--quantization needs --to ctranslate2" in result.stderr
