"""Word alignment from encoder-decoder attention.

The attention of one forced pass over a pair of sentences says how much each target token takes
of each source token. A target word is linked to the source word of which its tokens, on average,
take most; so it has one link, and a source word may have any number, or none.

Words are what white space separates, but punctuation at the beginning or end of such a word is a
word of its own: `"No," it's 3.5.` has the words `"`, `No`, `,"`, `it's`, `3.5` and `.`.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nmt.data.tokenizer import Token
from nmt.errors import ConfigError
from nmt.model.observe import recorded_weights
from nmt.runs.model import TrainedModel
from nmt.translate.engine import padded

NO_WORD = -1
_PAIRS_AT_ONCE = 64

Links = list[tuple[int, int]]
"""Numbers, from 0, of a source word and of a target word that translate each other."""

_CHUNK = re.compile(r"\S+")


class Aligner:
    """Tells which words of a source and its translation belong together.

    Args:
        models: one, or those of an ensemble, whose attention is averaged.
        layer: number of the decoder layer, from 1. Without it, the last: of the layers of a model
            of the built-in phrasebook it is by far the best (`scripts/alignment-error`).

    Raises:
        ConfigError: a model is no Transformer, or has no such layer.
    """

    def __init__(self, models: Sequence[TrainedModel], layer: int | None = None) -> None:
        self._tokenizers = models[0].tokenizers
        self._lock = threading.Lock()
        self._place = -1 if layer is None else layer - 1
        self._networks = [model.transformer("word alignment (--alignments)") for model in models]
        for model, network in zip(models, self._networks, strict=True):
            depth = len(network.decoder_layers)
            if layer is not None and not 1 <= layer <= depth:
                raise ConfigError(f"{model.weights}: no layer {layer}: the decoder has {depth}")

    @torch.inference_mode()
    def weights(self, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> list[Tensor]:
        """Give the attention of target tokens to source tokens, averaged over the heads.

        Args:
            sources: source ids, each with its end mark.
            targets: target ids, a row for each source, without end marks.

        Returns:
            For each pair float32 on the CPU [target tokens, source tokens]; row t is of the
            position that writes token t.
        """
        src, tgt = self._tokenizers
        device = next(self._networks[0].parameters()).device
        src_BS = padded(sources, src.pad_id).to(device)
        tgt_in_BT = padded([[tgt.bos_id, *ids[:-1]] for ids in targets], tgt.pad_id).to(device)
        found = []
        for network in self._networks:
            attention = network.decoder_layers[self._place].cross_attention
            # Who observes an attention sees what it does in other threads too.
            with self._lock, recorded_weights([attention]) as weights:
                network.decode(tgt_in_BT, *network.encode(src_BS))
            [weights_BHTS] = weights
            found.append(weights_BHTS.float().mean(1))
        weights_BTS = torch.stack(found).mean(0).cpu()
        lengths = [(len(ids), len(source)) for ids, source in zip(targets, sources, strict=True)]
        return [weights_TS[:t, :s] for weights_TS, (t, s) in zip(weights_BTS, lengths, strict=True)]

    def align(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Links]:
        """Align given sentences and translations, whatever the model thinks of them.

        Args:
            pairs: source and target text.
        """
        src, tgt = self._tokenizers
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            sources, targets = zip(*pairs[start : start + _PAIRS_AT_ONCE], strict=True)
            src_tokens, tgt_tokens = [*map(src.tokens, sources)], [*map(tgt.tokens, targets)]
            weights = self.weights(
                [[*(token.id for token in row), src.eos_id] for row in src_tokens],
                [[token.id for token in row] for row in tgt_tokens],
            )
            src_words = map(word_numbers, sources, src_tokens)
            tgt_words = map(word_numbers, targets, tgt_tokens)
            yield from map(link_words, weights, src_words, tgt_words)


def split_words(text: str) -> list[str]:
    """Return the words that links count: split at white space, and at punctuation on its edges.

    A run of punctuation (Unicode's categories P*) at the beginning or end of what white space
    separates is one word. Punctuation within a word does not divide it.
    """
    return [text[start:end] for start, end in _word_spans(text)]


def _word_spans(text: str) -> list[tuple[int, int]]:
    spans = []
    for chunk in _CHUNK.finditer(text):
        start, end = chunk.span()
        first, last = start, end  # of the chunk without its punctuation
        while first < end and _is_punctuation(text[first]):
            first += 1
        while last > first and _is_punctuation(text[last - 1]):
            last -= 1
        parts = [(start, first), (first, last), (last, end)]
        spans += [(begin, stop) for begin, stop in parts if begin < stop]
    return spans


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


def word_numbers(text: str, tokens: Sequence[Token]) -> list[int]:
    """Return for each token of a text the number of its word (see `split_words`), or NO_WORD.

    A token that covers several words belongs to the first, and the others may have none.
    """
    ends = [end for _, end in _word_spans(text)]
    numbers = [bisect_right(ends, token.start) for token in tokens]
    return [number if number < len(ends) else NO_WORD for number in numbers]


def link_words(weights_TS: Tensor, src_words: Sequence[int], tgt_words: Sequence[int]) -> Links:
    """Link each target word to the source word that it attends to most.

    Args:
        weights_TS: of target tokens to source tokens.
        src_words: the number of the word of each source token; those beyond, such as the end
            mark, are of no word.
        tgt_words: of each target token.

    Returns:
        A link for each target word, sorted. Of equal weights the first source word's counts.
    """
    sources, targets = ([n for n in numbers if n != NO_WORD] for numbers in (src_words, tgt_words))
    if not sources or not targets:
        return []
    known_S = [place for place, number in enumerate(src_words) if number != NO_WORD]
    known_T = [place for place, number in enumerate(tgt_words) if number != NO_WORD]
    summed_TW = torch.zeros(len(known_T), max(sources) + 1)
    summed_TW.index_add_(1, torch.tensor(sources), weights_TS[known_T][:, known_S])
    # A sum in place of the mean over a word's tokens: the largest is the same.
    summed_VW = torch.zeros(max(targets) + 1, max(sources) + 1)
    summed_VW.index_add_(0, torch.tensor(targets), summed_TW)
    best_V = summed_VW.argmax(1).tolist()
    return sorted((best_V[word], word) for word in set(targets))


def pharaoh(links: Links) -> str:
    """Write links as `0-0 1-2`: source word, target word."""
    return " ".join(f"{src}-{tgt}" for src, tgt in links)


def parse_pharaoh(text: str) -> Links:
    """Read what `pharaoh` writes.

    Raises:
        ValueError: it is something else.
    """
    links = (link.split("-") for link in text.split())
    return [(int(src), int(tgt)) for src, tgt in links]
