"""The schema of the configuration; `nmt.config.load` reads one.

The docstring under each field is its documentation. `nmt config` can print it as a JSON
schema, which editors use for completion and help.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from nmt.config.augment import AugmentConfig, augment_conflicts
from nmt.config.corpora import AnyCorpus, Corpora, Corpus, TextCorpus, TrainCorpora
from nmt.config.decode import DecodeConfig
from nmt.config.denoise import DenoiseConfig, denoising_conflicts, translation_conflicts
from nmt.config.finetuning import ExtendConfig, LoraConfig, StageConfig, stage_conflicts
from nmt.config.guided_alignment import GuidedAlignmentConfig, guided_conflicts
from nmt.config.languages import LanguagePair, TagKind, is_usable, tag_symbol, tags_of
from nmt.config.models import AnyModel, TransformerConfig
from nmt.config.placeholders import PlaceholderKind
from nmt.config.recipe import RecipeConfig
from nmt.config.regularisation import (
    RDropConfig,
    SimCutConfig,
    TokenCutoffConfig,
    TokenRates,
    regularisation_conflicts,
)
from nmt.config.section import BatchTokens, Length, MaybeSteps, Probability, Section, Steps
from nmt.config.terms import TermsConfig
from nmt.config.tune_decode import TuneDecodeConfig
from nmt.config.validation import Metric, ValidCorpora, is_loss, set_of
from nmt.limits import MAX_BEAM_SIZE, MAX_SEED, MAX_THREADS, MAX_VOCAB_SIZE


class DataConfig(Section):
    """The parallel text, and which of its pairs are used."""

    src_lang: str
    """Code of the source language, for example `en`; corpora may have others."""
    tgt_lang: str
    """Code of the target language, for example `de`; corpora may have others."""
    train: TrainCorpora
    """The corpora to train on, or sets of them by name, as in `{general: {src: FILE, tgt: FILE},
    domain: {src: FILE, tgt: FILE}}`, for `train.stages`. Only an imported model may have none."""
    valid: ValidCorpora = Field(default=[])
    """The corpora used to choose the best checkpoint and to stop early. Or several sets of them by
    name, as in `{general: {src: FILE, tgt: FILE}, domain: {src: FILE, tgt: FILE}}`, which are
    validated one by one; figures without a name, such as the loss, are then of the first set."""
    test: Corpora = Field(default=[])
    """The corpora that `nmt evaluate MODEL` uses if no files are given."""
    tags: TagKind = "none"
    """Tell the model the languages by tokens in front of the source: `target` is `<2de>`, `both`
    is `<en> <2de>`. For corpora in several languages."""
    terms: TermsConfig | None = None
    """Append some words of the target to the source of training pairs, so that the model learns to
    use given terms, for `decode.terms: soft`; `{}` for the defaults."""
    placeholders: list[PlaceholderKind] = Field(default=[])
    """Replace spans of these kinds that occur on both sides of a training pair by symbols, in half
    of the pairs, so that the model learns to copy them, for the option `protect` of translation:
    urls, emails, numbers, emoji, and placeholders (such as {name}, %s and <0/>)."""
    augment: AugmentConfig | None = None
    """Change some training pairs so that the model copes with capitals, typing errors, missing
    punctuation or several sentences in a line: `{upper: 0.05, typos: 0.05}`."""
    sampling_temperature: Annotated[float, Field(ge=1.0, le=1000.0)] = 1.0
    """Above 1, an epoch visits the pairs of small language pairs more often: a language pair of n
    pairs in proportion to n ** (1 / temperature). The largest is visited as its weights say."""
    max_length: Length = 256
    """Maximum length of a sentence in tokens, EOS included. Training pairs with a longer side are
    dropped; longer text to translate is split at sentence ends."""
    max_length_ratio: Annotated[float, Field(gt=1.0, le=1e6)] | None = None
    """Training pairs are dropped if one side has more than this many times the tokens of the
    other."""
    drop_duplicates: bool = False
    """Drop training pairs that repeat an earlier one on both sides."""
    streaming: bool = False
    """Read and tokenize the training corpora while training runs, instead of preparing them first.
    For corpora that are too large to prepare; the shuffling is only local."""
    shuffle_buffer: Annotated[int, Field(gt=0, le=10**9)] = 200_000
    """With `streaming`: number of pairs that are shuffled and cut into batches together."""
    invalid_utf8: Literal["error", "skip"] = "error"
    """A line that is not valid UTF-8 is an error, or its pair is dropped and counted."""
    cache_dir: str | None = None
    """Directory for prepared corpora. Default: `$NMT_CACHE_DIR`, else `nmt` in the user's
    cache directory (`$XDG_CACHE_HOME`, else `~/.cache`)."""

    @property
    def valid_sets(self) -> dict[str, list[AnyCorpus]]:
        """The validation corpora by the name of their set; it is empty for a set without one."""
        if isinstance(self.valid, dict):
            return self.valid
        return {"": self.valid} if self.valid else {}

    @property
    def valid_corpora(self) -> list[AnyCorpus]:
        """The validation corpora of all sets."""
        return [corpus for corpora in self.valid_sets.values() for corpus in corpora]

    def pair_of(self, corpus: Corpus) -> LanguagePair:
        """Return the languages of a corpus, as it is used."""
        if isinstance(corpus, TextCorpus):
            return LanguagePair(corpus.lang, corpus.lang)
        src, tgt = corpus.src_lang or self.src_lang, corpus.tgt_lang or self.tgt_lang
        return LanguagePair(tgt, src) if corpus.reversed else LanguagePair(src, tgt)

    @property
    def train_pairs(self) -> list[LanguagePair]:
        """The language pairs of the training corpora, each once."""
        pairs = list(dict.fromkeys(map(self.pair_of, self.train)))
        return pairs or [LanguagePair(self.src_lang, self.tgt_lang)]

    def tags_of(self, pair: LanguagePair) -> list[str]:
        """Return the tags in front of the sources of a language pair."""
        return tags_of(pair, self.tags)

    @property
    def num_tags(self) -> int:
        """Number of language tags in front of each source."""
        return {"none": 0, "target": 1, "both": 2}[self.tags]

    @property
    def train_tags(self) -> list[str]:
        """The language tags of all training corpora, each once."""
        return list(dict.fromkeys(tag for pair in self.train_pairs for tag in self.tags_of(pair)))

    @property
    def corpus_tags(self) -> list[str]:
        """The symbols of training corpora with a `tag`, each once."""
        return list(dict.fromkeys(tag_symbol(corpus.tag) for corpus in self.train if corpus.tag))

    def _conflicts(self) -> Iterator[str]:
        yield from self._corpus_tag_conflicts()
        if self.tags == "none":
            return
        for code in dict.fromkeys(code for pair in self.train_pairs for code in pair):
            if not is_usable(code):
                yield (
                    f"tags cannot name the language {code!r}: a code begins with a letter, "
                    "has letters, digits, - and _ only, and is not s, pad, unk, term or mask"
                )

    def _corpus_tag_conflicts(self) -> Iterator[str]:
        for tag in dict.fromkeys(corpus.tag for corpus in self.train if corpus.tag):
            if not is_usable(tag):
                yield f"train: a corpus cannot have the tag {tag}: <{tag}> is another symbol"
            elif tag_symbol(tag) in self.train_tags:
                yield f"train: {tag} is the tag of a corpus and a language: give the corpus another"
        for part, corpora in (("valid", self.valid_corpora), ("test", self.test)):
            if tags := [corpus.tag for corpus in corpora if corpus.tag]:
                yield f"{part}: remove tag: {tags[0]}: translation has none, only data.train has"


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

    def _conflicts(self) -> Iterator[str]:
        separate = self.src_model is not None or self.tgt_model is not None
        if (self.src_model is None) != (self.tgt_model is None):
            yield "src_model and tgt_model are only valid together"
        if separate and (self.model is not None or self.joint):
            yield "src_model and tgt_model need joint: false and no model"
        if self.model is not None and not self.joint:
            yield "model is for both sides and needs joint: true"
        if self.sampling_alpha > 0 and self.type == "char":
            yield "sampling_alpha needs type bpe or unigram: characters have one segmentation"


class TrainConfig(Section):
    """Training (paper, section 5)."""

    max_steps: Steps = 100_000
    """Optimizer steps."""
    batch_tokens: BatchTokens = 25_000
    """Maximum size of a batch in tokens, per side, padding included."""
    accumulate: Annotated[int, Field(gt=0, le=10**6)] = 1
    """Batches whose gradients are summed for each optimizer step, over all processes."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """Adam (Kingma and Ba 2015), or with decoupled weight decay (Loshchilov and Hutter 2019)."""
    betas: tuple[Probability, Probability] = (0.9, 0.98)
    """Decay rates of Adam's moment estimates."""
    eps: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-9
    """Constant added to Adam's denominator."""
    weight_decay: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    """Weight decay of adamw, applied to matrices only."""
    schedule: Literal["paper", "linear", "cosine", "constant"] = "paper"
    """Learning rate after a linear warm-up: proportional to the inverse square root of the step
    (section 5.3), decaying to zero at max_steps linearly or as a half cosine, or constant."""
    learning_rate: Annotated[float, Field(gt=0.0, le=1e30)] | None = None
    """Peak learning rate, reached at the end of the warm-up. Default: the paper's,
    (d_model * warmup_steps)^-0.5."""
    warmup_steps: Steps = 4000
    """Steps of linear warm-up."""
    label_smoothing: Probability = 0.1
    """Probability mass distributed over the vocabulary (section 5.4)."""
    clip_norm: Annotated[float, Field(gt=0.0, le=1e30)] | None = None
    """Maximum norm of the gradient; a larger gradient is scaled down to it."""
    activation_checkpointing: bool = False
    """Compute the activations of each layer of a Transformer again in the backward pass instead of
    keeping them (Chen et al. 2016): less memory for a third more time, and the same result."""
    shard: bool = False
    """Divide weights, gradients and optimizer state among the processes of a training run (FSDP2),
    for models that are too large for one device. Validation needs the weights alone on each. Slower
    than a copy of the model in each process."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """If the loss or the gradient is not finite: stop with the weights unchanged, or skip the
    step."""
    max_skipped: Steps = 5
    """Consecutive steps that `on_nonfinite: skip` may skip before training stops."""
    precision: Literal["fp32", "bf16", "auto"] | None = None
    """Precision of the forward and backward pass: bf16 uses autocast and keeps weights and
    optimizer state in fp32. `auto` is bf16 if the CPU or GPU supports it, else fp32. Default:
    `auto` on a GPU, fp32 on a CPU."""
    tf32: bool = False
    """Let a GPU round the factors of fp32 products to TF32, with 10 bits of mantissa instead of 23,
    which is faster. It changes nothing on a CPU, nor products in bf16."""
    objective: Literal["translate", "denoise"] = "translate"
    """Translate, or restore text from which spans are missing: pretraining on `{text: FILE, lang:
    CODE}`, whose weights are a start for translation (`init_from`)."""
    denoise: DenoiseConfig = DenoiseConfig()
    """The noise, with `objective: denoise`."""
    init_from: str | None = None
    """Start from the weights of this model, with its tokenizer, instead of random weights: a run, a
    directory that `nmt import` reads, or `hf:owner/name`, a model on the Hugging Face Hub. The new
    one may have a different number of layers (evenly spaced ones are then copied) or dropout."""
    freeze: list[str] = Field(default=[])
    """Parameters that keep their weights: patterns such as `encoder_layers.0.*` for their names, or
    `embeddings` (with positions and output projection), `encoder` or `decoder`. After a `!`, a
    pattern takes back what earlier ones freeze: `['*', '!*bias*']` trains the biases only."""
    lora: LoraConfig | None = None
    """Train low-rank changes of the weights of `init_from` only. The checkpoints hold the changed
    weights, as those of any other run."""
    stages: list[StageConfig] = Field(default=[])
    """Parts of the run with settings of their own, one after the other, as for a curriculum:
    `[{steps: 4000}, {corpora: {domain: 1}, learning_rate: 0.0002, freeze: [embeddings]}]`."""
    guided_alignment: GuidedAlignmentConfig | None = None
    """Teach one attention head of a Transformer the word alignment of the training pairs."""
    r_drop: RDropConfig | None = None
    """Make two predictions with different dropout agree; a step takes about twice the time."""
    sim_cut: SimCutConfig | None = None
    """Make the prediction without some embeddings agree with that of all; a step takes about twice
    the time."""
    token_cutoff: TokenCutoffConfig | None = None
    """Learn from the batch with and without some embeddings, and make the predictions agree; a
    step takes about twice the time."""
    word_dropout: TokenRates | None = None
    """Replace random tokens of the training pairs by the unknown token, others in each epoch."""
    word_replacement: TokenRates | None = None
    """Replace random tokens of the training pairs by random others, as SwitchOut does (Wang et al.
    2018), but with a fixed rate in place of its temperature."""
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Validate, save and translate with an exponential moving average of the weights, which has
    this decay (for example 0.999) in each step, or (1 + step) / (10 + step) while that is less."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 1
    """Seed of initialisation, data order, dropout and sampling."""
    log_every: Steps = 100
    """Steps between lines of training metrics."""
    validate_every: Steps = 1000
    """Steps between validations; the last step is also validated."""
    save_every: Steps = 1000
    """Steps between checkpoints; the last step is also saved."""
    keep_last: Steps = 5
    """Number of latest checkpoints to keep."""
    keep_best: MaybeSteps = 1
    """Number of best checkpoints, by `metric`, to keep as well."""
    metric: Metric = "loss"
    """Metric on data.valid that decides the best checkpoint and early stopping: loss, bleu or chrf,
    on the first set, or on another one as in `domain/bleu`."""
    patience: Steps | None = None
    """Stop after this many consecutive validations without a new best. Default: train for
    max_steps."""
    valid_beam_size: Annotated[int, Field(ge=0, le=MAX_BEAM_SIZE)] = 1
    """Beam size of the translations for BLEU and chrF in validation: 1 is greedy, 0 skips both."""
    valid_sentences: Steps | None = None
    """Number of sentences of data.valid to translate; the loss always covers all."""
    average: Literal["none", "last", "best"] = "last"
    """Checkpoints to average at the end (section 6.1)."""
    average_count: Steps = 5
    """Number of checkpoints to average."""
    tune_decode: TuneDecodeConfig | None = None
    """Choose `decode.length_penalty` for the trained model on data.valid: `{}` for the defaults.
    Translation then uses it; `nmt info` shows it."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `xpu`, `mps`, or `auto`, which is a CUDA GPU if there is one."""
    threads: Annotated[int, Field(gt=0, le=MAX_THREADS)] | None = None
    """CPU threads. Default: one per core, as torch chooses."""
    peer_timeout: Annotated[float, Field(ge=10, le=86400)] = 600.0
    """Seconds without a sign of life after which a process takes another for dead, and ends."""

    @property
    def doubled_by(self) -> list[str]:
        """The sections that compute each batch twice; two are a conflict."""
        return [name for name in ("r_drop", "sim_cut", "token_cutoff") if getattr(self, name)]

    def _conflicts(self) -> Iterator[str]:
        kept = {"none": self.average_count, "last": self.keep_last, "best": self.keep_best}
        if kept[self.average] < self.average_count:
            yield (
                f"averaging the {self.average} {self.average_count} checkpoints needs "
                f"keep_{self.average} >= {self.average_count}"
            )
        if not is_loss(self.metric) and self.valid_beam_size == 0:
            yield f"metric {self.metric} needs valid_beam_size >= 1"
        if self.lora and not self.init_from:
            yield "lora needs init_from: it changes the weights of another run"
        if self.lora and self.freeze:
            yield "lora freezes all but its factors: use it without freeze"
        if self.lora and any(stage.freeze for stage in self.stages):
            yield "lora freezes all but its factors: use it without stages that have freeze"
        if self.stages and self.patience is not None:
            yield "patience cannot be combined with stages, which have fixed lengths"
        if self.lora and self.shard:
            yield "lora cannot be combined with shard: use one of them"
        if self.ema and (self.lora or self.shard):
            yield f"ema cannot be combined with {'lora' if self.lora else 'shard'}: use one of them"
        if len(self.doubled_by) > 1:
            first, second, *_ = self.doubled_by
            yield f"{first} and {second} both compute each batch twice: use one of them"
        if self.guided_alignment and self.shard:
            yield "guided_alignment cannot be combined with shard: use one of them"


