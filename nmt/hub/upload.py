"""Upload a run to the Hub as a model of its own: what translation needs, and a model card."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.config.load import dump_config
from nmt.config.schema import Config
from nmt.errors import ConfigError, FileError
from nmt.files import as_file_error, write_text
from nmt.hub.card import PushOptions, model_card
from nmt.hub.download import MARIAN_FILES, RUN_FILES
from nmt.hub.failures import hub_failures
from nmt.hub.names import HubName, is_hub_name, parse_name
from nmt.runs.checkpoint import read_state
from nmt.runs.layout import finished_step
from nmt.runs.manifest import read_json, save_directory, write_json
from nmt.runs.parts import find_weights, load_tokenizers

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_PATHS = ("src", "tgt", "tsv", "jsonl", "parquet", "dataset", "alignments")
_MODEL_PATHS = ("model", "src_model", "tgt_model")


def push(path: Path, text: str, options: PushOptions, log: Callable[[str], object]) -> None:
    """Upload a run in one commit, so that nobody sees half of it.

    Files of an earlier push that are no longer part of the model are deleted; others in the
    repository stay.

    Args:
        path: a run directory, or one directory of weights in it.
        text: `owner/name` on the Hub; the repository is created if it is missing.
        options: how it is published.
        log: called with the commit.

    Raises:
        ConfigError: if the name is wrong, or Marian cannot represent the model.
        FileError: if the run is unfinished or damaged, or it cannot be uploaded.
    """
    name = parse_name(text)
    if "/" not in name.repository or name.revision:
        raise ConfigError(f"{text}: name the repository as owner/name, and a branch as `revision`")
    name = parse_name(f"{name}@{options.revision}") if options.revision else name
    _, _, weights = find_weights(path)
    _check_finished(path, weights)
    with tempfile.TemporaryDirectory(prefix="nmt-push-") as temporary:
        staged = Path(temporary)
        with as_file_error(staged):
            stage(path, staged, name.repository, options)
        with hub_failures(name, "cannot be uploaded"):
            commit = _upload(staged, name, options)
    log(f"{name}: uploaded as commit {commit}; `nmt translate {name}` runs it")


def _check_finished(path: Path, weights: Path) -> None:
    """Raise a FileError if a run is still to be trained, unless its weights were named."""
    run = weights.parent if weights.name == "averaged" else weights.parent.parent
    if path == run and not finished_step(run) and "imported" not in read_state(weights):
        raise FileError(
            f"{run}: its training is not finished: repeat `nmt train` to finish it, or name the "
            f"weights to upload: {weights}"
        )


def stage(path: Path, folder: Path, repository: str, options: PushOptions) -> None:
    """Write the files to be uploaded into an empty folder.

    Paths of this machine are reduced to names of files.

    Args:
        path: a run directory, or one directory of weights in it.
        folder: where they go.
        repository: for the model card.
        options: as of `push`.

    Raises:
        ConfigError, FileError: as in `push`.
    """
    run, config, weights = find_weights(path)
    load_tokenizers(run)  # fails if they are damaged
    write_text(folder / "config.yaml", dump_config(public_config(config)))
    data = _public_data(read_json(run / "data.json"), config)
    write_json(folder / "data.json", data)
    for name in ("int8.json", "finished"):
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    shutil.copytree(run / "tokenizer", folder / "tokenizer")
    if (run / "shortlist").is_dir():
        shutil.copytree(run / "shortlist", folder / "shortlist")
    placed = folder / weights.relative_to(run)

    def fill(target: Path) -> None:
        for name in ("weights.safetensors", "state.json"):
            shutil.copyfile(weights / name, target / name)

    save_directory(placed, fill)  # its manifest does not list the state of the optimizer
    if options.transformers:
        _add_marian(path, folder)
    card = model_card(repository, public_config(config), placed, data, options)
    write_text(folder / "README.md", card)


def _add_marian(path: Path, folder: Path) -> None:
    from nmt.convert.huggingface_export import export_huggingface
    from nmt.runs.model import load_model

    export_huggingface(load_model(path), folder / "marian")
    for file in (folder / "marian").iterdir():
        file.rename(folder / file.name)
    (folder / "marian").rmdir()


def public_config(config: Config) -> Config:
    """Return a configuration with names of files in place of paths, which are nobody's business."""
    values = config.model_dump(mode="json")
    for corpus in _corpora(values["data"]):
        for key in _PATHS:
            if isinstance(corpus.get(key), str):
                corpus[key] = _file_name(corpus[key], is_dataset=key == "dataset")
    values["data"]["cache_dir"] = None
    for key in _MODEL_PATHS:
        if values["tokenizer"].get(key):
            values["tokenizer"][key] = Path(values["tokenizer"][key]).name
    guided = values["train"]["guided_alignment"] or {}
    for section, key in ((values["train"], "init_from"), (guided, "run"), (guided, "reverse_run")):
        if section.get(key) and not is_hub_name(section[key]):
            section[key] = Path(section[key]).name
    return Config.model_validate(values)


def _corpora(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the sections of corpora in `data`, which may be in lists and mappings."""
    if isinstance(value, dict) and "kind" in value:
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _corpora(one)


def _file_name(path: str, *, is_dataset: bool) -> str:
    """Return the name of a file or a local dataset; that of a dataset on the Hub is unchanged."""
    is_on_hub = is_dataset and path.count("/") < 2 and path[:1] not in "./~"
    return path if is_on_hub and not Path(path).exists() else Path(path).name


def _public_data(data: dict[str, Any], config: Config) -> dict[str, Any]:
    """Return the content of data.json without paths of local datasets, the only ones in it."""
    text = json.dumps(data, ensure_ascii=False)
    for corpus in _corpora(config.model_dump(mode="json")["data"]):
        if corpus["kind"] == "dataset":
            path = corpus["dataset"]
            public = _file_name(path, is_dataset=True)
            old, new = (json.dumps(each, ensure_ascii=False)[:-1] for each in (path, public))
            text = text.replace(old, new)
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _upload(staged: Path, name: HubName, options: PushOptions) -> str:
    """Commit all files of a folder, and return the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    api.create_repo(name.repository, private=options.private or None, exist_ok=True)
    if options.private and not api.model_info(name.repository).private:
        raise FileError(
            f"{name}: the repository exists already, and is public: make it private on its page, "
            "or choose another name"
        )
    if name.revision:
        api.create_branch(name.repository, branch=name.revision, exist_ok=True)
    files = {
        path.relative_to(staged).as_posix(): path for path in staged.rglob("*") if path.is_file()
    }
    stale = [path for path in _managed(api, name) if path not in files]
    commit = api.create_commit(
        name.repository,
        [
            *(CommitOperationDelete(path, is_folder=False) for path in stale),
            *(CommitOperationAdd(path, files[path]) for path in sorted(files)),
        ],
        commit_message="Upload a model of nmt",
        revision=name.revision,
    )
    return commit.oid


def _managed(api: HfApi, name: HubName) -> list[str]:
    """Return the files in a repository that an earlier push has written."""
    names = api.list_repo_files(name.repository, revision=name.revision)
    if "config.yaml" not in names:  # whatever is there, it is no run
        return []
    return [each for each in names if RUN_FILES.fullmatch(each) or MARIAN_FILES.fullmatch(each)]
