"""Where recipes are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.errors import ConfigError
from nmt.reproduce import find
from nmt.reproduce.find import find_recipe


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a configs/ of the current directory and an installed one; return the latter."""
    for path in ("configs/own.yaml", "configs/both.yaml", "configs/paper/base.yaml"):
        (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / path).touch()
    installed = tmp_path / "installed"
    installed.mkdir()
    for name in ("both.yaml", "shipped.yaml"):
        (installed / name).touch()
    monkeypatch.setattr(find, "_SHIPPED", [installed])
    monkeypatch.chdir(tmp_path)
    return installed


def test_a_recipe_has_a_path_or_a_name(folders: Path) -> None:
    for name in ("own", "own.yaml", "paper/base", "both"):
        assert find_recipe(name) == Path("configs", name).with_suffix(".yaml")
    assert find_recipe("shipped") == folders / "shipped.yaml"
    Path("mine.yaml").touch()
    assert find_recipe("mine.yaml") == Path("mine.yaml")
    assert find_recipe("configs/own.yaml") == Path("configs/own.yaml")


def test_an_unknown_name_lists_similar_ones(folders: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe shiped: .*which have shipped"):
        find_recipe("shiped")
    with pytest.raises(ConfigError, match="which have both, own, paper/base, shipped"):
        find_recipe("xyz")


def test_without_any_recipes_the_message_says_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(find, "_SHIPPED", [])
    with pytest.raises(ConfigError, match=r"the current directory has no configs/; change to"):
        find_recipe("demo")


def test_the_recipes_of_a_checkout_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("paper/base").is_file()
