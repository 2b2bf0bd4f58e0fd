"""SentencePiece tokenization (Kudo and Richardson 2018): text to piece ids and back."""

from __future__ import annotations

import io
import os
import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import sentencepiece

from nmt.config.schema import Config, TokenizerConfig
from nmt.data import cache
from nmt.data.corpus import Pair, content_key, read_pairs
from nmt.data.lines import replace_controls
from nmt.data.model_file import ModelFile, ModelType, check_complete, parse, parse_text
from nmt.errors import ConfigError, DataError, FileError
from nmt.files import MAX_TOKENIZER_BYTES, read_bounded

if TYPE_CHECKING:
    from nmt.data.sampling import Sampler

PAD_ID, UNK_ID, BOS_ID, EOS_ID = range(4)
"""Ids in the models trained here; an existing model may have different ones."""

Progress = Callable[[str, int], None]
"""Called repeatedly with the current activity and the number of pairs done so far. It may raise
an exception to end the work, for example after a signal."""

_CACHE_VERSION = 2
_MAX_TRAINING_LINE_BYTES = 1 << 16
_POLL_SECONDS = 0.2
_LINES_PER_THREAD = 64
_PAIRS_PER_REPORT = 10_000


class Token(NamedTuple):
    """A token and the span of characters that it covers in the text."""

    id: int
    start: int
    end: int


