"""The schema of the configuration; `nmt.config.load` reads one.

The docstring under each field is its documentation; `nmt config --schema` prints it as
JSON schema, so that editors complete and explain the keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from nmt.limits import (
    MAX_BATCH_TOKENS,
    MAX_BEAM_SIZE,
    MAX_D_FF,
    MAX_LAYERS,
    MAX_LENGTH,
    MAX_SEED,
    MAX_STEPS,
    MAX_THREADS,
    MAX_VOCAB_SIZE,
    MAX_WIDTH,
)

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]

Steps = Annotated[int, Field(gt=0, le=MAX_STEPS)]
MaybeSteps = Annotated[int, Field(ge=0, le=MAX_STEPS)]
BatchTokens = Annotated[int, Field(gt=0, le=MAX_BATCH_TOKENS)]
Length = Annotated[int, Field(gt=0, le=MAX_LENGTH)]
Width = Annotated[int, Field(gt=0, le=MAX_WIDTH)]
Layers = Annotated[int, Field(gt=0, le=MAX_LAYERS)]
Column = Annotated[int, Field(ge=0, le=10**6)]


def _refuse(*checks: tuple[bool, str]) -> None:
    """Raise one error that says all that is broken, for pydantic to report."""
    faults = [message for broken, message in checks if broken]
    if faults:
        raise ValueError("; ".join(faults))


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values cannot be changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Corpus(Section):
    """What every kind of corpus has."""

    weight: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0
    """How often an epoch visits each pair: 2 visits it twice, 0.5 visits a random half of
    the corpus, drawn anew each epoch. Only training looks at it."""


class FilesCorpus(Corpus):
    """Two text files, one sentence a line, line n of one translating line n of the other."""

    src: str
    """Source side: a UTF-8 text file, plain or .gz. Paths are relative to the current directory."""
    tgt: str
    """Target side: a UTF-8 text file, plain or .gz, with as many lines as the source side."""


class TsvCorpus(Corpus):
    """One text file with tab-separated columns."""

    tsv: str
    """A UTF-8 file, plain or .gz, one pair a line, no quoting."""
    src_column: Column | str = 0
    """Source column: its number, from 0, or its name in the first line."""
    tgt_column: Column | str = 1
    """Target column: its number, from 0, or its name in the first line."""


class JsonlCorpus(Corpus):
    """One JSON object a line."""

    jsonl: str
    """A UTF-8 file, plain or .gz."""
    src_key: str | None = None
    """Key of the source sentence, nested keys joined by dots (`translation.en`). Without it,
    `data.src_lang`."""
    tgt_key: str | None = None
    """Key of the target sentence. Without it, `data.tgt_lang`."""


class ParquetCorpus(Corpus):
    """A Parquet file."""

    parquet: str
    """The file."""
    src_key: str | None = None
    """Column of the source sentence, struct fields joined by dots. Without it, `data.src_lang`."""
    tgt_key: str | None = None
    """Column of the target sentence. Without it, `data.tgt_lang`."""


class DatasetCorpus(Corpus):
    """A dataset that the `datasets` library can load, from the Hugging Face Hub or from disk."""

    dataset: str
    """Its name on the Hub (`bentrevett/multi30k`), or a local directory."""
    name: str | None = None
    """The configuration of the dataset, for those that have several (`de-en`)."""
    split: str = "train"
    """The split; slices such as `train[:10%]` work."""
    src_key: str | None = None
    """Key of the source sentence, nested keys joined by dots (`translation.en`). Without it,
    `data.src_lang`."""
    tgt_key: str | None = None
    """Key of the target sentence. Without it, `data.tgt_lang`."""


class DemoCorpus(Corpus):
    """The built-in English-German phrasebook: a grammar, needing neither files nor network."""

    demo: Literal["train", "valid", "test"]
    """Which part of it."""


CORPUS_KINDS = {
    "src": "files",
    "tgt": "files",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "parquet": "parquet",
    "dataset": "dataset",
    "demo": "demo",
}
"""The keys that tell the kind of a corpus."""


def _corpus_kind(value: Any) -> str | None:
    """Name the kind of a corpus by the first key that tells it."""
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, Corpus) else ()
    return next((kind for key, kind in CORPUS_KINDS.items() if key in keys), None)


AnyCorpus = Annotated[
    Annotated[FilesCorpus, Tag("files")]
    | Annotated[TsvCorpus, Tag("tsv")]
    | Annotated[JsonlCorpus, Tag("jsonl")]
    | Annotated[ParquetCorpus, Tag("parquet")]
    | Annotated[DatasetCorpus, Tag("dataset")]
    | Annotated[DemoCorpus, Tag("demo")],
    Discriminator(
        _corpus_kind,
        custom_error_type="corpus_kind",
        custom_error_message=(
            "a corpus is one of {src, tgt}, {tsv}, {jsonl}, {parquet}, {dataset}, {demo}"
        ),
    ),
]

# One corpus may stand without the brackets of a list.
Corpora = Annotated[
    list[AnyCorpus], BeforeValidator(lambda value: [value] if isinstance(value, dict) else value)
]


class DataConfig(Section):
    """The parallel text and which pairs of it are used."""

    src_lang: str
    """Code of the source language, for example `en`."""
    tgt_lang: str
    """Code of the target language, for example `de`."""
    train: Corpora = Field(min_length=1)
    """The corpora to train on."""
    valid: Corpora = []
    """The corpora that choose the best checkpoint and stop training early."""
    test: Corpora = []
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
    user_defined_symbols: list[str] = []
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
        _refuse(
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


class PositionsConfig(Section):
    """How the model knows the order of tokens (paper, section 3.5)."""

    kind: Literal["sinusoidal", "learned", "none"] = "sinusoidal"
    """Sines and cosines, or a learned vector a position (Table 3, row E). With none the encoder
    reads the words in no order; the decoder has what its mask tells (Haviv et al. 2022)."""
    combine: Literal["add", "concat"] = "add"
    """Add the positions to the embeddings as in the paper, or put them behind the embeddings,
    which are then narrower: together they have d_model dimensions."""
    width: Width | None = None
    """Dimensions of the positions with combine: concat. Without it, a quarter of d_model, rounded
    down to an even number."""
    max_length: Length = 512
    """Number of learned positions, at least data.max_length; sinusoids have no limit."""

    @model_validator(mode="after")
    def _check(self) -> PositionsConfig:
        _refuse(
            (
                self.kind == "none" and self.combine == "concat",
                "kind none has nothing to concatenate: it needs combine: add",
            ),
            (
                self.width is not None and self.combine == "add",
                "width needs combine: concat: added positions are as wide as d_model",
            ),
        )
        return self


class TransformerConfig(Section):
    """The Transformer (paper, section 3); the defaults are the paper's base model."""

    kind: Literal["transformer"] = "transformer"
    """The architecture. `rnn` and `conv` have keys of their own."""
    d_model: Width = 512
    """Width of the embeddings and of every sub-layer's output."""
    num_heads: Width = 8
    """Attention heads."""
    d_ff: Annotated[int, Field(gt=0, le=MAX_D_FF)] = 2048
    """Inner width of the feed-forward layers."""
    encoder_layers: Layers = 6
    """Layers of the encoder."""
    decoder_layers: Layers = 6
    """Layers of the decoder."""
    d_k: Width | None = None
    """Width of a head's queries and keys. Without it, d_model / num_heads."""
    d_v: Width | None = None
    """Width of a head's values. Without it, d_model / num_heads."""
    norm: Literal["post", "pre"] = "post"
    """Layer normalisation after each residual sum as in the paper, or before each sub-layer
    (Xiong et al. 2020)."""
    activation: Literal["relu", "gelu", "swiglu"] = "relu"
    """Of the feed-forward layers; swiglu (Shazeer 2020) has a third matrix."""
    positions: PositionsConfig = PositionsConfig()
    """Position encoding."""
    tie_embeddings: Literal["none", "decoder", "all"] = "all"
    """Which of the source embedding, the target embedding and the output projection are one
    matrix: none, the last two, or all three (which needs a joint vocabulary). Concatenated
    positions need none: they leave embeddings narrower than the projection."""
    dropout: Probability = 0.1
    """On the output of every sub-layer, before the residual sum."""
    attention_dropout: Probability = 0.0
    """On the attention weights."""
    activation_dropout: Probability = 0.0
    """Inside the feed-forward layers, after the activation."""
    embedding_dropout: Probability | None = None
    """On the sum of embedding and position. Without it, as `dropout`."""

    @property
    def max_positions(self) -> int | None:
        """How long a sentence the model has positions for; None is any length."""
        return self.positions.max_length if self.positions.kind == "learned" else None

    @property
    def position_width(self) -> int:
        """Dimensions of the positions."""
        if self.positions.combine == "add":
            return self.d_model
        return self.positions.width or self.d_model // 8 * 2  # even: sinusoids come in pairs

    @property
    def embedding_width(self) -> int:
        """Dimensions of the embeddings."""
        if self.positions.combine == "add":
            return self.d_model
        return self.d_model - self.position_width

    @model_validator(mode="after")
    def _check(self) -> TransformerConfig:
        concat = self.positions.combine == "concat"
        _refuse(
            (
                self.d_model % self.num_heads != 0 and (self.d_k is None or self.d_v is None),
                f"d_model {self.d_model} is not a multiple of num_heads {self.num_heads}: "
                "change one of them or set d_k and d_v",
            ),
            (
                self.position_width % 2 != 0 and self.positions.kind == "sinusoidal",
                f"{'positions.width' if concat else 'd_model'} {self.position_width} is odd: "
                "sinusoidal positions need it even",
            ),
            (
                concat and not 0 < self.position_width < self.d_model,
                f"positions.width {self.position_width} must lie between 0 and d_model "
                f"{self.d_model}, with room for the embeddings",
            ),
            (
                concat and self.tie_embeddings != "none",
                f"tie_embeddings: {self.tie_embeddings} makes an embedding the output projection, "
                "which is wider with positions.combine: concat; use none",
            ),
        )
        return self


