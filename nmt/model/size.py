"""The number of parameters of a model, computed from its configuration."""

from __future__ import annotations

from nmt.config.models import ConvolutionalConfig, RecurrentConfig, TransformerConfig

ModelConfig = TransformerConfig | RecurrentConfig | ConvolutionalConfig


def num_parameters(config: ModelConfig, src_vocab_size: int, tgt_vocab_size: int) -> int:
    """Return the number of parameters of a network; shared ones count once.

    This is a formula so that `nmt config` can print the number without importing torch.

    Args:
        config: model configuration.
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and of the output projection.
    """
    vocabulary = _embeddings(config, src_vocab_size, tgt_vocab_size)
    if config.kind == "transformer" and config.output_bias:
        vocabulary += tgt_vocab_size
    if config.kind == "rnn":
        return vocabulary + _recurrent(config)
    if config.kind == "conv":
        return vocabulary + _convolutional(config)
    return vocabulary + _transformer(config)


def _embeddings(config: ModelConfig, src_vocab_size: int, tgt_vocab_size: int) -> int:
    """Return the number of parameters in both embeddings and the output projection."""
    width = config.embedding_width if config.kind == "transformer" else config.d_model
    projection = tgt_vocab_size * config.d_model
    if config.tie_embeddings == "all":
        return projection
    if config.tie_embeddings == "decoder":
        return src_vocab_size * width + projection
    return (src_vocab_size + tgt_vocab_size) * width + projection


def _transformer(config: TransformerConfig) -> int:
    """Return the number of parameters in the positions and layers of `Transformer`."""
    positions = 0
    if config.positions.kind == "learned":
        positions = 2 * config.positions.max_length * config.position_width
    attention = _attention(config)
    feed_forward = _feed_forward(config)
    norm = 2 * config.d_model
    encoder_layer = attention + feed_forward + 2 * norm
    reading = config.d_model * (2 * config.d_model + 1) if config.decoder == "ssru" else attention
    decoder_layer = reading + attention + feed_forward + 3 * norm
    last_norms = 2 * norm if config.norm == "pre" else 0
    return (
        positions
        + config.encoder_layers * encoder_layer
        + config.decoder_layers * decoder_layer
        + last_norms
    )


def _attention(config: TransformerConfig) -> int:
    """Return the number of parameters in the four projections of a sub-layer."""
    width = config.d_model // config.num_heads
    d_k, d_v = config.d_k or width, config.d_v or width
    biases = config.num_heads * (2 * d_k + d_v) + config.d_model if config.attention_bias else 0
    return config.d_model * config.num_heads * (2 * d_k + 2 * d_v) + biases


def _feed_forward(config: TransformerConfig) -> int:
    if config.activation == "swiglu":  # three matrices, no bias
        return 3 * config.d_model * config.d_ff
    return 2 * config.d_model * config.d_ff + config.d_ff + config.d_model


def _recurrent(config: RecurrentConfig) -> int:
    """Return the number of parameters in the layers of `RecurrentNetwork`."""
    d_model, d_hidden = config.d_model, config.d_hidden
    num_gates, num_states = (4, 2) if config.cell == "lstm" else (3, 1)
    gates, annotation = num_gates * d_hidden, 2 * d_hidden
    # Each layer has two directions, each with two bias vectors, as in torch.nn.
    encoder = sum(
        2 * gates * (width + d_hidden + 2)
        for width in [d_model] + [annotation] * (config.encoder_layers - 1)
    )
    start = (d_hidden + 1) * num_states * d_hidden
    cell = gates * (d_model + 1 + annotation + d_hidden)
    attention = d_hidden * (annotation + d_hidden + 1)
    output = (d_hidden + d_model + annotation + 1) * 2 * d_model
    return encoder + start + cell + attention + output


def _convolutional(config: ConvolutionalConfig) -> int:
    """Return the number of parameters in the positions and layers of `ConvolutionalNetwork`."""
    d_model, channels = config.d_model, config.d_hidden
    to_model, to_channels = (channels + 1) * d_model, (d_model + 1) * channels
    convolution = (config.kernel_size * channels + 1) * 2 * channels
    positions = 2 * config.positions.max_length * d_model
    encoder = to_channels + config.encoder_layers * convolution + to_model
    # Each decoder layer projects to the width of the attention and back.
    decoder = (
        to_channels + config.decoder_layers * (convolution + to_model + to_channels) + to_model
    )
    return positions + encoder + decoder
