"""Word alignment from encoder-decoder attention.

One forced pass over a sentence pair gives the attention of each target token to each source
token: in the last layer, averaged over the heads, or in the head that `train.guided_alignment`
taught. Each target word is linked to the source word that its tokens, on average, attend to most.
So a target word has one link; a source word may have any number of links, or none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nmt.config.guided_alignment import GuidedAlignmentConfig, guided_layer
from nmt.config.languages import LanguagePair
from nmt.data.lines import check_text
from nmt.data.tags import Tagger
from nmt.errors import ConfigError
from nmt.model.observe import recorded_weights
from nmt.model.transformer import Transformer
from nmt.runs.model import TrainedModel
from nmt.translate.engine import check_positions
from nmt.translate.torch_engine import padded
from nmt.translate.words import NO_WORD, Links, Weights, link_words, word_numbers

_PAIRS_PER_BATCH = 64


class Aligner:
    """Aligns the words of sources and translations.

    Args:
        models: one model, or the models of an ensemble, whose attention is averaged.
        layer: number of the decoder layer, from 1, whose heads are averaged. Default: the head that
            was taught alignment, if there is one; else the last layer, which has by far the lowest
            alignment error on the built-in phrasebook (`nmt alignment-error`).

    Raises:
        ConfigError: if a model is not a Transformer, or has no such layer.
    """

    def __init__(self, models: Sequence[TrainedModel], layer: int | None = None) -> None:
        self._tokenizers = models[0].tokenizers
        self._tagger = Tagger(models[0].config.data, self._tokenizers.src)
        self._layer = layer
        self._guided = [model.config.train.guided_alignment for model in models]
        self._networks = [model.transformer("word alignment (`alignments`)") for model in models]
        for model, network in zip(models, self._networks, strict=True):
            depth = len(network.decoder_layers)
            if layer is not None and not 1 <= layer <= depth:
                raise ConfigError(
                    f"{model.weights}: `layer` is {layer}, but the decoder has {depth} layers"
                )

    @torch.inference_mode()
    def weights(self, sources: Sequence[list[int]], targets: Sequence[list[int]]) -> list[Weights]:
        """Return the attention of target tokens to source tokens.

        Args:
            sources: source ids, EOS included.
            targets: target ids, EOS excluded, one row per source.

        Returns:
            The weights of each pair. Row t belongs to the position that predicts token t or, if the
            head was taught alignment, to the one that reads it.
        """
        src, tgt = self._tokenizers
        device = next(self._networks[0].parameters()).device
        src_BS = padded(sources, src.pad_id).to(device)
        # The positions that predict the tokens, and the one that reads the last of them.
        tgt_in_BU = padded([[tgt.bos_id, *ids] for ids in targets], tgt.pad_id).to(device)
        weights_of_models = [
            self._weights_of(network, guided, src_BS, tgt_in_BU)
            for network, guided in zip(self._networks, self._guided, strict=True)
        ]
        weights_BTS = torch.stack(weights_of_models).mean(0).cpu().numpy()
        lengths = [(len(ids), len(source)) for ids, source in zip(targets, sources, strict=True)]
        return [weights_TS[:t, :s] for weights_TS, (t, s) in zip(weights_BTS, lengths, strict=True)]

    def _weights_of(
        self,
        network: Transformer,
        guided: GuidedAlignmentConfig | None,
        src_BS: Tensor,
        tgt_in_BU: Tensor,
    ) -> Tensor:
        """Return the weights [B, T, S] of one model."""
        layers = network.decoder_layers
        index = -1 if self._layer is None else self._layer - 1
        if guided and self._layer is None:
            index = guided_layer(guided, len(layers))
            fitting_BU = tgt_in_BU[:, : network.max_length]
        else:
            guided, fitting_BU = None, tgt_in_BU[:, : max(1, tgt_in_BU.shape[1] - 1)]
        with recorded_weights([layers[index].cross_attention]) as weights:
            network.decode(fitting_BU, *network.encode(src_BS))
        [weights_BHUS] = weights
        if guided is None:
            return weights_BHUS.float().mean(1)
        # No position reads the last token of a translation that fills all learned positions.
        weights_BUS = weights_BHUS[:, 0].float()
        missing = tgt_in_BU.shape[1] - fitting_BU.shape[1]
        return torch.cat([weights_BUS[:, 1:], *[weights_BUS[:, -1:]] * missing], dim=1)

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
            DataError: if a pair is not valid text, or has more tokens than the model has positions.
        """
        for number, texts in enumerate(pairs, 1):
            for text in texts:
                check_text(text, f"line {number}")
        src, tgt = self._tokenizers
        tags = self._tagger.ids(languages or self._tagger.default)
        limit = min(network.max_length or sys.maxsize for network in self._networks)
        for start in range(0, len(pairs), _PAIRS_PER_BATCH):
            sources, targets = zip(*pairs[start : start + _PAIRS_PER_BATCH], strict=True)
            src_tokens, tgt_tokens = [*map(src.tokens, sources)], [*map(tgt.tokens, targets)]
            src_ids = [[*tags, *(token.id for token in row), src.eos_id] for row in src_tokens]
            tgt_ids = [[token.id for token in row] for row in tgt_tokens]
            lengths = [max(map(len, pair)) for pair in zip(src_ids, tgt_ids, strict=True)]
            check_positions(lengths, start + 1, limit)
            weights = self.weights(src_ids, tgt_ids)
            no_words = [NO_WORD] * len(tags)
            src_words = [no_words + row for row in map(word_numbers, sources, src_tokens)]
            tgt_words = map(word_numbers, targets, tgt_tokens)
            yield from map(link_words, weights, src_words, tgt_words)
