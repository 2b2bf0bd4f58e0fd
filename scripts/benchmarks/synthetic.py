"""Synthetic sentences for `scripts/bench gpu`: random words, as long as those of a real corpus."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from nmt.config.schema import Config
    from nmt.data.tokenizer import Tokenizers

Lengths = npt.NDArray[np.int64]

# Lengths are log-normal, as those of sentences roughly are: 28 tokens on average, as after a BPE of
# 37,000 pieces, and translations about as long as their sources.
_MEDIAN, _SPREAD = 23.0, 0.65
_RATIO, _RATIO_SPREAD = 1.03, 0.2
# Enough for batches of similar lengths with little padding, as with a real corpus.
_CORPUS_PAIRS = 200_000
_NUM_SPECIAL = 4
_WORDS_PER_LINE = 50


def make_tokenizers(vocab_size: int) -> Tokenizers:
    """Return a joint tokenizer with `vocab_size` pieces, in which every word is a piece."""
    import sentencepiece

    from nmt.data.tokenizer import Tokenizer, Tokenizers
    from nmt.data.tokenizer_training import BOS_ID, EOS_ID, PAD_ID, UNK_ID

    words = [f"w{number}" for number in range(vocab_size - _NUM_SPECIAL)]
    starts = range(0, len(words), _WORDS_PER_LINE)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(" ".join(words[start : start + _WORDS_PER_LINE]) for start in starts),
        model_writer=model,
        model_type="word",
        vocab_size=vocab_size,
        pad_id=PAD_ID,
        unk_id=UNK_ID,
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        minloglevel=2,
    )
    return Tokenizers(*[Tokenizer(model.getvalue())] * 2)


def draw_lengths(count: int, longest: int, random: np.random.Generator) -> tuple[Lengths, Lengths]:
    """Return the numbers of source and target tokens of some pairs, EOS not included."""
    src = random.lognormal(np.log(_MEDIAN), _SPREAD, count)
    tgt = src * random.lognormal(np.log(_RATIO), _RATIO_SPREAD, count)
    rounded = [np.clip(side.round(), 1, longest).astype(np.int64) for side in (src, tgt)]
    return rounded[0], rounded[1]


def write_batches(path: Path, config: Config, vocab_size: int, count: int) -> list[tuple[int, int]]:
    """Write batches for the workers, cut as `nmt train` would.

    Returns:
        Source and target tokens of all pairs, EOS included.
    """
    from nmt.data.batching import BatchOrder

    random = np.random.default_rng(config.train.seed)
    batch_tokens = config.train.batch_tokens
    longest = min(config.data.max_length - 1, max(1, batch_tokens // 4))
    src_lengths, tgt_lengths = draw_lengths(_CORPUS_PAIRS, longest, random)
    order = BatchOrder(
        src_lengths + 1,
        tgt_lengths + 1,
        corpus_sizes=[_CORPUS_PAIRS],
        weights=[1.0],
        batch_tokens=batch_tokens,
        seed=config.train.seed,
    )
    pairs: list[tuple[int, int]] = []
    with path.open("w", encoding="utf-8") as file:
        for rows in order.epoch(0)[:count]:
            sides: dict[str, Any] = {
                name: [_words(length, vocab_size, random) for length in lengths[rows].tolist()]
                for name, lengths in (("src", src_lengths), ("tgt", tgt_lengths))
            }
            file.write(json.dumps(sides) + "\n")
            pairs += [
                (len(src) + 1, len(tgt) + 1) for src, tgt in zip(*sides.values(), strict=True)
            ]
    return pairs


def make_lines(tokenizers: Tokenizers, count: int, longest: int) -> list[str]:
    """Return random sentences as text."""
    random = np.random.default_rng(1)
    lengths, _ = draw_lengths(count, longest, random)
    size = tokenizers.src.vocab_size
    return tokenizers.src.decode([_words(length, size, random) for length in lengths.tolist()])


def _words(count: int, vocab_size: int, random: np.random.Generator) -> list[int]:
    ids: list[int] = random.integers(_NUM_SPECIAL, vocab_size, count).tolist()
    return ids
