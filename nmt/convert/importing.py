"""Import a Marian model as a run directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from nmt.config.load import dump_config
from nmt.config.models import TransformerConfig
from nmt.config.schema import Config
from nmt.convert.marian import Marian, embeddings_in_nmt, weights_in_nmt
from nmt.convert.marian_pieces import with_vocabulary
from nmt.data.model_file import ModelType, parse
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.errors import ConfigError, FileError
from nmt.files import new_directory, refuse_existing
from nmt.limits import MAX_LENGTH
from nmt.model.build import check_shapes, make_network
from nmt.runs.average import save_imported
from nmt.runs.manifest import save_directory, write_json

_TYPES = {ModelType.UNIGRAM: "unigram", ModelType.BPE: "bpe", ModelType.CHAR: "char"}


def import_model(
    directory: Path,
    output: Path,
    *,
    src_lang: str | None = None,
    tgt_lang: str | None = None,
    usual_languages: tuple[str | None, str | None] = (None, None),
    name: str | None = None,
) -> None:
    """Write a Marian model as a run directory. On failure no output is left behind.

    Args:
        directory: a MarianMT directory of Hugging Face, or a directory of OPUS-MT in Marian's own
            format.
        output: run directory to create; may exist if it is empty.
        src_lang, tgt_lang: codes of the languages; by default those that the model names.
        usual_languages: codes of the languages if neither are given nor named by the model.
        name: of the model, for `nmt info`; by default that of the directory.

    Raises:
        ConfigError: if nmt cannot represent the model, or its languages are unknown.
        FileError: if a file is missing or damaged, or the output is not empty or cannot be written.
    """
    refuse_existing(output)
    marian = read_marian(directory)
    named = [ours or usual for ours, usual in zip(marian.languages, usual_languages, strict=True)]
    languages = (src_lang or named[0], tgt_lang or named[1])
    if not all(isinstance(language, str) and language for language in languages):
        raise ConfigError(
            f"{directory}: it does not name its languages: give `src_lang` and `tgt_lang`"
        )
    tokenizers, added = _tokenizers(marian)
    config = _config(marian, tokenizers, languages)
    assert isinstance(config.model, TransformerConfig)
    weights = embeddings_in_nmt(marian, config.model, added) | weights_in_nmt(marian, config.model)
    _check(marian, config, tokenizers, weights)
    origin = f"{marian.kind} model {name or directory.absolute().name}"
    _write(output, config, tokenizers, weights, origin)


def read_marian(directory: Path) -> Marian:
    """Read a Marian model.

    Raises:
        ConfigError: if nmt cannot represent it.
        FileError: if a file is missing or cannot be read.
    """
    from nmt.convert.huggingface import read_huggingface
    from nmt.convert.marian_npz import read_npz

    if not directory.is_dir():
        raise FileError(f"{directory}: no such directory")
    if (directory / "config.json").is_file():
        return read_huggingface(directory)
    if (directory / "decoder.yml").is_file():
        return read_npz(directory)
    raise FileError(
        f"{directory}: neither a MarianMT model of Hugging Face, which has a config.json, nor one "
        "of OPUS-MT, which has a decoder.yml"
    )


def _tokenizers(marian: Marian) -> tuple[Tokenizers, tuple[int, int]]:
    """Return the tokenizers, and the numbers of pieces that the vocabularies lack."""
    made = []
    for name, side in (("source", marian.src), ("target", marian.tgt)):
        try:
            reads = name == "source"
            pieces = with_vocabulary(side, marian.special, marian.start, reads=reads)
        except ValueError as error:
            raise FileError(
                f"{marian.origin / name}.spm: not a SentencePiece model, or truncated"
            ) from error
        made.append((Tokenizer(pieces.model, f"{marian.origin / name}.spm"), pieces.added))
    (src, src_added), (tgt, tgt_added) = made
    return Tokenizers(src, tgt), (src_added, tgt_added)


def _config(
    marian: Marian, tokenizers: Tokenizers, languages: tuple[str | None, str | None]
) -> Config:
    spm = parse(marian.src.spm)
    values: dict[str, Any] = {
        "data": {
            "src_lang": languages[0],
            "tgt_lang": languages[1],
            "train": [],
            "max_length": min(marian.max_length, MAX_LENGTH),
        },
        "tokenizer": {
            "type": _TYPES.get(spm.type, spm.type.name.lower()),
            "vocab_size": max(tokenizer.vocab_size for tokenizer in tokenizers),
            "joint": False,
            "byte_fallback": spm.byte_fallback,
        },
        "model": {
            **marian.model,
            "attention_bias": True,
            "output_bias": True,
            "tie_embeddings": marian.tie_embeddings,
        },
        "decode": marian.decode,
    }
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigError(f"{marian.origin}: nmt cannot represent this model", *problems) from error


def _check(
    marian: Marian, config: Config, tokenizers: Tokenizers, weights: Mapping[str, Tensor]
) -> None:
    with torch.device("meta"):
        network = make_network(config.model, *tokenizers.sizes)
    check_shapes(network, weights, str(marian.origin))


def _write(
    output: Path,
    config: Config,
    tokenizers: Tokenizers,
    weights: Mapping[str, Tensor],
    origin: str,
) -> None:
    with new_directory(output) as folder:
        (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
        write_json(folder / "data.json", {"train": [], "valid": []})
        save_directory(folder / "tokenizer", tokenizers.save)
        save_imported(folder, weights, origin)
