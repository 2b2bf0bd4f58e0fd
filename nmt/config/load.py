"""Read and write configuration files; `nmt.config.explain` describes the validation errors."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from nmt.config.models import MODELS, TransformerConfig
from nmt.config.schema import Config
from nmt.config.section import Section
from nmt.errors import ConfigError, FileError
from nmt.files import MAX_YAML_BYTES, read_bounded

AnySection = TypeVar("AnySection", bound=Section)


def load_config(path: str | Path, overrides: Sequence[str] | None = None) -> Config:
    """Read a YAML file, apply `a.b=value` overrides and validate the result.

    A file with `extends: other.yaml`, a path relative to its own directory, is merged over that
    file, which may itself extend another. Sections are merged key by key. Everything else is
    replaced as a whole: corpora, lists of corpora, and a model of another `kind`. The section
    `recipe` is about its own file and not inherited.

    Args:
        path: the YAML file.
        overrides: strings such as `train.max_steps=200` or `data.train.0.src=x.en.gz`, applied
            last; the value is parsed as YAML.

    Raises:
        FileError: if the file, or one that it extends, cannot be read.
        ConfigError: if one of them is not valid YAML, they extend each other in a circle, or the
            result violates the schema; the message lists all errors.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, changes in _read_chain(Path(path)):
        _merge(values, changes, Config, origin, origins)
    config = _overridden(Config, values, overrides or [], str(path), origins)
    check_trainable(config, str(path))
    return config


def load_section(
    section: type[AnySection], path: Path | None, overrides: Sequence[str], name: str
) -> AnySection:
    """Read a file with the keys of a section, which may extend another; as `load_config`.

    Args:
        section: the section.
        path: the YAML file; None for the defaults.
        overrides: as in `load_config`.
        name: what messages call the section if there is no file.

    Raises:
        ConfigError, FileError: as in `load_config`.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, changes in _read_chain(path) if path else []:
        _merge(values, changes, section, origin, origins)
    return _overridden(section, values, overrides, str(path or name), origins)


def make_config(values: Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
    """Validate a configuration that does not come from a file.

    Args:
        values: the sections, structured as in a YAML file.
        overrides: as in `load_config`.

    Raises:
        ConfigError: if the result violates the schema; the message lists all errors.
    """
    name = "the configuration"
    config = _overridden(Config, copy.deepcopy(dict(values)), overrides, name, {})
    check_trainable(config, name)
    return config


def _overridden(
    section: type[AnySection],
    values: dict[str, Any],
    overrides: Sequence[str],
    name: str,
    origins: dict[str, str],
) -> AnySection:
    """Apply overrides and validate the result."""
    errors = []
    for item in overrides:
        if error := _override(values, item):
            errors.append(error)
        _forget(origins, item.partition("=")[0])
    return _validated(section, values, name, origins, errors)


def check_trainable(config: Config, name: str) -> None:
    """Check that there is something to train on: an imported model's configuration names nothing.

    Args:
        config: the configuration.
        name: its name for the message.

    Raises:
        ConfigError: if there is nothing.
    """
    if not config.data.train:
        raise ConfigError(
            f"{name}: data.train: names no corpus to train on; to train an imported model further, "
            "write a configuration that extends its config.yaml, with data.train and "
            "train.init_from, and train that in another directory"
        )


def load_model_config(path: Path) -> Config:
    """Read the configuration in a model directory, which may come from somebody else.

    Raises:
        FileError: if it is missing, not a plain file, or cannot be read.
        ConfigError: if it is not valid YAML, violates the schema, or extends another file.
    """
    values = _parse_mapping(read_bounded(path, MAX_YAML_BYTES), path)
    if "extends" in values:
        raise ConfigError(
            f"{path}: extends: the configuration of a model cannot extend another file; "
            "`nmt config FILE` prints the merged configuration"
        )
    return _validated(Config, values, str(path), {}, [])


def dump_config(config: Config) -> str:
    """Return a configuration as YAML, which `load_config` reads back without its `recipe`."""
    values = config.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    if all(line.isprintable() for line in text.split("\n")):
        return text
    # A bidirectional override, for example, must not reach a terminal unescaped.
    return yaml.safe_dump(values, sort_keys=False)


class _Loader(yaml.SafeLoader):
    """Safe YAML loader that refuses duplicate keys; PyYAML silently drops all but the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<: *anchor
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {key!r}", key_node.start_mark
                )
            seen.add(str(key))
        return super().construct_mapping(node, deep)


