"""How many parameters a model has, told from its configuration without making it."""

from __future__ import annotations

from nmt.config import ModelConfig


def num_parameters(config: ModelConfig, src_vocab_size: int, tgt_vocab_size: int) -> int:
    """Count the parameters of `nmt.model.transformer.Transformer`, shared ones once.

    It is a formula, since `nmt config` prints the number and does not wait for torch.

    Args:
        config: the model.
        src_vocab_size: rows of the source embedding.
        tgt_vocab_size: rows of the target embedding and of the output projection.
    """
    attention = _attention(config)
    feed_forward = _feed_forward(config)
    norm = 2 * config.d_model
    encoder_layer = attention + feed_forward + 2 * norm
    decoder_layer = 2 * attention + feed_forward + 3 * norm
    last_norms = 2 * norm if config.norm == "pre" else 0
    return (
        _embeddings(config, src_vocab_size, tgt_vocab_size)
        + config.encoder_layers * encoder_layer
        + config.decoder_layers * decoder_layer
        + last_norms
    )


def _embeddings(config: ModelConfig, src_vocab_size: int, tgt_vocab_size: int) -> int:
    """Count the embeddings, the output projection and the positions of both sides."""
    positions = 0
    if config.positions.kind == "learned":
        positions = 2 * config.positions.max_length * config.position_width
    src_embedding = src_vocab_size * config.embedding_width
    tgt_embedding = tgt_vocab_size * config.embedding_width
    projection = tgt_vocab_size * config.d_model
    if config.tie_embeddings == "all":
        return projection + positions
    if config.tie_embeddings == "decoder":
        return src_embedding + projection + positions
    return src_embedding + tgt_embedding + projection + positions


def _attention(config: ModelConfig) -> int:
    """Count the projections to queries, keys and values, and back."""
    width = config.d_model // config.num_heads
    d_k, d_v = config.d_k or width, config.d_v or width
    return config.d_model * config.num_heads * (2 * d_k + 2 * d_v)


def _feed_forward(config: ModelConfig) -> int:
    if config.activation == "swiglu":  # three matrices, no bias
        return 3 * config.d_model * config.d_ff
    return 2 * config.d_model * config.d_ff + config.d_ff + config.d_model