class Tokenizer:
    """One side's SentencePiece model.

    Args:
        model: the serialized model.
        origin: name of the model for messages, usually its path.

    Raises:
        FileError: if this is not a SentencePiece model, is truncated, or has no BOS or EOS.
    """

    vocab_size: int
    """Number of ids, including padding."""
    pad_id: int
    """The model's padding id, or one past its last piece if it has none."""
    unk_id: int
    bos_id: int
    eos_id: int

    def __init__(self, model: bytes, origin: str = "the SentencePiece model") -> None:
        try:
            check_complete(model)
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            self._pieces = self._processor.get_piece_size()
            # SentencePiece loads pieces that are not UTF-8, and fails only when it decodes them.
            self._processor.id_to_piece(list(range(self._pieces)))
        except (RuntimeError, ValueError) as error:
            raise FileError(f"{origin}: not a SentencePiece model, or truncated") from error
        self._model = model
        self._origin = origin
        self._samplers: dict[float, Sampler] = {}
        self.unk_id = self._processor.unk_id()
        self.bos_id = self._processor.bos_id()
        self.eos_id = self._processor.eos_id()
        pad_id = self._processor.pad_id()
        self.pad_id = pad_id if pad_id >= 0 else self._pieces
        self.vocab_size = self._pieces + (pad_id < 0)
        if self.bos_id < 0 or self.eos_id < 0:
            raise FileError(
                f"{origin}: the model has no <s> or no </s>; train it with --bos_id and --eos_id"
            )

    @cached_property
    def _file(self) -> ModelFile:
        """The parts of the model that only sampling needs; parsing them takes a while."""
        try:
            return parse(self._model)
        except ValueError as error:
            raise FileError(f"{self._origin}: cannot sample segmentations: {error}") from error

    @property
    def special_ids(self) -> list[int]:
        """The ids of padding, the unknown token, BOS and EOS."""
        return [self.pad_id, self.unk_id, self.bos_id, self.eos_id]

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Load a model file that the user has named.

        Raises:
            FileError: if it cannot be read or is not a usable model.
        """
        return cls(read_bounded(Path(path), MAX_TOKENIZER_BYTES, plain=False), str(path))

    @classmethod
    def load_plain(cls, path: Path) -> Tokenizer:
        """Load a file of a model directory.

        Raises:
            FileError: if it is not a plain file, cannot be read or is not a usable model.
        """
        return cls(read_bounded(path, MAX_TOKENIZER_BYTES), str(path))

    def save(self, path: str | Path) -> None:
        """Write the model file, identical byte for byte to the model loaded or trained."""
        Path(path).write_bytes(self._model)

    def serialized(self) -> bytes:
        """Return the serialized model, which identifies it."""
        return self._model

    def encode(self, lines: Sequence[str], num_threads: int | None = None) -> list[list[int]]:
        """Return the ids of each line, without BOS and EOS.

        Args:
            lines: plain text.
            num_threads: largest number of threads; by default one per core.
        """
        threads = _useful_threads(len(lines), num_threads)
        ids: list[list[int]] = self._processor.encode(
            list(lines), out_type=int, num_threads=threads
        )
        return ids

    def sample(self, lines: Sequence[str], alpha: float, nbest: int, seed: int) -> list[list[int]]:
        """Return the ids of each line in a random segmentation, a pure function of the arguments.

        Args:
            lines: plain text.
            alpha: probability of dropping a merge (bpe), or smoothing parameter (unigram).
            nbest: for unigram, the number of best segmentations to sample from; -1 for all.
            seed: a number below 2 ** 32.
        """
        if not alpha or self._file.type not in (ModelType.BPE, ModelType.UNIGRAM):
            return self.encode(lines)
        if self._file.type is ModelType.UNIGRAM and nbest > 0:
            return self._sample_of_best(lines, alpha, nbest, seed)
        normalized = [self._processor.normalize(line) for line in lines]
        return self._sampler(alpha).sample(normalized, seed)

    def _sample_of_best(
        self, lines: Sequence[str], alpha: float, nbest: int, seed: int
    ) -> list[list[int]]:
        from nmt.data.sampling import choose_of_best

        scores = [piece.score for piece in self._file.pieces]
        lowest = min(scores)
        scores[self.unk_id] = lowest - 10.0
        rng = random.Random(seed)
        sampled = []
        for line in lines:
            candidates = self._processor.nbest_encode(line, nbest_size=nbest, out_type=int)
            log_probs = [sum(scores[token] for token in ids) for ids in candidates]
            sampled.append(choose_of_best(candidates, log_probs, alpha, rng.random()))
        return sampled

    def _sampler(self, alpha: float) -> Sampler:
        from nmt.data.sampling import Sampler

        if alpha not in self._samplers:
            self._samplers[alpha] = Sampler(self._file, alpha)
        return self._samplers[alpha]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the plain text of each row of ids.

        Special ids are dropped, and an unknown piece becomes ` ⁇ `. Control characters, which byte
        pieces can spell, become spaces, so that a line stays one line.
        """
        rows = [[token for token in map(int, row) if token < self._pieces] for row in ids]
        texts = self._processor.decode(rows, num_threads=_useful_threads(len(rows)))
        return [replace_controls(text)[0] for text in texts]

    def tokens(self, line: str) -> list[Token]:
        """Return the ids that `encode` returns, with the characters that each covers.

        A space belongs to the piece after it, or is a piece by itself. If normalization makes
        several pieces out of one character, only one of them covers it.
        """
        return _tokens(line, self._processor.encode(line, out_type="serialized_proto"))

    def decoded_tokens(self, ids: Sequence[int]) -> list[Token]:
        """Return the characters that each id covers in `decode([ids])`; all ids must be pieces."""
        if not ids:
            return []
        [text] = self._processor.decode([list(ids)])
        return _tokens(text, self._processor.decode(list(ids), out_type="serialized_proto"))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the piece of each id as text."""
        names = iter(self._processor.id_to_piece([int(i) for i in ids if i < self._pieces]))
        return [next(names) if i < self._pieces else "<pad>" for i in ids]


def _useful_threads(num_lines: int, most: int | None = None) -> int:
    """Return how many threads are worth starting: each costs as much as encoding some lines."""
    return min(most or os.cpu_count() or 1, 1 + num_lines // _LINES_PER_THREAD)


def _tokens(text: str, message: bytes) -> list[Token]:
    """Return the tokens in a SentencePieceText message, with offsets in characters, not bytes."""
    characters = [0]  # number of characters before each byte
    for character in text:
        size = len(character.encode("utf-8"))
        characters += [characters[-1]] * (size - 1) + [characters[-1] + 1]
    return [
        Token(piece.id, characters[piece.begin], characters[piece.end])
        for piece in parse_text(message)
    ]


class Tokenizers(NamedTuple):
    """The tokenizers of both sides; the same object twice when the vocabulary is joint."""

    src: Tokenizer
    tgt: Tokenizer

    @property
    def joint(self) -> bool:
        """Whether both sides share one vocabulary."""
        return self.src is self.tgt

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Source and target vocabulary size and source padding id, which a network needs."""
        return self.src.vocab_size, self.tgt.vocab_size, self.src.pad_id

    def save(self, directory: str | Path) -> None:
        """Write `spm.model`, or `src.model` and `tgt.model`, into a directory."""
        for name, tokenizer in self._files():
            tokenizer.save(Path(directory) / name)

    @classmethod
    def load(cls, directory: str | Path) -> Tokenizers:
        """Load the tokenizers that `save` wrote.

        Raises:
            FileError: if the files are missing or are not usable models.
        """
        directory = Path(directory)
        if (directory / "spm.model").exists():
            return cls(*[Tokenizer.load_plain(directory / "spm.model")] * 2)
        sides = (Tokenizer.load_plain(directory / f"{side}.model") for side in ("src", "tgt"))
        return cls(*sides)

    def _files(self) -> list[tuple[str, Tokenizer]]:
        if self.joint:
            return [("spm.model", self.src)]
        return [("src.model", self.src), ("tgt.model", self.tgt)]


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
        pairs = _sampled_pairs(config, report)
        sides = ([pair.src for pair in pairs], [pair.tgt for pair in pairs])
        poll = lambda: report("training the tokenizer", len(pairs))  # noqa: E731
        if settings.joint:
            trained = Tokenizers(*[_train(settings, sides[0] + sides[1], poll)] * 2)
        else:
            trained = Tokenizers(*[_train(settings, side, poll) for side in sides])
        trained.save(directory)

    name = f"tokenizer-{_cache_key(config)}"
    return Tokenizers.load(cache.entry(config.data, name, build, warn))


