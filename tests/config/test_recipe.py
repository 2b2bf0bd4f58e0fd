"""The section `recipe`, and those of the recipes in configs/."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmt.config.load import dump_config, load_config
from nmt.config.recipe import RecipeConfig
from nmt.config.schema import Config
from nmt.config.section import Section
from nmt.errors import ConfigError
from nmt.evaluation.metrics import EvaluateOptions, evaluate

CONFIGS = Path(__file__).parents[2] / "configs"
RECIPES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))

DATA = "data: {src_lang: en, tgt_lang: de, train: {demo: train}}\n"
RECIPE = """\
recipe:
  measured: true
  data: {source: the phrasebook}
  test: {name: test, signature: none}
  expected: {score: 50, low: 49, high: 51, seeds: 1, basis: bootstrap}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(DATA + RECIPE, "utf-8")
    return path


@pytest.mark.parametrize("name", RECIPES)
def test_each_configuration_has_a_recipe(name: str) -> None:
    config = load_config(CONFIGS / name)
    recipe = config.recipe
    assert recipe is not None
    if recipe.teacher:
        load_config((CONFIGS / name).parent / recipe.teacher)
    data = config.data
    for part, corpora in (
        ("train", data.train),
        ("valid", data.valid_corpora),
        ("test", data.test),
    ):
        assert len(getattr(recipe.data, part)) in (0, len(corpora))
    assert recipe.test.test_set or data.test
    test, text = recipe.test, ["(TOP (S (NN a)))"]
    options = EvaluateOptions([test.metric], test.lowercase, test.tokenize, data.tgt_lang)
    [score] = evaluate(text, [text], options)
    assert score.signature.partition("|version:")[0] == test.signature


@pytest.mark.parametrize("name", RECIPES)
def test_no_figure_of_a_recipe_is_in_a_comment(name: str) -> None:
    recipe = load_config(CONFIGS / name).recipe
    assert recipe is not None
    text = (CONFIGS / name).read_text("utf-8")
    comments = "\n".join(line for line in text.split("\n") if line.startswith("#"))
    assert "version:" not in comments
    assert "Time:" not in comments
    for one in recipe.published:
        assert f"{one.score:g} BLEU" not in comments
    if recipe.expected:
        assert f"{recipe.expected.score:.1f} BLEU" not in comments


def test_a_recipe_is_not_inherited(file: Path) -> None:
    assert load_config(file).recipe is not None
    derived = file.with_name("derived.yaml")
    derived.write_text("extends: recipe.yaml\ntrain: {seed: 2}\n", "utf-8")
    assert load_config(derived).recipe is None
    derived.write_text(f"extends: recipe.yaml\n{RECIPE.replace('50', '50.5')}", "utf-8")
    recipe = load_config(derived).recipe
    assert recipe is not None
    assert recipe.expected is not None
    assert recipe.expected.score == 50.5


def test_a_recipe_is_no_setting(file: Path) -> None:
    config = load_config(file)
    assert "recipe" not in config.model_dump()
    assert "recipe" not in dump_config(config)
    assert Config.model_validate(config.model_dump()).recipe is None


def sections(section: type[Section]) -> set[type[Section]]:
    """Return a section and those inside it."""
    schema = section.model_json_schema()
    known = {each.__name__: each for each in Section.__subclasses__()}
    return {section, *(known[name] for name in schema.get("$defs", {}))}


def test_every_field_is_documented() -> None:
    found = sections(RecipeConfig)
    assert len(found) == 7
    for section in found:
        assert section.documentation().keys() == section.model_fields.keys()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("measured: true", "measured: false", "`expected` needs `measured: true`"),
        ("  expected: ", "  # ", "`measured: true` needs `expected`"),
        ("low: 49", "low: 50.5", "`score` 50 is not between `low` 50.5 and `high` 51"),
        ("basis: bootstrap", "basis: seeds", "`basis: seeds` needs 3 seeds, not 1"),
        ("basis: bootstrap", "basis: guess", "recipe.expected.basis: must be"),
        ("measured: true", "measured: true\n  time: 1 hour", "`time` and `machine` belong"),
        ("measured: true", "measured: true\n  scores: 1", "recipe.scores: unknown key"),
        (
            "source: the phrasebook",
            "source: x, train: {src: {file: a/b}, tgt: {file: c, sha256: 12}}",
            "recipe.data.train.0.src.file: ",
        ),
        ("source: the phrasebook", "train: []", "recipe.data.source: required, but missing"),
    ],
)
def test_what_a_recipe_cannot_say(file: Path, old: str, new: str, expected: str) -> None:
    file.write_text(DATA + RECIPE.replace(old, new), "utf-8")
    with pytest.raises(ConfigError) as raised:
        load_config(file)
    assert expected in str(raised.value)
