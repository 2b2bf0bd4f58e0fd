"""The schema of the configuration; `nmt.config.load` reads one.

The docstring under each field is its documentation; `nmt config --schema` prints it as
JSON schema, so that editors complete and explain the keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from nmt.config.corpora import Corpora
from nmt.config.decode import DecodeConfig
from nmt.config.models import AnyModel, TransformerConfig
from nmt.config.section import BatchTokens, Length, MaybeSteps, Probability, Section, Steps, refuse
from nmt.limits import MAX_BEAM_SIZE, MAX_SEED, MAX_THREADS, MAX_VOCAB_SIZE


class DataConfig(Section):
    """The parallel text and which pairs of it are used."""

    src_lang: str
    """Code of the source language, for example `en`."""
    tgt_lang: str
    """Code of the target language, for example `de`."""
    train: Corpora = Field(min_length=1)
    """The corpora to train on."""
    valid: Corpora = Field(default=[])
    """The corpora that choose the best checkpoint and stop training early."""
    test: Corpora = Field(default=[])
    """The corpora that `nmt evaluate MODEL` scores when it is given no files."""
    max_length: Length = 256
    """Longest sentence in tokens, the end mark included. Training pairs with a longer side are
    dropped; longer input to a translation is split at sentence ends."""
    max_length_ratio: Annotated[float, Field(gt=1.0, le=1e6)] | None = None
    """Training pairs whose one side has more than so many times the tokens of the other are
    dropped."""
    drop_duplicates: bool = False
    """Keep only the first of training pairs that are the same on both sides."""
    invalid_utf8: Literal["error", "skip"] = "error"
    """What to do with a line that is not UTF-8: stop, or drop the pair and count it."""
    cache_dir: str | None = None
    """Where prepared corpora are kept. Without it, `nmt` in the user's cache directory
    (`$XDG_CACHE_HOME`, else `~/.cache`)."""


class TokenizerConfig(Section):
    """SentencePiece (Kudo and Richardson 2018), trained on the training corpora."""

    type: Literal["bpe", "unigram", "char"] = "bpe"
    """The kind of model."""
    vocab_size: Annotated[int, Field(gt=0, le=MAX_VOCAB_SIZE)] = 8000
    """Number of pieces; with separate vocabularies, on each side. A limit: a corpus too small
    for it gives fewer."""
    joint: bool = True
    """One vocabulary for both languages, or one each."""
    character_coverage: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the characters of the corpus that the vocabulary must cover."""
    byte_fallback: bool = False
    """Spell characters outside the vocabulary in UTF-8 bytes instead of marking them unknown."""
    user_defined_symbols: list[str] = Field(default=[])
    """Strings that are always one piece of their own."""
    normalization: Literal["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"] = "nmt_nfkc"
    """Normalisation rule; the ones ending in `_cf` also fold the case."""
    train_sentences: Steps = 1_000_000
    """Sentences, over both sides, that the tokenizer is trained on: a random sample if the
    corpora have more."""
    model: str | None = None
    """An existing SentencePiece model to use on both sides instead of training one."""
    src_model: str | None = None
    """An existing model for the source side (with `tgt_model` and `joint: false`)."""
    tgt_model: str | None = None
    """An existing model for the target side (with `src_model` and `joint: false`)."""
    sampling_alpha: Probability = 0.0
    """Subword regularisation of the training pairs, drawn anew each epoch: the dropout
    probability of merges for bpe (Provilkov et al. 2020), the smoothing parameter for unigram
    (Kudo 2018). 0 switches it off."""
    sampling_nbest: Annotated[int, Field(ge=-1, le=1000)] = -1
    """unigram only: sample from so many best segmentations, -1 from all."""

    @model_validator(mode="after")
    def _check(self) -> TokenizerConfig:
        existing = self.src_model is not None or self.tgt_model is not None
        refuse(
            (
                (self.src_model is None) != (self.tgt_model is None),
                "src_model and tgt_model go together",
            ),
            (
                existing and (self.model is not None or self.joint),
                "src_model and tgt_model need joint: false and no model",
            ),
            (
                self.model is not None and not self.joint,
                "model is for both sides: it needs joint: true",
            ),
            (
                self.sampling_alpha > 0 and self.type == "char",
                "sampling_alpha needs type bpe or unigram: characters have no choice",
            ),
        )
        return self