def _cache_key(config: Config) -> str:
    return cache.key(
        version=_CACHE_VERSION,
        sentencepiece=sentencepiece.__version__,
        tokenizer=config.tokenizer.model_dump(exclude={"sampling_alpha", "sampling_nbest"}),
        corpora=[content_key(corpus) for corpus in config.data.train],
        languages=(config.data.src_lang, config.data.tgt_lang),
        invalid_utf8=config.data.invalid_utf8,
        seed=config.train.seed,
    )


def _sampled_pairs(config: Config, report: Progress) -> list[Pair]:
    """Return a uniform sample of the training pairs (reservoir sampling, Vitter's algorithm R)."""
    size = max(1, config.tokenizer.train_sentences // 2)
    rng = random.Random(config.train.seed)
    sample: list[Pair] = []
    for seen, pair in enumerate(_training_pairs(config)):
        if seen % _PAIRS_PER_REPORT == 0:
            report("reading for the tokenizer", seen)
        if seen < size:
            sample.append(pair)
        elif (place := int(rng.random() * (seen + 1))) < size:
            sample[place] = pair
    if not sample:
        raise DataError("data.train: no pair has text on both sides")
    return sample


def _training_pairs(config: Config) -> Iterator[Pair]:
    for corpus in config.data.train:
        for pair in read_pairs(corpus, config.data):
            if pair.src.strip() and pair.tgt.strip():
                yield pair


def _train(settings: TokenizerConfig, lines: list[str], poll: Callable[[], None]) -> Tokenizer:
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
