"""The benchmarks, which write their measurements as JSON lines, and other scripts."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nmt.runs.model import load_model
from tiny import write_phrasebook

BENCH = Path(__file__).parents[1] / "scripts" / "benchmarks"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in the environment of these tests."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "VIRTUAL_ENV": sys.prefix}
    return subprocess.run([*map(str, command)], env=env, capture_output=True, text=True)


def bench(*arguments: str | Path) -> list[dict[str, Any]]:
    """Run a benchmark, and return the objects that it prints."""
    done = run(sys.executable, BENCH, *arguments, "--threads", "1")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]


def failing_bench(*arguments: str | Path) -> tuple[int, str]:
    """Run a benchmark that fails before it measures; return exit code and last line."""
    done = run(sys.executable, BENCH, *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout == ""
    return done.returncode, done.stderr.rstrip("\n").rpartition("\n")[2]


def test_training_is_measured(tmp_path: Path) -> None:
    write_phrasebook(tmp_path / "train", "train", 200)
    options = [
        *("--repeats", "2", "--sizes", "tiny", "--steps", "2"),
        *("--batch-tokens", "200", "--vocab-size", "100"),
    ]
    machine, *runs, summary = bench(
        *("train", "--data", tmp_path, *options, "--systems", "nmt", "--precisions", "fp32")
    )
    assert machine["kind"] == "machine"
    assert machine["matmul_GFLOPs"]["fp32"] > 0
    assert [run["kind"] for run in runs] == ["run", "run"]
    for run in runs:
        assert run["target_tokens_per_s"] > 0
        assert run["peak_MB"] > 0
        assert len(run["losses"]) == 2
    # Each repetition trains the same initial model on the same batches.
    assert runs[0]["losses"] == runs[1]["losses"]
    assert (summary["kind"], summary["system"], summary["runs"]) == ("summary", "nmt", 2)
    rate = summary["target_tokens_per_s"]
    assert rate["min"] <= rate["median"] <= rate["max"]


@pytest.mark.slow
def test_processes_are_measured(tmp_path: Path) -> None:
    write_phrasebook(tmp_path / "train", "train", 200)
    options = ["--size", "tiny", "--steps", "6", "--batch-tokens", "200", "--vocab-size", "100"]
    lines = bench("processes", "--data", tmp_path, *options, "--repeats", "1")
    runs = [line for line in lines if line["kind"] == "run"]
    assert [run["processes"] for run in runs] == [1, 2]
    assert all(run["per_s"] > 0 for run in runs)
    assert [run["loss_difference"] for run in runs] == [0.0, 0.0]


def test_translation_is_measured(trained_run: Path) -> None:
    files = ["--src", trained_run.parent / "test.src", "--ref", trained_run.parent / "test.tgt"]
    systems = ["--systems", "nmt", "--nmt-options=--batch-tokens 100"]
    _, run, summary = bench("translate", "--repeats", "1", "--model", trained_run, *files, *systems)
    assert run["tokens_per_s"] > run["sentences_per_s"] > 0
    assert summary["bleu"]["min"] == summary["bleu"]["max"] >= 0
    assert summary["setting"] == "--batch-tokens 100"


def test_careless_input_is_measured(trained_run: Path) -> None:
    files = ["--src", trained_run.parent / "test.src", "--ref", trained_run.parent / "test.tgt"]
    lines = bench("robust", "--model", trained_run, *files, "--sentences", "20")
    runs = {line["input"]: line for line in lines if line["kind"] == "run"}
    changes = ["upper", "title", "lower", "typos", "no_punctuation", "concatenate"]
    assert [*runs] == ["clean", *changes]
    assert all(
        0 <= run[metric] <= 100 for run in runs.values() for metric in ("bleu", "chrf", "flagged")
    )
    assert runs["clean"]["chrf"] > runs["typos"]["chrf"]


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("bench-shortlist", ["x"], 2, "invalid int value: 'x'"),
        ("bench-prepare", ["x"], 2, "arguments are required: TGT"),
        ("bench-prepare", ["nodir/x", "nodir/y"], 4, "scripts/bench-prepare: nodir/x"),
        ("bench-prepare", ["x", "y", "data.a=1"], 2, "scripts/bench-prepare: "),
    ],
)
def test_errors_of_scripts(name: str, arguments: list[str], code: int, message: str) -> None:
    done = run(BENCH.parent / name, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Return a function (name) that imports a module of the benchmarks.

    They import each other by name, so their folder is on the path.
    """
    monkeypatch.syspath_prepend(str(BENCH))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCH)):
            del sys.modules[name]