class RecurrentConfig(Section):
    """The attentional encoder-decoder of Bahdanau et al. (2015); the defaults are its RNNsearch."""

    kind: Literal["rnn"]
    """The architecture."""
    cell: Literal["gru", "lstm"] = "gru"
    """Gated recurrent units (Cho et al. 2014), or long short-term memory (Hochreiter and
    Schmidhuber 1997)."""
    d_model: Width = 620
    """Width of the embeddings and of the deep output, which the projection reads."""
    d_hidden: Width = 1000
    """Width of a state of the decoder and of each direction of the encoder, and of the layer
    inside the attention."""
    encoder_layers: Layers = 1
    """Layers of the encoder, each bidirectional. The decoder has one."""
    tie_embeddings: Literal["none", "decoder", "all"] = "none"
    """Which of the source embedding, the target embedding and the output projection are one
    matrix: none, the last two (Press and Wolf 2017), or all three (which needs a joint
    vocabulary)."""
    dropout: Probability = 0.0
    """On embeddings, the encoder's layers and the deep output; not inside the recurrence
    (Zaremba et al. 2014)."""

    @property
    def max_positions(self) -> None:
        """How long a sentence the model has positions for: any length."""
        return None


class LearnedPositionsConfig(Section):
    """One learned vector a position."""

    max_length: Length = 512
    """Number of positions, at least data.max_length."""


