"""Training of SentencePiece models on the training corpora."""

from __future__ import annotations

import functools
import io
import itertools
import os
import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import sentencepiece

from nmt.config.schema import Config
from nmt.config.tokenizer import TokenizerConfig
from nmt.data import cache
from nmt.data.corpus import Pair, content_key, read_pairs, stream_key
from nmt.data.mixing import mixed_chunks
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.errors import ConfigError, DataError

PAD_ID, UNK_ID, BOS_ID, EOS_ID = range(4)
"""Ids in the models trained here; an existing model may have different ones."""

Progress = Callable[[str, int], None]
"""Called repeatedly with the current activity and the number of pairs done so far. It may raise
an exception to end the work, for example after a signal."""

_CACHE_VERSION = 2
_MAX_TRAINING_LINE_BYTES = 1 << 16
_POLL_SECONDS = 0.2
_PAIRS_PER_REPORT = 10_000


def train_tokenizers(
    config: Config,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
) -> Tokenizers:
    """Load the models named in the configuration, or train models on the training corpora.

    Trained models are cached by the content of the corpora and the settings. To bound memory,
    they are trained on a random sample of the pairs, drawn with `train.seed`.

    Args:
        config: `tokenizer` names the models or holds the training settings.
        progress: called while pairs are read and, with an unchanging number of pairs, while
            SentencePiece trains.
        warn: called with a message when the cached models are damaged and trained again.

    Raises:
        ConfigError: if SentencePiece cannot use the settings, for example a vocabulary smaller
            than the alphabet.
        DataError, FileError: if the corpora or models cannot be used.
    """
    settings = config.tokenizer
    if settings.model is not None:
        return Tokenizers(*[Tokenizer.load(settings.model)] * 2)
    if settings.src_model is not None and settings.tgt_model is not None:
        return Tokenizers(Tokenizer.load(settings.src_model), Tokenizer.load(settings.tgt_model))
    report = progress or (lambda what, done: None)

    def build(directory: Path) -> None:
        pairs = sampled_pairs(config, report)
        sides = ([pair.src for pair in pairs], [pair.tgt for pair in pairs])
        poll = lambda: report("training the tokenizer", len(pairs))  # noqa: E731
        tags = config.data.train_tags
        if settings.joint:
            trained = Tokenizers(*[_train(settings, sides[0] + sides[1], tags, poll)] * 2)
        else:  # tags stand in front of sources only
            src, tgt = sides
            trained = Tokenizers(_train(settings, src, tags, poll), _train(settings, tgt, [], poll))
        trained.save(directory)

    name = f"tokenizer-{cache_key(config)}"
    wait = functools.partial(report, "waiting for another process", 0)
    return Tokenizers.load(cache.entry(config.data, name, build, warn, wait))


def cache_key(config: Config, **more: Any) -> str:
    """Return a key of everything that tokenizers depend on, and of further JSON values."""
    excluded = {"sampling_alpha", "sampling_nbest", "replace"} | ({"extend"} if not more else set())
    return cache.key(
        **more,
        version=_CACHE_VERSION,
        sentencepiece=sentencepiece.__version__,
        tokenizer=config.tokenizer.model_dump(exclude=excluded),
        corpora=[
            # Of a stream, only the beginning is read, which depends on the weights.
            {**stream_key(corpus), "weight": corpus.weight}
            if config.data.streaming
            else content_key(corpus)
            for corpus in config.data.train
        ],
        languages=(config.data.src_lang, config.data.tgt_lang),
        invalid_utf8=config.data.invalid_utf8,
        seed=config.train.seed,
        **({"tags": tags} if (tags := config.data.train_tags) else {}),
    )


def sampled_pairs(config: Config, report: Progress) -> list[Pair]:
    """Return a uniform sample of the training pairs."""

    def pairs() -> Iterator[Pair]:
        for seen, pair in enumerate(_training_pairs(config)):
            if seen % _PAIRS_PER_REPORT == 0:
                report("reading for the tokenizer", seen)
            yield pair

    sample = reservoir(pairs(), max(1, config.tokenizer.train_sentences // 2), config.train.seed)
    if not sample:
        raise DataError("data.train: no pair has text on both sides")
    return sample


def reservoir(pairs: Iterable[Pair], size: int, seed: int) -> list[Pair]:
    """Return a uniform sample of at most `size` pairs (Vitter's algorithm R)."""
    rng = random.Random(seed)
    sample: list[Pair] = []
    for seen, pair in enumerate(pairs):
        if seen < size:
            sample.append(pair)
        elif (place := int(rng.random() * (seen + 1))) < size:
            sample[place] = pair
    return sample


def _training_pairs(config: Config) -> Iterator[Pair]:
    """Yield the pairs with text on both sides; of a stream, only as many as are needed."""
    if config.data.streaming:
        chunks = mixed_chunks(config, 0)
        pairs = itertools.chain.from_iterable(chunk for _, chunk in chunks)
        yield from itertools.islice(
            (pair for pair in pairs if pair.has_text),
            max(1, config.tokenizer.train_sentences // 2),
        )
    else:
        for corpus in config.data.train:
            yield from (pair for pair in read_pairs(corpus, config.data) if pair.has_text)


def _train(
    settings: TokenizerConfig, lines: list[str], tags: list[str], poll: Callable[[], None]
) -> Tokenizer:
    model = io.BytesIO()

    def run() -> None:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type=settings.type,
            vocab_size=settings.vocab_size,
            hard_vocab_limit=False,
            character_coverage=settings.character_coverage,
            byte_fallback=settings.byte_fallback,
            user_defined_symbols=settings.user_defined_symbols,
            control_symbols=tags,
            normalization_rule_name=settings.normalization,
            max_sentence_length=_MAX_TRAINING_LINE_BYTES,
            shuffle_input_sentence=False,
            num_threads=os.cpu_count() or 1,
            pad_id=PAD_ID,
            unk_id=UNK_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            minloglevel=2,
        )

    try:
        # In a thread, so that signals are handled while SentencePiece trains.
        _in_thread(run, poll)
    except (RuntimeError, ValueError, OSError) as error:
        raise ConfigError(_training_failure(settings, str(error))) from error
    return Tokenizer(model.getvalue())


def _training_failure(settings: TokenizerConfig, reason: str) -> str:
    if match := re.search(r"smaller than required_chars\. \d+ vs (\d+)", reason):
        return (
            f"tokenizer.vocab_size: {settings.vocab_size} is less than the {match[1]} characters "
            "and special tokens that these corpora need; raise it, or lower "
            "tokenizer.character_coverage"
        )
    return f"tokenizer: SentencePiece cannot train with these settings: {reason}"


def _in_thread(function: Callable[[], None], poll: Callable[[], None]) -> None:
    """Run a function in a new thread, calling `poll` meanwhile, and pass on its exception."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        poll()
    if errors:
        raise errors[0]
