"""The likeliest next words after the beginning of a translation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nmt.config.search import SearchOptions
from nmt.data.pieces import SPACE
from nmt.data.tokenizer import Tokenizer
from nmt.errors import ConfigError
from nmt.search.hypothesis import Hypothesis, normalized_score
from nmt.translate.engine import never_output
from nmt.translate.source import Source
from nmt.translate.translator import Translator
from nmt.translate.words import word_at

_MOST_WORDS = 100
# Several tokens may begin the same word, and a likely token may begin an unlikely one.
_TOKENS_PER_WORD = 2


@dataclass(frozen=True)
class Alternative:
    """A word that may come next, and a translation that continues with it."""

    word: str
    """The word, as in `nmt.translate.words.split_words`; empty if the translation ends here."""
    probability: float
    """Of the word's tokens after the prefix, given the prefix; for the end, that of EOS. If the
    search finds several tokenizations of the word, their sum."""
    text: str
    """The best translation found that begins with the prefix and the word."""
    start: int
    """Index in `text` of the word's first character. It lies within the prefix if the word
    continues the last one of the prefix."""


class _Start(NamedTuple):
    """The prefix and likely next tokens, which a search then forces."""

    ids: list[int]
    """The tokens of the prefix, then one or two more."""
    log_prob: float
    """Log-probability of the tokens after the prefix."""


class _Reading(NamedTuple):
    """The next word of one hypothesis."""

    alternative: Alternative
    score: float
    """Of the hypothesis, normalized by length."""


def next_words(translator: Translator, src: str, prefix: str, num: int) -> list[Alternative]:
    """Return the likeliest words after a prefix of a translation.

    One step of the model gives the likeliest next tokens. One batched search then completes each of
    them to a translation, with the prefix and the token forced. Of the words that begin with the
    same token, only the one in the best translation is found.

    Args:
        translator: with the options of the search; `nbest` has no effect.
        src: the source line.
        prefix: the beginning of its translation. If it ends with white space, a new word begins.
            Otherwise the next token may continue its last word. The prefix is tokenized by itself.
        num: the largest number of words.

    Returns:
        The words, the likeliest first; the end of the translation counts as one. None if the line
        is blank.

    Raises:
        ConfigError: if `num` is out of range, or the options include sampling or trees.
        DataError: if the line is too long for one search, or the prefix cannot be used.
    """
    options = _checked(translator.options, num)
    begun = prefix.rstrip()
    src_ids, prefix_ids = translator.encoded(Source(src, begun))
    if not src_ids:
        return []
    eos_id = translator.engine.models[0].tokenizers.tgt.eos_id
    new_word = bool(begun) and begun != prefix
    starts = _starts(translator, src_ids, prefix_ids, new_word, num * _TOKENS_PER_WORD)
    going_on = [start for start in starts if start.ids[-1] != eos_id]
    found = _search(translator, src_ids, going_on, options) if going_on else []
    tokenizer = translator.engine.models[0].tokenizers.tgt
    readings = [_ending(tokenizer, start) for start in starts if start.ids[-1] == eos_id]
    for start, hypothesis in zip(going_on, found, strict=True):
        text = tokenizer.decode([hypothesis.ids])[0]
        reading = _reading(tokenizer, start, hypothesis, text, len(prefix_ids), options)
        readings += [reading] if reading else []
    # The search does not check forced tokens for banned words.
    return [each for each in _merged(readings) if each.word not in options.banned][:num]


def _checked(options: SearchOptions, num: int) -> SearchOptions:
    if not 1 <= num <= _MOST_WORDS:
        raise ConfigError(f"`num` is {num}: it must be from 1 to {_MOST_WORDS}")
    if options.samples:
        raise ConfigError(
            "alternatives are searched for, not sampled: leave out `temperature`, `top_k`, `top_p`"
        )
    if options.trees:
        raise ConfigError("alternatives cannot be combined with decode.trees")
    return options.model_copy(update={"nbest": 1})


def _starts(
    translator: Translator, src_ids: list[int], prefix: list[int], new_word: bool, count: int
) -> list[_Start]:
    """Return the likeliest tokens after a prefix, best first."""
    tokenizer = translator.engine.models[0].tokenizers.tgt

    def begins_word(token: int) -> bool:
        return tokenizer.pieces([token])[0].startswith(SPACE)

    def fits(token: int) -> bool:
        return not new_word or token == tokenizer.eos_id or begins_word(token)

    def fits_after_space(token: int) -> bool:
        return token != tokenizer.eos_id and not begins_word(token)

    starts = [*itertools.islice(_next(translator, src_ids, prefix, fits), count)]
    # A space that is a token by itself may begin any word, so the token after it matters, too.
    for space in [each for each in starts if tokenizer.pieces(each.ids[-1:]) == [SPACE]]:
        starts.remove(space)
        after = _next(translator, src_ids, space.ids, fits_after_space)
        starts += [
            _Start(ids, space.log_prob + log_prob)
            for ids, log_prob in itertools.islice(after, count)
        ]
    limit = translator.engine.max_positions
    starts = [each for each in starts if len(each.ids) < limit or each.ids[-1] == tokenizer.eos_id]
    return sorted(starts, key=lambda start: -start.log_prob)[:count]


def _next(
    translator: Translator, src_ids: list[int], prefix: list[int], fits: Callable[[int], bool]
) -> Iterator[_Start]:
    """Yield a prefix with each next token that the search allows and that fits, best first."""
    engine, min_length = translator.engine, translator.options.min_length
    if len(prefix) >= engine.max_positions:
        return
    tokenizer = engine.models[0].tokenizers.tgt
    excluded = {*never_output(tokenizer), *([tokenizer.eos_id] if len(prefix) < min_length else [])}
    log_probs_V = engine.next_log_probs(src_ids, prefix)
    for token in (-log_probs_V).argsort(kind="stable").tolist():
        if token not in excluded and math.isfinite(log_probs_V[token]) and fits(token):
            yield _Start([*prefix, token], float(log_probs_V[token]))


def _search(
    translator: Translator, src_ids: list[int], starts: Sequence[_Start], options: SearchOptions
) -> list[Hypothesis]:
    """Return the best hypothesis that begins with each start."""
    found = translator.engine.search(
        [src_ids] * len(starts),
        [""] * len(starts),
        options,
        prefixes=[start.ids for start in starts],
        token_scores=True,
    )
    return [hypotheses[0] for hypotheses in found]


def _ending(tokenizer: Tokenizer, start: _Start) -> _Reading:
    """Return the reading of a start that ends with EOS."""
    [text] = tokenizer.decode([start.ids[:-1]])
    return _Reading(Alternative("", math.exp(min(start.log_prob, 0.0)), text, len(text)), 0.0)


def _reading(
    tokenizer: Tokenizer,
    start: _Start,
    hypothesis: Hypothesis,
    text: str,
    num_forced: int,
    options: SearchOptions,
) -> _Reading | None:
    """Return the word of a hypothesis after the prefix; None if there is none.

    Args:
        tokenizer: of the target.
        start: what the hypothesis begins with.
        hypothesis: the best one with this beginning, with the log-probabilities of its tokens.
        text: the text of the hypothesis.
        num_forced: number of tokens of the prefix.
        options: options of the search.
    """
    tokens = tokenizer.decoded_tokens(hypothesis.ids)
    place = tokens[num_forced].start
    place += len(text[place:]) - len(text[place:].lstrip())
    span = word_at(text, place)
    if span is None:
        return None
    rest = range(len(start.ids), len(tokens))
    in_word = [hypothesis.token_log_probs[i] for i in rest if tokens[i].start < span[1]]
    probability = math.exp(min(start.log_prob + sum(in_word), 0.0))
    log_prob = start.log_prob + sum(hypothesis.token_log_probs[len(start.ids) :])
    score = normalized_score(log_prob, hypothesis.num_tokens, options.length_penalty)
    return _Reading(Alternative(text[slice(*span)], probability, text, span[0]), score)


def _merged(readings: Sequence[_Reading]) -> list[Alternative]:
    """Return each word once, the likeliest first, with its best translation."""
    words: dict[tuple[int, str], list[_Reading]] = {}
    for reading in readings:
        word = (reading.alternative.start, reading.alternative.word)
        words.setdefault(word, []).append(reading)
    merged = []
    for group in words.values():
        best = max(group, key=lambda reading: reading.score).alternative
        total = sum(reading.alternative.probability for reading in group)
        merged.append(Alternative(best.word, min(total, 1.0), best.text, best.start))
    return sorted(merged, key=lambda each: -each.probability)
