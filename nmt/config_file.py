"""Reading and writing configuration files, and saying what is wrong with one."""

from __future__ import annotations

import difflib
import functools
import itertools
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nmt.config import CORPUS_KINDS, Config
from nmt.errors import ConfigError, FileError


def load_config(path: str | Path, overrides: list[str] | None = None) -> Config:
    """Read a YAML file, apply `a.b=value` overrides and check the result.

    Args:
        path: the YAML file.
        overrides: strings such as `train.max_steps=200` or `data.train.0.src=x.en.gz`; the value
            is parsed as YAML.

    Raises:
        FileError: the file cannot be read.
        ConfigError: it is no YAML, or breaks the schema; the message lists every fault.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: cannot read the configuration: {_reason(error)}") from error
    values = _parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: the configuration must be a mapping with the key 'data'")
    faults = [fault for item in overrides or [] if (fault := _override(values, item))]
    return _validated(values, str(path), faults)


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


def _validated(values: dict[str, Any], origin: str, faults: list[str]) -> Config:
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        faults = list(dict.fromkeys([*faults, *map(_explain, error.errors())]))
    if faults:
        listing = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(
            f"{origin}: the configuration has {len(faults)} faults\n{listing}"
            if len(faults) > 1
            else f"{origin}: {faults[0]}"
        )
    return config


def _explain(error: Any) -> str:
    """Turn one of pydantic's errors into `dotted.key: what is wrong and what to do`."""
    kinds = set(CORPUS_KINDS.values())
    # Pydantic puts the tag of a union member into the location, after the index of the corpus.
    parts = [
        str(part)
        for before, part in zip((None, *error["loc"]), error["loc"], strict=False)
        if not (isinstance(before, int) and part in kinds)
    ]
    key = ".".join(parts)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggestion(parts)}"
    if _starred(parts[:-1]) in _known_keys() and parts[-1] in ("constrained-int", "int", "str"):
        key = ".".join(parts[:-1])  # the last part is the member of a union that did not fit
    if error["type"] == "missing":
        return f"{key}: required, but not there"
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = error.get("input")
    if isinstance(given, str | int | float | bool):
        message += f", but it is {given!r}"
    return f"{key}: {message}" if key else message


def _suggestion(parts: list[str]) -> str:
    """Name the key that was probably meant: alike and in the same section, or elsewhere."""
    known = _known_keys()
    parent, name = _starred(parts[:-1]), parts[-1]
    siblings = [key.rpartition(".")[2] for key in known if key.rpartition(".")[0] == parent]
    if parent.endswith("*") and name in CORPUS_KINDS:
        return ": it belongs to another kind of corpus; replace the corpus whole, as in " + (
            f"{'.'.join(parts[:-1])}='{{src: FILE, tgt: FILE}}'"
        )
    if moved := [key for key in known if key.rpartition(".")[2] == name]:
        return f": did you mean {moved[0]}?"
    if close := difflib.get_close_matches(name, siblings, n=1):
        return f": did you mean {close[0]}?"
    return f"; known are {', '.join(sorted(set(siblings)))}" if siblings else ""


def _starred(parts: list[str]) -> str:
    """Join the parts of a key as `_known_keys` has them."""
    return ".".join("*" if part.isdecimal() else part for part in parts)


@functools.cache
def _known_keys() -> list[str]:
    """List every key of the schema with dots, `*` standing for an index."""
    schema = Config.model_json_schema()

    def walk(node: dict[str, Any], prefix: str) -> list[str]:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        found = []
        for name, child in node.get("properties", {}).items():
            found += [f"{prefix}{name}", *walk(child, f"{prefix}{name}.")]
        for child in node.get("oneOf", []) + node.get("anyOf", []) + node.get("allOf", []):
            found += walk(child, prefix)
        if "items" in node:
            found += walk(node["items"], f"{prefix}*.")
        return found

    return list(dict.fromkeys(walk(schema, "")))


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