def _lacks_brackets(tokenizer: TokenizerConfig) -> bool:
    """Return whether a tokenizer certainly has no pieces that are labelled brackets."""
    brackets = [symbol for symbol in tokenizer.user_defined_symbols if symbol.startswith("\u2581(")]
    return not (brackets or tokenizer.model or tokenizer.tgt_model)


def _untrained_languages(data: DataConfig) -> Iterator[str]:
    """Yield a message for each part with a language that no training corpus has a tag for."""
    known = set(data.train_tags)
    for name, corpora in (("valid", data.valid_corpora), ("test", data.test)):
        tags = [tag for corpus in corpora for tag in data.tags_of(data.pair_of(corpus))]
        if missing := [tag for tag in dict.fromkeys(tags) if tag not in known]:
            yield (
                f"data.{name} needs {', '.join(missing)}, but the corpora of data.train have only "
                f"{', '.join(data.train_tags)}: check its src_lang and tgt_lang"
            )


def _with_extends(schema: dict[str, Any]) -> None:
    """Add `extends` to the JSON schema: files may have it, but loading removes it."""
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another configuration on which this one is based: a path relative to this "
        "file's directory. Sections are merged, everything else is replaced; `recipe` is not "
        "inherited.",
    }
    required = [*schema.pop("required"), "extends"]
    schema["anyOf"] = [{"required": [key]} for key in required]


