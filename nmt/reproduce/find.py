"""Where recipes are: in the current directory, or shipped with nmt."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import ConfigError

_SHIPPED = [Path(__file__).parents[1] / "configs", Path(__file__).parents[2] / "configs"]
"""The copy of configs/ in an installed package, and that of a checkout."""


def find_recipe(name: str) -> Path:
    """Return the file of a recipe.

    Args:
        name: the path of a configuration, or its name in configs/, as in `demo` or `paper/base`.
            The configs/ of the current directory comes before that of nmt.

    Raises:
        ConfigError: if there is none.
    """
    if name.endswith(".yaml") and Path(name).is_file():
        return Path(name)
    folders = [folder for folder in (Path("configs"), *_SHIPPED) if folder.is_dir()]
    for folder in folders:
        if (path := folder / f"{name.removesuffix('.yaml')}.yaml").is_file():
            return path
    if not folders:
        raise ConfigError(
            f"no recipe {name}: it is not a file, and the current directory has no configs/; "
            "change to the directory of nmt's source code, or give the path of the recipe"
        )
    known = sorted({each for folder in folders for each in _names(folder)})
    close = difflib.get_close_matches(name, known, n=3) or known
    raise ConfigError(
        f"no recipe {name}: it is neither a file nor in {' or '.join(map(str, folders))}, which "
        f"{'has' if len(folders) == 1 else 'have'} {', '.join(close)}"
    )


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.yaml"):
        yield path.relative_to(folder).with_suffix("").as_posix()
