"""Spans that a model copies: training, both engines, formats, resuming, and what is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nmt
from command import run_nmt
from nmt.config.placeholders import PlaceholderKind
from nmt.config.schema import Config
from nmt.console import Console
from nmt.data.placeholders import (
    SYMBOLS,
    Finder,
    has_placeholder_symbols,
    with_placeholder_symbols,
)
from nmt.data.tokenizer import Tokenizers
from nmt.errors import ConfigError
from nmt.runs.model import load_model
from nmt.training.initial import initial_tokenizers
from nmt.training.run import train
from nmt.translate.formats import TextLayout
from nmt.translate.protect import Protector
from nmt.translate.resume import translate_file
from nmt.translate.source import Source
from nmt.translate.translation import ScoredText, Translation

KINDS = get_args(PlaceholderKind)
WORDS = ["the", "cat", "dog", "sat", "on", "mat", "ran", "home"]
SPANS = [
    "www.a.org",
    "https://b.org/?x=1",
    "a.b@c.org",
    "{name}",
    "%s",
    "<0/>",
    "17",
    "1,000.5",
    "😀",
]
LINES = ["the cat https://x.y/z sat", "17 dog", "", "home {a} ran 😀 {b}", "<ph3> cat {a}"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run whose translations are sources in capitals, in which spans stay as they are."""
    folder = tmp_path_factory.mktemp("protected")
    draw = random.Random(1)
    rows = [draw.choices([*WORDS, *SPANS], k=draw.randint(1, 4)) for _ in range(2000)]
    both = [[word.upper() if word in WORDS else word for word in row] for row in rows]
    for name, lines in (("src", rows), ("tgt", both)):
        (folder / name).write_text("".join(" ".join(row) + "\n" for row in lines), "utf-8")
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    config = Config.model_validate(
        {
            "data": {
                **{"src_lang": "en", "tgt_lang": "de", "max_length": 60, "placeholders": KINDS},
                **{"train": {"src": f"{folder}/src", "tgt": f"{folder}/tgt"}},
                **{"cache_dir": str(folder / "cache")},
            },
            "tokenizer": {"vocab_size": 90},
            "model": {"d_model": 64, "num_heads": 2, "d_ff": 64, "dropout": 0.0, **layers},
            "train": {
                **{"batch_tokens": 1500, "learning_rate": 0.01, "max_steps": 200},
                **{"warmup_steps": 20, "threads": 1, "average": "none", "device": "cpu"},
            },
        }
    )
    train(config, folder / "run", Console(stderr=True))
    return folder / "run"


@pytest.fixture(scope="module", params=["nmt", "ctranslate2"])
def model(request: pytest.FixtureRequest, run: Path) -> nmt.Model:
    return nmt.load(run, engine=request.param, compute="float32", threads=1)


@pytest.fixture(scope="module")
def own(run: Path) -> nmt.Model:
    return nmt.load(run, engine="nmt", threads=1)


def is_exact(src: str, tgt: str) -> bool:
    """Return whether a translation has all spans of its source."""
    spans = Finder(KINDS).find(src)
    return all(tgt.count(span) >= spans.count(span) for span in spans)


def test_both_engines_copy_spans_that_were_never_seen(model: nmt.Model) -> None:
    lines = [f"{word} {{{word}{word}}}" for word in WORDS]
    found, plain = (model.translate(lines, protect=kinds) for kinds in (KINDS, ()))
    exact = [is_exact(src, each.text) for src, each in zip(lines, found, strict=True)]
    assert exact == ["placeholders" not in each.flags for each in found]
    assert sum(exact) > len(lines) // 2
    assert sum(is_exact(src, t.text) for src, t in zip(lines, plain, strict=True)) < sum(exact)


def test_the_engines_find_the_same(run: Path, own: nmt.Model) -> None:
    other = nmt.load(run, engine="ctranslate2", compute="float32", threads=1)
    ours, theirs = (one.translate(LINES, protect=KINDS, nbest=2) for one in (own, other))
    assert [[h.text for h in each.hypotheses] for each in ours] == [
        [h.text for h in each.hypotheses] for each in theirs
    ]


def test_only_the_kinds_asked_for_are_protected(own: nmt.Model) -> None:
    protector = Protector(["numbers"], own.engine.models)
    protected, spans = protector.protect(Source("the cat www.unseen.info 17 <ph1> <ph99>", "17"))
    assert protected.text == "the cat www.unseen.info <ph2> <ph1> <ph99>"
    assert protected.prefix == "<ph2>"
    assert spans == {"<ph1>": "<ph1>", "<ph2>": "17"}


parts = st.one_of(
    st.sampled_from([*WORDS, *SPANS, *SYMBOLS, "<ph99>", "<", "{", "%", "&amp;"]),
    st.from_regex(r"\{[a-z]{1,8}\}|https://[a-z]{1,5}\.org/[a-z0-9]{1,5}|\d{1,6}", fullmatch=True),
    st.text(max_size=6),
)


@given(st.lists(parts, max_size=30), st.data())
def test_what_goes_in_comes_out_or_is_flagged(words: list[str], data: st.DataObject) -> None:
    class Symbols:
        """A model with symbols, which the protector asks for nothing else."""

        tokenizers: Any = ()
        weights = Path()

    protector = Protector(KINDS, [Symbols()])  # type: ignore[list-item]
    source = Source(" ".join(words))
    protected, spans = protector.protect(source)
    restored = protector.restore(Translation([ScoredText(protected.text, 0.0)]), spans)
    assert restored.text == source.text
    assert not protector.loses(protected.text, protected.text)
    present = [symbol for symbol in SYMBOLS if symbol in protected.text]
    assert len(present) == min(len(spans), len(SYMBOLS))
    if present:
        lost = data.draw(st.sampled_from(present))
        assert protector.loses(protected.text, protected.text.replace(lost, "", 1))
        assert protector.loses(protected.text, protected.text + lost)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from([*WORDS, *SPANS, "{unseen}", "<ph2>"]), max_size=6))
