"""Search options with a trained model: both engines, batches, files, messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

import nmt
from command import run_nmt
from nmt.errors import ConfigError
from nmt.translate.banned import BannedText
from nmt.translate.translation import Translation

LINES = ["the cat sat.", "a dog ran home on a mat.", "café über naïve.", "the mat the mat", "home"]
OPTIONS: list[dict[str, object]] = [
    {"coverage_penalty": 0.5, "nbest": 4},
    {"stop": "first"},
    {"stop": "bound", "nbest": 2},
    {"patience": 2.0, "nbest": 4},
    {"patience": 0.5, "nbest": 2},
    {"beam_groups": 2, "diversity": 1.0, "nbest": 4},
    {"banned": ["CAT", "A DOG"], "nbest": 4},
    {"temperature": 1.0, "nbest": 3, "banned": ["THE"]},
    {
        **{"coverage_penalty": 0.3, "stop": "bound", "beam_groups": 2, "beam_size": 6, "nbest": 5},
        **{"banned": ["MAT"], "min_length": 3, "repetition_penalty": 1.2},
    },
]


@pytest.fixture(scope="module")
def fast(trained_run: Path) -> nmt.Model:
    return nmt.load(trained_run, threads=1)


@pytest.fixture(scope="module")
def own(trained_run: Path) -> nmt.Model:
    return nmt.load(trained_run, engine="nmt", threads=1)


def assert_same(ours: list[Translation], theirs: list[Translation]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert [h.text for h in one.hypotheses] == [h.text for h in other.hypotheses]
        for a, b in zip(one.hypotheses, other.hypotheses, strict=True):
            parts = (b.score, b.log_prob, b.length_factor, b.coverage)
            assert (a.score, a.log_prob, a.length_factor, a.coverage) == pytest.approx(
                parts, abs=1e-4
            )
            assert a.score == pytest.approx(a.log_prob / a.length_factor + a.coverage)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_engines_and_batches_agree(
    fast: nmt.Model, own: nmt.Model, options: dict[str, object]
) -> None:
    ours = own.translate(LINES, **options)
    assert_same(ours, fast.translate(LINES, **options))
    if "temperature" not in options:  # what is sampled depends on the number of the line
        assert_same(ours, [own.translate(line, **options) for line in LINES])
        assert_same(ours, [fast.translate(line, **options) for line in LINES])
    assert_same(ours, own.translate(LINES, batch_tokens=20, **options))


@pytest.mark.parametrize(
    "options", [{"stop": "first"}, {"patience": 2.0}, {"patience": 0.5, "beam_size": 5}], ids=str
)
def test_ctranslate2_follows_these_by_itself(
    trained_run: Path, own: nmt.Model, options: dict[str, object]
) -> None:
    only = nmt.load(trained_run, engine="ctranslate2", threads=1)
    assert_same(own.translate(LINES, **options), only.translate(LINES, **options))


@pytest.mark.parametrize(
    ("options", "lacking"),
    [
        ({"coverage_penalty": 0.1}, "`coverage_penalty`"),
        ({"stop": "bound"}, "`stop` bound"),
        ({"beam_groups": 2}, "`beam_groups`"),
        ({"banned": ["CAT"]}, "`banned`"),
        ({"token_alternatives": 2}, "`token_alternatives`"),
    ],
)
def test_what_ctranslate2_lacks_is_named(
    trained_run: Path, options: dict[str, object], lacking: str
) -> None:
    only = nmt.load(trained_run, engine="ctranslate2", threads=1)
    with pytest.raises(ConfigError, match=f"CTranslate2 lacks {lacking}"):
        only.translate(LINES, **options)


def test_the_coverage_penalty_is_close_to_that_of_ctranslate2_for_one_sentence(
    fast: nmt.Model, own: nmt.Model
) -> None:
    """In a batch with longer sentences, its attention to padding counts, so they are not equal.

    For one sentence, all its scores are higher by the same amount, 0.003 at most here.
    """
    src = own.engine.models[0].tokenizers.src
    for line in LINES:
        [ids] = src.encode([line])
        [result] = fast.engine._translator.translate_batch(  # type: ignore[attr-defined]
            [src.pieces(ids)],
            **{"beam_size": 4, "num_hypotheses": 4, "length_penalty": 1e-6},
            **{"coverage_penalty": 1.0, "return_scores": True},
        )
        theirs = dict(zip(map(tuple, result.hypotheses), result.scores, strict=True))
        found = own.translate(
            line, nbest=4, length_penalty=0.0, coverage_penalty=1.0, token_alternatives=1
        )
        ours = {tuple(h.tokens[: h.num_tokens - 1]): h.score for h in found.hypotheses}
        both = theirs.keys() & ours.keys()
        assert len(both) >= 3
        differences = [theirs[each] - ours[each] for each in both]
        assert differences == pytest.approx([differences[0]] * len(both), abs=1e-4)
        assert abs(differences[0]) < 0.01


@pytest.mark.parametrize("beam_size", [1, 4])
def test_banned_words_do_not_occur(own: nmt.Model, beam_size: int) -> None:
    [plain] = own.translate(["the cat sat on the mat."])
    words = plain.text.rstrip(".").split()
    for word in words:
        for options in ({}, {"temperature": 1.0}, {"top_k": 3}):
            found = own.translate(
                "the cat sat on the mat.", banned=[word], beam_size=beam_size, **options
            )
            assert word not in found.text.rstrip(".").split()
    pair = " ".join(words[:2])
    found = own.translate("the cat sat on the mat.", banned=[pair])
    assert pair not in found.text


class Letters:
    """A tokenizer whose pieces are characters and a few longer ones."""

    names = ("<s>", *"_ab!(c日", "ab", "abc", "_ab", "b_c", "ab!", "ab_", "<0x61>")
    special_ids = (0,)
    control_symbols: Mapping[str, int] = MappingProxyType({})

    def vocabulary(self) -> list[str]:
        return [name.replace("_", "\u2581") for name in self.names]

    def normalize(self, phrases: Iterable[str]) -> list[str]:
        return ["\u2581" + phrase.replace(" ", "\u2581") for phrase in phrases]


def is_banned(tokens: str, *phrases: str) -> bool:
    """Return whether the last of some tokens is banned; `_` is SentencePiece's space."""
    text = BannedText(Letters(), phrases)  # type: ignore[arg-type]
    state = text.start
    for token in tokens.split():
        number = Letters.names.index(token)
        next_V, banned_V = text.row(state)
        state = int(next_V[number])
    return bool(banned_V[number])


