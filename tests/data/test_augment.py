"""Changed text in training pairs: each change by itself, and in batches."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.check.plan import make_plan
from nmt.config.augment import AugmentConfig
from nmt.config.languages import LanguagePair
from nmt.config.schema import Config
from nmt.data.augment import (
    augmented,
    joined,
    lower_cased,
    title_cased,
    upper_cased,
    with_typos,
    without_final_punctuation,
)
from nmt.data.batching import Batch, Epochs
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.streaming import StreamedEpochs
from nmt.data.symbols import with_symbols
from nmt.data.terms import TERM
from nmt.data.tokenizer import Tokenizers
from nmt.data.tokenizer_training import train_tokenizers

from .test_batching import equal

EN_DE = LanguagePair("en", "de")
PAIR = ("The small dog ran.", "Der kleine Hund rannte.")
ALL = {
    **{"upper": 0.1, "title": 0.2, "lower": 0.3},
    **{"typos": 0.4, "no_punctuation": 0.5, "concatenate": 0.2},
}


@pytest.mark.parametrize(
    ("text", "lang", "upper", "title", "lower"),
    [
        ("Straße 1a", "de", "STRASSE 1A", "Straße 1a", "straße 1a"),
        ("ıi İI", "tr", "Iİ İI", "Ii İI", "ıi iı"),  # noqa: RUF001
        ("ilk iş", "tr_TR", "İLK İŞ", "İlk İş", "ilk iş"),
        ("ilk iş", "azj_Latn", "İLK İŞ", "İlk İş", "ilk iş"),
        ("ilk", "en", "ILK", "Ilk", "ilk"),
        ("don't use «nasa» NASA's e-mail", "en", None, "Don't Use «Nasa» NASA's E-mail", None),
        ("ǆ ß ﬁn", "hr", "Ǆ SS FIN", "ǅ Ss Fin", "ǆ ß ﬁn"),
        ("東京 123 कख", "ja", "東京 123 कख", "東京 123 कख", "東京 123 कख"),
        ("", "en", "", "", ""),
    ],
)
def test_case(text: str, lang: str, upper: str | None, title: str, lower: str | None) -> None:
    assert upper is None or upper_cased(text, lang) == upper
    assert title_cased(text, lang) == title
    assert lower is None or lower_cased(text, lang) == lower


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Yes.", "Yes"),
        ("Really?! …", "Really"),
        ("Oui !", "Oui"),
        ("你好。", "你好"),
        ("नमस्ते।", "नमस्ते"),
        ("3.5", "3.5"),
        ("(Yes.)", "(Yes.)"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_final_punctuation(text: str, without: str) -> None:
    assert without_final_punctuation(text) == without


def test_sentences_are_joined_as_in_the_language() -> None:
    assert joined("Yes.", "No.", "en") == "Yes. No."
    assert joined("네.", "아니요.", "ko") == "네. 아니요."
    for code in ("zh-Hans", "zh_CN", "zho_Hant", "cmn"):
        assert joined("是。", "不。", code) == "是。不。"


def test_typos_are_single_errors_inside_words() -> None:
    seen = {with_typos("a the I", random.Random(seed)) for seed in range(300)}
    assert {"a he I", "a te I", "a hte I", "a teh I", "a tthe I", "a thhe I", "a rhe I"} <= seen
    assert "a the I" not in seen
    assert {with_typos("Of", random.Random(seed)) for seed in range(300)} >= {"If", "Pf", "OOf"}
    for text in ("", "a", "1 + 2 = 3", "e\u0301 e\u0301"):
        assert with_typos(text, random.Random(1)) == text
    cyrillic = {with_typos("он", random.Random(seed)) for seed in range(300)}
    assert {"н", "но", "оон", "рн", "лн"} <= cyrillic
    assert {with_typos("東京", random.Random(seed)) for seed in range(99)} == {
        *("京", "東東京", "京東"),
    }


def test_typos_leave_the_words_in_place() -> None:
    text = "The quick brown fox jumps over the lazy dog and the cat. " * 20
    for seed in range(30):
        noisy = with_typos(text, random.Random(seed))
        words, before = noisy.split(), text.split()
        assert len(words) == len(before)
        wrong = sum(word != old for word, old in zip(words, before, strict=True))
        assert 1 <= wrong <= 1 + len(text) // 40


def rates_of(pairs: list[tuple[str, str]]) -> dict[str, float]:
    """Return how often each change is seen in copies of PAIR that were followed by others."""
    counts = {
        "upper": sum(tgt.isupper() for _, tgt in pairs),
        "title": sum("Kleine" in tgt for _, tgt in pairs),
        "lower": sum(src.islower() for src, _ in pairs),
        "no_punctuation": sum(not tgt.endswith((".", "?")) for _, tgt in pairs),
        "concatenate": sum("?" in tgt or "ja" in tgt.lower() for _, tgt in pairs),
    }
    return {name: count / len(pairs) for name, count in counts.items()}


def test_each_change_has_its_probability() -> None:
    settings = AugmentConfig(**{**ALL, "typos": 0.0})
    number = 5000
    made = augmented([PAIR] * number, [("Yes?", "Ja?")] * number, [EN_DE] * number, settings, 1)
    assert rates_of(made) == pytest.approx(
        {name: rate for name, rate in ALL.items() if name != "typos"}, abs=0.03
    )
    typos = augmented(
        [PAIR] * number, [None] * number, [EN_DE] * number, AugmentConfig(typos=0.4), 1
    )
    assert all(tgt == PAIR[1] for _, tgt in typos)
    # Two equal letters that are swapped are no error, so slightly fewer texts differ.
    assert sum(src != PAIR[0] for src, _ in typos) / number == pytest.approx(0.4, abs=0.03)


def test_changes_are_a_function_of_the_seed() -> None:
    arguments: Any = ([PAIR] * 100, [PAIR] * 100, [EN_DE] * 100, AugmentConfig(**ALL))
    assert augmented(*arguments, 1) == augmented(*arguments, 1) != augmented(*arguments, 2)


def test_a_script_without_case_keeps_that_of_the_other_side() -> None:
    # Georgian has letters for text in capitals, but a sentence or name does not begin with one.
    for lang, text in (("zh", "你好。"), ("ka", "გამარჯობა.")):
        pairs = [(text, "Hello."), ("Hello.", text)]
        languages = [LanguagePair(lang, "en"), LanguagePair("en", lang)]
        for settings in (AugmentConfig(upper=1.0), AugmentConfig(title=1.0)):
            assert augmented(pairs, [None] * 2, languages, settings, 1) == pairs


def config_of(folder: Path, augment: dict[str, float] | None, **sections: Any) -> Config:
    lines = [f"the w{i % 7} small x{i % 5} dog{i % 3} runs to z{i % 11}" for i in range(300)]
    for side in ("en", "de"):
        (folder / side).write_text("".join(f"{line} {side}.\n" for line in lines), "utf-8")
    data = {
        **{"src_lang": "en", "tgt_lang": "de", "cache_dir": str(folder / "cache")},
        "train": {"src": str(folder / "en"), "tgt": str(folder / "de")},
        **{"augment": augment, "max_length": 80, **sections.get("data", {})},
    }
    return Config.model_validate(
        {
            "data": data,
            "tokenizer": {
                "vocab_size": 340,
                "byte_fallback": True,
                **sections.get("tokenizer", {}),
            },
            "train": {"batch_tokens": 400, **sections.get("train", {})},
        }
    )


def tokenizers_of(config: Config) -> Tokenizers:
    terms = [TERM] if config.data.terms else []
    return with_symbols(train_tokenizers(config), [*terms, *config.data.corpus_tags])


def epochs_of(config: Config) -> tuple[Epochs | StreamedEpochs, Tokenizers]:
    tokenizers = tokenizers_of(config)
    if config.data.streaming:
        return StreamedEpochs(tokenizers, config), tokenizers
    return Epochs(prepared_of(config, tokenizers), tokenizers, config), tokenizers


def prepared_of(config: Config, tokenizers: Tokenizers) -> Prepared:
    return prepare(config, tokenizers, config.data.train, filtered=True)


def texts_in(batches: list[Batch], tokenizers: Tokenizers) -> list[tuple[str, str]]:
    return [
        pair
        for batch in batches
        for pair in zip(
            tokenizers.src.decode(batch.src_BS.tolist()),
            tokenizers.tgt.decode(batch.tgt_out_BT.tolist()),
            strict=True,
        )
    ]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"tokenizer": {"sampling_alpha": 0.2}},
        {"data": {"streaming": True, "shuffle_buffer": 8192}},
        {"data": {"tags": "both", "terms": {}}},
    ],
    ids=str,
)
def test_an_epoch_resumes_with_the_same_text(tmp_path: Path, sections: dict[str, Any]) -> None:
    config = config_of(tmp_path, ALL, **sections)
    epochs, tokenizers = epochs_of(config)
    whole = [*epochs.batches(0)]
    assert equal([*epochs.batches(0)], whole)
    assert equal([*epochs.batches(0, whole[4].number + 1)], whole[5:])
    assert not equal([*epochs.batches(1)], whole)
    assert sum(len(batch.rows) for batch in whole) == 300
    for batch in whole:
        assert batch.src_BS.numel() <= 400 or len(batch.rows) == 1
        assert batch.num_src_tokens == int((batch.src_BS != tokenizers.src.pad_id).sum())
        assert max(batch.src_BS.shape[1], batch.tgt_out_BT.shape[1]) <= 80
    sides = zip(*texts_in(whole, tokenizers), strict=True)
    assert all(any(text.isupper() for text in side) for side in sides)


def test_sources_keep_their_tags(tmp_path: Path) -> None:
    train = [
        {"src": str(tmp_path / "en"), "tgt": str(tmp_path / "de"), "tag": name} for name in "ab"
    ]
    data = {"tags": "target", "train": train}
    config = config_of(tmp_path, {"lower": 0.5, "no_punctuation": 1.0}, data=data)
    epochs, tokenizers = epochs_of(config)
    known = tokenizers.src.control_symbols
    tags = {(known[tag], known["<2de>"]) for tag in config.data.corpus_tags}
    batches = [*epochs.batches(0)]
    assert {tuple(ids[:2]) for batch in batches for ids in batch.src_BS.tolist()} == tags
    assert not any(tgt.endswith(".") for _, tgt in texts_in(batches, tokenizers))


def test_a_pair_stays_within_the_maximum_length(tmp_path: Path) -> None:
    config = config_of(tmp_path, None)
    prepared = prepared_of(config, tokenizers_of(config))
    longest = int(max(prepared.src_lengths.max(), prepared.tgt_lengths.max()))
    epochs, tokenizers = epochs_of(
        config_of(tmp_path, {"concatenate": 1.0}, data={"max_length": longest})
    )
    batches = [*epochs.batches(0)]
    assert max(batch.src_BS.shape[1] for batch in batches) <= longest
    assert all(src.count("the ") == 1 for src, _ in texts_in(batches, tokenizers))


def test_the_next_pair_is_of_the_same_corpus(tmp_path: Path) -> None:
    files = {"src": str(tmp_path / "en"), "tgt": str(tmp_path / "de")}
    data = {"train": [files, {**files, "reversed": True}], "max_length": 200}
    epochs, tokenizers = epochs_of(config_of(tmp_path, {"concatenate": 1.0}, data=data))
    seen = 0
    for src, tgt in texts_in([*epochs.batches(0)], tokenizers):
        for text, own, other in ((src, " en.", " de."), (tgt, " de.", " en.")):
            assert (own in text) != (other in text)
        assert src.count(".") == tgt.count(".")
        seen += src.count(".") == 2
    assert seen == 2 * 299  # all but the last ones


def test_a_plan_counts_longer_pairs(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"concatenate": 1.0}, data={"max_length": 200})
    epochs, tokenizers = epochs_of(config)
    plan = make_plan(config, tokenizers, epochs.sample)
    real = len([*epochs.batches(0)])
    assert abs(plan.batches_per_epoch - real) <= 0.25 * real


def test_validation_is_on_unchanged_text(tmp_path: Path) -> None:
    from nmt.training.validate import Validator

    config = config_of(tmp_path, ALL)
    tokenizers = tokenizers_of(config)
    data = prepare(config, tokenizers, config.data.train, filtered=False)
    validator = Validator(config, tokenizers, data, torch.device("cpu"), print)
    assert validator.config.data.augment is None
