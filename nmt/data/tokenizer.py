"""SentencePiece tokenization (Kudo and Richardson 2018): text to piece ids and back."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import sentencepiece

from nmt.data.lines import replace_controls
from nmt.data.model_file import ModelFile, ModelType, check_complete, parse, parse_text
from nmt.errors import FileError
from nmt.files import MAX_TOKENIZER_BYTES, read_bounded

if TYPE_CHECKING:
    from nmt.data.sampling import Sampler

_LINES_PER_THREAD = 64


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

    @cached_property
    def control_symbols(self) -> dict[str, int]:
        """The ids of control symbols other than the special ones: tokens that no text contains."""
        special = set(self.special_ids)
        ids = [i for i in range(self._pieces) if i not in special and self._processor.is_control(i)]
        return dict(zip(self._processor.id_to_piece(ids), ids, strict=True)) if ids else {}

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
        return self._sampler(alpha).sample(self.normalize(lines), seed)

    def normalize(self, lines: Sequence[str]) -> list[str]:
        """Return the text of each line that is divided into pieces, with U+2581 for spaces."""
        return [self._processor.normalize(line) for line in lines]

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

    def has_piece(self, text: str) -> bool:
        """Return whether the vocabulary has a piece."""
        return bool(self._processor.id_to_piece(self._processor.piece_to_id(text)) == text)

    def vocabulary(self) -> list[str]:
        """Return all pieces as text, in the order of their ids."""
        return self.pieces(range(self.vocab_size))

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
