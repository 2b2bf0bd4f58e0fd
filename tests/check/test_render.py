"""How findings and measurements are printed; the rest is tested with the command."""

from __future__ import annotations

import pytest

from nmt.check.render import _duration

MINUTE, HOUR = 60, 3600


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (80, "under two minutes"),
        (2 * MINUTE, "about 2 minutes"),
        (119 * MINUTE, "about 119 minutes"),
        (2 * HOUR, "about 2 hours"),
        (71.4 * HOUR, "about 71 hours"),
        (84 * HOUR, "about 3.5 days"),
    ],
)
def test_a_duration_is_rounded_to_what_it_is_worth(seconds: float, text: str) -> None:
    assert _duration(seconds) == text