@pytest.mark.slow
def test_layers_are_measured(tmp_path: Path) -> None:
    svg = tmp_path / "complexity.svg"
    sizes = ["--lengths", "16,4,8", "--width", "16", "--heads", "2", "--repeats", "1"]
    _, *lines = bench("complexity", *sizes, "--svg", svg)
    layers = ["self-attention", "recurrent", "convolutional"]
    runs = [line for line in lines if line["kind"] == "run"]
    assert [(run["layer"], run["length"]) for run in runs] == [
        (layer, length) for layer in layers for length in (4, 8, 16)
    ]
    assert all(run["forward_s"] > 0 and run["training_s"] > 0 for run in runs)
    # A convolution of n inputs with width d = 16 and window 3 keeps the windows (3nd numbers of
    # 4 bytes), the input of the gates (2nd numbers) and the mask (n bytes).
    kept = {run["length"]: run["kept_MB"] for run in runs if run["layer"] == "convolutional"}
    assert kept == {n: pytest.approx(n * (5 * 16 * 4 + 1) / 1e6) for n in (4, 8, 16)}
    fits = [line for line in lines if line["kind"] == "fit"]
    assert [(fit["layer"], fit["paper"]) for fit in fits] == [
        ("self-attention", "O(n²·d)"),
        ("recurrent", "O(n·d²)"),
        ("convolutional", "O(k·n·d²)"),
    ]
    assert fits[2]["exponents"]["kept_MB"] == pytest.approx(1.0)
    assert [line["layer"] for line in lines if line["kind"] == "crossover"] == layers[1:]
    curves = ElementTree.parse(svg).getroot().iter("{http://www.w3.org/2000/svg}polyline")
    assert [len(curve.attrib["points"].split()) for curve in curves] == [3] * 9
    for fit in fits:
        label = f"{fit['layer']}: n^{fit['exponents']['forward_s']:.2f}, paper {fit['paper']}"
        assert label in svg.read_text("utf-8")
    assert "recurrent: a bidirectional GRU of twice 8" in svg.read_text("utf-8")


def test_the_exponent_is_fitted_to_the_longer_half(modules: Callable[[str], Any]) -> None:
    complexity = modules("complexity")
    lengths = [16, 32, 64, 128, 256, 512]
    assert complexity.fitted_exponent(lengths, [3.0 * n**1.7 for n in lengths]) == pytest.approx(
        1.7
    )
    # By hand: log2 of 1, 2, 4 is 0, 1, 2, and of 1, 8, 16 it is 0, 3, 4. The means are 1 and 7/3;
    # the slope is ((-1)(-7/3) + 0 + (1)(5/3)) / (1 + 0 + 1) = 2.
    assert complexity.fitted_exponent([1, 2, 4], [1, 8, 16]) == pytest.approx(2.0)
    # Constant up to 64, then quadratic.
    values = [float(max(n, 64) ** 2) for n in lengths]
    measured = complexity.Measured("recurrent", lengths, {"forward_s": values})
    assert measured.exponent("forward_s") == pytest.approx(2.0)
    # From 64 to 1024, which is 16 times as long, the values grow by a factor of 16.
    far = complexity.Measured("recurrent", [4, 64, 1024], {"forward_s": [3.0, 1.0, 16.0]})
    assert far.exponent("forward_s") == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--lengths a,b", "--lengths: 'a' is not a positive integer"),
        ("--lengths 0,4", "--lengths: '0' is not a positive integer"),
        ("--lengths 16,16", "--lengths: expected at least two different lengths"),
        ("--svg nodir/x.svg", "--svg: nodir/x.svg: is a folder, or its folder does not exist"),
        ("--output /", "--output: /: is a folder"),
        ("--repeats 0", "--repeats: '0' is not a positive"),
        ("--heads 0", "--heads: '0' is not a positive"),
        ("--kernel-size -1", "--kernel-size: '-1' is not a positive"),
        ("--width 24 --heads 8", "--width must be a multiple of twice --heads"),
    ],
)
def test_invalid_options_of_complexity_are_refused(options: str, message: str) -> None:
    code, last = failing_bench("complexity", *options.split(" "))
    assert code == 2
    assert message in last


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        # n² and 50 n meet at 50, which is not among the lengths measured.
        ([16**2, 32**2, 64**2], [50 * 16, 50 * 32, 50 * 64], 50.0),
        ([1, 2, 3], [2, 3, 4], None),
        ([2, 3, 4], [1, 2, 3], None),
        # Larger in between only.
        ([1, 3, 3], [2, 2, 4], None),
        # Equal at the first length.
        ([2, 8, 32], [2, 4, 8], 16.0),
    ],
)
def test_crossover(
    modules: Callable[[str], Any], ours: list[float], theirs: list[float], expected: float | None
) -> None:
    length = modules("complexity").crossover([16, 32, 64], ours, theirs)
    assert length == (expected and pytest.approx(expected))


