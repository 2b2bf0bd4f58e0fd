"""The configuration of the opposite direction."""

from __future__ import annotations

from collections.abc import Iterable

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import Config


def reversed_config(config: Config) -> Config:
    """Return the configuration of a model that translates in the opposite direction.

    It aligns no words, since its alignments would not be used.
    """
    data, tokenizer = config.data, config.tokenizer

    def swap(corpora: Iterable[AnyCorpus]) -> list[AnyCorpus]:
        return [
            corpus.model_copy(
                update={
                    "src_lang": corpus.src_lang or data.src_lang,
                    "tgt_lang": corpus.tgt_lang or data.tgt_lang,
                    "reversed": not corpus.reversed,
                    "alignments": None,
                }
            )
            for corpus in corpora
        ]

    valid = data.valid
    parts = {
        "src_lang": data.tgt_lang,
        "tgt_lang": data.src_lang,
        "train": swap(data.train),
        "valid": {name: swap(one) for name, one in valid.items()}
        if isinstance(valid, dict)
        else swap(valid),
        "test": swap(data.test),
    }
    models = {"src_model": tokenizer.tgt_model, "tgt_model": tokenizer.src_model}
    return config.model_copy(
        update={
            "data": data.model_copy(update=parts),
            "tokenizer": tokenizer.model_copy(update={**models, "extend": None}),
            "train": config.train.model_copy(
                update={"init_from": None, "lora": None, "guided_alignment": None}
            ),
        }
    )
