"""From the name of a model to a directory: on disk, on the Hub, or one that must be imported first.

Models from elsewhere become run directories in nmt's cache, once. Files of the Hub are linked there
rather than copied, where possible, since nmt refuses the symbolic links that the cache of
`huggingface_hub` consists of.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from nmt.data import cache
from nmt.errors import ConfigError, FileError
from nmt.files import as_file_error, measure, new_directory, refuse_existing
from nmt.hub.download import MARIAN_FILES, download, files_of, parse_pinned
from nmt.hub.names import HubName, is_hub_name, parse_name
from nmt.runs.hub_file import write_origin
from nmt.runs.manifest import problems
from nmt.version import __version__

Log = Callable[[str], object]
Languages = tuple[str | None, str | None]

# To be raised when importing a model gives other files.
_FORMAT = 1


def pin(model: str | Path, log: Log = lambda message: None) -> str | Path:
    """Return a name that will mean the same model tomorrow.

    Args:
        model: a path, which is returned unchanged, or the name of a model on the Hub.
        log: called with the commit.

    Returns:
        A path, or a name with a commit: `hf:owner/name@commit`.

    Raises:
        ConfigError: if it cannot be a name on the Hub.
        FileError: if the Hub has no such model, or cannot be reached.
    """
    if not is_hub_name(model):
        return model
    name = parse_pinned(model)
    log(f"{name.at(None)}: commit {name.revision}")
    return str(name)


def find_model(model: str | Path, log: Log = lambda message: None) -> Path:
    """Return the directory of a model, after downloading it if it is on the Hub.

    A MarianMT model on the Hub is imported.

    Args:
        model: a path, which is returned unchanged, or the name of a model on the Hub.
        log: called with messages about what takes time.

    Raises:
        ConfigError: if it cannot be a name on the Hub, or nmt cannot represent the model.
        FileError: if the Hub has no such model, it is damaged, or cannot be reached or written.
    """
    if not is_hub_name(model):
        return Path(model)
    name = parse_pinned(model)

    def build(folder: Path) -> None:
        _make_run(name, folder, os.link)

    entry = f"hub-{name.repository.replace('/', '--')}-{name.revision}"
    return cache.entry(None, entry, build, log)


def find_source(source: str, languages: Languages) -> Path:
    """Return the directory of a model to start from: as `find_model`, or imported from a directory.

    Args:
        source: a run, one directory of weights in it, the name of a model on the Hub, or a
            directory that `nmt import` reads.
        languages: those of an imported model if it does not name them.

    Raises:
        ConfigError, FileError: as in `find_model`.
    """
    directory = find_model(source)
    if not is_foreign(directory):
        return directory
    from nmt.convert.importing import import_model

    def build(folder: Path) -> None:
        import_model(directory, folder, usual_languages=languages)

    with as_file_error(directory, "cannot be read"):
        paths = sorted(directory.iterdir())
        read = [path for path in paths if path.suffix in {".npz", ".yml"} or _is_of_marian(path)]
        # Files may be links: the cache of `huggingface_hub` consists of them.
        sums = {path.name: measure(path.resolve()) for path in read}
    key = cache.key(files=sums, languages=languages, nmt=__version__, format=_FORMAT)
    return cache.entry(None, f"imported-{key}", build)


def is_foreign(directory: Path) -> bool:
    """Return whether a directory holds a model for `nmt import` rather than a run."""
    if (directory / "config.yaml").exists():
        return False
    return any((directory / name).is_file() for name in ("config.json", "decoder.yml"))


def pull(text: str, output: Path, revision: str | None, log: Log) -> None:
    """Download a model into a new run directory. On failure no output is left behind.

    Args:
        text: its name on the Hub.
        output: run directory to create; may exist if it is empty.
        revision: branch, tag or commit; by default that of the name, or else the main branch.
        log: called with the commit.

    Raises:
        ConfigError, FileError: as in `find_model`; if the output is not empty.
    """
    name = parse_name(text)
    if revision and name.revision:
        raise ConfigError(f"{name}: give the revision in the name or as `revision`, not both")
    refuse_existing(output)
    name = parse_pinned(f"{name}@{revision}" if revision else str(name))
    log(f"{name.at(None)}: commit {name.revision}")
    with new_directory(output) as folder:
        # Copies: the user may edit them, which must not change the files of the cache.
        _make_run(name, folder, shutil.copyfile)


def _is_of_marian(path: Path) -> bool:
    return MARIAN_FILES.fullmatch(path.name) is not None


def _make_run(name: HubName, folder: Path, place: Callable[[Path, Path], object]) -> None:
    """Make a run directory of a model on the Hub.

    Args:
        name: a pinned name.
        folder: an empty directory.
        place: links or copies a file.
    """
    snapshot = download(name)
    if is_foreign(snapshot):
        _import(name, snapshot, folder)
    else:
        for file in files_of(snapshot):
            target = folder / file.relative_to(snapshot)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                place(file.resolve(), target)
            except OSError:  # a link, but to another disk
                shutil.copyfile(file, target)
        _check(name, folder)
    write_origin(folder, name.repository, str(name.revision))


def _import(name: HubName, snapshot: Path, folder: Path) -> None:
    from nmt.convert.importing import import_model

    try:
        import_model(snapshot, folder, name=name.repository)
    except (ConfigError, FileError) as error:
        message, *details = (part.replace(str(snapshot), str(name)) for part in error.args)
        way_out = "`hf download` fetches its files, and `nmt import` takes languages it lacks"
        raise type(error)(message, *details, way_out) from error


def _check(name: HubName, folder: Path) -> None:
    """Check a run against its own manifests, before anything uses it."""
    for manifest in sorted(folder.rglob("manifest.json")):
        for problem in problems(manifest.parent):
            raise FileError(
                f"{name}: {problem.replace(f'{folder}{os.sep}', '')}",
                "the files on the Hub are not those that `nmt push` uploaded: choose another "
                "revision, or ask its owner to push it again",
            )
