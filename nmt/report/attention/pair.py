"""The attention of a model over one pair of sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from nmt.data.lines import replace_controls
from nmt.data.tokenizer import Token, Tokenizer, Tokenizers
from nmt.errors import DataError
from nmt.model.observe import forced_attention
from nmt.model.transformer import Transformer
from nmt.runs.model import TrainedModel
from nmt.translate.align import NO_WORD, word_numbers
from nmt.translate.engine import Networks, TranslateOptions

_DIGITS = 5

Weights = list[list[list[list[float]]]]
"""[layer, head, query, key], each row of keys with the sum 1."""


@dataclass(frozen=True)
class PairAttention:
    """Tokens of a pair of sentences, and how they attend to each other.

    Position t of the decoder reads `tgt_in[t]` and writes `tgt_out[t]`.

    Attributes:
        src, tgt: the sentences.
        src_tokens: the pieces of the source and its end mark.
        src_words: the number, from 0, of the word that each belongs to; -1 for marks.
        tgt_in, tgt_in_words: the begin mark and the pieces of the target, and their words.
        tgt_out, tgt_out_words: the pieces of the target and its end mark, and their words.
        encoder: self-attention of the source: src_tokens to src_tokens.
        decoder: self-attention of the target: positions to tgt_in.
        cross: encoder-decoder attention: positions to src_tokens.
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
        """Write it as one JSON object, on one line."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))


def pair_attention(model: TrainedModel, src: str, tgt: str | None = None) -> PairAttention:
    """Run a model over a pair of sentences and tell its attention.

    Args:
        model: the model.
        src: the source sentence.
        tgt: its translation. Without it, the one that the model finds.

    Raises:
        ConfigError: the model is no Transformer.
        DataError: there is no source, a sentence is no valid text, or it has more tokens than the
            model has positions.
    """
    network = model.transformer("nmt attend")
    src = _checked("--src", src)
    src_tokens = model.tokenizers.src.tokens(src)
    if not src_tokens:
        raise DataError("--src: there is no text in it")
    _check_length(model, "--src", src_tokens)
    if tgt is None:
        tgt_tokens = model.tokenizers.tgt.decoded_tokens(_search(model, src_tokens))
        [tgt] = model.tokenizers.tgt.decode([[token.id for token in tgt_tokens]])
    else:
        tgt = _checked("--tgt", tgt)
        tgt_tokens = model.tokenizers.tgt.tokens(tgt)
        _check_length(model, "--tgt", tgt_tokens)
    return _observe(network, model.tokenizers, src, src_tokens, tgt, tgt_tokens)


@torch.inference_mode()
def _observe(
    network: Transformer,
    tokenizers: Tokenizers,
    src: str,
    src_tokens: Sequence[Token],
    tgt: str,
    tgt_tokens: Sequence[Token],
) -> PairAttention:
    src_ids = [*(token.id for token in src_tokens), tokenizers.src.eos_id]
    tgt_ids = [token.id for token in tgt_tokens]
    tgt_in = [tokenizers.tgt.bos_id, *tgt_ids]
    device = next(network.parameters()).device
    found = forced_attention(
        network,
        torch.tensor([src_ids], device=device),
        torch.tensor([tgt_in], device=device),
    )
    src_words, tgt_words = word_numbers(src, src_tokens), word_numbers(tgt, tgt_tokens)
    return PairAttention(
        src=src,
        tgt=tgt,
        src_tokens=_texts(tokenizers.src, src_ids, src, src_tokens),
        src_words=[*src_words, NO_WORD],
        tgt_in=_texts(tokenizers.tgt, tgt_in, tgt, tgt_tokens, first=1),
        tgt_in_words=[NO_WORD, *tgt_words],
        tgt_out=_texts(tokenizers.tgt, [*tgt_ids, tokenizers.tgt.eos_id], tgt, tgt_tokens),
        tgt_out_words=[*tgt_words, NO_WORD],
        encoder=_rounded(found.encoder),
        decoder=_rounded(found.decoder),
        cross=_rounded(found.cross),
    )


def _search(model: TrainedModel, src_tokens: Sequence[Token]) -> list[int]:
    ids = [*(token.id for token in src_tokens), model.tokenizers.src.eos_id]
    options = TranslateOptions.from_config(model.config.decode)
    [hypotheses] = Networks([model]).search([ids], [""], options)
    # An unfinished one of all positions leaves none for reading its last token.
    return hypotheses[0].ids[: (model.network.max_length or len(hypotheses[0].ids) + 1) - 1]


def _checked(name: str, text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{name}: no valid text: {error.reason}") from error
    return replace_controls(text)[0]


def _check_length(model: TrainedModel, name: str, tokens: Sequence[Token]) -> None:
    limit = model.network.max_length
    if limit is not None and len(tokens) + 1 > limit:  # with the mark at its end or begin
        raise DataError(
            f"{name}: {len(tokens) + 1} tokens, but the model has learned only {limit} positions"
        )


def _texts(
    tokenizer: Tokenizer, ids: Sequence[int], text: str, tokens: Sequence[Token], first: int = 0
) -> list[str]:
    """Name tokens by their pieces, but those that the vocabulary lacks by what they stand for."""
    names = tokenizer.pieces(ids)
    for place, token in enumerate(tokens, first):
        if token.id == tokenizer.unk_id:
            names[place] = text[token.start : token.end] or names[place]
    return names


def _rounded(layers: Sequence[Tensor]) -> Weights:
    """Take the weights of the one pair in the batch, for writing them."""
    return [
        [
            [[round(weight, _DIGITS) for weight in row] for row in head]
            for head in weights_BHLM[0].tolist()
        ]
        for weights_BHLM in layers
    ]
