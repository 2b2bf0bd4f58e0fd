"""Small MarianMT models with small SentencePiece models, as transformers saves them."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch

from nmt.data import phrasebook

transformers = pytest.importorskip("transformers")

_PAIRS = [(pair.src, pair.tgt) for pair in phrasebook.pairs("train") if len(pair.tgt) < 30][:200]
_MEMORISED, _STEPS, _WARMUP_STEPS = 24, 80, 15
LINES = [src for src, _ in _PAIRS[:_MEMORISED]]
OTHER_LINES = [*(src for src, _ in _PAIRS[_MEMORISED : _MEMORISED + 8]), "  ☃ Zebra quux 123"]
TEXTS = {"source": [src for src, _ in _PAIRS], "target": [tgt for _, tgt in _PAIRS]}
LONGEST = 60
# The vocabulary lacks them, so that they count as unknown.
_LACKING = 3
SHAPE = {
    "d_model": 48,
    "dropout": 0.0,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 96,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "activation_function": "swish",
    "scale_embedding": True,
    "max_position_embeddings": 128,
}


def write_marian(
    folder: Path,
    *,
    spm: str = "unigram",
    separate: bool = False,
    codes: list[str] | None = None,
    **settings: Any,
) -> Path:
    """Write a model that has memorised a few sentences.

    Args:
        folder: directory to create.
        spm: kind of the SentencePiece models.
        separate: whether each side has its own vocabulary.
        codes: language codes to add to the vocabulary.
        settings: keys of config.json.
    """
    folder.mkdir()
    models = {side: _train_spm(TEXTS[side], spm) for side in TEXTS}
    for side, model in models.items():
        (folder / f"{side}.spm").write_bytes(model)
    pieces = {side: _pieces(model)[:-_LACKING] for side, model in models.items()}
    if separate:
        vocabularies = [_vocabulary(pieces["source"]), _vocabulary(pieces["target"])]
    else:
        vocabularies = [_vocabulary([*pieces["source"], *pieces["target"], *(codes or [])])]
    names = ["vocab.json", "target_vocab.json"][: len(vocabularies)]
    for name, vocabulary in zip(names, vocabularies, strict=True):
        (folder / name).write_text(json.dumps(vocabulary), "utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"separate_vocabs": separate, "source_lang": "en", "target_lang": "de"})
    )
    model = small_model(len(vocabularies[0]), len(vocabularies[-1]), **settings)
    _memorise(model, transformers.MarianTokenizer.from_pretrained(folder))
    model.save_pretrained(folder)
    return folder


def small_model(src_size: int, tgt_size: int, **settings: Any) -> Any:
    """Return a MarianMTModel with random weights, none of which is 0 or 1."""
    config = transformers.MarianConfig(
        **{
            **SHAPE,
            "vocab_size": src_size,
            "decoder_vocab_size": tgt_size,
            "pad_token_id": tgt_size - 1,
            "decoder_start_token_id": tgt_size - 1,
            "eos_token_id": 0,
            "forced_eos_token_id": 0,
            **settings,
        }
    )
    torch.manual_seed(1)
    model = transformers.MarianMTModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "embed_positions" not in name:
                is_unscaled = "embed" in name and not config.scale_embedding
                std = config.d_model**-0.5
                parameter.copy_((1.0 if is_unscaled else std) * torch.randn_like(parameter))
        model.final_logits_bias.copy_(0.5 * torch.randn(1, tgt_size))
    return model


def _memorise(model: Any, tokenizer: Any) -> None:
    """Train on a few pairs, so that the choices of the model are clear."""
    src, tgt = zip(*_PAIRS[:_MEMORISED], strict=True)
    batch = tokenizer(list(src), text_target=list(tgt), return_tensors="pt", padding=True)
    batch["labels"].masked_fill_(batch["labels"] == model.config.pad_token_id, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / _WARMUP_STEPS, 1.0)
    )
    model.train()
    for _ in range(_STEPS):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()


def _train_spm(lines: list[str], kind: str) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=kind,
        vocab_size=150,
        minloglevel=2,
    )
    return model.getvalue()


def _pieces(model: bytes) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(number) for number in range(3, len(processor))]


def _vocabulary(pieces: list[str]) -> dict[str, int]:
    shuffled = sorted(set(pieces))
    random.Random(1).shuffle(shuffled)
    return {piece: i for i, piece in enumerate(["</s>", "<unk>", *shuffled, "<pad>"])}


def generated(
    folder: Path, lines: list[str], beams: int, **options: Any
) -> tuple[list[list[int]], list[str]]:
    """Return what transformers generates for each line alone: ids without special ones, and text.

    As in nmt, no output has the unknown token, and the sum of log-probabilities ranks. Endless
    repetition is cut off.
    """
    model = transformers.MarianMTModel.from_pretrained(folder).eval()
    tokenizer = transformers.MarianTokenizer.from_pretrained(folder)
    pad, unk = model.config.pad_token_id, 1
    special = {pad, model.config.eos_token_id, model.config.decoder_start_token_id}
    rows = []
    for line in lines:
        [row] = model.generate(
            **tokenizer([line], return_tensors="pt"),
            num_beams=beams,
            length_penalty=0.0,
            early_stopping=True,
            do_sample=False,
            max_length=LONGEST + 1,  # the start counts, too
            **{"bad_words_ids": [[pad], [unk]], **options},
        ).tolist()
        rows.append([token for token in row if token not in special][: LONGEST - 1])
    return rows, tokenizer.batch_decode(rows, skip_special_tokens=True)
