"""The commands of the README work, run in order on tiny data."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import forked
from nmt.config.load import load_config
from tiny import write_phrasebook

ROOT = Path(__file__).parents[1]
TINY = (
    "data.cache_dir=cache tokenizer.vocab_size=300 model.d_model=16 model.d_ff=16 "
    "model.num_heads=2 model.encoder_layers=1 model.decoder_layers=1 train.max_steps=4 "
    "train.save_every=2 train.keep_last=5 train.validate_every=4 train.batch_tokens=400 "
    "train.warmup_steps=2 train.device=cpu"
)
LOCAL = (
    "data.train='{src: train.en, tgt: train.de}' data.valid='{src: val.en, tgt: val.de}' "
    "data.test='{src: test_2016_flickr.en, tgt: test_2016_flickr.de}'"
)
FILES = {"--src": "val.en", "--ref": "val.de", "--tgt": "val.de", "--hyp": "val.de"}


def readme_commands() -> list[str]:
    """Return the indented commands of the README that call nmt, with continuation lines joined."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^    ((?:echo .*\| )?nmt [a-z].*?)(?:  +#.*)?$", text, re.MULTILINE)
    return [re.sub(r" +", " ", line) for line in lines]


def runnable(command: str) -> str:
    """Fill in the placeholders of a synopsis, and make training runs tiny."""
    command = re.sub(r" \[[^\]]*\](\.\.\.)?", "", command)
    for option, name in FILES.items():
        command = command.replace(f"{option} FILE", f"{option} {name}")
    command = re.sub(r"\b(MODEL|RUN|TEACHER)\b", "runs/multi30k-en-de", command)
    command = re.sub(r"\bDIR\b", "exported", command)
    command = re.sub(r"\bHYP\b", "val.de", command)
    command = command.replace("--hours 2", "--steps 4")  # without measuring the speed
    command = command.replace("step-00000800", "step-00000004")
    command = re.sub(r"runs/demo/test\.(en|de)", r"val.\1", command)
    command = command.replace("reproduce NAME", "reproduce demo --check-only")
    if "nmt translate" in command and "|" not in command and "val.en" not in command:
        return f"{command} < val.en"
    if "nmt distill" in command:  # the overrides would not make the teacher tiny
        command = command.replace("configs/multi30k-en-de.yaml", "runs/multi30k-en-de")
        command = command.replace("CONFIG", "configs/demo-student.yaml")
    if "nmt backtranslate" in command:
        command = re.sub("FILE|news.de", "domain.de", command)
        command = command.replace("--run-dir exported", "")
        command += " --temperature 1 --min-score -99 --threads 1"
    if "CONFIG" in command:
        return command.replace("CONFIG", f"configs/demo.yaml {TINY} {LOCAL}")
    if re.search("nmt (train|distill|backtranslate)", command):
        given = {word.partition("=")[0] for word in shlex.split(command)}
        local = [one for one in shlex.split(LOCAL) if one.partition("=")[0] not in given]
        return f"{command} {shlex.join(local)} {TINY}"
    return command


