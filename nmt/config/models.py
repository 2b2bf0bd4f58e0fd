"""The models of a configuration, one section for each architecture."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from nmt.config.section import Length, Probability, Section, refuse
from nmt.limits import MAX_D_FF, MAX_LAYERS, MAX_WIDTH

Width = Annotated[int, Field(gt=0, le=MAX_WIDTH)]
Layers = Annotated[int, Field(gt=0, le=MAX_LAYERS)]


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
        refuse(
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
        refuse(
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


def _add_kind(value: Any) -> Any:
    """Add the default kind to a model that has none."""
    return {"kind": "transformer", **value} if isinstance(value, dict) else value


AnyModel = Annotated[
    TransformerConfig | RecurrentConfig | ConvolutionalConfig,
    Field(discriminator="kind"),
    BeforeValidator(_add_kind),
]
