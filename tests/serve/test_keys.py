"""API keys and rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.errors import DataError
from nmt.serve import keys
from nmt.serve.keys import Keys, RateLimiter, new_key


def test_a_key_is_known_by_its_line_only(tmp_path: Path) -> None:
    (key, line), (other, _) = new_key(), new_key()
    limited, limited_line = new_key(5)
    (tmp_path / "keys").write_text(f"# Alice\n{line}\n\n{limited_line}\n", "utf-8")
    found = Keys(tmp_path / "keys")
    assert key.rpartition("_")[2] not in line  # the file does not have the secret
    assert [each and each.per_minute for each in map(found.find, (key, limited))] == [None, 5]
    assert found.find(key) is not None
    for wrong in (other, key[:-1] + ("1" if key.endswith("0") else "0"), "", key + "0", "nmt_é"):
        assert found.find(wrong) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line[:-1], "keys:1: not a line that `new_key` has printed"),
        (lambda line: f"{line} 0", "keys:1: not a line"),
        (lambda line: f"{line}\n{line}", "keys:2: the key .* is there twice"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, change: object, message: str) -> None:
    (tmp_path / "keys").write_text(change(new_key()[1]), "utf-8")  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        Keys(tmp_path / "keys")


def test_rates_are_counted_per_client(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    rates = RateLimiter()
    assert [rates.wait("a", 3) for _ in range(3)] == [0, 0, 0]
    assert rates.wait("a", 3) == pytest.approx(20)
    assert rates.wait("b", 3) == 0
    now = 20.1
    assert rates.wait("a", 3) == 0
    assert rates.wait("a", 3) > 0
    monkeypatch.setattr(keys, "_CLIENTS_KEPT", 10)
    for number in range(100):
        rates.wait(f"client {number}", 3)
    assert len(rates._clients) <= 11
