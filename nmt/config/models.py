"""The models of a configuration: one section per architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from nmt.config.section import Length, Probability, Section
from nmt.limits import MAX_D_FF, MAX_LAYERS, MAX_WIDTH

Width = Annotated[int, Field(gt=0, le=MAX_WIDTH)]
Layers = Annotated[int, Field(gt=0, le=MAX_LAYERS)]


class PositionsConfig(Section):
    """Position encoding (paper, section 3.5)."""

    kind: Literal["sinusoidal", "learned", "none"] = "sinusoidal"
    """Sinusoids, or one learned vector per position (Table 3, row E). With none, the encoder
    ignores word order and the decoder infers it from the causal mask (Haviv et al. 2022)."""
    combine: Literal["add", "concat"] = "add"
    """Add the positions to the embeddings as in the paper, or append them to narrower embeddings
    so that both together have d_model dimensions."""
    width: Width | None = None
    """Dimensions of the positions with combine: concat. Default: a quarter of d_model, rounded down
    to an even number."""
    max_length: Length = 512
    """Number of learned positions, at least data.max_length; sinusoids have no limit."""

    def _conflicts(self) -> Iterator[str]:
        if self.kind == "none" and self.combine == "concat":
            yield "kind none has nothing to concatenate and needs combine: add"
        if self.width is not None and self.combine == "add":
            yield "width needs combine: concat: added positions have width d_model"


class TransformerConfig(Section):
    """The Transformer (paper, section 3); the defaults are the paper's base model."""

    kind: Literal["transformer"] = "transformer"
    """The architecture. `rnn` and `conv` have different keys."""
    d_model: Width = 512
    """Width of the embeddings and of the output of every sub-layer."""
    num_heads: Width = 8
    """Number of attention heads."""
    d_ff: Annotated[int, Field(gt=0, le=MAX_D_FF)] = 2048
    """Inner width of the feed-forward layers."""
    encoder_layers: Layers = 6
    """Number of encoder layers."""
    decoder_layers: Layers = 6
    """Number of decoder layers."""
    decoder: Literal["attention", "ssru"] = "attention"
    """How the decoder reads its own output: by masked self-attention, or the Simpler Simple
    Recurrent Unit (Kim et al. 2019), whose steps cost less."""
    d_k: Width | None = None
    """Width of each head's queries and keys. Default: d_model / num_heads."""
    d_v: Width | None = None
    """Width of each head's values. Default: d_model / num_heads."""
    norm: Literal["post", "pre"] = "post"
    """Layer normalisation after each residual sum as in the paper, or before each sub-layer
    (Xiong et al. 2020)."""
    activation: Literal["relu", "gelu", "swish", "swiglu"] = "relu"
    """Activation of the feed-forward layers; swish is SiLU, and swiglu (Shazeer 2020) adds a third
    matrix."""
    attention_bias: bool = False
    """Add biases to the projections of queries, keys, values and the output of attention."""
    output_bias: bool = False
    """Add a bias for each target token to the logits."""
    positions: PositionsConfig = PositionsConfig()
    """Position encoding."""
    tie_embeddings: Literal["none", "decoder", "all"] = "all"
    """Which of the source embedding, the target embedding and the output projection share one
    matrix: none, the last two, or all three, which needs a joint vocabulary. Concatenated
    positions need `none`: their embeddings are narrower than the projection."""
    dropout: Probability = 0.1
    """Dropout of the output of every sub-layer, before the residual sum."""
    attention_dropout: Probability = 0.0
    """Dropout of the attention weights."""
    activation_dropout: Probability = 0.0
    """Dropout inside the feed-forward layers, after the activation."""
    embedding_dropout: Probability | None = None
    """Dropout of the sum of embeddings and positions. Default: `dropout`."""
    layer_dropout: Probability = 0.0
    """Probability that training skips a layer of the encoder or decoder, for a whole batch
    (LayerDrop, Fan et al. 2020)."""

    @property
    def max_positions(self) -> int | None:
        """Number of positions, or None if there is no limit."""
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

    def _conflicts(self) -> Iterator[str]:
        concat, width = self.positions.combine == "concat", self.position_width
        if self.d_model % self.num_heads != 0 and (self.d_k is None or self.d_v is None):
            yield (
                f"d_model {self.d_model} is not a multiple of num_heads {self.num_heads}: "
                "change one of them or set d_k and d_v"
            )
        if width % 2 != 0 and self.positions.kind == "sinusoidal":
            key = "positions.width" if concat else "d_model"
            yield f"{key} {width} is odd: sinusoidal positions need it even"
        if concat and not 0 < width < self.d_model:
            yield (
                f"positions.width {width} must be between 0 and d_model {self.d_model}, "
                "to leave room for the embeddings"
            )
        if concat and self.tie_embeddings != "none":
            yield (
                f"tie_embeddings: {self.tie_embeddings} makes an embedding the output projection, "
                "which is wider with positions.combine: concat; use none"
            )


class RecurrentConfig(Section):
    """The attentional encoder-decoder of Bahdanau et al. (2015); the defaults are its RNNsearch."""

    kind: Literal["rnn"]
    """The architecture."""
    cell: Literal["gru", "lstm"] = "gru"
    """Gated recurrent units (Cho et al. 2014), or long short-term memory (Hochreiter and
    Schmidhuber 1997)."""
    d_model: Width = 620
    """Width of the embeddings and of the deep output, the input of the projection."""
    d_hidden: Width = 1000
    """Width of the states of the decoder, of each direction of the encoder, and of the layer
    inside the attention."""
    encoder_layers: Layers = 1
    """Number of encoder layers, all bidirectional. The decoder has one layer."""
    tie_embeddings: Literal["none", "decoder", "all"] = "none"
    """Which of the source embedding, the target embedding and the output projection share one
    matrix: none, the last two (Press and Wolf 2017), or all three, which needs a joint
    vocabulary."""
    dropout: Probability = 0.0
    """Dropout of the embeddings, the output of the encoder layers and the deep output, but not of
    recurrent connections (Zaremba et al. 2014)."""

    @property
    def max_positions(self) -> None:
        """None: there is no limit."""
        return None


class LearnedPositionsConfig(Section):
    """One learned vector per position."""

    max_length: Length = 512
    """Number of positions, at least data.max_length."""


class ConvolutionalConfig(Section):
    """ConvS2S (Gehring et al. 2017); the default sizes are those of the English-Romanian model."""

    kind: Literal["conv"]
    """The architecture."""
    d_model: Width = 512
    """Width of the embeddings, the attention and the input of the projection."""
    d_hidden: Width = 512
    """Channels of the convolutions."""
    kernel_size: Annotated[int, Field(gt=0, le=1000)] = 3
    """Positions in the window of a convolution; the decoder sees no later positions."""
    encoder_layers: Layers = 20
    """Number of convolutions in the encoder."""
    decoder_layers: Layers = 20
    """Number of convolutions in the decoder, each with its own attention."""
    positions: LearnedPositionsConfig = LearnedPositionsConfig()
    """Positions, added to the embeddings of both sides."""
    tie_embeddings: Literal["none", "decoder", "all"] = "none"
    """Which of the source embedding, the target embedding and the output projection share one
    matrix: none, the last two (Press and Wolf 2017), or all three, which needs a joint
    vocabulary."""
    dropout: Probability = 0.1
    """Dropout of the embeddings and of the inputs of the convolutions and the projection."""

    @property
    def max_positions(self) -> int:
        """Number of positions."""
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
