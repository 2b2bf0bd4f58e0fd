"""Codes of languages."""

from __future__ import annotations

import pytest

from nmt.config.languages import base_code


@pytest.mark.parametrize(
    ("code", "base"),
    [
        *(("de", "de"), ("de_DE", "de"), ("pt-BR", "pt"), ("zh-Hans", "zh"), ("EN", "en")),
        *(("deu_Latn", "de"), ("zho_Hans", "zh"), ("cmn", "zh"), ("yue_Hant", "yue")),
        *(("tlh", "tlh"), ("-", ""), ("", ""), (None, "")),
    ],
)
def test_base_codes(code: str | None, base: str) -> None:
    assert base_code(code) == base