@pytest.mark.parametrize("tokens", ["_ab", "_ a b", "a b", "( ab", "c _ab", "( ab!", "<0x61> b"])
def test_a_word_is_banned_however_it_is_divided(tokens: str) -> None:
    assert is_banned(tokens, "ab", "b c")


@pytest.mark.parametrize("tokens", ["_ abc", "c ab", "c a b", "a _ b", "c ab_", "_ a b c", "_ a"])
def test_other_words_are_not_banned(tokens: str) -> None:
    assert not is_banned(tokens, "ab", "b c")


def test_phrases_and_scripts_without_spaces() -> None:
    assert is_banned("_ b _ c", "ab", "b c")
    assert is_banned("_ b_c", "ab", "b c")
    assert not is_banned("_ a b_c", "b c")
    assert is_banned("c 日", "日")
    assert is_banned("a !", "!")
    assert not is_banned("_ a b", "AB")


def test_the_first_sample_does_not_depend_on_their_number(own: nmt.Model) -> None:
    one = own.translate(LINES, temperature=1.0, seed=5)
    four = own.translate([*LINES, LINES[0]], temperature=1.0, seed=5, nbest=4)
    assert [t.text for t in one] == [t.text for t in four[:-1]]
    assert all(len(t.hypotheses) == 4 for t in four)
    assert four[0].hypotheses != four[-1].hypotheses  # not remembered


def test_an_ensemble_with_weights(trained_run: Path, own: nmt.Model) -> None:
    both = {"ensemble": [trained_run], "engine": "nmt", "threads": 1}
    same = nmt.load(trained_run, ensemble_weights=[3, 1], **both)
    assert_same(own.translate(LINES), same.translate(LINES))
    assert same.engine.model_weights == [0.75, 0.25]
    for weights, message in [
        ([1.0], "`ensemble_weights` has 1 numbers for 2 models"),
        ([1.0, 0.0], "`ensemble_weights`: 0.0 is not a number above 0"),
        ([1.0, float("nan")], "`ensemble_weights`: nan is not a number above 0"),
    ]:
        with pytest.raises(ConfigError, match=message):
            nmt.load(trained_run, ensemble_weights=weights, **both)


