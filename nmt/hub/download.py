"""Download the files of a model from the Hub, and nothing that could run code.

The files go into the cache of `huggingface_hub` (HF_HOME), which resumes interrupted downloads. It
names a file after its checksum, so that damage is found without a network: large files after their
SHA-256, others after the SHA-1 that git gives them.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from nmt.errors import FileError
from nmt.files import as_file_error
from nmt.hub.failures import hub_failures
from nmt.hub.names import HubName, parse_name

_WEIGHTS = r"(?:averaged|checkpoints/step-\d+)/(?:manifest\.json|state\.json|weights\.safetensors)"
RUN_FILES = re.compile(
    r"config\.yaml|data\.json|int8\.json|finished|shortlist/(?:manifest\.json|table\.safetensors)|"
    rf"tokenizer/(?:manifest\.json|(?:spm|src|tgt)\.model)|{_WEIGHTS}"
)
"""The files of a run that translation needs."""
MARIAN_FILES = re.compile(
    r"config\.json|generation_config\.json|tokenizer_config\.json|(?:target_)?vocab\.json|"
    r"(?:source|target)\.spm|model\.safetensors"
)
"""The files of a MarianMT model."""
_NPZ_FILES = re.compile(r"[\w.-]+\.(?:npz|yml)|(?:source|target)\.spm")
_TELLING = ["config.yaml", "config.json", "decoder.yml"]
"""The files that tell the kind of a model."""


def pinned(name: HubName) -> HubName:
    """Return the name with the commit that its revision means now.

    Without a network, it is the commit that the revision meant when it was last downloaded.

    Raises:
        FileError: if there is no such repository or revision, or the Hub cannot be reached.
    """
    if name.is_pinned:
        return name
    return name.at(_snapshot(name, _TELLING).name)


def download(name: HubName) -> Path:
    """Return a directory with the files of a model, after downloading those that are missing.

    Args:
        name: a pinned name.

    Returns:
        A directory of links into the cache of `huggingface_hub`; it may have other files as well.

    Raises:
        FileError: if the repository holds no model that nmt reads, or it cannot be downloaded, or
            a file does not have the checksum that the Hub names.
    """
    wanted = _wanted(name, _listed(name))
    for attempt in range(2):
        snapshot = _snapshot(name, wanted)
        damaged = [path for path in files_of(snapshot) if _is_damaged(path)]
        if not damaged:
            return snapshot
        with as_file_error(snapshot, "a damaged file in it cannot be deleted"):
            for path in damaged if attempt == 0 else ():
                path.resolve().unlink(missing_ok=True)
                path.unlink(missing_ok=True)
    raise FileError(
        f"{name}: {damaged[0].relative_to(snapshot)}: damaged, twice: it does not have the "
        "checksum that the Hub names: try again later, or choose another revision"
    )


def files_of(snapshot: Path) -> list[Path]:
    """Return the files of the model in a directory that `download` has returned."""
    names = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*")]
    return [snapshot / name for name in sorted(_chosen(names))]


def _chosen(names: Iterable[str]) -> Iterator[str]:
    """Choose the files that a model consists of; none if it is of no known kind."""
    names = list(names)
    kinds = zip(_TELLING, (RUN_FILES, MARIAN_FILES, _NPZ_FILES), strict=True)
    pattern = next((files for telling, files in kinds if telling in names), None)
    yield from (name for name in names if pattern and pattern.fullmatch(name))


def _listed(name: HubName) -> list[str]:
    """Return the names of the files in a repository; without a network, of those in the cache."""
    from huggingface_hub import HfApi, snapshot_download

    with hub_failures(name, "cannot be downloaded"):
        try:
            return HfApi().list_repo_files(name.repository, revision=name.revision)
        except Exception as error:  # see `hub_failures`
            try:
                folder = Path(
                    snapshot_download(
                        name.repository,
                        revision=name.revision,
                        allow_patterns=_TELLING,
                        local_files_only=True,
                    )
                )
            except Exception:  # not in the cache
                raise error from None
            return [path.relative_to(folder).as_posix() for path in folder.rglob("*")]


def _wanted(name: HubName, names: list[str]) -> list[str]:
    """Return the files to download.

    Raises:
        FileError: if there is no model among the files, or only one that may contain code.
    """
    wanted = list(_chosen(names))
    if any(path.endswith((".safetensors", ".npz")) for path in wanted):
        return wanted
    unsafe = sorted(path for path in names if re.search(r"\.(bin|pt|pth|ckpt|pkl|h5|ot)$", path))
    if "config.json" in names and unsafe:
        raise FileError(
            f"{name}: its weights are in {', '.join(unsafe)} only, and such files may contain "
            "code, so nmt does not read them",
            "name a revision with model.safetensors, if there is one: it is often offered as a "
            f"pull request, as in {name.at('refs/pr/1')}",
            "or convert it with transformers: MarianMTModel and MarianTokenizer "
            f".from_pretrained({name.repository!r}).save_pretrained(DIR), then `nmt import DIR`",
        )
    raise FileError(
        f"{name}: no model that nmt reads: neither a run of nmt, which `nmt push` uploads, nor a "
        "MarianMT model with config.json and model.safetensors"
    )


def _snapshot(name: HubName, wanted: list[str]) -> Path:
    """Return the directory of a commit in the cache, after downloading the wanted files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    with hub_failures(name, "cannot be downloaded"):
        return Path(
            snapshot_download(name.repository, revision=name.revision, allow_patterns=wanted)
        )


def _is_damaged(path: Path) -> bool:
    """Return whether a file of the cache differs from the checksum that is its name.

    Where there are no symbolic links, as on Windows, files have their own names; then only the
    manifests of the run tell.
    """
    file = path.resolve()
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", file.name):
        return False
    is_large = len(file.name) == 64
    digest = hashlib.sha256() if is_large else hashlib.sha1(usedforsecurity=False)
    with as_file_error(path, "cannot be read"), file.open("rb") as content:
        if not is_large:  # git's checksum of a file
            digest.update(b"blob %d\0" % file.stat().st_size)
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() != file.name


def parse_pinned(text: str | Path) -> HubName:
    """Parse a name and pin it; see `parse_name` and `pinned`."""
    return pinned(parse_name(text))
