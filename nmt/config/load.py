"""Reading and writing configuration files; `nmt.config.explain` says what is wrong with one."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from nmt.config.explain import explain
from nmt.config.models import MODELS, TransformerConfig
from nmt.config.schema import Config
from nmt.errors import ConfigError, FileError
from nmt.files import MAX_YAML_BYTES, read_bounded


def load_config(path: str | Path, overrides: Sequence[str] | None = None) -> Config:
    """Read a YAML file, apply `a.b=value` overrides and check the result.

    A file that says `extends: other.yaml`, a path relative to its own folder, changes what that
    file says, which may extend another in turn. Sections are merged key by key; everything else
    is replaced, so a corpus or a list of corpora is always of one file, and so is a model whose
    `kind` is not that of the file extended.

    Args:
        path: the YAML file.
        overrides: strings such as `train.max_steps=200` or `data.train.0.src=x.en.gz`; the value
            is parsed as YAML. They apply last.

    Raises:
        FileError: the file, or one that it extends, cannot be read.
        ConfigError: one of them is no YAML, they extend each other in a circle, or the result
            breaks the schema; the message lists every fault.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, changes in _read_chain(Path(path)):
        _merge(values, changes, Config, origin, origins)
    return _overridden(values, overrides or [], str(path), origins)


def make_config(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """Check a configuration that is not in a file.

    Args:
        values: the sections, as a YAML file has them.
        overrides: as in `load_config`.

    Raises:
        ConfigError: the result breaks the schema; the message lists every fault.
    """
    return _overridden(copy.deepcopy(dict(values)), overrides, "the configuration", {})


def _overridden(
    values: dict[str, Any], overrides: Sequence[str], name: str, origins: dict[str, str]
) -> Config:
    faults = []
    for item in overrides:
        if fault := _override(values, item):
            faults.append(fault)
        _forget(origins, item.partition("=")[0])
    return _validated(values, name, origins, faults)


def load_model_config(path: Path) -> Config:
    """Read the configuration in a model directory, which somebody else may have made.

    Raises:
        FileError: it is missing, not a plain file, or cannot be read.
        ConfigError: it is no YAML, breaks the schema, or extends another file.
    """
    values = _parse_mapping(read_bounded(path, MAX_YAML_BYTES), path)
    if "extends" in values:
        raise ConfigError(
            f"{path}: extends: the configuration of a model stands alone; "
            "`nmt config FILE` prints one that extends others as a whole"
        )
    return _validated(values, str(path), {}, [])


def dump_config(config: Config) -> str:
    """Write a configuration as YAML that `load_config` reads back to the same."""
    values = config.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is an error: the first would be lost unsaid."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<: *anchor
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(str(key))
        return super().construct_mapping(node, deep)


def _read_chain(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read a file and those it extends: names and values, the file itself last."""
    chain: list[tuple[str, dict[str, Any]]] = []
    seen: list[Path] = []
    following: Path | None = path
    while following is not None:
        values = _read(following, f" ({chain[0][0]} extends it)" if chain else "")
        seen.append(following.resolve())
        if seen[-1] in seen[:-1]:
            circle = " extends ".join([*(name for name, _ in reversed(chain)), str(following)])
            raise ConfigError(f"{path}: extends goes round in a circle: {circle}")
        extended = values.pop("extends", None)
        if not isinstance(extended, str | None):
            raise ConfigError(f"{following}: extends: it takes the path of one file")
        chain.insert(0, (str(following), values))
        following = None if extended is None else following.parent / extended
    return chain


def _read(path: Path, reason: str) -> dict[str, Any]:
    try:
        content = read_bounded(path, MAX_YAML_BYTES, plain=False)
    except FileError as error:
        raise FileError(f"{error}{reason}") from error
    return _parse_mapping(content, path)


def _parse_mapping(content: bytes, path: Path) -> dict[str, Any]:
    try:
        text = content.decode("utf-8")
    except ValueError as error:
        raise FileError(f"{path}: cannot be read: {error}") from error
    values = _parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: the configuration must be a mapping, with keys such as 'data'")
    return values


def _merge(
    values: dict[str, Any],
    changes: dict[str, Any],
    section: type[BaseModel],
    origin: str,
    origins: dict[str, str],
    prefix: str = "",
) -> None:
    """Change a section's values, and note by dotted key the file that each comes from."""
    for key, value in changes.items():
        before = values.get(key)
        inner = _inner_section(section, key, value, before)
        if inner and isinstance(value, dict):
            if not isinstance(before, dict) or inner is not _inner_section(section, key, before):
                values[key] = {}
                _forget(origins, f"{prefix}{key}")
            _merge(values[key], value, inner, origin, origins, f"{prefix}{key}.")
        else:
            values[key] = value
            origins[f"{prefix}{key}"] = origin


def _inner_section(section: type[BaseModel], key: str, *values: Any) -> type[BaseModel] | None:
    """Give the section that a key holds, if it does; a model's is of the first kind said."""
    if section is Config and key == "model":
        said = [value["kind"] for value in values if isinstance(value, dict) and "kind" in value]
        # A kind that there is not is for the schema to refuse.
        return MODELS.get(str(said[0]), TransformerConfig) if said else TransformerConfig
    field = section.model_fields.get(key)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _forget(origins: dict[str, str], changed: str) -> None:
    """Strike out what no longer comes from a file alone."""
    for key in list(origins):
        if f"{key}.".startswith(f"{changed}.") or f"{changed}.".startswith(f"{key}."):
            del origins[key]


def _parse_yaml(text: str, origin: str) -> Any:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{origin}:{mark.line + 1}:{mark.column + 1}" if mark else origin
        raise ConfigError(f"{where}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{origin}: not valid YAML: {error}") from error


def _override(values: dict[str, Any], item: str) -> str | None:
    """Apply `a.b.0.c=value` to nested dicts and lists; return what is wrong, if anything."""
    path, equals, text = item.partition("=")
    if not equals or not path:
        return f"{item!r}: an override has the form key.subkey=value"
    if path == "extends":
        return "extends: only a file can say it; give that file instead"
    try:
        value = _parse_yaml(text, path)
        parts = path.split(".")
        node: Any = values
        for part, following in itertools.pairwise(parts):
            node = _child(node, part, list if following.isdecimal() else dict)
        node[_place(node, parts[-1])] = value
    except ConfigError as error:
        return str(error)
    except LookupError as error:
        return f"{path}: {error.args[0]}"
    return None


def _child(node: Any, part: str, kind: type) -> Any:
    """Step into a dict or list, making the dict or list that is not there yet."""
    place = _place(node, part)
    child = node.get(place) if isinstance(node, dict) else node[place]
    if child is None:
        child = kind()
    elif kind is list and isinstance(child, dict):
        child = [child]  # one corpus without the brackets of a list
    node[place] = child
    return child


def _place(node: Any, part: str) -> Any:
    """Key or index that a part of a dotted path means; the index after the last appends."""
    if isinstance(node, dict):
        return part
    if not isinstance(node, list):
        raise LookupError(f"there is nothing called {part!r} in {node!r}")
    if not part.isdecimal() or int(part) > len(node):
        raise LookupError(f"{part!r} is no place in a list of {len(node)}")
    if int(part) == len(node):
        node.append(None)
    return int(part)


def _validated(
    values: dict[str, Any], path: str, origins: dict[str, str], faults: list[str]
) -> Config:
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        explained = (explain(fault, path, origins) for fault in error.errors())
        faults = list(dict.fromkeys([*faults, *explained]))
    if len(faults) > 1:
        raise ConfigError(f"{path}: the configuration has {len(faults)} faults", *faults)
    if faults:
        raise ConfigError(f"{path}: {faults[0]}")
    return config