class ConvolutionalConfig(Section):
    """ConvS2S (Gehring et al. 2017); the default sizes are those of its English-Romanian model."""

    kind: Literal["conv"]
    """The architecture."""
    d_model: Width = 512
    """Width of the embeddings, of the attention and of what the projection reads."""
    d_hidden: Width = 512
    """Channels of the convolutions."""
    kernel_size: Annotated[int, Field(gt=0, le=1000)] = 3
    """Positions that a convolution sees; those of the decoder see no later one."""
    encoder_layers: Layers = 20
    """Convolutions of the encoder."""
    decoder_layers: Layers = 20
    """Convolutions of the decoder, each with an attention of its own."""
    positions: LearnedPositionsConfig = LearnedPositionsConfig()
    """Positions, added to the embeddings of both sides."""
    tie_embeddings: Literal["none", "decoder", "all"] = "none"
    """Which of the source embedding, the target embedding and the output projection are one
    matrix: none, the last two (Press and Wolf 2017), or all three (which needs a joint
    vocabulary)."""
    dropout: Probability = 0.1
    """On embeddings, on the input of every convolution and on what the projection reads."""

    @property
    def max_positions(self) -> int:
        """How long a sentence the model has positions for."""
        return self.positions.max_length


MODELS: dict[str, type[TransformerConfig | RecurrentConfig | ConvolutionalConfig]] = {
    "transformer": TransformerConfig,
    "rnn": RecurrentConfig,
    "conv": ConvolutionalConfig,
}
"""The section `model` by its key `kind`."""


def _model_kind(value: Any) -> str | None:
    """Name the kind of a model: the Transformer, unless it says another."""
    if isinstance(value, dict):
        value = value.get("kind", "transformer")
    else:
        value = getattr(value, "kind", None)
    return value if isinstance(value, str) and value in MODELS else None


AnyModel = Annotated[
    Annotated[TransformerConfig, Tag("transformer")]
    | Annotated[RecurrentConfig, Tag("rnn")]
    | Annotated[ConvolutionalConfig, Tag("conv")],
    Discriminator(
        _model_kind,
        custom_error_type="model_kind",
        custom_error_message=f"it is one of {', '.join(MODELS)}",
    ),
]


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
        _refuse(
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


class DecodeConfig(Section):
    """What `nmt translate` does unless its options say otherwise (paper, section 6.1)."""

    beam_size: Annotated[int, Field(gt=0, le=MAX_BEAM_SIZE)] = 4
    """Hypotheses kept at each step; 1 is greedy search."""
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0)] = 0.6
    """Alpha of Wu et al. (2016): scores are divided by ((5 + length) / 6) ** alpha."""
    max_extra_len: Annotated[int, Field(ge=0, le=MAX_LENGTH)] = 50
    """A translation has at most so many tokens more than its source."""
    batch_tokens: BatchTokens = 4096
    """Budget of a batch in source tokens, padding counted."""
    trees: bool = False
    """Write linearised trees that have the words of the source, as `scripts/treebank --leaves
    words` makes them for training: whatever the model thinks, no word is lost and all brackets
    match."""


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
        _refuse(
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
