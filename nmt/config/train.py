"""The section `train`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from nmt.config.denoise import DenoiseConfig
from nmt.config.finetuning import LoraConfig, StageConfig
from nmt.config.guided_alignment import GuidedAlignmentConfig
from nmt.config.regularisation import (
    RDropConfig,
    SimCutConfig,
    TokenCutoffConfig,
    TokenRates,
)
from nmt.config.section import BatchTokens, MaybeSteps, Probability, Section, Steps
from nmt.config.tune_decode import TuneDecodeConfig
from nmt.config.validation import Metric, is_loss
from nmt.limits import MAX_BEAM_SIZE, MAX_SEED, MAX_THREADS


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
