"""Invalid CTranslate2 models are errors, never crashes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from nmt.errors import FileError
from nmt.runs.ctranslate2_file import Variable, read_variables


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


SOUND = (
    struct.pack("<I", 6)
    + string("TransformerSpec")
    + struct.pack("<II", 7, 1)
    + string("encoder/weight")
    + struct.pack("<BIIBI", 2, 2, 3, 1, 6)
    + bytes(6)
    + struct.pack("<I", 0)
)


def test_the_arrays_of_a_model_are_listed(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(SOUND)
    variables = read_variables(tmp_path / "model.bin")
    assert variables == [Variable("encoder/weight", (2, 3), "int8")]


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, *(SOUND[:cut] for cut in (3, 20, 30, 45, 60))]
)
def test_an_invalid_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(FileError, match=r"model\.bin: not a CTranslate2 model"):
        read_variables(tmp_path / "model.bin")
