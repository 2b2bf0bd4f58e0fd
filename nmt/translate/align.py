"""Word alignment from encoder-decoder attention.

One forced pass over a sentence pair gives the attention of each target token to each source
token. Each target word is linked to the source word that its tokens, on average, attend to most.
So a target word has one link; a source word may have any number of links, or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from nmt.config.languages import LanguagePair
from nmt.data.tags import Tagger
from nmt.errors import ConfigError
from nmt.model.observe import recorded_weights
from nmt.runs.model import TrainedModel
from nmt.translate.torch_engine import padded
from nmt.translate.words import NO_WORD, Links, Weights, link_words, word_numbers

_PAIRS_PER_BATCH = 64


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
        self._tagger = Tagger(models[0].config.data, self._tokenizers.src)
        self._layer_index = -1 if layer is None else layer - 1
        self._networks = [model.transformer("word alignment (`alignments`)") for model in models]
        for model, network in zip(models, self._networks, strict=True):
            depth = len(network.decoder_layers)
            if layer is not None and not 1 <= layer <= depth:
                raise ConfigError(
                    f"{model.weights}: `layer` is {layer}, but the decoder has {depth} layers"
                )

    @torch.inference_mode()
    def weights(self, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> list[Weights]:
        """Return the attention of target tokens to source tokens, averaged over the heads.

        Args:
            sources: source ids, EOS included.
            targets: target ids, EOS excluded, one row per source.

        Returns:
            The weights of each pair. Row t belongs to the position that predicts token t.
        """
        src, tgt = self._tokenizers
        device = next(self._networks[0].parameters()).device
        src_BS = padded(sources, src.pad_id).to(device)
        tgt_in_BT = padded([[tgt.bos_id, *ids[:-1]] for ids in targets], tgt.pad_id).to(device)
        weights_of_models = []
        for network in self._networks:
            attention = network.decoder_layers[self._layer_index].cross_attention
            with recorded_weights([attention]) as weights:
                network.decode(tgt_in_BT, *network.encode(src_BS))
            [weights_BHTS] = weights
            weights_of_models.append(weights_BHTS.float().mean(1))
        weights_BTS = torch.stack(weights_of_models).mean(0).cpu().numpy()
        lengths = [(len(ids), len(source)) for ids, source in zip(targets, sources, strict=True)]
        return [weights_TS[:t, :s] for weights_TS, (t, s) in zip(weights_BTS, lengths, strict=True)]

    def align(
        self, pairs: Sequence[tuple[str, str]], languages: LanguagePair | None = None
    ) -> Iterator[Links]:
        """Align given sentence pairs.

        Args:
            pairs: source and target text.
            languages: of the pairs, which a model with tags is told; by default the model's.

        Yields:
            The links of each pair.

        Raises:
            ConfigError: if the model does not know a language.
        """
        src, tgt = self._tokenizers
        tags = self._tagger.ids(languages or self._tagger.default)
        for start in range(0, len(pairs), _PAIRS_PER_BATCH):
            sources, targets = zip(*pairs[start : start + _PAIRS_PER_BATCH], strict=True)
            src_tokens, tgt_tokens = [*map(src.tokens, sources)], [*map(tgt.tokens, targets)]
            weights = self.weights(
                [[*tags, *(token.id for token in row), src.eos_id] for row in src_tokens],
                [[token.id for token in row] for row in tgt_tokens],
            )
            no_words = [NO_WORD] * len(tags)
            src_words = [no_words + row for row in map(word_numbers, sources, src_tokens)]
            tgt_words = map(word_numbers, targets, tgt_tokens)
            yield from map(link_words, weights, src_words, tgt_words)
