"""Training on changed tokens: word dropout and word replacement."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nmt.config.regularisation import TokenRates
from nmt.config.train import TrainConfig
from nmt.data.batching import Batch
from nmt.data.tokenizer import Tokenizer, Tokenizers


class TokenNoise:
    """Changes random tokens of the source and of the decoder's input; the labels stay the same.

    Word dropout turns tokens into the unknown token. Word replacement draws other tokens uniformly
    from the vocabulary of their side, as SwitchOut does (Wang et al. 2018), except that SwitchOut
    first draws how many tokens of a sentence to replace. Special tokens and control symbols, such
    as padding, BOS, EOS and tags, never change.

    Args:
        config: the section `train`.
        tokenizers: of the training run.
        device: device of the batches.
    """

    def __init__(self, config: TrainConfig, tokenizers: Tokenizers, device: torch.device) -> None:
        none = TokenRates.model_construct(src=0.0, tgt=0.0)  # not validated: it changes nothing
        dropout, replacement = config.word_dropout or none, config.word_replacement or none
        self._src = _SideNoise(tokenizers.src, dropout.src, replacement.src, device)
        self._tgt = _SideNoise(tokenizers.tgt, dropout.tgt, replacement.tgt, device)

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with some tokens changed, by torch's random generator of the device."""
        return replace(batch, src_BS=self._src(batch.src_BS), tgt_in_BT=self._tgt(batch.tgt_in_BT))


class _SideNoise:
    """The noise of one side.

    Args:
        tokenizer: of the side.
        dropout: probability that a token becomes unknown.
        replacement: probability that a token is replaced, if dropout spares it.
        device: device of the ids.
    """

    def __init__(
        self, tokenizer: Tokenizer, dropout: float, replacement: float, device: torch.device
    ) -> None:
        self._unk_id, self._dropout, self._replacement = tokenizer.unk_id, dropout, replacement
        fixed = {*tokenizer.special_ids, *tokenizer.control_symbols.values()}
        ordinary = [i for i in range(tokenizer.vocab_size) if i not in fixed]
        self._ordinary_N = torch.tensor(ordinary).to(device)
        self._is_ordinary_V = torch.tensor(
            [i not in fixed for i in range(tokenizer.vocab_size)]
        ).to(device)

    def __call__(self, ids_BL: Tensor) -> Tensor:
        """Return int64 ids [B, L], some of them changed."""
        if not (self._dropout or self._replacement):
            return ids_BL
        ordinary_BL = self._is_ordinary_V[ids_BL]
        if self._replacement:
            places_BL = torch.randint_like(ids_BL, len(self._ordinary_N))
            others_BL = self._ordinary_N[places_BL]
            ids_BL = torch.where(
                ordinary_BL & _chosen(ids_BL, self._replacement), others_BL, ids_BL
            )
        if self._dropout:
            ids_BL = ids_BL.masked_fill(ordinary_BL & _chosen(ids_BL, self._dropout), self._unk_id)
        return ids_BL


def _chosen(ids_BL: Tensor, p: float) -> Tensor:
    """Return bool [B, L], True with probability p."""
    return torch.rand(ids_BL.shape, device=ids_BL.device) < p
