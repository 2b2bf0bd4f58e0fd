"""Word alignment from encoder-decoder attention.

One forced pass over a sentence pair gives the attention of each target token to each source
token. Each target word is linked to the source word that its tokens, on average, attend to most.
So a target word has one link; a source word may have any number of links, or none.

Words are separated by white space, and punctuation at either end of a word is a separate word:
`"No," it's 3.5.` has the words `"`, `No`, `,"`, `it's`, `3.5` and `.`.
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
from nmt.translate.torch_engine import padded

NO_WORD = -1
_PAIRS_PER_BATCH = 64

Links = list[tuple[int, int]]
"""Pairs of source and target word number, from 0."""

_CHUNK = re.compile(r"\S+")


class Aligner:
    """Aligns the words of sources and translations.

    Args:
        models: one model, or the models of an ensemble, whose attention is averaged.
        layer: number of the decoder layer, from 1. Default: the last layer, which has by far the
            lowest alignment error on the built-in phrasebook (`nmt alignment-error`).

    Raises:
        ConfigError: if a model is not a Transformer, or has no such layer.
    """

    def __init__(self, models: Sequence[TrainedModel], layer: int | None = None) -> None:
        self._tokenizers = models[0].tokenizers
        self._lock = threading.Lock()
        self._layer_index = -1 if layer is None else layer - 1
        self._networks = [model.transformer("word alignment (`alignments`)") for model in models]
        for model, network in zip(models, self._networks, strict=True):
            depth = len(network.decoder_layers)
            if layer is not None and not 1 <= layer <= depth:
                raise ConfigError(
                    f"{model.weights}: `layer` is {layer}, but the decoder has {depth} layers"
                )

    @torch.inference_mode()
    def weights(self, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> list[Tensor]:
        """Return the attention of target tokens to source tokens, averaged over the heads.

        Args:
            sources: source ids, EOS included.
            targets: target ids, EOS excluded, one row per source.

        Returns:
            A float32 tensor [target tokens, source tokens] on the CPU per pair. Row t belongs to
            the position that predicts token t.
        """
        src, tgt = self._tokenizers
        device = next(self._networks[0].parameters()).device
        src_BS = padded(sources, src.pad_id).to(device)
        tgt_in_BT = padded([[tgt.bos_id, *ids[:-1]] for ids in targets], tgt.pad_id).to(device)
        weights_of_models = []
        for network in self._networks:
            attention = network.decoder_layers[self._layer_index].cross_attention
            # recorded_weights would record the calls of other threads too.
            with self._lock, recorded_weights([attention]) as weights:
                network.decode(tgt_in_BT, *network.encode(src_BS))
            [weights_BHTS] = weights
            weights_of_models.append(weights_BHTS.float().mean(1))
        weights_BTS = torch.stack(weights_of_models).mean(0).cpu()
        lengths = [(len(ids), len(source)) for ids, source in zip(targets, sources, strict=True)]
        return [weights_TS[:t, :s] for weights_TS, (t, s) in zip(weights_BTS, lengths, strict=True)]

    def align(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Links]:
        """Align given sentence pairs.

        Args:
            pairs: source and target text.

        Yields:
            The links of each pair.
        """
        src, tgt = self._tokenizers
        for start in range(0, len(pairs), _PAIRS_PER_BATCH):
            sources, targets = zip(*pairs[start : start + _PAIRS_PER_BATCH], strict=True)
            src_tokens, tgt_tokens = [*map(src.tokens, sources)], [*map(tgt.tokens, targets)]
            weights = self.weights(
                [[*(token.id for token in row), src.eos_id] for row in src_tokens],
                [[token.id for token in row] for row in tgt_tokens],
            )
            src_words = map(word_numbers, sources, src_tokens)
            tgt_words = map(word_numbers, targets, tgt_tokens)
            yield from map(link_words, weights, src_words, tgt_words)


def split_words(text: str) -> list[str]:
    """Split a text into the words that links refer to.

    Words are separated by white space. A run of punctuation (Unicode categories P*) at either end
    of a word is a separate word; punctuation inside a word does not split it.
    """
    return [text[start:end] for start, end in _word_spans(text)]


def _word_spans(text: str) -> list[tuple[int, int]]:
    spans = []
    for chunk in _CHUNK.finditer(text):
        start, end = chunk.span()
        first, last = start, end  # the span without punctuation
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
    """Return the word number of each token of a text (see `split_words`), or NO_WORD.

    A token that covers several words belongs to the first; the others may have no token.
    """
    ends = [end for _, end in _word_spans(text)]
    numbers = [bisect_right(ends, token.start) for token in tokens]
    return [number if number < len(ends) else NO_WORD for number in numbers]


def link_words(weights_TS: Tensor, src_words: Sequence[int], tgt_words: Sequence[int]) -> Links:
    """Link each target word to the source word that it attends to most.

    Args:
        weights_TS: attention of target tokens to source tokens.
        src_words: word number of each source token. Further source tokens (EOS) belong to no
            word.
        tgt_words: word number of each target token.

    Returns:
        One link per target word, sorted. With equal weights, the first source word is chosen.
    """
    sources, targets = ([n for n in numbers if n != NO_WORD] for numbers in (src_words, tgt_words))
    if not sources or not targets:
        return []
    in_word_S = [place for place, number in enumerate(src_words) if number != NO_WORD]
    in_word_T = [place for place, number in enumerate(tgt_words) if number != NO_WORD]
    summed_TW = torch.zeros(len(in_word_T), max(sources) + 1)
    summed_TW.index_add_(1, torch.tensor(sources), weights_TS[in_word_T][:, in_word_S])
    # Sums over the tokens of a target word have the same maximum as means.
    summed_VW = torch.zeros(max(targets) + 1, max(sources) + 1)
    summed_VW.index_add_(0, torch.tensor(targets), summed_TW)
    best_V = summed_VW.argmax(1).tolist()
    return sorted((best_V[word], word) for word in set(targets))


def format_pharaoh(links: Links) -> str:
    """Return links in Pharaoh format: `0-0 1-2`, source word first."""
    return " ".join(f"{src}-{tgt}" for src, tgt in links)


def parse_pharaoh(text: str) -> Links:
    """Parse links in Pharaoh format.

    Raises:
        ValueError: if the text is not in that format.
    """
    links = (link.split("-") for link in text.split())
    return [(int(src), int(tgt)) for src, tgt in links]