def test_alternatives_to_each_token(own: nmt.Model) -> None:
    for line in own.translate(LINES, token_alternatives=3, token_scores=True, nbest=2):
        for h in line.hypotheses:
            assert len(h.tokens) == len(h.alternatives) == h.num_tokens
            for token, score, row in zip(h.tokens, h.token_log_probs, h.alternatives, strict=True):
                scores = [log_prob for _, log_prob in row]
                assert scores == sorted(scores, reverse=True)
                assert len(row) == 3
                assert dict(row).get(token, score) == pytest.approx(score, abs=1e-4)


def test_the_command_line(trained_run: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"src": "the cat sat."}\n\n{"src": "home"}\n', "utf-8")
    options = [
        "--format",
        "jsonl",
        "--scores",
        "--token-alternatives",
        2,
        "--coverage-penalty",
        0.2,
    ]
    options += ["--stop", "bound", "--banned", "CAT", "--banned", "DOG", "--beam-groups", 2]
    options += ["--ensemble", trained_run, "--ensemble-weights", "2,1"]
    done = run_nmt("translate", trained_run, source, "--output", output, *options)
    assert done.exit_code == 0, done.output
    first, blank, _ = output.read_text("utf-8").split("\n")[:-1]
    record = json.loads(first)
    assert blank == ""
    assert "CAT" not in record["translation"].replace(".", " ").split()
    parts = record["score_parts"]
    score = parts["log_prob"] / parts["length_penalty"] + parts["coverage_penalty"]
    assert record["score"] == pytest.approx(score)
    assert len(record["tokens"]) == len(record["token_alternatives"]) == parts["length"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--token-alternatives", 2], "--token-alternatives adds keys to JSON objects"),
        (["--ensemble-weights", "a,b"], "--ensemble-weights a,b: must be numbers"),
        (["--ensemble-weights", "2,1"], "--ensemble-weights has 2 numbers for 1 models"),
        (["--beam-groups", 3], "--beam-groups 3 does not divide --beam-size 4"),
        (["--stop", "first", "--top-k", 2], "--stop first cannot be combined with sampling"),
    ],
    ids=str,
)
def test_messages(trained_run: Path, options: list[object], message: str) -> None:
    done = run_nmt("translate", trained_run, *options)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


def test_a_job_is_not_resumed_with_other_options(trained_run: Path, tmp_path: Path) -> None:
    from nmt.translate.formats import JsonLayout, TextLayout
    from nmt.translate.resume import _job

    model = nmt.load(trained_run, engine="nmt", threads=1)
    changes: list[dict[str, object]] = [
        *({}, {"coverage_penalty": 0.1}, {"stop": "bound"}, {"patience": 2.0}, {"beam_groups": 2}),
        *({"diversity": 0.1}, {"banned": ["CAT"]}, {"top_k": 2}, {"top_k": 2, "nbest": 2}),
    ]
    jobs = [json.dumps(_job(model.translator(each), TextLayout())) for each in changes]
    weighted = nmt.load(trained_run, ensemble=[trained_run], ensemble_weights=[2, 1], engine="nmt")
    equal = nmt.load(trained_run, ensemble=[trained_run], engine="nmt")
    jobs += [json.dumps(_job(each.translator({}), TextLayout())) for each in (weighted, equal)]
    jobs.append(json.dumps(_job(model.translator({}), JsonLayout("src", alternatives=2))))
    assert len({*jobs}) == len(jobs)
    for options in changes:  # what the journal holds is equal after it was read back
        job = _job(model.translator(options), TextLayout())
        assert json.loads(json.dumps(job)) == job


def test_output_with_alternatives_can_be_read_back(trained_run: Path) -> None:
    """What is read back from the partial output is written again as it was."""
    from nmt.translate.formats import JsonLayout

    layout = JsonLayout("src", nbest=True, scores=True, alternatives=2)
    model = nmt.load(trained_run, engine="nmt", threads=1)
    item = layout.read('{"src": "the cat sat."}', 1)
    [found] = model.translate(
        [item.text], nbest=2, token_scores=True, token_alternatives=2, coverage_penalty=0.2
    )
    text = layout.write(1, item, found)
    [again] = layout.read_output([text])
    assert layout.write(1, item, again) == text
    assert json.loads(text)["score_parts"]["coverage_penalty"] < 0
