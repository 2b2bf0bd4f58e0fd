"""List the variables in a `model.bin` of CTranslate2 without importing CTranslate2."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nmt.errors import FileError
from nmt.files import open_plain, reason

_TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
"""The file stores the index of a type."""


@dataclass(frozen=True)
class Variable:
    """An array in the file.

    Attributes:
        name: path in the model, such as `encoder/layer_0/ffn/linear_0/weight`.
        shape: its dimensions.
        type: data type, such as `int8`.
    """

    name: str
    shape: tuple[int, ...]
    type: str


def read_variables(path: Path) -> list[Variable]:
    """List the arrays of a file without reading their contents.

    Raises:
        FileError: if it is missing, not a plain file, or not in CTranslate2's format.
    """
    try:
        with open_plain(path) as file:
            return list(_variables(file, path.stat().st_size))
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise FileError(f"{path}: not a CTranslate2 model: {reason(error)}") from error


def _variables(file: BinaryIO, size: int) -> Iterator[Variable]:
    _number(file, "I")  # version of the format
    _string(file)  # kind of the model
    _number(file, "I")  # its revision
    for _ in range(_number(file, "I")):
        name = _string(file)
        shape = tuple(_number(file, "I") for _ in range(_number(file, "B")))
        kind = _TYPES[_number(file, "B")]
        if file.seek(_number(file, "I"), 1) > size:
            raise ValueError("truncated")
        yield Variable(name, shape, kind)


def _number(file: BinaryIO, code: str) -> int:
    [number] = struct.unpack(f"<{code}", file.read(struct.calcsize(f"<{code}")))
    return int(number)


def _string(file: BinaryIO) -> str:
    return file.read(_number(file, "H")).rstrip(b"\0").decode("utf-8")
