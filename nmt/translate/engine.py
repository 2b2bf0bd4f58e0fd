"""The interface between a translator and an engine, and code that all engines share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from nmt.config.schema import Config
from nmt.config.search import SearchOptions
from nmt.data.context import span_of_context
from nmt.data.lengths import LengthModel
from nmt.data.terms import num_without_terms
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.errors import ConfigError, DataError, FileError
from nmt.search.hypothesis import Hypothesis
from nmt.search.term import Term
from nmt.translate.words import LogProbs, Weights


class Model(Protocol):
    """A model, regardless of its engine."""

    @property
    def config(self) -> Config:
        """The configuration it was trained with."""

    @property
    def tokenizers(self) -> Tokenizers:
        """Source and target side."""

    @property
    def weights(self) -> Path:
        """The directory that its weights came from."""

    @property
    def lengths(self) -> LengthModel | None:
        """Expected lengths of its translations, if known."""


class WordAligner(Protocol):
    """Finds out which source tokens the tokens of given translations attend to."""

    def weights(self, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> list[Weights]:
        """Return the attention of target tokens to source tokens.

        Args:
            sources: source ids, each with its EOS.
            targets: target ids, each without its EOS.

        Returns:
            The weights of each pair. Row t belongs to the position that predicts token t.
        """


Alternatives = list[list[tuple[int, float]]]
"""For each position of a translation, the most probable tokens and their log-probabilities."""


class Engine(Protocol):
    """Searches batches for a `Translator`, in tokens."""

    @property
    def models(self) -> Sequence[Model]:
        """The model, or the models of an ensemble."""

    @property
    def model_weights(self) -> Sequence[float]:
        """The weights of their probabilities, which sum to 1."""

    @property
    def dtype(self) -> str:
        """The arithmetic, on which translations may depend."""

    def __str__(self) -> str:
        """Return its name and arithmetic, for users."""

    @property
    def max_positions(self) -> int:
        """Largest number of tokens of a source or a translation, EOS included."""

    @property
    def num_parallel(self) -> int:
        """How many batches it can search in parallel, when called from as many threads."""

    def cannot(self, options: SearchOptions, *, terms: bool = False) -> str | None:
        """Return a noun for an option that it does not support; None if it supports all.

        Args:
            options: search options.
            terms: whether terms are required.
        """

    def search(
        self,
        sources: Sequence[list[int]],
        keys: Sequence[str],
        options: SearchOptions,
        *,
        prefixes: Sequence[list[int]] = (),
        terms: Sequence[Sequence[Term]] = (),
        token_scores: bool = True,
    ) -> list[list[Hypothesis]]:
        """Search a batch.

        Args:
            sources: source ids, each with its EOS.
            keys: one per source; with the seed, they determine what is sampled.
            options: search options.
            prefixes: target ids that the translations of each source begin with, fewer than
                `max_positions`; by default none. Their log-probabilities count as 0.
            terms: terms that the translations of each source must contain; by default none.
            token_scores: whether the log-probability of each token is needed, which some engines
                compute in a second pass.

        Returns:
            At least one hypothesis for each source, best first.

        Raises:
            ConfigError: if the engine does not support the options.
            FileError: if the model's probabilities are not finite.
            MemoryError: if the batch does not fit into memory.
        """

    def score(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]]
    ) -> list[list[float]]:
        """Return the log-probability of each token of given translations.

        Args:
            sources: source ids, each with its EOS.
            targets: target ids, each with its EOS.

        Raises:
            FileError: if the model's probabilities are not finite.
        """

    def alternatives(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]], count: int
    ) -> list[Alternatives]:
        """Return the most probable tokens at each position of given translations.

        They are the model's own, whatever the options of a search: unknown words and banned ones
        may be among them.

        Args:
            sources: source ids, each with its EOS.
            targets: target ids, each with its EOS.
            count: how many tokens, best first.

        Raises:
            ConfigError: if the engine does not have them.
        """

    def next_log_probs(self, src: list[int], prefix: list[int]) -> LogProbs:
        """Return the log-probabilities of all tokens after a prefix, float32 [V].

        They are the model's own; options of the search do not change them.

        Args:
            src: source ids, with EOS.
            prefix: target ids, without BOS; fewer than `max_positions`.

        Raises:
            FileError: if the model's probabilities are not finite.
        """


def never_output(tokenizer: Tokenizer) -> list[int]:
    """Return the target tokens that no translation contains: padding, BOS, unknown and tags."""
    tags = tokenizer.control_symbols.values()
    return [tokenizer.pad_id, tokenizer.bos_id, tokenizer.unk_id, *tags]


def output_limits(
    sources: Sequence[list[int]],
    prefixes: Sequence[list[int]],
    options: SearchOptions,
    max_positions: int,
    tokenizer: Tokenizer,
) -> list[int]:
    """Return the largest number of tokens of each translation, EOS included.

    Terms behind a source and the context in front do not count.

    Args:
        sources: source ids, each with its EOS.
        prefixes: target ids of each; a limit leaves room for them and EOS.
        options: search options.
        max_positions: the engine's.
        tokenizer: of the source side.
    """
    limits = []
    for ids, prefix in zip(sources, prefixes, strict=True):
        shortest = 1 + max(options.min_length, len(prefix))
        longest = sentence_length(ids, tokenizer) + options.max_extra_len
        limits.append(min(max(longest, shortest), max_positions))
    return limits


def sentence_length(src_ids: Sequence[int], tokenizer: Tokenizer) -> int:
    """Return the number of tokens of a source without its context and terms.

    Args:
        src_ids: with tags and EOS, which count.
        tokenizer: of the source side.
    """
    start, end = span_of_context(src_ids, tokenizer)
    return num_without_terms(src_ids, tokenizer) - (end - start)


def check_lengths(options: SearchOptions, engine: Engine) -> None:
    """Check that translations can be as long as `min_length` requires.

    Raises:
        ConfigError: if they cannot.
    """
    if options.min_length >= engine.max_positions:
        raise ConfigError(
            f"`min_length` is {options.min_length}, but the model has positions for "
            f"{engine.max_positions} tokens, EOS included"
        )
    tokenizer = engine.models[0].tokenizers.tgt
    num_tokens = tokenizer.vocab_size - len({*never_output(tokenizer), tokenizer.eos_id})
    if options.no_repeat_ngram_size and options.min_length > num_tokens:
        raise ConfigError(
            f"`min_length` {options.min_length} with `no_repeat_ngram_size`: the vocabulary has "
            f"only {num_tokens} tokens, and a translation might run out of those it may repeat"
        )


def check_positions(lengths: Sequence[int], first_line: int, limit: int) -> None:
    """Check that a model has enough positions for the sentences on consecutive lines.

    Args:
        lengths: number of tokens of each line.
        first_line: number of the first line.
        limit: number of positions.

    Raises:
        DataError: if a line has more tokens.
    """
    for number, length in enumerate(lengths, first_line):
        if length > limit:
            raise DataError(
                f"line {number}: {length} tokens, but the model has only {limit} positions"
            )


def free_scores(scores: list[float], prefix: Sequence[object], num_tokens: int) -> list[float]:
    """Return the scores of the tokens of a hypothesis, where those of its prefix count as 0.

    Args:
        scores: of the hypothesis with EOS.
        prefix: the tokens that were forced.
        num_tokens: tokens of the hypothesis, which the limit may have cut off before EOS.
    """
    return [0.0] * len(prefix) + scores[len(prefix) : num_tokens]


def not_finite(model: Model) -> FileError:
    """Return the error about a model that computes NaN or infinity."""
    return FileError(
        f"{model.weights}: the model's probabilities are not finite: "
        "its weights are broken, or too large for the type it computes in"
    )
