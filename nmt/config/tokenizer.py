"""The section `tokenizer`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from nmt.config.finetuning import ExtendConfig
from nmt.config.section import Probability, Section, Steps
from nmt.limits import MAX_VOCAB_SIZE


class TokenizerConfig(Section):
    """SentencePiece (Kudo and Richardson 2018), trained on the training corpora."""

    type: Literal["bpe", "unigram", "char"] = "bpe"
    """The kind of model."""
    vocab_size: Annotated[int, Field(gt=0, le=MAX_VOCAB_SIZE)] = 8000
    """Maximum number of pieces, per side if the vocabularies are separate. A small corpus yields
    fewer."""
    joint: bool = True
    """One vocabulary for both languages, or one for each."""
    character_coverage: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Fraction of the characters in the corpus that the vocabulary covers."""
    byte_fallback: bool = False
    """Encode characters outside the vocabulary as UTF-8 bytes instead of the unknown token."""
    user_defined_symbols: list[str] = Field(default=[])
    """Strings that are always a single piece."""
    normalization: Literal["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"] = "nmt_nfkc"
    """Normalisation rule; those ending in `_cf` also fold case."""
    train_sentences: Steps = 1_000_000
    """Maximum number of sentences, both sides together, to train the tokenizer on: a random
    sample if the corpora have more."""
    model: str | None = None
    """An existing SentencePiece model to use for both sides instead of training one."""
    src_model: str | None = None
    """An existing model for the source side (with `tgt_model` and `joint: false`)."""
    tgt_model: str | None = None
    """An existing model for the target side (with `src_model` and `joint: false`)."""
    sampling_alpha: Probability = 0.0
    """Subword regularisation of the training pairs, sampled again each epoch: the dropout
    probability of merges for bpe (Provilkov et al. 2020), the smoothing parameter for unigram
    (Kudo 2018). 0 disables it."""
    sampling_nbest: Annotated[int, Field(ge=-1, le=1000)] = -1
    """unigram only: number of best segmentations to sample from; -1 is all."""
    extend: ExtendConfig | None = None
    """With `train.init_from`: add pieces to its tokenizer, learned on the training corpora. All
    other settings of the tokenizer stay those of that run."""
    replace: bool = False
    """With `train.init_from`: use the tokenizer of this configuration instead of that run's, for
    another language or script. A piece that both have keeps its embedding. That of a new one starts
    as the mean of the embeddings of its old segmentation."""

    @property
    def changes(self) -> list[str]:
        """The keys in use that change the tokenizer of `train.init_from`."""
        return [f"tokenizer.{name}" for name in ("extend", "replace") if getattr(self, name)]

    def _conflicts(self) -> Iterator[str]:
        if self.extend and self.replace:
            yield "extend adds to the tokenizer that replace replaces: use one of them"
        separate = self.src_model is not None or self.tgt_model is not None
        if (self.src_model is None) != (self.tgt_model is None):
            yield "src_model and tgt_model are only valid together"
        if separate and (self.model is not None or self.joint):
            yield "src_model and tgt_model need joint: false and no model"
        if self.model is not None and not self.joint:
            yield "model is for both sides and needs joint: true"
        if self.sampling_alpha > 0 and self.type == "char":
            yield "sampling_alpha needs type bpe or unigram: characters have one segmentation"
