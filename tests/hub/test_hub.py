"""Models go to the Hub and come back, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants as hub_constants
from typer.testing import Result

import forked
from command import run_nmt

from .fake_hub import Hub, Repository, running_hub

RESOLVE = "/{repo_id}/resolve/{revision}/{filename}"
TEXT = b"the cat sat.\n\nthe dog ran home on a mat.\n"


class User:
    """Somebody with caches of their own, who runs commands in a folder of their own."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        (folder / "text").write_bytes(TEXT)

    def run(self, *arguments: object, **constants: Any) -> Result:
        """Run a command.

        Args:
            arguments: its arguments.
            constants: those of `huggingface_hub`, which reads them from the environment only once.
        """
        own = {
            "ENDPOINT": self.hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{self.hub.url}{RESOLVE}",
            "HF_HUB_CACHE": str(self.folder / "hf"),
            "HF_HUB_DISABLE_XET": True,
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**own, **constants}.items():
                patch.setattr(hub_constants, name, value)
            patch.setenv("NMT_CACHE_DIR", str(self.folder / "nmt-cache"))
            patch.setenv("HF_TOKEN", "hf_token")
            patch.chdir(self.folder)
            return run_nmt(*arguments)

    def succeeds(self, *arguments: object, **constants: Any) -> str:
        """Run a command and return its output."""
        done = self.run(*arguments, **constants)
        assert done.exit_code == 0, done.output
        return done.stdout

    def fails(self, *arguments: object, code: int = 4, **constants: Any) -> str:
        """Run a command that fails, and return its message."""
        done = self.run(*arguments, **constants)
        assert done.exit_code == code, (done.output, done.exception)
        return done.stderr

    def translates(self, model: object, *options: str, **constants: Any) -> str:
        """Return the translations of a model."""
        return self.succeeds("translate", model, "text", "--threads", "1", *options, **constants)


