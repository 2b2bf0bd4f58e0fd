"""The kinds of text that a translation copies."""

from __future__ import annotations

from typing import Literal

PlaceholderKind = Literal["urls", "emails", "numbers", "placeholders", "emoji"]
"""`placeholders` are {name}, {{name}}, ${NAME}, %s, %1$s, %(name)d, and tags such as <0/> and <b>.
"""