def test_the_readme_has_the_expected_commands() -> None:
    assert [command.split("|")[-1].split()[1] for command in readme_commands()] == [
        *("train", "evaluate", "translate", "train"),  # the example
        "recipe",
        *("check", "train", "info"),
        "clean",
        "reproduce",
        *("train", "train", "train", "train", "train"),  # fine-tuning
        *("train", "train"),  # pretraining
        *("translate", "attend", "translate"),
        "serve",
        *("backtranslate", "backtranslate"),
        *("distill", "distill", "export", "translate"),
        *("push", "pull", "translate"),  # the Hub
        *("evaluate", "evaluate", "evaluate", "evaluate", "compare", "score"),
        *("translate", "translate", "compare", "report"),
    ]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `nmt …`, `nmt … < FILE` or `echo TEXT | nmt …` in a folder."""
    text, _, command = command.rpartition("|")
    words = shlex.split(command)
    if text:
        data = shlex.split(text)[1].encode() + b"\n"
    elif "<" in words:
        data = (folder / words.pop()).read_bytes()
        words.pop()
    else:
        data = b""
    assert words.pop(0) == "nmt"
    return forked.run(forked.COMMAND, *words, data=data, cwd=folder)


def test_the_commands_work(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    splits = {"train": "train", "val": "valid", "test_2016_flickr": "test"}
    for name, split in (splits | {"domain": "test", "dev": "valid", "mono": "train"}).items():
        write_phrasebook(tmp_path / name, split, 60)
    for name in ("train", "val"):
        shutil.copy(tmp_path / f"{name}.de", tmp_path / f"{name}.nl")
    (tmp_path / "page.html").write_text("<p>The <b>cat</b> sleeps.</p>", "utf-8")
    for command in readme_commands():
        if re.search("--test-set|nmt push|nmt pull|hf:", command):  # needs the network
            continue
        if "nmt serve" in command:  # does not end; tests/serve runs it
            continue
        done = run(runnable(command), tmp_path)
        assert done.returncode == 0, f"{runnable(command)}\n{done.stderr}"
        silent = re.search(
            "nmt (recipe|train|distill|backtranslate|export|report|attend)|--output", command
        )
        assert done.stdout or silent, command


def test_the_python_example_works(trained_run: Path, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    code = code.replace('"runs/demo"', repr(str(trained_run))).replace('"Die "', '"THE "')
    code = code.replace('{"train.max_steps": 200}', repr(TINY.split()))
    done = forked.run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.rstrip("\n").split("\n")) == 11
    assert (tmp_path / "runs" / "short" / "config.yaml").is_file()


def test_the_example_in_several_languages_works(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Several languages")[2]
    [example, *_] = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    (tmp_path / "several.yaml").write_text(example, "utf-8")
    write_phrasebook(tmp_path / "train", "train", 60)
    write_phrasebook(tmp_path / "small", "train", 20)
    write_phrasebook(tmp_path / "val", "valid", 20)
    (tmp_path / "small.de").rename(tmp_path / "small.fr")
    done = run(f"nmt train several.yaml {TINY}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "an epoch: en-de 60 pairs, visited 1 times; de-en 60 pairs, visited 1" in done.stderr
    told = run("echo 'The cat.' | nmt translate runs/several --tgt-lang fr", tmp_path)
    assert told.returncode == 0, told.stderr
    unknown = run("echo 'The cat.' | nmt translate runs/several --tgt-lang es", tmp_path)
    assert "it knows de, en, fr" in unknown.stderr
    assert "<2de> <2en> <2fr>" in run("nmt info runs/several", tmp_path).stdout


def test_the_table_of_recipes_is_that_of_the_configurations() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \| (.+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    measured = {}
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        recipe = load_config(path).recipe
        assert recipe is not None
        if expected := recipe.expected:
            seeds = f"{expected.seeds} seed{'s' if expected.seeds > 1 else ''}"
            basis = "" if expected.basis == "seeds" else f", {expected.basis}"
            interval = f"{expected.low:.1f} to {expected.high:.1f}"
            score = f"{expected.score:.1f}"
            measured[path.stem] = (recipe.test.name, score, interval, seeds + basis)
    assert {name: tuple(rest) for name, *rest in rows if name in measured} == measured


def test_the_example_of_both_directions_works(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("### Both directions first")[2]
    [example, *_] = re.findall(r"^(?:    .*\n)+", section, re.MULTILINE)
    (tmp_path / "both.yaml").write_text(example.replace("\n    ", "\n").lstrip(), "utf-8")
    for name, split in (("train", "train"), ("val", "valid")):
        write_phrasebook(tmp_path / name, split, 60)
    done = run(f"nmt train both.yaml {TINY} train.stages.0.steps=2", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "an epoch: en-de 60 pairs, visited 1 times; de-en 60 pairs, visited 1" in done.stderr
    assert "stage 2 of 2: steps 3 to 4; corpora: forward (weight 1)" in done.stderr
    assert "cannot know which is wanted" not in done.stderr


def test_paths_named_in_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/])(?:nmt|configs|scripts)/[\w./-]*\w", text))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_links_name_a_class_or_function_of_the_file() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\[`([\w.]+)`\]\((nmt/[\w/.]+)\)", text)
    assert len(links) > 15
    for name, path in links:
        node: ast.AST = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for part in name.split("."):
            inside = {getattr(child, "name", None): child for child in ast.iter_child_nodes(node)}
            assert part in inside, f"{path} has no {name}"
            node = inside[part]
        assert isinstance(node, ast.ClassDef | ast.FunctionDef)


def test_links_inside_the_readme_lead_to_a_heading() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    headings = [name.lower() for name in re.findall(r"^##+ (.+)$", text, re.MULTILINE)]
    anchors = {re.sub(r"[^\w\- ]", "", name).replace(" ", "-") for name in headings}
    assert len(anchors) == len(headings)
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert len(links) > 20
    assert links - anchors == set()