def _read_chain(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and values of a file and those it extends, the file itself last."""
    chain: list[tuple[str, dict[str, Any]]] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        values = _read(current, f" ({chain[0][0]} extends it)" if chain else "")
        if current.resolve() in seen:
            circle = " extends ".join([*(name for name, _ in reversed(chain)), str(current)])
            raise ConfigError(f"{path}: circular extends: {circle}")
        seen.append(current.resolve())
        extended = values.pop("extends", None)
        if chain:
            values.pop("recipe", None)  # the scores of another recipe
        if not isinstance(extended, str | None):
            raise ConfigError(f"{current}: extends: must be the path of one file")
        chain.insert(0, (str(current), values))
        current = None if extended is None else current.parent / extended
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
    """Merge changes into the values of a section and record the origin of each dotted key."""
    for key, value in changes.items():
        old = values.get(key)
        inner = _inner_section(section, key, value, old)
        if inner and isinstance(value, dict):
            if not isinstance(old, dict) or inner is not _inner_section(section, key, old):
                values[key] = {}
                _forget(origins, f"{prefix}{key}")
            _merge(values[key], value, inner, origin, origins, f"{prefix}{key}.")
        else:
            values[key] = value
            origins[f"{prefix}{key}"] = origin


def _inner_section(section: type[BaseModel], key: str, *values: Any) -> type[BaseModel] | None:
    """Return the section under a key, if any; the first `kind` in the values chooses the model."""
    if section is Config and key == "model":
        kinds = [value["kind"] for value in values if isinstance(value, dict) and "kind" in value]
        # The schema refuses unknown kinds.
        return MODELS.get(str(kinds[0]), TransformerConfig) if kinds else TransformerConfig
    field = section.model_fields.get(key)
    inner = field.annotation if field else None
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _forget(origins: dict[str, str], changed: str) -> None:
    """Remove the origins of a changed key and of the keys above and below it."""
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
        problem = "a number with too many digits" if "digits" in str(error) else error
        raise ConfigError(f"{origin}: not valid YAML: {problem}") from error


def _override(values: dict[str, Any], item: str) -> str | None:
    """Apply `a.b.0.c=value` to nested dicts and lists; return the error message, if any."""
    path, equals, text = item.partition("=")
    if not equals or not path:
        return f"{item!r}: an override has the form key.subkey=value"
    if path == "extends":
        return "extends: it is allowed in files only; pass that file instead"
    try:
        value = _parse_yaml(text, path)
        parts = path.split(".")
        node: Any = values
        for part, next_part in itertools.pairwise(parts):
            node = _child(node, part, list if next_part.isdecimal() else dict)
        node[_index(node, parts[-1])] = value
    except ConfigError as error:
        return str(error)
    except LookupError as error:
        return f"{path}: {error.args[0]}"
    return None


def _child(node: Any, part: str, kind: type) -> Any:
    """Return a child of a dict or list; create one of the given kind if it is missing."""
    index = _index(node, part)
    child = node.get(index) if isinstance(node, dict) else node[index]
    if child is None:
        child = kind()
    elif kind is list and isinstance(child, dict):
        child = [child]  # a single corpus, written without the brackets of a list
    node[index] = child
    return child


def _index(node: Any, part: str) -> Any:
    """Return the key or index for one part of a dotted path; the index after the last appends."""
    if isinstance(node, dict):
        return part
    if not isinstance(node, list):
        raise LookupError(f"there is no {part!r} in {node!r}")
    if not part.isdecimal() or int(part) > len(node):
        raise LookupError(f"{part!r} is not an index of a list of {len(node)}")
    if int(part) == len(node):
        node.append(None)
    return int(part)


def _validated(
    section: type[AnySection],
    values: dict[str, Any],
    path: str,
    origins: dict[str, str],
    errors: list[str],
) -> AnySection:
    """Return the section, or raise a ConfigError with `errors` and those of the schema."""
    invalid: list[Any] = []
    try:
        checked = section.model_validate(values)
        invalid += _bools_as_numbers(values, checked)
    except ValidationError as error:
        invalid += error.errors()
    if invalid:
        from nmt.config.explain import explain

        messages = [explain(one, path, origins, section) for one in invalid]
        errors = list(dict.fromkeys([*errors, *messages]))
    if len(errors) > 1:
        raise ConfigError(f"{path}: {len(errors)} errors", *errors)
    if errors:
        raise ConfigError(f"{path}: {errors[0]}")
    return checked


def _bools_as_numbers(
    values: dict[str, Any], section: Section, loc: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """Yield an error in pydantic's format for each boolean that it has accepted as a number."""
    for name, value in values.items():
        checked = getattr(section, name, None)
        if isinstance(value, dict) and isinstance(checked, Section):
            # In pydantic's locations, the kind of a model follows its key.
            kind = [name for name, model in MODELS.items() if isinstance(checked, model)]
            yield from _bools_as_numbers(value, checked, (*loc, name, *kind))
        elif isinstance(value, bool) and type(checked) in (int, float):
            yield {"type": f"{type(checked).__name__}_type", "loc": (*loc, name), "input": value}