class Config(Section):
    """The configuration of a training run."""

    model_config = ConfigDict(json_schema_extra=_with_extends)

    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: AnyModel = TransformerConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()
    recipe: RecipeConfig | None = Field(default=None, exclude=True)  # no setting: runs lack it

    def _conflicts(self) -> Iterator[str]:
        if self.model.tie_embeddings == "all" and not self.tokenizer.joint:
            yield (
                "model.tie_embeddings: all needs tokenizer.joint: true; "
                "with separate vocabularies use decoder or none"
            )
        positions, length = self.model.max_positions, self.data.max_length
        if positions is not None and positions < length:
            yield f"model.positions.max_length {positions} is less than data.max_length {length}"
        if self.decode.trees and _lacks_brackets(self.tokenizer):
            yield (
                "decode.trees needs labelled brackets among tokenizer.user_defined_symbols, "
                "as in configs/parsing-gum.yaml"
            )
        yield from self._objective_conflicts()
        yield from self._terms_conflicts()
        if self.decode.coverage_penalty and self.model.kind != "transformer":
            yield f"decode.coverage_penalty needs model.kind: transformer, not {self.model.kind}"
        trained_elsewhere = self.train.init_from or self.tokenizer.model or self.tokenizer.src_model
        if not trained_elsewhere:
            yield from _untrained_languages(self.data)
        if self.data.streaming and self.data.sampling_temperature != 1:
            yield (
                "data.sampling_temperature needs prepared data, to count the pairs: with "
                "streaming, set the weight of each corpus"
            )
        if self.data.streaming and self.data.drop_duplicates:
            yield "data.drop_duplicates needs prepared data: it cannot be combined with streaming"
        yield from self._extension_conflicts()
        if self.train.lora and self.model.kind != "transformer":
            yield f"train.lora needs model.kind: transformer, not {self.model.kind}"
        yield from self._guided_conflicts()
        if self.data.augment:
            yield from augment_conflicts(
                self.data.augment,
                guided=self.train.guided_alignment is not None,
                placeholders=bool(self.data.placeholders),
            )
        yield from regularisation_conflicts(
            self.model,
            r_drop=self.train.r_drop,
            guided=self.train.guided_alignment is not None,
            shard=self.train.shard,
        )
        if (name := set_of(self.train.metric)) and name not in self.data.valid_sets:
            named = ", ".join(filter(None, self.data.valid_sets))
            known = (
                f"it has {named}" if named else f"name its sets, as in {{{name}: {{src: FILE, …}}}}"
            )
            yield f"train.metric {self.train.metric}: data.valid has no set {name}; {known}"
        if self.train.stages:
            sets = dict.fromkeys(one.set for one in self.data.train if one.set)
            yield from stage_conflicts(self.train.stages, self.train.max_steps, [*sets])
        if self.train.patience is not None and not self.data.valid:
            yield "train.patience needs data.valid"
        if self.train.average == "best" and not self.data.valid:
            yield "train.average: best needs data.valid"
        yield from self._tuning_conflicts()

    def _extension_conflicts(self) -> Iterator[str]:
        if not self.tokenizer.extend:
            return
        if not self.train.init_from:
            yield "tokenizer.extend needs train.init_from: it extends the tokenizer of another run"
        if self.train.lora:
            yield "tokenizer.extend: train.lora would not train the embeddings of new pieces"
        if {"embeddings", "*"} & {*self.train.freeze}:
            yield "tokenizer.extend: train.freeze would not train the embeddings of new pieces"

    def _tuning_conflicts(self) -> Iterator[str]:
        if self.train.tune_decode is None:
            return
        if not self.data.valid:
            yield "train.tune_decode needs data.valid"
        groups = self.decode.beam_groups
        for size in self.train.tune_decode.beam_sizes:
            if size % groups:
                yield (
                    f"train.tune_decode.beam_sizes: {size} is no multiple of decode.beam_groups "
                    f"{groups}"
                )

    def _objective_conflicts(self) -> Iterator[str]:
        data, train = self.data, self.train
        parts = {"data.train": data.train, "data.valid": data.valid_corpora}
        if train.objective == "translate":
            yield from translation_conflicts({**parts, "data.test": data.test})
            return
        yield from denoising_conflicts(
            {key: map(data.pair_of, corpora) for key, corpora in parts.items()},
            joint=self.tokenizer.joint,
            symbols=self.tokenizer.user_defined_symbols,
            metric=train.metric,
            for_translation={
                "data.terms": data.terms,
                "data.augment": data.augment,
                "train.guided_alignment": train.guided_alignment,
                "train.tune_decode": train.tune_decode,
            },
        )

    def _terms_conflicts(self) -> Iterator[str]:
        if self.data.terms and not self.tokenizer.joint:
            yield (
                "data.terms needs tokenizer.joint: true: terms of the target language are written "
                "in the vocabulary of the source"
            )
        if self.data.terms and self.data.placeholders:
            yield (
                "data.terms cannot be combined with data.placeholders: the words of a target with "
                "symbols are no terms"
            )
        if self.decode.terms != "hard" and not self.data.terms:
            yield f"decode.terms: {self.decode.terms} needs a model trained with data.terms"

    def _guided_conflicts(self) -> Iterator[str]:
        if self.train.guided_alignment is None:
            if any(corpus.alignments for corpus in self.data.train):
                yield (
                    "data.train has alignments, which nothing uses: set train.guided_alignment={}, "
                    "or remove them"
                )
            return
        if self.train.guided_alignment.aligner == "none" and not any(
            corpus.alignments for corpus in self.data.train
        ):
            yield (
                "train.guided_alignment.aligner: none needs alignments of at least one corpus of "
                "data.train"
            )
        yield from guided_conflicts(self.train.guided_alignment, self.model)
        if self.data.streaming:
            yield (
                "train.guided_alignment needs prepared data, to align them first: it cannot be "
                "combined with streaming"
            )
