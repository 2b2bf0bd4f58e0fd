"""The cache of translated lines."""

from __future__ import annotations

from nmt.translate.memo import Memo


def test_recently_used_lines_are_cached() -> None:
    memo: Memo[int] = Memo(6)
    memo.use({"a": 1, "b": 2, "c": 3})
    assert memo.find("abcd") == {"a": 1, "b": 2, "c": 3}
    memo.use({"a": 1, "d": 4})
    assert memo.find("abcd") == {"a": 1, "c": 3, "d": 4}
    memo.use({"eee": 5})
    assert memo.find(["a", "c", "d", "eee"]) == {"d": 4, "eee": 5}
    # One line as large as the cache.
    memo.use({"ffffff": 6})
    assert memo.find(["d", "eee", "ffffff"]) == {}
    memo.use({"a": 1, "b": 2, "c": 3})
    assert memo.find("abc") == {"a": 1, "b": 2, "c": 3}