class TrainConfig(Section):
    """Training (paper, section 5)."""

    max_steps: Steps = 100_000
    """Steps of the optimizer."""
    batch_tokens: BatchTokens = 25_000
    """Budget of a batch on each side, in tokens, padding counted."""
    accumulate: Annotated[int, Field(gt=0, le=10**6)] = 1
    """Batches whose gradients make one step."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """Adam (Kingma and Ba 2015), or with decoupled weight decay (Loshchilov and Hutter 2019)."""
    betas: tuple[Probability, Probability] = (0.9, 0.98)
    """Decay rates of Adam's averages."""
    eps: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-9
    """Added to Adam's denominator."""
    weight_decay: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    """Of adamw, on the matrices only."""
    schedule: Literal["paper", "linear", "cosine", "constant"] = "paper"
    """After a linear warm-up: fall with the inverse square root of the step (section 5.3), fall
    to zero at max_steps in a line or a half cosine, or stay."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1e30)] | None = None
    """The peak, reached at the end of the warm-up. Without it the paper's,
    (d_model * warmup_steps)^-0.5."""
    warmup_steps: Steps = 4000
    """Steps of the warm-up."""
    label_smoothing: Probability = 0.1
    """Probability mass spread over the vocabulary (section 5.4)."""
    clip_norm: Annotated[float, Field(gt=0.0, le=1e30)] | None = None
    """Largest norm of the gradient; a larger one is scaled down."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """When loss or gradient is not finite: end with the weights unchanged, or leave the step's
    batches out."""
    max_skipped: Steps = 5
    """Steps in a row that `on_nonfinite: skip` leaves out before training ends after all."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Arithmetic of the forward and backward pass: bf16 through autocast, with weights and
    optimizer in fp32. `auto` is bf16 where the processor or GPU has it, else fp32."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 1
    """Sets initialisation, data order, dropout and sampling."""
    log_every: Steps = 100
    """Steps between lines of metrics."""
    validate_every: Steps = 1000
    """Steps between validations; the last step is validated as well."""
    save_every: Steps = 1000
    """Steps between checkpoints; the last step is saved as well."""
    keep_last: Steps = 5
    """Newest checkpoints to keep."""
    keep_best: MaybeSteps = 1
    """Best checkpoints to keep beside them, by `metric`."""
    metric: Literal["loss", "bleu", "chrf"] = "loss"
    """What the best checkpoint and early stopping go by, on data.valid."""
    patience: Steps | None = None
    """Stop after so many validations in a row without a new best. Without it, only max_steps
    ends training."""
    valid_beam_size: Annotated[int, Field(ge=0, le=MAX_BEAM_SIZE)] = 1
    """Beam size that validation translates with for BLEU and chrF: 1 is greedy, 0 skips it."""
    valid_sentences: Steps | None = None
    """Translate only so many sentences of data.valid; the loss always covers all."""
    average: Literal["none", "last", "best"] = "last"
    """Which checkpoints are averaged at the end (section 6.1)."""
    average_count: Steps = 5
    """How many."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, or `auto`: a GPU if there is one."""
    threads: Annotated[int, Field(gt=0, le=MAX_THREADS)] | None = None
    """CPU threads. Without it, what torch takes: one a core."""

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        kept = {"none": self.average_count, "last": self.keep_last, "best": self.keep_best}
        refuse(
            (
                kept[self.average] < self.average_count,
                f"averaging the {self.average} {self.average_count} checkpoints needs "
                f"keep_{self.average} >= {self.average_count}",
            ),
            (
                self.metric != "loss" and self.valid_beam_size == 0,
                f"metric {self.metric} needs valid_beam_size >= 1",
            ),
        )
        return self


def _lacks_brackets(tokenizer: TokenizerConfig) -> bool:
    """Say whether a tokenizer is sure to have no pieces that are brackets with labels."""
    brackets = [symbol for symbol in tokenizer.user_defined_symbols if symbol.startswith("\u2581(")]
    return not (brackets or tokenizer.model or tokenizer.tgt_model)


def _with_extends(schema: dict[str, Any]) -> None:
    """Add to the JSON schema what a file may say besides: reading the file takes it out."""
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another configuration that this one changes: a path relative to this "
        "file's folder. Sections are merged, everything else is replaced.",
    }
    required = [*schema.pop("required"), "extends"]
    schema["anyOf"] = [{"required": [key]} for key in required]


class Config(Section):
    """The whole configuration of a run."""

    model_config = ConfigDict(json_schema_extra=_with_extends)

    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: AnyModel = TransformerConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()

    @model_validator(mode="after")
    def _check(self) -> Config:
        max_positions = self.model.max_positions
        refuse(
            (
                self.model.tie_embeddings == "all" and not self.tokenizer.joint,
                "model.tie_embeddings: all needs tokenizer.joint: true; "
                "with separate vocabularies use decoder or none",
            ),
            (
                max_positions is not None and max_positions < self.data.max_length,
                f"model.positions.max_length {max_positions} is less than "
                f"data.max_length {self.data.max_length}",
            ),
            (
                self.decode.trees and _lacks_brackets(self.tokenizer),
                "decode.trees needs brackets with labels among tokenizer.user_defined_symbols, "
                "as in configs/parsing-gum.yaml",
            ),
            (
                self.train.patience is not None and not self.data.valid,
                "train.patience needs data.valid to watch",
            ),
            (
                self.train.average == "best" and not self.data.valid,
                "train.average: best needs data.valid to choose by",
            ),
        )
        return self
