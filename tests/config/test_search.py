"""Search options: those of the configuration, updated with those of a call."""

from __future__ import annotations

import math

import pytest

from nmt.config.decode import DecodeConfig
from nmt.config.search import SearchOptions, search_options
from nmt.errors import ConfigError


def test_given_options_replace_those_of_the_configuration() -> None:
    config = DecodeConfig(beam_size=7, length_penalty=0.1)
    options = search_options(config, {"beam_size": None, "length_penalty": 0.0, "nbest": 2})
    assert options == SearchOptions(beam_size=7, length_penalty=0.0, nbest=2)
    assert search_options(DecodeConfig()) == search_options() == SearchOptions()


def test_the_defaults_are_those_of_the_paper() -> None:
    options = SearchOptions()
    assert (options.beam_size, options.length_penalty, options.max_extra_len) == (4, 0.6, 50)


@pytest.mark.parametrize("length_penalty", [-0.1, 10.1, 2000.0, math.nan, "x"])
def test_a_value_out_of_range_names_the_option(length_penalty: object) -> None:
    with pytest.raises(ConfigError, match=r"^`length_penalty`: .*, but it is"):
        search_options(options={"length_penalty": length_penalty})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nbest": 5}, "`nbest` 5 is greater than `beam_size` 4"),
        ({"top_k": 3, "stop": "first"}, "`stop` first cannot be combined with sampling"),
        ({"top_k": 3, "coverage_penalty": 0.2}, "`coverage_penalty` 0.2 cannot be combined with"),
        ({"top_k": 3, "beam_groups": 2}, "`beam_groups` 2 cannot be combined with sampling"),
        ({"top_k": 3, "nbest": 2, "trees": True}, "`nbest` with sampling cannot be combined with"),
        ({"beam_groups": 3}, "`beam_groups` 3 does not divide `beam_size` 4"),
        ({"beam_groups": 2, "trees": True}, "decode.trees cannot be combined with beam_groups"),
        ({"banned": ["cat"], "trees": True}, "decode.trees cannot be combined with banned"),
        ({"stop": "bound", "patience": 2.0}, "`patience` cannot be combined with `stop` bound"),
        ({"stop": "first", "nbest": 2}, "`nbest` 2 is more than the 1 finished hypotheses"),
        ({"patience": 0.5, "nbest": 3}, "`nbest` 3 is more than the 2 finished hypotheses"),
        ({"mbr_candidates": 3}, "`mbr_candidates` needs `mbr`"),
        ({"mbr": "chrf", "beam_size": 1}, "`mbr` chooses among several candidates"),
        ({"mbr": "bleu", "stop": "first"}, "`mbr` chooses among several candidates"),
        ({"mbr": "chrf", "mbr_candidates": 9}, "`mbr_candidates` 9 is greater than `beam_size` 4"),
        ({"mbr": "chrf", "trees": True}, "`mbr` cannot be combined with decode.trees"),
        ({"mbr": "chrf", "top_k": 3, "nbest": 40}, "`nbest` 40 is more than the 32 candidates"),
        ({"mbr": "ter"}, "`mbr`: must be 'chrf' or 'bleu', but it is 'ter'"),
        ({"stop": "never"}, "`stop`: must be 'beam', 'first' or 'bound', but it is 'never'"),
        ({"banned": [""]}, "`banned`: "),
        ({"banned": [" cat"]}, "`banned`: "),
        ({"seed": 1}, "`seed` needs sampling"),
        ({"split_sentences": True, "trees": True}, "`split_sentences` cannot be combined with"),
        ({"trees": True, "min_length": 3}, "decode.trees cannot be combined with min_length, "),
        ({"trees": True, "repetition_penalty": 1.1}, "decode.trees cannot be combined with"),
        ({"repetition_penalty": 0.0}, "`repetition_penalty`: "),
        ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size`: "),
        ({"beam": 5}, "unknown option `beam`: known options are beam_size, "),
        ({"temperature": 0.0}, "`temperature`: "),
        ({"temperature": math.inf}, "`temperature`: "),
        ({"top_p": 1.1}, "`top_p`: "),
    ],
)
def test_invalid_options_and_conflicts_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        search_options(options=given)
    assert str(error.value).startswith(message)


def test_all_conflicts_are_reported_at_once() -> None:
    with pytest.raises(ConfigError, match=r"`beam_groups` 3 does .*; `nbest` 5 is greater than"):
        search_options(options={"nbest": 5, "beam_groups": 3})


def test_how_many_hypotheses_must_have_finished() -> None:
    assert SearchOptions().enough_finished == 4
    assert SearchOptions(stop="first").enough_finished == 1
    assert SearchOptions(patience=0.01).enough_finished == 1
    assert SearchOptions(beam_size=5, patience=0.5).enough_finished == 3
    assert SearchOptions(beam_size=6, beam_groups=3, patience=2.0).enough_finished == 4


def test_sampling_may_draw_more_than_the_beam_holds() -> None:
    assert SearchOptions(nbest=9, top_k=3).nbest == 9
