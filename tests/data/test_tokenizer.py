"""Training, loading and using SentencePiece models."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from nmt.config.schema import Config
from nmt.data import tokenizer_training as module
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import ConfigError, DataError, FileError

_STEMS = ["house", "garden", "window", "summer", "winter", "little", "running", "mountain"]
_RNG = random.Random(0)
ENGLISH = [
    " ".join(_RNG.choice(_STEMS) + _RNG.choice(["", "s", "ing", "er"]) for _ in range(8))
    for _ in range(200)
]
GERMAN = [line.replace("ing", "ungß").replace("s", "sch") for line in ENGLISH]


def config_of(tmp_path: Path, src: list[str], tgt: list[str], **tokenizer: Any) -> Config:
    for name, lines in (("en", src), ("de", tgt)):
        (tmp_path / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    corpus = {"src": str(tmp_path / "en"), "tgt": str(tmp_path / "de")}
    data = {"src_lang": "en", "tgt_lang": "de", "cache_dir": str(tmp_path / "cache")}
    joint = tokenizer.get("joint", True)
    return Config.model_validate(
        {
            "data": {**data, "train": corpus},
            "tokenizer": {"vocab_size": 120, **tokenizer},
            "model": {"tie_embeddings": "all" if joint else "none"},
        }
    )


def trained(tmp_path: Path, **tokenizer: Any) -> Tokenizers:
    return train_tokenizers(config_of(tmp_path, ENGLISH, GERMAN, **tokenizer))


def external_model(lines: list[str], **options: Any) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char"])
def test_every_type_decodes_what_it_encodes(tmp_path: Path, kind: str) -> None:
    src, tgt = trained(tmp_path, type=kind)
    assert src is tgt
    assert (src.pad_id, src.unk_id, src.bos_id, src.eos_id) == (0, 1, 2, 3)
    for lines in (ENGLISH, GERMAN):
        ids = src.encode(lines)
        assert src.decode(ids) == lines
        assert all(3 < token < src.vocab_size for row in ids for token in row)
    assert "".join(src.pieces(src.encode(["little house"])[0])) == "▁little▁house"


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char"])
def test_a_small_corpus_gives_fewer_pieces(tmp_path: Path, kind: str) -> None:
    tokenizer = trained(tmp_path, type=kind, vocab_size=30_000).src
    assert 20 < tokenizer.vocab_size < 1000
    assert trained(tmp_path, type=kind, vocab_size=40).src.vocab_size <= 40


def test_a_vocabulary_smaller_than_the_alphabet_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.vocab_size: 10 is less than the \d+ char"):
        trained(tmp_path, vocab_size=10)


def test_settings_that_sentencepiece_rejects_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SentencePiece cannot train with these settings"):
        trained(tmp_path, user_defined_symbols=["<s>x", "<s>x"])


def test_corpora_without_pairs_of_text_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pair has text on both sides"):
        train_tokenizers(config_of(tmp_path, ["a", " "], ["", "b"]))


def test_separate_vocabularies(tmp_path: Path) -> None:
    tokenizers = trained(tmp_path, joint=False)
    assert not tokenizers.joint
    assert 1 in tokenizers.src.encode(["ß"])[0]
    assert 1 not in tokenizers.tgt.encode(["ß"])[0]


@pytest.mark.parametrize("joint", [True, False])
def test_saving_and_loading(tmp_path: Path, joint: bool) -> None:
    tokenizers = trained(tmp_path, joint=joint)
    (tmp_path / "model").mkdir()
    tokenizers.save(tmp_path / "model")
    names = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert names == (["spm.model"] if joint else ["src.model", "tgt.model"])
    loaded = Tokenizers.load(tmp_path / "model")
    assert loaded.joint is joint
    for before, after in zip(tokenizers, loaded, strict=True):
        assert after.serialized() == before.serialized()
        assert after.encode(GERMAN) == before.encode(GERMAN)


def test_unknown_and_byte_pieces(tmp_path: Path) -> None:
    plain = trained(tmp_path).src
    [ids] = plain.encode(["house 猫"])
    assert ids[-1] == plain.unk_id
    assert plain.decode([ids]) == ["house  ⁇ "]
    spelled = trained(tmp_path, byte_fallback=True, vocab_size=400).src
    [ids] = spelled.encode(["house 猫"])
    assert spelled.unk_id not in ids
    assert spelled.decode([ids]) == ["house 猫"]


def test_user_defined_symbols_stay_whole(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, user_defined_symbols=["<a,b>", "ouse"]).src
    pieces = tokenizer.pieces(tokenizer.encode(["house<a,b>"])[0])
    assert pieces[-2:] == ["ouse", "<a,b>"]


def test_normalization_rule(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, normalization="nmt_nfkc_cf").src
    assert tokenizer.decode(tokenizer.encode(["LITTLE  House"])) == ["little house"]


def test_decoded_text_is_one_line(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, byte_fallback=True, vocab_size=400).src
    bytes_of = {tokenizer.pieces([i])[0]: i for i in range(tokenizer.vocab_size)}
    ids = [bytes_of[f"<0x{byte:02X}>"] for byte in (0x41, 0x0A, 0x00, 0x0D, 0x42)]
    assert tokenizer.decode([ids]) == ["A   B"]
    assert tokenizer.decode([[], [2, 3, 0]]) == ["", ""]


@pytest.mark.parametrize("pad", [True, False])
def test_an_existing_model_with_and_without_padding(tmp_path: Path, pad: bool) -> None:
    (tmp_path / "m").write_bytes(external_model(ENGLISH, **({"pad_id": 3} if pad else {})))
    tokenizer = trained(tmp_path, model=str(tmp_path / "m")).src
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "m")).get_piece_size()
    assert (tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2)
    assert tokenizer.pad_id == (3 if pad else pieces)
    assert tokenizer.vocab_size == (pieces if pad else pieces + 1)
    assert tokenizer.pieces([tokenizer.pad_id]) == ["<pad>"]
    [ids] = tokenizer.encode(ENGLISH[:1])
    assert tokenizer.decode([[*ids, tokenizer.eos_id, tokenizer.pad_id]]) == ENGLISH[:1]


def test_existing_models_for_each_side(tmp_path: Path) -> None:
    for name, lines in (("s", ENGLISH), ("t", GERMAN)):
        (tmp_path / name).write_bytes(external_model(lines))
    names = {"src_model": str(tmp_path / "s"), "tgt_model": str(tmp_path / "t")}
    src, tgt = trained(tmp_path, joint=False, **names)
    assert src.serialized() == (tmp_path / "s").read_bytes()
    assert tgt.serialized() == (tmp_path / "t").read_bytes()


@pytest.mark.parametrize("missing", ["bos_id", "eos_id"])
def test_a_model_without_bos_or_eos_is_refused(missing: str) -> None:
    with pytest.raises(FileError, match=r"m: the model has no <s> or no </s>"):
        Tokenizer(external_model(ENGLISH, **{missing: -1}), "m")


def test_damaged_models_are_refused(tmp_path: Path) -> None:
    whole = external_model(ENGLISH)
    # The pieces are within the first 1500 bytes, so these cuts cover every boundary between two.
    cuts = [*range(1500), *range(1500, len(whole), 2000), len(whole) - 1]
    for content in (*(whole[:cut] for cut in cuts), b"text\n" * 100, b"\x80\x04\x95pickle"):
        with pytest.raises(FileError, match="not a SentencePiece model"):
            Tokenizer(content)
    with pytest.raises(FileError, match="cannot be read"):
        Tokenizer.load(tmp_path / "missing")
    with pytest.raises(FileError, match="cannot be read"):
        Tokenizers.load(tmp_path)


def test_pieces_that_are_not_utf8_are_refused() -> None:
    """SentencePiece loads them and fails only when it decodes them."""
    whole = external_model(ENGLISH)
    mark = "▁".encode()
    assert mark in whole
    with pytest.raises(FileError, match="not a SentencePiece model"):
        Tokenizer(whole.replace(mark, b"\xff" * len(mark)))


def test_an_endless_varint_is_refused_quickly() -> None:
    """Its value would have millions of bits."""
    with pytest.raises(FileError, match="not a SentencePiece model"):
        Tokenizer(b"\x08" + b"\xff" * 3_000_000)


def test_training_is_cached_by_content_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    train = module._train
    monkeypatch.setattr(module, "_train", lambda *args: runs.append(1) or train(*args))
    first = trained(tmp_path)
    assert trained(tmp_path).src.serialized() == first.src.serialized()
    assert len(runs) == 1
    trained(tmp_path, vocab_size=121)
    train_tokenizers(config_of(tmp_path, ENGLISH[1:], GERMAN[1:]))
    assert len(runs) == 3


def test_training_uses_a_bounded_sample_that_depends_on_the_seed(tmp_path: Path) -> None:
    config = config_of(tmp_path, ENGLISH, GERMAN, train_sentences=20)
    sample = module.sampled_pairs(config, lambda what, done: None)
    assert len(sample) == 10
    assert sample == module.sampled_pairs(config, lambda what, done: None)
    assert max(pair.line for pair in sample) > 50
    assert all(pair.tgt == GERMAN[pair.line - 1] for pair in sample)


def test_an_exception_from_progress_stops_training(tmp_path: Path) -> None:
    def stop(what: str, done: int) -> None:
        if what == "training the tokenizer":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tokenizers(config_of(tmp_path, ENGLISH, GERMAN), stop)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(("kind", "nbest"), [("bpe", -1), ("unigram", -1), ("unigram", 5)])
def test_sampling_is_a_function_of_its_arguments(tmp_path: Path, kind: str, nbest: int) -> None:
    tokenizer = trained(tmp_path, type=kind).src
    alpha = 0.3
    samples = [tokenizer.sample(ENGLISH, alpha, nbest, seed) for seed in (1, 2, 1)]
    assert samples[0] == samples[2] != samples[1]
    assert samples[0] != tokenizer.encode(ENGLISH)
    assert tokenizer.decode(samples[0]) == ENGLISH
    assert tokenizer.sample(ENGLISH[3:4], alpha, nbest, 2**32 - 1) != []


def test_sampling_is_the_same_in_another_process(tmp_path: Path) -> None:
    for kind in ("bpe", "unigram"):
        tokenizer = trained(tmp_path, type=kind).src
        tokenizer.save(tmp_path / "m")
        program = (
            "import sys; from nmt.data.tokenizer import Tokenizer; "
            "print(Tokenizer.load(sys.argv[1]).sample(sys.argv[2:], 0.2, -1, 7))"
        )
        command = [sys.executable, "-c", program, str(tmp_path / "m"), *ENGLISH[:20]]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert output.strip() == str(tokenizer.sample(ENGLISH[:20], 0.2, -1, 7))


def test_with_alpha_0_sampling_is_encoding(tmp_path: Path) -> None:
    tokenizer = trained(tmp_path).src
    assert tokenizer.sample(ENGLISH, 0.0, -1, 1) == tokenizer.encode(ENGLISH)
