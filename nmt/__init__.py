"""Neural machine translation with the Transformer, from raw text to BLEU."""

__version__ = "0.1.0"
