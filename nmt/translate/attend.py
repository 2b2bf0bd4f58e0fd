"""Attention weights of a model on a sentence pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from nmt.config.languages import LanguagePair
from nmt.config.search import search_options
from nmt.data.lines import check_text, replace_controls
from nmt.data.tags import Tagger
from nmt.data.tokenizer import Token, Tokenizer, Tokenizers
from nmt.errors import DataError
from nmt.model.observe import forced_attention
from nmt.model.transformer import Transformer
from nmt.runs.model import TrainedModel
from nmt.translate.torch_engine import Networks
from nmt.translate.words import NO_WORD, word_numbers

_DIGITS = 5

Weights = list[list[list[list[float]]]]
"""Indexed by layer, head, query and key; the weights of a query sum to 1."""


@dataclass(frozen=True)
class PairAttention:
    """The tokens of a sentence pair and the attention between them.

    At position t the decoder reads `tgt_in[t]` and predicts `tgt_out[t]`.

    Attributes:
        src, tgt: the sentences.
        src_tokens: tags and source pieces, followed by EOS.
        src_words: for each source token, the index of its word, from 0; -1 for tags and EOS.
        tgt_in, tgt_in_words: BOS, followed by the target pieces, and their words.
        tgt_out, tgt_out_words: target pieces, followed by EOS, and their words.
        encoder: encoder self-attention, from src_tokens to src_tokens.
        decoder: decoder self-attention, from target positions to tgt_in.
        cross: encoder-decoder attention, from target positions to src_tokens.
    """

    src: str
    tgt: str
    src_tokens: list[str]
    src_words: list[int]
    tgt_in: list[str]
    tgt_in_words: list[int]
    tgt_out: list[str]
    tgt_out_words: list[int]
    encoder: Weights
    decoder: Weights
    cross: Weights

    def to_json(self) -> str:
        """Return the pair as a JSON object on one line."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))


def pair_attention(
    model: TrainedModel, src: str, tgt: str | None = None, languages: LanguagePair | None = None
) -> PairAttention:
    """Return the attention of a model on a sentence pair.

    Args:
        model: a Transformer.
        src: source sentence.
        tgt: target sentence; by default, the model's own translation.
        languages: of the pair, which a model with tags is told; by default the model's.

    Raises:
        ConfigError: if the model is not a Transformer, or does not know a language.
        DataError: if src is empty, or a sentence is not valid text or has more tokens than the
            model has positions.
    """
    network = model.transformer("attention")
    check_text(src, "`src`")
    src = replace_controls(src)[0]
    src_tokens = model.tokenizers.src.tokens(src)
    if not src_tokens:
        raise DataError("`src`: contains no text")
    tagger = Tagger(model.config.data, model.tokenizers.src)
    tags = tagger.ids(languages or tagger.default)
    _check_length(model, "`src`", src_tokens, len(tags))
    if tgt is None:
        tgt_tokens = model.tokenizers.tgt.decoded_tokens(_search(model, tags, src_tokens))
        [tgt] = model.tokenizers.tgt.decode([[token.id for token in tgt_tokens]])
    else:
        check_text(tgt, "`tgt`")
        tgt = replace_controls(tgt)[0]
        tgt_tokens = model.tokenizers.tgt.tokens(tgt)
        _check_length(model, "`tgt`", tgt_tokens)
    return _observe(network, model.tokenizers, tags, src, src_tokens, tgt, tgt_tokens)


@torch.inference_mode()
def _observe(
    network: Transformer,
    tokenizers: Tokenizers,
    tags: list[int],
    src: str,
    src_tokens: Sequence[Token],
    tgt: str,
    tgt_tokens: Sequence[Token],
) -> PairAttention:
    src_ids = [*tags, *(token.id for token in src_tokens), tokenizers.src.eos_id]
    tgt_ids = [token.id for token in tgt_tokens]
    tgt_in = [tokenizers.tgt.bos_id, *tgt_ids]
    device = next(network.parameters()).device
    attention = forced_attention(
        network,
        torch.tensor([src_ids], device=device),
        torch.tensor([tgt_in], device=device),
    )
    src_words, tgt_words = word_numbers(src, src_tokens), word_numbers(tgt, tgt_tokens)
    return PairAttention(
        src=src,
        tgt=tgt,
        src_tokens=_texts(tokenizers.src, src_ids, src, src_tokens, first=len(tags)),
        src_words=[*([NO_WORD] * len(tags)), *src_words, NO_WORD],
        tgt_in=_texts(tokenizers.tgt, tgt_in, tgt, tgt_tokens, first=1),
        tgt_in_words=[NO_WORD, *tgt_words],
        tgt_out=_texts(tokenizers.tgt, [*tgt_ids, tokenizers.tgt.eos_id], tgt, tgt_tokens),
        tgt_out_words=[*tgt_words, NO_WORD],
        encoder=_to_lists(attention.encoder),
        decoder=_to_lists(attention.decoder),
        cross=_to_lists(attention.cross),
    )


def _search(model: TrainedModel, tags: list[int], src_tokens: Sequence[Token]) -> list[int]:
    ids = [*tags, *(token.id for token in src_tokens), model.tokenizers.src.eos_id]
    options = search_options(model.config.decode)
    [hypotheses] = Networks([model]).search([ids], [""], options)
    # If a hypothesis without EOS fills all positions, none is left for its last token as input.
    return hypotheses[0].ids[: (model.network.max_length or len(hypotheses[0].ids) + 1) - 1]


def _check_length(
    model: TrainedModel, name: str, tokens: Sequence[Token], num_tags: int = 0
) -> None:
    limit = model.network.max_length
    length = num_tags + len(tokens) + 1  # including EOS or BOS
    if limit is not None and length > limit:
        raise DataError(
            f"{name}: {length} tokens, but the model has only {limit} learned positions"
        )


def _texts(
    tokenizer: Tokenizer, ids: Sequence[int], text: str, tokens: Sequence[Token], first: int = 0
) -> list[str]:
    """Return the pieces of tokens, and the original text of unknown tokens.

    Args:
        tokenizer: tokenizer of the text.
        ids: token ids, with BOS or EOS.
        text: the sentence.
        tokens: tokens of the sentence, without BOS and EOS.
        first: index in ids of the first of tokens.
    """
    texts = tokenizer.pieces(ids)
    for index, token in enumerate(tokens, first):
        if token.id == tokenizer.unk_id:
            texts[index] = text[token.start : token.end] or texts[index]
    return texts


def _to_lists(layers: Sequence[Tensor]) -> Weights:
    """Return the rounded weights of the batch's only pair as nested lists."""
    return [
        [
            [[round(weight, _DIGITS) for weight in row] for row in head]
            for head in weights_BHLM[0].tolist()
        ]
        for weights_BHLM in layers
    ]