@pytest.fixture(scope="module")
def served() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def pushed(
    served: Hub, trained_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Return the files of a run that has been pushed."""
    folder = tmp_path_factory.mktemp("owner")
    scores = [{"metric": "bleu", "name": "BLEU", "score": 12.34, "signature": "nrefs:1|tok:13a"}]
    (folder / "flickr.json").write_text(json.dumps(scores), "utf-8")
    done = User(served, folder).run(
        *("push", trained_run, "owner/model", "--license", "cc-by-4.0"),
        *("--scores", "flickr.json"),
    )
    assert done.exit_code == 0, done.stderr
    assert "hf:owner/model: uploaded as commit" in done.stderr
    repository = served.repositories["owner/model"]
    return repository.commits[repository.branches["main"]]


@pytest.fixture
def hub(served: Hub, pushed: dict[str, bytes]) -> Iterator[Hub]:
    """Return a Hub with a model of its own, `owner/model`."""
    before = dict(served.repositories)
    served.repositories = {"owner/model": Repository()}
    served.repositories["owner/model"].commit(dict(pushed))
    served.requests.clear()
    yield served
    served.repositories = before
    served.tampered, served.cut = {}, {}


@pytest.fixture
def user(hub: Hub, tmp_path: Path) -> User:
    return User(hub, tmp_path)


def test_what_is_pushed(pushed: dict[str, bytes], trained_run: Path) -> None:
    [step] = {path.split("/")[1] for path in pushed if path.startswith("checkpoints/")}
    assert set(pushed) == {
        *(".gitattributes", "README.md", "config.yaml", "data.json", "finished"),
        *("tokenizer/manifest.json", "tokenizer/spm.model"),
        *(f"checkpoints/{step}/{n}" for n in ("manifest.json", "state.json")),
        f"checkpoints/{step}/weights.safetensors",
    }
    for path, content in pushed.items():
        assert str(trained_run.parent).encode() not in content, path
    config = yaml.safe_load(pushed["config.yaml"])
    assert config["data"]["train"][0]["src"] == "train.src"
    assert "cache_dir" not in config["data"]


def test_the_card(pushed: dict[str, bytes]) -> None:
    _, metadata, text = pushed["README.md"].decode("utf-8").split("---\n", 2)
    values = yaml.safe_load(metadata)
    assert values["language"] == ["en", "de"]
    assert values["library_name"] == "nmt"
    assert (values["pipeline_tag"], values["license"]) == ("translation", "cc-by-4.0")
    [result] = values["model-index"][0]["results"]
    assert result["dataset"]["name"] == "flickr"
    assert result["metrics"][0]["value"] == 12.34
    assert result["metrics"][0]["args"] == {"signature": "nrefs:1|tok:13a"}
    assert "nmt translate hf:owner/model FILE" in text
    assert "| train | `train.src + train.tgt` | 600 |" in text
    assert r"| flickr | BLEU | 12.3 | nrefs:1\|tok:13a |" in text
    assert "transformers" not in text


def test_a_pulled_model_translates_the_same(user: User, trained_run: Path) -> None:
    options = ["--compute", "float32", "--scores"]
    expected = user.translates(trained_run, *options)
    user.succeeds("pull", "owner/model", "-o", "pulled")
    assert user.translates("pulled", *options) == expected
    commit = user.hub.repositories["owner/model"].branches["main"]
    assert json.loads((user.folder / "pulled/hub.json").read_text("utf-8")) == {
        **{"repository": "owner/model", "commit": commit}
    }
    assert f"Hub         owner/model, commit {commit}" in user.succeeds("info", "pulled")
    assert not any(path.is_symlink() for path in (user.folder / "pulled").rglob("*"))
    assert "already exists" in user.fails("pull", "owner/model", "-o", "pulled")


def test_names_are_accepted_instead_of_directories(user: User, trained_run: Path) -> None:
    options = ["--threads", "1", "--engine", "nmt"]
    expected = user.translates(trained_run, *options)
    done = user.run("translate", "hf:owner/model", "text", *options)
    commit = user.hub.repositories["owner/model"].branches["main"]
    assert f"hf:owner/model: commit {commit}\n" in done.stderr
    assert done.stdout == expected
    # The cache has it now, so the Hub is not needed any more.
    for name in ("hf:owner/model", f"hf:owner/model@{commit}"):
        offline = user.translates(name, *options, HF_HUB_OFFLINE=True)
        assert offline == expected
    both = user.translates(trained_run, *options, "--ensemble", "hf:owner/model")
    assert both == expected
    assert "verified" in user.succeeds("info", "hf:owner/model")
    user.succeeds("export", "hf:owner/model", "--to", "ctranslate2", "-o", "exported")
    cached = next((user.folder / "nmt-cache").glob("hub-*/checkpoints/*/weights.safetensors"))
    assert cached.stat().st_nlink == 2  # in the cache of huggingface_hub, too


def test_a_revision_is_pinned(user: User, pushed: dict[str, bytes]) -> None:
    repository = user.hub.repositories["owner/model"]
    first = repository.branches["main"]
    second = repository.commit({**pushed, "README.md": b"new"})
    repository.branches["v1"] = first
    for name, commit in [("owner/model", second), ("owner/model@v1", first)]:
        user.succeeds("pull", name, "-o", commit)
        assert commit in (user.folder / commit / "hub.json").read_text("utf-8")
    user.succeeds("pull", "owner/model", "--revision", first[:40], "-o", "again")
    assert "no such revision" in user.fails("info", "hf:owner/model@v2")


def test_python(user: User) -> None:
    code = (
        "import nmt, pickle\n"
        "model = nmt.load('hf:owner/model', threads=1)\n"
        "print(model.translate('the cat sat.').text)\n"
        "print(dict(model.__reduce__()[1][0])['path'])\n"
    )
    env = {**os.environ, "HF_ENDPOINT": user.hub.url, "HF_HOME": str(user.folder)}
    done = forked.run(code, env=env)
    assert done.returncode == 0, done.stderr
    commit = user.hub.repositories["owner/model"].branches["main"]
    assert done.stdout.split("\n")[1] == f"hf:owner/model@{commit}"


def test_pushing_again_deletes_what_is_no_longer_part_of_the_model(
    user: User, trained_run: Path, pushed: dict[str, bytes]
) -> None:
    repository = user.hub.repositories["owner/model"]
    more = {"averaged/weights.safetensors": b"old", "LICENSE": b"mine", "config.json": b"old"}
    repository.commit({**pushed, **more})
    user.succeeds("push", trained_run, "owner/model")
    files = set(repository.commits[repository.branches["main"]])
    assert "LICENSE" in files
    assert files.isdisjoint({"averaged/weights.safetensors", "config.json"})
    user.succeeds("push", trained_run, "owner/model", "--revision", "next", "--transformers")
    marian = repository.commits[repository.branches["next"]]
    assert {"config.json", "model.safetensors", "vocab.json", "config.yaml"} <= set(marian)
    assert b"MarianMTModel" in marian["README.md"]
    assert user.succeeds("info", "hf:owner/model@next")


def test_refused_pushes_upload_nothing(user: User, trained_run: Path) -> None:
    unfinished = user.folder / "unfinished"
    shutil.copytree(trained_run, unfinished)
    (unfinished / "finished").unlink()
    (user.folder / "scores.json").write_text("{}", "utf-8")
    for arguments, code, message in [
        ((unfinished, "owner/new"), 4, "training is not finished"),
        ((trained_run, "new"), 2, "name the repository as owner/name"),
        ((trained_run, "owner/a--b"), 2, "not the name of a model"),
        ((trained_run / "tokenizer", "owner/new"), 4, "state.json"),
        ((trained_run, "owner/new", "--scores", "scores.json"), 4, "a list of scores"),
    ]:
        assert message in user.fails("push", *arguments, code=code)
    assert user.hub.requests == []
    message = user.fails("push", trained_run, "owner/model", "--private")
    assert "exists already, and is public" in message
    assert not any("commit" in request for request in user.hub.requests)


@pytest.mark.parametrize("large", [True, False])
def test_content_changed_on_the_way_is_refused(
    user: User, pushed: dict[str, bytes], large: bool
) -> None:
    path = next(p for p in pushed if p.endswith("weights.safetensors" if large else "data.json"))
    content = pushed[path]
    user.hub.tampered[path] = content[:-1] + bytes([content[-1] ^ 1])
    message = user.fails("pull", "owner/model", "-o", "pulled")
    assert f"{path}: damaged" in message
    assert "hf:owner/model@" in message
    assert not (user.folder / "pulled").exists()


def test_content_changed_on_the_hub_is_refused(user: User, pushed: dict[str, bytes]) -> None:
    path = next(path for path in pushed if path.endswith("weights.safetensors"))
    user.hub.repositories["owner/model"].commit({**pushed, path: pushed[path][:-1] + b"?"})
    message = user.fails("translate", "hf:owner/model")
    assert f"{path}: damaged, it differs from its manifest" in message
    assert "choose another revision" in message


def test_a_damaged_cache_is_replaced(user: User) -> None:
    user.succeeds("info", "hf:owner/model")
    cached = next((user.folder / "nmt-cache").glob("hub-*/checkpoints/*/weights.safetensors"))
    cached.write_bytes(b"damaged")  # and the file of huggingface_hub, which is the same one
    done = user.run("info", "hf:owner/model")
    assert done.exit_code == 0, done.stderr
    assert "damaged: its checksum does not match; building it again" in done.stderr


def test_only_files_that_cannot_run_code_are_downloaded(
    user: User, pushed: dict[str, bytes]
) -> None:
    extra = {"handler.py": b"", "averaged/optimizer.bin": b"", "tokenizer/x/spm.model": b""}
    user.hub.repositories["owner/model"].commit({**pushed, **extra, "hub.json": b"{}"})
    user.hub.repositories["owner/pickle"] = Repository()
    user.hub.repositories["owner/pickle"].commit(
        {"config.json": b'{"model_type": "marian"}', "pytorch_model.bin": b"", "vocab.json": b"{}"}
    )
    user.succeeds("pull", "owner/model", "-o", "pulled")
    files = {
        path.relative_to(user.folder / "pulled") for path in (user.folder / "pulled").rglob("*")
    }
    assert files.isdisjoint(map(Path, extra))
    message = user.fails("translate", "hf:owner/pickle")
    assert "pytorch_model.bin only, and such files may contain code" in message
    assert "save_pretrained" in message
    assert not any("pytorch_model.bin" in request for request in user.hub.requests)


def test_an_interrupted_download_resumes(user: User, pushed: dict[str, bytes]) -> None:
    path = next(path for path in pushed if path.endswith("weights.safetensors"))
    user.hub.ranges.clear()
    user.hub.cut[path] = [1000]
    if user.run("pull", "owner/model", "-o", "pulled", DOWNLOAD_CHUNK_SIZE=100).exit_code:
        user.succeeds("pull", "owner/model", "-o", "pulled")  # huggingface_hub 1.0 does not retry
    assert user.hub.ranges == [f"{path} 1000"]


def test_what_a_failed_download_has_completed_is_kept(user: User, pushed: dict[str, bytes]) -> None:
    path = next(path for path in pushed if path.endswith("weights.safetensors"))
    user.hub.tampered[path] = pushed[path][:1000]
    message = user.fails("pull", "owner/model", "-o", "pulled")
    assert "files that are complete are kept" in message
    user.hub.tampered.clear()
    user.hub.requests.clear()
    user.succeeds("pull", "owner/model", "-o", "pulled")
    [loaded] = [one for one in user.hub.requests if one.startswith("GET /owner/model/resolve")]
    assert loaded.endswith(path)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "RepoNotFound", "no such repository, or it is private"),
        (404, "RepoNotFound", "no such repository, or it is private"),
        (403, "GatedRepo", "access is restricted: ask for it at"),
        (403, "Forbidden", "the token has no permission"),
        (404, "RevisionNotFound", "no such revision"),
        (500, "Broken", "the Hub answers 500"),
    ],
)
def test_refusals_of_the_hub(user: User, status: int, code: str, message: str) -> None:
    user.hub.repositories["owner/model"].refuses = (status, code)
    told = user.fails("pull", "owner/model", "-o", "pulled")
    assert message in told
    assert told.startswith("nmt: hf:owner/model")


def test_other_errors(user: User, trained_run: Path) -> None:
    user.hub.repositories["owner/empty"] = Repository()
    user.hub.repositories["owner/empty"].commit({"README.md": b""})
    assert "no model that nmt reads" in user.fails("info", "hf:owner/empty")
    assert "not the name of a model" in user.fails("info", "hf:a/b/c", code=2)
    assert "HF_HUB_OFFLINE is set" in user.fails("info", "hf:owner/model", HF_HUB_OFFLINE=True)
    assert "`nmt pull hf:owner/model -o RUN`" in user.fails("shortlist", "hf:owner/model")
    gone = {"ENDPOINT": "http://127.0.0.1:9"}
    assert "http://127.0.0.1:9 cannot be reached" in user.fails("info", "hf:owner/model", **gone)
    assert "cannot be reached" in user.fails("push", trained_run, "owner/model", **gone)


def training(user: User, source: Any, **changes: Any) -> list[str]:
    """Return the arguments that train a run from a source for a step."""
    keys = {"train.init_from": source, "train.max_steps": 1, "train.device": "cpu", **changes}
    return ["train", "tuned.yaml", *(f"{key}={value}" for key, value in keys.items())]


def test_a_run_starts_from_a_model_on_the_hub(user: User, trained_run: Path) -> None:
    shutil.copy(trained_run / "config.yaml", user.folder / "tuned.yaml")
    repository = user.hub.repositories["owner/model"]
    commit = repository.branches["main"]
    user.succeeds(*training(user, "hf:owner/model"))
    config = yaml.safe_load((user.folder / "runs/tuned/config.yaml").read_text("utf-8"))
    assert config["train"]["init_from"] == f"hf:owner/model@{commit}"
    repository.commit({"README.md": b"gone"})
    done = user.run(*training(user, "hf:owner/model", **{"train.max_steps": 2}))
    assert done.exit_code == 0, done.stderr
    assert "resuming from step 1" in done.stderr
    other = training(user, "hf:owner/model@main", **{"train.max_steps": 3})
    assert "train.init_from: was" in user.fails(*other, code=2)
    name = f"hf:owner/model@{commit}"
    unfit = training(user, name, **{"model.d_ff": 32, "run": "x"})[:-1]
    message = user.fails(*unfit, "--run-dir", "other", code=2)
    assert "model.d_ff: 64 there, 32 here" in message
    assert f"`nmt pull {name} -o RUN`" in message


@pytest.fixture(scope="module")
def marian(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marian") / "model"
    assert run_nmt("export", trained_run, "--to", "huggingface", "-o", folder).exit_code == 0
    return folder


def test_a_marian_model_on_the_hub_is_imported(user: User, marian: Path, trained_run: Path) -> None:
    files = {path.name: path.read_bytes() for path in marian.iterdir()}
    user.hub.repositories["owner/opus"] = Repository()
    commit = user.hub.repositories["owner/opus"].commit({**files, "pytorch_model.bin": b""})
    options = ["--length-penalty=0.6", "--engine=nmt"]
    expected = user.translates(trained_run, *options)
    assert user.translates("hf:owner/opus", *options) == expected
    assert user.translates("hf:owner/opus", *options, HF_HUB_OFFLINE=True) == expected
    assert len([*(user.folder / "nmt-cache").glob("hub-*")]) == 1
    assert not any("pytorch" in request for request in user.hub.requests)
    user.succeeds("pull", "owner/opus", "-o", "pulled")
    told = user.succeeds("info", "pulled")
    assert "imported from the MarianMT model owner/opus" in told
    assert f"owner/opus, commit {commit}" in told
    user.succeeds("push", "pulled", "owner/again")
    assert b"imported from" in user.hub.repositories["owner/again"].files()["README.md"]


def test_a_run_starts_from_a_marian_model(user: User, marian: Path, trained_run: Path) -> None:
    directory = user.folder / "marian"
    shutil.copytree(marian, directory)
    path = directory / "tokenizer_config.json"
    values = json.loads(path.read_text("utf-8"))
    del values["source_lang"], values["target_lang"]
    path.write_text(json.dumps(values), "utf-8")  # those of the configuration count, then
    shutil.copy(trained_run / "config.yaml", user.folder / "tuned.yaml")
    message = user.fails(*training(user, directory), code=2)
    assert "model.attention_bias: True there, False here" in message
    assert f"`nmt import {directory} -o RUN` makes a run of it" in message
    [imported] = (user.folder / "nmt-cache").glob("imported-*")
    shutil.copy(imported / "config.yaml", user.folder / "tuned.yaml")
    data = yaml.safe_load((trained_run / "config.yaml").read_text("utf-8"))["data"]
    corpora = {"data.train": json.dumps(data["train"]), "data.cache_dir": "cache"}
    user.succeeds(*training(user, directory, **corpora))
    assert [imported] == [*(user.folder / "nmt-cache").glob("imported-*")]
    assert "init_from" in (user.folder / "runs/tuned/config.yaml").read_text("utf-8")
