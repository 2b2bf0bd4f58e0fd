"""What each epoch draws again: changes of the text, segmentations, terms, context and noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nmt.config.augment import AugmentConfig
from nmt.config.data import DataConfig
from nmt.config.denoise import MASK
from nmt.config.schema import Config
from nmt.data.augment import TextPair, augmented
from nmt.data.context import span_of_context, with_less_context
from nmt.data.infilling import infilled
from nmt.data.prepared import Int64s, Prepared
from nmt.data.terms import behind_source, draw_terms
from nmt.data.tokenizer import Tokenizer, Tokenizers

Ids = Sequence[int] | npt.NDArray[np.int32]


class Seeds(NamedTuple):
    """A seed for each thing that is drawn. Another order would change every training run."""

    src_segmentation: int
    tgt_segmentation: int
    batches: int
    """For the order of the batches that the drawn pairs are cut into."""
    terms: int
    term_segmentation: int
    noise: int
    augment: int
    context: int

    @classmethod
    def of(cls, *entropy: int) -> Seeds:
        """Return the seeds that follow from some numbers, such as the epoch."""
        return cls(*np.random.SeedSequence(entropy).generate_state(len(cls._fields)).tolist())


def is_drawn(config: Config) -> bool:
    """Return whether the ids of pairs are drawn again in each epoch."""
    data, denoises = config.data, config.train.objective == "denoise"
    text = data.terms or data.augment or data.context
    return bool(config.tokenizer.sampling_alpha or text or denoises)


def drawn(
    prepared: Prepared,
    rows: Int64s,
    tokenizers: Tokenizers,
    config: Config,
    seeds: Seeds,
) -> tuple[list[Ids], list[Ids]]:
    """Return source and target ids of some rows, with all that is drawn.

    Args:
        prepared: the pairs.
        rows: the rows.
        tokenizers: of both sides.
        config: as in `nmt.data.batching.batches`, which also says what is drawn.
        seeds: the same seeds give the same ids.
    """
    (src_texts, tgt_texts), (src_ids, tgt_ids) = prepared.texts(rows), prepared.rows(rows)
    if size := config.data.context:
        src_ids = with_less_context(src_ids, size, tokenizers.src, seeds.context)
    src: list[Ids] = [*src_ids]
    tgt: list[Ids] = [*tgt_ids]
    if config.data.augment:
        pairs = [*zip(src_texts, tgt_texts, strict=True)]
        changes = _changes(prepared, rows, pairs, config.data, config.data.augment, seeds.augment)
        for place, pair, ids in _fitting(changes, src, tokenizers, config.data.max_length):
            src_texts[place], tgt_texts[place] = pair
            src[place], tgt[place] = ids
    if config.tokenizer.sampling_alpha:
        src = _sampled(tokenizers.src, src_texts, src, config, seeds.src_segmentation)
        tgt = _sampled(tokenizers.tgt, tgt_texts, tgt, config, seeds.tgt_segmentation)
    if config.data.terms:
        terms = draw_terms(tgt_texts, config.data.terms, seeds.terms)
        src = _with_terms(src, terms, tokenizers.src, config, seeds.term_segmentation)
    if config.train.objective == "denoise":
        src = _with_noise(src, tokenizers.src, config, seeds.noise)
    return src, tgt


def _changes(
    prepared: Prepared,
    rows: Int64s,
    pairs: Sequence[TextPair],
    data: DataConfig,
    settings: AugmentConfig,
    seed: int,
) -> dict[int, TextPair]:
    """Return the changed texts of `data.augment`, by their place in the rows."""
    following = prepared.following(rows) if settings.concatenate else [None] * len(pairs)
    languages = prepared.languages_of(rows, data)
    changed = augmented(pairs, following, languages, settings, seed)
    return {
        place: after
        for place, (before, after) in enumerate(zip(pairs, changed, strict=True))
        if after != before
    }


def _fitting(
    changes: dict[int, TextPair], plain: Sequence[Ids], tokenizers: Tokenizers, max_length: int
) -> Iterator[tuple[int, TextPair, tuple[Ids, Ids]]]:
    """Yield the place, the texts and the ids of changed pairs that are not too long.

    Args:
        changes: the texts by place.
        plain: source ids before the change, whose tags and context stay.
        tokenizers: of both sides.
        max_length: `data.max_length`.
    """
    src_texts, tgt_texts = zip(*changes.values(), strict=True) if changes else ((), ())
    src_rows, tgt_rows = tokenizers.src.encode(src_texts), tokenizers.tgt.encode(tgt_texts)
    openings = _openings([plain[place] for place in changes], tokenizers.src)
    rows = zip(changes.items(), openings, src_rows, tgt_rows, strict=True)
    for (place, pair), before, src, tgt in rows:
        src = [*before, *src]
        if max(len(src), len(tgt)) < max_length:
            yield place, pair, (src, tgt)


def _sampled(
    tokenizer: Tokenizer,
    texts: list[str],
    plain: Sequence[Ids],
    config: Config,
    seed: int,
) -> list[Ids]:
    """Sample the segmentation of texts; the tags and context that begin the plain ids stay."""
    settings = config.tokenizer
    sampled = tokenizer.sample(texts, settings.sampling_alpha, settings.sampling_nbest, seed)
    return _replaced(plain, _openings(plain, tokenizer), sampled, config)


def _with_terms(
    rows: Sequence[Ids], terms: Sequence[list[str]], tokenizer: Tokenizer, config: Config, seed: int
) -> list[Ids]:
    """Return source ids with the terms of each row appended; not where these would not fit."""
    settings = config.tokenizer
    texts = [text for row in terms for text in row]
    sampled = tokenizer.sample(texts, settings.sampling_alpha, settings.sampling_nbest, seed)
    ids = iter(sampled)
    made: list[Ids] = []
    for src_ids, row in zip(rows, terms, strict=True):
        more = behind_source([next(ids) for _ in row], tokenizer)
        fits = len(src_ids) + len(more) < config.data.max_length
        made.append([*map(int, src_ids), *more] if more and fits else src_ids)
    return made


def _with_noise(rows: Sequence[Ids], tokenizer: Tokenizer, config: Config, seed: int) -> list[Ids]:
    """Return source ids with noise behind their tags; not where symbols would not fit."""
    openings = _openings(rows, tokenizer)
    texts = [ids[len(before) :] for ids, before in zip(rows, openings, strict=True)]
    noisy = infilled(texts, config.train.denoise, tokenizer.control_symbols[MASK], seed)
    return _replaced(rows, openings, noisy, config)


def _openings(rows: Sequence[Ids], tokenizer: Tokenizer) -> list[list[int]]:
    """Return what begins each row: tags of languages and of a corpus, and context."""
    plain = [[*map(int, ids)] for ids in rows]
    return [ids[: span_of_context(ids, tokenizer)[1]] for ids in plain]


def _replaced(
    rows: Sequence[Ids], openings: Sequence[list[int]], texts: Sequence[list[int]], config: Config
) -> list[Ids]:
    """Return new texts behind their openings, or the old row where these would not fit."""
    return [
        [*before, *text] if len(before) + len(text) < config.data.max_length else ids
        for ids, before, text in zip(rows, openings, texts, strict=True)
    ]