def test_plot(modules: Callable[[str], Any]) -> None:
    plot = modules("plot")
    curve = plot.Curve("a < b", [(1.0, 1.0), (10.0, 10.0), (100.0, 1000.0)])
    root = ElementTree.fromstring(plot.render("t", "n", [plot.Panel("y", [curve], [(10.0, "m")])]))
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"t", "n", "y", "m", "a < b", "100", "1000"} <= set(texts)
    [line] = root.iter("{http://www.w3.org/2000/svg}polyline")
    (x1, y1), (x2, y2), (x3, y3) = (
        map(float, point.split(",")) for point in line.attrib["points"].split()
    )
    # The axes are logarithmic, and y grows upwards.
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y2 - y3 == pytest.approx(2 * (y1 - y2), abs=0.3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["translate", "--model", "nothere", "--src", __file__], 4, "no such model directory"),
        (["latency", "--model", "nothere", "--src", __file__], 4, "no such model directory"),
        (["train", "--data", ".", "--output", "nothere/x"], 4, "nothere/x"),
        (["train", "--data", ".", "--sizes", "tiny,huge"], 2, "'huge': choose from big, base"),
        (["train", "--data", ".", "--precisions", "fp8"], 2, "'fp8': choose from fp32, bf16"),
        (
            ["train", "--data", ".", "--langs", "foo"],
            2,
            "'foo': expected two languages, as in en-de",
        ),
        (["train", "--data", ".", "--repeats", "0"], 2, "is not a positive integer"),
        (["train", "--data", ".", "--device", "cuda:99"], 2, "device 'cuda:99': "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_invalid_arguments_are_refused_before_measuring(
    arguments: list[str], code: int, message: str
) -> None:
    exit_code, last = failing_bench(*arguments)
    assert exit_code == code, last
    assert message in last


def test_failed_measurements_are_an_error(modules: Callable[[str], Any], tmp_path: Path) -> None:
    report = modules("report").Report("translate", tmp_path / "figures")
    report.add(modules("runs").Case("nmt", {}, dict), {"failed": "exit code 2"})
    with pytest.raises(SystemExit, match="all measurements failed"):
        report.finish(["seconds"], "seconds")


def test_both_systems_translate(trained_run: Path) -> None:
    pytest.importorskip("ctranslate2")
    options = ["--systems", "nmt,ctranslate2", "--repeats", "1", "--sentences", "8"]
    settings = ["--nmt-options=--compute=float32", "--compute-types", "int8", "--batch-sizes", "64"]
    files = ["--src", trained_run.parent / "test.src", "--ref", trained_run.parent / "test.tgt"]
    machine, *lines = bench("translate", "--model", trained_run, *files, *options, *settings)
    ours, theirs = (line for line in lines if line["kind"] == "run")
    assert [ours["system"], theirs["system"]] == ["nmt", "ctranslate2"]
    assert ours["bleu"] == pytest.approx(theirs["bleu"], abs=5)
    # Two operations per parameter and token, as a share of the speed of matrix products.
    size = sum(p.numel() for p in load_model(trained_run).network.parameters())
    rate = 2 * size * ours["tokens_per_s"]
    peak = machine["matmul_GFLOPs"]["fp32"] * 1e9
    assert ours["flop_utilisation"] == pytest.approx(rate / peak)
    assert theirs["flop_utilisation"] is None  # the speed of int8 products is not measured


@pytest.mark.slow
def test_the_figures_of_all_benchmarks_are_tables_in_markdown(
    modules: Callable[[str], Any],
    trained_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    everything = modules("everything")
    options = [*("--systems", "nmt", "--repeats", "1", "--sentences", "8", "--threads", "1")]
    files = ["--src", trained_run.parent / "test.src", "--ref", trained_run.parent / "test.tgt"]
    command = ["translate", "--model", trained_run, *files, *options, "--nmt-options=--engine auto"]
    monkeypatch.setattr(everything, "_benchmarks", lambda options: [("Bulk", command)])
    everything.run(argparse.Namespace(output=None))
    title, _, names, dashes, row, *_ = capsys.readouterr().out.split("\n")
    assert title == "### Bulk"
    assert names == "| system | setting | sentences_per_s | bleu |"
    assert dashes == "| --- | --- | --- | --- |"
    assert row.startswith("| nmt | --engine auto | ")


@pytest.mark.parametrize(
    ("setting", "compute"),
    [("", "auto"), ("--compute=bfloat16", "bfloat16"), ("--beam-size 2 --compute x", "x")],
)
def test_the_dtype_in_the_options_of_nmt(
    modules: Callable[[str], Any], setting: str, compute: str
) -> None:
    assert modules("translation")._nmt_compute(setting) == compute


@pytest.mark.slow
def test_latency_is_measured(tmp_path: Path) -> None:
    write_phrasebook(tmp_path / "train", "train", 200)
    write_phrasebook(tmp_path / "test", "train", 9)
    model = ["--random", "tiny", "--vocab-size", "100", "--tokens", "3", "--test", "test"]
    options = ["--systems", "nmt", "--nmt-options=", "--repeats", "1"]
    _, run, summary = bench("latency", "--data", tmp_path, *model, *options)
    assert 0 < run["median_ms"] <= run["p95_ms"]
    assert run["startup_s"] > 0
    assert summary["runs"] == 1


def test_the_rules_of_cleaning_are_measured(tmp_path: Path) -> None:
    pytest.importorskip("datasketch")
    write_phrasebook(tmp_path / "train", "train", 400)
    foreign = [f"Le numéro {number} est sur la table de la cuisine." for number in range(50)]
    (tmp_path / "fr").write_text("\n".join(foreign), "utf-8")
    options = ["--data", tmp_path, "--foreign", tmp_path / "fr", "--rate", "0.02", "--no-speed"]
    clean, *kinds, every = bench("clean", *options)
    assert clean["pairs"] == 400
    assert clean["dropped"] < 0.1
    recalls = {line["noise"]: line["rule_recall"] for line in kinds}
    assert [recalls[kind] for kind in ("markup", "mojibake", "copy", "duplicate")] == [1] * 4
    assert recalls["other number"] is None  # there is no number in the text
    assert every["recall"] > 0.5


@pytest.mark.slow
def test_servers_are_measured(trained_run: Path) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("ctranslate2")
    src = trained_run / "src"
    src.write_text("The dog sleeps.\nA cat sees the bird.\n")
    options = ["--clients", "1,3", "--seconds", "1", "--repeats", "1"]
    _, *runs, _, _, _, _ = bench("serve", "--model", trained_run, "--src", src, *options)
    found = {(run["system"], run["clients"]) for run in runs}
    assert found == {("nmt", 1), ("nmt", 3), ("plain", 1), ("plain", 3)}
    for run in runs:
        assert run["requests_per_s"] > 1
        assert 0 < run["p50_ms"] <= run["p99_ms"]


def test_a_failed_start_has_no_startup_time(
    modules: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    latency = modules("latency")
    answers = iter([{"seconds": [1.0, 2.0], "peak_MB": 1.0}, {"failed": "exit code 1"}])
    monkeypatch.setattr(latency, "ask_worker", lambda *args: next(answers))
    measured = latency._measure_ctranslate2({"intra_threads": 1, "lines": ["a"]})
    assert measured == {"failed": "exit code 1"}


@pytest.mark.parametrize(("alpha", "theirs"), [(0.0, 1e-6), (0.6, 0.45)])
def test_the_ctranslate2_worker_searches_like_the_engine(
    modules: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    alpha: float,
    theirs: float,
) -> None:
    """With a penalty of 0, CTranslate2 would stop too early, so the engine passes 1e-6."""
    ctranslate2 = pytest.importorskip("ctranslate2")
    sentencepiece = pytest.importorskip("sentencepiece")
    monkeypatch.setattr(ctranslate2, "Translator", lambda *args, **options: None)
    monkeypatch.setattr(sentencepiece, "SentencePieceProcessor", lambda model_file: None)
    monkeypatch.syspath_prepend(str(BENCH / "workers"))
    monkeypatch.setattr(modules("workers.worker"), "serve", lambda tasks: None)
    monkeypatch.setitem(sys.modules, "worker", modules("workers.worker"))
    names = ["inter_threads", "intra_threads", "beam_size", "max_extra_len", "num_tokens"]
    request = {**dict.fromkeys(names, 1), "length_penalty": alpha, "model": str(tmp_path)}
    request |= {"device": "cpu", "compute_type": "float32"}
    worker = modules("ctranslate2_worker").System(request)
    assert worker.settings["length_penalty"] == pytest.approx(theirs)


@pytest.mark.slow
def test_the_guard_is_measured(trained_run: Path) -> None:
    files = ["--src", trained_run.parent / "test.src", "--ref", trained_run.parent / "test.tgt"]
    lines = bench("guard", "--model", trained_run, *files)
    rates = {line["corruption"]: line for line in lines}
    assert rates["loop of two words"]["repetition"] > 90
    assert rates["URL kept"]["addresses"] == 0
    assert rates["URL dropped"]["addresses"] == 100