def test_the_model_copies_or_is_flagged(own: nmt.Model, words: list[str]) -> None:
    line = " ".join(words)
    found = own.translate(line, protect=KINDS)
    if "placeholders" not in found.flags:
        assert is_exact(line, found.text)


def test_prefixes_and_constraints_get_the_same_symbols(own: nmt.Model) -> None:
    found = own.translate("cat {q} sat", "{q} CAT", protect=KINDS)
    assert found.text.startswith("{q} CAT")
    found = own.translate("cat {q} sat", protect=KINDS, constraints=["{q}"], beam_size=8)
    assert found.missing == []
    assert "{q}" in found.text


def test_the_guard_flags_and_retries_lost_spans(own: nmt.Model) -> None:
    lines = [" ".join([*SPANS, "{a}", "{b}"] * 2), "17 17 {a} {a} 17 cat"]
    plain, retried = (own.translate(lines, protect=KINDS, guard=m) for m in ("warn", "retry"))
    for src, one, other in zip(lines, plain, retried, strict=True):
        assert is_exact(src, one.text) or "placeholders" in one.flags
        assert len(other.flags) <= len(one.flags)
    assert all(
        bool(t.flags) <= (t.text == "") for t in own.translate(lines, protect=KINDS, guard="blank")
    )


def test_resuming(own: nmt.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.translate.translator._BATCHES_AHEAD", 1)
    lines = [*LINES, *(f"cat {{v{n}}} {n}" for n in range(20)), *LINES]

    def translate(path: Path, stop_after: int = 0) -> tuple[bytes, str, int]:
        batches = 0

        def poll() -> None:
            nonlocal batches
            batches += 1
            if batches == stop_after:
                raise KeyboardInterrupt

        translator = own.translator(
            {"batch_tokens": 40, "beam_size": 2},
            protect=KINDS,
            poll=poll,
            warn=lambda message: None,
        )
        translate_file(translator, lines, TextLayout(), path, resume=True, log=lambda message: None)
        return path.read_bytes(), translator.flagged.summary(), batches

    *whole, batches = translate(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        translate(tmp_path / "parts", stop_after=batches // 2)
    assert translate(tmp_path / "parts")[:2] == tuple(whole)


def test_the_command(run: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"src": line}) + "\n" for line in LINES), "utf-8")
    options = ["--format", "jsonl", "--threads", 1, "--guard", "warn", "--nbest", 2]
    done = run_nmt("translate", run, source, *options, "--protect", ",".join(KINDS))
    assert done.exit_code == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    for record in records:
        assert is_exact(record["src"], record["translation"]) or record["flags"]
        assert "<ph1>" not in json.dumps(record["nbest"])
    assert "symbols for" in run_nmt("info", run).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protect": ["x"]}, "`protect`: 'x' is none of urls, emails, numbers"),
        ({"alignments": True}, "`protect` cannot be combined with alignments"),
        ({"token_alternatives": 2}, "`protect` cannot be combined with token_alternatives"),
    ],
    ids=str,
)
def test_what_is_refused(own: nmt.Model, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        own.translate("the cat", **{"protect": KINDS, **options})
    assert message in str(error.value)


def test_a_model_without_symbols(trained_run: Path) -> None:
    done = run_nmt("translate", trained_run, trained_run.parent / "test.src", "--protect", "urls")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "needs a model trained with data.placeholders" in done.stderr


def test_a_trained_model_gets_symbols(trained_run: Path) -> None:
    config = load_model(trained_run).config
    new = config.model_copy(
        update={
            "data": config.data.model_copy(update={"placeholders": ["urls"]}),
            "train": config.train.model_copy(update={"init_from": str(trained_run)}),
        }
    )
    tokenizers = initial_tokenizers(new)
    assert has_placeholder_symbols(tokenizers)
    old = load_model(trained_run).tokenizers
    assert tokenizers.src.vocab_size == old.src.vocab_size + len(SYMBOLS)


def test_terms_and_placeholders_exclude_each_other() -> None:
    data = {"src_lang": "en", "tgt_lang": "de", "train": {"demo": "train"}}
    with pytest.raises(ValueError, match=r"cannot be combined with data\.placeholders"):
        Config.model_validate({"data": {**data, "terms": {}, "placeholders": ["urls"]}})


def test_symbols_are_single_pieces(trained_run: Path) -> None:
    tokenizer = load_model(trained_run).tokenizers.src
    old = Tokenizers(tokenizer, tokenizer)
    assert not has_placeholder_symbols(old)
    new = with_placeholder_symbols(old)
    assert new.joint
    assert has_placeholder_symbols(new)
    line = "the <ph1> cat<ph16>."
    [ids] = new.src.encode([line])
    assert [piece for piece in new.src.pieces(ids) if piece in SYMBOLS] == ["<ph1>", "<ph16>"]
    assert new.src.decode([ids]) == [line]
    assert new.src.decode(new.src.sample([line], 0.3, -1, 1)) == [line]
    assert new.src.encode(["the cat sat."]) == tokenizer.encode(["the cat sat."])
