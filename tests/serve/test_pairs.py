"""The language pairs of a server."""

from __future__ import annotations

import pytest

from nmt.config.languages import LanguagePair
from nmt.errors import ConfigError
from nmt.serve.errors import Refusal
from nmt.serve.names import language_name
from nmt.serve.pairs import Pairs
from nmt.serve.tasks import Hop, Served


def served(number: int, *pairs: str) -> Served:
    return Served(
        f"model {number}", {LanguagePair(*pair.split("-")): Hop(number) for pair in pairs}
    )


MODELS = [served(0, "de-en"), served(1, "en-fr", "en-es"), served(2, "en-fr", "fr-en")]


def test_the_first_model_of_a_pair_translates_it() -> None:
    pairs = Pairs(MODELS)
    assert pairs.route("en", "fr") == (Hop(1),)
    assert pairs.route("fr", "en") == (Hop(2),)
    assert pairs.route("en", "en") == ()
    assert pairs.sources == ["de", "en", "fr"]
    assert pairs.languages == ["de", "en", "fr", "es"]
    assert pairs.targets("en") == ["fr", "es"]


def test_a_pivot_adds_pairs() -> None:
    pairs = Pairs(MODELS, "en")
    assert pairs.route("de", "fr") == (Hop(0), Hop(1))
    assert pairs.route("fr", "es") == (Hop(2), Hop(1))
    assert pairs.targets("de") == ["en", "fr", "es"]
    with pytest.raises(ConfigError, match="`pivot` es: needs a model into es and one from it"):
        Pairs(MODELS, "es")


@pytest.mark.parametrize(
    ("src", "tgt", "message"),
    [
        ("xx", "de", "source: 'xx' is not supported; known are de, en, fr, es"),
        ("en", "../../etc/passwd", "target: '../../etc/passwd' is not supported"),
        ("de", "fr", "de cannot be translated into fr, only into en"),
        ("es", "fr", "es cannot be translated into fr$"),
    ],
)
def test_unknown_pairs_are_refused(src: str, tgt: str, message: str) -> None:
    with pytest.raises(Refusal, match=message) as refused:
        Pairs(MODELS).route(src, tgt)
    assert refused.value.status == 400


def test_names_of_languages() -> None:
    assert language_name("de") == "German"
    assert language_name("pt-BR") == "Portuguese (BR)"
    assert language_name("tlh") == "tlh"
