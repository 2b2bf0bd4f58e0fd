"""Where the text of a recipe is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nmt.config.corpora import AnyCorpus, FilesCorpus
from nmt.config.recipe import PairConfig, TextConfig
from nmt.config.schema import Config
from nmt.errors import ConfigError

_PARTS = ("train", "valid", "test")
_KEPT = {"weight", "src_lang", "tgt_lang", "reversed", "set", "alignments"}


class Described(NamedTuple):
    """A corpus and what its recipe says about it."""

    key: str
    """Its dotted key, such as `data.train`."""
    corpus: AnyCorpus
    pair: PairConfig


def described_corpora(config: Config, problems: list[str]) -> Iterator[Described]:
    """Yield each corpus that the recipe of a configuration describes.

    Args:
        config: a configuration with a recipe.
        problems: receives a message for each part with another number of corpora than its recipe.
    """
    assert config.recipe is not None
    for part in _PARTS:
        corpora = _corpora(config, part)
        pairs: list[PairConfig] = getattr(config.recipe.data, part)
        if len(pairs) == len(corpora):
            for (key, corpus), pair in zip(corpora.items(), pairs, strict=True):
                yield Described(key, corpus, pair)
        elif pairs:
            problems.append(
                f"data.{part} and recipe.data.{part} have different numbers of corpora: "
                f"{len(corpora)} and {len(pairs)}"
            )


def text_in(folder: Path, config: Config) -> list[str]:
    """Return overrides that take the text of a recipe from a directory.

    Args:
        folder: a directory with the files that the recipe names, plain or .gz.
        config: a configuration with a recipe.

    Raises:
        ConfigError: if it is not a directory, or the recipe does not name all of its files.
    """
    if not folder.is_dir():
        raise ConfigError(f"`data`: {folder} is not a directory")
    problems: list[str] = []
    moved = {
        key: _moved(corpus, pair, folder)
        for key, corpus, pair in described_corpora(config, problems)
    }
    keys = {part: _corpora(config, part).keys() for part in _PARTS}
    if any(key not in moved for part in _PARTS for key in keys[part]):
        raise ConfigError(
            "`data`: the recipe does not name all of its files; instead, set data.train, "
            "data.valid and data.test, as in data.train='{src: FILE, tgt: FILE}'",
            *problems,
        )
    values: dict[str, Any] = {part: [moved[key] for key in keys[part]] for part in _PARTS}
    if isinstance(config.data.valid, dict):
        corpora = iter(values["valid"])
        values["valid"] = {
            name: [next(corpora) for _ in each] for name, each in config.data.valid.items()
        }
    return [f"data.{part}={json.dumps(value)}" for part, value in values.items() if value]


def scored_files(config: Config) -> tuple[Path | None, list[Path]]:
    """Return the source of data.test and its references, if these are not its target side.

    Otherwise, None and an empty list.
    """
    for key, corpus, pair in described_corpora(config, []):
        if key == "data.test" and isinstance(corpus, FilesCorpus) and pair.ref:
            return Path(corpus.src), [reference(corpus, pair.ref)]
    return None, []


def reference(corpus: FilesCorpus, text: TextConfig) -> Path:
    """Return the file with the references of a corpus."""
    return _existing(Path(corpus.tgt).parent, text)


def _corpora(config: Config, part: str) -> dict[str, AnyCorpus]:
    """Return the corpora of a part of `data` by dotted keys."""
    sets = config.data.valid_sets if part == "valid" else {"": getattr(config.data, part)}
    return {
        ".".join(filter(None, ("data", part, name, str(number) if len(corpora) > 1 else ""))): one
        for name, corpora in sets.items()
        for number, one in enumerate(corpora)
    }


def _moved(corpus: AnyCorpus, pair: PairConfig, folder: Path) -> dict[str, Any]:
    """Return a corpus of two files in a directory, with the other settings of a corpus."""
    paths = {side: str(_existing(folder, pair.sides[side])) for side in ("src", "tgt")}
    return {**corpus.model_dump(include=_KEPT, exclude_defaults=True), **paths}


def _existing(folder: Path, text: TextConfig) -> Path:
    """Return the path of a text, plain or .gz."""
    zipped = folder / f"{text.file}.gz"
    return zipped if zipped.exists() else folder / text.file
